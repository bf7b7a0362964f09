//! One POST to the endpoint: head fields and body to a [`Message`], or to the [`Fault`] that says why not.

use std::borrow::Cow;

use crate::model::mcp::{MetaTool, Revision};
use crate::model::tool::Catalogue;

use super::fault::{Fault, FaultKind};
use super::json::read::Raw;

mod era;
mod mirror;
mod parts;
#[cfg(test)]
mod tests;
mod wire;

use era::{Reader, Version};
use wire::{Misread, Params, Wire};

/// The fields of a head that mirror the body, as they were sent.
#[derive(Debug, Default)]
pub struct Mirrors<'h> {
    pub content_type: Option<&'h [u8]>,
    pub protocol_version: Mirror<'h>,
    pub method: Mirror<'h>,
    pub name: Mirror<'h>,
    /// `Mcp-Param-NAME` by `name` in lower case.
    pub params: Vec<(&'h str, &'h [u8])>,
}

/// A field that may be there once.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Mirror<'h> {
    #[default]
    Absent,
    Once(&'h [u8]),
    Repeated,
}

/// An id of JSON-RPC: its JSON text, a string or an integer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RpcId(pub Box<str>);

/// What one POST asks.
#[derive(Debug)]
pub struct Message<'b> {
    pub revision: Revision,
    pub asked: Asked<'b>,
    /// `clientInfo`, unverified: `name/version`, printable, at most 128 bytes.
    pub agent: Option<Box<str>>,
    /// `_meta.traceparent`, where it is well-formed.
    pub traceparent: Option<Cow<'b, str>>,
}

#[derive(Debug)]
pub enum Asked<'b> {
    /// Answered with 202 and nothing.
    Notification,
    Request {
        id: RpcId,
        call: Call<'b>,
    },
}

#[derive(Debug)]
pub enum Call<'b> {
    /// With the revision to answer with.
    Initialize(Revision),
    Discover,
    Ping,
    ListTools {
        cursor: Option<Cow<'b, str>>,
    },
    CallTool(ToolCall<'b>),
    /// Of a tool that stands for all others.
    CallMeta(MetaTool, ToolCall<'b>),
    /// Whether changes of the list of tools are asked for; nothing else changes here.
    Listen {
        tools: bool,
    },
}

/// `tools/call` of a tool that there is. Whether the caller may is not asked here.
#[derive(Debug)]
pub struct ToolCall<'b> {
    pub name: Cow<'b, str>,
    /// A JSON object.
    pub arguments: Option<Raw<'b>>,
    /// A JSON string or number.
    pub progress_token: Option<Raw<'b>>,
}

/// Longest JSON text of an id: it comes back on every answer and notification.
const ID_BYTES_MAX: usize = 1_024;

/// Reads one message, in the order of checks that both eras' conformance tests want.
pub fn read<'b>(
    body: &'b [u8],
    mirrors: &Mirrors<'_>,
    catalogue: &Catalogue,
) -> Result<Message<'b>, Fault> {
    let version = Version::of(mirrors.protocol_version);
    let fault = |id, kind| Fault { id, revision: version.nearest(), kind };
    if !mirrors.content_type.is_some_and(is_json) {
        return Err(fault(None, FaultKind::ContentType));
    }
    let text = str::from_utf8(body).map_err(|_| fault(None, FaultKind::ParseError))?;
    let wire = wire::read(text).map_err(|misread| {
        let (id, kind) = misread_as(&misread);
        fault(id, kind)
    })?;
    let id = wire.id.and_then(rpc_id);
    let method = check_frame(&wire, id.as_ref())
        .map_err(|problem| fault(id.clone(), FaultKind::InvalidRequest(problem)))?;
    let Some(id) = id else {
        return Ok(notification(version.nearest(), &wire.params));
    };
    Reader { id, version, mirrors, catalogue }.request(&method, &wire.params)
}

/// `application/json`, in UTF-8 where it says so.
fn is_json(content_type: &[u8]) -> bool {
    let mut parts = content_type.split(|byte| *byte == b';').map(mirror::trimmed);
    let is_utf8 = |parameter: &[u8]| match parameter.split_at_checked(b"charset=".len()) {
        Some((name, value)) if name.eq_ignore_ascii_case(b"charset=") => {
            [&b"utf-8"[..], b"\"utf-8\"", b"utf8"]
                .iter()
                .any(|utf8| value.eq_ignore_ascii_case(utf8))
        }
        Some(_) | None => true,
    };
    parts.next().is_some_and(|media| media.eq_ignore_ascii_case(b"application/json"))
        && parts.all(is_utf8)
}

fn misread_as(misread: &Misread<'_>) -> (Option<RpcId>, FaultKind) {
    match misread {
        Misread::NotJson => (None, FaultKind::ParseError),
        Misread::Batch => {
            let problem = "batches are not taken, send each message in a POST of its own";
            (None, FaultKind::InvalidRequest(problem))
        }
        Misread::NotAnObject => (None, FaultKind::InvalidRequest("a message is a JSON object")),
        Misread::Params(id) => {
            (id.and_then(rpc_id), FaultKind::InvalidRequest("params must be an object"))
        }
        Misread::Meta(id) => {
            (id.and_then(rpc_id), FaultKind::Meta("params._meta must be an object"))
        }
    }
}

/// A string or an integer, of a length that can be repeated.
fn rpc_id(raw: Raw<'_>) -> Option<RpcId> {
    let text = raw.get();
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_id = if text.starts_with('"') {
        // Escapes that are no text would come back as they are.
        raw.text().is_some()
    } else {
        digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    (is_id && text.len() <= ID_BYTES_MAX).then(|| RpcId(text.into()))
}

/// What every message must be; `id` is its id, where that is one. Gives its method.
fn check_frame<'b>(wire: &Wire<'b>, id: Option<&RpcId>) -> Result<Cow<'b, str>, &'static str> {
    if wire.jsonrpc.and_then(Raw::text).as_deref() != Some("2.0") {
        return Err("jsonrpc must be \"2.0\"");
    }
    if wire.twice {
        return Err("a member of the message, of params or of _meta is there more than once");
    }
    if wire.answer.is_some() {
        return Err("responses are not taken, nothing was asked of the caller");
    }
    let Some(method) = wire.method.and_then(Raw::text) else {
        return Err("method must be a string");
    };
    match wire.id {
        Some(_) if id.is_none() => {
            Err("the id must be a string or an integer, of at most 1024 bytes")
        }
        None if !method.starts_with("notifications/") => {
            Err("the id is missing; only notifications/... have none")
        }
        Some(_) | None => Ok(method),
    }
}

/// Nothing of a notification is acted on, so nothing of it is asked for.
fn notification<'b>(revision: Revision, params: &Params<'b>) -> Message<'b> {
    let body = params.meta.as_ref().and_then(|meta| meta.protocol_version).and_then(Raw::text);
    let revision = body.and_then(|body| Revision::parse(&body)).unwrap_or(revision);
    Message { revision, asked: Asked::Notification, agent: None, traceparent: None }
}
