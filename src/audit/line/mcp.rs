//! What a line says of a message to the MCP endpoint: the member `mcp`, the last of its line.

use std::borrow::Cow;

use serde::Deserialize;

use crate::audit::json::Object;
use crate::audit::opening::Opening;
use crate::model::record::McpDetail;

use super::{Ending, Line, Text};

/// The member `mcp`, as readers look at it.
#[derive(Debug, Deserialize)]
pub struct Message<'a> {
    #[serde(borrow)]
    pub tool: Option<Text<'a>>,
    #[serde(borrow)]
    pub protocol: Option<Text<'a>>,
    pub is_error: Option<bool>,
}

/// How a tool's call went comes last: an open line has all that the line of its end has before that.
pub(super) fn write(line: &mut Object<'_>, opening: &Opening<'_>, ending: Ending<'_>) {
    let texts = &opening.mcp;
    let is_error = match ending {
        Ending::Of(record) => record.mcp.as_ref().and_then(|mcp| mcp.is_error),
        Ending::Open => None,
        Ending::Crash => (!texts.tool.is_empty()).then(|| {
            let went_well = opening.denial.is_empty() && opening.failure.is_empty();
            !went_well || McpDetail::is_error_of(opening.status)
        }),
    };
    line.object("mcp", |mcp| {
        mcp.text_unless_empty("tool", texts.tool);
        mcp.text_unless_empty("via", texts.via);
        mcp.text_unless_empty("protocol", texts.protocol);
        rpc_id(mcp, texts.rpc_id);
        mcp.text_unless_empty("tool_digest", texts.tool_digest);
        mcp.text_unless_empty("args_digest", texts.args_digest);
        if let Some(is_error) = is_error {
            mcp.value("is_error", word(is_error));
        }
    });
}

/// A whole number or a text, as the protocol has it. Of what is neither, or was cut, the JSON is a text: a reader
/// must not stumble over a number that it has no room for.
fn rpc_id(mcp: &mut Object<'_>, json: &str) {
    const KEY: &str = "rpc_id";
    if json.is_empty() {
        return;
    }
    if json.parse::<i64>().is_ok_and(|number| number.to_string() == json) {
        return mcp.value(KEY, json);
    }
    match serde_json::from_str::<Cow<'_, str>>(json) {
        Ok(text) => mcp.text(KEY, &text),
        Err(_) => mcp.text(KEY, json),
    }
}

/// Appends the end of an open line to the line of the call's end: what only that says of a tool's call comes with
/// it.
pub(super) fn push_rest(out: &mut Vec<u8>, line: &[u8], rest: &[u8]) {
    let of_tool = Line::parse(line).ok().filter(|line| {
        line.mcp.as_ref().is_some_and(|mcp| mcp.tool.is_some() && mcp.is_error.is_none())
    });
    match (of_tool, rest.strip_suffix(b"}}")) {
        (Some(line), Some(rest)) => {
            let went_well = line.denial.is_none() && line.failure.is_none();
            let is_error = !went_well || McpDetail::is_error_of(line.status.unwrap_or_default());
            out.extend_from_slice(rest);
            out.extend_from_slice(format!(r#","is_error":{}}}}}"#, word(is_error)).as_bytes());
        }
        (_, _) => out.extend_from_slice(rest),
    }
}

const fn word(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}
