//! Plans: the limits that a client has. They are config, and immutable; what a client has used of
//! one is in its [`Meter`](super::meter::Meter).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use super::calendar::Calendar;
use super::id::{LimitName, OperationId, PlanName};
use super::loops::LoopBrake;

/// Most rates in one plan, and most quotas: a meter has that many cells.
pub const RATES_MAX: usize = 8;
pub const QUOTAS_MAX: usize = 8;

/// Limits that a client has on all its calls together. A call is admitted when every one of them
/// admits it, and charges all of them or none.
#[derive(Debug, Eq, PartialEq)]
pub struct Plan {
    pub name: PlanName,
    /// At most [`RATES_MAX`].
    pub rates: Box<[Rate]>,
    /// At most [`QUOTAS_MAX`].
    pub quotas: Box<[Quota]>,
    pub concurrency: Option<Concurrency>,
    /// The `RateLimit-Policy` header of every call under this plan; empty when there is nothing to
    /// say.
    pub policy_header: HeaderValue,
    /// Of each rate, its pace.
    paces: Box<[Pace]>,
    /// Of each limit, how its item in `RateLimit` begins. In the order of [`LimitAt`].
    items: Box<[Box<str>]>,
    is_plain: bool,
    brake: Option<Box<LoopBrake>>,
}

/// Between the items of a field.
pub const SEPARATOR: &str = ", ";

/// Which limit of a plan: its rates come first, then its quotas, then its concurrency.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LimitAt(usize);

impl Plan {
    pub fn new(
        name: PlanName,
        rates: Box<[Rate]>,
        quotas: Box<[Quota]>,
        concurrency: Option<Concurrency>,
        policy_header: HeaderValue,
    ) -> Self {
        let plain = |rate: &Rate| {
            rate.by == CountedBy::Client && rate.operations.are_all() && rate.mode == Mode::Enforced
        };
        let is_plain = quotas.is_empty() && concurrency.is_none() && rates.iter().all(plain);
        let names = rates.iter().map(|rate| &rate.name);
        let names = names.chain(quotas.iter().map(|quota| &quota.name));
        let names = names.chain(concurrency.iter().map(|concurrency| &concurrency.name));
        let items = names.map(|name| format!("{SEPARATOR}\"{name}\";r=").into()).collect();
        let paces = rates.iter().map(Rate::pace).collect();
        Self {
            name,
            rates,
            quotas,
            concurrency,
            policy_header,
            paces,
            items,
            is_plain,
            brake: None,
        }
    }

    /// The same plan with a brake against loops.
    pub fn with_brake(self, brake: Option<LoopBrake>) -> Self {
        Self { brake: brake.map(Box::new), ..self }
    }

    pub fn brake(&self) -> Option<&LoopBrake> {
        self.brake.as_deref()
    }

    pub const fn rate_at(at: usize) -> LimitAt {
        LimitAt(at)
    }

    pub fn quota_at(&self, at: usize) -> LimitAt {
        LimitAt(self.rates.len() + at)
    }

    pub fn concurrency_at(&self) -> LimitAt {
        LimitAt(self.rates.len() + self.quotas.len())
    }

    /// `, "name";r=`, as the limit's item in `RateLimit` begins: made once, since nearly every answer
    /// has it.
    pub fn item(&self, at: LimitAt) -> &str {
        self.items.get(at.0).map(AsRef::as_ref).unwrap_or_default()
    }

    /// Each rate with its pace.
    pub fn paced(&self) -> impl Iterator<Item = (&Rate, Pace)> {
        self.rates.iter().zip(self.paces.iter().copied())
    }

    /// Whether it has nothing but rates of the client on all its calls, as most plans do: these are
    /// charged the short way.
    pub const fn is_plain(&self) -> bool {
        self.is_plain
    }
}

/// `limit` calls per `per`, with at most `burst` at once (GCRA: a token bucket, told by time).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rate {
    pub name: LimitName,
    pub limit: u32,
    pub per: Duration,
    /// Calls admitted at once after rest; at least 1.
    pub burst: u32,
    pub by: CountedBy,
    pub operations: Operations,
    pub mode: Mode,
}

impl Rate {
    pub const fn pace(&self) -> Pace {
        Pace::new(self.limit, self.per, self.burst)
    }
}

/// A rate as times, worked out once for all that is asked of it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Pace {
    /// Between two calls at the steady rate.
    pub interval_ns: u64,
    /// The debt that a full burst makes.
    pub room_ns: u64,
}

impl Pace {
    /// Of `limit` calls per `per`, with at most `burst` at once. The interval is rounded up: never more than the
    /// promise. Config keeps it at 1,000 ns or more, so the rounding is below 0.1 %.
    pub const fn new(limit: u32, per: Duration, burst: u32) -> Self {
        // Times of rates are days at most.
        let per_ns = per.as_secs().saturating_mul(1_000_000_000);
        let per_ns = per_ns.saturating_add(per.subsec_nanos() as u64);
        let limit = if limit == 0 { 1 } else { limit as u64 };
        let interval_ns = match per_ns.div_ceil(limit) {
            0 => 1,
            interval_ns => interval_ns,
        };
        let burst = if burst == 0 { 1 } else { burst as u64 };
        Self { interval_ns, room_ns: interval_ns.saturating_mul(burst) }
    }
}

/// `limit` calls in each day, week or month.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Quota {
    /// Usage is kept under it.
    pub name: LimitName,
    pub terms: QuotaTerms,
    pub operations: Operations,
    pub mode: Mode,
}

/// What the units of a quota are good for: a lease of other terms is given back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct QuotaTerms {
    pub limit: u64,
    pub calendar: Calendar,
}

impl QuotaTerms {
    /// Most units that one client may have leased and not spent: what a crash can burn.
    pub fn block(&self) -> u64 {
        (self.limit / 100).max(1)
    }
}

/// Calls of a client at once, streams included.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Concurrency {
    /// [`Concurrency::NAME`], as a name.
    pub name: LimitName,
    pub limit: u32,
    pub mode: Mode,
}

impl Concurrency {
    pub const NAME: &'static str = "concurrency";
}

/// Whose calls a rate counts together.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CountedBy {
    Client,
    Credential,
}

/// Whether a limit refuses, or is only counted and its verdict recorded.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    Enforced,
    Shadow,
}

impl Mode {
    /// `on`, `shadow`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforced => "on",
            Self::Shadow => "shadow",
        }
    }
}

/// The operations whose calls a limit counts.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Operations(Option<Box<[OperationId]>>);

impl Operations {
    /// These only, in any order.
    pub fn only(mut ids: Vec<OperationId>) -> Self {
        ids.sort_unstable();
        Self(Some(ids.into()))
    }

    pub const fn are_all(&self) -> bool {
        self.0.is_none()
    }

    pub fn contain(&self, operation: &OperationId) -> bool {
        self.0.as_ref().is_none_or(|ids| ids.binary_search(operation).is_ok())
    }

    /// None: all.
    pub fn listed(&self) -> Option<&[OperationId]> {
        self.0.as_deref()
    }
}

impl fmt::Debug for Operations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("all"),
            Some(ids) => ids.fmt(f),
        }
    }
}

/// What strangers may do: calls without a valid credential, by source.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AnonymousLimit {
    /// One rate named `anonymous`; its burst is its limit, and it is counted in windows.
    pub plan: Arc<Plan>,
    pub limit: u32,
    pub per: Duration,
}
