//! The limiter against a slow reference, and against its promise.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use crate::model::id::{LimitName, PlanName};
use crate::model::plan::{CountedBy, Mode, Operations, Rate};

use super::*;

fn plan(rates: &[(u32, u64, u32)]) -> Plan {
    let rates = rates.iter().enumerate().map(|(at, (limit, per_ms, burst))| Rate {
        name: LimitName::parse(&format!("rate-{at}")).expect("valid"),
        limit: *limit,
        per: Duration::from_millis(*per_ms),
        burst: *burst,
        by: CountedBy::Client,
        operations: Operations::default(),
        mode: Mode::Enforced,
    });
    let name = PlanName::parse("plan").expect("valid");
    let header = http::HeaderValue::from_static("");
    Plan::new(name, rates.collect(), Box::default(), None, header)
}

/// Charges at `now_ns`; the rate that refused and its wait.
fn call(plan: &Plan, meter: &Meter, now_ns: u64) -> Option<(usize, u64)> {
    charge(plan, meter, MonoNs(now_ns), &mut Default::default())
}

/// A token bucket that keeps its level instead of a point in time.
#[expect(clippy::struct_field_names, reason = "the unit is in the name")]
struct Bucket {
    interval_ns: u64,
    size_ns: u64,
    level_ns: u64,
    at_ns: u64,
}

impl Bucket {
    fn new(rate: &Rate) -> Self {
        let interval_ns = rate.pace().interval_ns;
        let size_ns = interval_ns * u64::from(rate.burst);
        Self { interval_ns, size_ns, level_ns: size_ns, at_ns: 0 }
    }

    fn has_one(&mut self, now_ns: u64) -> bool {
        self.level_ns = (self.level_ns + now_ns - self.at_ns).min(self.size_ns);
        self.at_ns = now_ns;
        self.level_ns >= self.interval_ns
    }
}

fn rates() -> impl Strategy<Value = Vec<(u32, u64, u32)>> {
    proptest::collection::vec((1..50_u32, 1..5_000_u64, 1..20_u32), 1..=RATES_MAX)
}

proptest! {
    /// Every call gets the reference's verdict; a refused call charges no rate at all, or the
    /// levels would drift apart.
    #[test]
    fn agrees_with_a_slow_reference(
        rates in rates(),
        gaps_us in proptest::collection::vec(0..300_000_u64, 1..200),
    ) {
        let plan = plan(&rates);
        let meter = Meter::default();
        let mut buckets: Vec<Bucket> = plan.rates.iter().map(Bucket::new).collect();
        let mut now_ns = 0;
        for gap_us in gaps_us {
            now_ns += gap_us * 1_000;
            let filled = buckets.iter_mut().map(|bucket| bucket.has_one(now_ns));
            let expected = filled.fold(true, |all, one| all & one);
            if expected {
                for bucket in &mut buckets {
                    bucket.level_ns -= bucket.interval_ns;
                }
            }
            prop_assert_eq!(call(&plan, &meter, now_ns).is_none(), expected);
        }
    }

    /// What Retry-After says is true: at that moment the call is admitted, if nobody else calls.
    #[test]
    fn a_refused_call_is_admitted_after_its_wait(rates in rates(), calls in 1..100_usize) {
        let plan = plan(&rates);
        let meter = Meter::default();
        for _ in 0..calls {
            if let Some((_, seconds)) = call(&plan, &meter, 0) {
                prop_assert!(seconds >= 1);
                prop_assert_eq!(call(&plan, &meter, seconds * 1_000_000_000), None);
                return Ok(());
            }
        }
    }

    /// The promise (with room for a late caller, so a burst of 2 or more): in no stretch of time more than the burst and what the rate adds to it.
    #[test]
    fn never_above_the_promise(limit in 1..100_u32, burst in 2..50_u32) {
        let plan = plan(&[(limit, 1_000, burst)]);
        let meter = Meter::default();
        let seconds = 5;
        let admitted = (0..seconds * 1_000)
            .filter(|ms| call(&plan, &meter, ms * 1_000_000).is_none())
            .count() as u64;
        let promise = u64::from(burst) + u64::from(limit) * seconds;
        prop_assert!(admitted <= promise, "{} > {}", admitted, promise);
        // And used up, but for the call that is due at the very end.
        prop_assert!((admitted + 1) * 100 >= promise * 97, "{} of {}", admitted, promise);
    }
}

#[test]
fn threads_released_at_once_never_exceed_the_burst() {
    let plan = Arc::new(plan(&[(1, 3_600_000, 40), (1, 3_600_000, 100)]));
    let meter = Arc::new(Meter::default());
    let gate = Arc::new(std::sync::Barrier::new(64));
    let callers: Vec<_> = (0..64)
        .map(|_| {
            let (plan, meter, gate) = (Arc::clone(&plan), Arc::clone(&meter), Arc::clone(&gate));
            std::thread::spawn(move || {
                gate.wait();
                (0..10).filter(|_| call(&plan, &meter, 1).is_none()).count()
            })
        })
        .collect();
    let admitted: usize = callers.into_iter().map(|caller| caller.join().expect("joined")).sum();
    assert_eq!(admitted, 40);
}

#[test]
fn a_plan_made_smaller_does_not_lock_its_clients() {
    let (large, small) = (plan(&[(1, 3_600_000, 10)]), plan(&[(10, 1_000, 10)]));
    let meter = Meter::default();
    while call(&large, &meter, 0).is_none() {}
    assert_eq!(call(&small, &meter, 0), Some((0, 1)), "full, under the new terms");
    assert_eq!(call(&small, &meter, 200_000_000), None);
}
