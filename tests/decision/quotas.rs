//! Quotas through the decision and the real ledger: periods, reloads, steps of the clock, crashes.

use std::collections::BTreeMap;

use onegate::model::denial::Denial;
use proptest::prelude::*;

use super::lab::{Lab, at, policy, refusal_of};

#[test]
fn a_quota_ends_with_its_period() {
    let mut lab = Lab::new("quotas = [{ limit = 3, per = 'day' }]");
    for left in [2, 1, 0] {
        lab.call(0, "GET", at(80_000)).expect("within the quota");
        let standing = lab.seen.standing.clone().expect("it has a plan");
        let limits = &standing.all().expect("it has a quota").limits;
        assert_eq!((limits[0].remaining, limits[0].more_after_seconds), (left, Some(6400)));
    }
    let refused = refusal_of(lab.call(0, "GET", at(80_000)));
    assert_eq!(refused, (Denial::QuotaExhausted, 6400, "per-day".to_owned()));
    assert!(lab.call(0, "GET", at(86_399)).is_err());
    assert!(lab.call(0, "GET", at(86_400)).is_ok(), "when Retry-After said");
}

#[test]
fn a_smaller_or_larger_limit_counts_what_was_used() {
    let plan = |limit: u32| format!("quotas = [{{ limit = {limit}, per = 'month' }}]");
    let mut lab = Lab::new(&plan(1000));
    for _ in 0..500 {
        lab.call(0, "GET", at(0)).expect("within the quota");
        lab.answer();
    }
    lab.reload(&plan(500));
    assert!(lab.call(0, "GET", at(0)).is_err(), "used up under the smaller limit");
    lab.reload(&plan(503));
    let admitted = (0..10).filter(|_| lab.call(0, "GET", at(0)).is_ok()).count();
    assert_eq!(admitted, 3);
}

#[test]
fn another_zone_opens_no_period_afresh() {
    let plan = |zone: &str| format!("quotas = [{{ limit = 5, per = 'day', timezone = '{zone}' }}]");
    let mut lab = Lab::new(&plan("UTC"));
    let noon = 43_200;
    (0..5).for_each(|_| drop(lab.call(0, "GET", at(noon)).expect("within the quota")));
    lab.reload(&plan("Europe/Berlin"));
    assert!(lab.call(0, "GET", at(noon)).is_err());
    lab.reload(&plan("UTC"));
    assert!(lab.call(0, "GET", at(noon)).is_err(), "nor there and back");
    lab.reload(&plan("Europe/Berlin"));
    assert!(lab.call(0, "GET", at(noon)).is_err());
    assert!(lab.call(0, "GET", at(82_800)).is_ok(), "midnight in Berlin");
}

#[derive(Clone, Debug)]
enum Event {
    Calls(u32),
    /// Seconds by which the wall clock is set, forward or back.
    Step(i64),
    /// The ledger answers what was asked for ahead.
    Answer,
    Crash,
    Restart,
    Reload(u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => (1..60_u32).prop_map(Event::Calls),
        3 => (-100_000..100_000_i64).prop_map(Event::Step),
        2 => (-5..5_i64).prop_map(Event::Step),
        4 => Just(Event::Answer),
        1 => Just(Event::Crash),
        1 => Just(Event::Restart),
        1 => (1..500_u64).prop_map(Event::Reload),
    ];
    prop::collection::vec(event, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever the clock and the process do: in no period more than the limit; and nobody is
    /// refused while a period has units, but for one block for each crash.
    #[test]
    fn clock_steps_and_crashes_neither_free_nor_lock(
        limit in 1..500_u64,
        zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/St_Johns"]),
        events in events(),
    ) {
        let plan = |limit: u64| {
            format!("quotas = [{{ limit = {limit}, per = 'day', timezone = '{zone}' }}]")
        };
        let (mut limit, mut block_max) = (limit, (limit / 100).max(1));
        let mut lab = Lab::new(&plan(limit));
        let calendar = policy(&plan(limit)).plans["plan"].quotas[0].terms.calendar.clone();
        let mut admitted: BTreeMap<i64, u64> = BTreeMap::new();
        let (mut seconds, mut crashes) = (0_i64, 0);
        for event in events {
            match event {
                // Within the periods that stay known.
                Event::Step(step) => seconds = (seconds + step).clamp(0, 6 * 86_400),
                Event::Answer => lab.answer(),
                Event::Crash => {
                    lab.start_again(&plan(limit));
                    crashes += 1;
                }
                Event::Restart => {
                    lab.book.give_back_all().expect("it can be written");
                    lab.start_again(&plan(limit));
                }
                Event::Reload(other) => {
                    limit = other;
                    block_max = block_max.max((limit / 100).max(1));
                    lab.reload(&plan(limit));
                }
                Event::Calls(count) => {
                    let now = at(seconds);
                    let period = calendar.period_at(now.wall).expect("within the years");
                    let spent = admitted.entry(period.starts.0).or_default();
                    for _ in 0..count {
                        match lab.call(0, "GET", now) {
                            Ok(_) => *spent += 1,
                            Err(refusal) => {
                                let (denial, after, _) = refusal_of(Err(refusal));
                                prop_assert_eq!(denial, Denial::QuotaExhausted);
                                let ends = (period.ends.0 - now.wall.0).unsigned_abs();
                                prop_assert_eq!(after, ends.div_ceil(1_000_000));
                                prop_assert!(
                                    limit.saturating_sub(*spent) <= crashes * block_max,
                                    "locked: {} of {} after {} crashes", spent, limit, crashes
                                );
                                break;
                            }
                        }
                        prop_assert!(*spent <= limit, "freed: {} of {}", spent, limit);
                    }
                }
            }
        }
    }
}
