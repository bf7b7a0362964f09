//! No record is missing and none is double: 2,000 requests, each with a path of its own, however they
//! end. The callers keep a ledger, the upstream remembers, and both must agree with the audit.

use std::collections::BTreeMap;
use std::thread;

use serde_json::Value;

use super::harness::bench::Bench;
use super::harness::client::Client;
use super::harness::http::{Body, Request};
use super::harness::setup::Setup;
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
