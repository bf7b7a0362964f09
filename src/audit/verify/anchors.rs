//! Checkpoints that were kept elsewhere: each must be in the log, unless it is about files that were deleted in good
//! order.

use crate::audit::proof::checkpoint::{Cause, Checkpoint};
use crate::audit::segment::SegmentName;

use super::Check;

impl Check<'_> {
    /// What was kept elsewhere must be here.
    pub(super) fn look_for_anchors(&mut self, names: &[SegmentName]) {
        for (note, found) in std::mem::take(&mut self.awaited) {
            if found {
                self.report.anchors += 1;
                continue;
            }
            let (what, boot) = match Checkpoint::open_with(note, self.keys) {
                Err(error) => (format!("a checkpoint of elsewhere is not good: {error}"), None),
                Ok(checkpoint) if self.is_of_younger(&checkpoint) => {
                    let what = format!(
                        "the checkpoint of {} is about files that were deleted, and they were not old enough",
                        checkpoint.time
                    );
                    (what, None)
                }
                Ok(checkpoint) if self.is_of_deleted(&checkpoint) => {
                    let Checkpoint { time, size, .. } = checkpoint;
                    let note = format!(
                        "the checkpoint of {time} over {size} lines is about files that were deleted"
                    );
                    self.report.notes.push(note);
                    continue;
                }
                Ok(checkpoint) => {
                    let Checkpoint { origin, size, time, .. } = &checkpoint;
                    let what = format!(
                        "the checkpoint of {time} over {size} lines of {origin} is not in this log: \
                         it was cut short, rewritten, or is an old copy"
                    );
                    (what, boot_of(&checkpoint).map(str::to_owned))
                }
            };
            let of_boot = |name: &&SegmentName| boot.as_deref() == Some(&*name.boot.to_string());
            let file = names.iter().rev().find(of_boot).or(names.last());
            if let Some(file) = file {
                self.problem(*file, &what);
            } else {
                self.report.problem("(no file)", 1, what);
            }
        }
    }

    /// Whether it is about files that were deleted, and was made when their last record should have been old: each second in which
    /// something is written has one.
    fn is_of_younger(&self, checkpoint: &Checkpoint) -> bool {
        let Some(deleted) = &self.stated.deleted else { return false };
        let of_records = matches!(checkpoint.cause, Cause::Interval | Cause::Segment);
        let age = deleted.time.0.saturating_sub(checkpoint.time.0).saturating_add(LONGEST_CALL);
        let is_old =
            u64::try_from(age / 1_000_000).is_ok_and(|age| age >= deleted.retention_seconds);
        // A clock that was years ahead, and was put right, has signed times to come.
        let is_past = checkpoint.time <= deleted.time;
        of_records && is_past && !is_old && self.is_of_deleted(checkpoint)
    }

    /// Whether all lines that it is about are in files that were deleted. Names of boots sort by time.
    fn is_of_deleted(&self, checkpoint: &Checkpoint) -> bool {
        let (Some((first, size)), Some(boot)) = (self.begins_at, boot_of(checkpoint)) else {
            return false;
        };
        let first = first.boot.to_string();
        let is_before = boot < &*first || (boot == first && checkpoint.size <= size);
        self.stated.deleted.is_some() && is_before
    }
}

/// A record says when its call began, and is written at its end, in microseconds.
const LONGEST_CALL: i64 = 2 * 86_400_000_000;

fn boot_of(checkpoint: &Checkpoint) -> Option<&str> {
    checkpoint.origin.rsplit('/').next()
}
