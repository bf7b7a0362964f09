//! Plans, and the meters that hold what a client has used of one. A plan is config and immutable;
//! a meter is the only state that decisions change.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderValue;

use super::id::{LimitName, PlanName};
use super::time::MonoNs;

/// Most rates in one plan: a meter has that many cells.
pub const RATES_MAX: usize = 8;

/// Limits that a client has on all its calls together.
#[derive(Debug, Eq, PartialEq)]
pub struct Plan {
    pub name: PlanName,
    /// At most [`RATES_MAX`]. A call is admitted when every one of them admits it.
    pub rates: Box<[Rate]>,
    /// The `RateLimit-Policy` header of every call under this plan; empty when there are no rates.
    pub policy_header: HeaderValue,
}

/// `limit` calls per `per`, with at most `burst` at once (GCRA: a token bucket, told by time).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rate {
    pub name: LimitName,
    pub limit: u32,
    pub per: Duration,
    /// Calls admitted at once after rest; at least 1.
    pub burst: u32,
}

impl Rate {
    /// Time between two calls at the steady rate, in nanoseconds, rounded up: never more than the
    /// promise. Config keeps it at 1,000 or more, so the rounding is below 0.1 %.
    pub fn interval_ns(&self) -> u64 {
        let per_ns = u64::try_from(self.per.as_nanos()).unwrap_or(u64::MAX);
        per_ns.div_ceil(u64::from(self.limit.max(1))).max(1)
    }
}

/// What one client has used of one plan: per rate, the theoretical arrival time of GCRA. Shared by
/// all profiles of the client under that plan, and kept across snapshots.
#[derive(Debug, Default)]
pub struct Meter {
    cells: Mutex<[MonoNs; RATES_MAX]>,
}

impl Meter {
    /// The cells, for the time of one charge: a few additions, no I/O, so the wait is bounded.
    pub fn lock(&self) -> MutexGuard<'_, [MonoNs; RATES_MAX]> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
