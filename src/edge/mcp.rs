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
mod meta;
mod mirrors;
mod pieces;
mod serving;
pub mod session;
mod stream;

use std::mem;
use std::sync::{Arc, OnceLock};

use http::{HeaderValue, header};
use pingora::Result;
use pingora::proxy::Session;

use crate::clock;
use crate::mcp::envelope::{self, Asked, Call, Message, RpcId};
use crate::mcp::fault::{Fault as MessageFault, FaultKind};
use crate::mcp::json::first_bytes;
use crate::mcp::reply;
use crate::model::denial::{Denial, Refusal};
use crate::model::mcp::{Method, Revision};
use crate::model::record::McpDetail;
use crate::model::snapshot::Snapshot;
use crate::request::Call as CallOf;
use crate::request::endpoint::{self, Entered, Tried};
use crate::request::listing::Narrowing;
use crate::request::target::Target;

use self::dispatch::InternalDispatch;
use self::listen::Listeners;
use self::lists::Lists;
use self::serving::{Reply, Serving, Under};
use super::Shared;
use super::ctx::{Ctx, Request, Stage};

/// What messages need besides what every request does.
#[derive(Debug, Default)]
pub struct Means {
    /// Set once the pipeline is there.
    pub dispatch: OnceLock<Box<dyn InternalDispatch>>,
    pub lists: Lists,
    pub listeners: Arc<Listeners>,
}

/// Serves the message of a request that was let in. Its record is completed by who answers: the request's
/// own context, or the inner request that it becomes.
pub async fn serve(shared: &Arc<Shared>, session: &mut Session, ctx: &mut Ctx) -> Result<()> {
    let Some(request) = &mut ctx.request else { return Ok(()) };
    let snapshot = Arc::clone(&request.snapshot);
    let stage = mem::replace(&mut request.stage, Stage::Fresh);
    let (Stage::Entered(entered), Some(mcp)) = (stage, &snapshot.policy.mcp) else {
        return Ok(());
    };
    let mut serving = Serving { shared, session, ctx };
    let body = match serving.read(mcp.bounds.message_bytes_max).await? {
        Ok(body) => body,
        Err(refusal) => return serving.refuse(None, refusal).await,
    };
    let (snapshot, entered) = match serving.still_enters(entered, &snapshot) {
        Ok(entered) => entered,
        Err(refusal) => return serving.refuse(None, refusal).await,
    };
    let narrowing = match serving.narrowing(&snapshot) {
        Ok(narrowing) => narrowing,
        Err(refusal) => return serving.refuse_for_the_rate(&snapshot, entered, refusal).await,
    };
    let Some(under) = Under::of(&snapshot, &narrowing) else { return Ok(()) };
    let Serving { session, ctx, .. } = &mut serving;
    // Who answers from here on keeps its own time.
    ctx.flight.carries_streams();
    let Some(request) = &mut ctx.request else { return Ok(()) };
    let mirrors = mirrors::of(request.fields.of(session.req_header()));
    let message = envelope::read(&body, &mirrors, &under.mcp.catalogue);
    request.mcp = Some(Box::new(detail_of(message.as_ref())));
    match message {
        Err(fault) => serving.of_fault(under, entered, fault).await,
        Ok(message) => serving.of_message(under, entered, message).await,
    }
}

impl Serving<'_> {
    /// While the message came, its sender may have lost what let it in.
    fn still_enters(
        &mut self,
        entered: Entered,
        snapshot: &Arc<Snapshot>,
    ) -> std::result::Result<(Arc<Snapshot>, Entered), Refusal> {
        let gone = || Refusal::new(Denial::NotFound, "the MCP endpoint is no longer here");
        let request = self.ctx.request.as_mut().ok_or_else(gone)?;
        let changes = self.shared.snapshot.changes();
        if changes == request.changes {
            return Ok((Arc::clone(snapshot), entered));
        }
        let running = self.shared.snapshot.load_full();
        (request.snapshot, request.changes) = (Arc::clone(&running), changes);
        let mcp = endpoint::at(&running, &request.host, request.path()).ok_or_else(gone)?;
        let entered = endpoint::enter_again(&running, mcp, entered, clock::now())?;
        Ok((running, entered))
    }

    /// A refusal that costs what a message costs, so that nobody tries for ever.
    async fn refuse_for_the_rate(
        mut self,
        snapshot: &Arc<Snapshot>,
        entered: Entered,
        refusal: Refusal,
    ) -> Result<()> {
        let narrowing = Narrowing::default();
        let Some(under) = Under::of(snapshot, &narrowing) else { return Ok(()) };
        let asked = (Method::Malformed, Tried::NoMessage);
        let refusal = self.admit(under, entered, asked).err().unwrap_or(refusal);
        self.refuse(None, refusal).await
    }

    /// What of the tools is asked for where the request came in.
    fn narrowing(&self, snapshot: &Snapshot) -> std::result::Result<Narrowing, Refusal> {
        let target = self.ctx.request.as_ref().and_then(|request| request.target.as_ref());
        let (Some(mcp), Some(target)) = (&snapshot.policy.mcp, target) else {
            return Ok(Narrowing::default());
        };
        Narrowing::of(&snapshot.policy, mcp, target.path(), target.query_suffix())
    }

    async fn of_message(
        mut self,
        under: Under<'_>,
        entered: Entered,
        message: Message<'_>,
    ) -> Result<()> {
        let revision = message.revision;
        let (id, call) = match message.asked {
            Asked::Notification => {
                return match self.admit(under, entered, (Method::Notification, Tried::Method)) {
                    Ok(_) => self.answer(Reply::Accepted).await,
                    Err(refusal) => self.refuse(None, refusal).await,
                };
            }
            Asked::Request { id, call } => (id, call),
        };
        let method = match &call {
            Call::CallTool(tool) => {
                let traceparent = message.traceparent.as_deref();
                let to = call::To { id: &id, revision, traceparent };
                return call::serve(self, under, entered, (tool, to)).await;
            }
            Call::CallMeta(meta, tool) => {
                let traceparent = message.traceparent.as_deref();
                let to = call::To { id: &id, revision, traceparent };
                // Boxed, so that other calls do not carry it.
                return Box::pin(meta::serve(self, under, entered, (*meta, tool), to)).await;
            }
            Call::Initialize(_) => Method::Initialize,
            Call::Discover => Method::Discover,
            Call::Ping => Method::Ping,
            Call::ListTools { .. } => Method::ListTools,
            Call::Listen { .. } => Method::Listen,
        };
        let admitted = match self.admit(under, entered, (method, Tried::Method)) {
            Ok(admitted) => admitted,
            Err(refusal) => return self.refuse(Some(&id), refusal).await,
        };
        let body = match call {
            Call::Initialize(answered) => reply::initialize(&id, answered).into(),
            Call::Discover => reply::discover(&id).into(),
            Call::Ping => reply::ping(&id).into(),
            Call::ListTools { cursor } => {
                let page = self.page(under, &admitted.call(), cursor.as_deref());
                let Some(page) = page else {
                    let kind = FaultKind::InvalidParams(BAD_CURSOR);
                    let fault = MessageFault { id: Some(id), revision, kind };
                    return self.answer_fault(&fault).await;
                };
                reply::list_tools(&id, revision, &page)
            }
            Call::Listen { tools } => {
                return listen::serve(self, under, admitted, (&id, tools)).await;
            }
            Call::CallTool(_) | Call::CallMeta(..) => return Ok(()),
        };
        self.answer(Reply::Json(200, body)).await
    }

    /// The page of the caller's list after a cursor; None when that is not of this catalogue.
    fn page(&self, under: Under<'_>, call: &CallOf, cursor: Option<&str>) -> Option<reply::Page> {
        let catalogue = &under.mcp.catalogue;
        let after = match cursor {
            Some(cursor) => reply::after_cursor(catalogue, cursor)?,
            None => Default::default(),
        };
        let Some(sight) = self.sight(under, call) else { return Some(reply::Page::empty()) };
        let tools = sight.tools(catalogue);
        let shown = sight.shown(under.mcp, &tools);
        Some(self.shared.mcp.lists.page(catalogue, (&tools, shown), after))
    }

    /// A message that is none: it costs the rate too, so that nobody tries for ever.
    async fn of_fault(
        mut self,
        under: Under<'_>,
        entered: Entered,
        fault: MessageFault,
    ) -> Result<()> {
        let of_call = matches!(fault.kind, FaultKind::UnknownTool(_));
        let asked = if of_call {
            (Method::CallTool, Tried::NoTool)
        } else {
            (Method::Malformed, Tried::NoMessage)
        };
        match self.admit(under, entered, asked) {
            Ok(_) => self.answer_fault(&fault).await,
            Err(refusal) => self.refuse(fault.id.as_ref(), refusal).await,
        }
    }
}

const BAD_CURSOR: &str = "the cursor is not of this list as it is now: begin anew, without one";

/// What the record says of a message.
fn detail_of(message: std::result::Result<&Message<'_>, &MessageFault>) -> McpDetail {
    let mut detail = McpDetail::default();
    let (revision, id) = match message {
        Ok(Message { revision, asked, agent, .. }) => {
            detail.agent.clone_from(agent);
            let id = match asked {
                Asked::Notification => None,
                Asked::Request { id, call } => {
                    if let Call::CallTool(call) | Call::CallMeta(_, call) = call {
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
    detail.rpc_id = id.map(|RpcId(text)| first_bytes(text, ID_BYTES_MAX).into());
    detail
}

/// `Accept` as the protocol wants it, letter by letter nearly always.
const AS_TOLD: &str = "application/json, text/event-stream";

/// Longest part of an id that a record has.
const ID_BYTES_MAX: usize = 128;

impl Request {
    /// Canonical, without the query.
    fn path(&self) -> &str {
        self.target.as_ref().map_or("", Target::path)
    }

    /// Whether the head accepts a stream of events.
    fn takes_streams(&self, session: &Session) -> bool {
        let accepts = self.fields.of(session.req_header()).get_all(header::ACCEPT);
        let names = |text: &str| {
            text == AS_TOLD || text.contains("text/event-stream") || text.contains("*/*")
        };
        let has = |value: &HeaderValue| {
            value.to_str().is_ok_and(|text| names(text) || names(&text.to_ascii_lowercase()))
        };
        session.req_header().version != http::Version::HTTP_10 && accepts.iter().any(has)
    }
}
