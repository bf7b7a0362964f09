//! Names of header fields: their form, and those that are the gate's own business.

use std::collections::BTreeSet;

use http::HeaderName;

use super::super::super::section::{Section, Text};

/// A field's name in any case.
pub(super) fn name(text: Text<'_>, section: &Section<'_>) -> Option<HeaderName> {
    let name = HeaderName::from_bytes(text.text.as_bytes()).ok();
    if name.is_none() {
        let message = format!("\"{}\" is not the name of a header field", text.text);
        section.problems.error(text.at, message, "write a name such as \"X-Tenant\"");
    }
    name
}

/// A list of names, each at most once.
pub(super) fn names<'s>(
    section: &mut Section<'s>,
    key: &'static str,
    most: usize,
) -> Option<Vec<(HeaderName, Text<'s>)>> {
    let texts = section.texts(key, 0..=most)?;
    let mut seen = BTreeSet::new();
    let named = |text: Text<'s>| {
        let name = name(text, section)?;
        if !seen.insert(name.as_str().to_owned()) {
            let message = format!("\"{name}\" is listed twice");
            section.problems.error(text.at, message, "take one out");
        }
        Some((name, text))
    };
    Some(texts.into_iter().filter_map(named).collect())
}

/// Why a field of a request is not config's to change.
pub(super) fn kept_of_request(name: &HeaderName) -> Option<&'static str> {
    let text = dashed(name);
    match text.as_str() {
        "host" => Some("the caller's host is what was decided on"),
        "authorization" | "x-api-key" => Some("it may carry a credential"),
        "expect" | "traceparent" => Some(OF_THE_GATE),
        text if text.starts_with("x-forwarded-") => Some(OF_THE_GATE),
        text if text.starts_with("x-onegate-") => Some("it tells upstreams who calls"),
        "forwarded" | "via" | "x-request-id" => Some(OF_THE_GATE),
        text => kept_of_both(text),
    }
}

/// Why a field of a response is not config's to change.
pub(super) fn kept_of_response(name: &HeaderName) -> Option<&'static str> {
    let text = dashed(name);
    match text.as_str() {
        "x-request-id" | "ratelimit" | "ratelimit-policy" | "www-authenticate" => Some(OF_THE_GATE),
        "content-encoding" | "content-range" => Some("it says how the body is written"),
        "alt-svc" => Some("the gate serves nothing else"),
        text if text.starts_with("access-control-") => Some("\"cors\" sets it"),
        text => kept_of_both(text),
    }
}

fn kept_of_both(text: &str) -> Option<&'static str> {
    match text {
        "connection"
        | "keep-alive"
        | "proxy-connection"
        | "te"
        | "upgrade"
        | "proxy-authenticate"
        | "proxy-authorization" => Some("it belongs to one connection"),
        "content-length" | "transfer-encoding" | "trailer" => Some("it says where the body ends"),
        _ => None,
    }
}

const OF_THE_GATE: &str = "the gate sets it";

/// Some servers take `_` for `-`.
fn dashed(name: &HeaderName) -> String {
    name.as_str().replace('_', "-")
}
