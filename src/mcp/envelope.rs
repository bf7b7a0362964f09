//! One POST to the endpoint: head fields and body to a [`Message`], or to the [`Fault`] that says why not.

use std::borrow::Cow;

use serde_json::value::RawValue;

use crate::model::mcp::Revision;
use crate::model::tool::Catalogue;

use super::fault::Fault;

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
    /// Whether changes of the list of tools are asked for; nothing else changes here.
    Listen {
        tools: bool,
    },
}

/// `tools/call` of a tool that is in the catalogue. Whether the caller may is not asked here.
#[derive(Debug)]
pub struct ToolCall<'b> {
    pub name: Cow<'b, str>,
    /// A JSON object.
    pub arguments: Option<&'b RawValue>,
    /// A JSON string or number.
    pub progress_token: Option<&'b RawValue>,
}

/// Reads one message, in the order of checks that both eras' conformance tests want.
pub fn read<'b>(
    _body: &'b [u8],
    _mirrors: &Mirrors<'_>,
    _catalogue: &Catalogue,
) -> Result<Message<'b>, Fault> {
    Err(Fault {
        id: None,
        revision: Revision::R2025_11_25,
        kind: super::fault::FaultKind::ParseError,
    })
}
