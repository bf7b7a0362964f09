//! The facts of a request, taken from its head once, before anything is decided: snapshot, ids, the
//! one canonical target, the host, addresses, and the promise of a record.

use std::sync::Arc;

use http::{Method, Version};
use pingora::http::RequestHeader;
use pingora::protocols::l4::socket::SocketAddr;

use crate::clock;
use crate::model::record::{AccessDetail, Surface};
use crate::request::Seen;
use crate::request::target::Target;

use super::attempts::Forward;
use super::ctx::{Request, Stage, Tally};
use super::flight::Flight;
use super::headers::Noted;
use super::headers::fields::Fields;
use super::stop::Fault;
use super::{Shared, headers, ids};

/// A target without a canonical form, and a missing promise, are found again by the decision: every
/// request gets as far as its record.
pub fn request(
    shared: &Shared,
    head: &RequestHeader,
    client: Option<&SocketAddr>,
    flight: &Flight,
) -> Box<Request> {
    let started = clock::now();
    // In this order: what changes in between is looked at once more.
    let changes = shared.snapshot.changes();
    let snapshot = shared.snapshot.load_full();
    let peer_ip = client.and_then(|address| address.as_inet()).map(|inet| inet.ip().to_canonical());
    let trusted = &snapshot.policy.trusted_proxies;
    let parent_request_id = headers::is_trusted(peer_ip, trusted)
        .then(|| headers::parent_request_id(&head.headers))
        .flatten();
    let target = Target::parse(head.raw_path(), snapshot.policy.bounds.uri_bytes_max);
    let noted = Noted::of(&head.headers);
    let host = noted.host.and_then(|raw| flight.habits.host(raw));
    let (target, fault) = match target {
        Ok(target) => (Some(target), None),
        Err(refusal) => (None, Some(Fault::Denied(refusal))),
    };
    let (id, trace) = ids::fresh(started.wall, noted.traceparent);
    let mut live = flight.live();
    (live.id, live.is_head) = (Some(id), head.method == Method::HEAD);
    drop(live);
    Box::new(Request {
        id,
        started,
        trace,
        method: Some(head.method.clone()),
        host: host.as_ref().map(|host| Arc::clone(&host.name)).unwrap_or_default(),
        peer_ip,
        source_ip: headers::source_ip(peer_ip, &head.headers, trusted),
        parent_request_id,
        access: snapshot.policy.access_log.is_some().then(|| access_detail(head, &noted)),
        surface: Surface::Rest,
        mcp: None,
        proven: None,
        status: 0,
        request_bytes: 0,
        response_bytes: 0,
        fields: Fields::Session,
        host_value: host.map(|host| host.value),
        scheme: flight.scheme,
        is_http2: head.version == Version::HTTP_2,
        target,
        stage: Stage::Fresh,
        seen: Seen::default(),
        forward: Forward::default(),
        dress: None,
        encoder: None,
        fault,
        reason: None,
        slot: shared.audit.reserve(),
        answered_whole: false,
        tally: Tally::NotYet,
        braked: None,
        expects_continue: false,
        tunnel: None,
        in_flight: shared.flights.enter(snapshot.policy.bounds.requests_max),
        snapshot,
        changes,
    })
}

fn access_detail(head: &RequestHeader, noted: &Noted<'_>) -> AccessDetail {
    let protocol = match head.version {
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_10 => "HTTP/1.0",
        _ => "HTTP/1.1",
    };
    AccessDetail { protocol, user_agent: noted.user_agent.map(Into::into) }
}
