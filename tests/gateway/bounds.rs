//! Each bound of `[server.bounds]`, and of an api's body: what fits passes, one more does not.

use std::time::Duration;

use onegate::model::denial::Denial;

use super::harness::bench::{Bench, expect_denial};
use super::harness::gate::Gate;
use super::harness::http::{Body, Request};
use super::harness::poll;
use super::harness::setup::Setup;
use super::harness::upstream::Upstream;

#[test]
fn an_idle_connection_is_closed() {
    let upstream = Upstream::start();
    let bounds = "idle_timeout = \"1s\"";
    let gate = Gate::start(&Setup { bounds, ..Setup::before(&upstream) });
    let mut unused = gate.client();
    let mut used = gate.client();
    assert_eq!(used.call(&Request::get("/open/ok/1")).status, 200);
    for client in [&mut unused, &mut used] {
        assert!(client.read(Body::Expected).is_none(), "nobody asked for an answer");
    }
}

#[test]
fn a_slow_head_is_refused() {
    let upstream = Upstream::start();
    let bounds = "head_deadline = \"2s\"";
    let gate = Gate::start(&Setup { bounds, ..Setup::before(&upstream) });
    let mut client = gate.client();
    // Each byte comes in good time; the whole does not.
    for byte in b"GET /open/ok/1 HTTP/1.1\r\nHost: gate.test\r\n" {
        client.send(&[*byte]);
        if client.hears_within(Duration::from_millis(200)) {
            break;
        }
    }
    let response = client.read(Body::Expected).expect("an answer");
    expect_denial(&response, Denial::RequestTimeout, &[]);
}

#[test]
fn a_slow_body_is_refused() {
    let upstream = Upstream::start();
    let bounds = "body_timeout = \"1s\"";
    let gate = Gate::start(&Setup { bounds, ..Setup::before(&upstream) });
    let request = Request::new("POST", "/open/echo/1").field("Content-Length", "9");
    let mut client = gate.client();
    client.send(&request.head_bytes());
    client.send(b"half");
    let response = client.read(Body::Expected).expect("an answer");
    expect_denial(&response, Denial::RequestTimeout, &[]);
    assert_eq!(gate.record_of(&response)["end"], "deadline");
}

#[test]
fn callers_below_the_least_rate_are_ended() {
    let upstream = Upstream::start();
    let bounds = "body_rate_min = \"16KiB\"\nbody_rate_window = \"2s\"";
    let gate = Gate::start(&Setup { bounds, ..Setup::before(&upstream) });
    let pause = Duration::from_millis(100);

    let mut sends = gate.client();
    let request = Request::new("POST", "/open/echo/1").field("Content-Length", "100000");
    sends.send(&request.head_bytes());
    while !sends.hears_within(pause) {
        sends.send(b"drip");
    }
    let response = sends.read(Body::Expected).expect("an answer");
    expect_denial(&response, Denial::RequestTimeout, &[]);
    let record = gate.record_of(&response);
    assert_eq!((&record["end"], &record["reason"]), (&"deadline".into(), &SENT_SLOWLY.into()));

    let mut reads = gate.client();
    reads.send(&Request::get("/open/endless/1").bytes());
    let head = reads.read(Body::Absent).expect("a head");
    let record = gate.record_of(&head);
    assert_eq!((&record["end"], &record["reason"]), (&"deadline".into(), &READ_SLOWLY.into()));
    assert_eq!(record["decision"], "allowed", "{record}");

    // One that reads fast enough, though never all there is; and one whose stream is quiet.
    let mut reader = gate.client();
    reader.send(&Request::get("/open/source/1000000000").bytes());
    let mut quiet = gate.client();
    quiet.send(&Request::get("/open/stream/1").bytes());
    quiet.read(Body::Absent).expect("a head");
    std::io::Read::read_exact(quiet.stream(), &mut [0; 10]).expect("an event");
    let mut piece = vec![0; 10 << 10];
    for _ in 0..30 {
        assert!(!quiet.hears_within(pause), "a quiet stream was ended");
        std::io::Read::read_exact(reader.stream(), &mut piece).expect("its stream goes on");
    }
    let found = gate.records_now(&["--path", "/open/source/1000000000"]);
    let goes_on = found.iter().all(|record| record["entry"] == "open");
    assert!(goes_on, "a reader that keeps up was ended: {found:?}");
    upstream.release();
    assert!(quiet.hears_within(pause * 50));
}

const SENT_SLOWLY: &str = "the caller sent too slowly";
const READ_SLOWLY: &str = "the caller read too slowly";

#[test]
fn a_large_head_is_refused() {
    let upstream = Upstream::start();
    let bounds = "head_bytes_max = \"4KiB\"";
    let gate = Gate::start(&Setup { bounds, ..Setup::before(&upstream) });
    let sized = |bytes: usize| {
        let request = Request::get("/open/ok/1");
        let rest = bytes - request.head_bytes().len() - "A: \r\n".len();
        request.field("A", &"a".repeat(rest))
    };
    assert_eq!(gate.call(&sized(4096)).status, 200);
    expect_denial(&gate.call(&sized(4097)), Denial::HeadTooLarge, &[]);
}

#[test]
fn too_many_fields_are_refused() {
    let upstream = Upstream::start();
    let bounds = "head_fields_max = 20";
    let gate = Gate::start(&Setup { bounds, ..Setup::before(&upstream) });
    // Host is one of them.
    let with = |fields: usize| {
        (1..fields)
            .fold(Request::get("/open/ok/1"), |request, n| request.field("A", &n.to_string()))
    };
    assert_eq!(gate.call(&with(20)).status, 200);
    expect_denial(&gate.call(&with(21)), Denial::HeadTooLarge, &[]);
}

#[test]
fn a_long_uri_is_refused() {
    let upstream = Upstream::start();
    let bounds = "uri_bytes_max = \"256B\"";
    let gate = Gate::start(&Setup { bounds, ..Setup::before(&upstream) });
    let sized = |bytes: usize| Request::get(&format!("{:a<bytes$}", "/open/ok/1?"));
    assert_eq!(gate.call(&sized(256)).status, 200);
    expect_denial(&gate.call(&sized(257)), Denial::UriTooLong, &[]);
}

#[test]
fn a_large_body_is_refused() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let post = || Request::new("POST", "/lab/echo/1").key(&bench.key.text);
    let fits = [7; 4096];
    assert_eq!(bench.gate.call(&post().body(&fits)).body, fits);
    assert_eq!(bench.gate.call(&post().chunks(&[&fits[..1], &fits[1..]])).body, fits);
    let announced = bench.gate.call(&post().body(&[7; 4097]));
    bench.check_response(&announced, Denial::BodyTooLarge, &[]);
    // A body that does not say how long it is may have begun to pass when it is found out.
    let found_out = bench.gate.call(&post().chunks(&[&fits, &[7]]));
    bench.check_response(&found_out, Denial::BodyTooLarge, &[]);
}

#[test]
fn connections_past_the_most_are_refused() {
    let upstream = Upstream::start();
    let bounds = "connections_max = 2";
    let gate = Gate::start(&Setup { bounds, ..Setup::before(&upstream) });
    let mut first = gate.client();
    let mut second = gate.client();
    for client in [&mut first, &mut second] {
        assert_eq!(client.call(&Request::get("/open/ok/1")).status, 200);
    }
    let mut third = gate.client();
    third.send(&Request::get("/open/ok/1").bytes());
    assert!(third.read(Body::Expected).is_none(), "a third connection was served");
    drop(first);
    poll::until("a place is free again", || {
        let mut client = gate.client();
        client.send(&Request::get("/open/ok/1").bytes());
        client.read(Body::Expected).filter(|response| response.status == 200)
    });
}

#[test]
fn requests_past_the_most_are_refused() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup { bounds: "requests_max = 3", ..Setup::before(&upstream) });
    let held = bench.hold(&upstream, 3);
    bench.check_response(&bench.get("/lab/ok/1"), Denial::Overloaded, &[("retry-after", "1")]);
    held.release(&upstream);
    poll::until("requests are taken again", || {
        (bench.get("/lab/ok/1").status == 200).then_some(())
    });
}

/// Regression: answers that the gate gives after the exchange had a body for HEAD, and no Date.
#[test]
fn late_answers_to_head_have_no_body() {
    let upstream = Upstream::start();
    let timeouts = "timeouts = { first_byte = \"100ms\" }";
    let gate = Gate::start(&Setup { upstream: timeouts, ..Setup::before(&upstream) });
    let check = |head: &str, status: u16| {
        let mut client = gate.client();
        client.send(head.as_bytes());
        let response = client.read(Body::Absent).expect("an answer");
        assert_eq!(response.status, status, "{head}");
        assert!(response.field("date").is_some(), "{response:?}");
        assert_ne!(response.field("content-length"), Some("0"), "{response:?}");
        let mut rest = Vec::new();
        std::io::Read::read_to_end(client.stream(), &mut rest).expect("the gate closes");
        assert!(rest.is_empty(), "{}", rest.escape_ascii());
    };
    check("HEAD /open/hold/1 HTTP/1.1\r\nHost: gate.test\r\n\r\n", 504);
    check("HEAD /open/ok/1 HTTP/1.1\r\nHost: gate.test\r\nA : b\r\n\r\n", 400);
}
