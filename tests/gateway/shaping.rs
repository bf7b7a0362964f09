//! What config changes on the way: header fields of requests and responses, security fields, and
//! operations that the gate answers itself.

use std::fs;

use onegate::model::denial::Denial;
use serde_json::Value;

use super::harness::address;
use super::harness::authority::{Authority, Kind};
use super::harness::bench::Bench;
use super::harness::curl::Curl;
use super::harness::folder::Folder;
use super::harness::gate::Gate;
use super::harness::http::{Body, Request, Response};
use super::harness::scripted::{Asked, Say, Scripted, whole};
use super::harness::setup::{LAB, Setup};
use super::harness::upstream::Upstream;
use super::tls::listener;

/// The lab with more keys in both apis, and in the operations `read` and `any`.
fn lab(of_apis: &str, of_operations: &str) -> String {
    LAB.replace("upstream = \"recorder\"", &format!("upstream = \"recorder\"\n{of_apis}"))
        .replace("id = \"read\"", &format!("id = \"read\"\n{of_operations}"))
        .replace("id = \"any\"", &format!("id = \"any\"\n{of_operations}"))
}

fn values<'r>(fields: impl Iterator<Item = &'r (String, String)>, name: &str) -> Vec<&'r str> {
    fields.filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
}

#[test]
fn request_fields_are_set_added_and_removed() {
    let upstream = Upstream::start();
    let apis = lab(
        "headers.request = { set = { \"X-Tenant\" = \"payments\", \"X-Caller\" = \"{client}/{profile}\", \
         \"X-Of\" = \"api {api}\" }, add = { \"X-Tag\" = \"{{of}} {host} {source_ip}\", \"X-Id\" = \"{request_id}\" }, \
         remove = [\"X-Drop\", \"User-Agent\"] }",
        "headers.request = { set = { \"X-Of\" = \"{operation}\" }, remove = [\"X-Tenant\"] }",
    );
    let bench = Bench::start(&Setup { apis, ..Setup::before(&upstream) });
    let forged = |request: Request| {
        request
            .field("X-Caller", "forged")
            .field("X_Caller", "forged")
            .field("X_Drop", "gone")
            .field("x-drop", "gone")
            .field("User-Agent", "gone")
            .field("X-Tag", "of the caller")
            .field("X-Tenant", "of the caller")
            .field("X-Other", "stays")
    };
    let response = bench.gate.call(&forged(Request::get("/lab/ok/1").key(&bench.key.text)));
    assert_eq!(response.status, 200);
    let received = upstream.one_at("/lab/ok/1");
    let check = |name: &str, expected: &[&str]| {
        assert_eq!(values(received.fields.iter(), name), expected, "{name}");
    };
    check("x-caller", &["full/default"]);
    check("x-of", &["lab.read"]);
    check("x-tag", &["of the caller", "{of} gate.test 127.0.0.1"]);
    check("x-id", &[response.id()]);
    check("x-tenant", &[]);
    check("x-drop", &[]);
    check("user-agent", &[]);
    check("x-other", &["stays"]);
    for (name, value) in received.fields.iter() {
        assert!(!name.contains('_') && value != "forged" && value != "gone", "{name}: {value}");
    }
    // Another operation has only the api's.
    let put = Request::new("PUT", "/lab/ok/2").key(&bench.key.text).body(b"x");
    assert_eq!(bench.gate.call(&put).status, 200);
    let received = upstream.one_at("/lab/ok/2");
    assert_eq!(values(received.fields.iter(), "x-tenant"), ["payments"]);
    assert_eq!(values(received.fields.iter(), "x-of"), ["api lab"]);
    // Nobody is nobody: the caller's own word does not stand in for a client.
    assert_eq!(bench.gate.call(&forged(Request::get("/open/ok/3"))).status, 200);
    let received = upstream.one_at("/open/ok/3");
    assert_eq!(values(received.fields.iter(), "x-caller"), [""; 0]);
    assert_eq!(values(received.fields.iter(), "x-of"), ["open.any"]);
}

#[test]
fn response_fields_are_set_added_and_removed() {
    let upstream = Upstream::start();
    let apis = lab(
        "headers.response = { set = { \"Cache-Control\" = \"no-store\", \"X-Upstream\" = \"replaced\" }, \
         add = { \"Vary\" = \"X-Tenant\", \"X-For\" = \"{client}\" }, remove = [\"Content-Type\"] }",
        "headers.response = { set = { \"Cache-Control\" = \"max-age=60\" } }",
    );
    let bench = Bench::start(&Setup { apis, ..Setup::before(&upstream) });
    let check = |response: &Response, expected: &[(&str, &[&str])]| {
        for (name, expected) in expected {
            assert_eq!(values(response.fields.iter(), name), *expected, "{name}: {response:?}");
        }
    };
    let read = bench.get("/lab/ok/1");
    check(
        &read,
        &[
            ("cache-control", &["max-age=60"]),
            ("x-upstream", &["replaced"]),
            ("vary", &["X-Tenant"]),
            ("x-for", &["full"]),
            ("content-type", &[]),
        ],
    );
    assert_ne!(read.id(), "of-upstream");
    assert_eq!(read.body.len(), 1024);
    let put = Request::new("PUT", "/lab/ok/1").key(&bench.key.text).body(b"x");
    check(&bench.gate.call(&put), &[("cache-control", &["no-store"])]);
    check(&bench.gate.call(&Request::get("/open/ok/1")), &[("x-for", &[])]);
    // Informational responses and denials are not what these are for.
    let denied = bench.gate.call(&Request::get("/lab/ok/1"));
    check(&denied, &[("cache-control", &["no-store"]), ("x-for", &[]), ("vary", &[])]);
    assert_eq!(denied.field("content-type"), Some("application/problem+json"));
}

/// An upstream that tells too much of itself.
fn script(asked: &Asked) -> Vec<Say> {
    let fields = "Server: Old/1.2.3\r\nX-Powered-By: Something\r\nX-Frame-Options: ALLOWALL\r\n\
                  Content-Security-Policy: default-src 'self'\r\nStrict-Transport-Security: max-age=1\r\n";
    whole(asked, "200 OK", fields, b"ok")
}

#[test]
fn security_fields_are_on_every_answer() {
    let upstream = Scripted::start(script);
    let start = |security: &str| {
        let apis = lab(&format!("security_headers = {security}"), "");
        let server = "trusted_proxies = [\"127.0.0.0/8\"]";
        Bench::start(&Setup { server, apis, ..Setup::before_address(upstream.address) })
    };
    let check = |response: &Response, expected: &[(&str, &[&str])]| {
        for (name, expected) in expected {
            assert_eq!(values(response.fields.iter(), name), *expected, "{name}: {response:?}");
        }
    };
    let bench = start("true");
    let always: [(&str, &[&str]); 5] = [
        ("x-content-type-options", &["nosniff"]),
        ("referrer-policy", &["no-referrer"]),
        ("x-frame-options", &["DENY"]),
        ("server", &[]),
        ("x-powered-by", &[]),
    ];
    let good = bench.get("/lab/x/1");
    check(&good, &always);
    let both = ["default-src 'self'", "frame-ancestors 'none'"];
    check(&good, &[("content-security-policy", &both), ("strict-transport-security", &[])]);
    let denied = bench.gate.call(&Request::get("/lab/x/1"));
    assert_eq!(denied.status, 401);
    check(&denied, &always);
    check(&denied, &[("content-security-policy", &["frame-ancestors 'none'"])]);
    let secure = |target: &str| Request::get(target).field("X-Forwarded-Proto", "https");
    for target in ["/open/x", "/lab/x/1"] {
        let hsts = ("strict-transport-security", &["max-age=63072000"][..]);
        check(&bench.gate.call(&secure(target)), &[hsts]);
    }

    let table = "{ hsts = \"0s\", frame = \"same-origin\", referrer_policy = \"strict-origin\" }";
    let bench = start(table);
    let open = bench.gate.call(&secure("/open/x"));
    check(
        &open,
        &[
            ("strict-transport-security", &[]),
            ("x-frame-options", &["SAMEORIGIN"]),
            ("referrer-policy", &["strict-origin"]),
        ],
    );
    let bench = start("{ frame = \"allow\" }");
    let open = bench.gate.call(&Request::get("/open/x"));
    check(&open, &[("content-security-policy", &["default-src 'self'"])]);
    // Without the section everything passes.
    let bench = start("false");
    let open = bench.gate.call(&Request::get("/open/x"));
    check(&open, &[("server", &["Old/1.2.3"]), ("referrer-policy", &[])]);
}

const SITE: &str = r#"
[[api]]
name = "site"
base_path = "/site"
access = "public"
security_headers = true
headers.response = { set = { "X-By" = "{operation}" } }

[[api.operation]]
id = "moved"
methods = ["GET", "POST"]
path = "/old/{id}/{rest...}"
redirect = { status = 308, location = "https://www.example.com/{rest...}", keep_query = true }

[[api.operation]]
id = "here"
methods = ["GET"]
path = "/here/{id}"
redirect = { status = 302, location = "/there/{id}?from=here" }

[[api.operation]]
id = "notice"
methods = ["GET", "POST"]
path = "/notice"
respond = { status = 503, body = "Closed.\n" }
headers.response = { set = { "Retry-After" = "60" } }

[[api.operation]]
id = "robots"
methods = ["GET"]
path = "/robots.txt"
respond = { status = 200, file = "robots.txt", content_type = "text/plain" }

[[api.operation]]
id = "nothing"
methods = ["GET"]
path = "/nothing"
respond = { status = 204 }

[[api]]
name = "inner"
base_path = "/inner"
access = "granted"

[[api.operation]]
id = "moved"
methods = ["GET"]
path = "/old"
scopes = ["lab:read"]
redirect = { status = 303, location = "/new" }

[[product]]
name = "lab"
operations = ["inner.moved"]
"#;

/// The folder holds the file of a response.
fn site() -> (Upstream, Folder, Bench) {
    let (upstream, folder) = (Upstream::start(), Folder::new());
    let file = folder.at("robots.txt");
    fs::write(&file, "User-agent: *\n").expect("the folder is ours");
    let apis = SITE.replace("file = \"robots.txt\"", &format!("file = \"{file}\""));
    let bench = Bench::start(&Setup { apis, ..Setup::before(&upstream) });
    (upstream, folder, bench)
}

/// Allowed, and no upstream had a part in it.
fn check_local(gate: &Gate, response: &Response, operation: &str) -> Value {
    let record = gate.record_of(response);
    assert_eq!((&record["decision"], &record["end"]), (&"allowed".into(), &"complete".into()));
    assert_eq!(record["operation"], operation, "{record}");
    assert_eq!((&record["upstream"], &record["denial"]), (&Value::Null, &Value::Null));
    record
}

#[test]
fn redirects_lead_where_config_says() {
    let (upstream, _folder, bench) = site();
    let gate = &bench.gate;
    let check = |target: &str, status: u16, location: &str| {
        let response = gate.call(&Request::get(target));
        assert_eq!((response.status, response.body.len()), (status, 0), "{target}");
        assert_eq!(response.field("location"), Some(location), "{target}");
        assert_eq!(response.field("x-content-type-options"), Some("nosniff"));
        let operation = response.field("x-by").expect("set by config").to_owned();
        check_local(gate, &response, &operation);
    };
    check(
        "/site/old/7/a/b?x=1&y=//evil.example",
        308,
        "https://www.example.com/a/b?x=1&y=//evil.example",
    );
    check("/site/old/7", 308, "https://www.example.com/");
    check("/site/old/7/@evil.example/%40;x", 308, "https://www.example.com/@evil.example/%40;x");
    check("/site/here/a%20b?x=1", 302, "/there/a%20b?from=here");
    // What could lead elsewhere is no path here.
    for target in ["/site/old/7//evil.example", "/site/here/%2fevil.example", "/site/here/%5cevil"]
    {
        assert_eq!(gate.call(&Request::get(target)).status, 400, "{target}");
    }
    // A body is read away, and the connection goes on.
    let mut client = gate.client();
    let post = Request::new("POST", "/site/old/7/x").body(&[b'x'; 5000]);
    assert_eq!(client.call(&post).status, 308);
    let head = client.call(&Request::new("HEAD", "/site/here/1"));
    assert_eq!((head.status, head.field("location")), (302, Some("/there/1?from=here")));
    assert_eq!(client.call(&Request::get("/site/nothing")).status, 204);
    assert!(upstream.received().is_empty());
}

#[test]
fn answers_of_the_gate_are_decided_on_like_all_others() {
    let (upstream, _folder, bench) = site();
    let gate = &bench.gate;
    let old = || Request::get("/inner/old");
    bench.check_response(&gate.call(&old()), Denial::CredentialMissing, &[]);
    bench.check_response(&gate.call(&old().key(&bench.other.text)), Denial::NotGranted, &[]);
    for left in (0..5).rev() {
        let response = gate.call(&old().key(&bench.five.text));
        assert_eq!((response.status, response.field("location")), (303, Some("/new")));
        let limit = response.field("ratelimit").expect("it has a plan");
        assert!(limit.contains(&format!("r={left};")), "{limit}");
        let record = check_local(gate, &response, "inner.moved");
        assert_eq!((&record["client"], &record["product"]), (&"five".into(), &"lab".into()));
    }
    let sixth = gate.call(&old().key(&bench.five.text));
    bench.check_response(&sixth, Denial::RateLimited, &[]);
    let said = gate.cli(&["explain", "--client", "full", "GET", "/inner/old"]).expect_success();
    assert!(said.contains("redirect 303 to /new, without an upstream"), "{said}");
    assert!(upstream.received().is_empty());
}

#[test]
fn fixed_responses_need_no_upstream() {
    let (upstream, _folder, bench) = site();
    let gate = &bench.gate;
    let notice = gate.call(&Request::get("/site/notice"));
    assert_eq!((notice.status, notice.text()), (503, "Closed.\n"));
    assert_eq!(notice.field("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(notice.field("retry-after"), Some("60"));
    let record = check_local(gate, &notice, "site.notice");
    assert_eq!(record["response_bytes"], 8, "{record}");

    let robots = gate.call(&Request::get("/site/robots.txt"));
    assert_eq!((robots.status, robots.text()), (200, "User-agent: *\n"));
    assert_eq!(robots.field("content-type"), Some("text/plain"));
    let mut client = gate.client();
    let head = client.call(&Request::new("HEAD", "/site/robots.txt"));
    assert_eq!((head.status, head.field("content-length")), (200, Some("14")));
    let nothing = client.call(&Request::get("/site/nothing"));
    assert_eq!((nothing.status, nothing.field("content-length")), (204, None));
    check_local(gate, &nothing, "site.nothing");
    // A large body that is still on its way ends the connection, after the answer.
    client.send(
        &Request::new("POST", "/site/notice").field("Content-Length", "1000000").head_bytes(),
    );
    client.send(&vec![b'x'; 100_000]);
    assert_eq!(client.read(Body::Expected).map(|response| response.status), Some(503));
    assert!(upstream.received().is_empty());
}

#[test]
fn what_config_changes_is_the_same_over_tls_and_http2() {
    let upstream = Upstream::start();
    let authority = Authority::new();
    let pair = authority.issue("a", &["a.test"], Kind::Ecdsa, 90);
    let address = address::free();
    let apis = lab(
        "security_headers = true\ncontent_types = [\"application/json\"]\n\
         cors = { origins = [\"https://app.example.com\"] }\n\
         compression = { bytes_min = \"1B\", types = [\"text/plain\"] }",
        "headers.response = { set = { \"X-By\" = \"{operation}\" } }",
    );
    let more = listener(address, "", &[&pair]);
    let upstream_keys = "timeouts = { first_byte = \"300ms\" }";
    let setup = Setup { apis, more, upstream: upstream_keys, ..Setup::before(&upstream) };
    let bench = Bench::start(&setup);
    for version in ["--http1.1", "--http2"] {
        let curl = |path: &str, options: &[&str]| {
            let curl = Curl::to(&bench.gate, "https", "a.test", address, path);
            let curl = curl.args(&["--cacert", &authority.trusted(), version]);
            curl.args(&["-H", "Origin: https://app.example.com"]).args(options).fetch().response
        };
        let check = |response: &Response, status: u16| {
            assert_eq!(response.status, status, "{version} {response:?}");
            let hsts = response.field("strict-transport-security");
            assert_eq!(hsts, Some("max-age=63072000"), "{version}");
            let origin = response.field("access-control-allow-origin");
            assert_eq!(origin, Some("https://app.example.com"), "{version}");
        };
        let head = curl("/open/ok/1", &["-I", "-H", "Accept-Encoding: br"]);
        check(&head, 200);
        assert_eq!(
            (head.field("content-encoding"), head.field("x-by")),
            (Some("br"), Some("open.any"))
        );
        check(&curl("/lab/ok/1", &[]), 401);
        // The exchange was ended, and its answer is given without it.
        check(&curl("/open/hold/1", &[]), 504);
        // A body that announces no length has a content type all the same.
        let put =
            |more: &[&str]| curl("/open/echo/1", &[&["-T", "-", "-H", "Expect:"], more].concat());
        check(&put(&["-H", "Content-Type: application/json"]), 200);
        check(&put(&[]), 403);
    }
    upstream.release();
}
