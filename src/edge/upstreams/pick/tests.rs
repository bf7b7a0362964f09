//! The promises of each balance, held against many weights, states and keys.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::super::testing::{members, upstream};
use super::*;
use crate::model::balance::{CheckKind, HashBy, HealthCheck};
use crate::model::time::MonoNs;

const BALANCES: [Balance; 4] = [
    Balance::RoundRobin,
    Balance::LeastRequests,
    Balance::TwoChoices,
    Balance::Hash(HashBy::Client),
];

/// Picks, and holds what was picked.
struct Table {
    members: Members,
    upstream: Upstream,
    turn: AtomicUsize,
    picks: Cell<u64>,
}

impl Table {
    fn new(balance: Balance, weights: &[u16]) -> Self {
        let (members, upstream) = (Members::new(members(weights)), upstream(balance));
        Self { members, upstream, turn: AtomicUsize::new(0), picks: Cell::new(0) }
    }

    fn pick_with(
        &self,
        key: Option<u64>,
        tried: &[Arc<Instance>],
        again: Again,
    ) -> Result<Attempt, NoPick> {
        let Self { members, upstream, turn, .. } = self;
        members.pick(&Ask { upstream, turn, key, tried, again })
    }

    /// Picks for a request with a key that no other has.
    fn pick(&self) -> Result<Attempt, NoPick> {
        self.picks.set(self.picks.get() + 1);
        self.pick_with(Some(hash(&self.picks.get().to_le_bytes())), &[], Again::Never)
    }

    /// The position of who was picked.
    fn at(&self, attempt: &Attempt) -> usize {
        let same = |member: &Member| Arc::ptr_eq(&member.instance, &attempt.instance);
        self.members.list.iter().position(same).expect("it is one of them")
    }

    fn instance(&self, at: usize) -> &Arc<Instance> {
        &self.members.list[at].instance
    }

    fn make_unhealthy(&self, at: usize) {
        let (interval, timeout) = (Duration::from_secs(1), Duration::from_secs(1));
        let kind = CheckKind::Tcp;
        let check = HealthCheck { kind, interval, timeout, healthy_after: 1, unhealthy_after: 1 };
        self.instance(at).begin_check(MonoNs(0), Duration::ZERO);
        self.instance(at).end_check(&check, super::super::instance::Passed::No);
        assert!(!self.instance(at).is_available());
    }

    /// How often each is picked, one request at a time.
    fn shares(&self, picks: usize) -> Vec<usize> {
        let mut shares = vec![0; self.members.list.len()];
        for _ in 0..picks {
            shares[self.at(&self.pick().expect("there is one"))] += 1;
        }
        shares
    }
}

#[test]
fn turns_follow_the_weights_without_bursts() {
    let check = |weights: &[u16], expected: &[u16]| {
        assert_eq!(&*schedule(&members(weights)), expected, "{weights:?}");
    };
    check(&[1], &[0]);
    check(&[1, 1, 1], &[0, 1, 2]);
    check(&[50, 50], &[0, 1]);
    check(&[2, 1], &[0, 1, 0]);
    check(&[5, 1, 1], &[0, 0, 0, 1, 2, 0, 0]);
    check(&[4, 2], &[0, 1, 0]);
    check(&[], &[]);
}

#[test]
fn the_shares_of_one_that_is_out_go_to_all_others() {
    let table = Table::new(Balance::RoundRobin, &[1, 1, 1, 1]);
    table.make_unhealthy(1);
    assert_eq!(table.shares(300), [100, 0, 100, 100]);
}

#[test]
fn heavy_ones_that_are_out_do_not_hide_the_light_ones() {
    let table = Table::new(Balance::RoundRobin, &[100, 1, 1]);
    table.make_unhealthy(0);
    let shares = table.shares(300);
    assert!(shares[0] == 0 && shares[1] > 50 && shares[2] > 50, "{shares:?}");
}

#[test]
fn the_least_busy_gets_the_next() {
    let table = Table::new(Balance::LeastRequests, &[1, 1, 1]);
    let held: Vec<Attempt> = (0..4).map(|_| table.instance(0).enter(9).expect("room")).collect();
    assert_eq!(table.shares(20), [0, 10, 10]);
    drop(held);
    let held: Vec<Attempt> = (0..30).map(|_| table.pick().expect("there is one")).collect();
    let in_flight = (0..3).map(|at| table.instance(at).in_flight()).collect::<Vec<_>>();
    assert_eq!(in_flight, [10, 10, 10]);
    drop(held);
    assert_eq!(table.members.in_flight(), 0, "an attempt counts itself out");
}

#[test]
fn least_requests_are_weighted() {
    let table = Table::new(Balance::LeastRequests, &[3, 1]);
    let _held: Vec<Attempt> = (0..40).map(|_| table.pick().expect("there is one")).collect();
    assert_eq!([table.instance(0).in_flight(), table.instance(1).in_flight()], [30, 10]);
    let idle = Table::new(Balance::LeastRequests, &[3, 1]);
    assert_eq!(idle.shares(40), [30, 10], "without load it is their turns that count");
}

#[test]
fn of_two_choices_the_busiest_is_never_taken() {
    let table = Table::new(Balance::TwoChoices, &[1, 1, 1]);
    let _held: Vec<Attempt> = (0..9).map(|_| table.instance(0).enter(99).expect("room")).collect();
    let shares = table.shares(1000);
    assert_eq!(shares[0], 0);
    assert!(shares.iter().skip(1).all(|share| *share > 350), "{shares:?}");
}

#[test]
fn two_choices_follow_the_weights() {
    let table = Table::new(Balance::TwoChoices, &[6, 3, 3]);
    let shares = table.shares(4000);
    // Two different ones are drawn and the first wins when both are idle.
    assert!((1800..2200).contains(&shares[0]), "{shares:?}");
    assert!((800..1200).contains(&shares[1]) && (800..1200).contains(&shares[2]), "{shares:?}");
}

#[test]
fn a_hash_spreads_by_weight() {
    let table = Table::new(Balance::Hash(HashBy::Client), &[2, 1, 1]);
    let mut shares = [0_usize; 3];
    for key in 0..8000_u64 {
        let attempt = table.pick_with(Some(hash(&key.to_le_bytes())), &[], Again::Never);
        shares[table.at(&attempt.expect("there is one"))] += 1;
    }
    assert!((3800..4200).contains(&shares[0]), "{shares:?}");
    assert!((1850..2150).contains(&shares[1]), "{shares:?}");
}

#[test]
fn a_request_without_a_key_goes_in_turn() {
    let table = Table::new(Balance::Hash(HashBy::Client), &[1, 1]);
    let at = |_| table.at(&table.pick_with(None, &[], Again::Never).expect("there is one"));
    assert_eq!((0..4).map(at).collect::<Vec<_>>(), [0, 1, 0, 1]);
}

/// So that a change of the hash does not slip in: gates side by side must agree.
#[test]
fn keys_stay_where_they_were() {
    let table = Table::new(Balance::Hash(HashBy::Client), &[1; 4]);
    let mut places = BTreeMap::new();
    for key in ["mobile-app", "support-agent", "batch", "partner-7"] {
        let attempt = table.pick_with(Some(hash(key.as_bytes())), &[], Again::Never);
        places.insert(key, table.at(&attempt.expect("there is one")));
    }
    let expected = [("batch", 3), ("mobile-app", 2), ("partner-7", 0), ("support-agent", 1)];
    assert_eq!(places, BTreeMap::from(expected));
}

#[test]
fn nobody_to_pick_says_why() {
    for balance in BALANCES {
        let none = Table::new(balance.clone(), &[]);
        assert_eq!(none.pick().err(), Some(NoPick::Unresolved), "{balance:?}");

        let mut dead = Table::new(balance.clone(), &[1, 1]);
        dead.upstream.panic_threshold = 0;
        (0..2).for_each(|at| dead.make_unhealthy(at));
        assert_eq!(dead.pick().err(), Some(NoPick::Unhealthy), "{balance:?}");

        let mut full = Table::new(balance.clone(), &[1, 1]);
        full.upstream.connections_max = Some(2);
        let held: Vec<Attempt> = (0..4).map(|_| full.pick().expect("room")).collect();
        assert_eq!(full.pick().err(), Some(NoPick::Full), "{balance:?}");
        drop(held);
        assert!(full.pick().is_ok());
    }
}

#[test]
fn in_panic_all_get_requests() {
    for balance in BALANCES {
        let check = |threshold: u8, unhealthy: usize, all: bool| {
            let mut table = Table::new(balance.clone(), &[1; 4]);
            table.upstream.panic_threshold = threshold;
            (0..unhealthy).for_each(|at| table.make_unhealthy(at));
            let shares = table.shares(200);
            let unhealthy: usize = shares.iter().take(unhealthy).sum();
            assert_eq!(unhealthy > 0, all, "{balance:?} {threshold} {shares:?}");
        };
        check(50, 2, false);
        check(50, 3, true);
        check(100, 1, true);
        check(0, 3, false);
    }
}

#[test]
fn a_retry_goes_elsewhere_while_it_can() {
    for balance in BALANCES {
        let table = Table::new(balance, &[1, 1, 1]);
        let tried = [Arc::clone(table.instance(0)), Arc::clone(table.instance(1))];
        for key in 0..50 {
            let attempt = table.pick_with(Some(hash(&[key])), &tried, Again::IfAlone);
            assert_eq!(table.at(&attempt.expect("there is one")), 2);
        }
        let all = [0, 1, 2].map(|at| Arc::clone(table.instance(at)));
        assert!(table.pick_with(Some(1), &all, Again::IfAlone).is_ok());
        assert!(table.pick_with(Some(1), &all, Again::Never).is_err());
    }
}

fn balance() -> impl Strategy<Value = Balance> {
    prop::sample::select(BALANCES.to_vec())
}

proptest! {
    #[test]
    fn turns_are_as_many_as_weights_say(weights in prop::collection::vec(1_u16..=100, 1..20)) {
        let common = weights.iter().copied().fold(0, divisor);
        let turns = schedule(&members(&weights));
        for (at, weight) in (0_u16..).zip(&weights) {
            let count = turns.iter().filter(|turn| **turn == at).count();
            prop_assert_eq!(count, usize::from(weight / common));
        }
    }

    #[test]
    fn only_those_are_picked_that_may_have_it(
        balance in balance(),
        weights in prop::collection::vec(1_u16..=5, 1..12),
        unhealthy in prop::collection::vec(any::<bool>(), 12),
        busy in prop::collection::vec(0_u32..4, 12),
        keys in prop::collection::vec(any::<u64>(), 1..20),
        threshold in prop::sample::select(vec![0_u8, 50, 100]),
    ) {
        let mut table = Table::new(balance, &weights);
        table.upstream.panic_threshold = threshold;
        table.upstream.connections_max = Some(3);
        let mut held = Vec::new();
        for at in 0..weights.len() {
            if unhealthy[at] {
                table.make_unhealthy(at);
            }
            held.extend((0..busy[at]).filter_map(|_| table.instance(at).enter(3)));
        }
        let healthy = (0..weights.len()).filter(|at| !unhealthy[*at]).count();
        let panic = healthy * 100 < weights.len() * usize::from(threshold);
        let may = |at: usize| (panic || !unhealthy[at]) && busy[at] < 3;
        for key in keys {
            match table.pick_with(Some(key), &[], Again::Never) {
                Ok(attempt) => prop_assert!(may(table.at(&attempt))),
                Err(_) => prop_assert!(!(0..weights.len()).any(may)),
            }
        }
    }

    #[test]
    fn only_the_keys_of_one_that_leaves_move(
        weights in prop::collection::vec(1_u16..=5, 2..12),
        leaves in any::<prop::sample::Index>(),
        keys in prop::collection::vec(any::<u64>(), 1..50),
    ) {
        let mut table = Table::new(Balance::Hash(HashBy::Client), &weights);
        let leaves = leaves.index(weights.len());
        let place = |table: &Table, key: &u64| {
            table.pick_with(Some(*key), &[], Again::Never).map(|attempt| table.at(&attempt))
        };
        let before: Vec<_> = keys.iter().map(|key| place(&table, key)).collect();
        let rest = members(&weights).into_iter().enumerate().filter(|(at, _)| *at != leaves);
        table.members = Members::new(rest.map(|(_, member)| member).collect());
        for (key, before) in keys.iter().zip(before) {
            let after = place(&table, key);
            let after = after.map(|at| if at >= leaves { at + 1 } else { at });
            if before != Ok(leaves) {
                prop_assert_eq!(after, before);
            }
        }
    }
}
