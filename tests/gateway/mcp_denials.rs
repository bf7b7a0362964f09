//! Who is refused at the MCP endpoint, and with which words: strangers, guests of a browser, callers of
//! tools that are not theirs.

use serde_json::json;

use super::harness::http::Request;
use super::harness::mcp::{Answer, Era, Message, initialize, legacy, modern};
use super::harness::setup::Setup;
use super::harness::toolbox::{ALL, READING, Toolbox};

const CHALLENGE: &str = "Bearer realm=\"onegate\"";

#[test]
fn strangers_are_told_how_to_be_known() {
    let toolbox = Toolbox::start();
    let check = |field: Option<(&str, &str)>, denial: &str, challenge: &str, words: &[&str]| {
        for message in [initialize("2025-11-25"), modern("server/discover", json!({}))] {
            let mut request = message.request(None);
            if let Some((name, value)) = field {
                request = request.field(name, value);
            }
            let response = toolbox.gate.call(&request);
            assert_eq!(response.status, 401, "{field:?}: {response:?}");
            let shown = response.field("www-authenticate").unwrap_or_default();
            assert!(shown.starts_with(challenge), "{field:?}: {response:?}");
            for word in words {
                assert!(response.text().contains(word), "{field:?}: {word}: {response:?}");
            }
            let answer = Answer::of(response);
            let record = toolbox.gate.record_of_answer(&answer);
            assert_eq!(record["denial"], denial, "{field:?}: {record}");
        }
    };
    let invalid = "Bearer realm=\"onegate\", error=\"invalid_token\"";
    check(None, "credential_missing", CHALLENGE, &["Authorization", "X-API-Key"]);
    let of_others = ("Authorization", "Bearer some-token-of-someone-else");
    check(Some(of_others), "credential_invalid", invalid, &[]);
    // The client's set-up names a variable that nothing put a value for.
    let literal = |name, value| {
        check(Some((name, value)), "credential_invalid", invalid, &["variable"]);
    };
    literal("Authorization", "Bearer ${ONEGATE_KEY}");
    literal("X-API-Key", "${ONEGATE_KEY}");
    literal("X-API-Key", "$ONEGATE_KEY");
    literal("Authorization", "Bearer {{ONEGATE_KEY}}");
    assert!(toolbox.upstream.asked().is_empty());
}

#[test]
fn a_text_that_helps_repeats_nothing_secret() {
    let toolbox = Toolbox::start();
    let message = initialize("2025-11-25");
    let response = toolbox.gate.call(&message.request(Some("sk-mine-of-elsewhere")));
    assert_eq!(response.status, 401, "{response:?}");
    assert!(!response.text().contains("sk-mine"), "{response:?}");
}

#[test]
fn hidden_tools_are_refused_as_over_rest() {
    let toolbox = Toolbox::start();
    let over_rest = Request::new("POST", "/lab/ok/1").key(&toolbox.reader.text).body(b"{}");
    let over_rest = toolbox.gate.call(&over_rest);
    let problem = over_rest.problem();
    let record_of_rest = toolbox.gate.record_of(&over_rest);
    for era in Era::BOTH {
        let call = era.call("lab_write", &json!({ "n": "1", "amount": 1 }));
        let answer = toolbox.gate.mcp(&toolbox.reader.text, &call);
        answer.expect_problem(403, "not_granted");
        answer.expect_error(problem["detail"].as_str().expect("a text"));
        let record = toolbox.gate.record_of_answer(&answer);
        for name in ["client", "api", "operation", "method", "path", "decision", "denial", "status"]
        {
            assert_eq!(record[name], record_of_rest[name], "{name}: {record}");
        }
    }
    assert!(toolbox.upstream.asked().is_empty(), "a denied call reached the upstream");
}

#[test]
fn missing_scopes_are_named() {
    let toolbox = Toolbox::start();
    let granted = ["--no-expiry", "--plan", "wide", "--product", "all", "--scope", "lab:read"];
    let key = toolbox.gate.add_client("half", &granted);
    for era in Era::BOTH {
        let call = era.call("lab_write", &json!({ "n": "1", "amount": 1 }));
        let answer = toolbox.gate.mcp(&key.text, &call);
        answer.expect_problem(403, "insufficient_scope");
        answer.expect_error("lab:write");
        // What would be refused is not listed.
        let listed = toolbox.gate.mcp(&key.text, &era.message("tools/list", json!({})));
        assert_eq!(listed.tools(), ["lab_absent", "lab_busy", "lab_hold", "lab_read"]);
    }
}

#[test]
fn lists_follow_grants_and_never_cross_over() {
    let toolbox = Toolbox::start();
    let list = |key: &str| toolbox.gate.mcp(key, &legacy("tools/list", json!({})));
    // Many at once, each over connections of its own.
    std::thread::scope(|scope| {
        for n in 0..8 {
            let (key, expected) = if n % 2 == 0 {
                (&toolbox.full.text, &ALL[..])
            } else {
                (&toolbox.reader.text, &READING[..])
            };
            scope.spawn(move || {
                for _ in 0..20 {
                    assert_eq!(list(key).tools(), expected);
                }
            });
        }
        // Meanwhile the policy is loaded again and again.
        for _ in 0..5 {
            toolbox.gate.cli(&["reload"]).expect_success();
        }
    });
    // A revoked grant is gone from the next list.
    let nobody = toolbox.gate.add_client("nobody", &["--no-expiry"]);
    assert!(list(&nobody.text).tools().is_empty(), "it is known, and may call nothing");
}

#[test]
fn a_suspended_client_is_refused_everything() {
    let toolbox = Toolbox::start();
    let suspend = ["suspend", "client", "reader", "--reason", "a test"];
    toolbox.gate.cli(&suspend).expect_success();
    for message in [initialize("2025-11-25"), modern("tools/list", json!({}))] {
        let answer = toolbox.gate.mcp(&toolbox.reader.text, &message);
        assert_eq!(answer.response.status, 403, "{answer:?}");
        let record = toolbox.gate.record_of_answer(&answer);
        assert_eq!(record["denial"], "client_suspended", "{record}");
    }
}

#[test]
fn pages_of_others_may_not_call() {
    let toolbox = Toolbox::start_with_keys("origins = [\"https://app.example.com\"]");
    let port = toolbox.gate.address.port();
    let local = format!("127.0.0.1:{port}");
    let check = |host: &str, origins: &[&str], status: u16| {
        for message in [initialize("2025-11-25"), modern("tools/list", json!({}))] {
            let mut message = message.under(host);
            for origin in origins {
                message = message.field("Origin", origin);
            }
            let answer = toolbox.ask(&message);
            assert_eq!(answer.response.status, status, "{host} {origins:?}: {answer:?}");
            if status == 403 {
                let record = toolbox.gate.record_of_answer(&answer);
                assert_eq!(record["denial"], "policy_refused", "{record}");
            }
        }
    };
    // Programs send none.
    check("gate.test", &[], 200);
    check("gate.test", &["https://app.example.com"], 200);
    check(&local, &[&format!("http://{local}")], 200);
    check(&local, &["http://localhost:3000"], 200);
    check("localhost", &["http://[::1]:3000"], 200);
    // A page of elsewhere whose name leads here.
    check(&local, &["http://evil.example.com"], 403);
    check("evil.example.com", &["http://evil.example.com"], 403);
    check("gate.test", &["https://gate.test.evil.example.com"], 403);
    check("gate.test", &["http://app.example.com"], 403);
    check("gate.test", &["https://app.example.com.evil.net"], 403);
    check("gate.test", &["null"], 403);
    check("gate.test", &[""], 403);
    check("gate.test", &["http://localhost:3000"], 403);
    check("gate.test", &["https://app.example.com", "https://app.example.com"], 403);
}

#[test]
fn an_origin_is_looked_at_before_a_key() {
    let toolbox = Toolbox::start();
    let evil = initialize("2025-11-25").field("Origin", "http://evil.example.com");
    let response = toolbox.gate.call(&evil.request(None));
    assert_eq!(response.status, 403, "{response:?}");
    // Whatever the method.
    let get = Request::get("/mcp").field("Origin", "http://evil.example.com");
    assert_eq!(toolbox.gate.call(&get.key(&toolbox.full.text)).status, 403);
}

#[test]
fn the_endpoint_is_under_its_hosts_only() {
    let toolbox = Toolbox::start_with_keys("hosts = [\"mcp.gate.test\", \"127.0.0.1\"]");
    let ask = |message: Message, host: &str| toolbox.ask(&message.under(host)).response.status;
    for host in ["mcp.gate.test", "MCP.gate.test", "127.0.0.1:8080"] {
        assert_eq!(ask(modern("tools/list", json!({})), host), 200, "{host}");
    }
    for host in ["gate.test", "evil.example.com", "mcp.gate.test.evil.net", "127.0.0.2"] {
        let status = ask(modern("tools/list", json!({})), host);
        assert!(matches!(status, 403 | 404 | 421), "{host}: {status}");
    }
}

#[test]
fn the_endpoint_can_be_switched_off_and_moved() {
    let keys = |mcp: &str| Toolbox::start_with(|setup| Setup { more: mcp.to_owned(), ..setup });
    let list = modern("tools/list", json!({}));
    let off = keys("[mcp]\nendpoint = \"off\"");
    assert_eq!(off.gate.call(&list.request(Some(&off.full.text))).status, 404);
    let moved = keys("[mcp]\npath = \"/agents/mcp\"");
    assert_eq!(moved.gate.call(&list.request(Some(&moved.full.text))).status, 404);
    let get = Request::get("/agents/mcp").key(&moved.full.text);
    assert_eq!(moved.gate.call(&get).status, 405);
}
