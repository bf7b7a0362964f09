//! Real clients against the demo: the Python SDK, the TypeScript client, the Rust SDK and MCP Inspector,
//! in both eras, with the key that curl uses for REST. What a tool gives is what REST gives.

use serde_json::{Value, json};

use super::harness::agent::{Agent, KeyField, Ran, Sdk};
use super::harness::demo::Demo;
use super::harness::inspector::{Inspector, said_json};

/// All of the demo's tools, in order of their names.
const ALL: [&str; 5] = [
    "payments_create_payment",
    "payments_export_payments",
    "payments_get_payment",
    "payments_list_payments",
    "payments_refund_payment",
];

/// Those of the product `payments-read`.
const READING: [&str; 3] =
    ["payments_export_payments", "payments_get_payment", "payments_list_payments"];

/// What a search is made with, and what it finds is called with.
const BY_SEARCH: [&str; 4] =
    ["search_operations", "describe_operation", "call_read_operation", "call_write_operation"];

/// Each way to be a client: with what, how it begins, and the revision that comes of it.
const WAYS: [(Sdk, &str, &str); 9] = [
    (Sdk::Python, "legacy", "2025-11-25"),
    (Sdk::Python, "auto", "2026-07-28"),
    (Sdk::Python, "2026-07-28", "2026-07-28"),
    (Sdk::TypeScript, "legacy", "2025-11-25"),
    (Sdk::TypeScript, "auto", "2026-07-28"),
    (Sdk::TypeScript, "2026-07-28", "2026-07-28"),
    (Sdk::Rust, "legacy", "2025-11-25"),
    (Sdk::Rust, "auto", "2026-07-28"),
    (Sdk::Rust, "2026-07-28", "2026-07-28"),
];

/// How the Inspector can begin.
const ERAS: [&str; 2] = ["legacy", "modern"];
/// What it ends with after a result with `isError`, and when there is no such tool.
const TOOL_FAILED: i32 = 5;

#[test]
fn clients_get_what_curl_gets() {
    let demo = Demo::start();
    let rest = |path: &str| demo.curl("mobile-app", path);
    let (_, list) = rest("/api/payments");
    let (_, second) = rest("/api/payments/2");
    let (absent, _) = rest("/api/payments/999");
    assert_eq!((list["payments"].as_array().map(Vec::len), absent), (Some(3), 404));

    let calls = json!([
        ["payments_list_payments", {}],
        ["payments_get_payment", { "id": "2" }],
        ["payments_get_payment", { "id": "999" }],
        ["payments_no_such_tool", {}],
    ]);
    for (at, (sdk, mode, revision)) in WAYS.into_iter().enumerate() {
        let key_field =
            if at.is_multiple_of(2) { KeyField::Authorization } else { KeyField::XApiKey };
        let agent = Agent { sdk, mode, key: demo.key("mobile-app"), key_field };
        let ran = agent.run(&demo.mcp(), &calls);
        assert_eq!(ran.revision, revision, "{agent:?}");
        assert_eq!(ran.tools, ALL, "{agent:?}");
        expect_json(&ran, 0, &list);
        expect_json(&ran, 1, &second);
        expect_error(&ran, 2, "404");
        assert_eq!(ran.calls[3]["error"]["code"], -32602, "{:?}", ran.calls);
    }
    expect_one_trail(&demo);
}

#[test]
fn clients_see_what_they_are_granted() {
    let demo = Demo::start();
    let key_field = KeyField::Authorization;
    let key = demo.key("support-agent");
    let pay = json!([["payments_create_payment", { "amount_cents": 1999, "payee": "hooli" }]]);
    let readers = [
        (Sdk::Python, "2026-07-28"),
        (Sdk::TypeScript, "legacy"),
        (Sdk::Rust, "legacy"),
        (Sdk::Rust, "2026-07-28"),
    ];
    for (sdk, mode) in readers {
        let ran = Agent { sdk, mode, key, key_field }.run(&demo.mcp(), &pay);
        assert_eq!(ran.tools, READING, "{sdk:?}");
        // What is hidden is refused as over REST.
        expect_error(&ran, 0, "Not granted");
    }
    let (_, list) = demo.curl("support-agent", "/api/payments");
    assert_eq!(list["payments"].as_array().map(Vec::len), Some(3), "one was made: {list}");

    let key = demo.key("mobile-app");
    let payers = [
        (Sdk::Python, "legacy", "4"),
        (Sdk::TypeScript, "2026-07-28", "5"),
        (Sdk::Rust, "auto", "6"),
    ];
    for (sdk, mode, id) in payers {
        let ran = Agent { sdk, mode, key, key_field }.run(&demo.mcp(), &pay);
        let (status, payment) = demo.curl("mobile-app", &format!("/api/payments/{id}"));
        assert_eq!((status, &payment["amount_cents"]), (200, &json!(1999)));
        expect_json(&ran, 0, &payment);
    }
}

#[test]
fn clients_are_told_that_their_key_is_wrong() {
    let demo = Demo::start();
    for (sdk, mode, _) in WAYS {
        let agent = Agent { sdk, mode, key: "og_live_wrong", key_field: KeyField::XApiKey };
        let said = agent.said(&demo.mcp(), &json!([]));
        assert_ne!(said.code, Some(0), "{agent:?}: {}", said.stdout);
    }
}

#[test]
fn inspector_finds_nothing_amiss() {
    let demo = Demo::start();
    let (_, second) = demo.curl("mobile-app", "/api/payments/2");
    let url = demo.mcp();
    for era in ERAS {
        let inspector = Inspector { url: &url, key: demo.key("mobile-app"), era };
        let listed = inspector.list_strictly();
        assert_eq!(listed.code, Some(0), "{listed:?}");
        let tools = &said_json(&listed)["result"]["tools"];
        let names: Vec<_> = tools.as_array().expect("tools").iter().map(|of| &of["name"]).collect();
        assert_eq!(names, ALL, "{era}");
        let called = inspector.call("payments_get_payment", &json!({ "id": "2" }));
        assert_eq!(called.code, Some(0), "{called:?}");
        expect_same(&said_json(&called)["result"], &second);

        let absent = inspector.call("payments_get_payment", &json!({ "id": "999" }));
        assert_eq!(absent.code, Some(TOOL_FAILED), "{absent:?}");
        expect_word(&said_json(&absent)["result"], "404");

        // It calls nothing that it was not shown.
        let reader = Inspector { key: demo.key("support-agent"), ..inspector };
        let pay = json!({ "amount_cents": 1999, "payee": "hooli" });
        let hidden = reader.call("payments_create_payment", &pay);
        assert_eq!(hidden.code, Some(TOOL_FAILED), "{hidden:?}");
        assert!(hidden.stderr.contains("payments_create_payment"), "{hidden:?}");
    }
    // One of curl, and each era's two.
    let filters = ["--path", "/api/payments", "--limit", "1000"];
    let enough = 1 + 2 * ERAS.len();
    let records = demo.records(&filters, |records| records.len() >= enough);
    assert_eq!(records.len(), enough, "{records:?}");
    let of_agents = records.iter().filter(|record| record["surface"] == "mcp").count();
    assert_eq!(of_agents, 2 * ERAS.len(), "{records:?}");
    demo.expect_no_key();
}

/// The tools that stand for all others, in the hands of real clients.
#[test]
fn clients_find_and_call_by_search() {
    let demo = Demo::start();
    demo.cli(&["client", "change", "mobile-app", "--presentation", "search"]).expect_success();
    let (_, second) = demo.curl("mobile-app", "/api/payments/2");
    let url = demo.mcp();
    let question = json!({ "query": "get a payment by its id" });
    let inner = json!({ "name": "payments_get_payment", "arguments": { "id": "2" } });
    let calls = json!([["search_operations", question], ["call_read_operation", inner.clone()]]);
    let key = demo.key("mobile-app");
    for (sdk, mode) in [
        (Sdk::Python, "legacy"),
        (Sdk::Python, "2026-07-28"),
        (Sdk::TypeScript, "legacy"),
        (Sdk::TypeScript, "2026-07-28"),
        (Sdk::Rust, "legacy"),
        (Sdk::Rust, "2026-07-28"),
    ] {
        let agent = Agent { sdk, mode, key, key_field: KeyField::XApiKey };
        let ran = agent.run(&url, &calls);
        assert_eq!(ran.tools, BY_SEARCH, "{agent:?}");
        let found = ran.calls[0]["result"]["content"][0]["text"].as_str().expect("a text");
        let found: Value = serde_json::from_str(found).expect("JSON");
        assert_eq!(found["operations"][0]["name"], "payments_get_payment", "{found}");
        expect_json(&ran, 1, &second);
    }
    for era in ERAS {
        let inspector = Inspector { url: &url, key, era };
        let listed = inspector.list_strictly();
        assert_eq!(listed.code, Some(0), "{listed:?}");
        let called = inspector.call("call_read_operation", &inner);
        assert_eq!(called.code, Some(0), "{called:?}");
        expect_same(&said_json(&called)["result"], &second);
    }
    demo.expect_no_key();
}

/// The text of a result is JSON, and so is its structured content.
fn expect_json(ran: &Ran, at: usize, expected: &Value) {
    expect_same(&ran.calls[at]["result"], expected);
}

fn expect_same(result: &Value, expected: &Value) {
    assert_ne!(result["isError"], true, "{result}");
    assert_eq!(&result["structuredContent"], expected, "{result}");
    let text = result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {result}"));
    let text: Value = serde_json::from_str(text).expect("JSON");
    assert_eq!(&text, expected, "{result}");
}

/// A result that says what went wrong, in words for the model.
fn expect_error(ran: &Ran, at: usize, word: &str) {
    expect_word(&ran.calls[at]["result"], word);
}

fn expect_word(result: &Value, word: &str) {
    assert_eq!(result["isError"], true, "{result}");
    let text = result["content"][0]["text"].as_str().unwrap_or_else(|| panic!("no text: {result}"));
    assert!(text.contains(word), "{word}: {text}");
}

/// One question finds curl's calls and the agents', and tells them apart by their surface.
fn expect_one_trail(demo: &Demo) {
    // curl made 3 calls; so did each agent.
    let enough = 3 + 3 * WAYS.len();
    let filters = ["--path", "/api/payments", "--limit", "1000"];
    let records = demo.records(&filters, |records| records.len() >= enough);
    assert_eq!(records.len(), enough, "{records:?}");
    for record in &records {
        assert_eq!(record["client"], "mobile-app", "{record}");
        assert_eq!(record["api"], "payments", "{record}");
        assert_eq!(record["decision"], "allowed", "{record}");
    }
    let count = |surface: &str, operation: &str, status: u16| {
        let matches = |record: &&Value| {
            record["surface"] == surface
                && record["operation"] == operation
                && record["status"] == status
        };
        records.iter().filter(matches).count()
    };
    for (operation, status) in [
        ("payments.list_payments", 200),
        ("payments.get_payment", 200),
        ("payments.get_payment", 404),
    ] {
        assert_eq!(count("rest", operation, status), 1, "{operation} {status}");
        assert_eq!(count("mcp", operation, status), WAYS.len(), "{operation} {status}");
    }
    demo.expect_no_key();
}
