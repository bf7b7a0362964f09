//! What the audit keeps: one [`RequestRecord`] for each request, one [`ActRecord`] for each act of
//! administration. Values only; `audit::line` writes them, `metrics` counts them.

use std::net::IpAddr;
use std::sync::Arc;

use http::Method;

use super::api::Operation;
use super::client::Credential;
use super::denial::{Denial, Failure, Reason};
use super::id::{
    ApiName, ClientId, CredentialId, LimitName, PlanName, ProductName, RequestId, UpstreamName,
};
use super::plan::Mode;
use super::time::UnixMicros;
use super::upstream::Address;

/// Everything the audit says of one request (INTERFACES.md 6).
#[derive(Debug)]
pub struct RequestRecord {
    pub id: RequestId,
    /// When its head was complete.
    pub time: UnixMicros,
    pub surface: Surface,
    pub caller: Caller,
    /// The other end of the connection.
    pub peer_ip: Option<IpAddr>,
    /// The caller's address: the peer's, or what trusted proxies say.
    pub source_ip: Option<IpAddr>,
    /// None when the head was refused before it had one.
    pub method: Option<Method>,
    pub host: Arc<str>,
    /// Canonical, without the query; empty when the head was refused before it had one.
    pub path: Box<str>,
    pub api: Option<ApiName>,
    pub operation: Option<Arc<Operation>>,
    pub product: Option<ProductName>,
    pub outcome: Outcome,
    /// The true reason of a denial or failure.
    pub reason: Option<Reason>,
    /// The limit that refused.
    pub limit: Option<LimitName>,
    /// The limit that would have refused the call, had it been enforced, and its plan.
    pub shadow_limit: Option<Box<(PlanName, LimitName)>>,
    /// The loop brake came on by this call, and does so much. Counted, and not written: its act is.
    pub braked: Option<Mode>,
    /// What the caller was sent; 0 when it left before any answer.
    pub status: u16,
    pub upstream: Option<UpstreamName>,
    /// The endpoint that was tried last.
    pub endpoint: Option<Address>,
    pub end: End,
    pub duration_us: u64,
    /// From the first attempt to connect until the response's last byte; None when not forwarded.
    pub upstream_us: Option<u64>,
    /// Body bytes from the caller.
    pub request_bytes: u64,
    /// Body bytes to the caller.
    pub response_bytes: u64,
    /// Config digest and inventory revision.
    pub policy: Arc<str>,
    /// W3C trace id.
    pub trace_id: [u8; 16],
    /// The id a trusted proxy sent.
    pub parent_request_id: Option<Box<str>>,
    /// What only the access log shows; None unless there is one.
    pub access: Option<AccessDetail>,
    /// Of a call that came as a message to the MCP endpoint.
    pub mcp: Option<Box<McpDetail>>,
}

/// What the record says of a message to the MCP endpoint, besides what it says of every call.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct McpDetail {
    /// The revision: `2026-07-28`.
    pub protocol: Option<&'static str>,
    /// The message's id, as JSON; at most 128 bytes.
    pub rpc_id: Option<Box<str>>,
    /// Of `tools/call`.
    pub tool: Option<Box<str>>,
    /// The tool that stood for it: `call_read_operation`. None of calls by name.
    pub via: Option<&'static str>,
    /// The SHA-256 of its definition, 64 hex digits.
    pub tool_digest: Option<Arc<str>>,
    /// Of the arguments, keyed; 32 hex digits.
    pub args_digest: Option<Box<str>>,
    /// What the client says that it is, unverified: `name/version`, printable, at most 128 bytes.
    pub agent: Option<Box<str>>,
    /// Whether the answer to `tools/call` was one of failure; none of other methods.
    pub is_error: Option<bool>,
}

impl McpDetail {
    /// How a tool's call went, now that it has ended. Of other messages, what was known before.
    pub fn ended(mut self: Box<Self>, outcome: Outcome, status: u16, end: End) -> Box<Self> {
        if self.tool.is_some() {
            let is_whole = outcome == Outcome::Allowed && end == End::Complete;
            self.is_error = Some(!is_whole || Self::is_error_of(status));
        }
        self
    }

    /// Whether a status is a failure of the tool that it answers; 0 is no answer.
    pub const fn is_error_of(status: u16) -> bool {
        !matches!(status, 200..=299)
    }
}

impl RequestRecord {
    /// Empty when the head was refused before it had one.
    pub fn method_text(&self) -> &str {
        self.method.as_ref().map_or("", Method::as_str)
    }
}

/// What the access log shows of a request beyond its record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AccessDetail {
    /// `HTTP/1.1`, …
    pub protocol: &'static str,
    /// As it was sent, so that nobody but the access log looks into it. A copy: the value itself would keep
    /// the whole head in memory for as long as the record waits.
    pub user_agent: Option<Box<[u8]>>,
}

/// Who the gate took the caller for.
#[derive(Clone, Debug)]
pub enum Caller {
    /// No credential, or none that proved anything. The id is what the caller claimed.
    Anonymous { claimed: Option<CredentialId> },
    /// The secret was right; whether the credential may still be used is the decision's.
    Known(Arc<Credential>),
}

impl Caller {
    pub fn client(&self) -> Option<&ClientId> {
        match self {
            Self::Anonymous { .. } => None,
            Self::Known(credential) => Some(&credential.client),
        }
    }

    pub fn credential_id(&self) -> Option<CredentialId> {
        match self {
            Self::Anonymous { claimed } => *claimed,
            Self::Known(credential) => Some(credential.id),
        }
    }
}

/// How the act arrived. Recorded; never a reason to decide differently.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Surface {
    Rest,
    Admin,
    Mcp,
}

impl Surface {
    pub const ALL: [Self; 3] = [Self::Rest, Self::Admin, Self::Mcp];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Admin => "admin",
            Self::Mcp => "mcp",
        }
    }
}

/// The decision, and what became of an allowed request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    Allowed,
    Denied(Denial),
    /// Allowed, then failed.
    Failed(Failure),
}

impl Outcome {
    /// The record's `decision`.
    pub const fn decision(self) -> &'static str {
        match self {
            Self::Allowed | Self::Failed(_) => "allowed",
            Self::Denied(_) => "denied",
        }
    }
}

/// How the exchange ended on the wire.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum End {
    Complete,
    ClientAbort,
    UpstreamError,
    Deadline,
    Revoked,
    Panic,
}

impl End {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::ClientAbort => "client_abort",
            Self::UpstreamError => "upstream_error",
            Self::Deadline => "deadline",
            Self::Revoked => "revoked",
            Self::Panic => "panic",
        }
    }
}

/// One act of administration.
#[derive(Debug)]
pub struct ActRecord {
    pub id: RequestId,
    pub time: UnixMicros,
    /// Who did it: `uid=0 login=ann sudo_user=-`, or `onegate` for what the gate does by itself, `onegate loop_brake`
    /// for what it does against loops.
    pub actor: Box<str>,
    /// `client.add`, `credential.revoke`, `config.reload`, `audit.gap`, …
    pub action: Box<str>,
    /// `client/mobile-app`, `credential/4fT…`, …
    pub target: Box<str>,
    pub reason_given: Option<Box<str>>,
    pub ticket: Option<Box<str>>,
    /// Values before and after, each one JSON value; secrets appear as ids only.
    pub before: Option<JsonText>,
    pub after: Option<JsonText>,
    pub succeeded: bool,
    pub policy: Arc<str>,
}

/// One JSON value, already written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct JsonText(pub Box<str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_fails_unless_its_call_ends_whole_and_well() {
        let check = |tool: Option<&str>, (outcome, status, end), expected: Option<bool>| {
            let detail = McpDetail { tool: tool.map(Into::into), ..McpDetail::default() };
            let ended = Box::new(detail).ended(outcome, status, end);
            assert_eq!(ended.is_error, expected, "{tool:?} {outcome:?} {status} {end:?}");
        };
        let (allowed, failed) = (Outcome::Allowed, Outcome::Failed(Failure::UpstreamTimeout));
        let tool = Some("payments_list_payments");
        check(tool, (allowed, 200, End::Complete), Some(false));
        check(tool, (allowed, 299, End::Complete), Some(false));
        check(tool, (allowed, 199, End::Complete), Some(true));
        check(tool, (allowed, 304, End::Complete), Some(true));
        check(tool, (allowed, 404, End::Complete), Some(true));
        check(tool, (allowed, 0, End::Complete), Some(true));
        check(tool, (allowed, 200, End::ClientAbort), Some(true));
        check(tool, (failed, 200, End::Complete), Some(true));
        check(tool, (Outcome::Denied(Denial::NotGranted), 200, End::Complete), Some(true));
        check(None, (allowed, 404, End::Deadline), None);
    }
}
