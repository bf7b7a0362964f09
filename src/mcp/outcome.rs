//! What became of a tool call, as `CallToolResult`: a REST response, a refusal of the gate, or arguments
//! that do not fit.

use bytes::Bytes;
use http::HeaderMap;

use crate::model::mcp::Revision;

use super::arguments::BadArguments;
use super::envelope::RpcId;

/// The REST response, or as much of it as there is.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub fields: HeaderMap,
    pub body: Bytes,
    pub whole: Whole,
}

/// Whether a body is there to its end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Whole {
    Yes,
    /// It was longer than a result may be.
    Cut {
        bytes_max: usize,
    },
    /// The upstream streams, and what came in time is here.
    Collected,
    /// It broke off.
    Broken,
}

/// How a JSON-RPC response frames a result.
#[derive(Clone, Copy, Debug)]
pub struct To<'a> {
    pub id: &'a RpcId,
    pub revision: Revision,
    /// The record's, which the caller finds its call by.
    pub request_id: &'a str,
}

/// The JSON-RPC response to a call that was made: `response` is the upstream's answer or the gate's own
/// denial or failure (`application/problem+json`).
pub fn of_response(_to: To<'_>, _response: &Response) -> String {
    String::new()
}

/// To a call that was not made: a result with `isError`.
pub fn of_bad_arguments(_to: To<'_>, _bad: &BadArguments) -> String {
    String::new()
}
