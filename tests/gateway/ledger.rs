//! No record is missing and none is double: 2,000 requests, each with a path of its own, however they
//! end. The callers keep a ledger, the upstream remembers, and both must agree with the audit.

use std::collections::BTreeMap;
use std::thread;

use serde_json::{Value, json};

use super::harness::bench::Bench;
use super::harness::client::Client;
use super::harness::gate::Gate;
use super::harness::http::{Body, Request};
use super::harness::python::{self, Streams};
use super::harness::setup::Setup;
use super::harness::tools;
use super::harness::upstream::Upstream;

const REQUESTS: usize = 2000;
const CALLERS: usize = 8;

/// How a request goes, as its caller arranges it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Allowed,
    Denied,
    /// The caller leaves while the upstream thinks.
    Aborted,
    /// The upstream dies in the middle of its body.
    Killed,
}

/// What the audit and the upstream must say of a request.
struct Expected {
    decision: &'static str,
    status: Option<u16>,
    end: &'static str,
    forwarded: usize,
}

#[test]
fn every_request_has_one_record() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let requests: Vec<(Kind, String)> = (0..REQUESTS).map(request).collect();
    thread::scope(|scope| {
        for requests in requests.chunks(REQUESTS / CALLERS) {
            let (bench, upstream) = (&bench, &upstream);
            scope.spawn(move || make(bench, upstream, requests));
        }
    });

    let query = ["--path", "/lab", "--surface", "rest"];
    let records = bench.gate.records(&query, |records| records.len() >= REQUESTS);
    let mut by_path: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for record in &records {
        by_path.entry(record["path"].as_str().expect("each has one")).or_default().push(record);
    }
    let mut forwarded: BTreeMap<String, usize> = BTreeMap::new();
    for received in upstream.received() {
        *forwarded.entry(received.target).or_default() += 1;
    }
    for (kind, path) in &requests {
        let expected = kind.expected();
        let found = by_path.remove(path.as_str()).unwrap_or_default();
        assert_eq!(found.len(), 1, "records of {path}: {found:?}");
        let record = found[0];
        assert_eq!(record["decision"], expected.decision, "{record}");
        assert_eq!(record["status"].as_u64(), expected.status.map(u64::from), "{record}");
        assert_eq!(record["end"], expected.end, "{record}");
        assert_eq!(forwarded.remove(path).unwrap_or_default(), expected.forwarded, "{record}");
    }
    assert!(by_path.is_empty(), "records of nothing: {by_path:?}");
    assert!(forwarded.is_empty(), "forwarded from nowhere: {forwarded:?}");
}

/// Kinds in turn, each with a path of its own.
fn request(n: usize) -> (Kind, String) {
    let (kind, behaviour) = match n % 4 {
        0 => (Kind::Allowed, "ok"),
        1 => (Kind::Denied, "ok"),
        2 => (Kind::Aborted, "hold"),
        _ => (Kind::Killed, "close-mid-body"),
    };
    (kind, format!("/lab/{behaviour}/{n}"))
}

/// Makes requests one after the other, over one connection for as long as it lives.
fn make(bench: &Bench, upstream: &Upstream, requests: &[(Kind, String)]) {
    let mut kept: Option<Client> = None;
    for (kind, path) in requests {
        let mut client = kept.take().unwrap_or_else(|| bench.gate.client());
        let request = match kind {
            Kind::Denied => Request::get(path),
            Kind::Allowed | Kind::Aborted | Kind::Killed => Request::get(path).key(&bench.key.text),
        };
        client.send(&request.bytes());
        if *kind == Kind::Aborted {
            upstream.wait_for(path);
            continue;
        }
        let response = client.read(Body::Expected).expect("an answer");
        assert_eq!(Some(response.status), kind.expected().status, "{path}");
        assert_eq!(response.complete, *kind != Kind::Killed, "{path}");
        kept = response.complete.then_some(client);
    }
}

impl Kind {
    const fn expected(self) -> Expected {
        let (decision, status, end, forwarded) = match self {
            Self::Allowed => ("allowed", Some(200), "complete", 1),
            Self::Denied => ("denied", Some(401), "complete", 0),
            Self::Aborted => ("allowed", None, "client_abort", 1),
            Self::Killed => ("allowed", Some(200), "upstream_error", 1),
        };
        Expected { decision, status, end, forwarded }
    }
}

/// Requests of every kind that the gate carries.
const MIXED: usize = 10_000;

/// 10,000 requests over HTTP/1.1, HTTP/2, event streams and WebSockets, by callers that are no part
/// of the harness: one record each, and the metrics say the same numbers.
#[test]
fn every_kind_of_request_has_one_record() {
    let upstream = Upstream::start();
    let streams = Streams::start();
    let more = streams.config();
    let listener = "http2 = true".to_owned();
    let gate = Gate::start(&Setup { listener, more, ..Setup::before(&upstream) });
    let may = ["--no-expiry", "--product", "lab", "--product", "streams", "--scope", "lab:read"];
    let key = gate.add_client("mixed", &[&may[..], &["--plan", "wide"]].concat());
    let requests: Vec<Mixed> = (0..MIXED).map(Mixed::nth).collect();
    let plan = json!({
        "host": gate.address.ip(),
        "port": gate.address.port(),
        "key": key.text,
        "callers": CALLERS,
        "requests": requests.iter().map(Mixed::to_json).collect::<Vec<_>>(),
    });
    let said = tools::run(&mut python::command("mixed.py"), plan.to_string().as_bytes());
    let said = said.expect_success();
    let ledger: Vec<Value> =
        said.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    assert_eq!(ledger.len(), MIXED, "the ledger has every request");

    let records = gate.records(&["--surface", "rest"], |records| records.len() >= MIXED);
    assert_eq!(records.len(), MIXED);
    let mut of_path: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for record in &records {
        of_path.entry(record["path"].as_str().expect("each has one")).or_default().push(record);
    }
    let by_path: BTreeMap<&str, &Mixed> =
        requests.iter().map(|request| (request.path.as_str(), request)).collect();
    for line in &ledger {
        let path = line["path"].as_str().expect("each has one");
        let request = by_path[path];
        let [record] = of_path[path][..] else { panic!("records of {line}: {:?}", of_path[path]) };
        let (decision, end, complete) = request.expected();
        // The reset of an HTTP/2 stream may overtake the head of its answer.
        if !(line["status"].is_null() && request.fate == "killed") {
            assert_eq!(record["id"], line["id"], "{record} {line}");
            assert_eq!(record["status"], line["status"], "{record} {line}");
        }
        assert_eq!(record["decision"], decision, "{record}");
        assert_eq!(record["end"], end, "{record}");
        assert_eq!(line["complete"], complete, "{record} {line}");
    }
    let counted = |decision: &str| requests.iter().filter(|r| r.expected().0 == decision).count();
    for (client, decision) in [("mixed", "allowed"), ("_anonymous", "denied")] {
        let total = sum(&gate.metrics(), "onegate_requests_total", &[client, decision]);
        assert_eq!(total, counted(decision), "{decision}");
    }
    streams.end();
}

/// One request of the mixed kind.
struct Mixed {
    kind: &'static str,
    fate: &'static str,
    path: String,
}

impl Mixed {
    fn nth(n: usize) -> Self {
        let kind = ["h1", "h2", "h1", "h2", "h1", "h2", "sse", "h1", "h2", "ws"][n % 10];
        let fate = ["allowed", "denied", "aborted", "killed"][n / 10 % 4];
        let behaviour = match (kind, fate) {
            ("h1" | "h2", "aborted") => "/lab/stream",
            ("h1" | "h2", "killed") => "/lab/close-mid-body",
            ("h1" | "h2", _) => "/lab/ok",
            ("sse", "aborted") => "/events/endless",
            ("sse", "killed") => "/events/killed",
            ("sse", _) => "/events/three",
            (_, "killed") => "/sockets/killed",
            _ => "/sockets/echo",
        };
        Self { kind, fate, path: format!("{behaviour}/{n}") }
    }

    fn to_json(&self) -> Value {
        let Self { kind, fate, path } = self;
        json!({ "kind": kind, "fate": fate, "path": path })
    }

    /// The record's decision and end, and whether the caller saw the whole answer.
    fn expected(&self) -> (&'static str, &'static str, bool) {
        match self.fate {
            "allowed" => ("allowed", "complete", true),
            "denied" => ("denied", "complete", true),
            "aborted" => ("allowed", "client_abort", false),
            _ => ("allowed", "upstream_error", false),
        }
    }
}

/// All series of a metric that hold these labels, added up.
fn sum(metrics: &str, name: &str, labels: &[&str]) -> usize {
    let series = metrics.lines().filter(|line| line.starts_with(name));
    let wanted = series.filter(|line| labels.iter().all(|label| line.contains(label)));
    wanted.filter_map(|line| line.rsplit_once(' ')?.1.parse::<usize>().ok()).sum()
}
