//! The shield against strangers: calls without a valid credential, counted by source in windows of
//! time. Memory is bounded for any number of sources, at the price of counting too much when there
//! are very many: a shield, not a promise. Callers with a valid credential never come by here.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use pingora_limits::estimator::Estimator;

use crate::model::denial::{Advice, Denial, Refusal};
use crate::model::plan::{AnonymousLimit, RATES_MAX};
use crate::model::time::MonoNs;
use crate::request::limit::{Limits, RateStanding, Standing, gcra};

/// What each source has done in the window that runs. Shared by all snapshots.
#[derive(Default)]
pub struct Strangers {
    window: ArcSwapOption<Window>,
}

/// Counts of one stretch of time. A new stretch gets new counts, so that nobody sees half of a reset.
struct Window {
    per_ns: u64,
    /// How many stretches of that length came before it.
    number: u64,
    counts: Estimator,
}

/// Whom a call is counted for: an IPv4 address, or the /64 that one site or phone has.
#[derive(Hash)]
enum Source {
    V4([u8; 4]),
    V6(u128),
    Unknown,
}

impl Source {
    fn of(ip: Option<IpAddr>) -> Self {
        match ip.map(|ip| ip.to_canonical()) {
            Some(IpAddr::V4(ip)) => Self::V4(ip.octets()),
            Some(IpAddr::V6(ip)) => Self::V6(ip.to_bits() >> 64),
            None => Self::Unknown,
        }
    }
}

impl Strangers {
    /// Counts one call. Some: the source has had its calls of this window; the answer to give
    /// instead of any other.
    pub fn count(
        &self,
        limit: &AnonymousLimit,
        ip: Option<IpAddr>,
        now: MonoNs,
    ) -> Option<(Refusal, Standing)> {
        let window = self.window_at(limit, now);
        let count = window.counts.incr(Source::of(ip), 1);
        if usize::try_from(count).is_ok_and(|count| count <= limit.limit as usize) {
            return None;
        }
        let ends_ns = (window.number + 1).saturating_mul(window.per_ns);
        let after_seconds = gcra::seconds_up(ends_ns.saturating_sub(now.0));
        let of_source = RateStanding { remaining: 0, more_after_seconds: after_seconds };
        let mut rates = [RateStanding::default(); RATES_MAX];
        rates.iter_mut().take(1).for_each(|first| *first = of_source);
        let standing = Standing { plan: Arc::clone(&limit.plan), limits: Limits::Rates(rates) };
        let name = limit.plan.rates.first().map(|rate| rate.name.clone());
        let advice = Advice::Retry { after_seconds, limit: name };
        let reason = "the source makes too many calls without a valid credential";
        Some((Refusal::advising(Denial::TooManyUnauthenticated, advice, reason), standing))
    }

    /// The window of this moment, or one that another thread has begun since.
    fn window_at(&self, limit: &AnonymousLimit, now: MonoNs) -> Arc<Window> {
        let per_ns = u64::try_from(limit.per.as_nanos()).unwrap_or(u64::MAX).max(1);
        let number = now.0 / per_ns;
        let is_over = |window: &Window| window.per_ns != per_ns || window.number < number;
        let current = self.window.load_full();
        match current {
            Some(window) if !is_over(&window) => window,
            over => {
                let counts = Estimator::new(HASHES, SLOTS);
                let fresh = Arc::new(Window { per_ns, number, counts });
                let before = self.window.compare_and_swap(&over, Some(Arc::clone(&fresh)));
                // Where another thread was first, its window holds.
                match before.as_ref() {
                    Some(first) if !is_over(first) => Arc::clone(first),
                    _ => fresh,
                }
            }
        }
    }
}

/// 128 KiB a window. With 10,000 sources that call once a window each, a source is counted two or
/// three calls too many.
const HASHES: usize = 4;
const SLOTS: usize = 4096;

impl fmt::Debug for Strangers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Strangers").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;

    use super::*;
    use crate::model::id::PlanName;
    use crate::model::plan::Plan;

    fn limit(limit: u32, per: Duration) -> AnonymousLimit {
        let name = PlanName::parse("anonymous").expect("valid");
        let header = HeaderValue::from_static("");
        let plan = Plan::new(name, Box::default(), Box::default(), None, header);
        AnonymousLimit { plan: Arc::new(plan), limit, per }
    }

    #[test]
    fn sources_are_counted_in_windows() {
        let (strangers, limit) = (Strangers::default(), limit(3, Duration::from_secs(10)));
        let count = |ip: &str, seconds: u64| {
            let ip = ip.parse().expect("an address");
            let refused = strangers.count(&limit, Some(ip), MonoNs(seconds * 1_000_000_000));
            refused.map(|(_, standing)| standing.rates().expect("one")[0].more_after_seconds)
        };
        for _ in 0..3 {
            assert_eq!(count("192.0.2.1", 12), None);
        }
        assert_eq!(count("192.0.2.1", 12), Some(8));
        assert_eq!(count("::ffff:192.0.2.1", 19), Some(1), "the same address");
        assert_eq!(count("192.0.2.2", 19), None, "another");
        assert_eq!(count("192.0.2.1", 20), None, "when Retry-After said");
        assert_eq!(count("192.0.2.1", 19), None, "a reading of the clock that came late");
        for host in 1..=3 {
            assert_eq!(count(&format!("2001:db8::{host}"), 30), None);
        }
        assert_eq!(count("2001:db8::ffff:4", 30), Some(10), "one /64");
        assert_eq!(count("2001:db8:0:1::4", 30), None, "another");
    }

    #[test]
    fn threads_at_the_edge_of_a_window_lose_no_count() {
        let (strangers, limit) = (Strangers::default(), limit(100, Duration::from_secs(1)));
        for window in 1..50 {
            let start = std::sync::Barrier::new(4);
            let admitted: usize = std::thread::scope(|scope| {
                let count = || {
                    start.wait();
                    let now = MonoNs(window * 1_000_000_000);
                    (0..50).filter(|_| strangers.count(&limit, None, now).is_none()).count()
                };
                let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
                threads.into_iter().map(|thread| thread.join().expect("joined")).sum()
            });
            // Threads that count at the same moment may each miss the others, no more.
            assert!((100..104).contains(&admitted), "{admitted} of 100");
        }
    }
}
