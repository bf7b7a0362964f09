//! The one writer of answers that the gate makes itself: denials and failures, as
//! `application/problem+json` (RFC 9457), through a Pingora session or onto a bare connection.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use pingora::http::ResponseHeader;
use pingora::protocols::http::date::get_cached_date;
use pingora::proxy::Session;
use pingora::{Error, Result};

use crate::mcp::outcome::{Response, Whole};
use crate::model::denial::{Advice, Denial, Refusal, Row};
use crate::model::facts::Writer;
use crate::model::id::{LimitName, RequestId, Scope};
use crate::model::plan::{Plan, SEPARATOR};
use crate::request::limit::{LimitStanding, Limits, RateStanding, Standing};

use super::ctx::Request;
use super::health::Asked;
use super::shape::dress::Dress;
use super::stop::Fault;

/// An answer, ready to be written.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    fields: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

/// Whether the connection may serve another request after this answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum After {
    KeepAlive,
    Close,
}

impl Answer {
    /// What the caller is told of a fault: nothing but its row, its advice and the request's id.
    pub fn of(fault: &Fault, id: RequestId, standing: Option<&Standing>) -> Self {
        match fault {
            Fault::Denied(refusal) => Self::refusing(refusal, id, standing),
            Fault::Failed(failure) => Self::from_row(&failure.row(), &Advice::None, id),
        }
    }

    fn refusing(refusal: &Refusal, id: RequestId, standing: Option<&Standing>) -> Self {
        let mut answer = Self::from_row(&refusal.denial.row(), &refusal.advice, id);
        if let Some(fields) = standing.and_then(limit_fields) {
            answer.fields.extend(fields);
        }
        match (&refusal.advice, refusal.denial) {
            (Advice::Allow(methods), _) => answer.field(header::ALLOW, methods.to_string()),
            (Advice::Retry { .. } | Advice::Quarantine(_) | Advice::Loop(_), _) => {
                let after_seconds = refusal.advice.after_seconds().unwrap_or(1);
                answer.field(header::RETRY_AFTER, after_seconds.to_string());
            }
            (Advice::Scopes(scopes), _) => {
                let scopes = joined(scopes.iter().map(Scope::as_str), " ");
                let challenge = format!(
                    "Bearer realm=\"onegate\", error=\"insufficient_scope\", scope=\"{scopes}\""
                );
                answer.field(header::WWW_AUTHENTICATE, challenge);
            }
            (_, Denial::CredentialMissing) => {
                answer.field(header::WWW_AUTHENTICATE, "Bearer realm=\"onegate\"".into());
            }
            (_, Denial::CredentialInvalid) => {
                let challenge = "Bearer realm=\"onegate\", error=\"invalid_token\"";
                answer.field(header::WWW_AUTHENTICATE, challenge.into());
            }
            (_, Denial::AuditUnavailable | Denial::Overloaded) => {
                answer.field(header::RETRY_AFTER, "1".into());
            }
            (Advice::None | Advice::Detail(_), _) => {}
        }
        answer
    }

    /// Every text in the body is fixed, a checked name, a number or a time, so nothing in it needs JSON escapes.
    fn from_row(row: &Row, advice: &Advice, id: RequestId) -> Self {
        let detail = advice.detail(row);
        let mut body = String::with_capacity(384);
        let kind = if row.status == 429 { QUOTA_EXCEEDED } else { PROBLEMS };
        let suffix = if row.status == 429 { "" } else { row.code };
        body.push_str(&format!(
            r#"{{"type":"{kind}{suffix}","title":"{}","status":{},"detail":"{detail}","code":"{}","request_id":"{id}""#,
            row.title.0, row.status, row.code,
        ));
        match advice {
            Advice::Scopes(scopes) => {
                let scopes = joined(scopes.iter().map(Scope::as_str), "\",\"");
                body.push_str(&format!(r#","missing_scopes":["{scopes}"]"#));
            }
            Advice::Quarantine(held) => body.push_str(&format!(r#","until":"{}""#, held.until)),
            Advice::Retry { limit: Some(limit), .. } => add_limit(&mut body, limit),
            Advice::Loop(repeated) => add_limit(&mut body, &repeated.limit),
            Advice::None | Advice::Detail(_) | Advice::Allow(_) | Advice::Retry { .. } => {}
        }
        body.push_str("}\n");
        let fields = vec![
            (header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json")),
            (header::CONTENT_LENGTH, HeaderValue::from(body.len())),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (X_REQUEST_ID, HeaderValue::try_from(id.to_string()).unwrap_or(EMPTY)),
        ];
        Self { status: row.status, fields, body: body.into() }
    }

    /// An answer that config gives: its fields and body, and what every answer carries.
    pub fn made(status: u16, fields: &HeaderMap, body: Bytes, request: &Request) -> Self {
        let mut fields: Vec<_> =
            fields.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        if status != 204 {
            fields.push((header::CONTENT_LENGTH, HeaderValue::from(body.len())));
        }
        let id = HeaderValue::try_from(request.id.to_string()).unwrap_or(EMPTY);
        fields.push((X_REQUEST_ID, id));
        fields.extend(request.seen.standing.as_ref().and_then(limit_fields).into_iter().flatten());
        Self { status, fields, body }
    }

    /// One word, of no request.
    pub fn word(status: u16, word: &'static str, asked: Asked) -> Self {
        let fields = vec![
            (header::CONTENT_TYPE, HeaderValue::from_static("text/plain")),
            (header::CONTENT_LENGTH, HeaderValue::from(word.len())),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        ];
        let body = if asked == Asked::Head { "" } else { word };
        Self { status, fields, body: Bytes::from_static(body.as_bytes()) }
    }

    /// The same with the fields that every answer of its api carries.
    pub fn dressed(mut self, dress: Option<&Dress>) -> Self {
        self.fields.extend(dress.into_iter().flat_map(|dress| dress.iter().cloned()));
        self
    }

    /// The same facts in another form.
    pub fn with_body(mut self, content_type: HeaderValue, body: Bytes) -> Self {
        self.fields
            .retain(|(name, _)| !matches!(*name, header::CONTENT_TYPE | header::CONTENT_LENGTH));
        self.fields.push((header::CONTENT_TYPE, content_type));
        self.fields.push((header::CONTENT_LENGTH, HeaderValue::from(body.len())));
        Self { body, ..self }
    }

    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// As if an inner request had been answered with it.
    pub fn into_collected(self) -> Response {
        let fields = HeaderMap::from_iter(self.fields);
        Response { status: self.status, fields, body: self.body, whole: Whole::Yes }
    }

    /// The same to HEAD: the fields of the answer to GET, and no body.
    pub fn for_head(mut self) -> Self {
        self.body = Bytes::new();
        self
    }

    fn field(&mut self, name: HeaderName, value: String) {
        self.fields.push((name, HeaderValue::try_from(value).unwrap_or(EMPTY)));
    }

    /// Writes the answer to a session whose head was parsed. HEAD gets no body.
    pub async fn write_to(self, session: &mut Session, after: After) -> Result<()> {
        let mut header = ResponseHeader::build(self.status, Some(self.fields.len() + 2))?;
        for (name, value) in self.fields {
            header.append_header(name, value)?;
        }
        if after == After::Close {
            session.as_mut().set_keepalive(None);
        }
        let bodiless = session.req_header().method == http::Method::HEAD || self.body.is_empty();
        session.write_response_header(Box::new(header), bodiless).await?;
        if !bodiless {
            session.write_response_body(Some(self.body), true).await?;
        }
        Ok(())
    }

    /// The answer for an HTTP/2 stream that has no session.
    pub fn into_response(self) -> (http::Response<()>, Bytes) {
        let mut response = http::Response::new(());
        *response.status_mut() = http::StatusCode::from_u16(self.status).unwrap_or_default();
        response.headers_mut().extend(self.fields);
        response.headers_mut().insert(header::DATE, get_cached_date());
        (response, self.body)
    }

    /// The answer as HTTP/1.1 bytes, for a connection that has no session and will close.
    pub fn to_wire(&self) -> Vec<u8> {
        let status = http::StatusCode::from_u16(self.status).ok();
        let reason = status.and_then(|status| status.canonical_reason()).unwrap_or("Error");
        let mut wire = format!("HTTP/1.1 {} {reason}\r\n", self.status);
        for (name, value) in &self.fields {
            wire.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap_or_default()));
        }
        let date = get_cached_date();
        wire.push_str(&format!("date: {}\r\n", date.to_str().unwrap_or_default()));
        wire.push_str("connection: close\r\n\r\n");
        [wire.as_bytes(), &self.body].concat()
    }
}

fn add_limit(body: &mut String, limit: &LimitName) {
    body.push_str(&format!(r#","violated-policies":["{limit}"]"#));
}

/// `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-11).
/// None when no limit of the plan is the caller's business.
pub fn limit_fields(standing: &Standing) -> Option<[(HeaderName, HeaderValue); 2]> {
    let mut room = [0; RATELIMIT_BYTES];
    let mut text = Writer::over(&mut room);
    add_limits(&mut text, standing);
    let state = match text.written() {
        Some([]) => return None,
        Some(text) => HeaderValue::from_bytes(text),
        None => {
            // A plan of many limits with long names.
            let mut room = vec![0; RATELIMIT_BYTES_MAX];
            let mut text = Writer::over(&mut room);
            add_limits(&mut text, standing);
            HeaderValue::from_bytes(text.written()?)
        }
    };
    let policy = standing.plan.policy_header.clone();
    Some([(RATELIMIT_POLICY, policy), (RATELIMIT, state.unwrap_or(EMPTY))])
}

fn add_limits(text: &mut Writer<'_>, standing: &Standing) {
    let plan = &standing.plan;
    match &standing.limits {
        Limits::Rates(rates) => {
            for (at, standing) in rates.iter().enumerate().take(plan.rates.len()) {
                let RateStanding { remaining, more_after_seconds } = *standing;
                let after = Some(more_after_seconds);
                add(text, plan.item(Plan::rate_at(at)), remaining.into(), after);
            }
        }
        Limits::All(all) => {
            for LimitStanding { limit, remaining, more_after_seconds } in &all.limits {
                add(text, plan.item(*limit), *remaining, *more_after_seconds);
            }
        }
    }
}

/// Adds an item to a `RateLimit` field, without the machinery of formatting: nearly every answer has
/// some.
fn add(text: &mut Writer<'_>, item: &str, remaining: u64, more_after_seconds: Option<u64>) {
    let item = if text.is_empty() { item.get(SEPARATOR.len()..).unwrap_or_default() } else { item };
    text.push_raw(item.as_bytes());
    add_number(text, remaining);
    if let Some(seconds) = more_after_seconds {
        text.push_raw(b";t=");
        add_number(text, seconds);
    }
}

fn add_number(text: &mut Writer<'_>, number: u64) {
    match u8::try_from(number) {
        Ok(digit @ 0..10) => text.push_raw(&[b'0' + digit]),
        Ok(number @ 10..100) => text.push_raw(&[b'0' + number / 10, b'0' + number % 10]),
        Ok(_) | Err(_) => text.push_raw(itoa::Buffer::new().format(number).as_bytes()),
    }
}

/// Room for the limits that a plan has mostly.
const RATELIMIT_BYTES: usize = 256;
/// More than the limits that a plan can have.
const RATELIMIT_BYTES_MAX: usize = 16 * 1024;
pub const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
pub const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const EMPTY: HeaderValue = HeaderValue::from_static("");

/// An error that stops Pingora's pipeline; the fault itself is in the context.
pub fn stop_pipeline(fault: &Fault) -> Box<Error> {
    Error::new(pingora::ErrorType::HTTPStatus(fault.status()))
}

const PROBLEMS: &str = "https://onegate.dev/problems/";
/// Registered by draft-ietf-httpapi-ratelimit-headers.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

fn joined<'a>(parts: impl Iterator<Item = &'a str>, separator: &str) -> String {
    parts.collect::<Vec<_>>().join(separator)
}
