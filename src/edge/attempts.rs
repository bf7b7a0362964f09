//! What attempts to forward a request tell about endpoints, and whether there is another attempt.
//!
//! A request is tried again while config's `retries` and the budget allow, never where it was while
//! another endpoint may have it. Whether it is safe to send again is the hooks' to say.

use std::sync::Arc;

use http::{HeaderValue, StatusCode};
use pingora::proxy::Session;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorSource, ErrorType, RetryType};

use crate::clock;
use crate::model::id::UpstreamName;
use crate::model::time::MonoNs;
use crate::model::upstream::{Address, Upstream};

use super::Shared;
use super::ctx::Request;
use super::fault;
use super::flight::Flight;
use super::peer;
use super::stop::Stop;
use super::upstreams::instance::{Attempt, Instance, Saw};
use super::upstreams::pick::Again;
use super::upstreams::pool::Retrying;

/// What became of it towards the upstream.
#[derive(Debug, Default)]
pub struct Forward {
    pub upstream: Option<UpstreamName>,
    pub endpoint: Option<Address>,
    pub began: Option<MonoNs>,
    pub attempts: u8,
    /// The chosen upstream, once there is a peer.
    pub routed: Option<Arc<Upstream>>,
    /// Counts the request at the endpoint where it is.
    pub attempt: Option<Attempt>,
    /// Set aside after the first attempt failed.
    pub retry: Option<Box<Retry>>,
    /// The request's id as the upstream was sent it.
    pub id: Option<HeaderValue>,
    /// An upstream whose certificate was refused.
    pub untrusted: Option<Box<HttpPeer>>,
}

/// What a request has of its own once it is tried again.
#[derive(Debug)]
pub struct Retry {
    /// Where it was.
    tried: Vec<Arc<Instance>>,
    /// Where it goes next; taken when it does.
    pub next: Option<Attempt>,
    taken: Retrying,
}

/// What a request was sent over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Connection {
    Fresh,
    /// The endpoint may have closed it just when the request came: that is nobody's fault.
    Reused,
}

/// An attempt ended in an error: the endpoint is told of it, if it was the endpoint's.
/// What follows a WebSocket that both sides had closed is no fault.
pub fn failed(shared: &Shared, request: &mut Request, error: &Error, connection: Connection) {
    let is_goodbye = request.was_closed()
        || fault::was_not_processed(error)
        || (connection == Connection::Reused && is_of_reuse(error));
    if is_endpoints_fault(error) && !is_goodbye {
        tell(shared, &mut request.forward, fault::reason(error).as_log_text());
    }
}

/// The final head of a response came, or one that is only informational.
pub fn answered(shared: &Shared, forward: &mut Forward, status: StatusCode) {
    match status {
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            tell(shared, forward, status.as_str());
        }
        status if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS => {}
        _ => {
            if let Some(attempt) = &mut forward.attempt {
                attempt.saw = Saw::Head;
            }
        }
    }
}

/// The exchange is over. Without an error on the way, the endpoint did well.
pub fn ended(forward: &Forward) {
    if let Some(attempt) = &forward.attempt
        && attempt.saw == Saw::Head
    {
        attempt.instance.succeeded();
    }
}

/// The exchange was ended from outside; a hang of the endpoint ends like that.
pub fn stopped(shared: &Shared, forward: &mut Forward, flight: &Flight) {
    let saw = forward.attempt.as_ref().map(|attempt| attempt.saw);
    match flight.ended() {
        Some(Stop::SlowUpstream) => tell(shared, forward, "it was silent for too long"),
        // Only silence from the start: a stream may well last until its deadline.
        Some(Stop::Deadline) if saw == Some(Saw::Nothing) && flight.is_upstreams_turn() => {
            tell(shared, forward, "it had not answered at the deadline");
        }
        _ => {}
    }
}

/// Chooses where a request goes next, if anywhere. A choice that was made is kept for it; without
/// one the request gives back what it had of the budget.
pub fn again(shared: &Shared, request: &mut Request, session: &Session, again: Again) -> bool {
    request.forward.retry = next(shared, request, session, again);
    request.forward.retry.is_some()
}

fn next(
    shared: &Shared,
    request: &mut Request,
    session: &Session,
    again: Again,
) -> Option<Box<Retry>> {
    let (attempt, retry) = (request.forward.attempt.take()?, request.forward.retry.take());
    let pool = shared.upstreams.pool(request.forward.upstream.as_ref()?)?;
    if request.forward.attempts > pool.upstream.retries {
        return None;
    }
    let (mut tried, taken) = match retry {
        Some(retry) => (retry.tried, Some(retry.taken)),
        None => (Vec::new(), None),
    };
    tried.push(Arc::clone(&attempt.instance));
    request.fields.recall(session);
    let fields = request.fields.of(session.req_header());
    let key = peer::key_of(&pool.upstream, |by| peer::hash_key(request, fields, by));
    let (next, taken) = pool.pick_again(key, &tried, again, taken)?;
    Some(Box::new(Retry { tried, next: Some(next), taken }))
}

/// Where a request whose method and body may be sent again can go after an error; None when the
/// error does not leave that open: an answer had begun.
pub fn where_to(error: &Error, connection: Connection) -> Option<Again> {
    match (error.retry, connection) {
        (RetryType::Decided(false), _) => None,
        // It took the request and left without a word: another may do better.
        (RetryType::ReusedOnly, Connection::Fresh) => Some(Again::Never),
        (RetryType::ReusedOnly, Connection::Reused) | (RetryType::Decided(true), _) => {
            Some(Again::IfAlone)
        }
    }
}

fn tell(shared: &Shared, forward: &mut Forward, why: &str) {
    let Some(attempt) = &mut forward.attempt else { return };
    if attempt.saw == Saw::Failure {
        return;
    }
    attempt.saw = Saw::Failure;
    if let Some(pool) = forward.upstream.as_ref().and_then(|name| shared.upstreams.pool(name)) {
        pool.failed(&attempt.instance, why, clock::mono());
    }
}

fn is_of_reuse(error: &Error) -> bool {
    matches!(error.retry, RetryType::ReusedOnly)
}

/// Not when the machine ran out of sockets or memory, or the caller left.
fn is_endpoints_fault(error: &Error) -> bool {
    let ours = [ErrorType::BindError, ErrorType::SocketError, ErrorType::InternalError];
    *error.esource() == ErrorSource::Upstream && !ours.contains(error.etype())
}
