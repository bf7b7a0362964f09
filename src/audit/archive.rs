//! What becomes of files of the log that nobody writes any more: after a while they are sealed, and when all their records are
//! old enough, the first ones are deleted. Both are stated in the manifest, signed, before anything is removed.
//!
//! It works on a thread of its own, a file at a time, and whatever was cut short is finished or undone at the next look.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openssl::error::ErrorStack;

use crate::model::policy::ArchiveSettings;
use crate::model::time::{MonoNs, Now, UnixMicros};

use super::keys::Keys;
use super::manifest::{Manifest, Stated};
use super::proof::statement::Sealed;
use super::query::changed;
use super::queue::AuditLog;
use super::recorder::Recorder;
use super::sealed::{self, Made, SealError};
use super::segment::{Boot, SegmentName, sync_directory};

mod deletion;
mod trust;

use trust::Trust;

/// Seals and deletes the files of a log that a gate writes.
pub struct Archive {
    directory: PathBuf,
    /// Of the gate that writes.
    boot: Boot,
    node: Box<str>,
    keys: Arc<Keys>,
    log: AuditLog,
    /// Files that could not be sealed, and when that is tried again.
    unfit: Mutex<BTreeMap<SegmentName, MonoNs>>,
    trust: Mutex<Trust>,
    /// The deletion that has its record already: of all files before this one.
    recorded: Mutex<Option<SegmentName>>,
    /// The statement of deleted files that was found to be signed.
    checked: Mutex<Option<String>>,
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
    pub fn new(directory: &Path, node: &str, (recorder, log): (&Recorder, AuditLog)) -> Self {
        Self {
            directory: directory.into(),
            boot: recorder.boot(),
            node: node.into(),
            keys: Arc::clone(recorder.keys()),
            log,
            unfit: Mutex::default(),
            trust: Mutex::default(),
            recorded: Mutex::default(),
            checked: Mutex::default(),
            stops: AtomicBool::new(false),
        }
    }

    /// Gives up what it is at: it is done again by the next gate.
    pub fn stop(&self) {
        self.stops.store(true, Ordering::Relaxed);
    }

    /// Does what is due at `now`, for one file.
    pub fn look(&self, settings: ArchiveSettings, now: Now) -> Result<Looked, ArchiveError> {
        let all = SegmentName::list(&self.directory)?;
        let (finished, current) = self.finished(&all);
        let Some(current) = current.filter(|_| !finished.is_empty()) else {
            return Ok(Looked::Done);
        };
        let mut manifest = Manifest::read(&self.directory)?;
        self.check_manifest(&manifest, &all)?;
        self.finish(finished, &manifest)?;
        let gone = finished.iter().take_while(|file| manifest.has_deleted(**file)).count();
        let finished = finished.get(gone..).unwrap_or_default();
        let deleted = self.delete_due((&all, finished, current), &mut manifest, settings, now);
        if let Ok(Looked::Deleted { .. }) = deleted {
            return deleted;
        }
        // Where nothing can be deleted, files can be sealed all the same.
        let sealed = self.seal_due((finished, current), &mut manifest, settings, now);
        if sealed.is_ok() { deleted.and(sealed) } else { sealed }
    }

    fn delete_due(
        &self,
        (all, finished, current): (&[SegmentName], &[SegmentName], SegmentName),
        manifest: &mut Manifest,
        settings: ArchiveSettings,
        now: Now,
    ) -> Result<Looked, ArchiveError> {
        let last = |before| trust::last_time(&self.directory, finished, manifest, before);
        let mut trust = self.trust.lock().unwrap_or_else(PoisonError::into_inner);
        if finished.is_empty() || !trust.clock(now, last) {
            return Ok(Looked::Done);
        }
        drop(trust);
        let retention = settings.retention;
        match self.due((all, finished, current), manifest, retention, now.wall)? {
            None => Ok(Looked::Done),
            Some(due) => self.delete((finished, current), due, manifest, retention, now.wall),
        }
    }

    fn seal_due(
        &self,
        (finished, current): (&[SegmentName], SegmentName),
        manifest: &mut Manifest,
        settings: ArchiveSettings,
        now: Now,
    ) -> Result<Looked, ArchiveError> {
        let mut unfit = self.unfit.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fit = |file: &&SegmentName| unfit.get(*file).is_none_or(|again| *again <= now.mono);
        let is_due = |file: &&SegmentName| {
            let path = file.path(&self.directory);
            let since = changed(&path).filter(|_| path.exists());
            since.is_some_and(|since| is_older(since, settings.seal_after, now.wall))
        };
        let Some(file) = finished.iter().filter(is_fit).find(is_due) else {
            return Ok(Looked::Done);
        };
        // It is over only when what follows it is on the medium.
        File::open(current.present_path(&self.directory))?.sync_all()?;
        match self.seal(*file, manifest, now.wall) {
            Err(ArchiveError::Seal(_, SealError::Stopped)) => Ok(Looked::Done),
            Err(error) => {
                // The others need not wait for it.
                unfit.insert(*file, now.mono.after(UNFIT_PAUSE));
                Err(error)
            }
            Ok(()) => Ok(Looked::Worked),
        }
    }

    /// What is acted on must be the log's own.
    fn check_manifest(&self, manifest: &Manifest, all: &[SegmentName]) -> io::Result<()> {
        let note = manifest.deleted.as_ref().map(|deleted| deleted.note.clone());
        let mut checked = self.checked.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = note.is_some() && *checked != note;
        let key = self.keys.current();
        manifest.is_ours(|| is_new.then(|| manifest.keys(&self.directory, all, &key.public)))?;
        *checked = note;
        Ok(())
    }

    /// The files that nobody writes any more, and the one that is being written: the last of this boot that has something in it. What
    /// somebody else put after it is none of the log.
    fn finished<'a>(&self, all: &'a [SegmentName]) -> (&'a [SegmentName], Option<SegmentName>) {
        let has_bytes = |file: &SegmentName| {
            let about = file.path(&self.directory).metadata();
            file.boot == self.boot && about.is_ok_and(|about| about.len() > 0)
        };
        let current = all.iter().rposition(has_bytes);
        let finished = current.and_then(|at| all.get(..at)).unwrap_or_default();
        (finished, current.and_then(|at| all.get(at)).copied())
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
                let found = sealed::content(File::open(&sealed)?, &|| self.stopped())?;
                if stated == Some(found) {
                    // As it was read it may be in memory only.
                    manifest.write(&self.directory)?;
                    remove(&lines)?;
                } else {
                    remove(&sealed)?;
                }
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
        let made = sealed::make(&lines, &draft, &|| self.stopped()).and_then(|made| {
            // What was sealed once cannot become something else.
            let is_as_stated =
                manifest.sealed.get(&file).is_none_or(|stated| stated.says.lines == made.lines);
            if is_as_stated { Ok(made) } else { Err(SealError::NotAsStated) }
        });
        let made = made.map_err(|error| {
            fs::remove_file(&draft).unwrap_or_default();
            ArchiveError::Seal(file, error)
        })?;
        // Whoever may read the one may read the other, and questions about a time know by the time of the change that the
        // file cannot answer them.
        let about = lines.metadata()?;
        let draft_file = OpenOptions::new().write(true).open(&draft)?;
        draft_file.set_permissions(about.permissions())?;
        draft_file.set_modified(about.modified()?)?;
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
        manifest.add(&self.directory, Stated { says, note, line: 0 })?;
        fs::remove_file(lines)?;
        Ok(())
    }

    fn paths(&self, file: SegmentName) -> (PathBuf, PathBuf) {
        (file.path(&self.directory), file.sealed_path(&self.directory))
    }

    /// Whether it was told to.
    pub fn stopped(&self) -> bool {
        self.stops.load(Ordering::Relaxed)
    }

    fn draft(&self) -> PathBuf {
        self.directory.join("sealed.new")
    }
}

fn is_older(time: UnixMicros, age: Duration, now: UnixMicros) -> bool {
    let micros = now.0.saturating_sub(time.0);
    u128::try_from(micros).is_ok_and(|micros| micros >= age.as_micros())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// How long a file that could not be sealed is left alone.
const UNFIT_PAUSE: Duration = Duration::from_hours(1);

/// Why a file stays as it is.
#[derive(Debug)]
pub enum ArchiveError {
    Io(io::Error),
    Seal(SegmentName, SealError),
    Sign(ErrorStack),
    /// Nothing is deleted without a record.
    Unrecorded,
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "{error}"),
            Self::Seal(file, error) => write!(f, "{file} cannot be sealed: {error}"),
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

impl From<ErrorStack> for ArchiveError {
    fn from(error: ErrorStack) -> Self {
        Self::Sign(error)
    }
}

#[cfg(test)]
mod tests;
