//! What became of a tool call, as `CallToolResult`: a REST response, a refusal of the gate, or arguments
//! that do not fit.
//!
//! JSON is both text and `structuredContent`, images and sound are blocks of their own, other texts are
//! text, and the rest is an embedded resource. What is not whole says so, in words that help. Nothing of a
//! response's head goes on but its type and when to try again.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};

use crate::model::mcp::Revision;
use crate::model::record::McpDetail;
use crate::model::tool::Output;

use super::arguments::BadArguments;
use super::envelope::RpcId;
use super::json::inside::push_json;
use super::json::push_escaped;
use super::json::scan::Scanned;
use super::reply::META;

mod blocks;
mod content;
mod failure;
mod media;
#[cfg(test)]
mod tests;

use media::Media;

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
    /// The tool's.
    pub output: Output,
    /// The record's, which the caller finds its call by.
    pub request_id: &'a str,
}

/// The JSON-RPC response to a call that was made: `response` is the upstream's answer or the gate's own
/// denial or failure (`application/problem+json`). Bytes of a text.
///
/// It is an error where the record says so; and where an upstream that makes its results itself says so of one, of
/// which the record knows nothing.
pub fn of_response(to: To<'_>, response: &Response) -> Vec<u8> {
    if McpDetail::is_error_of(response.status) {
        return failure::of_response(to, response);
    }
    let media = Media::of(&response.fields);
    if response.body.is_empty() && response.whole == Whole::Yes {
        let mut result = Written::open(to, 0);
        result.text(&format!("{}: done, and there is no content.", status_line(response.status)));
        return result.close(Rest::Fine);
    }
    if response.whole == Whole::Yes
        && media.is_of_blocks()
        && let Some(result) = blocks::of(to, &response.body)
    {
        return result;
    }
    content::of(to, &media, response)
}

/// The gate's own answer to a call of a tool of its own.
pub fn of_text(to: To<'_>, text: &str) -> Vec<u8> {
    let mut result = Written::open(to, text.len() + text.len() / 8);
    result.text(text);
    result.close(Rest::Fine)
}

/// To a call that was not made: a result with `isError`.
pub fn of_bad_arguments(to: To<'_>, bad: &BadArguments) -> Vec<u8> {
    let mut result = Written::open(to, bad.0.len());
    result.text(&format!("The call was not made. {}\nRequest id: {}", bad.0, to.request_id));
    result.close(Rest::Failed)
}

/// `404 Not Found`.
fn status_line(status: u16) -> String {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    reason.map_or_else(|| status.to_string(), |reason| format!("{status} {reason}"))
}

/// Seconds, where `Retry-After` has them.
fn retry_after(fields: &HeaderMap) -> Option<u64> {
    fields.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()
}

/// A result as it is written: the frame, then blocks of content, then the rest.
struct Written<'a> {
    to: To<'a>,
    out: Vec<u8>,
    blocks: usize,
}

/// What a result has besides its content.
#[derive(Clone, Copy, Debug)]
enum Rest<'r> {
    Fine,
    /// `structuredContent`, a JSON object.
    Structured(&'r str),
    /// `structuredContent` of a JSON value that is no object, which all revisions but the last refuse.
    Wrapped(&'r str),
    Failed,
    /// With the members of an object that programs may read. Not `structuredContent`: callers hold that to
    /// the schema of what succeeds.
    Problem(&'r str),
}

impl<'a> Written<'a> {
    fn open(to: To<'a>, bytes: usize) -> Self {
        let mut out = Vec::with_capacity(bytes + 384);
        out.extend_from_slice(br#"{"jsonrpc":"2.0","id":"#);
        out.extend_from_slice(to.id.0.as_bytes());
        out.extend_from_slice(br#","result":{"#);
        if to.revision.is_modern() {
            out.extend_from_slice(br#""resultType":"complete","#);
        }
        out.extend_from_slice(br#""content":["#);
        Self { to, out, blocks: 0 }
    }

    fn text(&mut self, text: &str) {
        self.text_and(text, "");
    }

    /// A text with one of ours after it.
    fn text_and(&mut self, text: &str, after: &str) {
        self.block(r#"{"type":"text","text":""#);
        push_escaped(&mut self.out, text);
        push_escaped(&mut self.out, after);
        self.out.extend_from_slice(b"\"}");
    }

    /// A text that is JSON; none where it is not, and then nothing of the result is of use.
    fn json(&mut self, json: &str) -> Option<Scanned> {
        self.block(r#"{"type":"text","text":""#);
        let scanned = push_json(&mut self.out, json)?;
        self.out.extend_from_slice(b"\"}");
        Some(scanned)
    }

    /// Bytes of a type; `kind` is `image` or `audio`.
    fn media(&mut self, kind: &str, mime: &str, base64: &str) {
        self.block(&format!(r#"{{"type":"{kind}","mimeType":"#));
        self.string(mime);
        // Base64 needs no escapes.
        self.out.extend_from_slice(br#","data":""#);
        self.out.extend_from_slice(base64.as_bytes());
        self.out.extend_from_slice(b"\"}");
    }

    /// An embedded resource; `member` is `text` or `blob`.
    fn resource(&mut self, uri: &str, mime: Option<&str>, member: &str, value: &str) {
        self.block(r#"{"type":"resource","resource":{"uri":"#);
        self.string(uri);
        if let Some(mime) = mime {
            self.out.extend_from_slice(br#","mimeType":"#);
            self.string(mime);
        }
        self.out.extend_from_slice(format!(r#","{member}":"#).as_bytes());
        self.string(value);
        self.out.extend_from_slice(b"}}");
    }

    fn string(&mut self, text: &str) {
        self.out.push(b'"');
        push_escaped(&mut self.out, text);
        self.out.push(b'"');
    }

    /// Begins a block.
    fn block(&mut self, opening: &str) {
        if self.blocks > 0 {
            self.out.push(b',');
        }
        self.blocks += 1;
        self.out.extend_from_slice(opening.as_bytes());
    }

    fn close(mut self, rest: Rest<'_>) -> Vec<u8> {
        self.out.push(b']');
        let problem = match rest {
            Rest::Fine => {
                // Conforms whatever is told: output schemas demand nothing.
                if self.to.output == Output::Told {
                    self.out.extend_from_slice(br#","structuredContent":{}"#);
                }
                None
            }
            Rest::Structured(json) => {
                self.out.extend_from_slice(br#","structuredContent":"#);
                self.out.extend_from_slice(json.as_bytes());
                None
            }
            Rest::Wrapped(json) => {
                self.out.extend_from_slice(br#","structuredContent":{"result":"#);
                self.out.extend_from_slice(json.as_bytes());
                self.out.push(b'}');
                None
            }
            Rest::Failed => {
                self.out.extend_from_slice(br#","isError":true"#);
                None
            }
            Rest::Problem(members) => {
                self.out.extend_from_slice(br#","isError":true"#);
                Some(members)
            }
        };
        self.close_meta(problem);
        self.out.extend_from_slice(b"}}");
        self.out
    }

    /// `_meta`: of the modern revision, the server; of a failure, what became of the call.
    fn close_meta(&mut self, problem: Option<&str>) {
        let is_modern = self.to.revision.is_modern();
        if is_modern || problem.is_some() {
            self.out.extend_from_slice(br#","_meta":{"#);
        }
        if is_modern {
            self.out.extend_from_slice(META.as_bytes());
        }
        if let Some(members) = problem {
            let comma = if is_modern { "," } else { "" };
            self.out.extend_from_slice(
                format!(r#"{comma}"dev.onegate/problem":{{{members}}}"#).as_bytes(),
            );
        }
        if is_modern || problem.is_some() {
            self.out.push(b'}');
        }
    }
}
