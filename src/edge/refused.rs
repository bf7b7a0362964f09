//! Heads that were refused before there was a request to decide on: their record and their answer.

use std::net::IpAddr;
use std::sync::Arc;

use http::Method;

use crate::clock;
use crate::model::denial::Refusal;
use crate::model::policy::Scheme;
use crate::model::record::{End, Surface};
use crate::request::Seen;
use crate::request::head::parse_host;

use super::Shared;
use super::answer::Answer;
use super::attempts::Forward;
use super::ctx::{Ctx, Request, Stage, Tally};
use super::flight::Flight;
use super::headers::fields::Fields;
use super::ids;
use super::stop::Fault;

/// A head that was refused, and what of it may be recorded.
#[derive(Debug)]
pub struct RefusedHead {
    refusal: Refusal,
    method: Option<Method>,
    host: Arc<str>,
    peer_ip: Option<IpAddr>,
}

impl RefusedHead {
    /// What a stranger sent is recorded only where it can be a method and a host.
    pub fn new(refusal: Refusal, method: &str, host: &[u8], peer_ip: Option<IpAddr>) -> Self {
        let plausible =
            (1..=32).contains(&method.len()) && method.bytes().all(|b| b.is_ascii_uppercase());
        let method = Method::from_bytes(method.as_bytes()).ok().filter(|_| plausible);
        Self { refusal, method, host: parse_host(host).map(Arc::from).unwrap_or_default(), peer_ip }
    }

    /// Of bytes that may be no head at all.
    pub fn raw(refusal: Refusal, head: &[u8], peer_ip: Option<IpAddr>) -> Self {
        let token = head.split(|b| *b == b' ').next().unwrap_or_default();
        let method = std::str::from_utf8(token).unwrap_or_default();
        Self::new(refusal, method, b"", peer_ip)
    }
}

/// Records a refused head and gives the answer to write.
pub fn record(shared: &Arc<Shared>, head: RefusedHead) -> Answer {
    let RefusedHead { refusal, method, host, peer_ip } = head;
    let started = clock::now();
    let (id, trace) = ids::fresh(started.wall, None);
    let snapshot = shared.snapshot.load_full();
    let limit = snapshot.policy.anonymous.as_ref();
    let over = limit.and_then(|limit| shared.strangers.count(limit, peer_ip, started.mono));
    let (refusal, standing) = over.map_or((refusal, None), |(over, at)| (over, Some(at)));
    let fault = Fault::Denied(refusal);
    let answer = Answer::of(&fault, id, standing.as_ref());
    let answer = if method == Some(Method::HEAD) { answer.for_head() } else { answer };
    let request = Request {
        id,
        method,
        host,
        peer_ip,
        source_ip: peer_ip,
        parent_request_id: None,
        access: None,
        surface: Surface::Rest,
        mcp: None,
        proven: None,
        status: answer.status,
        request_bytes: 0,
        response_bytes: 0,
        started,
        snapshot,
        changes: 0,
        trace,
        fields: Fields::Session,
        host_value: None,
        scheme: Scheme::default(),
        is_http2: false,
        target: None,
        stage: Stage::Refused,
        seen: Seen::default(),
        forward: Forward::default(),
        dress: None,
        encoder: None,
        fault: Some(fault),
        reason: None,
        slot: shared.audit.reserve(),
        answered_whole: false,
        tally: Tally::NotYet,
        braked: None,
        expects_continue: false,
        tunnel: None,
        in_flight: None,
    };
    let mut ctx = Ctx::new(Arc::clone(shared), Arc::new(Flight::default()));
    ctx.request = Some(Box::new(request));
    ctx.finish(End::Complete);
    answer
}
