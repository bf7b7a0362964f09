//! What stands behind the gate, and how it fails: endpoints and weights, retries, timeouts, and a
//! failure's word for each.

use std::collections::BTreeSet;

use onegate::model::denial::Failure;
use serde_json::Value;

use super::harness::address;
use super::harness::gate::Gate;
use super::harness::http::{Body, Request, Response};
use super::harness::poll;
use super::harness::setup::Setup;
use super::harness::upstream::{Mood, Upstream};

#[test]
fn requests_go_to_every_endpoint() {
    let upstreams = [Upstream::start(), Upstream::start(), Upstream::start()];
    let endpoints = upstreams.each_ref().map(|upstream| format!("\"{}\"", upstream.address));
    let setup = Setup { endpoints: endpoints.join(", "), ..Setup::before(&upstreams[0]) };
    let gate = Gate::start(&setup);
    for n in 0..30 {
        assert_eq!(gate.call(&Request::get(&format!("/open/ok/{n}"))).status, 200);
    }
    assert_eq!(upstreams.each_ref().map(|upstream| upstream.received().len()), [10, 10, 10]);
}

#[test]
fn weights_divide_the_requests() {
    let upstreams = [Upstream::start(), Upstream::start()];
    let endpoints = format!(
        r#"{{ address = "{}", weight = 3 }}, "{}""#,
        upstreams[0].address, upstreams[1].address,
    );
    let gate = Gate::start(&Setup { endpoints, ..Setup::before(&upstreams[0]) });
    for n in 0..40 {
        assert_eq!(gate.call(&Request::get(&format!("/open/ok/{n}"))).status, 200);
    }
    assert_eq!(upstreams.each_ref().map(|upstream| upstream.received().len()), [30, 10]);
}

#[test]
fn a_dead_endpoint_is_passed_over() {
    let alive = Upstream::start();
    let endpoints = format!("\"{}\", \"{}\"", address::free(), alive.address);
    let setup = Setup { endpoints, upstream: "retries = 1", ..Setup::before(&alive) };
    let gate = Gate::start(&setup);
    for n in 0..10 {
        // Nothing was sent to the dead one, so any method may be tried again.
        let request = Request::new("POST", &format!("/open/echo/{n}")).body(b"once");
        assert_eq!(gate.call(&request).text(), "once");
    }
    assert_eq!(alive.received().len(), 10);
}

#[test]
fn what_may_have_been_done_is_not_done_again() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup { upstream: "retries = 2", ..Setup::before(&upstream) });
    let post = gate.call(&Request::new("POST", "/open/close/1").body(b"pay"));
    expect_failure(&gate, &post, Failure::UpstreamProtocol);
    assert_eq!(upstream.received_at("/open/close/1").len(), 1, "a POST was sent twice");
}

#[test]
fn what_is_sent_again_is_what_was_sent() {
    let upstreams = [Upstream::start(), Upstream::start()];
    let endpoints = format!("\"{}\", \"{}\"", upstreams[0].address, upstreams[1].address);
    for balance in [
        "balance = \"round_robin\"\nejection = { failures = 0 }",
        "balance = \"hash:header:x-tenant\"\nejection = { failures = 0 }",
    ] {
        let setup = Setup { endpoints: endpoints.clone(), ..Setup::before(&upstreams[0]) };
        let gate = Gate::start(&Setup { upstream: balance, ..setup });
        upstreams[0].feel(Mood::Closing);
        let mut again = 0;
        for n in 0..20 {
            let target = format!("/open/echo/{n}?{}", balance.len());
            let request = Request::new("PUT", &target).field("Cookie", "a=1").body(b"whole");
            let request = request.field("X-Tenant", &n.to_string()).field("X-Twice", "one");
            let response = gate.call(&request.field("X-Twice", "two"));
            assert_eq!((response.status, response.text()), (200, "whole"), "{target}");
            gate.record_of(&response);
            let received: Vec<_> =
                upstreams.iter().flat_map(|upstream| upstream.received_at(&target)).collect();
            let [first, rest @ ..] = &received[..] else { panic!("{target} arrived nowhere") };
            assert_eq!(first.fields.values("x-twice"), ["one", "two"]);
            assert_eq!(first.fields.values("content-length"), ["5"]);
            for sent_again in rest {
                assert_eq!(sent_again.fields, first.fields);
                again += 1;
            }
        }
        assert!(again > 0, "{balance}: nothing was sent again");
    }
}

#[test]
fn idle_connections_are_not_kept_longer() {
    let upstream = Upstream::start();
    let call = |gate: &Gate, n: usize| {
        assert_eq!(gate.call(&Request::get(&format!("/open/ok/{n}"))).status, 200);
    };
    let none = Gate::start(&Setup { upstream: "keepalive = \"0s\"", ..Setup::before(&upstream) });
    (0..3).for_each(|n| call(&none, n));
    assert_eq!(upstream.connections().made, 3);

    let some = Gate::start(&Setup { upstream: "keepalive = \"2s\"", ..Setup::before(&upstream) });
    // The caller may have its answer a moment before the connection is kept for the next.
    poll::until("a kept connection is used again", || {
        let before = upstream.connections().made;
        call(&some, 4);
        (before > 3 && upstream.connections().made == before).then_some(())
    });
    poll::until("it is closed again", || (upstream.connections().open == 0).then_some(()));
}

#[test]
fn a_connection_that_takes_too_long_is_unreachable() {
    let upstream = Upstream::start();
    // An address that is for documentation only: nobody answers there.
    let endpoints = "\"192.0.2.1:9\"".to_owned();
    let keys = "timeouts = { connect = \"300ms\" }\nretries = 0";
    let gate = Gate::start(&Setup { endpoints, upstream: keys, ..Setup::before(&upstream) });
    let response = gate.call(&Request::get("/open/ok/1"));
    expect_failure(&gate, &response, Failure::UpstreamUnreachable);
}

#[test]
fn a_late_head_is_a_timeout() {
    let upstream = Upstream::start();
    let keys = "timeouts = { first_byte = \"300ms\" }";
    let gate = Gate::start(&Setup { upstream: keys, ..Setup::before(&upstream) });
    let response = gate.call(&Request::get("/open/hold/1"));
    expect_failure(&gate, &response, Failure::UpstreamTimeout);
}

#[test]
fn a_stalled_body_is_ended() {
    let upstream = Upstream::start();
    let keys = "timeouts = { idle = \"300ms\" }";
    let gate = Gate::start(&Setup { upstream: keys, ..Setup::before(&upstream) });
    let response = gate.call(&Request::get("/open/stream/1"));
    assert_eq!((response.status, response.complete), (200, false));
    let record = gate.record_of(&response);
    assert_eq!(record["failure"], Failure::UpstreamTimeout.code(), "{record}");
    assert_eq!(record["end"], "deadline", "{record}");
}

#[test]
fn a_request_past_its_deadline_is_ended() {
    let upstream = Upstream::start();
    let keys = "timeouts = { total = \"300ms\" }";
    let gate = Gate::start(&Setup { upstream: keys, ..Setup::before(&upstream) });
    let response = gate.call(&Request::get("/open/hold/1"));
    let record = expect_failure(&gate, &response, Failure::Deadline);
    assert_eq!(record["end"], "deadline", "{record}");
}

#[test]
fn each_failure_has_its_word() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup { upstream: "retries = 0", ..Setup::before(&upstream) });
    let check = |behaviour: &str, expected: Failure| {
        let mut client = gate.client();
        client.send(&Request::get(&format!("/open/{behaviour}/1")).bytes());
        let response = client.read(Body::Expected).expect("an answer");
        expect_failure(&gate, &response, expected);
    };
    check("garbage", Failure::UpstreamProtocol);
    check("close", Failure::UpstreamProtocol);
    check("reset", Failure::UpstreamProtocol);

    let nobody = Setup { upstream: "retries = 0", ..Setup::before_address(address::free()) };
    let gate = Gate::start(&nobody);
    let response = gate.call(&Request::get("/open/ok/1"));
    expect_failure(&gate, &response, Failure::UpstreamUnreachable);

    let tests = include_str!("upstream.rs");
    let internal = BTreeSet::from([Failure::InternalError.code()]);
    for failure in Failure::ALL.iter().filter(|failure| !internal.contains(failure.code())) {
        assert!(tests.contains(&format!("Failure::{failure:?}")), "{failure} has no test");
    }
}

#[test]
fn a_body_that_breaks_off_is_not_mended() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup::before(&upstream));
    let response = gate.call(&Request::get("/open/close-mid-body/1"));
    assert_eq!((response.status, response.complete, response.body.len()), (200, false, 512));
    let record = gate.record_of(&response);
    assert_eq!(record["end"], "upstream_error", "{record}");
    assert_eq!(record["decision"], "allowed", "{record}");
}

/// A failure is told like a denial, and recorded as allowed: the caller was in its right.
fn expect_failure(gate: &Gate, response: &Response, failure: Failure) -> Value {
    let row = failure.row();
    assert_eq!(response.status, row.status, "{response:?}");
    let problem = response.problem();
    assert_eq!(problem["code"], row.code, "{problem}");
    assert_eq!(problem["title"], row.title.0, "{problem}");
    let record = gate.record_of(response);
    assert_eq!(record["decision"], "allowed", "{record}");
    assert_eq!(record["failure"], row.code, "{record}");
    record
}
