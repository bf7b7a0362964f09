//! Server-sent events of the endpoint: messages, comments that keep a stream alive, notifications.

use serde_json::value::RawValue;

use super::envelope::RpcId;

/// A line that says nothing, and keeps proxies from closing the stream.
pub const KEEP_ALIVE: &str = ": keep-alive\n\n";

/// One event that holds a message of one line.
pub fn message(json: &str) -> String {
    format!("event: message\ndata: {json}\n\n")
}

/// `notifications/progress`; `progress` grows with each.
pub fn progress(_token: &RawValue, _progress: u64, _text: &str) -> String {
    String::new()
}

/// `notifications/subscriptions/acknowledged`.
pub fn acknowledged(_subscription: &RpcId, _tools: bool) -> String {
    String::new()
}

/// `notifications/tools/list_changed`.
pub fn tools_changed(_subscription: &RpcId) -> String {
    String::new()
}
