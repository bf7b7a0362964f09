//! The head of a message to the MCP endpoint: who sends it, and what its method costs. What the message
//! asks is in its body, which is read only for those who came in here.
//!
//! The same identify, authorize and limit as for every other request. A caller that came in is either
//! charged for a method of the protocol, or proves its credential for the REST request that a tool call
//! is: not both.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, header};

use crate::model::api::{Api, Effect, Operation};
use crate::model::denial::{Advice, ClientText, Denial, Refusal};
use crate::model::loops::Called;
use crate::model::mcp::{Mcp, Method};
use crate::model::snapshot::Snapshot;
use crate::model::time::Now;

use super::identify::{self, Identified, Known, Presented, Proven};
use super::limit::{self, Admitted};
use super::listing::Narrowing;
use super::policy::{self, Cleared};
use super::{Ask, Seen, Unadmitted, authorize, brake, classify};

/// Proof that a client stands behind a message. Only this file makes one:
/// ```compile_fail,E0451
/// use onegate::request::endpoint::Entered;
/// fn forge(entered: Entered) -> Entered {
///     Entered { ..entered }
/// }
/// ```
#[derive(Debug)]
pub struct Entered {
    cleared: Cleared,
}

impl Entered {
    pub fn known(&self) -> Option<&Known> {
        self.cleared.identified().known()
    }

    /// For the one request that the message is about.
    pub fn into_proven(self) -> Option<Proven> {
        let (identified, _): (Identified, Option<IpAddr>) = self.cleared.into_parts();
        identified.into_proven()
    }
}

/// The endpoint, where a request is for it, whichever method it has. Under other hosts than its own, where it has
/// some, its path is an api's. Right below it are products; what else is there is an api's, and where no api is, the
/// endpoint's: there, only who is identified learns which products there are.
pub fn at<'s>(snapshot: &'s Snapshot, host: &str, path: &str) -> Option<&'s Mcp> {
    let mcp = snapshot.policy.mcp.as_ref().filter(|mcp| path.starts_with(&*mcp.path))?;
    if let Some(name) = mcp.below(path)?
        && !snapshot.policy.products.iter().any(|product| product.name.as_str() == name)
        && classify::has_api(&snapshot.policy.hosts, host, path)
    {
        return None;
    }
    (mcp.hosts.is_empty() || mcp.hosts.iter().any(|own| **own == *host)).then_some(mcp)
}

/// What a browser asks before a page of one of the endpoint's origins sends a message. None: no preflight, or of
/// an endpoint that names no origins.
pub fn preflight(mcp: &Mcp, ask: &Ask<'_>, seen: &mut Seen) -> Option<Result<Arc<Api>, Refusal>> {
    if ask.method != "OPTIONS" {
        return None;
    }
    policy::preflight_of(Arc::clone(&mcp.api), ask, seen)
}

/// Lets a message in, or refuses it before its body is read.
pub fn enter(
    snapshot: &Snapshot,
    mcp: &Mcp,
    ask: &Ask<'_>,
    now: Now,
    seen: &mut Seen,
) -> Result<Entered, Refusal> {
    comes_here(snapshot, mcp, ask)?;
    seen.api = Some(mcp.api.clone());
    comes_from(mcp, ask.host, ask.fields)?;
    let identified = identify::identify(snapshot, &mcp.api, &ask.presented, now, seen);
    let_in(snapshot, mcp, ask, identified.map_err(|refusal| helped(refusal, &ask.presented)))
}

/// Whether a client whose word is taken for it would come in: for who explains, who gets no proof by that.
pub(super) fn would_enter(
    snapshot: &Snapshot,
    mcp: &Mcp,
    ask: &Ask<'_>,
    assumed: Result<Identified, Refusal>,
) -> Result<(), Refusal> {
    comes_here(snapshot, mcp, ask)?;
    comes_from(mcp, ask.host, ask.fields)?;
    let_in(snapshot, mcp, ask, assumed).map(drop)
}

fn comes_here(snapshot: &Snapshot, mcp: &Mcp, ask: &Ask<'_>) -> Result<(), Refusal> {
    if !classify::has_host(&snapshot.policy.hosts, ask.host) && mcp.hosts.is_empty() {
        let reason = "the MCP endpoint is under the hosts of the apis, and this is none";
        return Err(Refusal::new(Denial::Misdirected, reason));
    }
    Ok(())
}

fn let_in(
    snapshot: &Snapshot,
    mcp: &Mcp,
    ask: &Ask<'_>,
    identified: Result<Identified, Refusal>,
) -> Result<Entered, Refusal> {
    let cleared = policy::clear(identified, &mcp.api, ask)?;
    // Only who is identified learns which products there are.
    Narrowing::of(&snapshot.policy, mcp, ask.path, "")?;
    if ask.method != "POST" {
        let advice = Advice::Allow("POST".into());
        let reason = "the MCP endpoint takes POST only";
        return Err(Refusal::advising(Denial::MethodNotAllowed, advice, reason));
    }
    if ask.body_bytes.is_some_and(|bytes| bytes > mcp.bounds.message_bytes_max as u64) {
        return Err(too_large());
    }
    Ok(Entered { cleared })
}

/// Who sets a client up reads the answer of a first try, so it says what is usually wrong.
fn helped(refusal: Refusal, presented: &Presented<'_>) -> Refusal {
    let detail = match refusal.denial {
        Denial::CredentialInvalid | Denial::CredentialMissing if presented.is_placeholder() => {
            "The client sent the name of a variable in place of its value. Set the variable where the \
             client is started, or write the key into the client's configuration."
        }
        Denial::CredentialMissing => {
            "No API key came with the message. Give the MCP client a header for this server: \
             'Authorization: Bearer KEY' or 'X-API-Key: KEY'. The key is the one for REST."
        }
        Denial::CredentialInvalid => {
            "The API key is not valid here. Check that the MCP client sends it whole, without quotes \
             or line breaks, or ask the gate's operator for a new one."
        }
        Denial::MalformedRequest
        | Denial::UriTooLong
        | Denial::HeadTooLarge
        | Denial::BodyTooLarge
        | Denial::RequestTimeout
        | Denial::Misdirected
        | Denial::NotFound
        | Denial::MethodNotAllowed
        | Denial::CredentialConflict
        | Denial::ClientSuspended
        | Denial::AddressNotAllowed
        | Denial::PolicyRefused
        | Denial::NotGranted
        | Denial::InsufficientScope
        | Denial::Quarantined
        | Denial::RateLimited
        | Denial::QuotaExhausted
        | Denial::ConcurrencyLimited
        | Denial::RepeatedCall
        | Denial::TooManyUnauthenticated
        | Denial::AuditUnavailable
        | Denial::Overloaded => return refusal,
    };
    Refusal { advice: Advice::Detail(ClientText(detail)), ..refusal }
}

/// Where a request for a tool would come to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Leads {
    ToItsOperation,
    /// A value in its path is the name of another.
    ToAnother,
    /// The tool's api is not under the host.
    Nowhere,
}

/// Finds where a request for a tool leads before it is made.
pub fn leads_to(
    snapshot: &Snapshot,
    method: &str,
    at: (&str, &str),
    operation: &Operation,
) -> Leads {
    let (host, path) = at;
    let fields = HeaderMap::new();
    let ask = Ask {
        method,
        host,
        path,
        presented: Presented::default(),
        body_bytes: None,
        body_may_follow: false,
        source_ip: None,
        fields: &fields,
    };
    match classify::classify(&snapshot.policy.hosts, &ask) {
        Ok(found) if found.api.name != operation.api.name => Leads::Nowhere,
        Err(_) => Leads::Nowhere,
        Ok(found) => match found.operation {
            Ok(found) if found.id == operation.id => Leads::ToItsOperation,
            Ok(_) | Err(_) => Leads::ToAnother,
        },
    }
}

/// The same sender under what runs now: while the message came, something may have changed.
pub fn enter_again(
    snapshot: &Snapshot,
    mcp: &Mcp,
    entered: Entered,
    now: Now,
) -> Result<Entered, Refusal> {
    let (identified, source_ip) = entered.cleared.into_parts();
    let credential = identified.known().map(|known| known.credential.id);
    let identified = identify::again(snapshot, &mcp.api, credential, now)?;
    Ok(Entered { cleared: policy::again(identified, &mcp.api, source_ip)? })
}

/// A message over the endpoint's bound.
pub const fn too_large() -> Refusal {
    Refusal::new(Denial::BodyTooLarge, "the message is over its bound")
}

/// What a message asks for, as the loop brake counts it.
#[derive(Clone, Copy, Debug)]
pub enum Tried<'a> {
    /// Its method.
    Method,
    /// A tool's operation, with arguments that do not fit.
    Tool(&'a Operation),
    /// A tool that there is not.
    NoTool,
    /// It is no message of the protocol.
    NoMessage,
}

/// Permits a method of the protocol, which every client may call, and charges the plan's rates.
pub fn admit(
    snapshot: &Snapshot,
    mcp: &Mcp,
    entered: Entered,
    (method, tried): (Method, Tried<'_>),
    now: Now,
    seen: &mut Seen,
) -> Result<Admitted, Refusal> {
    let operation = mcp.operation(method);
    seen.operation = Some(operation.clone());
    let called = || match tried {
        Tried::Method => brake::called_operation(operation),
        Tried::Tool(of) => brake::called_operation(of),
        Tried::NoTool => Called::NoTool,
        Tried::NoMessage => Called::NoMessage,
    };
    let known = entered.known();
    let plan = limit::plan_of(known, &snapshot.policy.plans);
    brake::check(known, plan, called, now, seen)?;
    // What is asked of the gate itself changes nothing.
    let effect = Effect::Reads;
    let permit = authorize::authorize(entered.cleared, &mcp.api, operation, effect, now)?;
    match limit::limit(permit, plan, now, seen) {
        Ok(admitted) => Ok(admitted),
        Err(Unadmitted::Refused(refusal)) => Err(refusal),
        Err(Unadmitted::Awaits(_)) => {
            Err(Refusal::new(Denial::Overloaded, "a method of the protocol waits for a quota"))
        }
    }
}

/// A browser says from which page a message comes; whatever else calls says nothing. A page of this machine may
/// call a gate on this machine, so that local tools work; all others are named in the config.
fn comes_from(mcp: &Mcp, host: &str, fields: &HeaderMap) -> Result<(), Refusal> {
    let mut origins = fields.get_all(header::ORIGIN).iter();
    let Some(origin) = origins.next() else { return Ok(()) };
    let refuse = |reason| Err(Refusal::new(Denial::PolicyRefused, reason));
    if origins.next().is_some() {
        return refuse("more than one Origin");
    }
    let Ok(origin) = origin.to_str() else { return refuse("the Origin is no text") };
    let listed = mcp.origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin));
    let local = || is_loopback(host) && origin_host(origin).is_some_and(is_loopback);
    if listed || local() {
        return Ok(());
    }
    refuse("the Origin is not among those that may call")
}

/// The host of `http://host:port`.
fn origin_host(origin: &str) -> Option<&str> {
    let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))?;
    match authority.strip_prefix('[') {
        Some(rest) => authority.get(..rest.find(']')? + 2),
        None => authority.split(':').next(),
    }
}

fn is_loopback(host: &str) -> bool {
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let ip = name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    ip || name.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_names_its_host() {
        let check = |origin: &str, host: Option<&str>, loopback: bool| {
            assert_eq!(origin_host(origin), host, "{origin}");
            assert_eq!(host.is_some_and(is_loopback), loopback, "{origin}");
        };
        check("http://localhost:3000", Some("localhost"), true);
        check("https://127.0.0.1", Some("127.0.0.1"), true);
        check("http://[::1]:8080", Some("[::1]"), true);
        check("http://localhost.evil.example", Some("localhost.evil.example"), false);
        check("http://127.0.0.1.evil.example", Some("127.0.0.1.evil.example"), false);
        check("null", None, false);
        check("http://[::1", None, false);
        check("file://", None, false);
    }
}
