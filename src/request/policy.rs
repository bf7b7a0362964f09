//! Between identify and authorize: the api's rules on addresses and on the form of a request,
//! whoever calls. The only maker of [`Cleared`]. And the one question that is answered without any
//! of it: a browser's preflight.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, header};

use crate::model::api::Api;
use crate::model::denial::{Denial, Reason, Refusal};
use crate::model::shape::cors::Cors;
use crate::model::shape::rules::{Addresses, Rules};
use crate::model::snapshot::Snapshot;

use super::head::{are_alike, connection_options};
use super::identify::Identified;
use super::{Ask, Seen, classify};

/// Proof that the caller was identified and its request is within the rules of its api.
///
/// Nothing else can make one:
/// ```compile_fail,E0451
/// use onegate::request::policy::Cleared;
/// fn forge(cleared: Cleared) -> Cleared {
///     Cleared { source_ip: None, ..cleared }
/// }
/// ```
#[derive(Debug)]
pub struct Cleared {
    identified: Identified,
    source_ip: Option<IpAddr>,
}

impl Cleared {
    pub const fn identified(&self) -> &Identified {
        &self.identified
    }

    /// Who, and from where.
    pub fn into_parts(self) -> (Identified, Option<IpAddr>) {
        (self.identified, self.source_ip)
    }
}

/// Clears a request whose caller was looked at.
///
/// The address is judged first, whatever the credential said: from an address that is not allowed
/// nobody learns whether a key is right, and the record still names its owner. The other rules come
/// after the credential, so that they tell strangers nothing.
pub fn clear(
    identified: Result<Identified, Refusal>,
    api: &Api,
    ask: &Ask<'_>,
) -> Result<Cleared, Refusal> {
    let source_ip = ask.source_ip;
    let Some(rules) = &api.rules else {
        return Ok(Cleared { identified: identified?, source_ip });
    };
    address(&rules.addresses, source_ip)?;
    let identified = identified?;
    path(rules, ask.path)?;
    fields(rules, ask)?;
    content_type(rules, ask)?;
    Ok(Cleared { identified, source_ip })
}

/// Clears a running call again: its form has not changed, the rules on its address may have.
pub fn again(
    identified: Identified,
    api: &Api,
    source_ip: Option<IpAddr>,
) -> Result<Cleared, Refusal> {
    admits(api, source_ip)?;
    Ok(Cleared { identified, source_ip })
}

/// Holds an address against the rules on it alone, which no credential changes.
pub fn admits(api: &Api, source_ip: Option<IpAddr>) -> Result<(), Refusal> {
    api.rules.as_ref().map_or(Ok(()), |rules| address(&rules.addresses, source_ip))
}

/// Clears a call that was recorded, by the rules on what a record holds: its address and its path. Its
/// fields are in no record.
pub fn recalled(identified: Identified, api: &Api, ask: &Ask<'_>) -> Result<Cleared, Refusal> {
    admits(api, ask.source_ip)?;
    if let Some(rules) = &api.rules {
        path(rules, ask.path)?;
    }
    Ok(Cleared { identified, source_ip: ask.source_ip })
}

fn address(addresses: &Addresses, source_ip: Option<IpAddr>) -> Result<(), Refusal> {
    let refuse = |reason| Err(Refusal::new(Denial::AddressNotAllowed, reason));
    match source_ip {
        _ if addresses.is_empty() => Ok(()),
        Some(ip) if addresses.admit(ip) => Ok(()),
        Some(_) => refuse("the api's address rules do not admit the caller's address"),
        // Fails closed.
        None => refuse("the api has address rules, and the caller's address is not known"),
    }
}

fn path(rules: &Rules, path: &str) -> Result<(), Refusal> {
    match rules.blocked_paths.iter().find(|glob| glob.holds(path)) {
        Some(glob) => Err(refused(format!("the path is blocked by {glob}"))),
        None => Ok(()),
    }
}

fn fields(rules: &Rules, ask: &Ask<'_>) -> Result<(), Refusal> {
    let is_there = |name: &&HeaderName| {
        let mut values = ask.fields.get_all(*name).iter();
        values.any(|value| !value.as_bytes().trim_ascii().is_empty()) && goes_on(name, ask)
    };
    if let Some(name) = rules.required_headers.iter().find(|name| !is_there(name)) {
        return Err(refused(format!("the header {name} is missing")));
    }
    if rules.forbidden_headers.is_empty() {
        return Ok(());
    }
    let forbidden = |name: &&HeaderName| {
        rules.forbidden_headers.iter().any(|f| are_alike(name.as_str(), f.as_str()))
    };
    match ask.fields.keys().find(forbidden) {
        Some(name) => Err(refused(format!("the header {name} is forbidden"))),
        None => Ok(()),
    }
}

/// Whether a field is forwarded: one that `Connection` names is for the gate alone, so the service
/// would not see it.
fn goes_on(name: &HeaderName, ask: &Ask<'_>) -> bool {
    let name = name.as_str().as_bytes();
    !connection_options(ask.fields).any(|option| option.eq_ignore_ascii_case(name))
}

fn content_type(rules: &Rules, ask: &Ask<'_>) -> Result<(), Refusal> {
    if rules.content_types.is_empty() || !has_body(ask) {
        return Ok(());
    }
    let mut values = ask.fields.get_all(header::CONTENT_TYPE).iter().map(HeaderValue::as_bytes);
    let refuse = |reason| Err(Refusal::new(Denial::PolicyRefused, reason));
    if !goes_on(&header::CONTENT_TYPE, ask) {
        return refuse("the body has no content type that would be forwarded");
    }
    match (values.next(), values.next()) {
        (Some(value), None) if rules.content_types.iter().any(|range| range.holds(value)) => Ok(()),
        (Some(_), None) => refuse("the api does not take bodies of this content type"),
        (Some(_), Some(_)) => refuse("the body has more than one content type"),
        (None, _) => refuse("the body has no content type"),
    }
}

fn has_body(ask: &Ask<'_>) -> bool {
    let chunked = ask.fields.contains_key(header::TRANSFER_ENCODING);
    ask.body_bytes.is_some_and(|bytes| bytes > 0) || chunked || ask.body_may_follow
}

fn refused(reason: String) -> Refusal {
    Refusal { reason: Reason::told(reason), ..Refusal::new(Denial::PolicyRefused, "") }
}

/// What a browser asks before it makes a call that a page wants: whether the api would let the page
/// read the response. It sends no credential with it, so it is answered from the api's `cors` alone,
/// the same for every path: it tells nothing of which operations exist. None: not a preflight of an
/// api with `cors`, but a request like any other.
pub fn preflight(
    snapshot: &Snapshot,
    ask: &Ask<'_>,
    seen: &mut Seen,
) -> Option<Result<Arc<Api>, Refusal>> {
    // Nearly every request is none by its method.
    if ask.method != "OPTIONS" {
        return None;
    }
    let api = classify::classify(&snapshot.policy.hosts, ask).ok()?.api;
    preflight_of(api, ask, seen)
}

/// The same of an api that is known.
pub fn preflight_of(
    api: Arc<Api>,
    ask: &Ask<'_>,
    seen: &mut Seen,
) -> Option<Result<Arc<Api>, Refusal>> {
    let origin = ask.fields.get(header::ORIGIN)?;
    let method = ask.fields.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    let cors = api.shape.as_ref()?.cors.as_ref()?;
    seen.api = Some(Arc::clone(&api));
    let judged = match &api.rules {
        Some(rules) => address(&rules.addresses, ask.source_ip),
        None => Ok(()),
    };
    let judged = judged.and_then(|()| may_ask(cors, origin, method, ask));
    Some(judged.map(|()| api))
}

fn may_ask(
    cors: &Cors,
    origin: &HeaderValue,
    method: &HeaderValue,
    ask: &Ask<'_>,
) -> Result<(), Refusal> {
    let refuse = |reason| Err(Refusal::new(Denial::PolicyRefused, reason));
    if !cors.admits(origin.as_bytes()) {
        return refuse("the api's cors does not list the origin");
    }
    if !cors.methods.iter().any(|known| known.as_bytes() == method.as_bytes()) {
        return refuse("the api's cors does not list the method");
    }
    let listed = |name: &[u8]| {
        let name = name.trim_ascii();
        let known = |known: &HeaderName| known.as_str().as_bytes().eq_ignore_ascii_case(name);
        name.is_empty() || cors.headers.iter().any(known)
    };
    let asked = ask.fields.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS).iter();
    let mut asked = asked.flat_map(|value| value.as_bytes().split(|b| *b == b','));
    if asked.any(|name| !listed(name)) {
        return refuse("the api's cors does not list a header");
    }
    Ok(())
}
