//! Whose turn it is while bodies pass: the caller's to send, the upstream's to answer, or either's,
//! and so whose silence or slowness ends the request. It only tells the flight; the sweeper looks.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode, Version, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::proxy::Session;
use pingora::{Error, Result};

use crate::model::record::End;
use crate::model::upstream::Timeouts;

use super::ctx::{Ctx, Request};
use super::fault;
use super::flight::{Phase, Tail};
use super::profile;
use super::tunnel::{self, Side, Tunnel};

/// How much later than Pingora a flight gives up connecting.
const CONNECT_GRACE: Duration = Duration::from_secs(1);

/// The request goes on to its upstream. Where that may switch, its end is held: not before, for an answer of ours
/// would wait for that end.
pub fn goes_on(session: &mut Session, ctx: &mut Ctx) -> Result<()> {
    if let Some(request) = &mut ctx.request
        && ctx.flight.is_inner()
    {
        // Its caller may be told that it is under way.
        request.note();
        ctx.flight.note_call();
    }
    let asks = ctx.flight.asks_upgrade() && session.is_upgrade_req();
    if asks && ctx.request.as_deref().is_some_and(profile::can_switch) {
        tunnel::hold(session, &ctx.flight)?;
    }
    Ok(())
}

impl Ctx {
    /// It is the upstream's turn, for as long as `which` of its timeouts says.
    pub fn awaits_upstream(&self, which: impl Fn(&Timeouts) -> Duration) {
        let request = self.request.as_ref();
        if let Some(upstream) = request.and_then(|request| request.forward.routed.as_ref()) {
            self.flight.begin(&self.shared.flights, Phase::Upstream, which(&upstream.timeouts));
        }
    }

    /// The gate connects. Pingora keeps that time, and knows what failed; the flight only sees to it
    /// that no bound of before holds any more.
    pub fn awaits_connection(&self) {
        self.awaits_upstream(|timeouts| timeouts.connect + CONNECT_GRACE);
    }

    /// It is the caller's turn to send its body.
    pub fn awaits_body(&self) {
        if let Some(request) = &self.request {
            let timeout = request.snapshot.policy.bounds.body_timeout;
            self.flight.begin(&self.shared.flights, Phase::Caller, timeout);
        }
    }

    /// A piece of the caller's body came. Once the answer has begun, both sides are at liberty to
    /// be quiet for as long as the upstream's `idle` says.
    pub fn caller_sent(&mut self, bytes: &[u8], last: bool) {
        self.flight.note_moved(bytes.len());
        let tunnel = self.request.as_mut().and_then(|request| request.tunnel.as_mut());
        if let Some(tunnel) = tunnel {
            tunnel.passes(Side::Caller, bytes);
            if last {
                tunnel.left(Side::Caller);
            }
            return self.awaits_upstream(|timeouts| timeouts.idle);
        }
        if last {
            self.flight.set_tail(Tail::Next);
        }
        match (self.flight.was_answered(), last) {
            (true, _) => self.awaits_upstream(|timeouts| timeouts.idle),
            (false, true) => self.awaits_upstream(|timeouts| timeouts.first_byte),
            (false, false) => self.awaits_body(),
        }
    }

    /// The head of an answer comes, or of one to `100 Continue` and its like, which begins nothing.
    pub fn head_comes(&mut self, head: &ResponseHeader) {
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            self.flight.set_tail(Tail::Switched);
            if let Some(request) = &mut self.request {
                request.tunnel = Some(Box::default());
            }
        } else if head.status.is_informational() {
            return self.flight.note_interim();
        }
        self.flight.note_final();
    }

    /// A piece of the upstream's answer came.
    pub fn upstream_sent(&mut self, body: Option<&Bytes>, last: bool) {
        self.awaits_upstream(|timeouts| timeouts.idle);
        let Some(request) = &mut self.request else { return };
        request.response_bytes += body.map_or(0, |body| body.len() as u64);
        request.answered_whole |= last;
        if let Some(tunnel) = &mut request.tunnel {
            tunnel.passes(Side::Upstream, body.map_or(&[], |body| body));
            if last {
                tunnel.left(Side::Upstream);
            }
        }
    }

    /// How the exchange ended by itself. A caller that leaves after it had its whole answer
    /// aborted nothing, though it may owe the rest of a body that nobody wanted.
    pub fn end(&self, error: Option<&Error>, written: Option<&ResponseHeader>) -> End {
        let tunnel = self.request.as_ref().and_then(|request| request.tunnel.as_deref());
        match (error, tunnel) {
            (None, None) => End::Complete,
            (None, Some(tunnel)) => tunnel.end(),
            (Some(_), Some(tunnel)) if tunnel.was_closed() => End::Complete,
            (Some(error), _) => match (fault::end_of(error), &self.request) {
                (End::ClientAbort, Some(request)) if was_whole(request, written) => End::Complete,
                (end, _) => end,
            },
        }
    }
}

impl Request {
    /// Whether a WebSocket was closed in good order, so that nothing that follows is a fault.
    pub fn was_closed(&self) -> bool {
        self.tunnel.as_deref().is_some_and(Tunnel::was_closed)
    }
}

fn was_whole(request: &Request, written: Option<&ResponseHeader>) -> bool {
    let bodiless = |head: &ResponseHeader| {
        let empty = head.headers.get(header::CONTENT_LENGTH).is_some_and(|length| length == "0");
        let status = matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        empty || status || request.method == Some(Method::HEAD)
    };
    request.answered_whole || written.is_some_and(bodiless)
}

/// Readies a session for a body that is to come. It is the caller's turn then.
pub async fn begin_body(
    session: &mut Session,
    head: &mut RequestHeader,
    ctx: &mut Ctx,
) -> Result<()> {
    // The flight keeps time; Pingora would with a timer for each piece.
    session.as_mut().set_read_timeout(None);
    let Some(request) = &mut ctx.request else { return Ok(()) };
    let asked_before =
        std::mem::replace(&mut request.expects_continue, head.headers.contains_key(header::EXPECT));
    if request.expects_continue {
        // Or the upstream's 100 would count as an answer before the body's end.
        session.as_mut().set_close_on_response_before_downstream_finish(false);
        if head.version == Version::HTTP_2 {
            // Pingora does not hear the 100 of such an upstream, so it is not asked for one.
            head.remove_header(&header::EXPECT);
            if !asked_before {
                ctx.flight.note_interim();
                session.as_mut().write_continue_response().await?;
                ctx.flight.note_final();
            }
        }
    }
    ctx.awaits_body();
    Ok(())
}

/// A caller of HTTP/1.0 knows no informational answers (RFC 9110, 15.2).
pub fn begin_old_caller(session: &mut Session) {
    if session.req_header().version == Version::HTTP_10 {
        session.as_mut().set_ignore_info_resp(true);
    }
}

/// A caller of HTTP/1.0 knows no chunks (RFC 9112, 6.1): its answer ends with the connection.
pub fn suit_old_caller(session: &mut Session, head: &mut ResponseHeader) {
    if session.req_header().version == Version::HTTP_10
        && head.remove_header(&header::TRANSFER_ENCODING).is_some()
    {
        session.as_mut().set_keepalive(None);
    }
}

/// Whether a head that was written is the answer: an informational one is not, but for a switch.
pub fn is_answer(head: &ResponseHeader) -> bool {
    !head.status.is_informational() || head.status == StatusCode::SWITCHING_PROTOCOLS
}
