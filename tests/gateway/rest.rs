//! Which api and operation a call is for, who may make it, and that it then goes through whole:
//! methods, bodies in both directions, streams.

use std::io::BufRead;

use onegate::model::denial::Denial;

use super::harness::address;
use super::harness::bench::{Bench, expect_denial};
use super::harness::client::Client;
use super::harness::gate::Gate;
use super::harness::http::{Body, Request};
use super::harness::scripted::{Say, Scripted, whole};
use super::harness::setup::{LAB, Setup};
use super::harness::upstream::{OK_BODY, Upstream};

#[test]
fn an_allowed_call_reaches_its_upstream() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let response = bench.get("/lab/ok/1?page=2&empty=&q=%2F..");
    assert_eq!((response.status, &*response.body), (200, &OK_BODY[..]));
    assert_eq!(response.field("x-upstream"), Some("kept"));
    assert_eq!(upstream.one_at("/lab/ok/1?page=2&empty=&q=%2F..").method, "GET");

    let record = bench.gate.record_of(&response);
    let check = |member: &str, expected: &str| assert_eq!(record[member], expected, "{record}");
    check("surface", "rest");
    check("client", "full");
    check("profile", "default");
    check("credential", &bench.key.credential);
    check("credential_kind", "key");
    check("peer_ip", "127.0.0.1");
    check("method", "GET");
    check("host", "gate.test");
    check("path", "/lab/ok/1");
    check("api", "lab");
    check("operation", "lab.read");
    check("product", "lab");
    check("decision", "allowed");
    check("upstream", "recorder");
    check("end", "complete");
    assert_eq!(record["scopes_required"][0], "lab:read", "{record}");
    assert_eq!(record["response_bytes"], 1024, "{record}");
}

#[test]
fn a_call_without_a_grant_is_denied() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let response = bench.gate.call(&Request::get("/lab/ok/1").key(&bench.other.text));
    let record = bench.check_response(&response, Denial::NotGranted, &[]);
    assert_eq!(record["client"], "other", "{record}");
    assert!(upstream.received().is_empty());
}

#[test]
fn missing_scopes_are_named() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let response = bench.gate.call(&Request::new("DELETE", "/lab/ok/1").key(&bench.reader.text));
    bench.check_response(&response, Denial::InsufficientScope, &[]);
    let problem = response.problem();
    let missing = problem["missing_scopes"].as_array().expect("a list");
    assert_eq!(missing, &["lab:erase", "lab:write"], "{problem}");
}

#[test]
fn methods_choose_the_operation() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let key = &bench.key.text;
    let check = |method: &'static str, operation: &str| {
        let path = format!("/lab/ok/{method}");
        let response = bench.gate.call(&Request::new(method, &path).key(key));
        assert_eq!(response.status, 200, "{method}");
        assert_eq!(bench.gate.record_of(&response)["operation"], operation);
        assert_eq!(upstream.one_at(&path).method, method);
    };
    check("GET", "lab.read");
    check("HEAD", "lab.read");
    check("POST", "lab.write");
    check("PUT", "lab.write");
    check("DELETE", "lab.erase");
    for method in ["OPTIONS", "PATCH", "BREW"] {
        let response = bench.gate.call(&Request::new(method, "/lab/ok/1").key(key));
        let allow = [("allow", "DELETE, GET, HEAD, POST, PUT")];
        expect_denial(&response, Denial::MethodNotAllowed, &allow);
    }
    // `["*"]`: every method but the two that are never forwarded.
    let any = bench.gate.call(&Request::new("BREW", "/open/ok/1"));
    assert_eq!(any.status, 200);
    let trace = bench.gate.call(&Request::new("TRACE", "/open/ok/1"));
    assert_eq!(trace.status, 405);
}

#[test]
fn a_public_api_needs_no_credential() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let response = bench.gate.call(&Request::get("/open/ok/1"));
    assert_eq!(response.status, 200);
    let record = bench.gate.record_of(&response);
    assert_eq!((&record["client"], &record["decision"]), (&().into(), &"allowed".into()));
    // A bad one is refused all the same: its owner should know.
    let bad = bench.gate.call(&Request::get("/open/ok/1").key("og_live_x"));
    expect_denial(&bad, Denial::CredentialInvalid, &[]);
}

#[test]
fn hosts_choose_the_api() {
    let upstream = Upstream::start();
    let api = |name: &str, hosts: &str| {
        format!(
            r#"
[[api]]
name = "{name}"
{hosts}
upstream = "recorder"
access = "public"
[[api.operation]]
id = "any"
methods = ["GET"]
path = "/{{rest...}}"
"#
        )
    };
    let apis = [api("exact", r#"hosts = ["api.test"]"#), api("below", r#"hosts = ["*.api.test"]"#)];
    let gate = Gate::start(&Setup { apis: apis.concat(), ..Setup::before(&upstream) });
    let call = |host: &str| {
        let request = format!("GET /ok/1 HTTP/1.1\r\nHost: {host}\r\n\r\n");
        let mut client = gate.client();
        client.send(request.as_bytes());
        client.read(Body::Expected).expect("an answer")
    };
    let check = |host: &str, api: &str| {
        let response = call(host);
        assert_eq!(response.status, 200, "{host}");
        assert_eq!(gate.record_of(&response)["api"], api, "{host}");
    };
    check("api.test", "exact");
    check("API.test:8080", "exact");
    check("eu.api.test", "below");
    check("a.b.api.test", "below");
    for host in ["test", "other.test", "notapi.test"] {
        expect_denial(&call(host), Denial::Misdirected, &[]);
    }
}

#[test]
fn the_longest_base_path_wins() {
    let upstream = Upstream::start();
    let inner = LAB.split("[[product]]").next().expect("it has apis");
    let inner = inner.split("[[api]]").last().expect("two of them");
    let inner =
        format!("[[api]]{}", inner.replace("open", "inner").replace("/inner", "/open/inner"));
    let apis = format!("{LAB}{inner}");
    let gate = Gate::start(&Setup { apis, ..Setup::before(&upstream) });
    let check = |path: &str, api: &str| {
        let response = gate.call(&Request::get(path));
        assert_eq!(response.status, 200, "{path}");
        assert_eq!(gate.record_of(&response)["api"], api, "{path}");
    };
    check("/open/ok/1", "open");
    check("/open/inner/ok/1", "inner");
    check("/open/inner", "inner");
    // Whole segments only.
    check("/open/innermost", "open");
}

#[test]
fn every_listener_serves() {
    let upstream = Upstream::start();
    let second = address::free();
    let more = format!("[[listener]]\nname = \"second\"\naddress = \"{second}\"");
    let gate = Gate::start(&Setup { more, ..Setup::before(&upstream) });
    for listener in [gate.address, second] {
        let mut client = Client::connect(listener, Some(gate.witness.clone()));
        assert_eq!(client.call(&Request::get("/open/ok/1")).status, 200, "{listener}");
    }
}

#[test]
fn bodies_pass_whole_in_both_directions() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup::before(&upstream));
    let large: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[n as usize % 3]).collect();
    let post = || Request::new("POST", "/open/echo/1");
    let mut client = gate.client();
    let mut check = |request: Request, expected: &[u8]| {
        let response = client.call(&request);
        assert_eq!(response.status, 200);
        assert!(response.complete && response.body == expected, "the body came back changed");
        assert_eq!(gate.record_of(&response)["request_bytes"], expected.len());
    };
    check(post().body(b""), b"");
    check(post().body(b"hello"), b"hello");
    check(post().chunks(&[b"he", b"ll", b"o"]), b"hello");
    check(post().body(&large), &large);
    check(post().chunks(&[&large[..1], &large[1..]]), &large);
}

#[test]
fn responses_without_a_body_end_at_their_head() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup::before(&upstream));
    let mut client = gate.client();
    let mut check = |request: Request, status: u16, length: Option<&str>| {
        let response = client.call(&request);
        assert_eq!((response.status, response.field("content-length")), (status, length));
        assert!(response.body.is_empty());
    };
    check(Request::new("HEAD", "/open/ok/1"), 200, Some("1024"));
    check(Request::get("/open/empty/1"), 204, None);
    // A denial of HEAD says how long its body would be.
    let denied = client.call(&Request::new("HEAD", "/lab/ok/1"));
    assert_eq!((denied.status, denied.body.len()), (401, 0));
    assert_eq!(client.call(&Request::get("/open/absent/1")).text(), "not here\n");
}

#[test]
fn a_caller_that_waits_to_be_asked_is_asked() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup::before(&upstream));
    let request =
        Request::new("POST", "/open/echo/1").field("Expect", "100-continue").body(b"hello");
    let mut client = gate.client();
    client.send(&request.head_bytes());
    let asked = client.read(Body::Expected).expect("an answer");
    assert_eq!(asked.status, 100);
    client.send(b"hello");
    let response = client.read(Body::Expected).expect("an answer");
    assert_eq!((response.status, response.text()), (200, "hello"));
}

#[test]
fn a_stream_is_passed_on_as_it_comes() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup::before(&upstream));
    let mut client = gate.client();
    client.send(&Request::get("/open/stream/1").bytes());
    let mut line = String::new();
    while line.trim() != "first" {
        line.clear();
        let count = client.stream().read_line(&mut line).expect("the first chunk, before the last");
        assert!(count > 0, "the stream ended before its first chunk");
    }
    upstream.release();
    while line.trim() != "last" {
        line.clear();
        let count = client.stream().read_line(&mut line).expect("the last chunk");
        assert!(count > 0, "the stream ended before its last chunk");
    }
}

#[test]
fn keep_alive_survives_a_denial() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let key = &bench.key.text;
    let mut client = bench.gate.client();
    let mut check = |request: Request, denial: Denial| {
        expect_denial(&client.call(&request), denial, &[]);
        assert_eq!(client.call(&Request::get("/open/ok/1")).status, 200, "after {denial}");
    };
    check(Request::get("/lab/ok/1"), Denial::CredentialMissing);
    check(Request::get("/lab/ok/1").key("og_live_x"), Denial::CredentialInvalid);
    check(Request::get("/lab/ok/1").key(&bench.other.text), Denial::NotGranted);
    check(Request::get("/nothing"), Denial::NotFound);
    check(Request::get("/lab/%2e%2e/1").key(key), Denial::MalformedRequest);
    check(Request::new("PATCH", "/lab/ok/1").key(key).body(b"x"), Denial::MethodNotAllowed);
    check(Request::new("POST", "/lab/ok/1").key(key).body(&[0; 5000]), Denial::BodyTooLarge);
    check(Request::new("POST", "/lab/ok/1").chunks(&[b"a", b"b"]), Denial::CredentialMissing);
}

/// Regression: HTTP/1.0 knows no chunks (RFC 9112, 6.1), nor informational answers (RFC 9110, 15.2).
#[test]
fn callers_of_http_1_0_get_a_body_that_ends_with_the_connection() {
    let scripted = Scripted::start(|asked| {
        let framing = match &*asked.target {
            "/open/chunks" => "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            _ => "Content-Length: 2\r\n\r\nok",
        };
        let hints = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
        vec![Say::Bytes(format!("{hints}HTTP/1.1 200 OK\r\n{framing}").into_bytes())]
    });
    let gate = Gate::start(&Setup::before_address(scripted.address));
    let check = |target: &str, keeps: bool| {
        let mut client = gate.client();
        let head = format!("GET {target} HTTP/1.0\r\nHost: gate.test\r\n\r\n");
        client.send(head.as_bytes());
        let response = client.read(Body::Expected).expect("an answer");
        assert_eq!((response.status, response.text()), (200, "ok"), "{target}");
        assert_eq!(response.field("transfer-encoding"), None, "{response:?}");
        assert_eq!(response.field("content-length").is_some(), keeps, "{response:?}");
        assert_eq!(gate.record_of(&response)["end"], "complete");
    };
    check("/open/chunks", false);
    check("/open/length", true);
}

/// Regression: fields that the upstream meant for the gate went on to callers (RFC 9110, 7.6.1).
#[test]
fn a_responses_fields_of_one_hop_stay_on_it() {
    let scripted = Scripted::start(|asked| {
        let fields = "Connection: keep-alive, X-Internal, X-Frame-Options\r\nX-Internal: 1\r\n\
                      Keep-Alive: timeout=600\r\nProxy-Authenticate: Basic\r\n\
                      Proxy-Connection: keep-alive\r\nUpgrade: h2c\r\nX-Kept: 1\r\n";
        whole(asked, "200 OK", fields, b"ok")
    });
    let apis = LAB.replace("access = \"public\"", "access = \"public\"\nsecurity_headers = true");
    let gate = Gate::start(&Setup { apis, ..Setup::before_address(scripted.address) });
    let response = gate.call(&Request::get("/open/ok/1"));
    assert_eq!((response.status, response.text()), (200, "ok"));
    // Nor does the upstream take off what the gate puts on.
    assert!(response.field("x-frame-options").is_some(), "{response:?}");
    for name in ["x-internal", "keep-alive", "proxy-authenticate", "proxy-connection", "upgrade"] {
        assert_eq!(response.field(name), None, "{response:?}");
    }
    assert_eq!(response.field("x-kept"), Some("1"));
    assert_eq!(response.field("connection"), Some("keep-alive"));
}
