//! Server-sent events of the endpoint: messages, comments that keep a stream alive, notifications.

use bytes::Bytes;

use super::envelope::RpcId;
use super::json::push_text;
use super::json::read::Raw;

/// A line that says nothing, and keeps proxies from closing the stream.
pub const KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n\n");

/// One event that holds a message of one line.
pub fn message(json: &[u8]) -> Bytes {
    [b"event: message\ndata: ", json, b"\n\n"].concat().into()
}

/// `notifications/progress`; `progress` grows with each.
pub fn progress(token: Raw<'_>, progress: u64, text: &str) -> Bytes {
    let mut json = format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":{},"progress":{progress},"message":"#,
        token.get()
    );
    push_text(&mut json, text);
    json.push_str("}}");
    message(json.as_bytes())
}

/// `notifications/subscriptions/acknowledged`, with what of the wish is honoured.
pub fn acknowledged(subscription: &RpcId, tools: bool) -> Bytes {
    let honoured = if tools { r#"{"toolsListChanged":true}"# } else { "{}" };
    let rest = format!(r#","notifications":{honoured}"#);
    notification("notifications/subscriptions/acknowledged", subscription, &rest)
}

/// `notifications/tools/list_changed`.
pub fn tools_changed(subscription: &RpcId) -> Bytes {
    notification("notifications/tools/list_changed", subscription, "")
}

fn notification(method: &str, subscription: &RpcId, rest: &str) -> Bytes {
    let id = &subscription.0;
    let json = format!(
        r#"{{"jsonrpc":"2.0","method":"{method}","params":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}}{rest}}}}}"#
    );
    message(json.as_bytes())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(event: &[u8], expected: Value) {
        let event = str::from_utf8(event).expect("a text");
        let data =
            event.strip_prefix("event: message\ndata: ").and_then(|e| e.strip_suffix("\n\n"));
        let data = data.expect("one event");
        assert!(!data.contains(['\n', '\r']), "{data}");
        assert_eq!(serde_json::from_str::<Value>(data).expect("JSON"), expected);
    }

    #[test]
    fn notifications_are_as_the_protocol_has_them() {
        let id = RpcId("7".into());
        let meta = json!({ "io.modelcontextprotocol/subscriptionId": 7 });
        let method = "notifications/subscriptions/acknowledged";
        check(
            &acknowledged(&id, true),
            json!({ "jsonrpc": "2.0", "method": method,
                "params": { "_meta": meta, "notifications": { "toolsListChanged": true } } }),
        );
        check(
            &acknowledged(&id, false),
            json!({ "jsonrpc": "2.0", "method": method,
                "params": { "_meta": meta, "notifications": {} } }),
        );
        check(
            &tools_changed(&id),
            json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed",
                "params": { "_meta": meta } }),
        );
        let token = Raw::parse(r#""t\n""#).expect("JSON");
        check(
            &progress(token, 3, "half\n\"done\"\u{7}"),
            json!({ "jsonrpc": "2.0", "method": "notifications/progress",
                "params": { "progressToken": "t\n", "progress": 3, "message": "half\n\"done\"" } }),
        );
    }
}
