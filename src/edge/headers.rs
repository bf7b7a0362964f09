//! Header fields towards the upstream (INTERFACES.md 3): credentials and forged copies out,
//! identity in. And the two facts that are read from what trusted proxies send.

pub mod passing;

use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header, request, response};
use ipnet::IpNet;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::{ErrorType::InternalError, OrErr, Result};

use crate::model::api::CredentialLocation;
use crate::model::policy::Scheme;
use crate::request::identify::{Known, Presented};
use crate::request::limit::Admitted;

use super::answer;
use super::ctx::Request;
use super::shape::edits;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const X_ONEGATE_CLIENT: HeaderName = HeaderName::from_static("x-onegate-client");
const X_ONEGATE_PROFILE: HeaderName = HeaderName::from_static("x-onegate-profile");
const X_ONEGATE_SURFACE: HeaderName = HeaderName::from_static("x-onegate-surface");

/// The values that may carry a credential.
pub fn presented(headers: &HeaderMap) -> Presented<'_> {
    let mut presented = Presented::default();
    // One look at a few fields costs less than two searches.
    for (name, value) in headers {
        if *name == header::AUTHORIZATION {
            presented.push(CredentialLocation::Authorization, value.as_bytes());
        } else if *name == X_API_KEY {
            presented.push(CredentialLocation::XApiKey, value.as_bytes());
        }
    }
    presented
}

/// The first value of a field.
pub fn field<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h [u8]> {
    headers.get(name).map(HeaderValue::as_bytes)
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
            let slot = if *name == header::HOST {
                &mut noted.host
            } else if *name == header::USER_AGENT {
                &mut noted.user_agent
            } else if *name == TRACEPARENT {
                &mut noted.traceparent
            } else {
                continue;
            };
            slot.get_or_insert(value.as_bytes());
        }
        noted
    }
}

/// Whether a trusted proxy says that the caller came to it over TLS.
pub fn is_https(headers: &HeaderMap) -> bool {
    field(headers, &X_FORWARDED_PROTO).is_some_and(|proto| proto.eq_ignore_ascii_case(b"https"))
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

/// Forgets in which letter case a caller wrote its names of fields, which Pingora keeps a second map
/// for and would copy with every head. So names go out in lower case, as HTTP/2 has them, or as
/// Pingora titles the best known. A target in another form than the origin's stays as it was read.
pub fn forget_case(head: &mut RequestHeader) {
    let of_uri = head.uri.path_and_query().map(|target| target.as_str().as_bytes());
    if head.has_case() && of_uri == Some(head.raw_path()) {
        *head = take_parts(head).into();
    }
}

/// Takes a head apart. Its target is then its URI's.
fn take_parts(head: &mut RequestHeader) -> request::Parts {
    let nothing = http::Request::new(()).into_parts().0;
    mem::replace(head, nothing.into()).into()
}

/// Makes a caller's head into the upstream's: `target` replaces its own, and its fields are the
/// caller's without what is ours or secret, ours, and what config makes of them. Gives the id as it
/// is sent, for the answer.
pub fn to_upstream(
    head: &mut RequestHeader,
    target: &str,
    request: &Request,
    admitted: &Admitted,
) -> Result<HeaderValue> {
    let trusted_peer = is_trusted(request.peer_ip, &request.snapshot.policy.trusted_proxies);
    let same_target = head.raw_path() == target.as_bytes();
    let mut parts = take_parts(head);
    if !same_target {
        parts.uri = Uri::try_from(target).or_err(InternalError, "the canonical target")?;
    }
    parts.headers.reserve(OURS_AT_ONCE);
    passing::take_out(&mut parts.headers, trusted_peer);
    let id = add_ours(&mut parts.headers, request, admitted.known(), trusted_peer);
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
) -> HeaderValue {
    let mut texts = Texts(Vec::with_capacity(TEXTS_BYTES));
    let id = texts.add(request.id.encode(&mut [0; 36]).as_bytes());
    let trace = texts.add(&request.trace.to_traceparent());
    let forwarded_for = request.peer_ip.map(|ip| texts.add_forwarded_for(fields, ip, trusted_peer));
    let names = known.map(|known| {
        let client = texts.add(known.client.id.as_str().as_bytes());
        (client, texts.add(known.profile.name.as_str().as_bytes()))
    });
    let texts = Bytes::from(texts.0);
    let value = |at| HeaderValue::from_maybe_shared(texts.slice(at)).unwrap_or(EMPTY);
    let id = value(id);
    // Appended, which costs less than to insert: no copy of a caller's is left.
    fields.append(X_REQUEST_ID, id.clone());
    fields.append(TRACEPARENT, value(trace));
    if let Some(forwarded_for) = forwarded_for {
        fields.insert(X_FORWARDED_FOR, value(forwarded_for));
    }
    if !trusted_peer || !fields.contains_key(X_FORWARDED_PROTO) {
        let scheme = match request.scheme {
            Scheme::Http => HTTP,
            Scheme::Https => HTTPS,
        };
        fields.append(X_FORWARDED_PROTO, scheme);
    }
    if !trusted_peer || !fields.contains_key(X_FORWARDED_HOST) {
        let host = fields.get(header::HOST).cloned().unwrap_or(EMPTY);
        fields.append(X_FORWARDED_HOST, host);
    }
    fields.append(header::VIA, if request.is_http2 { VIA_ONEGATE_2 } else { VIA_ONEGATE });
    fields.append(X_ONEGATE_SURFACE, REST);
    if let Some((client, profile)) = names {
        fields.append(X_ONEGATE_CLIENT, value(client));
        fields.append(X_ONEGATE_PROFILE, value(profile));
    }
    id
}

/// The texts of several values, in one allocation.
struct Texts(Vec<u8>);

/// An id, a trace, an address and two names, mostly.
const TEXTS_BYTES: usize = 256;

impl Texts {
    fn add(&mut self, text: &[u8]) -> Range<usize> {
        let start = self.0.len();
        self.0.extend_from_slice(text);
        start..self.0.len()
    }

    /// What stands in `X-Forwarded-For` (a trusted proxy's, or it would not pass), and the peer.
    fn add_forwarded_for(
        &mut self,
        fields: &HeaderMap,
        peer_ip: IpAddr,
        trusted_peer: bool,
    ) -> Range<usize> {
        let start = self.0.len();
        if trusted_peer {
            for field in fields.get_all(X_FORWARDED_FOR) {
                self.0.extend_from_slice(field.as_bytes());
                self.0.extend_from_slice(b", ");
            }
        }
        self.add_ip(peer_ip);
        start..self.0.len()
    }

    /// As Display writes it, but IPv4 without the machinery of formatting.
    fn add_ip(&mut self, ip: IpAddr) {
        let IpAddr::V4(ip) = ip else {
            self.0.extend_from_slice(ip.to_string().as_bytes());
            return;
        };
        let mut number = itoa::Buffer::new();
        for (at, octet) in ip.octets().into_iter().enumerate() {
            if at > 0 {
                self.0.push(b'.');
            }
            self.0.extend_from_slice(number.format(octet).as_bytes());
        }
    }
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
