//! Messages that break a rule: the error of the protocol's table, with the message's id where it can be
//! read, always with the gate's own id and one record, and the gate goes on.

use serde_json::{Value, json};

use super::harness::mcp::{
    Answer, Era, LEGACY, MODERN, Message, VERSION, legacy, modern, post, post_bytes,
};
use super::harness::toolbox::{ALL, Toolbox};

/// Codes of JSON-RPC.
const PARSE: i64 = -32700;
const INVALID: i64 = -32600;

/// Looks at what a message gets: the HTTP status, and one of the codes.
fn expect(toolbox: &Toolbox, message: &Message, status: u16, codes: &[i64]) -> Answer {
    let answer = toolbox.ask(message);
    assert_eq!(answer.response.status, status, "{message:?}: {answer:?}");
    assert!(codes.contains(&answer.code()), "{codes:?}: {message:?}: {answer:?}");
    let id = answer.rpc().get("id").cloned().unwrap_or_default();
    let sent = message.id();
    let readable = sent.is_string() || sent.is_i64();
    assert_eq!(id, if readable { sent } else { Value::Null }, "{message:?}: {answer:?}");
    answer
}

fn list() -> Message {
    modern("tools/list", json!({}))
}

fn read() -> Message {
    modern("tools/call", json!({ "name": "lab_read", "arguments": { "n": "1" } }))
}

#[test]
fn what_is_no_message() {
    let toolbox = Toolbox::start();
    let check = |body: &str, codes: &[i64]| {
        for version in [None, Some(LEGACY), Some(MODERN)] {
            let message = post_bytes(body);
            let message = match version {
                Some(version) => message.field("MCP-Protocol-Version", version),
                None => message,
            };
            let answer = expect(&toolbox, &message, 400, codes);
            let record = toolbox.gate.record_of_answer(&answer);
            assert_eq!(record["operation"], "mcp.malformed", "{body}: {record}");
            assert_eq!(record["denial"], "malformed_request", "{body}: {record}");
        }
    };
    for text in ["", "{", "nonsense", "{\"jsonrpc\":\"2.0\",", "\u{feff}{}", "{}{}", "{'a':1}"] {
        check(text, &[PARSE]);
    }
    for json in ["[]", "{}", "1", "null", "\"tools/list\"", "true"] {
        check(json, &[INVALID]);
    }
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    // Batches were given up by every revision after the first.
    check(&format!("[{ping}]"), &[INVALID]);
    check(&format!("[{ping},{ping}]"), &[INVALID]);
    check(r#"{"id":null,"jsonrpc":"2.0","method":"ping"}"#, &[INVALID]);
    check(r#"{"id":1.5,"jsonrpc":"2.0","method":"ping"}"#, &[INVALID]);
    check(r#"{"id":[1],"jsonrpc":"2.0","method":"ping"}"#, &[INVALID]);
    check(r#"{"id":{},"jsonrpc":"2.0","method":"ping"}"#, &[INVALID]);
    check(r#"{"id":true,"jsonrpc":"2.0","method":"ping"}"#, &[INVALID]);
    toolbox.expect_service();
}

#[test]
fn what_is_no_request() {
    let toolbox = Toolbox::start();
    let check = |body: Value| {
        expect(&toolbox, &post(body), 400, &[INVALID]);
    };
    check(json!({ "id": 1, "method": "ping" }));
    check(json!({ "jsonrpc": "1.0", "id": 1, "method": "ping" }));
    check(json!({ "jsonrpc": 2.0, "id": 1, "method": "ping" }));
    check(json!({ "jsonrpc": "2.0", "id": 1, "method": 7 }));
    check(json!({ "jsonrpc": "2.0", "id": "a", "method": null }));
    // A client answers nothing here: nobody asked it.
    check(json!({ "jsonrpc": "2.0", "id": 1, "result": {} }));
    check(json!({ "jsonrpc": "2.0", "id": 1, "error": { "code": 1, "message": "a" } }));
    toolbox.expect_service();
}

#[test]
fn mirrors_must_agree_with_the_body() {
    let toolbox = Toolbox::start();
    let mismatch = |message: &Message| {
        let answer = expect(&toolbox, message, 400, &[-32020]);
        let record = toolbox.gate.record_of_answer(&answer);
        assert_eq!(record["denial"], "malformed_request", "{record}");
    };
    mismatch(&list().without("MCP-Protocol-Version"));
    mismatch(&list().with("MCP-Protocol-Version", LEGACY));
    mismatch(&list().set(&version(), json!("v999")));
    mismatch(&list().without("Mcp-Method"));
    mismatch(&list().with("Mcp-Method", "tools/call"));
    mismatch(&list().with("Mcp-Method", "TOOLS/LIST"));
    mismatch(&list().field("Mcp-Method", "tools/list"));
    mismatch(&read().without("Mcp-Name"));
    mismatch(&read().with("Mcp-Name", "lab_write"));
    mismatch(&read().with("Mcp-Name", "LAB_READ"));
    mismatch(&read().field("Mcp-Name", "lab_read"));
    mismatch(&read().with("Mcp-Name", "=?base64?bGFiX3JlYWQ?="));
    mismatch(&read().with("Mcp-Name", "=?base64?bGFi!!!X3JlYWQ=?="));
    mismatch(&read().with("Mcp-Name", "=?base64?bGFiX3dyaXRl?="));
    mismatch(&read().with("Mcp-Name", "=?BASE64?bGFiX3JlYWQ=?="));
    // The same, written otherwise.
    for message in [
        read().with("Mcp-Name", "=?base64?bGFiX3JlYWQ=?="),
        read().with("Mcp-Name", "  lab_read\t"),
        read().without("Mcp-Name").field("mcp-name", "lab_read"),
        read().field("Mcp-Param-Unknown", "anything"),
    ] {
        assert!(!toolbox.ask(&message).is_error(), "{message:?}");
    }
    assert_eq!(toolbox.upstream.asked().len(), 4, "what disagrees was called");
    // Older clients' fields are neither asked for nor trusted.
    let older = legacy("tools/call", json!({ "name": "lab_read", "arguments": { "n": "1" } }));
    let older = older.field("Mcp-Method", "tools/list").field("Mcp-Name", "lab_write");
    assert!(!toolbox.ask(&older).is_error());
}

fn version() -> String {
    format!("/params/_meta/{}", VERSION.replace('/', "~1"))
}

#[test]
fn meta_says_what_a_request_needs() {
    let toolbox = Toolbox::start();
    let capabilities = "/params/_meta/io.modelcontextprotocol~1clientCapabilities";
    let check = |message: Message, code: i64| expect(&toolbox, &message, 400, &[code]);
    check(list().remove("/params/_meta"), -32602);
    check(list().remove("/params"), -32602);
    check(list().remove(&version()), -32602);
    check(list().set(&version(), json!(7)), -32602);
    check(list().remove(capabilities), -32602);
    check(list().set(capabilities, json!([])), -32602);
    check(list().set(capabilities, json!("all")), -32602);
    let unknown = list().set(&version(), json!("v999")).with("MCP-Protocol-Version", "v999");
    let answer = check(unknown, -32022);
    let data = &answer.rpc()["error"]["data"];
    let versions = ["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26"];
    assert_eq!((&data["requested"], &data["supported"]), (&json!("v999"), &json!(versions)));
    // Of a client that begins as the older ones do, too.
    check(legacy("ping", json!({})).with("MCP-Protocol-Version", "1999-01-01"), -32022);
}

#[test]
fn methods_that_are_not_there() {
    let toolbox = Toolbox::start();
    for method in ["initialize", "ping", "prompts/list", "resources/list", "logging/setLevel", "a"]
    {
        expect(&toolbox, &modern(method, json!({})), 404, &[-32601]);
    }
    for method in ["server/discover", "prompts/list", "resources/read", "logging/setLevel", "a"] {
        expect(&toolbox, &legacy(method, json!({})), 200, &[-32601]);
    }
}

#[test]
fn tools_and_cursors_that_are_not_there() {
    let toolbox = Toolbox::start();
    for era in Era::BOTH {
        let check = |message: &Message| expect(&toolbox, message, 200, &[-32602]);
        let answer = check(&era.call("lab_nothing", &json!({})));
        let record = toolbox.gate.record_of_answer(&answer);
        assert_eq!(record["operation"], "mcp.tools/call", "{record}");
        assert_eq!(record["denial"], "not_found", "{record}");
        check(&era.call("LAB_READ", &json!({})));
        check(&era.call("", &json!({})));
        check(&era.message("tools/list", json!({ "cursor": "nonsense" })));
        check(&era.message("tools/call", json!({ "name": "lab_read", "arguments": [1] })));
        check(&era.message("tools/call", json!({ "name": "lab_read", "arguments": "n=1" })));
        check(&legacy("tools/call", json!({ "arguments": {} })));
        check(&legacy("tools/call", json!({ "name": 7 })));
        // In a field the blank would be no part of the name.
        check(&Era::Legacy.call("lab_read ", &json!({})));
    }
    assert!(toolbox.upstream.asked().is_empty());
}

#[test]
fn bodies_that_are_too_much() {
    let toolbox = Toolbox::start_with_keys("message_bytes_max = \"64KiB\"");
    let large = json!({ "n": "1", "q": "a".repeat(100_000) });
    let large = toolbox.ask(&Era::Modern.call("lab_read", &large));
    assert_eq!(large.response.status, 413, "{large:?}");
    let record = toolbox.gate.record_of_answer(&large);
    assert_eq!(record["denial"], "body_too_large", "{record}");
    toolbox.expect_service();

    // Deep, within the bytes.
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"lab_read","arguments":{{"n":{deep}}}}}}}"#
        );
        let answer = toolbox.ask(&post_bytes(body).field("MCP-Protocol-Version", LEGACY));
        let refused = answer.response.status == 400 || answer.is_error();
        assert!(refused, "{answer:?}");
        toolbox.expect_service();
    }
    assert!(toolbox.upstream.asked().is_empty());
}

#[test]
fn numbers_and_members_that_mean_two_things() {
    let toolbox = Toolbox::start();
    // Ids come back as they were, or are refused; never as another number.
    for id in ["9007199254740993", "-1", "0", "18446744073709551616", "1e400", "1.0"] {
        let body = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"ping"}}"#);
        let answer = toolbox.ask(&post_bytes(body));
        let whole = answer.response.text();
        let echoed = whole.contains(&format!("\"id\":{id}")) && answer.response.status == 200;
        assert!(echoed || answer.response.status == 400, "{id}: {whole}");
    }
    // A member that stands twice is not one of the two.
    for body in [
        r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"lab_read","name":"lab_write","arguments":{"n":"1"}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"lab_read"},"params":{"name":"lab_absent","arguments":{"n":"1"}}}"#,
    ] {
        let answer = toolbox.ask(&post_bytes(body).field("MCP-Protocol-Version", LEGACY));
        assert_eq!(answer.response.status, 400, "{body}: {answer:?}");
    }
    assert!(toolbox.upstream.asked().is_empty());
    toolbox.expect_service();
}

#[test]
fn other_content_types_are_refused() {
    let toolbox = Toolbox::start();
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", ""] {
        let answer = toolbox.ask(&list().with("Content-Type", kind));
        assert_eq!(answer.response.status, 415, "{kind}: {answer:?}");
    }
    let none = toolbox.ask(&list().without("Content-Type"));
    assert_eq!(none.response.status, 415, "{none:?}");
    for kind in ["application/json; charset=utf-8", "Application/JSON"] {
        assert_eq!(toolbox.ask(&list().with("Content-Type", kind)).tools(), ALL, "{kind}");
    }
}
