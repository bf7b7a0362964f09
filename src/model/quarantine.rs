//! Quarantines: what takes a part of its calls from a client for a while, and leaves it the rest. They are part of
//! the client, resolved; what is used of a rate is in a cell that outlives snapshots, as a meter does.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::id::OperationId;
use super::plan::Pace;
use super::time::{MonoNs, UnixMicros};

/// Most operations of one client in quarantine at once: a request may look through them.
pub const OPERATIONS_MAX: usize = 64;

/// Longest quarantine: who must be held back for longer has too many grants.
pub const LONGEST: Duration = Duration::from_hours(30 * 24);

/// Most calls of a rate in quarantine: with a second as the shortest time, two calls are at least a microsecond
/// apart, as those of plans are.
pub const CALLS_MAX: u32 = 1_000_000;

/// Every quarantine of one client, at most one of each kind and operation. Each has a time that requests compare,
/// so its end needs no act.
#[derive(Debug, Default)]
pub struct Quarantine {
    pub reads_only: Option<UnixMicros>,
    pub rate: Option<Slowed>,
    /// Sorted.
    pub operations: Box<[(OperationId, UnixMicros)]>,
}

/// What one quarantine leaves of a client's calls.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Restriction {
    /// Only calls that read.
    ReadsOnly,
    /// At most so many calls.
    Rate(CallRate),
    /// All calls but those of this operation.
    Operation(OperationId),
}

/// At most so many calls in a time, and so many at once after rest.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct CallRate {
    /// 1 to [`CALLS_MAX`].
    pub limit: u32,
    /// A second or more.
    pub per: Duration,
}

impl CallRate {
    pub const fn pace(self) -> Pace {
        Pace::new(self.limit, self.per, self.limit)
    }

    /// Whether it leaves no more calls than the other, at once or over time.
    pub const fn is_within(self, other: Self) -> bool {
        self.limit <= other.limit && self.pace().interval_ns >= other.pace().interval_ns
    }
}

/// Shows as it is written: `5/1m`.
impl fmt::Display for CallRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.per.as_secs();
        let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
        let unit = units.into_iter().find(|(size, _)| seconds.is_multiple_of(*size));
        let (size, name) = unit.unwrap_or((1, "s"));
        write!(f, "{}/{}{name}", self.limit, seconds / size)
    }
}

/// A quarantine that leaves a client a rate.
#[derive(Debug)]
pub struct Slowed {
    pub rate: CallRate,
    pub until: UnixMicros,
    pub cell: Arc<RateCell>,
}

/// The theoretical arrival time of GCRA, of one rate.
#[derive(Debug, Default)]
pub struct RateCell(AtomicU64);

impl RateCell {
    /// Takes the cell from one state to the next, if there is one. Asked again when another call was faster.
    pub fn advance(&self, mut next: impl FnMut(MonoNs) -> Option<MonoNs>) {
        let next = |cell| next(MonoNs(cell)).map(|next| next.0);
        self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, next).ok();
    }

    /// Gives back what one call took.
    pub fn give_back(&self, pace: Pace) {
        self.advance(|cell| Some(MonoNs(cell.0.saturating_sub(pace.interval_ns))));
    }
}

impl Quarantine {
    pub fn of_operation(&self, id: &OperationId) -> Option<UnixMicros> {
        let found = self.operations.binary_search_by(|(operation, _)| operation.cmp(id)).ok()?;
        self.operations.get(found).map(|(_, until)| *until)
    }

    /// Until when the client is held back as by this restriction, of whatever rate.
    pub fn until(&self, restriction: &Restriction) -> Option<UnixMicros> {
        match restriction {
            Restriction::ReadsOnly => self.reads_only,
            Restriction::Rate(_) => self.rate.as_ref().map(|slowed| slowed.until),
            Restriction::Operation(id) => self.of_operation(id),
        }
    }

    /// Everything that is in force at this moment, with its end.
    pub fn in_force(
        &self,
        now: UnixMicros,
    ) -> impl Iterator<Item = (Restriction, UnixMicros)> + '_ {
        let reads_only = self.reads_only.map(|until| (Restriction::ReadsOnly, until));
        let rate = self.rate.as_ref().map(|slowed| (Restriction::Rate(slowed.rate), slowed.until));
        let operations = self.operations.iter();
        let operations = operations.map(|(id, until)| (Restriction::Operation(id.clone()), *until));
        let all = reads_only.into_iter().chain(rate).chain(operations);
        all.filter(move |(_, until)| *until > now)
    }
}

impl Restriction {
    /// `reads_only`, `rate`, `operation`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ReadsOnly => "reads_only",
            Self::Rate(_) => "rate",
            Self::Operation(_) => "operation",
        }
    }
}

/// What is left to the client, in words for operators.
impl fmt::Display for Restriction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadsOnly => f.write_str("reads only"),
            Self::Rate(rate) => write!(f, "at most {rate}"),
            Self::Operation(id) => write!(f, "no calls of {id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn rate(limit: u32, seconds: u64) -> CallRate {
        CallRate { limit, per: Duration::from_secs(seconds) }
    }

    #[test]
    fn rates_are_shown_as_they_are_written() {
        let check = |rate: CallRate, expected: &str| assert_eq!(rate.to_string(), expected);
        check(rate(5, 1), "5/1s");
        check(rate(5, 60), "5/1m");
        check(rate(1, 90), "1/90s");
        check(rate(7, 7200), "7/2h");
        check(rate(7, 86_400), "7/1d");
    }

    #[test]
    fn a_rate_is_within_another_when_it_leaves_less_at_once_and_over_time() {
        let check = |new: CallRate, old: CallRate, expected: bool| {
            assert_eq!(new.is_within(old), expected, "{new} {old}");
        };
        check(rate(5, 1), rate(5, 1), true);
        check(rate(4, 1), rate(5, 1), true);
        check(rate(6, 1), rate(5, 1), false);
        check(rate(5, 60), rate(5, 1), true);
        // Slower over time, and more at once.
        check(rate(10, 60), rate(5, 1), false);
        check(rate(1, 1), rate(10, 60), false);
    }
}
