//! The loop brake in the decision: who is refused after how many calls, what is told, and who pays nothing.

use std::time::Duration;

use onegate::model::denial::{Denial, Failure};
use onegate::model::id::LimitName;
use onegate::model::loops::{Ended, Looping};
use onegate::model::plan::Mode;
use onegate::model::record::Outcome;
use onegate::request::brake::{Braked, ended};

use super::lab::{Lab, at};

const ON: &str =
    "loop_brake = { mode = 'on', failures = 3, calls = 4, window = '1m', quarantine = '5m' }";

/// One call whose upstream answers with a status: what the caller is refused with, and the brake that came on.
fn call(
    lab: &mut Lab,
    target: (&str, &str),
    status: u16,
    seconds: i64,
) -> (Option<Denial>, Option<Braked>) {
    let (method, path) = target;
    let admitted = lab.call_at(0, (method, path), at(seconds));
    let denial = admitted.as_ref().err().map(|refusal| refusal.denial);
    let outcome = denial.map_or(Outcome::Allowed, Outcome::Denied);
    let status = denial.map_or(status, |denial| denial.row().status);
    let watch = lab.seen.watch.as_mut();
    (denial, watch.and_then(|watch| watch.tell(ended(outcome, status), at(seconds))))
}

const READ: (&str, &str) = ("GET", "/");
const WRITE: (&str, &str) = ("POST", "/");
const NOWHERE: (&str, &str) = ("GET", "/nowhere");

#[test]
fn what_fails_again_and_again_is_refused_for_a_while_and_nothing_else() {
    let check = |target: (&str, &str), status: u16, first: Option<Denial>, called: &str| {
        let mut lab = Lab::new(ON);
        for n in 0..3 {
            let (denial, braked) = call(&mut lab, target, status, n);
            assert_eq!(denial, first, "{target:?}");
            assert_eq!(braked.is_some(), n == 2, "{target:?}");
            if let Some(Braked { client, called: of, looping, brake }) = braked {
                assert_eq!((client.as_str(), looping), ("client", Looping::Failed(3)));
                assert_eq!(format!("{of:?}"), called);
                assert_eq!(brake.quarantine, Duration::from_mins(5));
            }
        }
        for n in 0..1000 {
            assert_eq!(call(&mut lab, target, status, 3 + n / 10).0, Some(Denial::RepeatedCall));
        }
        let refusal = lab.call_at(0, target, at(10)).expect_err("braked");
        assert_eq!(refusal.advice.after_seconds(), Some(2 + 300 - 10));
        let told = refusal.advice.detail(&refusal.denial.row()).into_owned();
        assert!(told.starts_with("Do not repeat this call: it failed 3 times in a row"), "{told}");
        assert_eq!(told.matches('.').count(), 1, "one sentence: {told}");
        assert_eq!(refusal.limit().map(LimitName::as_str), Some("loop_brake"));
        // Whatever else the client calls goes on, and this too when its time has come.
        assert_eq!(call(&mut lab, WRITE, 200, 20).0, None);
        assert_eq!(call(&mut lab, target, 200, 303).0, first);
    };
    check(READ, 404, None, "Operation(lab.read)");
    check(READ, 500, None, "Operation(lab.read)");
    check(NOWHERE, 0, Some(Denial::NotFound), "NothingOf(lab)");
    check(("PATCH", "/"), 0, Some(Denial::MethodNotAllowed), "NothingOf(lab)");
}

#[test]
fn paths_that_lead_nowhere_count_together() {
    let mut lab = Lab::new(ON);
    for n in 0..3 {
        let path = format!("/guess/{n}");
        assert_eq!(call(&mut lab, ("GET", &path), 0, 0).0, Some(Denial::NotFound));
    }
    assert_eq!(call(&mut lab, ("GET", "/guess/other"), 0, 0).0, Some(Denial::RepeatedCall));
}

#[test]
fn a_call_that_goes_well_begins_anew() {
    let mut lab = Lab::new(ON);
    for n in 0..1000 {
        let status = if n % 3 == 2 { 200 } else { 503 };
        let (denial, braked) = call(&mut lab, READ, status, n / 100);
        assert_eq!((denial, braked.is_some()), (None, false));
    }
}

#[test]
fn who_runs_into_its_limits_without_end_is_refused() {
    let mut lab = Lab::new(&format!("rates = [{{ limit = 1, per = '1h' }}]\n{ON}"));
    assert_eq!(call(&mut lab, READ, 200, 0).0, None);
    for n in 0..4 {
        let (denial, braked) = call(&mut lab, READ, 200, n);
        assert_eq!(denial, Some(Denial::RateLimited));
        assert_eq!(braked.map(|braked| braked.looping), (n == 3).then_some(Looping::TooFast(4)));
    }
    assert_eq!(call(&mut lab, READ, 200, 4).0, Some(Denial::RepeatedCall));
    // Another operation is over the same rate, and not braked.
    assert_eq!(call(&mut lab, WRITE, 200, 4).0, Some(Denial::RateLimited));
}

#[test]
fn a_shadow_refuses_nothing_and_says_what_it_would_have() {
    let mut lab = Lab::new(&ON.replace("'on'", "'shadow'"));
    let mut on = 0;
    for n in 0..100 {
        let (denial, braked) = call(&mut lab, READ, 500, n / 10);
        assert_eq!(denial, None);
        if let Some(braked) = braked {
            assert_eq!(braked.brake.mode, Mode::Shadow);
            on += 1;
        }
        let would = lab.seen.watch.as_ref().expect("it watches").would_refuse();
        let told = would.map(|(plan, limit)| format!("{plan}/{limit}"));
        assert_eq!(told.as_deref(), (n >= 3).then_some("plan/loop_brake"), "call {n}");
    }
    assert_eq!(on, 1);
}

#[test]
fn without_a_brake_nothing_is_kept() {
    for plan in ["rates = [{ limit = 1000, per = '1s' }]", &ON.replace("'on'", "'off'")] {
        let mut lab = Lab::new(plan);
        for _ in 0..100 {
            assert_eq!(call(&mut lab, READ, 500, 0).0, None);
            assert!(lab.seen.watch.is_none(), "{plan}");
        }
    }
}

#[test]
fn every_end_of_a_call_has_its_meaning() {
    let check = |outcome: Outcome, status: u16, expected: Ended| {
        assert_eq!(ended(outcome, status), expected, "{outcome:?} {status}");
    };
    for status in [101, 200, 204, 304, 399] {
        check(Outcome::Allowed, status, Ended::Well);
    }
    for status in [400, 404, 429, 500, 599] {
        check(Outcome::Allowed, status, Ended::Badly);
    }
    check(Outcome::Allowed, 0, Ended::Aside);
    for failure in Failure::ALL {
        let is_ours = matches!(failure, Failure::InternalError | Failure::Deadline);
        let expected = if is_ours { Ended::Aside } else { Ended::Badly };
        check(Outcome::Failed(failure), failure.row().status, expected);
    }
    // What the brake and its quarantine refuse is no failure, or they would never end.
    // Nor is what a stolen key gets at other addresses than its owner's.
    let aside = [Denial::RepeatedCall, Denial::Quarantined, Denial::Overloaded];
    for denial in aside.into_iter().chain([Denial::AddressNotAllowed]) {
        check(Outcome::Denied(denial), denial.row().status, Ended::Aside);
    }
    for denial in [Denial::RateLimited, Denial::QuotaExhausted, Denial::ConcurrencyLimited] {
        check(Outcome::Denied(denial), denial.row().status, Ended::OverLimit);
    }
    for denial in [Denial::NotGranted, Denial::NotFound, Denial::MalformedRequest] {
        // A message is answered with 200 and an error within.
        check(Outcome::Denied(denial), 200, Ended::Badly);
    }
}

#[test]
fn a_change_of_plan_or_config_forgives_nothing_it_does_not_name() {
    let mut lab = Lab::new(ON);
    for _ in 0..3 {
        call(&mut lab, READ, 500, 0);
    }
    lab.reload(&ON.replace("failures = 3", "failures = 30"));
    assert_eq!(call(&mut lab, READ, 200, 1).0, Some(Denial::RepeatedCall));
    lab.reload("rates = [{ limit = 1000, per = '1s' }]");
    assert_eq!(call(&mut lab, READ, 200, 2).0, None);
    assert!(lab.seen.watch.is_none());
}
