//! Pages of other origins: what browsers ask before a call, and what lets a page read the answer.

use onegate::model::denial::Denial;

use super::harness::bench::{Bench, expect_denial};
use super::harness::http::{Request, Response};
use super::harness::scripted::{Asked, Say, Scripted, whole};
use super::harness::setup::{LAB, Setup};
use super::harness::upstream::Upstream;

const APP: &str = "https://app.example.com";

/// The lab with `cors`, and an open api that any page may read.
fn apis(cors: &str) -> String {
    LAB.replace("access = \"granted\"", &format!("access = \"granted\"\ncors = {cors}"))
        .replace("access = \"public\"", "access = \"public\"\ncors = { origins = [\"*\"] }")
}

const CORS: &str = "{ origins = [\"https://app.example.com\"], methods = [\"GET\", \"PUT\"], \
                    headers = [\"x-api-key\", \"x-trace\"], expose = [\"X-Request-Id\", \"RateLimit\"], \
                    credentials = true, max_age = \"1h\" }";

fn preflight(target: &str, origin: &str, method: &str) -> Request {
    Request::new("OPTIONS", target)
        .field("Origin", origin)
        .field("Access-Control-Request-Method", method)
}

fn check_fields(response: &Response, expected: &[(&str, Option<&str>)]) {
    for (name, value) in expected {
        assert_eq!(response.field(name), *value, "{name}: {response:?}");
    }
}

#[test]
fn preflights_are_answered_without_a_credential() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup { apis: apis(CORS), ..Setup::before(&upstream) });
    // Alike for what exists and what does not: strangers learn nothing of operations.
    for target in ["/lab/ok/1", "/lab/no/such/thing", "/lab"] {
        let asked = preflight(target, APP, "PUT");
        let asked = asked.field("Access-Control-Request-Headers", "X-API-Key, x-trace");
        let response = bench.gate.call(&asked);
        assert_eq!((response.status, response.body.len()), (204, 0), "{response:?}");
        check_fields(
            &response,
            &[
                ("access-control-allow-origin", Some(APP)),
                ("access-control-allow-credentials", Some("true")),
                ("access-control-allow-methods", Some("GET, PUT")),
                ("access-control-allow-headers", Some("x-api-key, x-trace")),
                ("access-control-max-age", Some("3600")),
                ("vary", Some("Origin")),
                ("content-length", None),
            ],
        );
        let record = bench.gate.record_of(&response);
        assert_eq!(record["decision"], "allowed", "{record}");
        assert_eq!((&record["method"], &record["api"]), (&"OPTIONS".into(), &"lab".into()));
        assert_eq!(record["operation"], serde_json::Value::Null, "{record}");
        assert_eq!(record["upstream"], serde_json::Value::Null, "{record}");
    }
    let any = bench.gate.call(&preflight("/open/x", "https://anyone.example", "PATCH"));
    assert_eq!(any.status, 204);
    check_fields(&any, &[("access-control-allow-origin", Some("*")), ("vary", None)]);
    let methods = any.field("access-control-allow-methods");
    assert_eq!(methods, Some("DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"));
    // A connection goes on after a preflight.
    let mut client = bench.gate.client();
    assert_eq!(client.call(&preflight("/lab/ok/1", APP, "GET")).status, 204);
    let call = Request::get("/lab/ok/1").key(&bench.key.text).field("Origin", APP);
    assert_eq!(client.call(&call).status, 200);
    assert_eq!(upstream.received().len(), 1, "a preflight reached the upstream");
}

#[test]
fn preflights_that_ask_too_much_are_refused() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup { apis: apis(CORS), ..Setup::before(&upstream) });
    let check = |asked: &Request, reason: &str, origin: Option<&str>| {
        let response = bench.gate.call(asked);
        let fields = [("vary", "Origin")];
        let record = bench.check_response(&response, Denial::PolicyRefused, &fields);
        assert_eq!(record["reason"], reason);
        assert_eq!(response.field("access-control-allow-origin"), origin);
        assert_eq!(response.field("access-control-allow-methods"), None);
    };
    let elsewhere = preflight("/lab/ok/1", "https://evil.example", "GET");
    check(&elsewhere, "the api's cors does not list the origin", None);
    check(&preflight("/lab/ok/1", "null", "GET"), "the api's cors does not list the origin", None);
    let method = preflight("/lab/ok/1", APP, "DELETE");
    check(&method, "the api's cors does not list the method", Some(APP));
    let header = preflight("/lab/ok/1", APP, "GET")
        .field("Access-Control-Request-Headers", "x-api-key,x-other");
    check(&header, "the api's cors does not list a header", Some(APP));
    // OPTIONS that is no preflight is a request like any other.
    let response = bench.gate.call(&Request::new("OPTIONS", "/lab/ok/1").field("Origin", APP));
    expect_denial(&response, Denial::CredentialMissing, &[]);
    assert!(upstream.received().is_empty());
}

/// An upstream with a mind of its own on CORS.
fn script(asked: &Asked) -> Vec<Say> {
    let fields = "Access-Control-Allow-Origin: https://evil.example\r\n\
                  Access-Control-Allow-Private-Network: true\r\n\
                  Access-Control-Expose-Headers: X-Secret\r\nVary: Accept\r\n";
    whole(asked, "200 OK", fields, b"ok")
}

#[test]
fn pages_of_listed_origins_may_read() {
    let upstream = Scripted::start(script);
    let setup = Setup { apis: apis(CORS), ..Setup::before_address(upstream.address) };
    let bench = Bench::start(&setup);
    let call = |origin: &str| {
        let request = Request::get("/lab/x/1").key(&bench.key.text);
        bench.gate.call(&if origin.is_empty() { request } else { request.field("Origin", origin) })
    };
    let check = |origin: &str, allowed: Option<&str>| {
        let response = call(origin);
        assert_eq!(response.status, 200, "{origin}");
        let with = allowed.map(|_| "true");
        check_fields(
            &response,
            &[
                ("access-control-allow-origin", allowed),
                ("access-control-allow-credentials", with),
                ("access-control-expose-headers", allowed.map(|_| "x-request-id, ratelimit")),
                ("access-control-allow-private-network", None),
            ],
        );
        let vary: Vec<_> = response.fields.iter().filter(|(name, _)| name == "vary").collect();
        let vary: Vec<&str> = vary.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(vary, ["Accept", "Origin"], "{origin}");
    };
    check(APP, Some(APP));
    check("https://evil.example", None);
    check("https://app.example.com.evil.example", None);
    check("null", None);
    check("", None);
    let open = bench.gate.call(&Request::get("/open/x").field("Origin", "https://a.example"));
    check_fields(&open, &[("access-control-allow-origin", Some("*"))]);
    assert_eq!(open.field("access-control-allow-credentials"), None);
}

#[test]
fn pages_may_read_denials_and_failures_too() {
    let upstream = Upstream::start();
    let upstream_keys = "timeouts = { first_byte = \"300ms\" }";
    let setup = Setup { apis: apis(CORS), upstream: upstream_keys, ..Setup::before(&upstream) };
    let bench = Bench::start(&setup);
    let check = |request: Request, status: u16| {
        let response = bench.gate.call(&request.field("Origin", APP));
        assert_eq!(response.status, status, "{response:?}");
        let problem = response.problem();
        check_fields(
            &response,
            &[("access-control-allow-origin", Some(APP)), ("vary", Some("Origin"))],
        );
        bench.gate.record_of(&response);
        problem
    };
    let key = |target: &str| Request::get(target).key(&bench.key.text);
    check(Request::get("/lab/ok/1"), 401);
    check(key("/lab/no/such/thing"), 404);
    check(Request::get("/lab/ok/1").key(&bench.other.text), 403);
    check(key("/lab/close/1"), 502);
    // This one is given by the connection, after the exchange was ended.
    check(key("/lab/hold/1"), 504);
    upstream.release();
    // Before there is an api there is no one to say who may read.
    let nowhere = bench.gate.call(&Request::get("/nowhere").field("Origin", APP));
    assert_eq!((nowhere.status, nowhere.field("access-control-allow-origin")), (404, None));
}
