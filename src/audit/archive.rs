//! What becomes of files of the log that nobody writes any more: after a while they are sealed, and when all their records are
//! old enough, the first ones are deleted. Both are stated in the manifest, signed, before anything is removed.
//!
//! It works on a thread of its own, a file at a time, and whatever was cut short is finished or undone at the next look.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openssl::error::ErrorStack;

use crate::model::policy::ArchiveSettings;
use crate::model::time::UnixMicros;

use super::acts;
use super::keys::Keys;
use super::line::{Line, Whole};
use super::manifest::{Manifest, Stated, handover};
use super::proof::lines::Kind;
use super::proof::statement::{Deleted, Sealed};
use super::proof::tree::Hash;
use super::query::changed;
use super::queue::AuditLog;
use super::reader::{LineReader, Step};
use super::sealed::{self, Made, SealError};
use super::segment::{SegmentName, sync_directory};

/// Seals and deletes the files of a log that a gate writes.
pub struct Archive {
    directory: PathBuf,
    node: Box<str>,
    keys: Arc<Keys>,
    log: AuditLog,
    /// Files that cannot be sealed, as they are not whole.
    unfit: Mutex<BTreeSet<SegmentName>>,
    stops: AtomicBool,
}

/// What a look came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Looked {
    /// There is nothing more to do now.
    Done,
    /// A file was sealed; there may be more.
    Worked,
    /// Files were deleted; there may be more. All records until that time are gone, and none before this revision of the inventory
    /// is left.
    Deleted { until: UnixMicros, revision: Option<u64> },
}

impl Archive {
    pub fn new(directory: &Path, node: &str, keys: Arc<Keys>, log: AuditLog) -> Self {
        Self {
            directory: directory.into(),
            node: node.into(),
            keys,
            log,
            unfit: Mutex::default(),
            stops: AtomicBool::new(false),
        }
    }

    /// Gives up what it is at: it is done again by the next gate.
    pub fn stop(&self) {
        self.stops.store(true, Ordering::Relaxed);
    }

    /// Does what is due at `now`, for one file.
    pub fn look(&self, settings: ArchiveSettings, now: UnixMicros) -> Result<Looked, ArchiveError> {
        let mut files = SegmentName::list(&self.directory)?;
        // The last one is being written.
        files.pop();
        let mut manifest = Manifest::read(&self.directory)?;
        manifest.is_ours(&self.directory, &files, &self.keys.current().public)?;
        self.finish(&files, &manifest)?;
        files.retain(|file| !manifest.has_deleted(*file));
        if let Some(due) = self.due(&files, &manifest, settings.retention, now)? {
            self.delete(&files, due, &mut manifest, settings.retention, now)?;
            let left = SegmentName::list(&self.directory)?.first().copied();
            let revision = left.map(|file| first_revision(&self.directory, file)).transpose()?;
            return Ok(Looked::Deleted { until: due.last, revision: revision.flatten() });
        }
        let is_due = |file: &&SegmentName| {
            let path = file.path(&self.directory);
            let since = changed(&path).filter(|_| path.exists());
            since.is_some_and(|since| is_older(since, settings.seal_after, now))
        };
        let unfit = self.unfit.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let fit = files.iter().filter(|file| !unfit.contains(*file));
        let Some(file) = fit.clone().find(is_due) else { return Ok(Looked::Done) };
        match self.seal(*file, &mut manifest, now) {
            Err(ArchiveError::Seal(SealError::NotWhole)) => {
                log::warn!("audit: {file} stays as it is: {}", SealError::NotWhole);
                self.unfit.lock().unwrap_or_else(PoisonError::into_inner).insert(*file);
                Ok(Looked::Worked)
            }
            Err(ArchiveError::Seal(SealError::Stopped)) => Ok(Looked::Done),
            other => other.map(|()| Looked::Worked),
        }
    }

    /// Finishes, or undoes, what was cut short.
    fn finish(&self, files: &[SegmentName], manifest: &Manifest) -> Result<(), ArchiveError> {
        let draft = self.draft();
        if draft.exists() {
            fs::remove_file(draft)?;
        }
        for file in files {
            let (lines, sealed) = self.paths(*file);
            if manifest.has_deleted(*file) {
                remove(&lines)?;
                remove(&sealed)?;
            } else if lines.exists() && sealed.exists() {
                let stated = manifest.sealed.get(file).map(|stated| stated.says.sealed);
                let found = sealed::content(File::open(&sealed)?)?;
                remove(if stated == Some(found) { &lines } else { &sealed })?;
            }
        }
        Ok(())
    }

    fn seal(
        &self,
        file: SegmentName,
        manifest: &mut Manifest,
        now: UnixMicros,
    ) -> Result<(), ArchiveError> {
        let (lines, sealed) = self.paths(file);
        let draft = self.draft();
        let stops = || self.stops.load(Ordering::Relaxed);
        let made = sealed::make(&lines, &draft, &stops).inspect_err(|_| {
            fs::remove_file(&draft).unwrap_or_default();
        })?;
        // Questions about a time know by it that the file cannot answer them.
        let written = lines.metadata()?.modified()?;
        OpenOptions::new().write(true).open(&draft)?.set_modified(written)?;
        fs::rename(&draft, &sealed)?;
        sync_directory(&self.directory)?;
        let Made { records, times, lines: was, sealed: is } = made;
        let says = Sealed {
            node: self.node.clone(),
            file,
            lines: was,
            records,
            times,
            sealed: is,
            time: now,
        };
        let note = says.sign(&self.keys.current())?;
        manifest.sealed.insert(file, Stated { says, note, line: 0 });
        manifest.write(&self.directory)?;
        fs::remove_file(lines)?;
        Ok(())
    }

    /// The first files whose records are all old enough, and the time of the latest of them.
    fn due(
        &self,
        files: &[SegmentName],
        manifest: &Manifest,
        retention: Duration,
        now: UnixMicros,
    ) -> Result<Option<Due>, ArchiveError> {
        let mut due: Option<Due> = None;
        for file in files {
            let path = file.present_path(&self.directory);
            // No record is later than its file's last change; to look at all of them would take longer.
            if changed(&path).is_some_and(|at| !is_older(at, retention, now)) {
                break;
            }
            let (records, last) = match manifest.sealed.get(file) {
                Some(Stated { says, .. }) => (says.records, says.times.map(|(_, last)| last)),
                None => count(&self.directory, *file)?,
            };
            if last.is_some_and(|last| !is_older(last, retention, now)) {
                break;
            }
            let so_far = due.get_or_insert(Due { files: 0, records: 0, last: UnixMicros(0) });
            so_far.files += 1;
            so_far.records += records;
            so_far.last = so_far.last.max(last.unwrap_or_default());
        }
        Ok(due)
    }

    /// Deletes the first files, which are due.
    fn delete(
        &self,
        files: &[SegmentName],
        due: Due,
        manifest: &mut Manifest,
        retention: Duration,
        now: UnixMicros,
    ) -> Result<(), ArchiveError> {
        let (gone, left) = files.split_at_checked(due.files).unwrap_or((files, &[]));
        let all = SegmentName::list(&self.directory)?;
        let Some(before) = left.first().or(all.last()).copied() else { return Ok(()) };
        let Due { records, last, .. } = due;
        let (so_far, files_so_far) = manifest
            .deleted
            .as_ref()
            .map_or((0, 0), |deleted| (deleted.says.records, deleted.says.files));
        let says = Deleted {
            node: self.node.clone(),
            before,
            leaf: Hash::of_line(&first_line(&self.directory, before)?),
            files: files_so_far + gone.len() as u64,
            records: so_far + records,
            last,
            retention_seconds: retention.as_secs(),
            time: now,
        };
        let act = acts::deleted(gone, records, &says);
        self.log.record_act(act).map_err(|_| ArchiveError::Unrecorded)?;
        self.log.flush(FLUSH_DEADLINE).map_err(|_| ArchiveError::Unrecorded)?;
        for file in gone {
            match handover(&self.directory, *file) {
                // A damaged file says nothing.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                stated => manifest.handovers.extend(stated?),
            }
            manifest.sealed.remove(file);
        }
        let note = says.sign(&self.keys.current())?;
        log::info!("audit: {} files are deleted: all before {before}", gone.len());
        manifest.deleted = Some(Stated { says, note, line: 0 });
        manifest.write(&self.directory)?;
        self.finish(gone, manifest)
    }

    fn paths(&self, file: SegmentName) -> (PathBuf, PathBuf) {
        (file.path(&self.directory), file.sealed_path(&self.directory))
    }

    fn draft(&self) -> PathBuf {
        self.directory.join("sealed.new")
    }
}

/// Files to be deleted.
#[derive(Clone, Copy, Debug)]
struct Due {
    files: usize,
    records: u64,
    /// The time of the latest record.
    last: UnixMicros,
}

fn is_older(time: UnixMicros, age: Duration, now: UnixMicros) -> bool {
    let micros = now.0.saturating_sub(time.0);
    u128::try_from(micros).is_ok_and(|micros| micros >= age.as_micros())
}

/// How many records a file has, and the time of the latest.
fn count(directory: &Path, file: SegmentName) -> io::Result<(u64, Option<UnixMicros>)> {
    let mut reader = LineReader::of(directory, file)?;
    let (mut records, mut last) = (0, None);
    loop {
        match reader.step()? {
            Step::Line(line) if Kind::of(line) == Kind::Record => {
                records += 1;
                last = last.max(Line::parse(line).ok().map(|line| line.time));
            }
            Step::Line(_) | Step::TooLong => {}
            Step::End | Step::Torn => return Ok((records, last)),
        }
    }
}

/// The oldest revision of the inventory that a record of a file names.
fn first_revision(directory: &Path, file: SegmentName) -> io::Result<Option<u64>> {
    let mut reader = LineReader::of(directory, file)?;
    let mut oldest: Option<u64> = None;
    loop {
        match reader.step()? {
            Step::Line(line) if Kind::of(line) == Kind::Record => {
                let policy = Whole::parse(line).and_then(|record| record.policy);
                let revision = policy.and_then(|policy| policy.split_once('+')?.1.parse().ok());
                oldest = oldest.into_iter().chain(revision).min();
            }
            Step::Line(_) | Step::TooLong => {}
            Step::End | Step::Torn => return Ok(oldest),
        }
    }
}

fn first_line(directory: &Path, file: SegmentName) -> io::Result<Vec<u8>> {
    let mut reader = LineReader::of(directory, file)?;
    match reader.step()? {
        Step::Line(line) => Ok(line.into()),
        Step::TooLong | Step::End | Step::Torn => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// How long the record of a deletion may take to be written.
const FLUSH_DEADLINE: Duration = Duration::from_secs(5);

/// Why a file stays as it is.
#[derive(Debug)]
pub enum ArchiveError {
    Io(io::Error),
    Seal(SealError),
    Sign(ErrorStack),
    /// Nothing is deleted without a record.
    Unrecorded,
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Seal(error) => write!(f, "a file cannot be sealed: {error}"),
            Self::Sign(error) => write!(f, "a statement cannot be signed: {error}"),
            Self::Unrecorded => f.write_str("nothing is deleted, as that cannot be recorded now"),
        }
    }
}

impl std::error::Error for ArchiveError {}

impl From<io::Error> for ArchiveError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<SealError> for ArchiveError {
    fn from(error: SealError) -> Self {
        Self::Seal(error)
    }
}

impl From<ErrorStack> for ArchiveError {
    fn from(error: ErrorStack) -> Self {
        Self::Sign(error)
    }
}

#[cfg(test)]
mod tests;
