//! Fields that every answer of an api carries, also the gate's own denials: who may read it (CORS)
//! and how careful a browser must be. Without them a browser would hide a denial from its page.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use pingora::proxy::Session;

use crate::model::policy::Scheme;
use crate::model::shape::Shape;
use crate::model::shape::cors::{Cors, Credentials, Origins};
use crate::model::shape::security::{BANNERS, Security};

use super::super::ctx::Request;
use super::super::headers;

/// The fields, each name once.
pub type Dress = Arc<[(HeaderName, HeaderValue)]>;

/// Whether the caller came over TLS, to the gate or to a trusted proxy before it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Transport {
    Secure,
    Plain,
}

/// For a request that was judged. None where nothing is to be added, which is nearly everywhere.
pub fn of(session: &Session, request: &Request) -> Option<Dress> {
    let shape = request.seen.api.as_ref()?.shape.as_ref()?;
    let asked = request.fields.of(session.req_header());
    let trusted = &request.snapshot.policy.trusted_proxies;
    let of_proxy = headers::is_trusted(request.peer_ip, trusted) && headers::is_https(asked);
    let is_secure = request.scheme == Scheme::Https || of_proxy;
    dress(shape, asked, if is_secure { Transport::Secure } else { Transport::Plain })
}

fn dress(shape: &Shape, asked: &HeaderMap, transport: Transport) -> Option<Dress> {
    let mut fields = Vec::new();
    if let Some(cors) = &shape.cors {
        fields.extend(readable_by(cors, asked.get(header::ORIGIN)));
    }
    if let Some(security) = &shape.security {
        fields.extend(careful(security, transport));
    }
    (!fields.is_empty()).then(|| fields.into())
}

fn readable_by(cors: &Cors, origin: Option<&HeaderValue>) -> Vec<(HeaderName, HeaderValue)> {
    let mut fields = Vec::new();
    let allowed = match (&cors.origins, origin) {
        (Origins::Any, _) => Some(HeaderValue::from_static("*")),
        (Origins::Listed(_), origin) => {
            // The answer differs by origin, also for those that may not read it.
            fields.push((header::VARY, HeaderValue::from_static("Origin")));
            origin.filter(|origin| cors.admits(origin.as_bytes())).cloned()
        }
    };
    let Some(allowed) = allowed else { return fields };
    fields.push((header::ACCESS_CONTROL_ALLOW_ORIGIN, allowed));
    if cors.credentials == Credentials::Included {
        let yes = HeaderValue::from_static("true");
        fields.push((header::ACCESS_CONTROL_ALLOW_CREDENTIALS, yes));
    }
    if let Some(expose) = &cors.fields.expose {
        fields.push((header::ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone()));
    }
    fields
}

fn careful(
    security: &Security,
    transport: Transport,
) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    let hsts = security.hsts.as_ref().filter(|_| transport == Transport::Secure);
    let hsts = hsts.map(|value| (header::STRICT_TRANSPORT_SECURITY, value.clone()));
    security.fields.iter().cloned().chain(hsts)
}

/// What a preflight is told besides.
pub fn permission(cors: &Cors) -> [(HeaderName, HeaderValue); 3] {
    [
        (header::ACCESS_CONTROL_ALLOW_METHODS, cors.fields.methods.clone()),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, cors.fields.headers.clone()),
        (header::ACCESS_CONTROL_MAX_AGE, cors.fields.max_age.clone()),
    ]
}

/// Takes out of an upstream's response what the gate says instead.
pub fn undress(shape: &Shape, fields: &mut HeaderMap) {
    if shape.cors.is_some() {
        let is_of_cors = |name: &&HeaderName| name.as_str().starts_with("access-control-");
        while let Some(name) = fields.keys().find(is_of_cors).cloned() {
            fields.remove(&name);
        }
    }
    if shape.security.is_some() {
        for name in BANNERS {
            fields.remove(&name);
        }
        // Also what the gate itself leaves out: over a plain connection nobody else says it either.
        fields.remove(&header::STRICT_TRANSPORT_SECURITY);
    }
}

/// Puts the fields on an upstream's response.
pub fn put_on(fields: &mut HeaderMap, dress: &Dress) {
    for (name, value) in dress.iter() {
        if *name == header::VARY {
            vary_by(fields, value);
        } else if *name == header::CONTENT_SECURITY_POLICY {
            // Both policies hold.
            fields.append(name, value.clone());
        } else {
            fields.insert(name, value.clone());
        }
    }
}

/// Adds a field's name to `Vary`, unless it stands there.
pub fn vary_by(fields: &mut HeaderMap, by: &HeaderValue) {
    if !varies_by(fields, by.as_bytes()) {
        fields.append(header::VARY, by.clone());
    }
}

fn varies_by(fields: &HeaderMap, by: &[u8]) -> bool {
    let mut known = fields
        .get_all(header::VARY)
        .iter()
        .flat_map(|value| value.as_bytes().split(|b| *b == b','));
    known.any(|name| name.trim_ascii() == b"*" || name.trim_ascii().eq_ignore_ascii_case(by))
}
