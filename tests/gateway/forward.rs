//! What the upstream sees of a call (INTERFACES.md 3): the gate's credentials and forged copies are
//! gone, identity is there, everything else is as the caller sent it.

use super::harness::bench::Bench;
use super::harness::gate::Gate;
use super::harness::http::Request;
use super::harness::setup::{LAB, Setup};
use super::harness::upstream::Upstream;

#[test]
fn credentials_go_and_the_rest_stays() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let key = &bench.key.text;
    let request = Request::get("/lab/ok/1")
        .field("X-API-Key", key)
        .field("Authorization", "Basic dXNlcjpwYXNz")
        .field("X-Copied", key)
        .field("Cookie", "session=1")
        .field("Accept", "application/json")
        .field("X-Custom", "as sent")
        .field("Connection", "keep-alive, X-Nominated")
        .field("X-Nominated", "for this hop only");
    assert_eq!(bench.gate.call(&request).status, 200);
    let received = upstream.one_at("/lab/ok/1");
    let check = |name: &str, expected: Option<&str>| {
        assert_eq!(received.fields.value(name), expected, "{name}");
    };
    check("x-api-key", None);
    check("x-copied", None);
    check("x-nominated", None);
    check("authorization", Some("Basic dXNlcjpwYXNz"));
    check("cookie", Some("session=1"));
    check("accept", Some("application/json"));
    check("x-custom", Some("as sent"));
    check("host", Some("gate.test"));
}

#[test]
fn fields_of_one_hop_stay_on_it() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let check = |n: usize, name: &str, value: &str| {
        let target = format!("/lab/ok/{n}");
        let request = Request::get(&target).key(&bench.key.text).field(name, value);
        let request = request.field("X-Custom", "first").field("X-Custom", "second");
        assert_eq!(bench.gate.call(&request).status, 200, "{name}");
        let received = upstream.one_at(&target);
        assert_eq!(received.fields.value(name), None, "{name}");
        assert_eq!(received.fields.values("x-custom"), ["first", "second"], "{name}");
    };
    check(0, "Connection", "keep-alive");
    check(1, "Keep-Alive", "timeout=5");
    check(2, "Proxy-Connection", "keep-alive");
    check(3, "Proxy-Authenticate", "Basic");
    check(4, "Proxy-Authorization", "Basic eDp5");
    check(5, "TE", "trailers");
    check(6, "Trailer", "X-Digest");
    check(7, "Upgrade", "h2c");
    check(8, "HTTP2-Settings", "AAMAAABkAAQAAP__");
}

#[test]
fn identity_is_added_and_cannot_be_forged() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let forged = |request: Request| {
        request
            .field("X-Request-Id", "forged")
            .field("X-Onegate-Client", "forged")
            .field("X_Onegate_Client", "forged")
            .field("X-Onegate-Subject", "forged")
            .field("X-Forwarded-For", "6.6.6.6")
            .field("X_Forwarded-For", "6.6.6.6")
            .field("X-Forwarded-Host", "forged.test")
            .field("Forwarded", "for=6.6.6.6")
            .field("Via", "1.1 forged")
    };
    let response = bench.gate.call(&forged(Request::get("/lab/ok/1").key(&bench.key.text)));
    let received = upstream.one_at("/lab/ok/1");
    let check =
        |name: &str, expected: &str| assert_eq!(received.fields.value(name), Some(expected));
    check("x-request-id", response.id());
    check("x-forwarded-for", "127.0.0.1");
    check("x-forwarded-proto", "http");
    check("x-forwarded-host", "gate.test");
    check("via", "1.1 onegate");
    check("x-onegate-client", "full");
    check("x-onegate-profile", "default");
    check("x-onegate-surface", "rest");
    let trace = received.fields.value("traceparent").expect("it is always set");
    assert_eq!((trace.len(), trace.split('-').count()), (55, 4), "{trace}");
    for (name, value) in received.fields.iter() {
        assert!(!value.contains("forged") && !value.contains("6.6.6.6"), "{name}: {value}");
        assert!(!name.contains('_'), "{name}: {value}");
    }

    // Nobody is nobody: no field names a client.
    assert_eq!(bench.gate.call(&forged(Request::get("/open/ok/2"))).status, 200);
    assert_eq!(upstream.one_at("/open/ok/2").fields.value("x-onegate-client"), None);
}

#[test]
fn only_trusted_proxies_are_believed() {
    let upstream = Upstream::start();
    let check = |server: &'static str, source: &str, parent: Option<&str>, forwarded: &str| {
        let gate = Gate::start(&Setup { server, ..Setup::before(&upstream) });
        let path = format!("/open/ok/{source}");
        let request = Request::get(&path)
            .field("X-Forwarded-For", "203.0.113.7")
            .field("X-Request-Id", "of-the-proxy");
        let response = gate.call(&request);
        let record = gate.record_of(&response);
        assert_eq!(record["peer_ip"], "127.0.0.1", "{record}");
        assert_eq!(record["source_ip"], source, "{record}");
        assert_eq!(record["parent_request_id"].as_str(), parent, "{record}");
        assert_ne!(response.id(), "of-the-proxy");
        assert_eq!(upstream.one_at(&path).fields.value("x-forwarded-for"), Some(forwarded));
    };
    check("drain_deadline = \"2s\"", "127.0.0.1", None, "127.0.0.1");
    check(
        "trusted_proxies = [\"127.0.0.0/8\"]",
        "203.0.113.7",
        Some("of-the-proxy"),
        "203.0.113.7, 127.0.0.1",
    );
}

#[test]
fn the_base_path_is_kept_stripped_or_rewritten() {
    let upstream = Upstream::start();
    let check = |rewrite: &str, paths: &[(&str, &str)]| {
        let apis =
            LAB.replace("base_path = \"/open\"", &format!("base_path = \"/open\"\n{rewrite}"));
        let gate = Gate::start(&Setup { apis, ..Setup::before(&upstream) });
        for (asked, forwarded) in paths {
            let response = gate.call(&Request::get(asked));
            assert_eq!(response.status, 200, "{asked}");
            upstream.one_at(forwarded);
            // The record has the path that was asked for and authorised.
            let path = asked.split('?').next();
            assert_eq!(gate.record_of(&response)["path"].as_str(), path);
        }
    };
    check("", &[("/open/ok/a?x=1", "/open/ok/a?x=1"), ("/open", "/open")]);
    check("upstream_base_path = \"/\"", &[("/open/ok/b?x=1", "/ok/b?x=1"), ("/open", "/")]);
    let rewritten = [("/open/ok/c?x=1", "/v2/inner/ok/c?x=1"), ("/open", "/v2/inner")];
    check("upstream_base_path = \"/v2/inner\"", &rewritten);
}

#[test]
fn the_upstream_sees_the_path_that_was_authorised() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    // Two spellings of one path are one path, for the record and for the upstream.
    for spelling in ["/lab/ok/%61%7E", "/lab/ok/a~", "/%6cab/ok/a%7e"] {
        let response = bench.get(spelling);
        assert_eq!(response.status, 200, "{spelling}");
        assert_eq!(bench.gate.record_of(&response)["path"], "/lab/ok/a~");
    }
    assert_eq!(upstream.received_at("/lab/ok/a~").len(), 3);
}
