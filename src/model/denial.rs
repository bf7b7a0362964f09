//! How a request ends badly: the closed sets of denials and failures, with one table each.
//!
//! The variant is the public code, the metric label and the record's word. Text for the caller
//! ([`ClientText`]) and text for operators ([`Reason`]) are different types, so that one cannot be
//! sent where the other is due.

use std::borrow::Cow;
use std::fmt;

use super::id::{LimitName, Scope};
use super::loops::Looping;
use super::quarantine::CallRate;
use super::time::UnixMicros;

/// The gate refused the request (INTERFACES.md 2). Issues that add a check add its variant.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Denial {
    MalformedRequest,
    UriTooLong,
    HeadTooLarge,
    BodyTooLarge,
    RequestTimeout,
    Misdirected,
    NotFound,
    MethodNotAllowed,
    CredentialMissing,
    CredentialInvalid,
    CredentialConflict,
    ClientSuspended,
    AddressNotAllowed,
    PolicyRefused,
    NotGranted,
    InsufficientScope,
    Quarantined,
    RateLimited,
    QuotaExhausted,
    ConcurrencyLimited,
    RepeatedCall,
    TooManyUnauthenticated,
    AuditUnavailable,
    Overloaded,
}

/// The request was allowed and did not succeed: the upstream's fault, or ours.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Failure {
    UpstreamUnreachable,
    UpstreamProtocol,
    UpstreamTimeout,
    Deadline,
    InternalError,
}

/// One row of INTERFACES.md 2: what everyone outside sees of a denial or a failure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Row {
    /// Public code, metric label, record's word.
    pub code: &'static str,
    pub status: u16,
    pub title: ClientText,
    /// What the caller can do.
    pub detail: ClientText,
}

/// Text that may be sent to a caller: fixed at compile time, so nothing internal can leak into it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ClientText(pub &'static str);

/// The true reason, for records and logs only. It has no way into a response.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reason(Cow<'static, str>);

impl Reason {
    pub const fn fixed(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }

    pub fn told(text: String) -> Self {
        Self(Cow::Owned(text))
    }

    pub fn as_log_text(&self) -> &str {
        &self.0
    }
}

/// A denial with what the caller is told beyond its row, and the true reason for the record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Refusal {
    pub denial: Denial,
    pub advice: Advice,
    pub reason: Reason,
}

/// What a refusal adds to its row for the caller.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Advice {
    None,
    /// A more exact sentence than the row's.
    Detail(ClientText),
    /// The methods the path does have, as an `Allow` header.
    Allow(Box<str>),
    /// Every scope the caller lacks.
    Scopes(Box<[Scope]>),
    /// When to come back, and which limit said so.
    Retry {
        after_seconds: u64,
        limit: Option<LimitName>,
    },
    /// Of a quarantine. Boxed, as what follows: every verdict is as large as its largest refusal.
    Quarantine(Box<Withheld>),
    /// Of the loop brake.
    Loop(Box<Repeated>),
}

/// Which calls a quarantine takes away, until when, and when to come back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Withheld {
    pub taken: Taken,
    pub until: UnixMicros,
    pub after_seconds: u64,
}

/// Why the loop brake refuses, and when to come back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Repeated {
    pub looping: Looping,
    pub after_seconds: u64,
    pub limit: LimitName,
}

/// The part of its calls that a quarantine takes from a client.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Taken {
    /// Those that do not read.
    Writes,
    /// Those over a rate.
    Over(CallRate),
    /// All of this operation.
    Operation,
}

impl Refusal {
    pub const fn new(denial: Denial, reason: &'static str) -> Self {
        Self { denial, advice: Advice::None, reason: Reason::fixed(reason) }
    }

    /// A refusal whose sentence for the caller is more exact than the row's.
    pub const fn detailed(denial: Denial, detail: &'static str) -> Self {
        Self { denial, advice: Advice::Detail(ClientText(detail)), reason: Reason::fixed(detail) }
    }

    /// The limit that refused.
    pub const fn limit(&self) -> Option<&LimitName> {
        match &self.advice {
            Advice::Retry { limit, .. } => limit.as_ref(),
            Advice::Loop(repeated) => Some(&repeated.limit),
            Advice::None
            | Advice::Detail(_)
            | Advice::Allow(_)
            | Advice::Scopes(_)
            | Advice::Quarantine(_) => None,
        }
    }

    pub const fn advising(denial: Denial, advice: Advice, reason: &'static str) -> Self {
        Self { denial, advice, reason: Reason::fixed(reason) }
    }
}

impl Advice {
    /// What the caller can do: a sentence of its own where there is one, else the row's.
    pub fn detail(&self, row: &Row) -> Cow<'static, str> {
        match self {
            Self::Detail(detail) => Cow::Borrowed(detail.0),
            Self::None | Self::Allow(_) | Self::Scopes(_) | Self::Retry { .. } => {
                Cow::Borrowed(row.detail.0)
            }
            Self::Quarantine(held) => Cow::Owned(held.taken.told(held.until)),
            Self::Loop(repeated) => Cow::Owned(looping_told(repeated.looping)),
        }
    }

    /// When to come back, where that is known.
    pub const fn after_seconds(&self) -> Option<u64> {
        match self {
            Self::Retry { after_seconds, .. } => Some(*after_seconds),
            Self::Quarantine(held) => Some(held.after_seconds),
            Self::Loop(repeated) => Some(repeated.after_seconds),
            Self::None | Self::Detail(_) | Self::Allow(_) | Self::Scopes(_) => None,
        }
    }
}

/// One sentence, made for a model that would go on.
fn looping_told(looping: Looping) -> String {
    let why = match looping {
        Looping::Failed(times) => format!("it failed {times} times in a row"),
        Looping::TooFast(times) => format!("it came {times} times over the limits"),
    };
    format!(
        "Do not repeat this call: {why} and is refused for a while; change the arguments then, \
         or ask the person you work for."
    )
}

impl Taken {
    /// For the caller: fixed words, a time and numbers, and nothing that an operator wrote.
    fn told(self, until: UnixMicros) -> String {
        let left = match self {
            Self::Writes => {
                "this client may only read: GET, HEAD, OPTIONS and QUERY. Do not repeat this call; ask the gate's \
                 operator."
            }
            Self::Operation => {
                "this client may not call this operation. Do not repeat this call; use another, or ask the gate's \
                 operator."
            }
            Self::Over(rate) => {
                return format!(
                    "Until {until} this client may make at most {rate} calls. Wait as long as Retry-After says."
                );
            }
        };
        format!("Until {until} {left}")
    }
}

impl Denial {
    /// Every denial, for tables that must have a row for each.
    pub const ALL: [Self; 24] = [
        Self::MalformedRequest,
        Self::UriTooLong,
        Self::HeadTooLarge,
        Self::BodyTooLarge,
        Self::RequestTimeout,
        Self::Misdirected,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::CredentialMissing,
        Self::CredentialInvalid,
        Self::CredentialConflict,
        Self::ClientSuspended,
        Self::AddressNotAllowed,
        Self::PolicyRefused,
        Self::NotGranted,
        Self::InsufficientScope,
        Self::Quarantined,
        Self::RateLimited,
        Self::QuotaExhausted,
        Self::ConcurrencyLimited,
        Self::RepeatedCall,
        Self::TooManyUnauthenticated,
        Self::AuditUnavailable,
        Self::Overloaded,
    ];

    #[rustfmt::skip] // A table: each row in two lines.
    pub const fn row(self) -> Row {
        match self {
            Self::MalformedRequest => row("malformed_request", 400, "Malformed request",
                "The request breaks a rule of HTTP. Send it again in valid form."),
            Self::UriTooLong => row("uri_too_long", 414, "URI too long",
                "Send a shorter path and query."),
            Self::HeadTooLarge => row("head_too_large", 431, "Request head too large",
                "Send fewer or shorter header fields."),
            Self::BodyTooLarge => row("body_too_large", 413, "Request body too large",
                "Send a smaller body."),
            Self::RequestTimeout => row("request_timeout", 408, "Request timeout",
                "The request arrived too slowly. Send it again over a faster connection."),
            Self::Misdirected => row("misdirected", 421, "Misdirected request",
                "This host is not served here. Check the host name of the URL."),
            Self::NotFound => row("not_found", 404, "Not found",
                "Nothing is published here. Check the URL."),
            Self::MethodNotAllowed => row("method_not_allowed", 405, "Method not allowed",
                "Use one of the methods in the Allow header."),
            Self::CredentialMissing => row("credential_missing", 401, "Credential missing",
                "Send an API key as 'Authorization: Bearer KEY' or 'X-API-Key: KEY'."),
            Self::CredentialInvalid => row("credential_invalid", 401, "Credential invalid",
                "The credential is not valid here. Ask the gate's operator for a new one."),
            Self::CredentialConflict => row("credential_conflict", 400, "Credential conflict",
                "The request carries credentials of different clients. Send only one."),
            Self::ClientSuspended => row("client_suspended", 403, "Client suspended",
                "This client may not call at present. Ask the gate's operator."),
            Self::AddressNotAllowed => row("address_not_allowed", 403, "Address not allowed",
                "Calls from this address are not taken. Ask the gate's operator."),
            Self::PolicyRefused => row("policy_refused", 403, "Refused by policy",
                "The path, the header fields, the content type or the origin are not taken here."),
            Self::NotGranted => row("not_granted", 403, "Not granted",
                "No product granted to this client contains the operation. Ask its owner for access."),
            Self::InsufficientScope => row("insufficient_scope", 403, "Insufficient scope",
                "The credential lacks scopes that the operation needs."),
            Self::Quarantined => row("quarantined", 403, "In quarantine",
                "This client may not make this call at present. Ask the gate's operator."),
            Self::RateLimited => row("rate_limited", 429, "Rate limited",
                "The client's rate is used up. Wait as long as Retry-After says."),
            Self::QuotaExhausted => row("quota_exhausted", 429, "Quota exhausted",
                "The client's quota of this period is used up. Wait as long as Retry-After says."),
            Self::ConcurrencyLimited => row("concurrency_limited", 429, "Too many calls at once",
                "The client has as many calls under way as it may. Wait until one of them ends."),
            Self::RepeatedCall => row("repeated_call", 429, "Repeated call",
                "Do not repeat this call: it failed again and again. Wait as long as Retry-After says."),
            Self::TooManyUnauthenticated => row("too_many_unauthenticated", 429, "Too many calls without a credential",
                "Send a valid credential, or wait as long as Retry-After says."),
            Self::AuditUnavailable => row("audit_unavailable", 503, "Audit unavailable",
                "The call cannot be recorded now and was not made. Try again later."),
            Self::Overloaded => row("overloaded", 503, "Overloaded",
                "The gate is at its limit. Try again later."),
        }
    }

    /// Public code, metric label, record's word.
    pub const fn code(self) -> &'static str {
        self.row().code
    }
}

impl Failure {
    /// Every failure, for tables that must have a row for each.
    pub const ALL: [Self; 5] = [
        Self::UpstreamUnreachable,
        Self::UpstreamProtocol,
        Self::UpstreamTimeout,
        Self::Deadline,
        Self::InternalError,
    ];

    #[rustfmt::skip] // A table: each row in two lines.
    pub const fn row(self) -> Row {
        match self {
            Self::UpstreamUnreachable => row("upstream_unreachable", 502, "Upstream unreachable",
                "The service behind the gate cannot be reached. Try again later."),
            Self::UpstreamProtocol => row("upstream_protocol", 502, "Upstream protocol error",
                "The service behind the gate did not answer properly."),
            Self::UpstreamTimeout => row("upstream_timeout", 504, "Upstream timeout",
                "The service behind the gate did not answer in time."),
            Self::Deadline => row("deadline", 504, "Deadline exceeded",
                "The request took longer than allowed."),
            Self::InternalError => row("internal_error", 500, "Internal error",
                "The gate failed. Report the request id to its operator."),
        }
    }

    /// Public code, metric label, record's word.
    pub const fn code(self) -> &'static str {
        self.row().code
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

const fn row(code: &'static str, status: u16, title: &'static str, detail: &'static str) -> Row {
    Row { code, status, title: ClientText(title), detail: ClientText(detail) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_statuses_are_errors() {
        let rows: Vec<Row> = Denial::ALL
            .iter()
            .map(|d| d.row())
            .chain(Failure::ALL.iter().map(|f| f.row()))
            .collect();
        let codes: std::collections::BTreeSet<_> = rows.iter().map(|row| row.code).collect();
        assert_eq!(codes.len(), rows.len());
        assert!(rows.iter().all(|row| (400..600).contains(&row.status)));
    }
}
