//! Header fields towards the upstream (INTERFACES.md 3): credentials and forged copies out,
//! identity in. And the two facts that are read from what trusted proxies send.

pub mod fields;
pub mod passing;

use std::mem;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header, request, response};
use ipnet::IpNet;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::{ErrorType::InternalError, OrErr, Result};

use crate::model::api::CredentialLocation;
use crate::model::policy::Scheme;
use crate::model::record::Surface;
use crate::request::identify::{Known, Presented};
use crate::request::limit::Admitted;

use super::answer::{self, X_REQUEST_ID};
use super::ctx::Request;
use super::habits::Habits;
use super::shape::edits;

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const X_ONEGATE_CLIENT: HeaderName = HeaderName::from_static("x-onegate-client");
const X_ONEGATE_PROFILE: HeaderName = HeaderName::from_static("x-onegate-profile");
const X_ONEGATE_SURFACE: HeaderName = HeaderName::from_static("x-onegate-surface");

/// What a decision needs of the fields.
#[derive(Debug, Default)]
pub struct Judged<'h> {
    /// The values that may carry a credential.
    pub presented: Presented<'h>,
    pub content_length: Option<&'h [u8]>,
}

impl<'h> Judged<'h> {
    pub fn of(headers: &'h HeaderMap) -> Self {
        let mut judged = Self::default();
        // One look at a few fields costs less than three searches.
        for (name, value) in headers {
            if *name == header::AUTHORIZATION {
                judged.presented.push(CredentialLocation::Authorization, value.as_bytes());
            } else if *name == X_API_KEY {
                judged.presented.push(CredentialLocation::XApiKey, value.as_bytes());
            } else if *name == header::CONTENT_LENGTH {
                judged.content_length.get_or_insert(value.as_bytes());
            }
        }
        judged
    }
}

/// Fields that every request is looked at for.
#[derive(Debug, Default)]
pub struct Noted<'h> {
    pub host: Option<&'h [u8]>,
    pub traceparent: Option<&'h [u8]>,
    pub user_agent: Option<&'h [u8]>,
}

impl<'h> Noted<'h> {
    /// The first value of each. One look at all fields costs less than a search for each.
    pub fn of(headers: &'h HeaderMap) -> Self {
        let mut noted = Self::default();
        for (name, value) in headers {
            if *name == header::HOST {
                noted.host.get_or_insert(value.as_bytes());
            } else if *name == header::USER_AGENT {
                noted.user_agent.get_or_insert(value.as_bytes());
            } else if *name == TRACEPARENT {
                noted.traceparent.get_or_insert(value.as_bytes());
            }
        }
        noted
    }
}

/// Whether a trusted proxy says that the caller came to it over TLS.
pub fn is_https(headers: &HeaderMap) -> bool {
    let proto = headers.get(X_FORWARDED_PROTO);
    proto.is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"))
}

pub fn is_trusted(ip: Option<IpAddr>, trusted: &[IpNet]) -> bool {
    ip.is_some_and(|ip| trusted.iter().any(|net| net.contains(&ip)))
}

/// The caller's address: the peer's, or, as far as trusted proxies vouch for it, the last address
/// of `X-Forwarded-For` that is none of theirs. None when what stands there is no address.
pub fn source_ip(peer: Option<IpAddr>, headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    let mut source = peer;
    if !is_trusted(peer, trusted) {
        return source;
    }
    let fields = headers.get_all(X_FORWARDED_FOR).iter().rev();
    let hops = fields.flat_map(|field| field.as_bytes().rsplit(|byte| *byte == b','));
    for hop in hops.map(<[u8]>::trim_ascii).filter(|hop| !hop.is_empty()) {
        // Whoever stands there, it is not the proxy: rules on addresses must not take it for one.
        source = Some(address(hop)?);
        if !is_trusted(source, trusted) {
            break;
        }
    }
    source
}

/// An address of `X-Forwarded-For`, which some proxies write with its port.
fn address(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?;
    let with_port = || text.parse().map(|address: SocketAddr| address.ip());
    let in_brackets = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let ip = text.parse().or_else(|_| with_port()).ok().or_else(in_brackets)?;
    Some(IpAddr::to_canonical(&ip))
}

/// A trusted proxy's request id, bounded and printable.
pub fn parent_request_id(headers: &HeaderMap) -> Option<Box<str>> {
    let id = headers.get(X_REQUEST_ID)?.to_str().ok()?;
    ((1..=128).contains(&id.len())).then(|| id.into())
}

/// Takes a head apart. Its target is then its URI's.
fn take_parts(head: &mut RequestHeader) -> request::Parts {
    let nothing = http::Request::new(()).into_parts().0;
    mem::replace(head, nothing.into()).into()
}

/// Makes a caller's head into the upstream's: `target` replaces its own, and its fields are the
/// caller's (`fields`, or those it has) without what is ours or secret, ours, and what config makes of
/// them. Gives the id as it is sent, for the answer.
pub fn to_upstream(
    head: &mut RequestHeader,
    target: &str,
    request: &Request,
    admitted: &Admitted,
    habits: &Habits,
    fields: Option<HeaderMap>,
) -> Result<HeaderValue> {
    let trusted_peer = is_trusted(request.peer_ip, &request.snapshot.policy.trusted_proxies);
    let same_target = head.raw_path() == target.as_bytes();
    let mut parts = take_parts(head);
    if !same_target {
        parts.uri = Uri::try_from(target).or_err(InternalError, "the canonical target")?;
    }
    if let Some(fields) = fields {
        parts.headers = fields;
    }
    passing::take_out(&mut parts.headers, trusted_peer);
    parts.headers.reserve(OURS_AT_ONCE);
    let forwarded_for = forwarded_for(&parts.headers, request, habits, trusted_peer);
    let id = add_ours(&mut parts.headers, request, admitted.known(), trusted_peer, forwarded_for);
    edits::of_request(&mut parts.headers, admitted, request);
    *head = parts.into();
    Ok(id)
}

/// How many fields [`add_ours`] adds.
const OURS_AT_ONCE: usize = 9;

fn add_ours(
    fields: &mut HeaderMap,
    request: &Request,
    known: Option<&Known>,
    trusted_peer: bool,
    forwarded_for: Option<HeaderValue>,
) -> HeaderValue {
    // Both texts in one allocation.
    let mut texts = [0; ID_BYTES + TRACE_BYTES];
    let (id, trace) = texts.split_at_mut(ID_BYTES);
    id.copy_from_slice(&request.id.to_text());
    trace.copy_from_slice(&request.trace.to_traceparent());
    let mut trace = Bytes::copy_from_slice(&texts);
    let id = trace.split_to(ID_BYTES);
    let value = |text| HeaderValue::from_maybe_shared(text).unwrap_or(EMPTY);
    let id = value(id);
    // Appended, which costs less than to insert: no copy of a caller's is left.
    fields.append(X_REQUEST_ID, id.clone());
    fields.append(TRACEPARENT, value(trace));
    if let Some(forwarded_for) = forwarded_for {
        fields.insert(X_FORWARDED_FOR, forwarded_for);
    }
    if !trusted_peer || !fields.contains_key(X_FORWARDED_PROTO) {
        let scheme = match request.scheme {
            Scheme::Http => HTTP,
            Scheme::Https => HTTPS,
        };
        fields.append(X_FORWARDED_PROTO, scheme);
    }
    if !trusted_peer || !fields.contains_key(X_FORWARDED_HOST) {
        fields.append(X_FORWARDED_HOST, request.host_value.clone().unwrap_or(EMPTY));
    }
    fields.append(header::VIA, if request.is_http2 { VIA_ONEGATE_2 } else { VIA_ONEGATE });
    fields.append(X_ONEGATE_SURFACE, if request.surface == Surface::Mcp { MCP } else { REST });
    if let Some(known) = known {
        fields.append(X_ONEGATE_CLIENT, known.client.id_value.clone());
        fields.append(X_ONEGATE_PROFILE, known.profile.name_value.clone());
    }
    #[cfg(test)]
    super::sabotage::fields(fields, request.surface);
    id
}

const ID_BYTES: usize = 36;
const TRACE_BYTES: usize = 55;

/// `X-Forwarded-For` for the upstream: what stands in it (a trusted proxy's, or it does not pass), and
/// the peer.
fn forwarded_for(
    fields: &HeaderMap,
    request: &Request,
    habits: &Habits,
    trusted_peer: bool,
) -> Option<HeaderValue> {
    let peer = request.peer_ip?;
    let peer = habits.peer_value(|| HeaderValue::try_from(peer.to_string()).unwrap_or(EMPTY));
    if !trusted_peer || !fields.contains_key(X_FORWARDED_FOR) {
        return Some(peer.clone());
    }
    let hops = fields.get_all(X_FORWARDED_FOR).iter().chain([peer]).map(HeaderValue::as_bytes);
    HeaderValue::from_bytes(&hops.collect::<Vec<_>>().join(&b", "[..])).ok()
}

/// Adds what every answer carries: our id, whatever the upstream said, and how the limits stand.
pub fn to_caller(head: &mut ResponseHeader, request: &Request) {
    let status = head.status;
    change(head, |fields| {
        passing::end_hop(fields, status);
        // Room for Pingora's two as well.
        fields.reserve(5);
        let id = request.forward.id.clone().or_else(|| request.id.to_string().try_into().ok());
        fields.insert(X_REQUEST_ID, id.unwrap_or(EMPTY));
        if let Some(limits) = request.seen.standing.as_ref().and_then(answer::limit_fields) {
            for (name, value) in limits {
                fields.insert(name, value);
            }
        }
    });
}

/// Changes an answer's fields. The letter case of their names is forgotten; a reason phrase of the
/// upstream's own is not.
pub fn change<T>(head: &mut ResponseHeader, change: impl FnOnce(&mut HeaderMap) -> T) -> T {
    let canonical = head.status.canonical_reason();
    let own_reason = head.get_reason_phrase().filter(|reason| Some(*reason) != canonical);
    let own_reason = own_reason.map(str::to_owned);
    let nothing = http::Response::new(()).into_parts().0;
    let mut parts: response::Parts = mem::replace(head, nothing.into()).into();
    let result = change(&mut parts.headers);
    *head = parts.into();
    if own_reason.is_some() {
        // It was in a header before, so it can be in one again.
        head.set_reason_phrase(own_reason.as_deref()).ok();
    }
    result
}

const EMPTY: HeaderValue = HeaderValue::from_static("");
const HTTP: HeaderValue = HeaderValue::from_static("http");
const HTTPS: HeaderValue = HeaderValue::from_static("https");
const REST: HeaderValue = HeaderValue::from_static("rest");
const MCP: HeaderValue = HeaderValue::from_static("mcp");
const VIA_ONEGATE: HeaderValue = HeaderValue::from_static("1.1 onegate");
const VIA_ONEGATE_2: HeaderValue = HeaderValue::from_static("2 onegate");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_is_as_far_as_trust_goes() {
        let trusted: Vec<IpNet> =
            ["10.0.0.0/8", "192.168.0.0/16"].iter().map(|net| net.parse().expect("net")).collect();
        let check = |peer: &str, field: &str, expected: &str| {
            let mut headers = HeaderMap::new();
            for line in field.split(';') {
                let value = HeaderValue::from_bytes(line.as_bytes()).expect("value");
                headers.append("x-forwarded-for", value);
            }
            let source = source_ip(peer.parse().ok(), &headers, &trusted);
            assert_eq!(source, expected.parse().ok(), "{peer} {field}");
        };
        check("1.1.1.1", "2.2.2.2", "1.1.1.1");
        check("10.0.0.1", "2.2.2.2", "2.2.2.2");
        check("10.0.0.1", "6.6.6.6, 2.2.2.2, 192.168.0.1", "2.2.2.2");
        check("10.0.0.1", "", "10.0.0.1");
        check("10.0.0.1", "6.6.6.6;2.2.2.2, 192.168.0.1;10.0.0.9", "2.2.2.2");
        check("10.0.0.1", "2.2.2.2:4711", "2.2.2.2");
        check("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1");
        check("10.0.0.1", "[2001:db8::1]", "2001:db8::1");
        check("10.0.0.1", "::ffff:2.2.2.2", "2.2.2.2");
        // What is no address is not the proxy's, and hides nothing that stands after it.
        check("10.0.0.1", "junk", "none");
        check("10.0.0.1", "2.2.2.2, junk", "none");
        check("10.0.0.1", "junk, 2.2.2.2", "2.2.2.2");
        check("10.0.0.1", "\u{ff}, 2.2.2.2", "2.2.2.2");
        check("10.0.0.1", "10.0.0.2", "10.0.0.2");
    }
}
