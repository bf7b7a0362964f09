//! `tools/call`: the message becomes a REST request, which runs the pipeline and has the record; its
//! answer becomes the result. Meanwhile the caller is told that the call goes on, where it takes a
//! stream, and in the modern era a caller that leaves ends the call.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, header};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use serde_json::value::RawValue;
use tokio::time::sleep;

use crate::clock;
use crate::mcp::arguments::{self, BadArguments, Prepared};
use crate::mcp::envelope::{RpcId, ToolCall};
use crate::mcp::{event, outcome};
use crate::model::denial::{Denial, Refusal};
use crate::model::id::RequestId;
use crate::model::mcp::{Mcp, McpBounds, Method, Revision};
use crate::model::snapshot::Snapshot;
use crate::model::tool::Tool;
use crate::request::endpoint::{self, Entered};

use super::super::Shared;
use super::super::ctx::{Ctx, Request};
use super::super::stop::Fault;
use super::handover::{self, Handover};
use super::inner::{Inner, Step};
use super::{JSON, NO_STORE, Reply, answer, refuse, stream};

/// Whom the result is for.
#[derive(Clone, Copy, Debug)]
pub struct To<'a> {
    pub id: &'a RpcId,
    pub revision: Revision,
    /// The caller's trace, as the message has it.
    pub traceparent: Option<&'a str>,
}

/// Whether the caller takes a stream of events, and when.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Streams {
    Never,
    WhenLong,
    AtOnce,
}

pub async fn serve(
    shared: &Arc<Shared>,
    session: &mut Session,
    ctx: &mut Ctx,
    (snapshot, mcp): (&Arc<Snapshot>, &Mcp),
    entered: Entered,
    (call, to): (&ToolCall<'_>, To<'_>),
) -> Result<()> {
    let Some(request) = &mut ctx.request else { return Ok(()) };
    let Some(tool) = mcp.catalogue.get(&call.name) else { return Ok(()) };
    if let Some(detail) = &mut request.mcp {
        detail.tool_digest = Some(tool.digest.clone());
        let arguments = call.arguments.map_or("", RawValue::get);
        detail.args_digest = Some(shared.args_key.digest(arguments.as_bytes()));
    }
    let prepared = match prepare(snapshot, request, tool, call) {
        Ok(prepared) => prepared,
        Err(bad) => {
            return unfit(shared, session, ctx, (snapshot, mcp), entered, (to, &bad)).await;
        }
    };
    let takes_streams = request.takes_streams(session);
    let streams = match (takes_streams, call.progress_token) {
        (false, _) => Streams::Never,
        (true, None) => Streams::WhenLong,
        (true, Some(_)) => Streams::AtOnce,
    };
    if let Some(parent) = to.traceparent {
        request.trace = request.trace.of(parent.as_bytes());
    }
    let id = request.id;
    let Some(inner) = begin(shared, session, ctx, mcp.bounds, (tool, prepared), entered)? else {
        let gone = Refusal::new(Denial::Overloaded, "the gate is about to end");
        return refuse(shared, session, ctx, Some(to.id), gone).await;
    };
    let exchange = Exchange { session, inner, bounds: mcp.bounds, id, sent: Sent::Nothing };
    exchange.run(call, to, streams).await
}

/// The REST request, if the arguments fit the tool and lead to its operation.
fn prepare(
    snapshot: &Snapshot,
    request: &Request,
    tool: &Tool,
    call: &ToolCall<'_>,
) -> std::result::Result<Prepared, BadArguments> {
    let prepared = arguments::prepare(tool, call.arguments)?;
    let path = prepared.target.split('?').next().unwrap_or_default();
    let host = tool.host.as_deref().unwrap_or(&request.host);
    if endpoint::leads_to(snapshot, prepared.method.as_str(), (host, path), &tool.operation) {
        return Ok(prepared);
    }
    Err(BadArguments("a value in the path is the name of another operation".to_owned()))
}

/// Answers arguments that do not fit: they cost the rate, like every message.
async fn unfit(
    shared: &Shared,
    session: &mut Session,
    ctx: &mut Ctx,
    (snapshot, mcp): (&Snapshot, &Mcp),
    entered: Entered,
    (to, bad): (To<'_>, &BadArguments),
) -> Result<()> {
    let Some(request) = &mut ctx.request else { return Ok(()) };
    let seen = &mut request.seen;
    let admitted = endpoint::admit(snapshot, mcp, entered, Method::CallTool, clock::now(), seen);
    if let Err(refusal) = admitted {
        return refuse(shared, session, ctx, Some(to.id), refusal).await;
    }
    let refusal = Refusal::new(Denial::MalformedRequest, "the arguments do not fit the tool");
    request.fail(Fault::Denied(refusal));
    let request_id = request.id.to_text();
    let body = outcome::of_bad_arguments(of(to, &request_id), bad);
    answer(shared, session, ctx, Reply::Json(200, body.into())).await
}

fn of<'a>(to: To<'a>, request_id: &'a [u8; 36]) -> outcome::To<'a> {
    let request_id = std::str::from_utf8(request_id).unwrap_or_default();
    outcome::To { id: to.id, revision: to.revision, request_id }
}

/// Hands the message's request over to a pipeline of its own. None: there is none any more.
fn begin(
    shared: &Arc<Shared>,
    session: &Session,
    ctx: &mut Ctx,
    bounds: McpBounds,
    (tool, mut prepared): (&Tool, Prepared),
    entered: Entered,
) -> Result<Option<Inner>> {
    let Some(request) = &ctx.request else { return Ok(None) };
    let Some(dispatch) = shared.mcp.dispatch.get() else { return Ok(None) };
    let Some(proven) = entered.into_proven() else { return Ok(None) };
    let head = handover::head(request, session.req_header(), tool, &mut prepared)?;
    let id = request.id;
    let handed = Handover::new(ctx, head, tool, &prepared, proven);
    let flight = Arc::new(ctx.flight.of_inner(handed));
    let place = shared.flights.take_off(&flight);
    let running = dispatch.call(session.as_ref(), &flight, prepared.body);
    Ok(running.map(|running| Inner::new(running, flight, place, id, bounds)))
}

/// A call under way, between its caller and its inner request.
struct Exchange<'s> {
    session: &'s mut Session,
    inner: Inner,
    bounds: McpBounds,
    id: RequestId,
    sent: Sent,
}

/// What the caller has been sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sent {
    Nothing,
    /// The head of a stream, and so many signs of progress.
    Events(u64),
}

impl Exchange<'_> {
    async fn run(mut self, call: &ToolCall<'_>, to: To<'_>, streams: Streams) -> Result<()> {
        let mut sign = Box::pin(sleep(match streams {
            Streams::Never => FOR_EVER,
            Streams::WhenLong => self.bounds.stream_after,
            Streams::AtOnce => Duration::ZERO,
        }));
        loop {
            tokio::select! {
                biased;
                () = &mut sign => {
                    self.sign(call).await?;
                    sign.as_mut().set(sleep(self.bounds.keep_alive));
                }
                step = self.inner.next() => match step {
                    Step::Over => break,
                    Step::Head | Step::Event => self.progress(call).await?,
                    Step::Piece => {}
                },
                // What it says is that the caller is gone: a message has one body.
                _ = self.session.as_mut().read_body_or_idle(true), if to.revision.is_modern() => {
                    self.inner.abandon();
                    return Ok(());
                }
            }
        }
        self.answer(to).await
    }

    /// A sign of life, on a stream that begins with the first.
    async fn sign(&mut self, call: &ToolCall<'_>) -> Result<()> {
        if self.sent == Sent::Nothing {
            stream::begin(self.session, self.id).await?;
            self.sent = Sent::Events(0);
        }
        if call.progress_token.is_some() {
            return self.progress(call).await;
        }
        stream::send(self.session, event::KEEP_ALIVE.to_owned()).await
    }

    /// Tells a caller that asked for it that the call goes on.
    async fn progress(&mut self, call: &ToolCall<'_>) -> Result<()> {
        let (Some(token), Sent::Events(told)) = (call.progress_token, self.sent) else {
            return Ok(());
        };
        self.sent = Sent::Events(told + 1);
        let text = match (told, self.inner.fields()) {
            (0, _) => "the call was sent",
            (_, None) => "the upstream works",
            (_, Some(_)) => "the upstream answers",
        };
        stream::send(self.session, event::progress(token, told + 1, text)).await
    }

    async fn answer(self, to: To<'_>) -> Result<()> {
        let response = self.inner.into_response();
        let request_id = self.id.to_text();
        let body = outcome::of_response(of(to, &request_id), &response);
        if self.sent != Sent::Nothing {
            return stream::end(self.session, &body).await;
        }
        let head = head(&response.fields, self.id, body.len())?;
        self.session.write_response_header(Box::new(head), false).await?;
        self.session.write_response_body(Some(body.into()), true).await
    }
}

const FOR_EVER: Duration = Duration::from_hours(365 * 24);

/// The head of a result: how the limits stand is the inner answer's to say.
fn head(inner: &HeaderMap, id: RequestId, bytes: usize) -> Result<ResponseHeader> {
    let mut head = ResponseHeader::build_no_case(200, Some(8))?;
    head.insert_header(header::CONTENT_TYPE, JSON)?;
    head.insert_header(header::CONTENT_LENGTH, bytes)?;
    head.insert_header(header::CACHE_CONTROL, NO_STORE)?;
    head.insert_header("x-request-id", id.to_string())?;
    for name in [RATELIMIT, RATELIMIT_POLICY] {
        if let Some(value) = inner.get(&name) {
            head.insert_header(name, value.clone())?;
        }
    }
    Ok(head)
}

const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
