//! Stage 5, route: from an admitted request to the peer that Pingora connects to. There is no
//! other way to a peer, so what skipped a stage cannot be forwarded.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use pingora::http::RequestHeader;
use pingora::upstreams::peer::{HttpPeer, HttpUpstreamRequestPolicy};

use crate::model::balance::{Balance, HashBy};
use crate::model::denial::{Advice, ClientText, Denial, Failure, Reason, Refusal};
use crate::model::upstream::{Address, Protocol, Upstream};
use crate::request::limit::Admitted;
use crate::request::target::Target;

use super::ctx::{Request, Stage};
use super::habits::Habits;
use super::headers::fields::Fields;
use super::headers::passing;
use super::stop::Fault;
use super::upstreams::Upstreams;
use super::upstreams::instance::{Attempt, Instance};
use super::upstreams::pick::{self, NoPick};
use super::upstreams::pool::Pool;

/// Where an admitted request goes.
#[derive(Debug)]
pub struct Route {
    pub peer: Box<HttpPeer>,
    pub address: Address,
    pub upstream: Arc<Upstream>,
    pub attempt: Attempt,
}

/// Chooses an endpoint of the operation's upstream, unless the last attempt left a choice.
pub fn route(
    admitted: &Admitted,
    (upstreams, habits): (&Upstreams, &Habits),
    chosen: Option<Attempt>,
    key: impl FnOnce(&HashBy) -> Option<u64>,
) -> Result<Route, NoRoute> {
    let pool = admitted
        .api()
        .upstream
        .as_ref()
        .and_then(|name| upstreams.pool_as_before(name, &habits.pool));
    let pool = pool.ok_or_else(|| NoRoute::failed(Failure::InternalError))?;
    let attempt = match chosen {
        Some(attempt) => attempt,
        None => pool.pick(key_of(&pool.upstream, key)).map_err(NoRoute::of)?,
    };
    let peer = to(&attempt.instance, &pool).map_err(NoRoute::failed)?;
    let address = attempt.instance.address.clone();
    Ok(Route { peer, address, upstream: Arc::clone(&pool.upstream), attempt })
}

impl Route {
    /// Spares Pingora the search for fields of the next hop where there are none: it is what a
    /// plain head costs most.
    pub fn for_fields(mut self, head: &mut RequestHeader, fields: &mut Fields) -> Self {
        if matches!(self.upstream.transport.protocol, Protocol::Http2(_)) {
            // Pingora makes HTTP/2's pseudo fields of them.
            fields.give_back(head);
        }
        if matches!(fields, Fields::Here(_)) || !passing::has_hop_by_hop(&head.headers) {
            self.peer.options.http_upstream_request_policy = HttpUpstreamRequestPolicy::preserve();
        }
        self
    }
}

/// Why an admitted request goes nowhere.
#[derive(Debug)]
pub struct NoRoute {
    pub fault: Fault,
    /// More exact than the fault.
    pub reason: Option<Reason>,
}

impl NoRoute {
    const fn failed(failure: Failure) -> Self {
        Self { fault: Fault::Failed(failure), reason: None }
    }

    fn of(why: NoPick) -> Self {
        let unreachable = |reason| Self {
            fault: Fault::Failed(Failure::UpstreamUnreachable),
            reason: Some(Reason::fixed(reason)),
        };
        match why {
            NoPick::Unresolved => unreachable("no endpoint of the upstream has an address"),
            NoPick::Unhealthy => unreachable("no endpoint of the upstream is healthy"),
            NoPick::Full => {
                let detail = ClientText("The service is at its limit. Try again later.");
                let reason = "each endpoint of the upstream has connections_max requests";
                let refusal = Refusal::advising(Denial::Overloaded, Advice::Detail(detail), reason);
                Self { fault: Fault::Denied(refusal), reason: None }
            }
        }
    }
}

/// The key that an upstream's balance asks for.
pub fn key_of(upstream: &Upstream, key: impl FnOnce(&HashBy) -> Option<u64>) -> Option<u64> {
    match &upstream.balance {
        Balance::Hash(by) => key(by),
        Balance::RoundRobin | Balance::LeastRequests | Balance::TwoChoices => None,
    }
}

/// The hash of what config says is a request's key; None when the request has no such thing.
pub fn hash_key(request: &Request, headers: &HeaderMap, by: &HashBy) -> Option<u64> {
    match by {
        HashBy::Client => {
            let Stage::Admitted(admitted) = &request.stage else { return None };
            let id = &admitted.known()?.client.id;
            Some(pick::hash(id.as_str().as_bytes()))
        }
        HashBy::SourceIp => request.source_ip.map(|ip| match ip {
            IpAddr::V4(ip) => pick::hash(&ip.octets()),
            IpAddr::V6(ip) => pick::hash(&ip.octets()),
        }),
        HashBy::Path => request.target.as_ref().map(Target::path).map(|p| pick::hash(p.as_bytes())),
        HashBy::Header(name) => headers.get(name).map(|value| pick::hash(value.as_bytes())),
    }
}

/// Only what no flight can watch is left to Pingora: connecting, and idle connections in its pool.
/// First byte, idle and total time are the flight's (`edge::flight`), which needs no timer for
/// them. Health checks connect the same way.
pub fn to(instance: &Instance, pool: &Pool) -> Result<Box<HttpPeer>, Failure> {
    let upstream = &pool.upstream;
    let mut peer = pool.profile.peer(instance)?;
    peer.options.connection_timeout = Some(upstream.timeouts.connect);
    peer.options.total_connection_timeout = Some(upstream.timeouts.connect);
    peer.options.idle_timeout = Some(upstream.keepalive);
    Ok(peer)
}
