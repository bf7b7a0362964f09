//! Pages in browsers that call the endpoint: those of the listed origins may ask first, call, and read whatever is
//! answered; others get nothing that a browser would let them read.

use onegate::model::denial::Denial;
use serde_json::json;

use super::harness::bench::{Bench, expect_denial};
use super::harness::http::{Request, Response};
use super::harness::mcp::{Answer, Era, Message, modern, post_bytes};
use super::harness::setup::Setup;
use super::harness::upstream::Upstream;

const APP: &str = "https://app.example.com";
const EVIL: &str = "https://app.example.com.evil.example";

fn start(upstream: &Upstream) -> Bench {
    let more = format!("[mcp]\norigins = [\"{APP}\"]\n");
    Bench::start(&Setup { more, ..Setup::before(upstream) })
}

fn preflight(origin: &str, method: &str, fields: &str) -> Request {
    let request = Request::new("OPTIONS", "/mcp")
        .field("Origin", origin)
        .field("Access-Control-Request-Method", method);
    if fields.is_empty() {
        return request;
    }
    request.field("Access-Control-Request-Headers", fields)
}

/// What a page of the listed origin may read.
fn expect_readable(response: &Response) {
    assert_eq!(response.field("access-control-allow-origin"), Some(APP), "{response:?}");
    assert_eq!(response.field("vary"), Some("Origin"), "{response:?}");
    let exposed = response.field("access-control-expose-headers").unwrap_or_default();
    let exposed: Vec<&str> = exposed.split(", ").collect();
    for name in ["x-request-id", "retry-after", "www-authenticate", "ratelimit"] {
        assert!(exposed.contains(&name), "{name}: {response:?}");
    }
}

fn expect_unreadable(response: &Response) {
    for (name, value) in response.fields.iter() {
        assert!(!name.starts_with("access-control-"), "{name}: {value}");
    }
}

#[test]
fn a_page_asks_before_it_calls() {
    let upstream = Upstream::start();
    let bench = start(&upstream);
    let all = "authorization, content-type, accept, mcp-protocol-version, mcp-method, mcp-name";
    for fields in ["", "authorization", "x-api-key, content-type", all, "Authorization,Mcp-Name"] {
        let response = bench.gate.call(&preflight(APP, "POST", fields));
        assert_eq!((response.status, response.body.len()), (204, 0), "{response:?}");
        assert_eq!(response.field("access-control-allow-origin"), Some(APP), "{response:?}");
        assert_eq!(response.field("access-control-allow-methods"), Some("POST"), "{response:?}");
        assert_eq!(response.field("access-control-allow-credentials"), None, "{response:?}");
        assert_eq!(response.field("vary"), Some("Origin"), "{response:?}");
        assert!(response.field("access-control-max-age").is_some(), "{response:?}");
        let allowed = response.field("access-control-allow-headers").unwrap_or_default();
        for name in all.split(", ") {
            assert!(allowed.split(", ").any(|allowed| allowed == name), "{name}: {allowed}");
        }
        let record = bench.gate.record_of(&response);
        assert_eq!(record["decision"], "allowed", "{record}");
        assert_eq!((&record["method"], &record["api"]), (&"OPTIONS".into(), &"mcp".into()));
    }
    // Then it calls, over the same connection.
    let mut client = bench.gate.client();
    assert_eq!(client.call(&preflight(APP, "POST", all)).status, 204);
    let list = modern("tools/list", json!({})).field("Origin", APP);
    assert_eq!(client.call(&list.request(Some(&bench.key.text))).status, 200);
}

/// What is asked without a key is no attempt without one: who is stopped for those is not for these.
#[test]
fn asking_is_no_failure_to_be_known() {
    let upstream = Upstream::start();
    let bench = start(&upstream);
    for _ in 0..300 {
        assert_eq!(bench.gate.call(&preflight(APP, "POST", "authorization")).status, 204);
    }
    let denied = bench.gate.call(&Request::get("/lab/ok/1"));
    expect_denial(&denied, Denial::CredentialMissing, &[]);
    assert!(bench.gate.records_now(&["--denial", "too_many_unauthenticated"]).is_empty());
}

#[test]
fn what_is_asked_too_much_is_refused() {
    let upstream = Upstream::start();
    let bench = start(&upstream);
    let check = |request: &Request, origin: Option<&str>| {
        let response = bench.gate.call(request);
        expect_denial(&response, Denial::PolicyRefused, &[]);
        assert_eq!(response.field("access-control-allow-origin"), origin, "{response:?}");
        assert_eq!(response.field("access-control-allow-methods"), None, "{response:?}");
        assert_eq!(bench.gate.record_of(&response)["denial"], "policy_refused");
    };
    for origin in [EVIL, "http://app.example.com", "null", "https://app.example.com:444"] {
        check(&preflight(origin, "POST", ""), None);
    }
    check(&preflight(APP, "DELETE", ""), Some(APP));
    check(&preflight(APP, "POST", "x-forwarded-for"), Some(APP));
    check(&preflight(APP, "POST", "authorization, cookie"), Some(APP));
}

fn ask(bench: &Bench, key: Option<&str>, message: &Message) -> Response {
    bench.gate.call(&message.clone().field("Origin", APP).request(key))
}

#[test]
fn a_page_may_read_whatever_is_answered() {
    let upstream = Upstream::start();
    let bench = start(&upstream);
    let check = |key: Option<&str>, message: &Message, status: u16| {
        let response = ask(&bench, key, message);
        assert_eq!(response.status, status, "{message:?}: {response:?}");
        expect_readable(&response);
        response
    };
    let (full, reader) = (Some(bench.key.text.as_str()), Some(bench.reader.text.as_str()));
    let list = modern("tools/list", json!({}));
    let erase = json!({ "behaviour": "ok", "n": "1" });
    for era in Era::BOTH {
        check(full, &era.message("tools/list", json!({})), 200);
        check(full, &era.lab("ok", "1"), 200);
        check(full, &era.lab("absent", "1"), 200);
        check(full, &era.lab("close", "1"), 200);
        check(reader, &era.call("lab_erase", &erase), 200);
        let streamed = check(full, &era.lab("ok", "2").progress(json!(1)), 200);
        let answer = Answer::of(streamed);
        assert!(!answer.is_error(), "{answer:?}");
    }
    // Streams for certain: the head comes before the answer.
    let held = Era::Modern.lab("hold", "1").progress(json!(1)).field("Origin", APP);
    let events = super::harness::events::Events::open(&bench.gate, &bench.key.text, &held);
    expect_readable(&events.head);
    drop(events);
    let asked = json!({ "notifications": { "toolsListChanged": true } });
    let listen = modern("subscriptions/listen", asked).field("Origin", APP);
    let events = super::harness::events::Events::open(&bench.gate, &bench.key.text, &listen);
    expect_readable(&events.head);
    drop(events);
    // Refusals and errors too.
    check(full, &post_bytes("nonsense"), 400);
    check(full, &modern("no/such", json!({})), 404);
    let challenged = check(None, &list, 401);
    assert!(challenged.field("www-authenticate").is_some(), "{challenged:?}");
    check(Some("nothing"), &list, 401);
    let get = Request::get("/mcp").field("Origin", APP).key(&bench.key.text);
    let get = bench.gate.call(&get);
    assert_eq!(get.status, 405, "{get:?}");
    expect_readable(&get);
    for _ in 0..5 {
        ask(&bench, Some(&bench.five.text), &list);
    }
    check(Some(&bench.five.text), &list, 429);
}

#[test]
fn pages_of_others_read_nothing() {
    let upstream = Upstream::start();
    let bench = start(&upstream);
    for origin in [EVIL, "null", "http://app.example.com"] {
        for key in [None, Some(bench.key.text.as_str())] {
            let message = Era::Legacy.lab("ok", "1").field("Origin", origin);
            let response = bench.gate.call(&message.request(key));
            expect_denial(&response, Denial::PolicyRefused, &[]);
            expect_unreadable(&response);
        }
    }
    assert!(upstream.received().is_empty(), "{:?}", upstream.received());
    // What is no page is told nothing of pages, but that answers differ by them.
    let program = bench.gate.call(&modern("ping", json!({})).request(Some(&bench.key.text)));
    expect_unreadable(&program);
}

/// An endpoint that names no origins has nothing to say to pages.
#[test]
fn without_origins_there_are_no_pages() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let response = bench.gate.call(&preflight(APP, "POST", "authorization"));
    assert!(matches!(response.status, 401 | 403 | 405), "{response:?}");
    expect_unreadable(&response);
    let list = modern("tools/list", json!({})).field("Origin", APP);
    let response = bench.gate.call(&list.request(Some(&bench.key.text)));
    expect_denial(&response, Denial::PolicyRefused, &[]);
    expect_unreadable(&response);
}
