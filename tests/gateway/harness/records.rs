//! Records that no gate made, for logs that are only to be checked.

use std::path::Path;
use std::time::Duration;

use onegate::audit::{self, AuditLog};
use onegate::model::denial::Denial;
use onegate::model::id::RequestId;
use onegate::model::record::{ActRecord, Caller, End, McpDetail, Outcome, RequestRecord, Surface};
use onegate::model::time::UnixMicros;

use super::logs::SETTINGS;

/// Records of requests over both surfaces, allowed and denied, and of acts, in several batches.
pub fn write(log: &AuditLog, numbers: std::ops::Range<u64>) {
    for n in numbers {
        if n % 10 == 9 {
            log.record_act(act(n)).expect("room");
        } else {
            let record = request(n);
            log.reserve().expect("room").complete(if n % 4 == 1 {
                message(record)
            } else {
                record
            });
        }
        if n % 4 == 3 {
            log.flush(Duration::from_mins(1)).expect("written");
        }
    }
    log.flush(Duration::from_mins(1)).expect("written");
}

/// One call that was allowed, in a log of its own; gives its id.
pub fn write_one(data_dir: &Path, path: &str, policy: &str) -> String {
    let directory = audit::directory(data_dir);
    let opened = audit::open(&directory, data_dir, SETTINGS, "gate-1", |_| ());
    let (log, recorder) = opened.expect("opens");
    let path = path.into();
    let record =
        RequestRecord { path, outcome: Outcome::Allowed, policy: policy.into(), ..*request(1) };
    let id = record.id.to_string();
    log.reserve().expect("room").complete(Box::new(record));
    recorder.close().expect("closes");
    id
}

fn id(n: u64) -> RequestId {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&n.to_be_bytes());
    RequestId::from_parts(1_772_366_400_000, random)
}

fn request(n: u64) -> Box<RequestRecord> {
    let outcome =
        if n.is_multiple_of(3) { Outcome::Denied(Denial::NotFound) } else { Outcome::Allowed };
    Box::new(RequestRecord {
        id: id(n),
        time: UnixMicros(1_772_366_400_000_000),
        surface: Surface::Rest,
        caller: Caller::Anonymous { claimed: None },
        peer_ip: None,
        source_ip: None,
        method: Some(http::Method::GET),
        host: "api.example.com".into(),
        path: format!("/payments/{n}").into(),
        api: None,
        operation: None,
        product: None,
        outcome,
        reason: None,
        limit: None,
        shadow_limit: None,
        braked: None,
        status: 200,
        upstream: None,
        endpoint: None,
        end: End::Complete,
        duration_us: 0,
        upstream_us: None,
        request_bytes: 0,
        response_bytes: 0,
        policy: "0123456789abcdef+1".into(),
        trace_id: [0; 16],
        parent_request_id: None,
        access: None,
        mcp: None,
    })
}

/// The same call by a tool; what a caller chose in it is hostile.
fn message(record: Box<RequestRecord>) -> Box<RequestRecord> {
    let detail = McpDetail {
        protocol: Some("2026-07-28"),
        rpc_id: Some(r#""\u0000\" x""#.into()),
        tool: Some("payments_get_payment".into()),
        tool_digest: Some("0123456789abcdef".repeat(4).into()),
        via: None,
        args_digest: Some("fedcba9876543210".repeat(2).into()),
        agent: Some("\"},{\n\u{1b}[2J\u{7f}é/1.0".into()),
        is_error: Some(record.outcome != Outcome::Allowed),
    };
    Box::new(RequestRecord { surface: Surface::Mcp, mcp: Some(Box::new(detail)), ..*record })
}

fn act(n: u64) -> ActRecord {
    ActRecord {
        id: id(n),
        time: UnixMicros(1_772_366_400_000_000),
        actor: "uid=0 login=ann sudo_user=-".into(),
        action: "client.change".into(),
        target: "client/mobile-app".into(),
        reason_given: Some("left the team".into()),
        ticket: None,
        before: None,
        after: None,
        succeeded: true,
        policy: "0123456789abcdef+1".into(),
    }
}
