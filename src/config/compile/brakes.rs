//! `[plan.loop_brake]`: when calls of a client that repeats them are refused.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::super::section::Section;
use super::limits::Limits;
use crate::model::id::LimitName;
use crate::model::loops::LoopBrake;
use crate::model::plan::Mode;

/// One failure is none in a row.
const FAILURES: RangeInclusive<u32> = 2..=1000;
const CALLS: RangeInclusive<u32> = 2..=1_000_000;
const WINDOW: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(1);
const QUARANTINE: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_hours(24);

const FAILURES_DEFAULT: u32 = 10;
const CALLS_DEFAULT: u32 = 60;
const WINDOW_DEFAULT: Duration = Duration::from_mins(1);
const QUARANTINE_DEFAULT: Duration = Duration::from_mins(5);

pub(super) fn loop_brake<'s>(
    section: &mut Section<'s>,
    limits: &mut Limits<'_, 's>,
) -> Option<LoopBrake> {
    let at = section.place("loop_brake");
    let mut table = section.table("loop_brake");
    let modes = [("off", None), ("shadow", Some(Mode::Shadow)), ("on", Some(Mode::Enforced))];
    let mode = table.choice("mode", &modes).flatten();
    let failures = table.integer("failures", FAILURES).unwrap_or(FAILURES_DEFAULT);
    let calls = table.integer("calls", CALLS).unwrap_or(CALLS_DEFAULT);
    let window = table.quantity("window", WINDOW).unwrap_or(WINDOW_DEFAULT);
    let quarantine = table.quantity("quarantine", QUARANTINE).unwrap_or(QUARANTINE_DEFAULT);
    table.finish();
    let name = LimitName::parse(LoopBrake::NAME).ok()?;
    // Records and metrics call it by this name, so no other limit of the plan may.
    if let Some(at) = at.filter(|_| mode.is_some()) {
        limits.declare(&name, at, section.problems);
    }
    Some(LoopBrake { name, mode: mode?, failures, calls, window, quarantine })
}
