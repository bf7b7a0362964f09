//! Signed statements about whole files of the log, which the manifest holds: that one was sealed, and that the first ones
//! were deleted.

use jiff::Timestamp;
use openssl::error::ErrorStack;

use crate::audit::segment::SegmentName;
use crate::model::time::UnixMicros;

use super::key::SigningKey;
use super::note;
use super::tree::Hash;

/// A file became a sealed one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sealed {
    pub node: Box<str>,
    /// As it was named before.
    pub file: SegmentName,
    /// What it was.
    pub lines: Content,
    pub records: u64,
    /// The times of its earliest and its latest record; None without records.
    pub times: Option<(UnixMicros, UnixMicros)>,
    /// What it became.
    pub sealed: Content,
    /// When.
    pub time: UnixMicros,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Content {
    pub bytes: u64,
    /// SHA-256 of all its bytes.
    pub sha256: Hash,
}

/// The first files of the log were deleted, as its owner wants all that is so old.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Deleted {
    pub node: Box<str>,
    /// The first file that is left, and the leaf of its first line, which says all that a check must know of those
    /// before it.
    pub before: SegmentName,
    pub leaf: Hash,
    /// How many files, and records, were deleted since the log began.
    pub files: u64,
    pub records: u64,
    /// The time of the latest record among them.
    pub last: UnixMicros,
    /// How old a record had to be, in seconds.
    pub retention_seconds: u64,
    /// When.
    pub time: UnixMicros,
}

impl Sealed {
    pub fn text(&self) -> String {
        let Self { node, file, lines, records, times, sealed, time } = self;
        let times = times.map_or_else(|| "none".into(), |(first, last)| format!("{first} {last}"));
        let content = |of: &Content| format!("{} {}", of.bytes, of.sha256);
        let (lines, sealed) = (content(lines), content(sealed));
        format!(
            "onegate.dev/audit/{node}/sealed\nfile {file}\nlines {lines}\nrecords {records}\n\
             times {times}\nsealed {sealed}\ntime {time}\n"
        )
    }

    pub fn sign(&self, key: &SigningKey) -> Result<String, ErrorStack> {
        note::sign(&self.text(), &[key])
    }

    /// Reads what a note says, whoever signed it.
    pub fn parse(note: &str) -> Option<Self> {
        let mut text = Text::of(note, "sealed")?;
        let file = SegmentName::parse(text.named("file")?)?;
        let lines = Content::parse(text.named("lines")?)?;
        let records = text.named("records")?.parse().ok()?;
        let times = match text.named("times")?.split_once(' ') {
            Some((first, last)) => Some((time(first)?, time(last)?)),
            None => None,
        };
        let sealed = Content::parse(text.named("sealed")?)?;
        let time = text.time("time")?;
        Some(Self { node: text.node, file, lines, records, times, sealed, time })
    }
}

impl Content {
    fn parse(text: &str) -> Option<Self> {
        let (bytes, sha256) = text.split_once(' ')?;
        Some(Self { bytes: bytes.parse().ok()?, sha256: Hash::parse(sha256)? })
    }
}

impl Deleted {
    pub fn text(&self) -> String {
        let Self { node, before, leaf, files, records, last, retention_seconds, time } = self;
        format!(
            "onegate.dev/audit/{node}/deleted\nbefore {before}\nleaf {leaf}\nfiles {files}\n\
             records {records}\nlast {last}\nretention {retention_seconds}\ntime {time}\n"
        )
    }

    pub fn sign(&self, key: &SigningKey) -> Result<String, ErrorStack> {
        note::sign(&self.text(), &[key])
    }

    /// Reads what a note says, whoever signed it.
    pub fn parse(note: &str) -> Option<Self> {
        let mut text = Text::of(note, "deleted")?;
        let before = SegmentName::parse(text.named("before")?)?;
        let leaf = Hash::parse(text.named("leaf")?)?;
        let files = text.named("files")?.parse().ok()?;
        let records = text.named("records")?.parse().ok()?;
        let last = text.time("last")?;
        let retention_seconds = text.named("retention")?.parse().ok()?;
        let time = text.time("time")?;
        Some(Self { node: text.node, before, leaf, files, records, last, retention_seconds, time })
    }

    /// Whether all that was deleted was as old as it says.
    pub fn is_due(&self) -> bool {
        let age = self.time.0.saturating_sub(self.last.0);
        u64::try_from(age / 1_000_000).is_ok_and(|seconds| seconds >= self.retention_seconds)
    }
}

/// The lines of a note, read in their order.
pub struct Text<'a> {
    pub node: Box<str>,
    lines: std::str::Lines<'a>,
}

impl<'a> Text<'a> {
    /// None unless its first line says that it is about that.
    pub fn of(note: &'a str, about: &str) -> Option<Self> {
        let mut lines = note.lines();
        let origin = lines.next()?.strip_prefix("onegate.dev/audit/")?;
        let of = origin.strip_suffix(about)?.strip_suffix('/')?;
        Some(Self { node: of.into(), lines })
    }

    /// What the next line says, which begins with that name.
    pub fn named(&mut self, name: &str) -> Option<&'a str> {
        self.lines.next()?.strip_prefix(name)?.strip_prefix(' ')
    }

    pub fn time(&mut self, name: &str) -> Option<UnixMicros> {
        time(self.named(name)?)
    }
}

fn time(text: &str) -> Option<UnixMicros> {
    let time: Timestamp = text.parse().ok()?;
    Some(UnixMicros(time.as_microsecond()))
}
