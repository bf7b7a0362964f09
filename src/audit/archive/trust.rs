//! Whether the wall clock can be believed so far that records are deleted by it. A clock that is years ahead after a start, or
//! jumps while the gate runs, would have all of them deleted; whoever looks after the machine has a day to set it right.

use std::path::Path;
use std::time::Duration;

use crate::audit::manifest::Manifest;
use crate::audit::proof::checkpoint::{Cause, Checkpoint};
use crate::audit::proof::lines::Control;
use crate::audit::reader::{LineReader, Step};
use crate::audit::segment::SegmentName;
use crate::model::time::{MonoNs, Now, UnixMicros};

/// When it can be believed.
#[derive(Debug, Default)]
pub struct Trust {
    /// From then on, and when it was looked at last.
    known: Option<(MonoNs, Now)>,
}

impl Trust {
    /// Whether it can be believed now. The log was written last at `last`, before this gate came, as far as that is known.
    pub fn clock(&mut self, now: Now, last: impl FnOnce() -> Option<UnixMicros>) -> bool {
        let from = match self.known {
            None => {
                let ahead = last().map_or(0, |last| now.wall.0.saturating_sub(last.0));
                if u128::try_from(ahead).is_ok_and(|ahead| ahead > GAP_MAX.as_micros()) {
                    log::warn!(
                        "audit: the log was written last {} days ago by this machine's clock: for a day nothing is deleted",
                        ahead / 86_400_000_000
                    );
                    now.mono.after(PAUSE)
                } else {
                    now.mono
                }
            }
            Some((from, before)) => {
                let passed = now.mono.since(before.mono).as_micros();
                let by_clock =
                    u128::try_from(now.wall.0.saturating_sub(before.wall.0)).unwrap_or(0);
                if by_clock.saturating_sub(passed) > STEP_MAX.as_micros() {
                    log::warn!(
                        "audit: this machine's clock was set ahead: for a day nothing is deleted"
                    );
                    now.mono.after(PAUSE)
                } else {
                    from
                }
            }
        };
        self.known = Some((from, now));
        now.mono >= from
    }
}

/// When a finished file was written last, by what is stated or signed in it. A checkpoint that closed it for a gate that was killed was
/// made by the clock of the next one.
pub fn last_time(directory: &Path, file: SegmentName, manifest: &Manifest) -> Option<UnixMicros> {
    if let Some((_, last)) = manifest.sealed.get(&file).and_then(|stated| stated.says.times) {
        return Some(last);
    }
    let (mut reader, _) = LineReader::end_of(directory, file, END_BYTES).ok()?;
    let mut last = None;
    loop {
        match reader.step().ok()? {
            Step::Line(line) => {
                if let Some(Control::Checkpoint(note)) = Control::parse(line)
                    && let Some(checkpoint) = Checkpoint::parse(&note)
                    && checkpoint.cause != Cause::Crash
                {
                    last = Some(checkpoint.time);
                }
            }
            Step::TooLong => {}
            Step::End | Step::Torn => return last,
        }
    }
}

/// A gate may be off so long.
const GAP_MAX: Duration = Duration::from_hours(24 * 7);
const STEP_MAX: Duration = Duration::from_hours(1);
const PAUSE: Duration = Duration::from_hours(24);
/// A checkpoint is made each second in which something is written.
const END_BYTES: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000_000_000;

    fn at(mono_hours: u64, wall_hours: i64) -> Now {
        Now { mono: MonoNs(mono_hours * HOUR), wall: UnixMicros(wall_hours * 3_600_000_000) }
    }

    #[test]
    fn a_clock_that_is_far_ahead_is_believed_a_day_later() {
        let last = || Some(UnixMicros(0));
        let mut trust = Trust::default();
        assert!(trust.clock(at(0, 24 * 6), last), "off for six days");
        assert!(trust.clock(at(5, 24 * 6 + 5), last));
        assert!(!trust.clock(at(6, 24 * 600), last), "it jumps");
        assert!(!trust.clock(at(29, 24 * 600 + 23), last));
        assert!(trust.clock(at(30, 24 * 600 + 24), last));
        assert!(trust.clock(at(31, 24 * 6), last), "set back");
        let mut trust = Trust::default();
        assert!(!trust.clock(at(0, 24 * 8), last), "off for eight days");
        assert!(trust.clock(at(24, 24 * 9), last));
        assert!(Trust::default().clock(at(0, 24 * 8), || None), "there was no log");
    }
}
