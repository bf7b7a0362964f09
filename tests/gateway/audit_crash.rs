//! What a killed gate's journal says of a call is what its record would have said: each kind of call is made twice,
//! once recorded as always, once while the log cannot be written and the gate is then killed.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::harness::bench::Bench;
use super::harness::faults::Faults;
use super::harness::http::{Request, Response};
use super::harness::mcp::{Era, initialize, legacy, modern, post_bytes};
use super::harness::setup::{LAB, Setup};
use super::harness::upstream::Upstream;

const MORE: &str = r#"
[[upstream]]
name = "nobody"
endpoints = ["[::1]:1"]
retries = 0

[[upstream]]
name = "no-socket"
endpoints = ["unix:/nonexistent/socket"]
retries = 0

[[api]]
name = "dead"
base_path = "/dead"
upstream = "nobody"
access = "public"

[[api.operation]]
id = "get"
methods = ["GET"]
path = "/{n}"

[[api]]
name = "local"
base_path = "/local"
upstream = "no-socket"
access = "public"
blocked_paths = ["/**/.git/**"]
ip = { deny = ["198.51.100.0/24"] }
cors = { origins = ["https://app.example.com"] }

[[api.operation]]
id = "get"
methods = ["GET"]
path = "/{n}"

[[api.operation]]
id = "said"
methods = ["GET"]
path = "/said"
respond = { status = 204 }

[[api.operation]]
id = "moved"
methods = ["GET"]
path = "/moved"
redirect = { status = 302, location = "/elsewhere" }

[[plan]]
name = "watching"
rates = [
    { limit = 100, per = "1s" },
    { name = "watched", limit = 1, per = "10m", burst = 1, shadow = true },
]

[[plan]]
name = "once"
quotas = [{ limit = 1, per = "month" }]
"#;

/// What may differ, and the number of the call.
const OWN: [&str; 9] = [
    "seq",
    "id",
    "time",
    "duration_us",
    "upstream_us",
    "request_bytes",
    "response_bytes",
    "end",
    "trace_id",
];

/// What some call must have, so that it is compared.
const COMPARED: [&str; 24] = [
    "agent",
    "api",
    "client",
    "credential",
    "decision",
    "denial",
    "endpoint",
    "failure",
    "holder",
    "host",
    "limit",
    "mcp",
    "method",
    "operation",
    "parent_request_id",
    "peer_ip",
    "policy",
    "product",
    "profile",
    "reason",
    "scopes_required",
    "shadow_limit",
    "source_ip",
    "upstream",
];

/// One call of each kind; what its record says is done when its answer begins.
fn kinds(bench: &Bench, keys: &[String; 4]) -> Vec<Request> {
    let [held_by, watching, once, suspended] = keys;
    let key = &bench.key.text;
    let get = Request::get;
    // The secret is another's: the key's id is all that is known.
    let (own, other): (Vec<&str>, Vec<&str>) =
        (key.split('_').collect(), bench.other.text.split('_').collect());
    let claimed = [&own[..3], &other[3..]].concat().join("_");
    let from = |ip: &str| get("/open/ok/1").field("X-Forwarded-For", ip);
    let preflight = |origin: &str| {
        Request::new("OPTIONS", "/local/1")
            .field("Origin", origin)
            .field("Access-Control-Request-Method", "GET")
    };
    vec![
        get("/lab/ok/1").key(key),
        get("/lab/ok/1").key(held_by).field("X-Forwarded-For", "203.0.113.7"),
        get("/lab/ok/1").key(watching),
        get("/lab/absent/1").key(key),
        get("/lab/busy/1").key(key),
        Request::new("POST", "/lab/echo/1").key(key).body(b"body"),
        Request::new("HEAD", "/lab/ok/1").key(key),
        get("/open/ok/1"),
        get("/open/ok/1")
            .field("X-Request-Id", "of \"the\" proxy")
            .field("X-Forwarded-Proto", "https"),
        get("/open/ok/1?query=1").field("X-Request-Id", "of-the-proxy"),
        get("/open/ok/%C3%A4"),
        get(&format!("/open/ok/{}", "x".repeat(3000))),
        from("2001:db8::7"),
        from("::ffff:203.0.113.9"),
        from("203.0.113.7, 127.0.0.1"),
        from("nonsense"),
        get("/local/said"),
        get("/local/moved"),
        preflight("https://app.example.com"),
        preflight("https://other.example.com"),
        get("/lab/ok/1"),
        get("/lab/ok/1").key(&claimed),
        get("/lab/ok/1").key("nothing"),
        get("/lab/ok/1").key(key).field("X-API-Key", &bench.other.text),
        get("/lab/ok/1").key(&bench.other.text),
        get("/lab/ok/1").key(suspended),
        get("/lab/ok/1").key(&bench.five.text),
        get("/lab/ok/1").key(once),
        Request::new("DELETE", "/lab/ok/1").key(&bench.reader.text),
        Request::new("PATCH", "/lab/ok/1").key(key),
        get("/lab/no/such/thing").key(key),
        get("/lab/no/such/thing"),
        get("/nothing/here"),
        get("/lab//ok"),
        get(&format!("/lab/{}/1", "a".repeat(9000))),
        Request::new("POST", "/lab/echo/1").key(key).body(&[b'x'; 5000]),
        Request::new("POST", "/lab/echo/1").key(key).chunks(&[&[b'x'; 5000]]),
        get("/local/1").field("X-Forwarded-For", "198.51.100.1"),
        get("/local/.git/config"),
        get("/local/1"),
        get("/dead/1"),
        get("/lab/close/1").key(key),
        get("/lab/garbage/1").key(key),
        get("/lab/hold/1").key(key),
    ]
}

/// The same as messages.
fn messages(bench: &Bench, keys: &[String; 4]) -> Vec<Request> {
    let [held_by, watching, once, suspended] = keys;
    let key = Some(bench.key.text.as_str());
    let list = modern("tools/list", json!({}));
    let note = post_bytes(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    let erase = json!({ "behaviour": "ok", "n": "1" });
    let mut messages = vec![
        initialize("2025-11-25").request(key),
        modern("server/discover", json!({})).request(key),
        legacy("ping", json!({})).request(key),
        note.request(key),
        list.request(None),
        list.request(Some("nothing")),
        list.request(Some(suspended)),
        list.request(Some(&bench.five.text)),
        list.clone().field("Origin", "https://other.example.com").request(key),
        modern("tools/list", json!({ "cursor": "nonsense" })).request(key),
        modern("no/such", json!({})).request(key),
        post_bytes("nonsense").request(key),
        post_bytes(vec![b' '; 2 << 20]).request(key),
        Request::get("/mcp").key(&bench.key.text),
    ];
    for era in Era::BOTH {
        let dead = era.call("dead_get", &json!({ "n": "1" }));
        let lab = |behaviour: &str| era.lab(behaviour, "1").request(key);
        messages.extend([
            era.message("tools/list", json!({})).request(key),
            lab("ok"),
            era.lab("ok", "2").set("/id", json!("of \"the\" model")).request(key),
            era.lab("ok", "1").request(Some(held_by)).field("X-Forwarded-For", "203.0.113.7"),
            era.lab("ok", "1").request(Some(watching)),
            era.lab("ok", "1").request(Some(once)),
            era.lab("ok", "1").request(Some(&bench.five.text)),
            era.lab("ok", "1").request(Some(&bench.other.text)),
            era.call("lab_erase", &erase).request(Some(&bench.reader.text)),
            lab("absent"),
            lab("busy"),
            lab("close"),
            lab("garbage"),
            lab("hold"),
            era.lab("ok", "3").progress(json!("token")).request(key),
            dead.request(key),
            era.call("local_said", &json!({})).request(key),
            era.call("no_such_tool", &json!({})).request(key),
        ]);
    }
    messages
}

fn facts(record: &Value) -> Map<String, Value> {
    let mut facts = record.as_object().expect("a record is an object").clone();
    facts.retain(|member, _| !OWN.contains(&member.as_str()));
    facts
}

#[test]
fn a_killed_gates_record_says_the_same_as_any() {
    let upstream = Upstream::start();
    let faults = Faults::none();
    let plans = "[[plan]]\nname = \"wide\"\nrates = [{ limit = 100000, per = \"1s\" }]\n\
                 [[plan]]\nname = \"five\"\nrates = [{ limit = 1, per = \"10m\", burst = 1 }]\n";
    let setup = Setup {
        server: "trusted_proxies = [\"127.0.0.0/8\"]",
        upstream: "retries = 0\ntimeouts = { first_byte = \"500ms\" }",
        apis: LAB.to_owned(),
        plans,
        more: MORE.to_owned(),
        ..Setup::before(&upstream)
    };
    let mut bench = Bench::start_with(&setup, &faults.environment());
    let read = ["--no-expiry", "--product", "lab", "--scope", "lab:read", "--plan"];
    let add = |id: &str, plan: &str| bench.gate.add_client(id, &[&read[..], &[plan]].concat()).text;
    let holder = ["--holder", "Ann \"the\" Hölder"];
    let held = [&["credential", "add", "--client", "full", "--key"], &holder[..]].concat();
    let held = bench.gate.key(&held).text;
    let keys = [held, add("watching", "watching"), add("once", "once"), add("gone", "wide")];
    bench.gate.cli(&["suspend", "client", "gone", "--reason", "test"]).expect_success();
    // The next call of each is over its limit.
    for key in [&keys[1], &keys[2], &bench.five.text] {
        assert_eq!(bench.gate.call(&Request::get("/lab/ok/1").key(key)).status, 200);
    }
    let kinds = [kinds(&bench, &keys), messages(&bench, &keys)].concat();
    let all = |bench: &Bench| -> Vec<Response> {
        kinds.iter().map(|request| bench.gate.call(request)).collect()
    };
    let ordinary = all(&bench);
    let record_of = |bench: &Bench, response: &Response| {
        let record = bench.gate.record_of_id(response.id());
        // A tool's failure is a good answer.
        let is_message = record["surface"] == "mcp";
        assert!(is_message || record["status"] == response.status, "{record}");
        record
    };
    let ordinary: Vec<Value> =
        ordinary.iter().map(|response| record_of(&bench, response)).collect();
    faults.are("write ENOSPC");
    let killed = all(&bench);
    bench.gate.kill9();
    faults.are("");
    bench.gate.run();
    let mut compared = BTreeSet::new();
    for (response, ordinary) in killed.iter().zip(&ordinary) {
        let record = record_of(&bench, response);
        assert_eq!(record["end"], "crash", "{record}");
        assert_eq!(facts(&record), facts(ordinary), "\n{record}\n{ordinary}");
        compared.extend(facts(&record).into_iter().map(|(member, _)| member));
    }
    for member in &COMPARED {
        assert!(compared.contains(*member), "no call has {member}");
    }
}
