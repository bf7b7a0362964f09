//! The shield against strangers: calls without a valid credential, by source. Callers with one never
//! notice it.

use onegate::model::denial::Denial;

use super::harness::bench::expect_denial;
use super::harness::gate::Gate;
use super::harness::http::{Body, Request, Response};
use super::harness::setup::Setup;
use super::harness::upstream::Upstream;

const FIVE_AN_HOUR: &str = "[limits.anonymous]\nlimit = 5\nper = \"1h\"\n";

fn start(upstream: &Upstream) -> Gate {
    Gate::start(&Setup {
        server: "drain_deadline = \"2s\"\ntrusted_proxies = [\"127.0.0.1\"]",
        more: FIVE_AN_HOUR.to_owned(),
        ..Setup::before(upstream)
    })
}

/// Looks at an answer to a stranger that has had its calls, and at its record.
fn expect_shield(gate: &Gate, response: &Response) {
    expect_denial(response, Denial::TooManyUnauthenticated, &[]);
    let after: u64 =
        response.field("retry-after").and_then(|text| text.parse().ok()).expect("seconds");
    assert!((3000..=3600).contains(&after), "{after}: the window began with the gate");
    assert_eq!(response.field("ratelimit-policy"), Some("\"anonymous\";q=5;w=3600"));
    let standing = format!("\"anonymous\";r=0;t={after}");
    assert_eq!(response.field("ratelimit"), Some(standing.as_str()));
    assert_eq!(response.problem()["violated-policies"][0], "anonymous");
    let record = gate.record_of(response);
    assert_eq!(record["denial"], "too_many_unauthenticated", "{record}");
    assert_eq!(record["limit"], "anonymous", "{record}");
}

#[test]
fn strangers_are_limited_by_source() {
    let upstream = Upstream::start();
    let gate = start(&upstream);
    let key = gate.add_lab_client("honest");
    let revoked = gate.add_lab_client("gone");
    gate.cli(&["revoke", "client", "gone", "--reason", "testing"]).expect_success();
    let from = |source: &str, request: Request| request.field("X-Forwarded-For", source);
    let call = |source: &str, request: Request| gate.call(&from(source, request));
    let get = || Request::get("/lab/ok/1");
    // Whatever a stranger tries, it is counted: one of each.
    let tries = [
        (get(), 401),
        (get().key("og_live_x"), 401),
        (get().key(&revoked.text), 401),
        (Request::get("/nowhere"), 404),
        (Request::get("/open/ok/1"), 200),
    ];
    for (request, status) in tries {
        assert_eq!(call("192.0.2.1", request).status, status);
        assert_eq!(call("192.0.2.1", get().key(&key.text)).status, 200, "behind the same address");
    }
    for request in [get(), get().key("og_live_x"), Request::get("/open/ok/2")] {
        expect_shield(&gate, &call("192.0.2.1", request));
    }
    assert!(upstream.received_at("/open/ok/2").is_empty());
    // A valid credential passes, whatever the strangers beside it did, and whatever it is denied.
    assert_eq!(call("192.0.2.1", get().key(&key.text)).status, 200);
    assert_eq!(call("192.0.2.1", Request::get("/open/ok/3").key(&key.text)).status, 200);
    assert_eq!(call("192.0.2.1", Request::get("/lab/none").key(&key.text)).status, 404);
    // Another source has its own calls; an IPv6 site is one source.
    assert_eq!(call("192.0.2.2", get()).status, 401);
    for host in 0..5 {
        assert_eq!(call(&format!("2001:db8::{host:x}"), get()).status, 401);
    }
    expect_shield(&gate, &call("2001:db8::ffff:1", get()));
    assert_eq!(call("2001:db8:0:1::1", get()).status, 401);
}

#[test]
fn malformed_heads_are_counted() {
    let upstream = Upstream::start();
    let gate = start(&upstream);
    let send = |head: &str| {
        let mut client = gate.client();
        client.send(head.as_bytes());
        client.read(Body::Expected).expect("an answer")
    };
    for _ in 0..5 {
        let response = send("GET / HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n");
        expect_denial(&response, Denial::MalformedRequest, &[]);
    }
    expect_shield(&gate, &send("GET / HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n"));
    expect_shield(&gate, &gate.call(&Request::get("/lab/ok/1")));
}

#[test]
fn without_the_section_strangers_are_not_counted() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup::before(&upstream));
    for _ in 0..50 {
        assert_eq!(gate.call(&Request::get("/lab/ok/1")).status, 401);
    }
}
