//! The entry of `tools/list`, as text: written when a config is loaded and never again, so that a list
//! costs its bytes only, and that a digest of it stands for what a client was shown.

use http::Method;
use serde_json::{Value, json};

use super::Said;
use crate::model::api::Effect;

/// One JSON object in one line: `serde_json` escapes every line break within a text.
pub(super) fn definition(name: &str, method: &Method, said: &Said) -> String {
    let mut members = vec![("name", json!(name))];
    members.extend(said.title.as_ref().map(|title| ("title", json!(title))));
    members.push(("description", json!(said.description)));
    let mut text = String::from("{");
    for (key, value) in members {
        push(&mut text, key, &value.to_string());
    }
    push(&mut text, "inputSchema", &said.input.to_string());
    if let Some(output) = &said.output {
        push(&mut text, "outputSchema", &output.to_string());
    }
    push(&mut text, "annotations", &annotations(method, said.title.as_deref()));
    text.push('}');
    text
}

/// What the method promises (RFC 9110, 9.2), said in full: the protocol's defaults are not these.
///
/// No tool has an open world: each reaches one service that the config names, and nothing that a model
/// could make it reach.
fn annotations(method: &Method, title: Option<&str>) -> String {
    let reads = Effect::of(method.as_str()) == Effect::Reads;
    let repeats = reads || matches!(*method, Method::PUT | Method::DELETE);
    let mut text = String::from("{");
    if let Some(title) = title {
        // Where revisions before 2025-06-18 look for it.
        push(&mut text, "title", &json!(title).to_string());
    }
    let hints = [
        ("readOnlyHint", reads),
        ("destructiveHint", !reads),
        ("idempotentHint", repeats),
        ("openWorldHint", false),
    ];
    for (key, hint) in hints {
        push(&mut text, key, &Value::Bool(hint).to_string());
    }
    text.push('}');
    text
}

fn push(object: &mut String, key: &str, value: &str) {
    if !object.ends_with('{') {
        object.push(',');
    }
    object.push('"');
    object.push_str(key);
    object.push_str("\":");
    object.push_str(value);
}
