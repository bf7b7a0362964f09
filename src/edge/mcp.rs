//! The MCP endpoint, `POST /mcp`: reads a message whose sender was let in, and answers it. A tool call
//! becomes a REST request that enters the pipeline again, with the caller's proven identity; everything
//! else is a method of the protocol, which costs the plan's rate.
//!
//! It moves bytes. What a message says is `mcp`'s to know, who may do what is `request`'s.

pub mod call;
pub mod dispatch;
pub mod handover;
pub mod inner;
pub mod listen;
pub mod lists;
pub mod memory;
mod mirrors;
mod pieces;
mod stream;

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::{HeaderValue, header};
use pingora::proxy::Session;
use pingora::{Error, Result};

use crate::clock;
use crate::mcp::envelope::{self, Asked, Call, Message, RpcId};
use crate::mcp::fault::{Fault as MessageFault, FaultKind};
use crate::mcp::reply;
use crate::model::denial::{Denial, Refusal};
use crate::model::mcp::{Mcp, Method, Revision};
use crate::model::record::McpDetail;
use crate::model::snapshot::Snapshot;
use crate::request::endpoint::{self, Entered};
use crate::request::limit::Admitted;
use crate::request::target::Target;
use crate::request::{Call as CallOf, listing};

use self::dispatch::InternalDispatch;
use self::listen::Listeners;
use self::lists::Lists;
use self::pieces::Pieces;
use super::Shared;
use super::answer::Answer;
use super::ctx::{Ctx, Request, Stage};
use super::drain;
use super::flight::Tail;
use super::stop::Fault;

/// What messages need besides what every request does.
#[derive(Debug, Default)]
pub struct Means {
    /// Set once the pipeline is there.
    pub dispatch: OnceLock<Box<dyn InternalDispatch>>,
    pub lists: Lists,
    pub listeners: Arc<Listeners>,
}

/// What answers a message.
#[derive(Debug)]
pub enum Reply {
    /// A JSON-RPC response.
    Json(u16, Bytes),
    /// 202, and nothing.
    Accepted,
}

/// Serves the message of a request that was let in. Its record is completed by who answers: the request's
/// own context, or the inner request that it becomes.
pub async fn serve(shared: &Arc<Shared>, session: &mut Session, ctx: &mut Ctx) -> Result<()> {
    let Some(request) = &mut ctx.request else { return Ok(()) };
    let snapshot = Arc::clone(&request.snapshot);
    let stage = std::mem::replace(&mut request.stage, Stage::Fresh);
    let (Stage::Entered(entered), Some(mcp)) = (stage, &snapshot.policy.mcp) else { return Ok(()) };
    let body = match read(session, ctx, mcp.bounds.message_bytes_max).await? {
        Ok(body) => body,
        Err(refusal) => return refuse(shared, session, ctx, None, refusal).await,
    };
    let (snapshot, entered) = match still_enters(shared, ctx, entered, &snapshot) {
        Ok(entered) => entered,
        Err(refusal) => return refuse(shared, session, ctx, None, refusal).await,
    };
    let Some(mcp) = &snapshot.policy.mcp else { return Ok(()) };
    // Who answers from here on keeps its own time.
    ctx.flight.carries_streams();
    let Some(request) = &mut ctx.request else { return Ok(()) };
    let head = session.req_header();
    let fields = request.fields.of(head);
    let message = envelope::read(&body, &mirrors::of(fields), &mcp.catalogue);
    request.mcp = Some(Box::new(detail_of(message.as_ref())));
    match message {
        Err(fault) => of_fault(shared, session, ctx, mcp, entered, fault).await,
        Ok(message) => of_message(shared, session, ctx, (&snapshot, mcp), entered, message).await,
    }
}

/// While the message came, its sender may have lost what let it in.
fn still_enters(
    shared: &Shared,
    ctx: &mut Ctx,
    entered: Entered,
    snapshot: &Arc<Snapshot>,
) -> std::result::Result<(Arc<Snapshot>, Entered), Refusal> {
    let gone = || Refusal::new(Denial::NotFound, "the MCP endpoint is no longer here");
    let request = ctx.request.as_mut().ok_or_else(gone)?;
    let changes = shared.snapshot.changes();
    if changes == request.changes {
        return Ok((Arc::clone(snapshot), entered));
    }
    let running = shared.snapshot.load_full();
    (request.snapshot, request.changes) = (Arc::clone(&running), changes);
    let mcp = endpoint::at(&running, &request.host, request.path()).ok_or_else(gone)?;
    let entered = endpoint::enter_again(&running, mcp, entered, clock::now())?;
    Ok((running, entered))
}

async fn of_message(
    shared: &Arc<Shared>,
    session: &mut Session,
    ctx: &mut Ctx,
    (snapshot, mcp): (&Arc<Snapshot>, &Mcp),
    entered: Entered,
    message: Message<'_>,
) -> Result<()> {
    let revision = message.revision;
    let (id, call) = match message.asked {
        Asked::Notification => {
            return match admit(ctx, snapshot, mcp, entered, Method::Notification) {
                Ok(_) => answer(shared, session, ctx, Reply::Accepted).await,
                Err(refusal) => refuse(shared, session, ctx, None, refusal).await,
            };
        }
        Asked::Request { id, call } => (id, call),
    };
    let method = match &call {
        Call::CallTool(tool) => {
            let to = call::To { id: &id, revision, traceparent: message.traceparent.as_deref() };
            return call::serve(shared, session, ctx, (snapshot, mcp), entered, (tool, to)).await;
        }
        Call::Initialize(_) => Method::Initialize,
        Call::Discover => Method::Discover,
        Call::Ping => Method::Ping,
        Call::ListTools { .. } => Method::ListTools,
        Call::Listen { .. } => Method::Listen,
    };
    let admitted = match admit(ctx, snapshot, mcp, entered, method) {
        Ok(admitted) => admitted,
        Err(refusal) => return refuse(shared, session, ctx, Some(&id), refusal).await,
    };
    let body = match call {
        Call::Initialize(answered) => reply::initialize(&id, answered).into(),
        Call::Discover => reply::discover(&id).into(),
        Call::Ping => reply::ping(&id).into(),
        Call::ListTools { cursor } => {
            let host = ctx.request.as_ref().map(|request| Arc::clone(&request.host));
            let caller = (&admitted.call(), &*host.unwrap_or_default());
            let page = list(shared, snapshot, mcp, caller, cursor.as_deref());
            let Some(page) = page else {
                let kind = FaultKind::InvalidParams(BAD_CURSOR);
                let fault = MessageFault { id: Some(id), revision, kind };
                return answer_fault(shared, session, ctx, &fault).await;
            };
            reply::list_tools(&id, revision, &page)
        }
        Call::Listen { tools } => {
            return listen::serve(shared, session, ctx, admitted, (&id, tools)).await;
        }
        Call::CallTool(_) => return Ok(()),
    };
    answer(shared, session, ctx, Reply::Json(200, body)).await
}

const BAD_CURSOR: &str = "the cursor is not of this list as it is now: begin anew, without one";

/// The page of the caller's list after a cursor; None when that is not of this catalogue.
fn list(
    shared: &Shared,
    snapshot: &Snapshot,
    mcp: &Mcp,
    caller: (&CallOf, &str),
    cursor: Option<&str>,
) -> Option<reply::Page> {
    let after = match cursor {
        Some(cursor) => reply::after_cursor(&mcp.catalogue, cursor)?,
        None => Default::default(),
    };
    let tools = listing::tools(snapshot, &mcp.catalogue, &mcp.api, caller, clock::now());
    Some(shared.mcp.lists.page(&mcp.catalogue, &tools, after))
}

/// Permits and charges a method of the protocol.
fn admit(
    ctx: &mut Ctx,
    snapshot: &Snapshot,
    mcp: &Mcp,
    entered: Entered,
    method: Method,
) -> std::result::Result<Admitted, Refusal> {
    let Some(request) = &mut ctx.request else {
        return Err(Refusal::new(Denial::Overloaded, "the request has ended"));
    };
    endpoint::admit(snapshot, mcp, entered, method, clock::now(), &mut request.seen)
}

/// A message that is none: it costs the rate too, so that nobody tries for ever.
async fn of_fault(
    shared: &Shared,
    session: &mut Session,
    ctx: &mut Ctx,
    mcp: &Mcp,
    entered: Entered,
    fault: MessageFault,
) -> Result<()> {
    let Some(request) = &ctx.request else { return Ok(()) };
    let snapshot = Arc::clone(&request.snapshot);
    let of_call = matches!(fault.kind, FaultKind::UnknownTool(_));
    let method = if of_call { Method::CallTool } else { Method::Malformed };
    if let Err(refusal) = admit(ctx, &snapshot, mcp, entered, method) {
        return refuse(shared, session, ctx, fault.id.as_ref(), refusal).await;
    }
    answer_fault(shared, session, ctx, &fault).await
}

async fn answer_fault(
    shared: &Shared,
    session: &mut Session,
    ctx: &mut Ctx,
    fault: &MessageFault,
) -> Result<()> {
    if let Some(request) = &mut ctx.request {
        request.fail(Fault::Denied(fault.refusal()));
    }
    answer(shared, session, ctx, Reply::Json(fault.status(), fault.render().into())).await
}

/// Answers a denial of the gate: as JSON-RPC where the message has an id.
pub async fn refuse(
    shared: &Shared,
    session: &mut Session,
    ctx: &mut Ctx,
    id: Option<&RpcId>,
    refusal: Refusal,
) -> Result<()> {
    let Some(request) = &mut ctx.request else { return Ok(()) };
    let fault = Fault::Denied(refusal);
    let mut answer = Answer::of(&fault, request.id, request.seen.standing.as_ref());
    if let Some(id) = id {
        let body = reply::refused(id, answer.status, answer.body());
        answer = answer.with_body(JSON, body.into());
    }
    request.fail(fault);
    write(shared, session, ctx, answer).await
}

/// Writes a response to a message.
pub async fn answer(
    shared: &Shared,
    session: &mut Session,
    ctx: &mut Ctx,
    reply: Reply,
) -> Result<()> {
    let Some(request) = &ctx.request else { return Ok(()) };
    let (status, body) = match reply {
        Reply::Json(status, body) => (status, body),
        Reply::Accepted => (202, Bytes::new()),
    };
    let mut fields = http::HeaderMap::with_capacity(4);
    if !body.is_empty() {
        fields.insert(header::CONTENT_TYPE, JSON);
    }
    fields.insert(header::CACHE_CONTROL, NO_STORE);
    let answer = Answer::made(status, &fields, body, request);
    write(shared, session, ctx, answer).await
}

async fn write(
    shared: &Shared,
    session: &mut Session,
    ctx: &mut Ctx,
    answer: Answer,
) -> Result<()> {
    ctx.awaits_body();
    let after = drain::drain(session).await;
    let Some(request) = &mut ctx.request else { return Ok(()) };
    let answer = answer.dressed(request.dress.as_ref());
    request.status = answer.status;
    request.answer_begins(shared);
    answer.write_to(session, after).await
}

pub const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Reads a message to its end, as far as its bound.
async fn read(
    session: &mut Session,
    ctx: &mut Ctx,
    bytes_max: usize,
) -> Result<std::result::Result<Bytes, Refusal>> {
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

const PIECES_AT_ONCE: u32 = 256;

/// What the record says of a message.
fn detail_of(message: std::result::Result<&Message<'_>, &MessageFault>) -> McpDetail {
    let mut detail = McpDetail::default();
    let (revision, id) = match message {
        Ok(Message { revision, asked, agent, .. }) => {
            detail.agent.clone_from(agent);
            let id = match asked {
                Asked::Notification => None,
                Asked::Request { id, call } => {
                    if let Call::CallTool(call) = call {
                        detail.tool = Some((*call.name).into());
                    }
                    Some(id)
                }
            };
            (*revision, id)
        }
        Err(fault) => (fault.revision, fault.id.as_ref()),
    };
    detail.protocol = Some(Revision::as_str(revision));
    detail.rpc_id = id.map(|RpcId(text)| bounded(text));
    detail
}

/// At most 128 bytes of a text.
fn bounded(text: &str) -> Box<str> {
    text.get(..text.floor_char_boundary(128)).unwrap_or_default().into()
}

impl Request {
    /// Canonical, without the query.
    fn path(&self) -> &str {
        self.target.as_ref().map_or("", Target::path)
    }

    /// Whether the head accepts a stream of events.
    fn takes_streams(&self, session: &Session) -> bool {
        let accepts = self.fields.of(session.req_header()).get_all(header::ACCEPT);
        let has = |value: &HeaderValue| {
            value.to_str().is_ok_and(|text| {
                let text = text.to_ascii_lowercase();
                text.contains("text/event-stream") || text.contains("*/*")
            })
        };
        session.req_header().version != http::Version::HTTP_10 && accepts.iter().any(has)
    }
}
