//! The arithmetic of one rate: GCRA, the generic cell rate algorithm (ITU-T I.371), which is a
//! token bucket told by one point in time. Exact: `burst` calls at once after rest, then one every
//! interval; no window edges.

use crate::model::plan::Pace;
use crate::model::time::MonoNs;

use super::RateStanding;

/// What one call would do to a cell.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Charge {
    /// The cell after the call.
    pub next: MonoNs,
    /// None: admitted. Some: refused, until this many nanoseconds have passed.
    pub wait_ns: Option<u64>,
}

/// Judges one call; changes nothing.
pub fn charge(cell: MonoNs, pace: Pace, now: MonoNs) -> Charge {
    let next = cell.0.max(now.0).saturating_add(pace.interval_ns);
    let wait_ns = (next - now.0).checked_sub(pace.room_ns).filter(|wait| *wait > 0);
    Charge { next: MonoNs(next), wait_ns }
}

/// A cell that another definition of the plan left behind, cut down to this one: a plan made
/// smaller by a reload must not lock its clients for the time of the old one. The second of grace
/// keeps readings of the clock that overtake each other from giving anything back.
pub fn settle(cell: MonoNs, pace: Pace, now: MonoNs) -> MonoNs {
    let fullest = now.0.saturating_add(pace.room_ns);
    if cell.0 > fullest.saturating_add(1_000_000_000) { MonoNs(fullest) } else { cell }
}

/// What a cell has left.
pub fn standing(cell: MonoNs, pace: Pace, now: MonoNs) -> RateStanding {
    let interval = pace.interval_ns;
    let debt = cell.0.saturating_sub(now.0).min(pace.room_ns);
    let free = pace.room_ns - debt;
    let remaining = u32::try_from(free / interval).unwrap_or(u32::MAX);
    let more_after_seconds = seconds_up(interval - free % interval);
    RateStanding { remaining, more_after_seconds }
}

/// Whole seconds, rounded up, at least 1: what `Retry-After` may promise.
pub const fn seconds_up(ns: u64) -> u64 {
    let seconds = ns.div_ceil(1_000_000_000);
    if seconds == 0 { 1 } else { seconds }
}
