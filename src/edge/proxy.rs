//! Pingora's hooks, in the order in which they run. Each is a few lines that call a stage; what a
//! stage decides, this file only carries out.

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Version, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::modules::http::HttpModules;
use pingora::proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, Result};

use crate::clock;
use crate::model::denial::{Denial, Failure, Refusal};

use super::Shared;
use super::answer::{After, Answer, stop_pipeline};
use super::attempts::Connection;
use super::ctx::{Ctx, Stage};
use super::exchange::flight_of_new_context;
use super::flight::Tail;
use super::headers::fields::Fields;
use super::peer::NoRoute;
use super::stop::Fault;
use super::upstreams::pick::Again;
use super::{
    admission, arrival, attempts, drain, fault, headers, mcp, peer, profile, shape, tunnel, turn,
    untrusted,
};

/// The gate, as Pingora drives it.
#[derive(Debug)]
pub struct Gate {
    pub shared: Arc<Shared>,
}

#[async_trait]
impl ProxyHttp for Gate {
    type CTX = Ctx;

    fn new_ctx(&self) -> Ctx {
        Ctx::new(Arc::clone(&self.shared), flight_of_new_context())
    }

    /// None: Pingora would install compression by default, which asks something of every request.
    fn init_downstream_modules(&self, _: &mut HttpModules) {}

    /// Takes the facts of the head. From here on there will be a record.
    async fn early_request_filter(&self, session: &mut Session, ctx: &mut Ctx) -> Result<()> {
        if ctx.flight.is_inner() {
            return mcp::handover::board(ctx);
        }
        let (head, client) = (session.req_header(), session.client_addr());
        let arrived = arrival::request(&self.shared, head, client, &ctx.flight);
        let request = ctx.request.insert(arrived);
        request.fields = Fields::take(session.req_header_mut());
        turn::begin_old_caller(session);
        if ctx.flight.asks_upgrade() && !tunnel::asks(session.req_header()) {
            // Anything but WebSocket is not offered, so the request is an ordinary one.
            session.req_header_mut().remove_header(&header::UPGRADE);
        }
        Ok(())
    }

    /// Decides. A refusal is answered here, and the connection goes on.
    async fn request_filter(&self, session: &mut Session, ctx: &mut Ctx) -> Result<bool> {
        let (stage, fault) = match admission::decide(session, ctx).await {
            Ok(stage) => (stage, None),
            Err(fault) => (Stage::Refused, Some(fault)),
        };
        let answer = match &mut ctx.request {
            Some(request) => {
                request.stage = stage;
                request.dress = shape::dress::of(session, request);
                if request.dress.is_some() {
                    ctx.flight.live().dress.clone_from(&request.dress);
                }
                shape::local::answer(request, fault)?
            }
            None => None,
        };
        let waits = answer.is_none() && ctx.request.as_ref().is_some_and(|r| r.writes_ahead());
        let answer = if waits { Box::pin(admission::write_ahead(ctx)).await } else { answer };
        let Some(answer) = answer else {
            if ctx.request.as_ref().is_some_and(|request| request.is_message()) {
                return Box::pin(mcp::serve(&self.shared, session, ctx)).await.map(|()| true);
            }
            return turn::goes_on(session, ctx).map(|()| false);
        };
        // Boxed, as above: Pingora boxes each hook's future, and every request would carry this.
        Box::pin(self.answer(session, ctx, answer)).await.map(|()| true)
    }

    /// Routes: only an `Admitted` yields a peer.
    async fn upstream_peer(&self, session: &mut Session, ctx: &mut Ctx) -> Result<Box<HttpPeer>> {
        let Some(request) = &mut ctx.request else { return Err(skipped()) };
        let Stage::Admitted(admitted) = &request.stage else { return Err(skipped()) };
        // Registered first, judged second: a change of policy in between finds it or is found.
        ctx.flight.live().call = Some(admitted.call());
        fence(Ordering::SeqCst);
        if self.shared.snapshot.changes() != request.changes
            && let Err(refused) = admission::again(&self.shared, admitted)
        {
            return Err(request.stop_under(refused));
        }
        let chosen = request.forward.retry.as_mut().and_then(|retry| retry.next.take());
        let fields = request.fields.of(session.req_header());
        let key = |by: &_| peer::hash_key(request, fields, by);
        let upstreams = (&*self.shared.upstreams, &*ctx.flight.habits);
        let route = peer::route(admitted, upstreams, chosen, key);
        let forward = &mut request.forward;
        forward.upstream.clone_from(&admitted.api().upstream);
        forward.began.get_or_insert_with(clock::mono);
        forward.attempts += 1;
        match route {
            Ok(route) => {
                let route = route.for_fields(session.req_header_mut(), &mut request.fields);
                forward.endpoint = Some(route.address);
                if forward.attempts == 1 {
                    let total = route.upstream.timeouts.total;
                    ctx.flight.must_end(&self.shared.flights, total);
                }
                forward.routed = Some(route.upstream);
                forward.attempt = Some(route.attempt);
                ctx.awaits_connection();
                Ok(route.peer)
            }
            Err(NoRoute { fault, reason }) => {
                request.reason = reason;
                Err(request.stop_with(fault))
            }
        }
    }

    /// Nothing was sent, so another endpoint may be tried whatever the method is.
    fn fail_to_connect(
        &self,
        session: &mut Session,
        peer: &HttpPeer,
        ctx: &mut Ctx,
        mut error: Box<Error>,
    ) -> Box<Error> {
        let Some(request) = &mut ctx.request else { return error };
        if fault::is_untrusted(&error) {
            request.forward.untrusted = Some(Box::new(peer.clone()));
        }
        attempts::failed(&self.shared, request, &error, Connection::Fresh);
        error.set_retry(attempts::again(&self.shared, request, session, Again::IfAlone));
        error
    }

    /// Something may have been sent: only what is idempotent, or what the upstream left alone.
    fn error_while_proxy(
        &self,
        _: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        ctx: &mut Ctx,
        client_reused: bool,
    ) -> Box<Error> {
        let Some(request) = &mut ctx.request else {
            // Pingora wants it decided.
            error.set_retry(false);
            return error;
        };
        let connection = if client_reused { Connection::Reused } else { Connection::Fresh };
        attempts::failed(&self.shared, request, &error, connection);
        let harmless =
            session.req_header().method.is_idempotent() || fault::was_not_processed(&error);
        let repeatable = harmless
            && !session.as_ref().retry_buffer_truncated()
            && session.response_written().is_none();
        let where_to = attempts::where_to(&error, connection).filter(|_| repeatable);
        let again = where_to.is_some_and(|to| attempts::again(&self.shared, request, session, to));
        error.set_retry(again);
        error
    }

    /// Credentials out, identity in, and the one canonical target.
    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        head: &mut RequestHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        let Some(request) = &mut ctx.request else { return Err(skipped()) };
        let Stage::Admitted(admitted) = &request.stage else { return Err(skipped()) };
        if let Some(target) = &request.target {
            let (base, upstream_base) =
                (&admitted.api().base_path, &admitted.api().upstream_base_path);
            let target = target.rebased(base.as_prefix(), upstream_base.as_prefix());
            let fields = request.fields.send(shape::response::needs_fields(admitted));
            let id =
                headers::to_upstream(head, &target, request, admitted, &ctx.flight.habits, fields)?;
            request.forward.id = Some(id);
        }
        if let Some(upstream) = &request.forward.routed
            && !profile::suit(head, session.req_header(), upstream)?
        {
            // TLS was agreed on, HTTP/2 was not. Nothing of the request has been sent.
            return Err(request.stop("the upstream does not offer HTTP/2"));
        }
        if session.is_body_empty() {
            ctx.awaits_upstream(|timeouts| timeouts.first_byte);
        } else if ctx.flight.tail() == Tail::Held {
            session.as_mut().set_read_timeout(None);
            tunnel::without_body(head)?;
            ctx.awaits_upstream(|timeouts| timeouts.first_byte);
        } else {
            Box::pin(turn::begin_body(session, head, ctx)).await?;
        }
        Ok(())
    }

    /// Counts the body; one that announced no length is cut off at the operation's bound.
    async fn request_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Ctx,
    ) -> Result<()> {
        let Some(request) = &mut ctx.request else { return Ok(()) };
        request.request_bytes += body.as_ref().map_or(0, |body| body.len() as u64);
        if request.request_bytes > request.body_bytes_max() && request.tunnel.is_none() {
            let refusal = Refusal::new(Denial::BodyTooLarge, "the body is over its bound");
            return Err(request.stop_with(Fault::Denied(refusal)));
        }
        ctx.caller_sent(body.as_deref().unwrap_or_default(), end_of_stream);
        Ok(())
    }

    async fn upstream_response_filter(
        &self,
        session: &mut Session,
        head: &mut ResponseHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        let switches = head.status == StatusCode::SWITCHING_PROTOCOLS;
        let unasked = switches && !(session.is_upgrade_req() && tunnel::agreed(head));
        if unasked || head.status.as_u16() >= 600 {
            let Some(request) = &mut ctx.request else { return Err(skipped()) };
            return Err(request.stop("the upstream sent an impossible status"));
        }
        if let Some(request) = &mut ctx.request {
            attempts::answered(&self.shared, &mut request.forward, head.status);
        }
        if head.version == Version::HTTP_10 {
            // What an old upstream speaks is between it and the gate.
            head.set_version(Version::HTTP_11);
        }
        if !turn::is_answer(head) {
            return Ok(());
        }
        ctx.awaits_upstream(|timeouts| timeouts.idle);
        match &mut ctx.request {
            Some(request) => shape::response::head(head, session.req_header(), request),
            None => Ok(()),
        }
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        head: &mut ResponseHeader,
        ctx: &mut Ctx,
    ) -> Result<()> {
        ctx.head_comes(head);
        let Some(request) = &mut ctx.request else { return Ok(()) };
        if !turn::is_answer(head) {
            return Ok(());
        }
        if ctx.flight.tail() == Tail::Held {
            ctx.flight.set_tail(Tail::Stays);
            session.as_mut().set_close_on_response_before_downstream_finish(false);
        } else if request.expects_continue && !session.as_mut().is_body_done() {
            // It will not send its body any more, or might: what comes next is not known.
            session.as_mut().set_keepalive(None);
        }
        request.status = head.status.as_u16();
        request.answer_begins(&self.shared);
        headers::to_caller(head, request);
        turn::suit_old_caller(session, head);
        Ok(())
    }

    fn response_body_filter(
        &self,
        _: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        ctx: &mut Ctx,
    ) -> Result<Option<Duration>> {
        if let Some(request) = &mut ctx.request {
            shape::response::body(body, end_of_stream, request)?;
        }
        ctx.upstream_sent(body.as_ref(), end_of_stream);
        Ok(None)
    }

    /// Trailers of an HTTP/2 upstream end a body without a last piece.
    async fn response_trailer_filter(
        &self,
        _: &mut Session,
        _: &mut HeaderMap,
        ctx: &mut Ctx,
    ) -> Result<Option<Bytes>> {
        ctx.request.as_mut().map_or(Ok(None), |request| shape::response::rest(request))
    }

    /// Answers what went wrong, unless an answer has begun or nobody is left to read one.
    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        ctx: &mut Ctx,
    ) -> FailToProxy {
        untrusted::explain(error, ctx).await;
        let begun = session.response_written().is_some_and(turn::is_answer);
        let Some(request) = &mut ctx.request else {
            return FailToProxy { error_code: 500, can_reuse_downstream: false };
        };
        if let Some(fault) = fault::of(error).filter(|_| !request.was_closed()) {
            request.fail(fault);
            request.reason.get_or_insert_with(|| fault::reason(error));
        }
        let error_code = match &request.fault {
            Some(fault) if !begun => {
                let answer = Answer::of(fault, request.id, request.seen.standing.as_ref());
                let answer = answer.dressed(request.dress.as_ref());
                request.status = answer.status;
                request.answer_begins(&self.shared);
                // The caller may leave while it is told; the record has the fault.
                answer.write_to(session, After::Close).await.ok();
                request.status
            }
            _ => 0,
        };
        FailToProxy { error_code, can_reuse_downstream: false }
    }

    /// The one exit of a request that was not ended from outside: completes its record.
    async fn logging(&self, session: &mut Session, error: Option<&Error>, ctx: &mut Ctx) {
        let written = session.response_written().filter(|head| turn::is_answer(head));
        let end = ctx.end(error, written);
        if let Some(request) = &mut ctx.request {
            attempts::ended(&request.forward);
            if let Some(head) = written {
                request.status = head.status.as_u16();
            }
            request.request_bytes = session.as_ref().body_bytes_read() as u64;
            request.response_bytes = session.as_ref().body_bytes_sent() as u64;
        }
        ctx.finish(end);
        ctx.flight.end_request(&self.shared.flights);
    }

    /// The record says it, with the reason; Pingora's own lines would flood the log under scans.
    fn suppress_error_log(&self, _: &Session, _: &Ctx, error: &Error) -> bool {
        log::debug!("{error}");
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _: &Session,
        _: &Ctx,
        error: &Error,
        _: ProxyWarnLogContext,
    ) -> bool {
        log::debug!("trying again after {error}");
        true
    }
}

impl Gate {
    async fn answer(&self, session: &mut Session, ctx: &mut Ctx, answer: Answer) -> Result<()> {
        ctx.awaits_body();
        let after = drain::drain(session).await;
        let Some(request) = &mut ctx.request else { return Ok(()) };
        request.status = answer.status;
        request.answer_begins(&self.shared);
        answer.write_to(session, after).await
    }
}

/// A stage before did not run. It cannot be: but then the answer is a failure, no forward.
#[expect(clippy::unnecessary_box_returns, reason = "Pingora's results hold boxed errors")]
fn skipped() -> Box<Error> {
    stop_pipeline(&Fault::Failed(Failure::InternalError))
}
