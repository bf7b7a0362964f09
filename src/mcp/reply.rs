//! JSON-RPC responses of the protocol's own methods. What is long, the entries of `tools/list`, was
//! rendered when the config was loaded and is only joined.

use bytes::Bytes;
use serde_json::Value;

use crate::model::mcp::Revision;
use crate::model::tool::{Catalogue, Tool};

use super::envelope::RpcId;
use super::json::push_text;

/// `serverInfo`, everywhere the same.
const SERVER: &str = concat!(
    r#"{"name":"onegate","title":"onegate","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""}"#
);

/// `serverInfo` as every modern result has it, a member of its `_meta`.
pub(super) const META: &str = concat!(
    r#""io.modelcontextprotocol/serverInfo":{"name":"onegate","title":"onegate","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""}"#
);

/// What a model is told of the whole.
const INSTRUCTIONS: &str = "Each tool is one operation of a REST API behind this gate, called with your own \
     rights and limits. Where there is search_operations, the operations are not listed: find one with it, \
     read what it takes with describe_operation, and call it with call_read_operation or \
     call_write_operation. A result with isError says in its text what to do next.";

/// How long a caller may keep what `server/discover` says.
const DISCOVER_TTL_MS: u32 = 3_600_000;
/// How long a caller may keep a list of tools; changes are also told to those who listen.
const TOOLS_TTL_MS: u32 = 60_000;

/// Most tools on a page.
const PAGE_TOOLS_MAX: usize = 1_000;
/// Bytes of definitions after which a page ends.
const PAGE_BYTES_MAX: usize = 4 << 20;

/// The older revisions have their notifications on a stream of GET, which is not offered.
pub fn initialize(id: &RpcId, answered: Revision) -> String {
    response(
        id,
        &format!(
            r#"{{"protocolVersion":"{}","capabilities":{{"tools":{{"listChanged":false}}}},"serverInfo":{SERVER},"instructions":"{INSTRUCTIONS}"}}"#,
            answered.as_str()
        ),
    )
}

pub fn discover(id: &RpcId) -> String {
    let versions = Revision::ALL.map(|revision| format!("\"{}\"", revision.as_str())).join(",");
    response(
        id,
        &format!(
            r#"{{"resultType":"complete","supportedVersions":[{versions}],"capabilities":{{"tools":{{"listChanged":true}}}},"instructions":"{INSTRUCTIONS}","ttlMs":{DISCOVER_TTL_MS},"cacheScope":"private","_meta":{{{META}}}}}"#
        ),
    )
}

/// Of the older revisions: the modern one has no such method.
pub fn ping(id: &RpcId) -> String {
    response(id, "{}")
}

fn response(id: &RpcId, result: &str) -> String {
    let id = &id.0;
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)
}

/// One page: the tools, and where the next one begins.
#[derive(Clone, Debug)]
pub struct Page {
    /// `[…]`, the definitions, whole.
    pub tools: Bytes,
    /// The cursor of the next page.
    pub next: Option<Box<str>>,
}

impl Page {
    /// Of who sees nothing.
    pub const fn empty() -> Self {
        Self { tools: Bytes::from_static(b"[]"), next: None }
    }
}

/// Where a list goes on: the name after which, of this catalogue. None: the cursor is not of it. The empty
/// cursor is the beginning.
pub fn after_cursor<'c>(catalogue: &Catalogue, cursor: &'c str) -> Option<&'c str> {
    if cursor.is_empty() {
        return Some("");
    }
    let (digest, name) = cursor.split_once('.')?;
    (digest == &*catalogue.digest && catalogue.get(name).is_some()).then_some(name)
}

/// Joins the definitions of tools that are in order of their names.
pub fn page<'t>(catalogue: &Catalogue, tools: impl Iterator<Item = &'t Tool>) -> Page {
    let mut tools = tools.peekable();
    let mut out = Vec::with_capacity(4 << 10);
    let mut last = "";
    out.push(b'[');
    for count in 0..PAGE_TOOLS_MAX {
        let fits = |tool: &&Tool| count == 0 || out.len() + tool.definition.len() < PAGE_BYTES_MAX;
        let Some(tool) = tools.next_if(fits) else { break };
        if count > 0 {
            out.push(b',');
        }
        out.extend_from_slice(tool.definition.as_bytes());
        last = &tool.name;
    }
    out.push(b']');
    let next = tools.peek().map(|_| format!("{}.{last}", catalogue.digest).into());
    Page { tools: out.into(), next }
}

/// The response that lists a page. The list is the caller's own, so nobody may keep it for another.
pub fn list_tools(id: &RpcId, revision: Revision, page: &Page) -> Bytes {
    let head = format!(r#"{{"jsonrpc":"2.0","id":{},"result":{{"#, id.0);
    let mut out = Vec::with_capacity(head.len() + page.tools.len() + 320);
    out.extend_from_slice(head.as_bytes());
    if revision.is_modern() {
        out.extend_from_slice(br#""resultType":"complete","#);
    }
    out.extend_from_slice(br#""tools":"#);
    out.extend_from_slice(&page.tools);
    if let Some(cursor) = &page.next {
        // Hex digits, a point and a tool's name.
        out.extend_from_slice(format!(r#","nextCursor":"{cursor}""#).as_bytes());
    }
    if revision.is_modern() {
        let rest = format!(r#","ttlMs":{TOOLS_TTL_MS},"cacheScope":"private","_meta":{{{META}}}"#);
        out.extend_from_slice(rest.as_bytes());
    }
    out.extend_from_slice(b"}}");
    out.into()
}

/// The last word of a subscription.
pub fn listened(id: &RpcId) -> String {
    let of = &id.0;
    response(
        id,
        &format!(
            r#"{{"resultType":"complete","_meta":{{"io.modelcontextprotocol/subscriptionId":{of},{META}}}}}"#
        ),
    )
}

/// A refusal of the gate in answer to a method of the protocol, `problem` being its
/// `application/problem+json`: a JSON-RPC error whose code is `status`, which the protocol leaves to us.
pub fn refused(id: &RpcId, status: u16, problem: &[u8]) -> String {
    let problem: Value = serde_json::from_slice(problem).unwrap_or_default();
    let member = |key: &str| problem.get(key).and_then(Value::as_str);
    let message = match (member("title"), member("detail")) {
        (Some(title), Some(detail)) => format!("{title}. {detail}"),
        (Some(text), None) | (None, Some(text)) => text.into(),
        (None, None) => format!("Refused with status {status}."),
    };
    let mut out =
        format!(r#"{{"jsonrpc":"2.0","id":{},"error":{{"code":{status},"message":"#, id.0);
    push_text(&mut out, &message);
    if problem.is_object() {
        out.push_str(&format!(r#","data":{problem}"#));
    }
    out.push_str("}}");
    out
}

#[cfg(test)]
mod tests;
