//! Whether the wall clock can be believed so far that records are deleted by it. A clock that is years ahead after a start, or
//! jumps while the gate runs, would have all of them deleted; whoever looks after the machine has a day to set it right.

use std::path::Path;
use std::time::Duration;

use crate::audit::manifest::Manifest;
use crate::audit::proof::checkpoint::{Cause, Checkpoint};
use crate::audit::proof::lines::{Control, Kind};
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
    /// Whether it can be believed now. `last` says when the log was written last before a time, as far as that is known.
    pub fn clock(&mut self, now: Now, last: impl FnOnce(UnixMicros) -> Option<UnixMicros>) -> bool {
        let from = match self.known {
            None => {
                // Not what was written since: a gate may have been started again by the same wrong clock.
                let a_day_ago = UnixMicros(now.wall.0.saturating_sub(micros(PAUSE)));
                let ahead = last(a_day_ago).map(|last| a_day_ago.0.saturating_sub(last.0));
                if ahead.is_none_or(|ahead| ahead > micros(GAP_MAX)) {
                    log::warn!(
                        "audit: by this machine's clock the log was written last more than a week ago: for a day nothing is deleted"
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

/// When one of these finished files was written last before a time, by what is stated or signed in it. A checkpoint that closed a file
/// for a gate that was killed was made by the clock of the next one.
pub fn last_time(
    directory: &Path,
    files: &[SegmentName],
    manifest: &Manifest,
    before: UnixMicros,
) -> Option<UnixMicros> {
    files.iter().rev().find_map(|file| {
        let stated = manifest.sealed.get(file).and_then(|stated| stated.says.times);
        let stated = stated.map(|(_, last)| last).filter(|last| *last <= before);
        stated.or_else(|| last_signed(directory, *file, before))
    })
}

fn last_signed(directory: &Path, file: SegmentName, before: UnixMicros) -> Option<UnixMicros> {
    let (mut reader, _) = LineReader::end_of(directory, file, END_BYTES).ok()?;
    let mut last = None;
    loop {
        match reader.step().ok()? {
            Step::Line(line) if Kind::of(line) == Kind::Checkpoint => {
                if let Some(Control::Checkpoint(note)) = Control::parse(line)
                    && let Some(checkpoint) = Checkpoint::parse(&note)
                    && checkpoint.cause != Cause::Crash
                    && checkpoint.time <= before
                {
                    last = last.max(Some(checkpoint.time));
                }
            }
            Step::Line(_) | Step::TooLong => {}
            Step::End | Step::Torn => return last,
        }
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
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
        let last = |_| Some(UnixMicros(0));
        let mut trust = Trust::default();
        assert!(trust.clock(at(0, 24 * 6), last), "off for six days");
        assert!(trust.clock(at(5, 24 * 6 + 5), last));
        assert!(!trust.clock(at(6, 24 * 600), last), "it jumps");
        assert!(!trust.clock(at(29, 24 * 600 + 23), last));
        assert!(trust.clock(at(30, 24 * 600 + 24), last));
        assert!(trust.clock(at(31, 24 * 6), last), "set back");
        let mut trust = Trust::default();
        assert!(!trust.clock(at(0, 24 * 9), last), "off for nine days");
        assert!(trust.clock(at(24, 24 * 10), last));
        // The same wrong clock has signed since, before the gate was started again.
        let written = [at(0, 0), at(0, 24 * 600)].map(|at| at.wall);
        let last = |before: UnixMicros| written.into_iter().filter(|at| *at <= before).max();
        assert!(!Trust::default().clock(at(0, 24 * 600 + 1), last), "once more");
        assert!(Trust::default().clock(at(0, 24 * 601), last), "a day later");
        assert!(!Trust::default().clock(at(0, 1), |_| None), "nothing is known");
    }
}
