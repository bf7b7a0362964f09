//! What no message can do: whatever it is, it is served or answered by a row of the table, with its id
//! where that can be read.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

/// JSON of any shape, with the keys that count among its keys.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("\"2.0\"".to_owned()),
        Just("\"2026-07-28\"".to_owned()),
        Just("\"2025-11-25\"".to_owned()),
        Just("\"tools/call\"".to_owned()),
        Just("\"initialize\"".to_owned()),
        Just("\"pay\"".to_owned()),
        Just("\"\\ud800\"".to_owned()),
        "-?[0-9]{1,40}(\\.[0-9]{1,40})?(e[0-9]{1,4})?",
        any::<String>().prop_map(|text| Value::String(text).to_string()),
        (1_usize..3000).prop_map(|depth| "[".repeat(depth) + &"]".repeat(depth)),
    ];
    let key = prop_oneof![
        Just("jsonrpc"),
        Just("id"),
        Just("method"),
        Just("params"),
        Just("_meta"),
        Just("name"),
        Just("arguments"),
        Just("cursor"),
        Just("progressToken"),
        Just("region"),
        Just("result"),
        Just("io.modelcontextprotocol/protocolVersion"),
        Just("io.modelcontextprotocol/clientCapabilities"),
        Just("io.modelcontextprotocol/clientInfo"),
    ];
    leaf.prop_recursive(4, 40, 8, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4)
                .prop_map(|values| format!("[{}]", values.join(","))),
            proptest::collection::vec((key.clone(), inner), 0..8).prop_map(|members| {
                let members = members.iter().map(|(key, value)| format!("\"{key}\":{value}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

/// Fields that may fit and may not.
fn head() -> impl Strategy<Value = Head> {
    let name = prop_oneof![
        Just("mcp-protocol-version"),
        Just("mcp-method"),
        Just("mcp-name"),
        Just("mcp-param-region"),
    ];
    let value = prop_oneof![
        Just("2026-07-28".to_owned()),
        Just("2025-11-25".to_owned()),
        Just("tools/call".to_owned()),
        Just("pay".to_owned()),
        "=\\?base64\\?[a-zA-Z0-9+/=]{0,8}\\?=",
        any::<String>(),
    ];
    proptest::collection::vec((name, value), 0..5).prop_map(Head)
}

/// Holds a message to the table. Gives its fault's id.
fn hold(head: &Head, body: &[u8]) -> Result<Option<String>, TestCaseError> {
    let tools = tools();
    match read(body, &head.mirrors(), &tools) {
        Ok(message) => {
            let agent = message.agent.unwrap_or_default();
            prop_assert!(agent.len() <= 128 && !agent.contains(char::is_control));
            Ok(None)
        }
        Err(fault) => {
            let rows = [
                (400, -32700),
                (400, -32600),
                (400, -32602),
                (400, -32020),
                (400, -32022),
                (404, -32601),
                (200, -32601),
                (200, -32602),
            ];
            prop_assert!(rows.contains(&(fault.status(), fault.code())), "{fault:?}");
            let shown: Value = serde_json::from_str(&fault.render()).expect("JSON");
            prop_assert_eq!(&shown["error"]["code"], &Value::from(fault.code()));
            Ok(Some(fault.id.map(|id| id.0.into()).unwrap_or_default()))
        }
    }
}

proptest! {
    #[test]
    fn any_json_is_answered_by_the_table(head in head(), body in json()) {
        hold(&head, body.as_bytes())?;
    }

    #[test]
    fn any_bytes_are_answered_by_the_table(
        head in head(),
        body in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        hold(&head, &body)?;
    }

    /// A message cut short, and one with a byte of it changed.
    #[test]
    fn a_broken_message_is_answered_by_the_table(
        head in head(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut body = modern("tools/call", r#","name":"pay","arguments":{"region":"eu"}"#).into_bytes();
        let at = at.index(body.len());
        hold(&head, &body[..at])?;
        body[at] = byte;
        hold(&head, &body)?;
    }

    #[test]
    fn an_id_that_can_be_read_comes_back(
        head in head(),
        id in prop_oneof!["-?(0|[1-9][0-9]{0,40})", "\"[a-z !#é]{0,20}\""],
        params in json(),
    ) {
        let body = format!(r#"{{"jsonrpc":"2.0","params":{params},"id":{id},"method":"tools/x"}}"#);
        let told = hold(&head, body.as_bytes())?;
        if serde_json::from_str::<serde::de::IgnoredAny>(&body).is_ok() {
            prop_assert_eq!(told, Some(id));
        }
    }
}
