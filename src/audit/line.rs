//! One record as one line of JSON: the format of INTERFACES.md 6, written and read.
//!
//! Facts that are absent are left out, never null. Writing is by hand into a reused buffer, since
//! the recorder does it for every request; reading takes only what readers filter by and show, and
//! whoever needs the rest has the line itself. This file is the format: nothing else knows a key.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;

use serde::{Deserialize, Deserializer};

use crate::model::id::Scope;
use crate::model::record::{ActRecord, Caller, Entry, Outcome, RequestRecord, Surface};
use crate::model::time::UnixMicros;

use super::json::{Object, second_text};
use super::segment::Boot;

/// The version of the format, a line's `v`.
const VERSION: u64 = 1;

/// Writes the lines of one boot.
#[derive(Debug)]
pub struct Encoder {
    /// `node` and `boot`, which every line of a boot repeats.
    origin: Box<[u8]>,
    /// The last second that was written, and its text: many records share one.
    second: (i64, String),
}

impl Encoder {
    /// For a boot that has no files.
    pub fn for_boot(node: &str, started: UnixMicros, id: u32) -> Self {
        Self::new(node, Boot::new(started, id, &[]))
    }

    pub(super) fn new(node: &str, boot: Boot) -> Self {
        let mut origin = Vec::new();
        let mut object = Object::open(&mut origin, "", 0);
        object.text("node", node);
        object.text("boot", &boot.id().to_string());
        let members = origin.iter().position(|byte| *byte == b',').unwrap_or_default();
        Self { origin: origin.split_off(members).into(), second: (0, second_text(0)) }
    }

    /// Appends the entry's line, with its line break.
    pub fn encode(&mut self, out: &mut Vec<u8>, seq: u64, entry: &Entry) {
        let mut line = Object::open(out, "v", VERSION);
        line.number("seq", seq);
        line.members(&self.origin);
        let (id, time) = match entry {
            Entry::Request(record) => (record.id, record.time),
            Entry::Act(record) => (record.id, record.time),
        };
        line.name("id", id.encode(&mut [0; 36]));
        if self.second.0 != time.seconds() {
            self.second = (time.seconds(), second_text(time.seconds()));
        }
        line.time("time", &self.second.1, time.0.rem_euclid(1_000_000).unsigned_abs());
        match entry {
            Entry::Request(record) => request(&mut line, record),
            Entry::Act(record) => act(&mut line, record),
        }
        line.close();
        out.push(b'\n');
    }
}

fn request(line: &mut Object<'_>, record: &RequestRecord) {
    line.name("surface", record.surface.as_str());
    caller(line, &record.caller);
    if let Some(address) = record.peer_ip {
        line.address("peer_ip", address);
    }
    if let Some(address) = record.source_ip {
        line.address("source_ip", address);
    }
    line.text_unless_empty("method", record.method_text());
    line.text_unless_empty("host", &record.host);
    line.text_unless_empty("path", &record.path);
    if let Some(api) = &record.api {
        line.name("api", api.as_str());
    }
    if let Some(operation) = &record.operation {
        line.name("operation", operation.id.as_str());
    }
    if let Some(product) = &record.product {
        line.name("product", product.as_str());
    }
    line.name("decision", record.outcome.decision());
    match record.outcome {
        Outcome::Allowed => (),
        Outcome::Denied(denial) => line.name("denial", denial.code()),
        Outcome::Failed(failure) => line.name("failure", failure.code()),
    }
    if let Some(reason) = &record.reason {
        line.text("reason", reason.as_log_text());
    }
    if let Some(limit) = &record.limit {
        line.name("limit", limit.as_str());
    }
    if let Some(shadow) = &record.shadow_limit {
        line.name("shadow_limit", shadow.1.as_str());
    }
    if let Some(operation) = record.operation.as_ref().filter(|o| !o.scopes.is_empty()) {
        line.texts("scopes_required", operation.scopes.iter().map(Scope::as_str));
    }
    exchange(line, record);
    line.text_unless_empty("policy", &record.policy);
    if record.trace_id != [0; 16] {
        line.hex("trace_id", record.trace_id);
    }
    if let Some(id) = &record.parent_request_id {
        line.text("parent_request_id", id);
    }
}

fn caller(line: &mut Object<'_>, caller: &Caller) {
    if let Caller::Known(credential) = caller {
        line.name("client", credential.client.as_str());
        line.name("profile", credential.profile.as_str());
    }
    if let Some(id) = caller.credential_id() {
        line.name("credential", id.as_str());
        line.name("credential_kind", "key");
    }
    if let Caller::Known(credential) = caller
        && let Some(holder) = &credential.holder
    {
        line.text("holder", holder);
    }
}

/// What happened on the wire.
fn exchange(line: &mut Object<'_>, record: &RequestRecord) {
    if record.status != 0 {
        line.number("status", u64::from(record.status));
    }
    if let Some(upstream) = &record.upstream {
        line.name("upstream", upstream.as_str());
    }
    if let Some(endpoint) = &record.endpoint {
        line.endpoint("endpoint", endpoint);
    }
    line.name("end", record.end.as_str());
    line.number("duration_us", record.duration_us);
    if let Some(upstream_us) = record.upstream_us {
        line.number("upstream_us", upstream_us);
    }
    line.number("request_bytes", record.request_bytes);
    line.number("response_bytes", record.response_bytes);
}

fn act(line: &mut Object<'_>, record: &ActRecord) {
    line.name("surface", Surface::Admin.as_str());
    line.name("decision", if record.succeeded { "allowed" } else { "denied" });
    line.text_unless_empty("policy", &record.policy);
    line.text("actor", &record.actor);
    line.text("action", &record.action);
    line.text_unless_empty("target", &record.target);
    if let Some(reason) = &record.reason_given {
        line.text("reason_given", reason);
    }
    if let Some(ticket) = &record.ticket {
        line.text("ticket", ticket);
    }
    if let Some(before) = &record.before {
        line.value("before", &before.0);
    }
    if let Some(after) = &record.after {
        line.value("after", &after.0);
    }
}

/// What readers look at in a line. It borrows the line's bytes wherever they hold no escapes.
#[derive(Debug, Deserialize)]
pub struct Line<'a> {
    v: u64,
    pub seq: u64,
    #[serde(borrow)]
    pub id: Text<'a>,
    #[serde(deserialize_with = "time")]
    pub time: UnixMicros,
    #[serde(borrow)]
    pub surface: Text<'a>,
    #[serde(borrow)]
    pub client: Option<Text<'a>>,
    #[serde(borrow)]
    pub credential: Option<Text<'a>>,
    pub peer_ip: Option<IpAddr>,
    pub source_ip: Option<IpAddr>,
    #[serde(borrow)]
    pub method: Option<Text<'a>>,
    #[serde(borrow)]
    pub path: Option<Text<'a>>,
    #[serde(borrow)]
    pub api: Option<Text<'a>>,
    #[serde(borrow)]
    pub operation: Option<Text<'a>>,
    #[serde(borrow)]
    pub decision: Text<'a>,
    #[serde(borrow)]
    pub denial: Option<Text<'a>>,
    #[serde(borrow)]
    pub failure: Option<Text<'a>>,
    pub status: Option<u16>,
    #[serde(borrow)]
    pub upstream: Option<Text<'a>>,
    pub duration_us: Option<u64>,
    #[serde(borrow)]
    pub actor: Option<Text<'a>>,
    #[serde(borrow)]
    pub action: Option<Text<'a>>,
    #[serde(borrow)]
    pub target: Option<Text<'a>>,
}

/// Why some bytes are not a line of this format.
#[derive(Debug)]
pub enum LineError {
    Json(serde_json::Error),
    /// A newer gate wrote it.
    Version(u64),
}

impl<'a> Line<'a> {
    pub fn parse(bytes: &'a [u8]) -> Result<Self, LineError> {
        let line: Self = serde_json::from_slice(bytes).map_err(LineError::Json)?;
        if line.v == VERSION { Ok(line) } else { Err(LineError::Version(line.v)) }
    }
}

/// The count in an `audit.gap` record: requests that were refused because none could be recorded.
pub fn refused_count(gap_line: &[u8]) -> Option<u64> {
    #[derive(Deserialize)]
    struct Gap {
        after: After,
    }
    #[derive(Deserialize)]
    struct After {
        refused: u64,
    }
    serde_json::from_slice(gap_line).ok().map(|gap: Gap| gap.after.refused)
}

/// A text of a line. A type of its own, because serde borrows a `Cow` inside an `Option` only
/// through one.
#[derive(Debug, Deserialize)]
pub struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => write!(f, "is no record: {error}"),
            Self::Version(version) => write!(f, "has the unknown format version {version}"),
        }
    }
}

impl std::error::Error for LineError {}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UnixMicros, D::Error> {
    let text = Text::deserialize(deserializer)?;
    let time: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
    Ok(UnixMicros(time.as_microsecond()))
}

#[cfg(test)]
mod tests;
