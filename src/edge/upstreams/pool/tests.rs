//! Ejection, checks, the retry budget and names, at times that the test says.

use std::collections::BTreeSet;

use super::super::testing::{address, ejection, endpoint, inet, upstream};
use super::*;
use crate::model::balance::{Balance, CheckKind, Ejection, HealthCheck, RetryBudget};

fn pool_of(upstream: Upstream) -> Pool {
    pool_after(upstream, None)
}

fn pool_after(upstream: Upstream, before: Option<&Pool>) -> Pool {
    let retries = IntCounter::new("retries", "of the test").expect("a valid name");
    Pool::new(&Arc::new(upstream), retries, before)
}

fn with_hosts(hosts: &[&str]) -> Upstream {
    let endpoints = hosts.iter().map(|host| endpoint(host, 1)).collect();
    Upstream { endpoints, ..upstream(Balance::RoundRobin) }
}

fn instances(pool: &Pool) -> Vec<Arc<Instance>> {
    pool.members.load().list.iter().map(|member| Arc::clone(&member.instance)).collect()
}

fn picked(pool: &Pool, picks: usize) -> BTreeSet<SocketAddr> {
    (0..picks).filter_map(|_| Some(inet(&pool.pick(None).ok()?.instance))).collect()
}

const fn at(seconds: u64) -> MonoNs {
    MonoNs(seconds * 1_000_000_000)
}

#[test]
fn failures_in_a_row_eject_for_a_while() {
    let pool = pool_of(with_hosts(&["10.0.0.1", "10.0.0.2"]));
    let first = Arc::clone(&instances(&pool)[0]);
    pool.failed(&first, "test", at(0));
    first.succeeded();
    pool.failed(&first, "test", at(0));
    assert!(first.is_available(), "a success in between");
    pool.failed(&first, "test", at(0));
    assert_eq!(first.state(), State::Ejected);
    assert_eq!(picked(&pool, 9), BTreeSet::from([address(2)]));

    pool.end_ejections(at(9));
    assert_eq!(first.state(), State::Ejected);
    pool.end_ejections(at(10));
    assert_eq!(picked(&pool, 9), BTreeSet::from([address(1), address(2)]));
}

#[test]
fn ejections_grow_to_the_longest_and_are_forgotten() {
    let pool = pool_of(with_hosts(&["10.0.0.1", "10.0.0.2"]));
    let first = Arc::clone(&instances(&pool)[0]);
    // One failure is enough after a return: nothing has succeeded since.
    pool.failed(&first, "test", at(0));
    let mut now = 0;
    for expected in [10, 20, 40, 60, 60] {
        pool.failed(&first, "test", at(now));
        pool.end_ejections(at(now + expected - 1));
        assert!(first.is_ejected(), "before {expected} s");
        now += expected;
        pool.end_ejections(at(now));
        assert!(!first.is_ejected(), "after {expected} s");
    }
    // In for longer than the longest: it begins anew.
    now += 61;
    pool.failed(&first, "test", at(now));
    pool.end_ejections(at(now + 10));
    assert!(!first.is_ejected());
}

#[test]
fn no_more_are_ejected_than_their_share() {
    let check = |hosts: &[&str], share_max: u8, expected: usize| {
        let ejection = Ejection { failures: 1, share_max, ..ejection() };
        let pool = pool_of(Upstream { ejection, ..with_hosts(hosts) });
        for instance in &instances(&pool) {
            pool.failed(instance, "test", at(0));
        }
        let out = instances(&pool).iter().filter(|instance| instance.is_ejected()).count();
        assert_eq!(out, expected, "{hosts:?} {share_max}");
    };
    check(&["10.0.0.1"], 50, 0);
    check(&["10.0.0.1"], 100, 1);
    check(&["10.0.0.1", "10.0.0.2"], 50, 1);
    check(&["10.0.0.1", "10.0.0.2", "10.0.0.3"], 50, 1);
    check(&["10.0.0.1", "10.0.0.2", "10.0.0.3"], 67, 2);
}

#[test]
fn zero_failures_eject_nobody() {
    let ejection = Ejection { failures: 0, share_max: 100, ..ejection() };
    let pool = pool_of(Upstream { ejection, ..with_hosts(&["10.0.0.1"]) });
    let first = &instances(&pool)[0];
    (0..100).for_each(|_| pool.failed(first, "test", at(0)));
    assert!(first.is_available());
}

fn check() -> HealthCheck {
    let (interval, timeout) = (Duration::from_secs(10), Duration::from_secs(1));
    let kind = CheckKind::Tcp;
    HealthCheck { kind, interval, timeout, healthy_after: 2, unhealthy_after: 3 }
}

#[test]
fn checks_are_due_one_at_a_time_and_spread() {
    let pool = pool_of(Upstream { check: Some(check()), ..with_hosts(&["10.0.0.1"]) });
    let due = |seconds| pool.due_checks(at(seconds), |pause| pause).len();
    assert_eq!([due(0), due(1), due(2), due(3)], [0, 0, 1, 0]);
    assert_eq!(due(12), 0, "the last one is still under way");
    pool.checked(&instances(&pool)[0], Ok(()));
    assert_eq!([due(12), due(13)], [1, 0]);
}

#[test]
fn results_in_a_row_change_what_it_is_taken_for() {
    let pool = pool_of(Upstream { check: Some(check()), ..with_hosts(&["10.0.0.1"]) });
    let first = Arc::clone(&instances(&pool)[0]);
    let mut now = 2;
    let mut check = |passed: bool, expected: State| {
        pool.due_checks(at(now), |pause| pause);
        now += 10;
        pool.checked(&first, if passed { Ok(()) } else { Err("test".to_owned()) });
        assert_eq!(first.state(), expected);
    };
    check(false, State::Healthy);
    check(false, State::Healthy);
    check(true, State::Healthy);
    check(false, State::Healthy);
    check(false, State::Healthy);
    check(false, State::Unhealthy);
    check(true, State::Unhealthy);
    check(false, State::Unhealthy);
    check(true, State::Unhealthy);
    check(true, State::Healthy);
}

#[test]
fn a_reload_keeps_what_is_unchanged() {
    let check = Some(HealthCheck { unhealthy_after: 1, ..check() });
    let both = ["10.0.0.1", "10.0.0.2"];
    let old = pool_of(Upstream { check: check.clone(), ..with_hosts(&both) });
    let first = Arc::clone(&instances(&old)[0]);
    old.due_checks(at(0), |_| Duration::ZERO);
    old.checked(&first, Err("test".to_owned()));
    assert_eq!(first.state(), State::Unhealthy);
    let held = old.pick(None).expect("one is healthy");

    let hosts = ["10.0.0.3", "10.0.0.2", "10.0.0.1"];
    let new = pool_after(Upstream { check, ..with_hosts(&hosts) }, Some(&old));
    let states: Vec<State> = instances(&new).iter().map(|one| one.state()).collect();
    assert_eq!(states, [State::Healthy, State::Healthy, State::Unhealthy]);
    assert_eq!(instances(&new)[1].in_flight(), 1);
    drop(held);
    assert_eq!(instances(&new)[1].in_flight(), 0);

    // Without checks nobody could ever find it well again; a late result changes nothing.
    old.due_checks(at(50), |_| Duration::ZERO);
    let unchecked = pool_after(with_hosts(&both), Some(&new));
    old.checked(&first, Err("test".to_owned()));
    assert_eq!(instances(&unchecked)[0].state(), State::Healthy);
}

#[test]
fn names_come_and_go_and_keep_what_stays() {
    let pool = pool_of(with_hosts(&["a.test", "b.test", "10.0.0.9"]));
    assert_eq!(picked(&pool, 9), BTreeSet::from([address(9)]));
    assert_eq!(pool.names().map(|(name, _)| name).collect::<Vec<_>>(), ["a.test", "b.test"]);
    pool.learn("a.test", 80, &[address(2), address(1), address(2)]);
    pool.learn("a.test", 81, &[address(7)]);
    let before = instances(&pool);
    assert_eq!(
        before.iter().map(|one| inet(one)).collect::<Vec<_>>(),
        [address(1), address(2), address(9)]
    );
    let held = before[1].enter(9).expect("room");
    pool.learn("a.test", 80, &[address(3), address(1)]);
    pool.learn("b.test", 80, &[address(2)]);
    let after = instances(&pool);
    let addresses: Vec<_> = after.iter().map(|one| inet(one)).collect();
    assert_eq!(addresses, [address(1), address(3), address(2), address(9)]);
    assert!(Arc::ptr_eq(&before[0], &after[0]), "what stays is not made anew");
    assert!(!Arc::ptr_eq(&before[1], &after[2]), "the same address under another name is another");
    assert_eq!(held.instance.in_flight(), 1, "what left ends in peace");

    pool.learn("a.test", 80, &[]);
    assert_eq!(picked(&pool, 9), BTreeSet::from([address(2), address(9)]));
    let many: Vec<SocketAddr> = (0..200).map(address).collect();
    pool.learn("a.test", 80, &many);
    assert_eq!(instances(&pool).len(), ADDRESSES_MAX + 2);
}

#[test]
fn a_reload_keeps_what_names_resolved_to() {
    let old = pool_of(with_hosts(&["a.test"]));
    old.learn("a.test", 80, &[address(1)]);
    let new = pool_after(with_hosts(&["10.0.0.9", "a.test"]), Some(&old));
    assert_eq!(picked(&new, 9), BTreeSet::from([address(1), address(9)]));
}

#[test]
fn retries_keep_to_their_budget() {
    let check = |percent: u8, at_least: u16, live: u32, expected: usize| {
        let retry_budget = RetryBudget { percent, at_least };
        let pool = pool_of(Upstream { retry_budget, ..with_hosts(&["10.0.0.1", "10.0.0.2"]) });
        let one = Arc::clone(&instances(&pool)[0]);
        let held: Vec<Attempt> = (0..live).filter_map(|_| one.enter(live)).collect();
        let tried = [Arc::clone(&one)];
        let again = |taken| pool.pick_again(None, &tried, Again::Never, taken);
        // Attempts of retries are live too: not counted here, so they are given back at once.
        let taken: Vec<Retrying> =
            (0..50).map_while(|_| again(None).map(|(_, took)| took)).collect();
        assert_eq!(taken.len(), expected, "{percent} {at_least} {live}");
        assert_eq!(pool.retries.get(), expected as u64);
        drop((held, taken));
        assert_eq!(pool.tally.retrying.load(Ordering::Relaxed), 0);
    };
    check(20, 0, 40, 8);
    check(20, 3, 40, 11);
    check(0, 2, 40, 2);
    check(100, 0, 5, 5);
    check(20, 0, 4, 0);
}

#[test]
fn a_request_takes_from_the_budget_once() {
    let retry_budget = RetryBudget { percent: 0, at_least: 1 };
    let hosts = ["10.0.0.1", "10.0.0.2", "10.0.0.3"];
    let pool = pool_of(Upstream { retry_budget, ..with_hosts(&hosts) });
    let mut tried = vec![Arc::clone(&instances(&pool)[0])];
    let (second, taken) = pool.pick_again(None, &tried, Again::Never, None).expect("in budget");
    tried.push(Arc::clone(&second.instance));
    let third = pool.pick_again(None, &tried, Again::Never, Some(taken));
    let (third, _taken) = third.expect("it has its place");
    assert_eq!(inet(&third.instance), address(3));
    assert!(pool.pick_again(None, &tried, Again::Never, None).is_none(), "nobody else has");
}
