//! The manifest of the log: signed statements about its files, in one small file beside them. What they say is
//! `proof`'s; whether it is true is asked by `verify`.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::proof::handover::Handover;
use super::proof::lines::Statement;
use super::proof::statement::{Deleted, Sealed};
use super::segment::{SegmentName, sync_directory};

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
}

/// A statement, and the note that it was read from.
#[derive(Clone, Debug)]
pub struct Stated<T> {
    pub says: T,
    pub note: String,
    /// Of the manifest, from 1; 0 before it is written.
    pub line: u64,
}

/// Beside the log's files.
pub const MANIFEST_FILE: &str = "manifest.jsonl";

impl Manifest {
    /// What the manifest in the log's directory says; nothing, where there is none.
    pub fn read(directory: &Path) -> io::Result<Self> {
        let text = match fs::read_to_string(path(directory)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let mut manifest = Self::default();
        for (line, text) in (1..).zip(text.lines()) {
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
                let says = Deleted::parse(&note)?;
                self.deleted = Some(Stated { says, note, line });
            }
            Statement::Handover(note) => {
                let says = Handover::open(&note).ok()?;
                self.handovers.push(Stated { says, note, line });
            }
        }
        Some(())
    }

    /// Writes it, whole or not at all, to the medium.
    pub fn write(&self, directory: &Path) -> io::Result<()> {
        let deleted = self.deleted.iter().map(|of| Statement::Deleted(of.note.clone()));
        let handovers = self.handovers.iter().map(|of| Statement::Handover(of.note.clone()));
        let sealed = self.sealed.values().map(|of| Statement::Sealed(of.note.clone()));
        let lines = deleted.chain(handovers).chain(sealed);
        let text: String = lines.map(|statement| statement.to_line() + "\n").collect();
        let draft = directory.join("manifest.new");
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        drop::<File>(file);
        fs::rename(draft, path(directory))?;
        sync_directory(directory)
    }

    /// Whether retention has deleted the file, or is about to.
    pub fn has_deleted(&self, file: SegmentName) -> bool {
        self.deleted.as_ref().is_some_and(|deleted| file < deleted.says.before)
    }
}

fn path(directory: &Path) -> PathBuf {
    directory.join(MANIFEST_FILE)
}
