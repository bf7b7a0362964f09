//! What is wrong with a message, and how it is answered: the one table of HTTP statuses and JSON-RPC
//! codes of the endpoint.

use crate::model::denial::{Denial, Refusal};
use crate::model::mcp::Revision;

use super::envelope::RpcId;
use super::json::push_text;

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
    pub const fn status(&self) -> u16 {
        match &self.kind {
            FaultKind::ContentType => 415,
            FaultKind::ParseError
            | FaultKind::InvalidRequest(_)
            | FaultKind::Meta(_)
            | FaultKind::HeaderMismatch(_)
            | FaultKind::UnsupportedRevision { .. } => 400,
            FaultKind::MethodNotFound if self.revision.is_modern() => 404,
            FaultKind::MethodNotFound | FaultKind::UnknownTool(_) | FaultKind::InvalidParams(_) => {
                200
            }
        }
    }

    /// Of the JSON-RPC error.
    pub const fn code(&self) -> i32 {
        match &self.kind {
            FaultKind::ParseError => -32_700,
            FaultKind::ContentType | FaultKind::InvalidRequest(_) => -32_600,
            FaultKind::MethodNotFound => -32_601,
            FaultKind::Meta(_) | FaultKind::UnknownTool(_) | FaultKind::InvalidParams(_) => -32_602,
            FaultKind::HeaderMismatch(_) => -32_020,
            FaultKind::UnsupportedRevision { .. } => -32_022,
        }
    }

    /// The JSON-RPC error response, one JSON object. Without an id where there is none: `null` is no id
    /// in this protocol.
    pub fn render(&self) -> String {
        let mut out = String::with_capacity(384);
        out.push_str(r#"{"jsonrpc":"2.0","#);
        if let Some(id) = &self.id {
            out.push_str(&format!(r#""id":{},"#, id.0));
        }
        out.push_str(&format!(r#""error":{{"code":{},"message":"#, self.code()));
        push_text(&mut out, &self.message());
        if let FaultKind::UnsupportedRevision { requested } = &self.kind {
            let supported = Revision::ALL.map(|revision| format!("\"{}\"", revision.as_str()));
            out.push_str(&format!(
                r#","data":{{"supported":[{}],"requested":"#,
                supported.join(",")
            ));
            push_text(&mut out, requested);
            out.push('}');
        }
        out.push_str("}}");
        out
    }

    fn message(&self) -> String {
        match &self.kind {
            FaultKind::ContentType => {
                "The message must come as Content-Type: application/json.".into()
            }
            FaultKind::ParseError => "The body is not JSON in UTF-8.".into(),
            FaultKind::InvalidRequest(problem) => format!("Not a JSON-RPC 2.0 request: {problem}."),
            FaultKind::Meta(problem) | FaultKind::InvalidParams(problem) => {
                format!("Invalid params: {problem}.")
            }
            FaultKind::HeaderMismatch(problem) => {
                format!("Header fields and body disagree: {problem}.")
            }
            FaultKind::UnsupportedRevision { requested } => format!(
                "Protocol version \"{requested}\" is not spoken here. Use {}.",
                Revision::ALL.map(Revision::as_str).join(", ")
            ),
            FaultKind::MethodNotFound => {
                let methods = if self.revision.is_modern() {
                    "server/discover, tools/list, tools/call and subscriptions/listen"
                } else {
                    "initialize, ping, tools/list and tools/call"
                };
                format!("Method not found. In {} there are {methods}.", self.revision.as_str())
            }
            FaultKind::UnknownTool(name) => {
                format!("Unknown tool: {name}. tools/list names the tools that there are.")
            }
        }
    }

    /// As the record has it.
    pub const fn refusal(&self) -> Refusal {
        let reason = match &self.kind {
            FaultKind::ContentType => "the message's content type is not JSON",
            FaultKind::ParseError => "the message is not JSON",
            FaultKind::InvalidRequest(problem)
            | FaultKind::Meta(problem)
            | FaultKind::HeaderMismatch(problem)
            | FaultKind::InvalidParams(problem) => problem,
            FaultKind::UnsupportedRevision { .. } => "the protocol version is not supported",
            FaultKind::MethodNotFound => "the protocol's method is not served",
            FaultKind::UnknownTool(_) => "there is no such tool",
        };
        let denial = match &self.kind {
            FaultKind::MethodNotFound | FaultKind::UnknownTool(_) => Denial::NotFound,
            FaultKind::ContentType
            | FaultKind::ParseError
            | FaultKind::InvalidRequest(_)
            | FaultKind::Meta(_)
            | FaultKind::HeaderMismatch(_)
            | FaultKind::UnsupportedRevision { .. }
            | FaultKind::InvalidParams(_) => Denial::MalformedRequest,
        };
        Refusal::new(denial, reason)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn each_kind_has_its_row() {
        use FaultKind::{
            ContentType, HeaderMismatch, InvalidParams, InvalidRequest, Meta, MethodNotFound,
            ParseError, UnknownTool, UnsupportedRevision,
        };
        let check = |kind: FaultKind, modern: (u16, i32), legacy: (u16, i32), denial: Denial| {
            for (revision, expected) in
                [(Revision::R2026_07_28, modern), (Revision::R2025_11_25, legacy)]
            {
                let id = Some(RpcId(r#""a\"b""#.into()));
                let fault = Fault { id, revision, kind: kind.clone() };
                let shown: Value = serde_json::from_str(&fault.render()).expect("JSON");
                assert_eq!((fault.status(), fault.code()), expected, "{kind:?}");
                assert_eq!(shown["error"]["code"], json!(fault.code()), "{kind:?}");
                assert_eq!(shown["id"], json!("a\"b"), "{kind:?}");
                assert!(shown["error"]["message"].as_str().is_some_and(|text| text.ends_with('.')));
                assert_eq!(fault.refusal().denial, denial, "{kind:?}");
            }
        };
        let malformed = Denial::MalformedRequest;
        check(ContentType, (415, -32600), (415, -32600), malformed);
        check(ParseError, (400, -32700), (400, -32700), malformed);
        check(InvalidRequest("x"), (400, -32600), (400, -32600), malformed);
        check(Meta("x"), (400, -32602), (400, -32602), malformed);
        check(HeaderMismatch("x"), (400, -32020), (400, -32020), malformed);
        let unsupported = UnsupportedRevision { requested: "2024-11-05".into() };
        check(unsupported, (400, -32022), (400, -32022), malformed);
        check(MethodNotFound, (404, -32601), (200, -32601), Denial::NotFound);
        check(UnknownTool("x".into()), (200, -32602), (200, -32602), Denial::NotFound);
        check(InvalidParams("x"), (200, -32602), (200, -32602), malformed);
    }

    #[test]
    fn what_is_supported_is_told() {
        let kind = FaultKind::UnsupportedRevision { requested: "v\"999".into() };
        let fault = Fault { id: None, revision: Revision::R2026_07_28, kind };
        let shown: Value = serde_json::from_str(&fault.render()).expect("JSON");
        let supported = ["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26"];
        assert_eq!(
            shown["error"]["data"],
            json!({ "supported": supported, "requested": "v\"999" })
        );
        assert!(shown.get("id").is_none(), "{shown}");
    }
}
