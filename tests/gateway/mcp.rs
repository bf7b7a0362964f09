//! The MCP endpoint in both eras: how a client begins, what it is told, what it lists and calls. The
//! messages are bytes that the test writes; real clients are in `mcp_clients`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::harness::http::Request;
use super::harness::mcp::{
    CAPABILITIES, Era, LEGACY, MODERN, VERSION, initialize, legacy, modern, post,
};
use super::harness::setup::Setup;
use super::harness::toolbox::{ALL, READING, Toolbox};

#[test]
fn a_legacy_client_agrees_on_a_revision() {
    let toolbox = Toolbox::start();
    let check = |asked: &str, answered: &str| {
        let answer = toolbox.ask(&initialize(asked));
        let result = answer.result();
        assert_eq!(result["protocolVersion"], answered, "{asked}: {result}");
        assert!(result["capabilities"]["tools"].is_object(), "{result}");
        assert!(result["serverInfo"]["name"].is_string(), "{result}");
        assert!(result["serverInfo"]["version"].is_string(), "{result}");
        assert_eq!(answer.response.field("mcp-session-id"), None, "no sessions");
        let record = toolbox.gate.record_of_answer(&answer);
        assert_eq!(record["operation"], "mcp.initialize", "{record}");
        assert_eq!(record["agent"], "tests/1.0.0", "{record}");
    };
    check("2025-11-25", "2025-11-25");
    check("2025-06-18", "2025-06-18");
    check("2025-03-26", "2025-03-26");
    // An unknown one gets the newest that begins so; never the one that does not.
    check("2024-11-05", LEGACY);
    check("2026-07-28", LEGACY);
    check("2099-01-01", LEGACY);
    check("nonsense", LEGACY);
    // Some clients send the field with it already.
    let early = initialize(LEGACY).field("MCP-Protocol-Version", LEGACY);
    assert_eq!(toolbox.ask(&early).result()["protocolVersion"], LEGACY);
    let newer = initialize(LEGACY).field("MCP-Protocol-Version", MODERN);
    assert_eq!(toolbox.ask(&newer).result()["protocolVersion"], LEGACY);
}

#[test]
fn a_modern_client_discovers() {
    let toolbox = Toolbox::start();
    let answer = toolbox.ask(&modern("server/discover", json!({})));
    let result = answer.result();
    let versions = ["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26"];
    assert_eq!(result["supportedVersions"], json!(versions), "{result}");
    assert_eq!(result["resultType"], "complete", "{result}");
    assert!(result["capabilities"]["tools"].is_object(), "{result}");
    assert!(result["ttlMs"].is_u64() && result["cacheScope"].is_string(), "{result}");
    assert!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"].is_string(), "{result}");
    let record = toolbox.gate.record_of_answer(&answer);
    assert_eq!(record["operation"], "mcp.server/discover", "{record}");
    // Nothing else is offered, so nothing else is said to be.
    let capabilities = result["capabilities"].as_object().expect("an object");
    for absent in ["prompts", "resources", "completions", "logging"] {
        assert!(!capabilities.contains_key(absent), "{absent}: {result}");
    }
}

#[test]
fn both_eras_share_the_endpoint() {
    // One connection; a client that probes may go on in either era.
    let toolbox = Toolbox::start();
    let mut client = toolbox.gate.client();
    let key = Some(toolbox.full.text.as_str());
    for message in [
        modern("server/discover", json!({})),
        initialize(LEGACY),
        modern("tools/list", json!({})),
        legacy("tools/list", json!({})),
        legacy("ping", json!({})),
        // Without the field: the revision that had none.
        legacy("tools/list", json!({})).without("MCP-Protocol-Version"),
    ] {
        let response = client.call(&message.request(key));
        assert_eq!(response.status, 200, "{message:?}: {response:?}");
    }
}

#[test]
fn notifications_are_taken() {
    let toolbox = Toolbox::start();
    let note = |method: &str| json!({ "jsonrpc": "2.0", "method": method });
    for message in [
        post(note("notifications/initialized")),
        post(note("notifications/initialized")).field("MCP-Protocol-Version", LEGACY),
        post(note("notifications/cancelled")).field("MCP-Protocol-Version", MODERN),
        post(note("notifications/of-nobody")),
    ] {
        let answer = toolbox.ask(&message);
        assert_eq!(answer.response.status, 202, "{answer:?}");
        assert!(answer.response.body.is_empty(), "{answer:?}");
        let record = toolbox.gate.record_of_answer(&answer);
        assert_eq!(record["operation"], "mcp.notification", "{record}");
    }
}

#[test]
fn only_post_is_served() {
    let toolbox = Toolbox::start();
    for method in ["GET", "DELETE", "PUT", "PATCH"] {
        let request = Request::new(method, "/mcp").field("Accept", "text/event-stream");
        let response = toolbox.gate.call(&request.key(&toolbox.full.text));
        assert_eq!(response.status, 405, "{method}: {response:?}");
        assert_eq!(response.field("allow"), Some("POST"), "{method}: {response:?}");
    }
    // Who is nobody learns nothing.
    assert_eq!(toolbox.gate.call(&Request::get("/mcp")).status, 401);
    // The path is exact.
    let below = toolbox.gate.call(&Request::new("POST", "/mcp/more").key(&toolbox.full.text));
    assert_eq!(below.status, 404, "{below:?}");
}

#[test]
fn a_list_is_what_the_caller_may_call() {
    let toolbox = Toolbox::start();
    for era in Era::BOTH {
        let list = era.message("tools/list", json!({}));
        let all = toolbox.ask(&list);
        assert_eq!(all.tools(), ALL, "{era:?}");
        assert_eq!(toolbox.gate.mcp(&toolbox.reader.text, &list).tools(), READING, "{era:?}");
        if era == Era::Modern {
            assert_eq!(all.result()["resultType"], "complete");
            assert_eq!(all.result()["cacheScope"], "private", "it is one caller's");
            assert!(all.result()["ttlMs"].is_u64());
        }
        for tool in all.result()["tools"].as_array().expect("tools") {
            assert_eq!(tool["inputSchema"]["type"], "object", "{tool}");
            assert!(tool["description"].as_str().is_some_and(|text| !text.is_empty()), "{tool}");
        }
        let record = toolbox.gate.record_of_answer(&all);
        assert_eq!(record["operation"], "mcp.tools/list", "{record}");
        assert_eq!(record["mcp"]["protocol"], era.revision(), "{record}");
    }
    let read = toolbox.ask(&legacy("tools/list", json!({})));
    let read = &read.result()["tools"][3];
    assert_eq!(read["annotations"]["readOnlyHint"], true, "{read}");
    assert_eq!(read["inputSchema"]["required"], json!(["n"]), "{read}");
    let properties = read["inputSchema"]["properties"].as_object().expect("properties");
    let names: BTreeSet<&str> = properties.keys().map(String::as_str).collect();
    assert_eq!(names, BTreeSet::from(["X-Note", "limit", "n", "q", "tags"]));
}

#[test]
fn a_call_is_the_operation() {
    let toolbox = Toolbox::start();
    let over_rest = toolbox.rest("GET", "/lab/ok/7?q=a");
    let expected: Value = serde_json::from_slice(&over_rest.body).expect("JSON");
    for era in Era::BOTH {
        let answer = toolbox.ask(&era.call("lab_read", &json!({ "n": "7", "q": "a" })));
        assert_eq!(answer.structured(), &expected, "{era:?}");
        let text: Value = serde_json::from_str(&answer.text()).expect("JSON");
        assert_eq!(text, expected, "{era:?}");
        let has_type = answer.result()["resultType"] == "complete";
        assert_eq!(has_type, era == Era::Modern, "{answer:?}");
    }
    // The body, and its type.
    let answer = toolbox.ask(&Era::Modern.call("lab_write", &json!({ "n": "8", "amount": 3 })));
    assert_eq!(answer.structured()["body"], r#"{"amount":3}"#);
    let written = toolbox.upstream.last_at("/lab/ok/8");
    assert_eq!(written.fields.value("content-type"), Some("application/json"));
    // None of the agent's fields goes on, and the gate says who calls.
    for asked in toolbox.upstream.asked() {
        for (name, value) in asked.fields.iter() {
            assert!(!name.starts_with("mcp-") && name != "authorization", "{name}: {value}");
        }
        assert_eq!(asked.fields.value("x-onegate-client"), Some("full"));
    }
    let surfaces: Vec<_> = toolbox.upstream.asked();
    assert_eq!(surfaces[0].fields.value("x-onegate-surface"), Some("rest"));
    assert_eq!(surfaces[1].fields.value("x-onegate-surface"), Some("mcp"));
}

#[test]
fn what_the_upstream_refuses_is_told_to_the_model() {
    let toolbox = Toolbox::start();
    for era in Era::BOTH {
        let check = |tool: &str, words: &[&str]| {
            let answer = toolbox.ask(&era.call(tool, &json!({ "n": "1" })));
            for word in words {
                answer.expect_error(word);
            }
            // The id that support is asked with; nothing of the service's insides.
            answer.expect_error(answer.response.id());
            let text = answer.rpc().to_string();
            assert!(!text.contains("secret-host") && !text.contains("of-upstream"), "{text}");
        };
        check("lab_absent", &["404", "No such thing"]);
        check("lab_busy", &["503", "Too much to do", "7"]);
    }
}

/// Who is about to grant something sees what it costs a model.
#[test]
fn client_show_says_what_a_list_costs() {
    let many = (0..130).map(|n| {
        format!(
            "[[api.operation]]\nid = \"n{n}\"\nmethods = [\"GET\"]\npath = \"/{n}\"\nrespond = {{ status = 204 }}\n"
        )
    });
    let many: String = many.collect();
    let public = "[[api]]\nname = \"many\"\nbase_path = \"/many\"\nupstream = \"recorder\"\naccess = \"public\"\n";
    let start = |more: String| {
        let direct = "[mcp]\npresentation = \"direct\"\n".to_owned();
        Toolbox::start_with(|setup| Setup { apis: setup.apis + &more, more: direct, ..setup })
    };
    let check = |toolbox: &Toolbox, client: &str, key: &str, warning: Option<&str>| {
        let list = toolbox.gate.mcp(key, &legacy("tools/list", json!({})));
        let tools = list.result()["tools"].as_array().expect("tools");
        let bytes: usize = tools.iter().map(|tool| tool.to_string().len()).sum();
        let tokens = bytes.div_ceil(4);
        let shown = toolbox.gate.cli(&["client", "show", client, "--json"]).expect_success();
        let shown: Value = serde_json::from_str(&shown).expect("JSON");
        let count = tools.len();
        let expected = json!([{
            "profile": "default", "presentation": "direct", "operations": count, "tools": count,
            "tokens": tokens,
        }]);
        assert_eq!(shown["tools"], expected);
        let shown = toolbox.gate.cli(&["client", "show", client]).expect_success();
        let line = format!(
            "over MCP, profile default, shown direct: {count} operations in {count} tools, about {tokens} tokens \
             of a model's context"
        );
        assert!(shown.contains(&line), "{shown}");
        assert_eq!(shown.contains("  more than "), warning.is_some(), "{shown}");
        assert!(shown.contains(warning.unwrap_or_default()), "{shown}");
    };
    let toolbox = start(String::new());
    check(&toolbox, "full", &toolbox.full.text, None);
    check(&toolbox, "reader", &toolbox.reader.text, None);
    let toolbox = start(format!("{public}{many}"));
    check(
        &toolbox,
        "reader",
        &toolbox.reader.text,
        Some("more than 128 tools: some clients refuse"),
    );
}

/// The gate's own answers are whole, with a body and without.
#[test]
fn operations_that_the_gate_answers_itself_are_tools_too() {
    let own = r#"
[[api]]
name = "own"
base_path = "/own"
access = "public"
upstream = "recorder"

[[api.operation]]
id = "empty"
methods = ["GET"]
path = "/empty"
respond = { status = 204 }

[[api.operation]]
id = "closed"
methods = ["POST"]
path = "/closed"
respond = { status = 503, body = "Closed.\n" }
"#;
    let toolbox = Toolbox::start_with(|setup| Setup { apis: setup.apis + own, ..setup });
    for era in Era::BOTH {
        let answer = toolbox.ask(&era.call("own_empty", &json!({})));
        assert_eq!(answer.text(), "204 No Content: done, and there is no content.", "{era:?}");
        let answer = toolbox.ask(&era.call("own_closed", &json!({})));
        answer.expect_error("503");
        answer.expect_error("Closed.");
    }
    assert!(toolbox.upstream.asked().is_empty(), "nothing was forwarded");
}

#[test]
fn a_call_leaves_the_operations_record() {
    let toolbox = Toolbox::start();
    let message = modern("tools/call", json!({ "name": "lab_read", "arguments": { "n": "7" } }));
    let answer = toolbox.ask(&message.set("/id", json!("call-1")));
    let of_rest = toolbox.gate.record_of(&toolbox.rest("GET", "/lab/ok/7"));
    let of_mcp = toolbox.gate.record_of_answer(&answer);
    let only_there = ["id", "seq", "time", "surface", "agent", "mcp", "duration_us", "upstream_us"];
    let sizes = ["request_bytes", "response_bytes", "trace_id"];
    for (name, value) in of_rest.as_object().expect("an object") {
        if !only_there.contains(&name.as_str()) && !sizes.contains(&name.as_str()) {
            assert_eq!(&of_mcp[name], value, "{name}: {of_mcp}");
        }
    }
    for (name, value) in [
        ("tool", json!("lab_read")),
        ("protocol", json!(MODERN)),
        ("rpc_id", json!("call-1")),
        ("is_error", json!(false)),
    ] {
        assert_eq!(of_mcp["mcp"][name], value, "{of_mcp}");
    }
    // One record a call, whichever way.
    let path = ["--path", "/lab/ok/7"];
    assert_eq!(toolbox.gate.records(&path, |records| records.len() >= 2).len(), 2);
    let failed = toolbox.ask(&Era::Legacy.call("lab_absent", &json!({ "n": "1" })));
    let record = toolbox.gate.record_of_answer(&failed);
    assert_eq!((&record["status"], &record["mcp"]["is_error"]), (&json!(404), &json!(true)));
}

#[test]
fn meta_may_say_more_than_it_must() {
    let toolbox = Toolbox::start();
    let message = modern("tools/list", json!({}));
    let traced = message
        .clone()
        .set(
            "/params/_meta/io.modelcontextprotocol~1clientInfo",
            json!({ "name": "a", "version": "1" }),
        )
        .set("/params/_meta/com.example~1other", json!([1, { "deep": true }]))
        .field("Mcp-Session-Id", "of-an-older-server")
        .field("Last-Event-ID", "7")
        .with("Accept", "*/*");
    assert_eq!(toolbox.ask(&traced).tools(), ALL);
    let without = message.set("/params/_meta", json!({ VERSION: MODERN, CAPABILITIES: {} }));
    assert_eq!(toolbox.ask(&without).tools(), ALL);
}
