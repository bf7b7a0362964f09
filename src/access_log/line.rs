//! One request as one line of the access log. The names are those of the audit's record, so that a
//! tool that reads one reads the other.

use crate::audit::json::{Endpoint, Object, second_text};
use crate::model::record::{Caller, Outcome, RequestRecord};

/// The version of the format, a line's `v`.
const VERSION: u64 = 1;

/// The last second that was written, and its text: many lines share one.
#[derive(Debug, Default)]
pub(super) struct Seconds(i64, String);

pub(super) fn write(out: &mut Vec<u8>, seconds: &mut Seconds, record: &RequestRecord) {
    if seconds.1.is_empty() || seconds.0 != record.time.seconds() {
        *seconds = Seconds(record.time.seconds(), second_text(record.time.seconds()));
    }
    let mut line = Object::open(out, "v", VERSION);
    line.time("time", &seconds.1, record.time.0.rem_euclid(1_000_000).unsigned_abs());
    line.name("id", record.id.encode(&mut [0; 36]));
    line.name("surface", record.surface.as_str());
    if let Some(address) = record.source_ip {
        line.address("source_ip", address);
    }
    if let Caller::Known(credential) = &record.caller {
        line.name("client", credential.client.as_str());
    }
    line.text_unless_empty("method", record.method_text());
    line.text_unless_empty("host", &record.host);
    line.text_unless_empty("path", &record.path);
    if let Some(seen) = &record.access {
        line.name("protocol", seen.protocol);
    }
    // Always there, as tools expect: 0 when the caller left before any answer.
    line.number("status", u64::from(record.status));
    line.number("request_bytes", record.request_bytes);
    line.number("response_bytes", record.response_bytes);
    line.number("duration_us", record.duration_us);
    if let Some(upstream) = &record.upstream {
        line.name("upstream", upstream.as_str());
    }
    if let Some(endpoint) = &record.endpoint {
        line.endpoint("endpoint", Endpoint::of(endpoint));
    }
    if let Some(upstream_us) = record.upstream_us {
        line.number("upstream_us", upstream_us);
    }
    line.name("decision", record.outcome.decision());
    match record.outcome {
        Outcome::Allowed => (),
        Outcome::Denied(denial) => line.name("denial", denial.code()),
        Outcome::Failed(failure) => line.name("failure", failure.code()),
    }
    line.name("end", record.end.as_str());
    let agent = record.access.as_ref().and_then(|seen| seen.user_agent.as_deref());
    // A key that was put there by mistake must not end in a log.
    let agent = agent.map(String::from_utf8_lossy).filter(|agent| !agent.contains("og_"));
    if let Some(agent) = agent {
        line.text("user_agent", &agent);
    }
    line.close();
    out.push(b'\n');
}
