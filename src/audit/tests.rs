//! The log from end to end, and what the other audit tests share: a directory and sample entries.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::model::api::{Access, ApiFacts, Durability, Metering, Methods, Operation};
use crate::model::client::{Credential, Status};
use crate::model::denial::Denial;
use crate::model::id::{
    ApiName, ClientId, CredentialId, OperationId, ProductName, ProfileName, RequestId, Scope,
    UpstreamName,
};
use crate::model::policy::OnFailure;
use crate::model::proof::Proof;
use crate::model::record::{ActRecord, Caller, End, JsonText, McpDetail, Outcome, Surface};
use crate::model::template::Template;
use crate::model::time::UnixMicros;
use crate::model::upstream::Address;

/// A directory of its own, gone at the end of the test.
pub struct Directory(PathBuf);

impl Directory {
    pub fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("onegate-audit-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a temporary directory");
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// All records of the log, in order.
    pub fn lines(&self) -> Vec<Value> {
        let names = SegmentName::list(&self.0).expect("a directory");
        let read = |name: &SegmentName| std::fs::read_to_string(name.path(&self.0));
        let text: String = names.iter().map(|name| read(name).expect("a file")).collect();
        assert!(text.is_empty() || text.ends_with('\n'), "whole lines");
        let lines = text.lines().map(|line| serde_json::from_str(line).expect("JSON"));
        lines.filter(|line: &Value| line["v"] == 1).collect()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap_or_default();
    }
}

pub fn id(n: u64) -> RequestId {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&n.to_be_bytes());
    RequestId::from_parts(1_772_366_400_000, random)
}

/// A refused request that says as little as a request can.
pub fn bare(n: u64) -> RequestRecord {
    RequestRecord {
        id: id(n),
        time: UnixMicros(1_772_366_400_000_000),
        surface: Surface::Rest,
        caller: Caller::Anonymous { claimed: None },
        peer_ip: None,
        source_ip: None,
        method: None,
        host: "".into(),
        path: "".into(),
        api: None,
        operation: None,
        product: None,
        outcome: Outcome::Denied(Denial::MalformedRequest),
        reason: None,
        limit: None,
        shadow_limit: None,
        braked: None,
        status: 400,
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
    }
}

/// Of a tool's call, by a client that is no friend of whoever reads what it sends.
pub fn message() -> McpDetail {
    McpDetail {
        protocol: Some("2026-07-28"),
        rpc_id: Some(r#""a\u0000\"b""#.into()),
        tool: Some("payments_get_payment".into()),
        tool_digest: Some("0123456789abcdef".repeat(4).into()),
        via: Some("call_read_operation"),
        args_digest: Some("fedcba9876543210".repeat(2).into()),
        agent: Some("\"},{\n\u{1b}[2J\u{7f}\u{202e}é/1.0".into()),
        is_error: Some(false),
    }
}

/// What has a record.
pub enum Entry {
    Request(Box<RequestRecord>),
    Act(Box<ActRecord>),
}

impl Entry {
    pub fn encode(&self, encoder: &mut Encoder, out: &mut Vec<u8>, seq: u64) {
        match self {
            Self::Request(record) => encoder.request(out, seq, record),
            Self::Act(record) => encoder.act(out, seq, record),
        }
    }
}

pub fn request(n: u64) -> Box<RequestRecord> {
    Box::new(bare(n))
}

/// An allowed request that was forwarded.
pub fn full(n: u64) -> RequestRecord {
    RequestRecord {
        caller: Caller::Known(credential("mobile-app")),
        peer_ip: Some(IpAddr::from([10, 0, 0, 1])),
        source_ip: Some(IpAddr::from([203, 0, 113, 7])),
        method: Some(http::Method::GET),
        host: "api.example.com".into(),
        path: "/api/payments/7".into(),
        api: Some(ApiName::parse("payments").expect("a name")),
        operation: Some(operation("payments", "get_payment")),
        product: ProductName::parse("payments-read").ok(),
        outcome: Outcome::Allowed,
        status: 200,
        upstream: UpstreamName::parse("payments").ok(),
        endpoint: Some(Address::Inet(([127, 0, 0, 1], 8080).into())),
        duration_us: 1234,
        upstream_us: Some(1000),
        request_bytes: 0,
        response_bytes: 1024,
        trace_id: [0xab; 16],
        ..bare(n)
    }
}

pub fn credential(client: &str) -> Arc<Credential> {
    let id = CredentialId::parse("4fTq0aZ81kLm").expect("an id");
    let client = ClientId::parse(client).expect("a name");
    let profile = ProfileName::parse("default").expect("a name");
    let holder = "Ann \"the\" Holder\n";
    Arc::new(Credential {
        facts: OnceLock::new(),
        id,
        client,
        profile,
        secret_sha256: [7; 32],
        proof: Proof::default(),
        status: Status::Active,
        expires: None,
        suspended_until: None,
        holder: Some(holder.into()),
    })
}

pub fn operation(api: &str, operation: &str) -> Arc<Operation> {
    let name = ApiName::parse(api).expect("a name");
    let id = OperationId::join(&name, operation).expect("a name");
    let scopes = [Scope::parse("payments:read").expect("a scope")];
    Arc::new(Operation {
        facts: OnceLock::new(),
        id,
        api: Arc::new(ApiFacts { name, access: Access::Granted }),
        methods: Methods::Any,
        template: Template::parse("/payments/{id}").expect("a template"),
        scopes: Box::new(scopes),
        body_bytes_max: 1,
        durability: Durability::Standard,
        metering: Metering::All,
        shape: None,
        products: Box::new([]),
    })
}

pub fn act(n: u64, action: &str) -> ActRecord {
    ActRecord {
        id: id(n),
        time: UnixMicros(1_772_366_400_000_000),
        actor: "uid=0 login=ann sudo_user=-".into(),
        action: action.into(),
        target: "client/mobile-app".into(),
        reason_given: Some("left\tthe \\ team".into()),
        ticket: Some("OPS-7".into()),
        before: Some(JsonText("null".into())),
        after: Some(JsonText("{\n  \"owner\": \"team-a\"\n}".into())),
        succeeded: true,
        policy: "0123456789abcdef+1".into(),
    }
}

/// A log of one boot: a request without anything, a whole one, an act.
pub fn write_sample(directory: &Path) {
    let (log, recorder) = open(directory, directory, SETTINGS, "node-1", |_| ()).expect("opens");
    log.reserve().expect("room").complete(request(1));
    log.reserve().expect("room").complete(Box::new(full(2)));
    log.record_act(act(3, "client.change")).expect("room");
    recorder.close().expect("closes");
}

pub const SETTINGS: AuditSettings = AuditSettings {
    queue_records_max: 10_000,
    flush_interval: Duration::from_millis(1),
    segment_bytes_max: 1 << 20,
    segment_age_max: Duration::from_hours(24),
    on_failure: OnFailure::Gap,
    denials_per_source: 1_000_000,
};

/// Opens the log in a directory, whose key is there too.
pub fn open_log(
    directory: &Directory,
    settings: AuditSettings,
    observer: impl FnMut(&RequestRecord) + Send + 'static,
) -> (AuditLog, Recorder) {
    let path = directory.path();
    open(path, path, settings, "node-1", observer).expect("opens")
}

/// Far more than any test needs.
const DEADLINE: Duration = Duration::from_mins(1);

#[test]
fn every_entry_is_one_numbered_line_over_boots_files_and_threads() {
    let directory = Directory::new();
    for boot in 0..2 {
        let count = Arc::new(Mutex::new(0));
        let observer = {
            let count = Arc::clone(&count);
            move |_: &RequestRecord| *count.lock().expect("no panic") += 1
        };
        let settings = AuditSettings { segment_bytes_max: 20_000, ..SETTINGS };
        let (log, recorder) = open_log(&directory, settings, observer);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let log = &log;
                scope.spawn(move || {
                    for n in 0..500 {
                        let slot = log.reserve().expect("room");
                        slot.complete(request(boot * 10_000 + thread * 500 + n));
                    }
                });
            }
        });
        log.record_act(act(9999, "client.change")).expect("room");
        assert_eq!(log.flush(DEADLINE), Ok(()));
        assert_eq!((log.queued_records(), log.records_written()), (0, 2001));
        assert_eq!(directory.lines().len() as u64, 2001 * (boot + 1));
        assert_eq!(*count.lock().expect("no panic"), 2000);
        assert_eq!(recorder.close(), Ok(()));
    }

    let lines = directory.lines();
    let distinct =
        |key: &str| lines.iter().map(|line| line[key].to_string()).collect::<BTreeSet<_>>().len();
    assert_eq!((distinct("id"), distinct("boot")), (4001, 2));
    let numbers: Vec<u64> = lines.iter().filter_map(|line| line["seq"].as_u64()).collect();
    assert!(numbers.iter().copied().eq((1..=2001).chain(1..=2001)), "no gap in a boot");
    let names = SegmentName::list(directory.path()).expect("a directory");
    assert!(names.len() > 10);
}

#[test]
fn closing_writes_what_waits_and_says_what_it_could_not() {
    let directory = Directory::new();
    let settings = AuditSettings { flush_interval: Duration::from_hours(1), ..SETTINGS };
    let (log, recorder) = open_log(&directory, settings, |_| ());
    log.reserve().expect("room").complete(request(1));
    let late = log.reserve().expect("room");
    assert_eq!(recorder.close(), Err(Unwritten { records: 1 }));
    assert!(journal(&directory).is_some(), "somebody may still act");
    assert_eq!(directory.lines().len(), 1);
    late.complete(request(2));
    assert_eq!(directory.lines().len(), 1);
}

#[test]
fn a_log_that_cannot_be_written_is_not_opened() {
    let directory = Directory::new();
    let file = directory.path().join("audit");
    std::fs::write(&file, "").expect("a file");
    let error =
        open(&file, directory.path(), SETTINGS, "node-1", |_| ()).expect_err("no directory");
    assert!(error.to_string().contains("/audit: "), "{error}");
}

/// How large the journal is; None where there is none.
fn journal(directory: &Directory) -> Option<u64> {
    directory.path().join("audit.journal").metadata().ok().map(|journal| journal.len())
}

#[test]
fn a_log_that_was_closed_in_order_leaves_no_journal() {
    let directory = Directory::new();
    for boot in 1..3 {
        let (log, recorder) = open_log(&directory, SETTINGS, |_| ());
        assert!(journal(&directory) > Some(512 * 10_000));
        log.reserve().expect("room").complete(request(boot));
        log.refused();
        assert_eq!(recorder.close(), Ok(()));
        assert_eq!(journal(&directory), None);
        assert!(log.reserve().is_none(), "it could not be recorded");
        assert_eq!(directory.lines().len() as u64, 2 * boot, "a record and a gap");
    }
}

#[test]
fn who_only_records_acts_has_a_small_journal() {
    let directory = Directory::new();
    let path = directory.path();
    let opened = open_for_acts(path, path, SETTINGS, "node-1");
    let (log, recorder) = opened.expect("opens");
    assert!(journal(&directory) < Some(16 * 1024));
    for n in 0..1000 {
        log.record_act(act(n, "client.change")).expect("room");
    }
    assert_eq!(recorder.close(), Ok(()));
    assert_eq!((directory.lines().len(), journal(&directory)), (1000, None));
}
