//! One request to the endpoint while it is served: its bytes in, its answer out, its record told what became
//! of it.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use pingora::proxy::Session;
use pingora::{Error, Result};

use crate::clock;
use crate::mcp::envelope::RpcId;
use crate::mcp::fault::Fault as MessageFault;
use crate::mcp::reply;
use crate::model::denial::{Denial, Refusal};
use crate::model::mcp::{Mcp, Method};
use crate::model::snapshot::Snapshot;
use crate::request::Call;
use crate::request::endpoint::{self, Entered, Tried};
use crate::request::limit::Admitted;
use crate::request::listing::{Narrowing, Sight};

use super::super::Shared;
use super::super::answer::Answer;
use super::super::ctx::Ctx;
use super::super::drain;
use super::super::flight::Tail;
use super::super::stop::Fault;
use super::pieces::Pieces;

/// A request to the endpoint, and what it takes to serve it.
pub struct Serving<'m> {
    pub shared: &'m Arc<Shared>,
    pub session: &'m mut Session,
    pub ctx: &'m mut Ctx,
}

/// What a message is judged by.
#[derive(Clone, Copy)]
pub struct Under<'s> {
    pub snapshot: &'s Arc<Snapshot>,
    /// The endpoint as it is there.
    pub mcp: &'s Mcp,
    /// What of the tools the caller wants to be shown.
    pub narrowing: &'s Narrowing,
}

impl<'s> Under<'s> {
    /// None: there is no endpoint any more.
    pub fn of(snapshot: &'s Arc<Snapshot>, narrowing: &'s Narrowing) -> Option<Self> {
        snapshot.policy.mcp.as_ref().map(|mcp| Self { snapshot, mcp, narrowing })
    }
}

/// What answers a message.
#[derive(Debug)]
pub enum Reply {
    /// A JSON-RPC response.
    Json(u16, Bytes),
    /// 202, and nothing.
    Accepted,
}

pub const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Between two looks whether others wait.
const PIECES_AT_ONCE: u32 = 256;

impl Serving<'_> {
    /// Reads the message to its end, as far as its bound.
    pub async fn read(&mut self, bytes_max: usize) -> Result<std::result::Result<Bytes, Refusal>> {
        let Self { session, ctx, .. } = self;
        session.as_mut().set_read_timeout(None);
        ctx.awaits_body();
        if session.req_header().headers.contains_key(header::EXPECT) {
            ctx.flight.note_interim();
            session.as_mut().write_continue_response().await?;
            ctx.flight.note_final();
        }
        let mut body = Pieces::default();
        let mut count = 0_u32;
        // What goes wrong here is the caller's doing.
        while let Some(piece) = session.read_request_body().await.map_err(Error::into_down)? {
            ctx.flight.note_moved(piece.len());
            ctx.awaits_body();
            if body.len() + piece.len() > bytes_max {
                return Ok(Err(endpoint::too_large()));
            }
            body.push(piece);
            count += 1;
            if count.is_multiple_of(PIECES_AT_ONCE) {
                // Small ones that came together would keep the thread from everyone else.
                tokio::task::yield_now().await;
            }
        }
        // What the caller sends now is its next request.
        ctx.flight.set_tail(Tail::Next);
        Ok(Ok(body.into_bytes()))
    }

    /// Permits and charges a method of the protocol.
    pub fn admit(
        &mut self,
        under: Under<'_>,
        entered: Entered,
        asked: (Method, Tried<'_>),
    ) -> std::result::Result<Admitted, Refusal> {
        let Some(request) = &mut self.ctx.request else {
            return Err(Refusal::new(Denial::Overloaded, "the request has ended"));
        };
        let seen = &mut request.seen;
        endpoint::admit(under.snapshot, under.mcp, entered, asked, clock::now(), seen)
    }

    /// What the caller of a call that was admitted sees of the catalogue.
    pub fn sight<'s>(&'s self, under: Under<'s>, call: &Call) -> Option<Sight<'s>> {
        let host = self.ctx.request.as_ref().map(|request| &*request.host);
        let caller = (call, host.unwrap_or_default());
        let Under { snapshot, mcp, narrowing } = under;
        Sight::of_caller(snapshot, &mcp.api, caller, narrowing, clock::now())
    }

    /// Answers the message.
    pub async fn answer(&mut self, reply: Reply) -> Result<()> {
        let Some(request) = &self.ctx.request else { return Ok(()) };
        let (status, body) = match reply {
            Reply::Json(status, body) => (status, body),
            Reply::Accepted => (202, Bytes::new()),
        };
        let mut fields = HeaderMap::with_capacity(4);
        if !body.is_empty() {
            fields.insert(header::CONTENT_TYPE, JSON);
        }
        fields.insert(header::CACHE_CONTROL, NO_STORE);
        let answer = Answer::made(status, &fields, body, request);
        self.write(answer).await
    }

    /// Answers what is no message, or one that asks for nothing that there is.
    pub async fn answer_fault(&mut self, fault: &MessageFault) -> Result<()> {
        if let Some(request) = &mut self.ctx.request {
            request.fail(Fault::Denied(fault.refusal()));
        }
        self.answer(Reply::Json(fault.status(), fault.render().into())).await
    }

    /// Answers a denial of the gate: as JSON-RPC where the message has an id.
    pub async fn refuse(&mut self, id: Option<&RpcId>, refusal: Refusal) -> Result<()> {
        let Some(request) = &mut self.ctx.request else { return Ok(()) };
        let fault = Fault::Denied(refusal);
        let mut answer = Answer::of(&fault, request.id, request.seen.standing.as_ref());
        if let Some(id) = id {
            let body = reply::refused(id, answer.status, answer.body());
            answer = answer.with_body(JSON, body.into());
        }
        request.fail(fault);
        self.write(answer).await
    }

    async fn write(&mut self, answer: Answer) -> Result<()> {
        self.ctx.awaits_body();
        let after = drain::drain(self.session).await;
        let Some(request) = &mut self.ctx.request else { return Ok(()) };
        let answer = answer.dressed(request.dress.as_ref());
        request.status = answer.status;
        request.answer_begins(self.shared);
        answer.write_to(self.session, after).await
    }
}
