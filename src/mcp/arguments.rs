//! `tools/call` to the REST request that does the same. Each value becomes exactly one thing in the
//! request: a segment, a parameter, a field's value, a member. Nothing in it can become a second one.

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::value::RawValue;

use crate::model::tool::Tool;

/// A REST request. Its head holds `Host`-less, body-describing and declared fields, and nothing of the
/// agent's own.
#[derive(Debug)]
pub struct Prepared {
    pub method: Method,
    /// The canonical path and, after a `?`, the query.
    pub target: String,
    /// `Content-Type`, `Content-Length`, `Accept`, and the fields that are arguments.
    pub fields: HeaderMap,
    pub body: Bytes,
}

/// Why arguments do not fit, in words for the model: which one, what is wrong, what is right.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BadArguments(pub String);

/// Prepares the request.
pub fn prepare(_tool: &Tool, _arguments: Option<&RawValue>) -> Result<Prepared, BadArguments> {
    Err(BadArguments(String::new()))
}
