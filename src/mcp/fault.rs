//! What is wrong with a message, and how it is answered: the one table of HTTP statuses and JSON-RPC
//! codes of the endpoint.

use crate::model::denial::Refusal;
use crate::model::mcp::Revision;

use super::envelope::RpcId;

/// A message that is not served.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// None where it could not be read, or there is none.
    pub id: Option<RpcId>,
    /// Whose table holds; the nearest where the message does not say.
    pub revision: Revision,
    pub kind: FaultKind,
}

/// Texts are told to the caller.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FaultKind {
    /// The `Content-Type` is not JSON: 415.
    ContentType,
    /// -32700, 400.
    ParseError,
    /// -32600, 400.
    InvalidRequest(&'static str),
    /// A key of `_meta` is missing or no value of its kind: -32602, 400.
    Meta(&'static str),
    /// Head fields and body differ: -32020, 400.
    HeaderMismatch(&'static str),
    /// -32022, 400.
    UnsupportedRevision { requested: Box<str> },
    /// -32601; 404, or 200 in the older revisions.
    MethodNotFound,
    /// -32602, 200.
    UnknownTool(Box<str>),
    /// -32602, 200.
    InvalidParams(&'static str),
}

impl Fault {
    /// Of the HTTP response.
    pub fn status(&self) -> u16 {
        400
    }

    /// The JSON-RPC error response, one JSON object.
    pub fn render(&self) -> String {
        String::new()
    }

    /// As the record has it.
    pub fn refusal(&self) -> Refusal {
        Refusal::new(crate::model::denial::Denial::MalformedRequest, "the message is malformed")
    }
}
