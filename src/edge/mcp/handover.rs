//! A tool call between its message and the pipeline: the message's own request, turned into the REST
//! request that does the same. What was promised to the message (its place in the audit, its id, its
//! count among the requests in flight) goes with it, so that there is one record and one of each.

use std::mem;
use std::sync::Arc;

use http::{HeaderName, HeaderValue, Uri, header};
use pingora::http::RequestHeader;
use pingora::{ErrorType::InternalError, OkOrErr, OrErr, Result};

use crate::mcp::arguments::Prepared;
use crate::model::tool::Tool;
use crate::request::Seen;
use crate::request::identify::Proven;

use super::super::ctx::{Ctx, Request, Stage};
use super::super::headers;
use super::super::headers::fields::Fields;
use super::super::stop::Fault;

/// Only the flight of an inner request carries one, so nothing on the wire can look like it.
#[derive(Debug)]
pub struct Handover {
    /// The message's context with its request, so that there is a record whatever happens.
    guard: Ctx,
    /// None once whoever plays the caller has it.
    head: Option<Box<RequestHeader>>,
}

/// What a trusted proxy before the gate says of the caller.
const OF_PROXIES: [HeaderName; 3] = [
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-forwarded-host"),
];

/// The head of the REST request. `outer` is the message's: of its fields nothing goes on but what a trusted
/// proxy set.
pub fn head(
    request: &Request,
    outer: &RequestHeader,
    tool: &Tool,
    prepared: &mut Prepared,
) -> Result<Box<RequestHeader>> {
    let mut parts = http::Request::new(()).into_parts().0;
    parts.method = prepared.method.clone();
    parts.uri =
        Uri::try_from(prepared.target.as_str()).or_err(InternalError, "a prepared target")?;
    parts.headers = mem::take(&mut prepared.fields);
    let host = match &tool.host {
        Some(host) => HeaderValue::from_str(host).or_err(InternalError, "a host of the config")?,
        None => request.host_value.clone().unwrap_or(HeaderValue::from_static("")),
    };
    let fields = &mut parts.headers;
    fields.insert(header::HOST, host);
    // What is compressed could not be told to a model.
    fields.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if headers::is_trusted(request.peer_ip, &request.snapshot.policy.trusted_proxies) {
        let outer = request.fields.of(outer);
        for name in OF_PROXIES {
            for value in outer.get_all(&name) {
                fields.append(name.clone(), value.clone());
            }
        }
    }
    Ok(Box::new(parts.into()))
}

/// An inner request takes the place of what its context began with.
pub fn board(ctx: &mut Ctx) -> Result<()> {
    let handed = ctx.flight.live().handed.take();
    let mut handed = handed.or_err(InternalError, "an inner request without a handover")?;
    ctx.request = handed.guard.request.take();
    ctx.flight.live().id = ctx.request.as_ref().map(|request| request.id);
    Ok(())
}

impl Handover {
    /// Takes the message's request out of its context.
    pub fn new(
        ctx: &mut Ctx,
        head: Box<RequestHeader>,
        tool: &Tool,
        prepared: Prepared,
        proven: Proven,
    ) -> Box<Self> {
        let mut guard = Ctx::new(Arc::clone(&ctx.shared), Arc::clone(&ctx.flight));
        guard.request = ctx.request.take().map(|mut request| {
            if let Some(host) = &tool.host {
                request.host = Arc::from(&**host);
            }
            request.host_value = head.headers.get(header::HOST).cloned();
            let bytes_max = request.snapshot.policy.bounds.uri_bytes_max;
            match prepared.target.within(bytes_max) {
                Ok(target) => request.target = Some(target),
                Err(refusal) => {
                    request.target = None;
                    request.fault = Some(Fault::Denied(refusal));
                }
            }
            request.method = Some(prepared.method);
            request.fields = Fields::Session;
            request.stage = Stage::Fresh;
            request.seen = Seen::default();
            request.proven = Some(proven);
            request
        });
        Box::new(Self { guard, head: Some(head) })
    }

    /// Undone: nobody takes it.
    pub fn give_back(mut self, ctx: &mut Ctx) {
        ctx.request = self.guard.request.take();
    }

    /// The head, for whoever brings it into the pipeline.
    pub const fn take_head(&mut self) -> Option<Box<RequestHeader>> {
        self.head.take()
    }
}
