//! What the manifest states, and the files say of keys: whether it is signed, and true as far as that can be seen.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::Path;

use crate::audit::completeness::counted;
use crate::audit::line::Line;
use crate::audit::manifest::{MANIFEST_FILE, Manifest};
use crate::audit::proof::handover::{Keyring, Untrusted};
use crate::audit::proof::key::PublicKey;
use crate::audit::proof::lines::Kind;
use crate::audit::proof::statement::Deleted;
use crate::audit::proof::tree::Hash;
use crate::audit::sealed::content;
use crate::audit::segment::SegmentName;
use crate::model::time::UnixMicros;

use super::{Check, Report};

/// What is known before the first line is checked.
pub struct Stated {
    pub keys: Keyring,
    /// Only where it is signed, and the files were old enough.
    pub deleted: Option<Deleted>,
    manifest: Manifest,
    /// Files that are there in sealed form only.
    sealed: BTreeSet<SegmentName>,
}

impl Stated {
    pub fn read(
        directory: &Path,
        key: &PublicKey,
        names: &[SegmentName],
        report: &mut Report,
    ) -> io::Result<Self> {
        // Before the manifest is read: whatever is sealed now is stated in it.
        let sealed = names.iter().filter(|name| !name.path(directory).exists()).copied().collect();
        let manifest = Manifest::read(directory)?;
        let mut is_trusted = true;
        for line in &manifest.unreadable {
            report.problem(MANIFEST_FILE, *line, "this is no statement of this version");
        }
        let keys = manifest.keys(directory, names, key).unwrap_or_else(|Untrusted(keys)| {
            is_trusted = false;
            keys
        });
        for stated in manifest.sealed.values() {
            if let Err(error) = keys.check(&stated.note, &stated.says.text()) {
                let what = format!("this statement is not good: {error}");
                report.problem(MANIFEST_FILE, stated.line, what);
            }
        }
        let deleted = deleted(&manifest, &keys, names, report);
        let stated = Self { keys, deleted, manifest, sealed };
        let first = names.iter().find(|name| !stated.has_deleted(**name));
        if let Some(first) = first.filter(|_| !is_trusted) {
            report.problem(stated.shown(*first), 1, "the key to trust is none that this log had");
        }
        Ok(stated)
    }

    pub fn has_deleted(&self, file: SegmentName) -> bool {
        self.deleted.as_ref().is_some_and(|deleted| file < deleted.before)
    }

    /// Whether the file is there in sealed form only.
    pub fn is_sealed(&self, file: SegmentName) -> bool {
        self.sealed.contains(&file)
    }

    /// Whether a file that begins a boot, with that line, is where the log went on after others were deleted; no other
    /// file is asked of.
    pub fn goes_on_with(&self, file: SegmentName, line: &[u8]) -> bool {
        let is_so =
            |deleted: &Deleted| file != deleted.before || Hash::of_line(line) == deleted.leaf;
        self.deleted.as_ref().is_none_or(is_so)
    }

    /// The name of a file as it is there.
    pub fn shown(&self, file: SegmentName) -> String {
        let name = file.to_string();
        if self.sealed.contains(&file) { name.replace(".jsonl", ".parquet") } else { name }
    }
}

/// What is said of files that were deleted.
fn deleted(
    manifest: &Manifest,
    keys: &Keyring,
    names: &[SegmentName],
    report: &mut Report,
) -> Option<Deleted> {
    let stated = manifest.deleted.as_ref()?;
    let says = &stated.says;
    if let Err(error) = keys.check_deletion(&stated.note, &says.text(), says.before) {
        report.problem(MANIFEST_FILE, stated.line, format!("this statement is not good: {error}"));
        return None;
    }
    if !says.is_due() {
        let what = "files were deleted that were not as old as this statement says they must be";
        report.problem(MANIFEST_FILE, stated.line, what);
    }
    if !names.contains(&says.before) {
        let what = format!("the log goes on with {}, which is missing", says.before);
        report.problem(MANIFEST_FILE, stated.line, what);
    }
    let Deleted { before, files, records, last, retention_seconds, .. } = says;
    let (files, records) = (counted(*files, "file"), counted(*records, "record"));
    report.notes.push(format!(
        "{files} with {records} until {last} were deleted, as a retention of {} wants it: the log begins with {before}",
        counted(retention_seconds / 86_400, "day"),
    ));
    let left = names.iter().filter(|name| **name < says.before).count();
    if left > 0 {
        report.notes.push(format!("{} of these are still there", counted(left as u64, "file")));
    }
    Some(says.clone())
}

/// The records of a file: how many, and the times of the earliest and the latest.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Held {
    records: u64,
    times: Option<(UnixMicros, UnixMicros)>,
}

impl Held {
    pub fn take(&mut self, line: &[u8]) {
        if Kind::of(line) != Kind::Record {
            return;
        }
        self.records += 1;
        if let Ok(Line { time, .. }) = Line::parse(line) {
            let (first, last) = self.times.unwrap_or((time, time));
            self.times = Some((first.min(time), last.max(time)));
        }
    }
}

impl Check<'_> {
    /// What a statement says of a sealed file's records, questions rely on.
    pub(super) fn check_held(&mut self, file: SegmentName, held: Held) {
        let Some(stated) = self.stated.manifest.sealed.get(&file) else { return };
        let said = Held { records: stated.says.records, times: stated.says.times };
        if self.stated.is_sealed(file) && said != held {
            let what = "the file has other records than this statement says";
            self.report.problem(MANIFEST_FILE, stated.line, what);
        }
    }

    /// A sealed file must be the one that the manifest states, and lines that were sealed what they were then.
    pub(super) fn check_if_sealed(&mut self, file: SegmentName) -> io::Result<()> {
        let is_sealed = self.stated.sealed.contains(&file);
        self.report.sealed += u64::from(is_sealed);
        let Some(stated) = self.stated.manifest.sealed.get(&file) else {
            if is_sealed {
                self.told(file, 1, "the manifest does not state that this file was sealed");
            }
            return Ok(());
        };
        let (path, expected) = if is_sealed {
            (file.sealed_path(self.directory), stated.says.sealed)
        } else {
            (file.path(self.directory), stated.says.lines)
        };
        if content(File::open(path)?, &|| false)? != expected {
            self.told(file, 1, "this is not the file that was sealed: it was changed");
        }
        Ok(())
    }
}
