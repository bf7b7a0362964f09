//! Heads that try to be two things at once: each gets a clear answer and a record, nothing of it
//! reaches the upstream, and nothing hangs.

use std::time::Duration;

use onegate::model::denial::Denial;

use super::harness::bench::{Bench, expect_denial};
use super::harness::gate::Gate;
use super::harness::http::{Body, Request};
use super::harness::setup::Setup;
use super::harness::upstream::Upstream;

#[test]
fn heads_with_two_meanings_are_refused() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup::before(&upstream));
    let check = |head: &str, denial: Denial| {
        let mut client = gate.client();
        client.send(head.as_bytes());
        let response = client.read(Body::Expected).unwrap_or_else(|| panic!("no answer: {head:?}"));
        expect_denial(&response, denial, &[]);
        let record = gate.record_of(&response);
        assert_eq!(record["denial"], denial.code(), "{head:?}: {record}");
    };
    let malformed = |head: &str| check(head, Denial::MalformedRequest);
    let with = |fields: &str| {
        malformed(&format!("POST /open/echo/1 HTTP/1.1\r\nHost: gate.test\r\n{fields}\r\n\r\n"));
    };
    malformed("GET /open/ok/1 HTTP/1.1\r\n\r\n");
    malformed("GET /open/ok/1 HTTP/1.1\r\nHost:\r\n\r\n");
    malformed("GET /open/ok/1 HTTP/1.1\r\nHost: a b\r\n\r\n");
    malformed("GET /open/ok/1 HTTP/1.1\r\nHost: gate.test\r\nHost: gate.test\r\n\r\n");
    malformed("GET /open/ok/1 HTTP/1.1\r\nHost: gate.test\r\nhost: other.test\r\n\r\n");
    malformed("GET http://other.test/open/ok/1 HTTP/1.1\r\nHost: gate.test\r\n\r\n");
    malformed("GET /open/ok/1 HTTP/1.1\nHost: gate.test\n\n");
    malformed("GET /open/ok/1 HTTP/2.0\r\nHost: gate.test\r\n\r\n");
    malformed("GET  /open/ok/1 HTTP/1.1\r\nHost: gate.test\r\n\r\n");
    malformed("G\0T /open/ok/1 HTTP/1.1\r\nHost: gate.test\r\n\r\n");
    malformed("GET\t/open/ok/1 HTTP/1.1\r\nHost: gate.test\r\n\r\n");
    with("A : 1");
    with("A: 1\r\n  folded");
    with("A: a\0b");
    with("Content-Length: 1\r\nContent-Length: 1");
    with("Content-Length: 1, 1");
    with("Content-Length: +1");
    with("Content-Length: 99999999999999999999999");
    with("Content-Length: 3\r\nTransfer-Encoding: chunked");
    with("Transfer-Encoding: chunked, chunked");
    with("Transfer-Encoding: gzip, chunked");
    with("Transfer-Encoding: identity");
    check(
        "CONNECT gate.test:443 HTTP/1.1\r\nHost: gate.test:443\r\n\r\n",
        Denial::MethodNotAllowed,
    );
    let large = "A: ".to_owned() + &"a".repeat(100_000);
    let large = format!("GET /open/ok/1 HTTP/1.1\r\nHost: gate.test\r\n{large}\r\n\r\n");
    check(&large, Denial::HeadTooLarge);
    assert!(upstream.received().is_empty(), "{:?}", upstream.received());
}

/// Regression: Pingora refuses some bytes of a target by itself, before any hook, so these had
/// answers without a request id and without a record. Whatever comes, the answer is the gate's.
#[test]
fn odd_heads_are_answered_by_the_gate_itself() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup::before(&upstream));
    let targets =
        ["/open/ok/1", "/<", "/>", "/`", "/\"", "/^", "/{a}|[b]", "/é", "/a?q=<\"`>", "/?^{|}"];
    let hosts = ["gate.test", "a_b", "a~b", "[::1]:80", "gate.test.", "A", "-a", "1.2.3.4.5", "a:"];
    let fields = [
        "A: b",
        "Connection: h1, h2, h3, h4, h5, h6, h7, h8, h9, h10, h11, h12",
        "Connection: host",
        "Connection: close, content-length",
        "TE: gzip",
        "Upgrade: h2c",
        "Trailer: x",
        "Max-Forwards: 0",
    ];
    let check = |target: &str, host: &str, field: &str| {
        let mut client = gate.client();
        let head = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{field}\r\n\r\n");
        client.send(head.as_bytes());
        let response = client.read(Body::Expected).unwrap_or_else(|| panic!("no answer: {head:?}"));
        let record = gate.record_of(&response);
        assert_eq!(record["status"], response.status, "{head:?}: {record}");
    };
    for target in targets {
        check(target, "gate.test", "A: b");
    }
    for host in hosts {
        check("/open/ok/1", host, "A: b");
    }
    for field in fields {
        check("/open/ok/1", "gate.test", field);
    }
}

#[test]
fn paths_with_two_meanings_are_refused() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    for path in [
        "/lab/%2e%2e/open/ok/1",
        "/lab/%2E./ok",
        "/lab/../open",
        "/lab/./ok",
        "/lab/..;/ok",
        "/lab/a%2fb/1",
        "/lab/a%5Cb/1",
        "/lab/a\\b/1",
        "/lab/ok%00/1",
        "/lab/ok%0d%0a/1",
        "/lab//ok",
        "//lab/ok/1",
        "/lab/o k/1",
        "/lab/ok/1#fragment",
        "/lab/%zz/1",
        "/lab/%",
        "lab/ok/1",
        "*",
    ] {
        let response = bench.get(path);
        assert_eq!(response.status, 400, "{path}");
        let record = bench.check_response(&response, Denial::MalformedRequest, &[]);
        assert!(record["operation"].is_null(), "{path}: {record}");
    }
    assert!(upstream.received().is_empty(), "{:?}", upstream.received());
}

#[test]
fn an_unknown_method_is_a_method() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let response = bench.gate.call(&Request::new("FROB", "/lab/ok/1").key(&bench.key.text));
    let allow = [("allow", "DELETE, GET, HEAD, POST, PUT")];
    bench.check_response(&response, Denial::MethodNotAllowed, &allow);
}

#[test]
fn a_truncated_body_ends_the_call() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup::before(&upstream));
    let mut client = gate.client();
    client
        .send(&Request::new("POST", "/open/echo/cut").field("Content-Length", "100").head_bytes());
    client.send(&[b'x'; 50]);
    client.finish_sending();
    // Whether it is told depends on who looks first; that it ends, and how it is recorded, does not.
    let response = client.read(Body::Expected);
    assert!(response.is_none_or(|response| response.status >= 400));
    let record = gate.record_of_path("/open/echo/cut");
    assert_eq!(record["end"], "client_abort", "{record}");

    let mut client = gate.client();
    client.send(
        &Request::new("POST", "/open/echo/bad").field("Transfer-Encoding", "chunked").head_bytes(),
    );
    client.send(b"5\r\nhello\r\nnot a size\r\n");
    let response = client.read(Body::Expected);
    assert!(response.is_none_or(|response| response.status == 400));
}

#[test]
fn a_head_of_one_byte_a_second_is_cut_off() {
    let upstream = Upstream::start();
    let bounds = "head_deadline = \"3s\"";
    let gate = Gate::start(&Setup { bounds, ..Setup::before(&upstream) });
    let mut client = gate.client();
    let head = Request::get("/open/ok/1").head_bytes();
    let sent = head.iter().take_while(|byte| {
        client.send(&[**byte]);
        !client.hears_within(Duration::from_secs(1))
    });
    assert!(sent.count() < 6, "the deadline is for the whole head");
    let response = client.read(Body::Expected).expect("an answer");
    expect_denial(&response, Denial::RequestTimeout, &[]);
}

#[test]
fn what_follows_a_request_is_never_taken_for_its_body() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    // Two requests in one write: each is judged by itself.
    let (first, second) = (Request::get("/open/ok/1"), Request::get("/lab/ok/2"));
    let mut client = bench.gate.client();
    client.send(&[first.bytes(), second.bytes()].concat());
    assert_eq!(client.read(Body::Expected).map(|response| response.status), Some(200));
    if let Some(response) = client.read(Body::Expected) {
        expect_denial(&response, Denial::CredentialMissing, &[]);
    }
    // A denied request with a body that looks like a request.
    let inner = Request::get("/open/ok/smuggled").bytes();
    let mut client = bench.gate.client();
    let outer = client.call(&Request::new("POST", "/lab/ok/1").body(&inner));
    expect_denial(&outer, Denial::CredentialMissing, &[]);
    assert!(upstream.received_at("/open/ok/smuggled").is_empty());
}

/// Regression: Pingora compares a target's host with `Host` letter by letter, and takes no target
/// of 65,535 bytes: both were answered by it, without a record.
#[test]
fn targets_that_pingora_refuses_are_judged_by_the_gate() {
    let upstream = Upstream::start();
    let bounds = "uri_bytes_max = \"64KiB\"\nhead_bytes_max = \"256KiB\"";
    let gate = Gate::start(&Setup { bounds, ..Setup::before(&upstream) });
    let check = |target: &str, status: u16| {
        let mut client = gate.client();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: gate.test\r\n\r\n").as_bytes());
        let response = client.read(Body::Expected).expect("an answer");
        let shown: String = target.chars().take(40).collect();
        assert_eq!(response.status, status, "{shown}");
        assert_eq!(gate.record_of(&response)["status"], status, "{shown}");
    };
    check("http://gate.test/open/ok/1", 200);
    check("http://GATE.test/open/ok/2", 200);
    check("HTTPS://Gate.Test/open/ok/3?a", 200);
    check("http://gate.test?a", 404);
    let long = |bytes: usize, of: &str| format!("/open/ok/{}", of.repeat(bytes - 9));
    check(&long(65_534, "a"), 200);
    check(&long(65_535, "a"), 414);
    check(&long(65_536, "a"), 414);
    // Three bytes each, once they are encoded.
    check(&long(22_000, "|"), 414);
    assert_eq!(upstream.received_at("/open/ok/2").len(), 1);
}
