//! Deletes the first files of the log when all their records are old enough. How old they are is taken from what the log's
//! key signed, and from nothing else: whoever can only write files cannot make the gate delete them in good order.

use std::fs::File;
use std::io;
use std::mem;
use std::path::Path;
use std::sync::PoisonError;
use std::time::Duration;

use crate::audit::acts;
use crate::audit::line::{Line, Whole};
use crate::audit::manifest::{Manifest, Stated, handover};
use crate::audit::proof::handover::Keyring;
use crate::audit::proof::lines::{Control, Kind, Previous};
use crate::audit::proof::replay::Replay;
use crate::audit::proof::statement::Deleted;
use crate::audit::proof::tree::Hash;
use crate::audit::query::changed;
use crate::audit::reader::{LineReader, Step};
use crate::audit::segment::SegmentName;
use crate::model::time::UnixMicros;

use super::{Archive, ArchiveError, Looked, is_older};

/// Files to be deleted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    pub files: usize,
    pub records: u64,
    /// The time of the latest record, or of the last checkpoint.
    pub last: UnixMicros,
}

/// What a file says of its records.
struct Age<'k> {
    records: u64,
    /// The time of the latest.
    last: UnixMicros,
    /// Where all lines of the file are as they were signed.
    proven: Option<Replay<'k>>,
}

impl Archive {
    /// The first files whose records are all old enough. One that is not as it was signed, or of a time to come, or that the
    /// next one does not follow, is as old as the next one that can be believed: all of it was written before.
    pub(super) fn due(
        &self,
        (all, finished, current): (&[SegmentName], &[SegmentName], SegmentName),
        manifest: &Manifest,
        retention: Duration,
        now: UnixMicros,
    ) -> Result<Option<Due>, ArchiveError> {
        // No record is later than its file's last change; to look at all of them takes longer.
        let may_be_old = |file: &&SegmentName| {
            let path = file.present_path(&self.directory);
            changed(&path).is_some_and(|at| is_older(at, retention, now))
        };
        let old = finished.iter().take_while(may_be_old).count();
        if old == 0 {
            return Ok(None);
        }
        let trusted = self.keys.current().public.clone();
        let keys = manifest.keys(&self.directory, all, &trusted);
        let keys = keys.unwrap_or_else(|_| Keyring::of_one(trusted));
        let mut due = None;
        let mut passed = Due { files: 0, records: 0, last: UnixMicros(0) };
        let next = finished.iter().skip(1).copied().chain([current]);
        for (file, next) in finished.iter().take(old).zip(next) {
            let Age { records, last, proven } = self.age(*file, &keys)?;
            passed.files += 1;
            passed.records += records;
            let Some(proven) = proven.filter(|_| last <= now) else { continue };
            if !is_older(last, retention, now) {
                break;
            }
            passed.last = passed.last.max(last);
            if self.follows(proven, *file, next) {
                due = Some(passed);
            }
        }
        Ok(due)
    }

    /// Goes over a file as a check does. What cannot be read proves nothing.
    fn age<'k>(&self, file: SegmentName, keys: &'k Keyring) -> io::Result<Age<'k>> {
        let mut age = Age { records: 0, last: UnixMicros(0), proven: None };
        let Ok(mut reader) = LineReader::of(&self.directory, file) else { return Ok(age) };
        let mut replay = None;
        let mut is_first = true;
        loop {
            if self.stopped() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let line = match reader.step() {
                Ok(Step::Line(line)) => line,
                Ok(Step::End) => break,
                Ok(Step::TooLong | Step::Torn) | Err(_) => return Ok(age),
            };
            if mem::take(&mut is_first) {
                replay = Replay::begin(keys, file, line).ok().map(|(replay, _)| replay);
            } else if replay.as_mut().is_some_and(|replay| replay.line(line).is_err()) {
                replay = None;
            }
            if Kind::of(line) == Kind::Record {
                age.records += 1;
                let time = Line::parse(line).map_or(UnixMicros(0), |line| line.time);
                age.last = age.last.max(time);
            }
        }
        let signed = replay.as_ref().and_then(|replay: &Replay<'_>| {
            let checked = replay.checked.as_ref()?;
            (checked.size == replay.state().tree.size()).then_some(checked.time)
        });
        if let Some(signed) = signed {
            // Also where there is no record.
            age.last = age.last.max(signed);
            age.proven = replay;
        }
        Ok(age)
    }

    /// Whether the log goes on with the next file: else it was made to look so.
    fn follows(&self, mut proven: Replay<'_>, file: SegmentName, next: SegmentName) -> bool {
        let Ok(Some(line)) = LineReader::first_line(&self.directory, next) else { return false };
        if next.boot == file.boot {
            return proven.go_on(next, &line).is_ok();
        }
        let tree = &proven.state().tree;
        let expected = Previous::new(file, tree.size(), tree.root());
        match Control::parse(&line) {
            Some(Control::Segment(segment)) => segment.previous == Some(expected),
            Some(Control::Commit(_) | Control::Checkpoint(_)) | None => false,
        }
    }

    /// Deletes the first of the finished files, which are due.
    pub(super) fn delete(
        &self,
        (finished, current): (&[SegmentName], SegmentName),
        due: Due,
        manifest: &mut Manifest,
        retention: Duration,
        now: UnixMicros,
    ) -> Result<Looked, ArchiveError> {
        let (gone, left) = finished.split_at_checked(due.files).unwrap_or((finished, &[]));
        let before = left.first().copied().unwrap_or(current);
        let first = LineReader::first_line(&self.directory, before)?;
        let first = first.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
        let earlier = manifest.deleted.as_ref().map(|deleted| &deleted.says);
        let says = Deleted {
            node: self.node.clone(),
            before,
            leaf: Hash::of_line(&first),
            files: earlier.map_or(0, |earlier| earlier.files).saturating_add(gone.len() as u64),
            records: earlier.map_or(0, |earlier| earlier.records).saturating_add(due.records),
            last: earlier.map_or(due.last, |earlier| earlier.last.max(due.last)),
            retention_seconds: retention.as_secs(),
            time: now,
        };
        // Longer calls than this file's may end later, and name an older one than what is left begins with.
        let revision = gone.last().map(|last| first_revision(&self.directory, *last));
        let revision = revision.and_then(Result::ok).flatten();
        self.record(gone, due.records, &says)?;
        for file in gone {
            match handover(&self.directory, *file) {
                // A damaged file says nothing.
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
                stated => manifest.handovers.extend(stated?),
            }
            manifest.sealed.remove(file);
        }
        // A key that hands over has said what was deleted by then.
        let stated = self.keys.unless_rotating(|key| -> Result<(), ArchiveError> {
            let note = says.sign(key)?;
            manifest.deleted = Some(Stated { says, note, line: 0 });
            Ok(manifest.write(&self.directory)?)
        });
        let Some(stated) = stated else { return Ok(Looked::Done) };
        stated?;
        log::info!("audit: {} files are deleted: all before {before}", gone.len());
        self.finish(gone, manifest)?;
        Ok(Looked::Deleted { until: due.last, revision })
    }

    /// Records a deletion, once, and waits until that is on the medium.
    fn record(
        &self,
        gone: &[SegmentName],
        records: u64,
        says: &Deleted,
    ) -> Result<(), ArchiveError> {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        if *recorded != Some(says.before) {
            if self.log.is_failing() {
                return Err(ArchiveError::Unrecorded);
            }
            let act = acts::deleted(gone, records, says);
            self.log.record_act(act).map_err(|_| ArchiveError::Unrecorded)?;
            *recorded = Some(says.before);
        }
        self.log.flush(FLUSH_DEADLINE).map_err(|_| ArchiveError::Unrecorded)?;
        // The first line that is left must not be lost when those before it are gone, nor the record.
        let files = SegmentName::list(&self.directory)?;
        for file in files.iter().filter(|file| **file >= says.before) {
            File::open(file.present_path(&self.directory))?.sync_all()?;
        }
        Ok(())
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

/// How long the record of a deletion may take to be written.
const FLUSH_DEADLINE: Duration = Duration::from_secs(5);
