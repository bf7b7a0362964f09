//! Quarantines: what each takes from its client, in which order it is told, and that it is over by itself.

use std::sync::Arc;
use std::time::Duration;

use onegate::model::api::Effect;
use onegate::model::denial::{Advice, Denial, Refusal, Taken, Withheld};
use onegate::model::id::OperationId;
use onegate::model::quarantine::{CallRate, Quarantine, RateCell, Slowed};
use onegate::model::time::{MonoNs, Now, UnixMicros};
use onegate::request::{Call, Seen, still_permitted};
use proptest::prelude::*;

use super::lab::{Lab, at};
use super::{NOW, PAST, World, grant, now, one_profile};

const UNTIL: UnixMicros = UnixMicros(NOW.0 + 90_000_000);

fn operations(ids: &[&str], until: UnixMicros) -> Box<[(OperationId, UnixMicros)]> {
    let id = |text: &&str| (OperationId::parse_joined(text).expect("valid"), until);
    ids.iter().map(id).collect()
}

fn slowed(limit: u32, seconds: u64, until: UnixMicros) -> Slowed {
    let rate = CallRate { limit, per: Duration::from_secs(seconds) };
    Slowed { rate, until, cell: Arc::new(RateCell::default()) }
}

/// A world with one more client, which may do all and is in quarantine.
fn with(held: Quarantine) -> World {
    let mut world = World::new();
    world.add("held", |client| {
        let all = vec![grant("payments-all", None)];
        client.profiles = one_profile(all, "payments:read payments:write", None);
        client.quarantine = Some(Box::new(held));
    });
    world
}

const LIST: &str = "GET api.example.com/api/payments";
const SHOW: &str = "GET api.example.com/api/payments/7";
const CREATE: &str = "POST api.example.com/api/payments";
const PUBLIC: &str = "api.example.com/status/x";

#[test]
fn each_kind_takes_its_calls_and_no_others() {
    let check = |held: &dyn Fn() -> Quarantine, line: &str, expected: Result<&str, Denial>| {
        let verdict = with(held()).decide(line, &["key=held"], &mut Seen::default());
        let verdict = verdict.map_err(|refusal| refusal.denial);
        assert_eq!(verdict.as_deref().map_err(|denial| *denial), expected, "{line} {:?}", held());
    };
    let held = Err(Denial::Quarantined);
    let list = Ok("payments.list by payments-all");

    let reads = || Quarantine { reads_only: Some(UNTIL), ..Quarantine::default() };
    check(&reads, LIST, list);
    check(&reads, "HEAD api.example.com/api/payments", list);
    check(&reads, CREATE, held);
    // In public apis too, since the client is known.
    for method in ["GET", "HEAD", "OPTIONS", "QUERY"] {
        check(&reads, &format!("{method} {PUBLIC}"), Ok("status.all by public"));
    }
    for method in ["POST", "PUT", "PATCH", "DELETE", "PURGE"] {
        check(&reads, &format!("{method} {PUBLIC}"), held);
    }

    let some = || Quarantine {
        operations: operations(&["payments.create", "payments.list"], UNTIL),
        ..Quarantine::default()
    };
    check(&some, LIST, held);
    check(&some, CREATE, held);
    check(&some, SHOW, Ok("payments.show by payments-all"));
    let public =
        || Quarantine { operations: operations(&["status.all"], UNTIL), ..Quarantine::default() };
    check(&public, &format!("GET {PUBLIC}"), held);

    // Over is over, without any act.
    for over in [NOW, PAST] {
        let all = || Quarantine {
            reads_only: Some(over),
            rate: Some(slowed(1, 3600, over)),
            operations: operations(&["payments.create", "payments.list"], over),
        };
        check(&all, LIST, list);
        check(&all, CREATE, Ok("payments.create by payments-all"));
    }
    // What is not the client's to call is not told as a matter of quarantine.
    check(&reads, "DELETE api.example.com/api/payments", Err(Denial::MethodNotAllowed));
    let orphan = || Quarantine {
        operations: operations(&["payments.orphan"], UNTIL),
        ..Quarantine::default()
    };
    check(&orphan, "GET api.example.com/api/orphan", Err(Denial::NotGranted));
}

#[test]
fn who_is_refused_is_told_which_calls_and_until_when() {
    let refused = |held: Quarantine, line: &str| -> Refusal {
        with(held).decide(line, &["key=held"], &mut Seen::default()).expect_err("in quarantine")
    };
    let check = |refusal: &Refusal, taken: Taken, words: &[&str]| {
        let withheld = Withheld { taken, until: UNTIL, after_seconds: 90 };
        assert_eq!(refusal.advice, Advice::Quarantine(Box::new(withheld)));
        let told = refusal.advice.detail(&refusal.denial.row()).into_owned();
        for word in words.iter().chain(&["Until 2027-01-15T08:01:30.000000Z"]) {
            assert!(told.contains(word), "{word}: {told}");
        }
    };
    let held = Quarantine { reads_only: Some(UNTIL), ..Quarantine::default() };
    check(
        &refused(held, CREATE),
        Taken::Writes,
        &["may only read", "GET, HEAD, OPTIONS and QUERY"],
    );
    let one = operations(&["payments.list"], UNTIL);
    let held = Quarantine { operations: one, ..Quarantine::default() };
    check(&refused(held, LIST), Taken::Operation, &["may not call this operation"]);
}

#[test]
fn a_rate_in_quarantine_is_charged_beside_the_plan_or_not_at_all() {
    let rate =
        |limit| Quarantine { rate: Some(slowed(limit, 3600, UNTIL)), ..Quarantine::default() };
    let world = with(rate(2));
    let ask = || world.decide(LIST, &["key=held"], &mut Seen::default());
    assert!(ask().is_ok() && ask().is_ok());
    let refusal = ask().expect_err("used up");
    assert_eq!(refusal.denial, Denial::Quarantined);
    let told = refusal.advice.detail(&refusal.denial.row()).into_owned();
    assert!(told.contains("at most 2/1h calls"), "{told}");
    assert_eq!(refusal.advice.after_seconds(), Some(1800));

    // What the plan refuses is not charged here: of three calls one is left.
    let mut lab = Lab::new("rates = [{ limit = 2, per = '1s' }]");
    let held =
        Quarantine { rate: Some(slowed(3, 3600, UnixMicros::FOREVER)), ..Quarantine::default() };
    lab.change_client(|client| client.quarantine = Some(Box::new(held)));
    assert!(lab.call(0, "GET", at(0)).is_ok() && lab.call(0, "GET", at(0)).is_ok());
    for _ in 0..10 {
        let refusal = lab.call(0, "GET", at(0)).expect_err("the plan's rate is used up");
        assert_eq!(refusal.denial, Denial::RateLimited);
    }
    assert!(lab.call(0, "GET", at(10)).is_ok());
    let refusal = lab.call(0, "GET", at(10)).expect_err("the quarantine's rate is used up");
    assert_eq!(refusal.denial, Denial::Quarantined);
}

#[test]
fn a_live_call_that_is_taken_away_is_no_longer_permitted() {
    let check = |held: Quarantine, effect: Effect, expected: Result<(), Denial>| {
        let world = with(held);
        let (_, key) = world.keys.last().expect("the client's").clone();
        let id = onegate::model::key::PresentedKey::parse(key.as_bytes()).expect("valid").id;
        let operation = OperationId::parse_joined("payments.list").expect("valid");
        let call = Call { credential: Some(id), operation, effect, source_ip: None };
        let verdict = still_permitted(&world.snapshot, &call, now());
        assert_eq!(verdict.map_err(|refusal| refusal.denial), expected, "{effect:?}");
    };
    let reads = || Quarantine { reads_only: Some(UNTIL), ..Quarantine::default() };
    check(reads(), Effect::Writes, Err(Denial::Quarantined));
    check(reads(), Effect::Reads, Ok(()));
    let listing = operations(&["payments.list"], UNTIL);
    let held = Quarantine { operations: listing, ..Quarantine::default() };
    check(held, Effect::Reads, Err(Denial::Quarantined));
    // A call that was let in was charged.
    let held = Quarantine { rate: Some(slowed(1, 3600, UNTIL)), ..Quarantine::default() };
    check(held, Effect::Writes, Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Never more than the rate in any span of its length, beyond the burst that rest has earned.
    #[test]
    fn a_rate_in_quarantine_is_never_exceeded(
        limit in 1..6_u32,
        gaps_ms in prop::collection::vec(0..400_u64, 1..80),
    ) {
        let mut lab = Lab::new("rates = [{ limit = 1000000, per = '1s' }]");
        let held = Quarantine { rate: Some(slowed(limit, 1, UnixMicros::FOREVER)), ..Quarantine::default() };
        lab.change_client(|client| client.quarantine = Some(Box::new(held)));
        let interval = 1_000_000_000_u64.div_ceil(limit.into());
        let full = interval * u64::from(limit);
        let (mut level, mut now_ns) = (full, 0);
        for gap_ms in gaps_ms {
            now_ns += gap_ms * 1_000_000;
            level = (level + gap_ms * 1_000_000).min(full);
            let expected = level >= interval;
            level -= if expected { interval } else { 0 };
            let admitted = lab.call(0, "GET", Now { mono: MonoNs(now_ns), wall: at(0).wall });
            prop_assert_eq!(admitted.is_ok(), expected);
        }
    }
}
