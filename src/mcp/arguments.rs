//! `tools/call` to the REST request that does the same. Each value becomes exactly one thing in the
//! request: a segment, a parameter, a field's value, a member. Nothing in it can become a second one.
//!
//! Numbers go out as the digits they came in as.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use serde_json::Value;

use crate::mcp::json::read::Raw;
use crate::model::tool::{Argument, Need, PathPart, Place, Tool};
use crate::request::target::{TARGET_BYTES_MAX, Target};

mod body;
mod given;
mod style;
#[cfg(test)]
mod tests;

use given::Given;

/// A REST request. Its head holds `Host`-less, body-describing and declared fields, and nothing of the
/// agent's own.
#[derive(Debug)]
pub struct Prepared {
    pub method: Method,
    /// The canonical path and, after a `?`, the query.
    pub target: Target,
    /// `Content-Type`, `Content-Length`, `Accept`, and the fields that are arguments.
    pub fields: HeaderMap,
    pub body: Bytes,
}

/// Why arguments do not fit, in words for the model: which one, what is wrong, what is right.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BadArguments(pub String);

/// What a result is made of best; anything else is taken too.
const ACCEPT: HeaderValue = HeaderValue::from_static("application/json, */*;q=0.5");
/// Room for the fields of a head, those that come on the way upstream too.
const FIELDS_ROOM: usize = 20;
/// Longest value of a field.
const FIELD_BYTES_MAX: usize = 4_096;

/// Prepares the request.
pub fn prepare(tool: &Tool, arguments: Option<Raw<'_>>) -> Result<Prepared, BadArguments> {
    let given = Given::read(tool, arguments)?;
    let target = target(tool, &given)?;
    let mut fields = HeaderMap::with_capacity(FIELDS_ROOM);
    fields.insert(header::ACCEPT, ACCEPT);
    for (argument, value) in given.all() {
        if let Place::Header { name, style } = &argument.place {
            fields
                .insert(name.clone(), field(argument, &style::in_field(argument, *style, value)?)?);
        }
    }
    let body = match &tool.body {
        Some(form) => body::build(form, &given)?,
        None => body::Built::default(),
    };
    if let Some(content_type) = body.content_type {
        let value = HeaderValue::try_from(content_type);
        fields.insert(header::CONTENT_TYPE, value.map_err(|_| bad("The body has no valid type."))?);
    }
    let has_body = [Method::POST, Method::PUT, Method::PATCH].contains(&tool.method);
    if has_body || !body.bytes.is_empty() {
        fields.insert(header::CONTENT_LENGTH, HeaderValue::from(body.bytes.len()));
    }
    Ok(Prepared { method: tool.method.clone(), target, fields, body: body.bytes })
}

/// Path and query. That the path is canonical as it was written is asked of the one who would otherwise
/// rewrite or refuse it later.
fn target(tool: &Tool, given: &Given<'_>) -> Result<Target, BadArguments> {
    let mut target = String::with_capacity(128);
    for part in &tool.path {
        match part {
            PathPart::Literal(text) => target.push_str(text),
            PathPart::Argument(at) => {
                let argument = tool.arguments.get(*at).ok_or_else(|| bad("The tool is broken."))?;
                push_segment(&mut target, argument, given)?;
            }
        }
    }
    let path_len = target.len();
    let mut query = style::Query::new(&mut target);
    for (argument, value) in given.all() {
        match &argument.place {
            Place::Query { name, style } => query.push(argument, name, *style, value)?,
            Place::AnyQuery => query.push_any(argument, value)?,
            Place::Path | Place::Header { .. } | Place::Member { .. } | Place::Body => {}
        }
    }
    if target.len() > TARGET_BYTES_MAX {
        return Err(bad("The arguments make a URL that is too long. Send shorter ones."));
    }
    match Target::parse(target.as_bytes(), TARGET_BYTES_MAX) {
        Ok(parsed) if target.get(..path_len) == Some(parsed.path()) => Ok(parsed),
        Ok(_) | Err(_) => Err(bad("The arguments make a URL that is not taken.")),
    }
}

/// One segment, whatever the value.
fn push_segment(
    target: &mut String,
    argument: &Argument,
    given: &Given<'_>,
) -> Result<(), BadArguments> {
    let name = &argument.name;
    let value =
        given.get(argument).ok_or_else(|| bad(format!("The argument `{name}` is missing.")))?;
    let text = style::scalar(argument, value)?;
    let problem = if text.is_empty() {
        "may not be empty"
    } else if text == "." || text == ".." {
        "may not be \".\" or \"..\""
    } else if text.contains(['/', '\\']) {
        "may not hold a slash or a backslash: it is one segment of the path"
    } else if text.bytes().any(|byte| byte.is_ascii_control()) {
        "may not hold a control character"
    } else {
        style::push_encoded(target, &text);
        return Ok(());
    };
    Err(bad(format!("The argument `{name}` {problem}.")))
}

fn field(argument: &Argument, text: &str) -> Result<HeaderValue, BadArguments> {
    let name = &argument.name;
    if text.len() > FIELD_BYTES_MAX {
        return Err(bad(format!("The argument `{name}` is longer than {FIELD_BYTES_MAX} bytes.")));
    }
    let is_visible = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let value = is_visible.then(|| HeaderValue::try_from(text).ok()).flatten();
    value.ok_or_else(|| {
        bad(format!("The argument `{name}` may hold visible ASCII characters and spaces only."))
    })
}

fn bad(text: impl Into<String>) -> BadArguments {
    BadArguments(text.into())
}

/// Whether an argument has to be there.
const fn is_required(argument: &Argument) -> bool {
    matches!(argument.need, Need::Required)
}

/// Types and bounds, as the tool's schema has them.
fn check_schema(tool: &Tool, arguments: &Value) -> Result<(), BadArguments> {
    tool.input.check(arguments).map_err(BadArguments)
}
