//! Responses are valid JSON of the protocol's shape; a list read page by page is the list.

use serde_json::{Value, json};

use super::*;
use crate::mcp::testing::{catalogue, tool};

fn id() -> RpcId {
    RpcId(r#""a\"b""#.into())
}

/// The result, having checked the frame.
fn result(response: impl AsRef<[u8]>) -> Value {
    let mut response: Value = serde_json::from_slice(response.as_ref()).expect("JSON");
    assert_eq!((&response["jsonrpc"], &response["id"]), (&json!("2.0"), &json!("a\"b")));
    response["result"].take()
}

fn server() -> Value {
    json!({ "name": "onegate", "title": "onegate", "version": env!("CARGO_PKG_VERSION") })
}

#[test]
fn older_callers_are_greeted() {
    let greeted = result(initialize(&id(), Revision::R2025_06_18));
    assert_eq!(greeted["protocolVersion"], json!("2025-06-18"));
    assert_eq!(greeted["capabilities"], json!({ "tools": { "listChanged": false } }));
    assert_eq!(greeted["serverInfo"], server());
    assert_eq!(greeted["instructions"], json!(INSTRUCTIONS));
    assert_eq!(result(ping(&id())), json!({}));
}

#[test]
fn modern_callers_discover() {
    let found = result(discover(&id()));
    let versions = ["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26"];
    assert_eq!(found["supportedVersions"], json!(versions));
    assert_eq!(found["capabilities"], json!({ "tools": { "listChanged": true } }));
    assert_eq!(found["resultType"], json!("complete"));
    assert_eq!((&found["ttlMs"], &found["cacheScope"]), (&json!(3_600_000), &json!("private")));
    assert_eq!(found["_meta"], json!({ "io.modelcontextprotocol/serverInfo": server() }));
    let ended = result(listened(&id()));
    let meta = json!({
        "io.modelcontextprotocol/serverInfo": server(),
        "io.modelcontextprotocol/subscriptionId": "a\"b",
    });
    assert_eq!(ended, json!({ "resultType": "complete", "_meta": meta }));
}

#[test]
fn a_list_has_what_its_revision_knows() {
    let tools = catalogue(vec![tool("b", &[], vec![]), tool("a", &[], vec![])]);
    let page = page(&tools, tools.tools().iter().map(|tool| &**tool));
    let listed = json!([{ "name": "a" }, { "name": "b" }]);
    let old = result(list_tools(&id(), Revision::R2025_11_25, &page));
    assert_eq!(old, json!({ "tools": listed }));
    let new = result(list_tools(&id(), Revision::R2026_07_28, &page));
    let meta = json!({ "io.modelcontextprotocol/serverInfo": server() });
    assert_eq!(
        new,
        json!({ "resultType": "complete", "tools": listed, "ttlMs": 60_000,
            "cacheScope": "private", "_meta": meta })
    );
}

#[test]
fn pages_together_are_the_list() {
    let check = |count: usize, bytes: usize, pages: usize| {
        let tools = (0..count).map(|n| {
            let mut tool = tool(&format!("t{n:05}"), &[], vec![]);
            tool.definition = format!(r#"{{"n":{n},"x":"{}"}}"#, "x".repeat(bytes)).into();
            tool
        });
        let tools = catalogue(tools.collect());
        let (mut cursor, mut seen, mut turned) = (String::new(), Vec::new(), 0);
        loop {
            let after = after_cursor(&tools, &cursor).expect("a cursor of ours");
            let rest = tools.tools().iter().filter(|tool| *tool.name > *after);
            let page = page(&tools, rest.map(|tool| &**tool));
            let listed = result(list_tools(&id(), Revision::R2025_11_25, &page));
            seen.extend(listed["tools"].as_array().expect("a list").iter().map(|t| t["n"].clone()));
            turned += 1;
            assert_eq!(listed.get("nextCursor").and_then(Value::as_str), page.next.as_deref());
            match page.next {
                Some(next) => cursor = next.into(),
                None => break,
            }
        }
        assert_eq!(turned, pages, "{count} of {bytes}");
        assert_eq!(seen, (0..count).map(Value::from).collect::<Vec<_>>(), "{count} of {bytes}");
    };
    check(0, 0, 1);
    check(1, 0, 1);
    check(1_000, 0, 1);
    check(1_001, 0, 2);
    check(3, 3 << 20, 3);
    check(2, 5 << 20, 2);
    check(8, 1 << 20, 3);
}

#[test]
fn cursors_of_another_catalogue_are_refused() {
    let tools = catalogue(vec![tool("pay", &[], vec![])]);
    let check = |cursor: &str, expected: Option<&str>| {
        assert_eq!(after_cursor(&tools, cursor), expected, "{cursor}");
    };
    check("", Some(""));
    check("0123456789abcdef.pay", Some("pay"));
    check("0123456789abcdee.pay", None);
    check("0123456789abcdef.nope", None);
    check("0123456789abcdef", None);
    check("pay", None);
    check(".", None);
}

#[test]
fn a_refusal_is_an_error_of_its_status() {
    let check = |problem: &str, expected: Value| {
        let shown: Value =
            serde_json::from_str(&refused(&id(), 429, problem.as_bytes())).expect("JSON");
        assert_eq!(
            shown,
            json!({ "jsonrpc": "2.0", "id": "a\"b", "error": expected }),
            "{problem}"
        );
    };
    check(
        "{\"title\":\"Rate limited\",\"detail\":\"Wait.\",\"code\":\"rate_limited\"}\n",
        json!({ "code": 429, "message": "Rate limited. Wait.",
            "data": { "title": "Rate limited", "detail": "Wait.", "code": "rate_limited" } }),
    );
    check("{}", json!({ "code": 429, "message": "Refused with status 429.", "data": {} }));
    check("nope", json!({ "code": 429, "message": "Refused with status 429." }));
}
