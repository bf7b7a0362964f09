//! `tools/call`: the message becomes a REST request, which runs the pipeline and has the record; its
//! answer becomes the result. Meanwhile the caller is told that the call goes on, where it takes a
//! stream, and in the modern era a caller that leaves ends the call.

use std::future::poll_fn;
use std::mem;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use pingora::http::ResponseHeader;
use pingora::proxy::Session;
use pingora::{Error, ErrorType, Result};
use tokio::time::sleep;

use crate::clock;
use crate::mcp::arguments::{self, BadArguments, Prepared};
use crate::mcp::envelope::{RpcId, ToolCall};
use crate::mcp::json::read::Raw;
use crate::mcp::{event, outcome};
use crate::model::denial::{Denial, Refusal};
use crate::model::id::RequestId;
use crate::model::mcp::{McpBounds, Method, Revision};
use crate::model::snapshot::Snapshot;
use crate::model::time::MonoNs;
use crate::model::tool::{Output, Tool};
use crate::request::endpoint::{self, Entered, Leads, Tried};

use super::super::answer::{RATELIMIT, RATELIMIT_POLICY, X_REQUEST_ID};
use super::super::ctx::Request;
use super::super::shape::dress::Dress;
use super::super::stop::Fault;
use super::handover::{self, Handover};
use super::inner::{Inner, Step};
use super::serving::{JSON, NO_STORE, Reply, Serving, Under};
use super::stream;

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
    mut serving: Serving<'_>,
    under: Under<'_>,
    entered: Entered,
    (call, to): (&ToolCall<'_>, To<'_>),
) -> Result<()> {
    let Serving { shared, session, ctx } = &mut serving;
    let Some(request) = &mut ctx.request else { return Ok(()) };
    let Some(tool) = under.mcp.catalogue.get(&call.name) else { return Ok(()) };
    if let Some(detail) = &mut request.mcp {
        detail.tool_digest = Some(tool.digest.clone());
        let arguments = call.arguments.map_or("", Raw::get);
        detail.args_digest = Some(shared.args_key.digest(arguments.as_bytes()));
    }
    let prepared = match prepare(under.snapshot, request, tool, call) {
        Ok(prepared) => prepared,
        Err(bad) => {
            let tried = Tried::Tool(&tool.operation);
            return unfit(serving, under, entered, (tried, to, &bad)).await;
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
    let (id, dress) = (request.id, request.dress.clone());
    let bounds = under.mcp.bounds;
    let Some(inner) = begin(&mut serving, bounds, (tool, prepared), entered)? else {
        let gone = Refusal::new(Denial::Overloaded, "the gate is about to end");
        return serving.refuse(Some(to.id), gone).await;
    };
    let told = Told { sent: Sent::Nothing, at: clock::mono(), id, dress };
    let (session, output) = (serving.session, tool.output);
    let mut exchange = Exchange { session, inner, bounds, output, told };
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
    let path = prepared.target.path();
    let host = tool.host.as_deref().unwrap_or(&request.host);
    let bad = |text: &str| Err(BadArguments(text.to_owned()));
    if endpoint::at(snapshot, host, path).is_some() {
        // Over REST that is a message to the endpoint.
        return bad("A value in the path leads to the MCP endpoint.");
    }
    match endpoint::leads_to(snapshot, prepared.method.as_str(), (host, path), &tool.operation) {
        Leads::ToItsOperation => Ok(prepared),
        Leads::ToAnother => bad("A value in the path is the name of another operation."),
        Leads::Nowhere => bad("The tool's API is not served under this host of the endpoint."),
    }
}

/// Answers arguments that do not fit: they cost the rate, like every message.
pub(super) async fn unfit(
    mut serving: Serving<'_>,
    under: Under<'_>,
    entered: Entered,
    (tried, to, bad): (Tried<'_>, To<'_>, &BadArguments),
) -> Result<()> {
    let asked = (Method::CallTool, tried);
    if let Err(refusal) = serving.admit(under, entered, asked) {
        return serving.refuse(Some(to.id), refusal).await;
    }
    let refusal = Refusal::new(Denial::MalformedRequest, "the arguments do not fit the tool");
    not_made(serving, refusal, (to, bad)).await
}

/// Answers a call that is not made though it was paid for.
pub(super) async fn not_made(
    mut serving: Serving<'_>,
    refusal: Refusal,
    (to, bad): (To<'_>, &BadArguments),
) -> Result<()> {
    let Some(request) = &mut serving.ctx.request else { return Ok(()) };
    request.fail(Fault::Denied(refusal));
    let request_id = request.id.to_text();
    let body = outcome::of_bad_arguments(of(to, Output::Untold, &request_id), bad);
    serving.answer(Reply::Json(200, body.into())).await
}

pub(super) fn of<'a>(to: To<'a>, output: Output, request_id: &'a [u8; 36]) -> outcome::To<'a> {
    let request_id = std::str::from_utf8(request_id).unwrap_or_default();
    outcome::To { id: to.id, revision: to.revision, output, request_id }
}

/// Hands the message's request over to a pipeline of its own. None: there is none any more.
fn begin(
    Serving { shared, session, ctx }: &mut Serving<'_>,
    bounds: McpBounds,
    (tool, mut prepared): (&Tool, Prepared),
    entered: Entered,
) -> Result<Option<Inner>> {
    let Some(request) = &ctx.request else { return Ok(None) };
    let Some(dispatch) = shared.mcp.dispatch.get() else { return Ok(None) };
    let Some(proven) = entered.into_proven() else { return Ok(None) };
    let head = handover::head(request, session.req_header(), tool, &mut prepared)?;
    let id = request.id;
    let body = mem::take(&mut prepared.body);
    let handed = Handover::new(ctx, head, tool, prepared, proven);
    let flight = Arc::new(ctx.flight.of_inner(handed));
    let place = shared.flights.take_off(&flight);
    let Some(running) = dispatch.call(&flight, body) else {
        let handed = flight.live().handed.take();
        if let Some(handed) = handed {
            handed.give_back(ctx);
        }
        return Ok(None);
    };
    Ok(Some(Inner::new(running, flight, place, id, bounds)))
}

/// A call under way, between its caller and its inner request.
struct Exchange<'s> {
    session: &'s mut Session,
    inner: Inner,
    bounds: McpBounds,
    output: Output,
    told: Told,
}

/// What the caller has been told.
struct Told {
    sent: Sent,
    /// When it was told something last.
    at: MonoNs,
    id: RequestId,
    dress: Option<Dress>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sent {
    Nothing,
    /// The head of a stream, and so many signs of progress.
    Events(u64),
    /// It does not listen any more.
    InVain,
}

/// Whether a call goes on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Goes {
    On,
    /// Its caller left, and may end it by that.
    Over,
}

impl Exchange<'_> {
    async fn run(&mut self, call: &ToolCall<'_>, to: To<'_>, streams: Streams) -> Result<()> {
        let mut sign = pin!(sleep(match streams {
            Streams::Never | Streams::WhenLong => self.bounds.stream_after,
            Streams::AtOnce => Duration::ZERO,
        }));
        loop {
            let goes = tokio::select! {
                biased;
                step = self.inner.next() => match step {
                    Step::Over => break,
                    Step::Head | Step::Event => self.progress(call).await,
                    Step::Noted | Step::Piece => Ok(()),
                },
                // Nothing goes out of a call whose record a kill would take.
                () = &mut sign, if streams != Streams::Never && self.inner.is_noted() => {
                    sign.as_mut().set(sleep(self.bounds.keep_alive));
                    self.sign(call).await
                }
                // What it says is that the caller is gone: a message has one body.
                _ = self.session.as_mut().read_body_or_idle(true), if to.revision.is_modern() => {
                    Err(Error::new_down(ErrorType::ConnectionClosed))
                }
            };
            if self.goes(goes, to) == Goes::Over {
                return Ok(());
            }
        }
        self.answer(to).await
    }

    /// In the modern era a caller that leaves ends its call; before, the call goes on without it.
    fn goes(&mut self, written: Result<()>, to: To<'_>) -> Goes {
        match written {
            Ok(()) => Goes::On,
            Err(_) if to.revision.is_modern() => {
                self.session.as_mut().set_keepalive(None);
                Goes::Over
            }
            Err(_) => {
                self.told.sent = Sent::InVain;
                Goes::On
            }
        }
    }

    /// A sign of life, on a stream that begins with the first.
    async fn sign(&mut self, call: &ToolCall<'_>) -> Result<()> {
        if self.told.sent == Sent::Nothing {
            self.told.sent = Sent::Events(0);
            let Self { session, inner, told, .. } = self;
            while_watched(inner, stream::begin(session, told.id, told.dress.as_ref())).await?;
        }
        if call.progress_token.is_some() {
            return self.tell(call).await;
        }
        self.send(event::KEEP_ALIVE).await
    }

    /// Tells a caller that asked for it that the call goes on, unless it was told just now.
    async fn progress(&mut self, call: &ToolCall<'_>) -> Result<()> {
        let is_due = clock::mono().since(self.told.at) >= PROGRESS_EVERY;
        match self.told.sent {
            // The second one tells that the upstream answers.
            Sent::Events(told) if is_due || told < 2 => self.tell(call).await,
            Sent::Nothing | Sent::Events(_) | Sent::InVain => Ok(()),
        }
    }

    async fn tell(&mut self, call: &ToolCall<'_>) -> Result<()> {
        let (Some(token), Sent::Events(told)) = (call.progress_token, self.told.sent) else {
            return Ok(());
        };
        (self.told.sent, self.told.at) = (Sent::Events(told + 1), clock::mono());
        let text = match (told, self.inner.has_begun()) {
            (0, _) => "the call was sent",
            (_, false) => "the upstream works",
            (_, true) => "the upstream answers",
        };
        self.send(event::progress(token, told + 1, text)).await
    }

    async fn send(&mut self, events: Bytes) -> Result<()> {
        if self.told.sent == Sent::InVain {
            return Ok(());
        }
        while_watched(&mut self.inner, stream::send(self.session, events)).await
    }

    async fn answer(&mut self, to: To<'_>) -> Result<()> {
        let response = self.inner.take_response();
        let Told { sent, id, ref dress, .. } = self.told;
        let request_id = id.to_text();
        let body = outcome::of_response(of(to, self.output, &request_id), &response);
        match sent {
            Sent::InVain => Ok(()),
            Sent::Events(_) => stream::end(self.session, &body).await,
            Sent::Nothing => {
                let head = head(&response.fields, id, body.len(), dress.as_ref());
                self.session.write_response_header(Box::new(head), false).await?;
                self.session.write_response_body(Some(body.into()), true).await
            }
        }
    }
}

/// Writes to a caller that may be slow to read. Meanwhile its inner request may be told to end, and does.
async fn while_watched(inner: &mut Inner, write: impl Future<Output = Result<()>>) -> Result<()> {
    let mut write = pin!(write);
    poll_fn(|cx| {
        inner.end_if_told(cx);
        write.as_mut().poll(cx)
    })
    .await
}

/// Between two signs of progress, besides the first two.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// The head of a result: how the limits stand is the inner answer's to say.
fn head(inner: &HeaderMap, id: RequestId, bytes: usize, dress: Option<&Dress>) -> ResponseHeader {
    let mut parts = http::Response::new(()).into_parts().0;
    let fields = &mut parts.headers;
    // Room for Pingora's two as well.
    fields.reserve(8);
    fields.append(header::CONTENT_TYPE, JSON);
    fields.append(header::CONTENT_LENGTH, HeaderValue::from(bytes));
    fields.append(header::CACHE_CONTROL, NO_STORE);
    let id = HeaderValue::from_bytes(&id.to_text());
    fields.append(X_REQUEST_ID, id.unwrap_or(HeaderValue::from_static("")));
    for name in [RATELIMIT, RATELIMIT_POLICY] {
        if let Some(value) = inner.get(&name) {
            fields.append(name, value.clone());
        }
    }
    for (name, value) in dress.into_iter().flat_map(|dress| dress.iter()) {
        fields.append(name.clone(), value.clone());
    }
    parts.into()
}
