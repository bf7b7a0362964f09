//! Heads that were refused before there was a request to decide on: their record and their answer.

use std::net::IpAddr;
use std::sync::Arc;

use crate::clock;
use crate::model::denial::Refusal;
use crate::model::record::End;
use crate::request::Seen;

use super::Shared;
use super::answer::Answer;
use super::ctx::{Ctx, Forward, Request, Stage};
use super::flight::Flight;
use super::ids;
use super::stop::Fault;

/// Records a refused head and gives the answer to write.
pub fn record(
    shared: &Arc<Shared>,
    refusal: Refusal,
    head: &[u8],
    peer_ip: Option<IpAddr>,
) -> Answer {
    let started = clock::now();
    let (id, trace) = ids::fresh(started.wall, None);
    let snapshot = shared.snapshot.load_full();
    let limit = snapshot.policy.anonymous.as_ref();
    let over = limit.and_then(|limit| shared.strangers.count(limit, peer_ip, started.mono));
    let (refusal, standing) = over.map_or((refusal, None), |(over, at)| (over, Some(at)));
    let fault = Fault::Denied(refusal);
    let answer = Answer::of(&fault, id, standing.as_ref());
    let request = Request {
        id,
        started,
        snapshot,
        trace,
        method: method_of(head).into(),
        host: Box::default(),
        target: None,
        peer_ip,
        source_ip: peer_ip,
        parent_request_id: None,
        access: None,
        stage: Stage::Refused,
        seen: Seen::default(),
        forward: Forward::default(),
        status: answer.status,
        fault: Some(fault),
        reason: None,
        request_bytes: 0,
        response_bytes: 0,
        slot: shared.audit.reserve(),
        answered_whole: false,
        expects_continue: false,
        tunnel: None,
        in_flight: None,
    };
    let mut ctx = Ctx::new(Arc::clone(shared), Arc::new(Flight::default()));
    ctx.request = Some(Box::new(request));
    ctx.finish(End::Complete);
    answer
}

/// The method, when the head begins with something that can be one. What a stranger sent is not
/// recorded otherwise.
fn method_of(head: &[u8]) -> &str {
    let token = head.split(|b| *b == b' ').next().unwrap_or_default();
    let plausible = (1..=32).contains(&token.len()) && token.iter().all(u8::is_ascii_uppercase);
    if plausible { std::str::from_utf8(token).unwrap_or_default() } else { "" }
}
