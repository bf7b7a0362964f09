//! One record as one line of JSON: the format of INTERFACES.md 6, written and read.
//!
//! Facts that are absent are left out, never null. Writing is by hand into a reused buffer, since
//! the recorder does it for every request; reading takes only what readers filter by and show, and
//! whoever needs the rest has the line itself. This file is the format: nothing else knows a key.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;

use memchr::memmem;
use serde::{Deserialize, Deserializer};

use crate::model::id::RequestId;
use crate::model::record::{ActRecord, RequestRecord, Surface};
use crate::model::time::UnixMicros;

use super::crowd::Summary;
use super::json::{Object, second_text};
use super::opening::Opening;
use super::segment::Boot;

mod mcp;
mod whole;

pub use mcp::Message;
pub use whole::Whole;

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

    /// Appends the line of a call that has ended, with its line break.
    pub fn request(&mut self, out: &mut Vec<u8>, seq: u64, record: &RequestRecord) {
        self.call(out, seq, &Opening::of(record), Ending::Of(record));
    }

    /// Appends the line of a call that has not ended.
    pub fn open(&mut self, out: &mut Vec<u8>, seq: u64, opening: &Opening<'_>) {
        self.call(out, seq, opening, Ending::Open);
    }

    /// Appends the line of a call whose gate was killed.
    pub fn crashed(&mut self, out: &mut Vec<u8>, seq: u64, opening: &Opening<'_>) {
        self.call(out, seq, opening, Ending::Crash);
    }

    /// The same for a call of which there is only the line that says it is open, perhaps of another boot. None where
    /// it does not.
    pub fn crashed_again(&mut self, out: &mut Vec<u8>, seq: u64, line: &[u8]) -> Option<()> {
        let facts = line.get(memmem::find(line, AFTER_ORIGIN.as_bytes())?..)?;
        let at = memmem::find(facts, OPEN_MEMBER.as_bytes())?;
        let (before, after) = (facts.get(..at)?, facts.get(at + OPEN_MEMBER.len()..)?);
        out.extend_from_slice(format!(r#"{{"v":{VERSION},"seq":{seq}"#).as_bytes());
        out.extend_from_slice(&self.origin);
        out.extend_from_slice(before);
        out.extend_from_slice(format!(r#","end":"{CRASH}""#).as_bytes());
        mcp::push_rest(out, line, after);
        out.push(b'\n');
        Some(())
    }

    /// Appends the line of many calls that were denied.
    pub fn summary(&mut self, out: &mut Vec<u8>, seq: u64, summary: &Summary) {
        let mut line = self.begin(out, seq, summary.id, summary.time);
        line.name("surface", summary.surface.as_str());
        if let Some(address) = summary.source_ip {
            line.address("source_ip", address);
        }
        line.name("decision", "denied");
        line.name("denial", &summary.denial);
        line.number("count", summary.count);
        line.close();
        out.push(b'\n');
    }

    pub fn act(&mut self, out: &mut Vec<u8>, seq: u64, record: &ActRecord) {
        let mut line = self.begin(out, seq, record.id, record.time);
        act(&mut line, record);
        line.close();
        out.push(b'\n');
    }

    fn call(&mut self, out: &mut Vec<u8>, seq: u64, opening: &Opening<'_>, ending: Ending<'_>) {
        let mut line = self.begin(out, seq, opening.id, opening.time);
        request(&mut line, opening, ending);
        line.close();
        out.push(b'\n');
    }

    fn begin<'a>(
        &mut self,
        out: &'a mut Vec<u8>,
        seq: u64,
        id: RequestId,
        time: UnixMicros,
    ) -> Object<'a> {
        let mut line = Object::open(out, "v", VERSION);
        line.number("seq", seq);
        line.members(&self.origin);
        line.name("id", id.encode(&mut [0; 36]));
        if self.second.0 != time.seconds() {
            self.second = (time.seconds(), second_text(time.seconds()));
        }
        line.time("time", &self.second.1, time.0.rem_euclid(1_000_000).unsigned_abs());
        line
    }
}

/// The value of `entry` of a call that has not ended. Other lines have no such member.
const OPEN: &str = "open";
/// As it stands in a line. Within a text it would have escapes.
pub const OPEN_MEMBER: &str = r#","entry":"open""#;
/// What follows the node and the boot.
const AFTER_ORIGIN: &str = r#","id":""#;
/// The `end` of a call whose gate was killed.
const CRASH: &str = "crash";

/// How a call went on.
#[derive(Clone, Copy)]
enum Ending<'a> {
    Of(&'a RequestRecord),
    /// It goes on.
    Open,
    Crash,
}

impl Ending<'_> {
    fn write(self, line: &mut Object<'_>) {
        match self {
            Self::Of(record) => {
                line.name("end", record.end.as_str());
                line.number("duration_us", record.duration_us);
                if let Some(upstream_us) = record.upstream_us {
                    line.number("upstream_us", upstream_us);
                }
                line.number("request_bytes", record.request_bytes);
                line.number("response_bytes", record.response_bytes);
            }
            Self::Open => line.name("entry", OPEN),
            Self::Crash => line.name("end", CRASH),
        }
    }
}

fn request(line: &mut Object<'_>, opening: &Opening<'_>, ending: Ending<'_>) {
    line.name("surface", opening.surface.as_str());
    line.name_unless_empty("client", opening.client);
    line.name_unless_empty("profile", opening.profile);
    if !opening.credential.is_empty() {
        line.name("credential", opening.credential);
        line.name("credential_kind", "key");
    }
    line.text_unless_empty("holder", opening.holder);
    line.text_unless_empty("agent", opening.mcp.agent);
    if let Some(address) = opening.peer_ip {
        line.address("peer_ip", address);
    }
    if let Some(address) = opening.source_ip {
        line.address("source_ip", address);
    }
    line.text_unless_empty("method", opening.method);
    line.text_unless_empty("host", opening.host);
    line.text_unless_empty("path", opening.path);
    line.name_unless_empty("api", opening.api);
    line.name_unless_empty("operation", opening.operation);
    line.name_unless_empty("product", opening.product);
    line.name("decision", if opening.denial.is_empty() { "allowed" } else { "denied" });
    line.name_unless_empty("denial", opening.denial);
    line.name_unless_empty("failure", opening.failure);
    line.text_unless_empty("reason", opening.reason);
    line.name_unless_empty("limit", opening.limit);
    line.name_unless_empty("shadow_limit", opening.shadow_limit);
    let mut scopes = opening.scopes.iter().peekable();
    if scopes.peek().is_some() {
        line.texts("scopes_required", scopes);
    }
    if opening.status != 0 {
        line.number("status", u64::from(opening.status));
    }
    line.name_unless_empty("upstream", opening.upstream);
    if let Some(endpoint) = opening.endpoint {
        line.endpoint("endpoint", endpoint);
    }
    ending.write(line);
    line.text_unless_empty("policy", opening.policy);
    if opening.trace_id != [0; 16] {
        line.hex("trace_id", opening.trace_id);
    }
    line.text_unless_empty("parent_request_id", opening.parent_request_id);
    mcp::write(line, opening, ending);
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
    entry: Option<Text<'a>>,
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
    /// The calls that it stands for; None for one.
    pub count: Option<u64>,
    #[serde(borrow)]
    pub upstream: Option<Text<'a>>,
    pub duration_us: Option<u64>,
    #[serde(borrow)]
    pub actor: Option<Text<'a>>,
    #[serde(borrow)]
    pub action: Option<Text<'a>>,
    #[serde(borrow)]
    pub target: Option<Text<'a>>,
    #[serde(borrow)]
    pub mcp: Option<Message<'a>>,
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

    /// Whether it is of a call that had not ended. The line of its end has the same `id`, and all that
    /// this one has.
    pub fn is_open(&self) -> bool {
        self.entry.as_deref() == Some(OPEN)
    }
}

/// The counts in an `audit.gap` record: requests that could not be recorded, refused ones and served ones.
pub fn gap_counts(gap_line: &[u8]) -> Option<(u64, u64)> {
    #[derive(Deserialize)]
    struct Gap {
        after: After,
    }
    #[derive(Deserialize)]
    struct After {
        refused: u64,
        #[serde(default)]
        served: u64,
    }
    serde_json::from_slice(gap_line).ok().map(|gap: Gap| (gap.after.refused, gap.after.served))
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
