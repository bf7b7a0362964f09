//! The manifest of the log: signed statements about its files, in one small file beside them. What they say is
//! `proof`'s; whether it is true is asked by `verify`.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::proof::handover::{Handover, Keyring, Untrusted};
use super::proof::key::PublicKey;
use super::proof::lines::{Control, Statement};
use super::proof::statement::{Deleted, Sealed};
use super::reader::LineReader;
use super::segment::{SegmentName, replace};

/// What the file holds.
#[derive(Debug, Default)]
pub struct Manifest {
    /// The sealed files that are left.
    pub sealed: BTreeMap<SegmentName, Stated<Sealed>>,
    /// The first files of the log, if any were deleted.
    pub deleted: Option<Stated<Deleted>>,
    /// From key to key, as files said that were deleted.
    pub handovers: Vec<Stated<Handover>>,
    /// Lines that say nothing of this version, from 1.
    pub unreadable: Vec<u64>,
    /// Its last line is not whole.
    is_torn: bool,
}

/// A statement, and the note that it was read from.
#[derive(Clone, Debug)]
pub struct Stated<T> {
    pub says: T,
    pub note: String,
    /// Of the manifest, from 1; 0 before it is written.
    pub line: u64,
}

/// It has less than a KiB for each file of the log.
const BYTES_MAX: u64 = 256 << 20;

/// Beside the log's files.
pub const MANIFEST_FILE: &str = "manifest.jsonl";

impl Manifest {
    /// What the manifest in the log's directory says; nothing, where there is none.
    pub fn read(directory: &Path) -> io::Result<Self> {
        let file = match File::open(path(directory)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        if file.take(BYTES_MAX).read_to_end(&mut bytes)? as u64 == BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut manifest = Self::default();
        let mut lines = bytes.split(|byte| *byte == b'\n');
        // What was being added when the gate was killed is added again.
        manifest.is_torn = lines.next_back().is_some_and(|rest| !rest.is_empty());
        for (line, text) in (1..).zip(lines) {
            let text = std::str::from_utf8(text).unwrap_or_default();
            if manifest.take(text, line).is_none() {
                manifest.unreadable.push(line);
            }
        }
        Ok(manifest)
    }

    fn take(&mut self, text: &str, line: u64) -> Option<()> {
        match Statement::parse(text)? {
            Statement::Sealed(note) => {
                let says = Sealed::parse(&note)?;
                self.sealed.insert(says.file, Stated { says, note, line });
            }
            Statement::Deleted(note) => {
                // There is at most one.
                let says = Deleted::parse(&note).filter(|_| self.deleted.is_none())?;
                self.deleted = Some(Stated { says, note, line });
            }
            Statement::Handover(note) => {
                let says = Handover::open(&note).ok()?;
                self.handovers.push(Stated { says, note, line });
            }
        }
        Some(())
    }

    /// Adds that a file was sealed, on the medium too.
    pub fn add(&mut self, directory: &Path, sealed: Stated<Sealed>) -> io::Result<()> {
        let line = Statement::Sealed(sealed.note.clone()).to_line() + "\n";
        let is_first = self.sealed.insert(sealed.says.file, sealed).is_none();
        let path = path(directory);
        if self.is_torn || !is_first || !path.exists() {
            return self.write(directory);
        }
        let mut file = OpenOptions::new().append(true).open(path)?;
        file.write_all(line.as_bytes())?;
        file.sync_all()
    }

    /// Writes it, whole or not at all, to the medium.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        let deleted = self.deleted.iter().map(|of| Statement::Deleted(of.note.clone()));
        let handovers = self.handovers.iter().map(|of| Statement::Handover(of.note.clone()));
        let sealed = self.sealed.values().map(|of| Statement::Sealed(of.note.clone()));
        let lines = deleted.chain(handovers).chain(sealed);
        let text: String = lines.map(|statement| statement.to_line() + "\n").collect();
        replace(&path(directory), text.as_bytes(), 0o600)
    }

    /// The keys that follow from a trusted one, by what these files and the manifest say of changes.
    pub fn keys(
        &self,
        directory: &Path,
        files: &[SegmentName],
        trusted: &PublicKey,
    ) -> Result<Keyring, Untrusted> {
        let of_files = files.iter().filter(|file| !self.has_deleted(**file));
        // A file that cannot be read has more to answer for.
        let of_files = of_files.filter_map(|file| handover(directory, *file).ok().flatten());
        let all = self.handovers.iter().cloned().chain(of_files).map(|stated| stated.says);
        Keyring::new(trusted, all.collect())
    }

    /// An error unless somebody may act by what it says: all of it is understood, and what it says of deleted files is signed
    /// with one of these keys, where there is a need to look. What is acted on must not come from somewhere else.
    pub fn is_ours(
        &self,
        keys: impl FnOnce() -> Option<Result<Keyring, Untrusted>>,
    ) -> io::Result<()> {
        let bad = |line: u64| {
            let what =
                format!("line {line} of {MANIFEST_FILE} is no statement of this log and version");
            Err(io::Error::new(io::ErrorKind::InvalidData, what))
        };
        if let Some(line) = self.unreadable.first() {
            return bad(*line);
        }
        let Some(deleted) = &self.deleted else { return Ok(()) };
        match keys() {
            Some(Ok(keys)) if self.is_signed_by(&keys) => Ok(()),
            Some(_) => bad(deleted.line),
            None => Ok(()),
        }
    }

    /// Whether what it says of deleted files is signed as it must be.
    pub fn is_signed_by(&self, keys: &Keyring) -> bool {
        let is_signed = |deleted: &Stated<Deleted>| {
            keys.check_deletion(&deleted.note, &deleted.says.text(), deleted.says.before).is_ok()
        };
        self.deleted.as_ref().is_some_and(is_signed)
    }

    /// Whether retention has deleted the file, or is about to.
    pub fn has_deleted(&self, file: SegmentName) -> bool {
        self.deleted.as_ref().is_some_and(|deleted| file < deleted.says.before)
    }
}

/// What a file says of a change of the key, if it begins with that and both signed it.
pub fn handover(directory: &Path, file: SegmentName) -> io::Result<Option<Stated<Handover>>> {
    let Some(line) = LineReader::first_line(directory, file)? else { return Ok(None) };
    let Some(Control::Segment(segment)) = Control::parse(&line) else { return Ok(None) };
    let stated = segment.handover.and_then(|note| {
        let says = Handover::open(&note).ok().filter(|says| says.file == file)?;
        Some(Stated { says, note: note.into(), line: 0 })
    });
    Ok(stated)
}

fn path(directory: &Path) -> PathBuf {
    directory.join(MANIFEST_FILE)
}
