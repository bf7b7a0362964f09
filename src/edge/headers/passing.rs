//! What fields may pass: of a caller's to the upstream, and of the upstream's back. It only takes out;
//! what the gate adds is not its business.

use http::header::Entry;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use smallvec::SmallVec;

use crate::request::head::{are_alike, connection_options};
use crate::request::identify;

/// Fields that the gate sets; a caller's own copies never pass, `_` for `-` included, because
/// some servers take the one for the other.
const OURS: [&str; 11] = [
    "x-request-id",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "forwarded",
    "via",
    "traceparent",
    "x-onegate-client",
    "x-onegate-profile",
    "x-onegate-subject",
    "x-onegate-surface",
];

/// Fields that a trusted proxy in front may set; ours are then added to its own.
const PROXY_MAY_SET: [&str; 4] =
    ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded"];

/// Takes out what may not pass: the fields that the gate sets, and values that are gate
/// credentials, wherever they stand.
pub fn take_out(fields: &mut HeaderMap, trusted_peer: bool) {
    let goes = |(name, value): &(&HeaderName, &HeaderValue)| {
        carries_credential(value.as_bytes()) || is_forged(name.as_str(), trusted_peer)
    };
    // Nearly always one field, or two.
    let mut going: SmallVec<[HeaderName; 2]> = SmallVec::new();
    for (name, _) in fields.iter().filter(goes) {
        // The values of one name come one after the other.
        if going.last() != Some(name) {
            going.push(name.clone());
        }
    }
    for name in going {
        let Entry::Occupied(field) = fields.entry(&name) else { continue };
        if is_forged(name.as_str(), trusted_peer) || field.iter().nth(1).is_none() {
            field.remove();
            continue;
        }
        let (_, values) = field.remove_entry_mult();
        let harmless = |value: &HeaderValue| !carries_credential(value.as_bytes());
        let stay: Vec<HeaderValue> = values.filter(harmless).collect();
        for value in stay {
            fields.append(&name, value);
        }
    }
}

fn is_forged(name: &str, trusted_peer: bool) -> bool {
    // All of ours begin with one of these; most fields do not.
    if !matches!(name.as_bytes().first(), Some(b'x' | b'f' | b'v' | b't')) {
        return false;
    }
    let ours = OURS.iter().any(|ours| are_alike(name, ours));
    ours && !(trusted_peer && PROXY_MAY_SET.contains(&name))
}

/// Whether a value is a credential of the gate, bare or after `Bearer`.
pub fn carries_credential(value: &[u8]) -> bool {
    identify::is_ours(value) || identify::bearer(value).is_some_and(identify::is_ours)
}

/// Whether a head has a field that is for the next hop only (RFC 9110, 7.6.1), or names such ones.
/// Nearly none has; what they mean is Pingora's to know.
pub fn has_hop_by_hop(fields: &HeaderMap) -> bool {
    let is_one = |name: &HeaderName| match name.as_str().len() {
        2 => *name == header::TE,
        7 => *name == header::TRAILER || *name == header::UPGRADE,
        10 => *name == header::CONNECTION || *name == "keep-alive",
        14 => *name == "http2-settings",
        16 => *name == "proxy-connection",
        17 => *name == header::TRANSFER_ENCODING,
        18 => *name == header::PROXY_AUTHENTICATE,
        19 => *name == header::PROXY_AUTHORIZATION,
        _ => false,
    };
    fields.keys().any(is_one)
}

/// Takes the fields that were for this hop only out of an upstream's response, those that its
/// `Connection` names included. How a body is framed stays, Pingora writes it anew.
pub fn end_hop(fields: &mut HeaderMap, status: StatusCode) {
    let switches = matches!(status, StatusCode::SWITCHING_PROTOCOLS | StatusCode::UPGRADE_REQUIRED);
    // Nearly every response has `Connection` at most, and it names nothing.
    while let Some(name) = fields.keys().find(|name| is_of_this_hop(name, switches)).cloned() {
        fields.remove(&name);
    }
    let Some(connection) = fields.get(header::CONNECTION) else { return };
    if switches || matches!(connection.as_bytes(), b"keep-alive" | b"close") {
        return;
    }
    let options = connection_options(fields);
    let options: Vec<_> = options.filter_map(|name| HeaderName::from_bytes(name).ok()).collect();
    // It has had its say: what the gate puts on from here is not for the upstream to take off.
    fields.remove(header::CONNECTION);
    for name in options.iter().filter(|name| !ENDS_A_MESSAGE.contains(name)) {
        fields.remove(name);
    }
}

fn is_of_this_hop(name: &HeaderName, switches: bool) -> bool {
    match name.as_str().len() {
        7 => *name == header::UPGRADE && !switches,
        10 => *name == "keep-alive",
        16 => *name == "proxy-connection",
        18 => *name == header::PROXY_AUTHENTICATE,
        _ => false,
    }
}

/// Whoever names these asks for a message without an end.
const ENDS_A_MESSAGE: [HeaderName; 2] = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING];

#[cfg(test)]
mod tests {
    use super::*;

    fn map(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            let name = HeaderName::from_bytes(name.as_bytes()).expect("valid");
            (name, HeaderValue::from_static(value))
        };
        let mut map = HeaderMap::new();
        for (name, value) in fields.iter().map(pair) {
            map.append(name, value);
        }
        map
    }

    #[test]
    fn forged_fields_go_and_others_stay() {
        let fields = [
            ("X-Forwarded-For", "6.6.6.6"),
            ("x_forwarded_for", "6.6.6.6"),
            ("X-Onegate_Client", "admin"),
            ("traceparent", "x"),
            ("x-custom", "stays"),
            ("cookie", "stays"),
        ];
        let check = |trusted: bool, expected: &[&str]| {
            let mut map = map(&fields);
            take_out(&mut map, trusted);
            let mut names: Vec<&str> = map.keys().map(HeaderName::as_str).collect();
            names.sort_unstable();
            assert_eq!(names, expected);
        };
        check(false, &["cookie", "x-custom"]);
        check(true, &["cookie", "x-custom", "x-forwarded-for"]);
    }

    #[test]
    fn only_gate_credentials_are_taken_out() {
        let mut map = map(&[
            ("Authorization", "Bearer og_live_abc"),
            ("Authorization", "Basic dTpw"),
            ("Authorization", "Bearer og_live_def"),
            ("X-API-Key", "og_live_abc"),
            ("X-Other", "og_live_abc"),
            ("Cookie", "session=1"),
        ]);
        take_out(&mut map, false);
        let mut left: Vec<&[u8]> = map.values().map(HeaderValue::as_bytes).collect();
        left.sort_unstable();
        assert_eq!(left, [&b"Basic dTpw"[..], b"session=1"]);
    }

    #[test]
    fn fields_for_the_next_hop_are_known() {
        for name in [
            "Connection",
            "keep-alive",
            "Proxy-Connection",
            "proxy-authenticate",
            "proxy-authorization",
            "TE",
            "Trailer",
            "Transfer-Encoding",
            "Upgrade",
            "HTTP2-Settings",
        ] {
            assert!(has_hop_by_hop(&map(&[("accept", "*/*"), (name, "x")])), "{name}");
        }
        assert!(!has_hop_by_hop(&map(&[
            ("accept", "*/*"),
            ("x-connection", "x"),
            ("expect", "x")
        ])));
    }
}
