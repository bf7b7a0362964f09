//! The files of one config, as text, and positions in them. It reads files and knows no TOML:
//! which files are included is told by `include`.

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Largest config file.
pub(super) const FILE_BYTES_MAX: u64 = 4 << 20;

/// One config file.
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) text: String,
    /// The byte at which the file stops being UTF-8.
    pub(super) bad_utf8_at: Option<usize>,
    line_starts: Vec<usize>,
}

/// A stretch of one file, in bytes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Place {
    /// 0 is the main file.
    pub(super) file: usize,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Place {
    pub(super) fn new(file: usize, span: Range<usize>) -> Self {
        Self { file, start: span.start, end: span.end }
    }
}

/// A line of a file and where a [`Place`] lies in it.
pub(super) struct Line<'s> {
    /// From 1.
    pub(super) number: usize,
    /// Without its line break.
    pub(super) text: &'s str,
    /// Bytes of `text`. What runs past the line's end is cut off.
    pub(super) from: usize,
    pub(super) to: usize,
}

impl Line<'_> {
    /// In characters, from 1.
    pub(super) fn column(&self) -> usize {
        self.text.get(..self.from).map_or(1, |before| before.chars().count() + 1)
    }
}

impl Source {
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        Self::read_within(path, FILE_BYTES_MAX)
    }

    /// `most` is a whole number of MiB.
    pub(super) fn read_within(path: &Path, most: u64) -> io::Result<Self> {
        let mut bytes = Vec::new();
        File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > most {
            let message = format!("it is larger than {} MiB", most >> 20);
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
        }
        Ok(Self::from_bytes(path.to_owned(), &bytes))
    }

    pub(super) fn from_bytes(path: PathBuf, bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let bad_utf8_at = std::str::from_utf8(bytes).err().map(|error| error.valid_up_to());
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let line_starts = std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect();
        Self { path, text, bad_utf8_at, line_starts }
    }

    /// The line in which `place` begins.
    pub(super) fn line(&self, place: Place) -> Line<'_> {
        let number = self.line_starts.partition_point(|start| *start <= place.start).max(1);
        let start = self.line_starts.get(number - 1).copied().unwrap_or_default();
        let end = self.line_starts.get(number).copied().unwrap_or(self.text.len());
        let text = self.text.get(start..end).unwrap_or_default().trim_end_matches(['\n', '\r']);
        let within = |at: usize| text.floor_char_boundary(at.saturating_sub(start));
        Line { number, text, from: within(place.start), to: within(place.end) }
    }
}

/// All files of one config.
pub(super) struct Sources {
    pub(super) main: Source,
    pub(super) included: Vec<Source>,
    /// OpenAPI documents that apis name, in order of their first mention.
    pub(super) documents: Vec<Source>,
}

impl Sources {
    pub(super) const fn new(main: Source) -> Self {
        Self { main, included: Vec::new(), documents: Vec::new() }
    }

    /// In load order: the main file, what it includes, then the documents. A place counts so.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Source> {
        self.tomls().chain(&self.documents)
    }

    /// All but the documents.
    pub(super) fn tomls(&self) -> impl Iterator<Item = &Source> {
        std::iter::once(&self.main).chain(&self.included)
    }

    /// The document that an api names, and its number.
    pub(super) fn document(&self, named: &str) -> Option<(usize, &Source)> {
        let path = self.folder().join(named);
        let numbered = self.iter().enumerate().skip(self.included.len() + 1);
        numbered.into_iter().find(|(_, source)| source.path == path)
    }

    pub(super) fn of(&self, place: Place) -> &Source {
        self.iter().nth(place.file).unwrap_or(&self.main)
    }

    pub(super) fn text(&self, place: Place) -> &str {
        self.of(place).text.get(place.start..place.end).unwrap_or_default()
    }

    /// The folder that relative paths in the config start from.
    pub(super) fn folder(&self) -> &Path {
        self.main.path.parent().unwrap_or(Path::new(""))
    }

    /// The first 16 hex digits of `cat FILES | sha256sum`, the files in load order.
    pub(super) fn digest(&self) -> Box<str> {
        let mut hash = Sha256::new();
        for source in self.iter() {
            hash.update(source.text.as_bytes());
        }
        hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}
