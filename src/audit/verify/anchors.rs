//! Checkpoints that were kept elsewhere: each must be in the log, unless it is about files that were deleted in good
//! order.

use crate::audit::proof::checkpoint::Checkpoint;
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

fn boot_of(checkpoint: &Checkpoint) -> Option<&str> {
    checkpoint.origin.rsplit('/').next()
}
