//! Endpoints that die, hang, return and flap under load, and a process that is frozen and killed: what
//! callers saw, what arrived and what the records say must agree.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use onegate::model::denial::Failure;
use serde_json::Value;

use super::harness::address;
use super::harness::gate::Gate;
use super::harness::http::{Body, Request};
use super::harness::poll;
use super::harness::setup::Setup;
use super::harness::tools;
use super::harness::upstream::{Mood, Upstream};
use super::health::{calls, gate_before, wait_for_state};

/// What a caller saw of one request.
#[derive(Clone, Debug)]
struct Seen {
    status: u16,
    complete: bool,
    id: String,
}

/// Calls without a pause until told to stop, each with a path of its own.
fn call_until(
    gate: &Gate,
    stop: &AtomicBool,
    next: &AtomicUsize,
    ledger: &Mutex<BTreeMap<String, Seen>>,
) {
    while !stop.load(Ordering::Acquire) {
        let path = format!("/open/ok/{}", next.fetch_add(1, Ordering::Relaxed));
        let mut client = gate.client();
        client.send(&Request::get(&path).bytes());
        let response = client.read(Body::Expected).expect("every call is answered");
        let id = response.id().to_owned();
        let seen = Seen { status: response.status, complete: response.complete, id };
        ledger.lock().unwrap_or_else(PoisonError::into_inner).insert(path, seen);
    }
}

/// A record against what its caller saw, and against who received the request.
fn expect_agreement(
    path: &str,
    seen: &Seen,
    record: &Value,
    arrived: &BTreeMap<SocketAddr, Vec<String>>,
) {
    assert_eq!(record["path"], *path, "{record}");
    assert_eq!(record["status"], seen.status, "{record}");
    assert_eq!(record["upstream"], "recorder", "{record}");
    let endpoint = record["endpoint"].as_str().and_then(|text| text.parse().ok());
    let endpoint: SocketAddr = endpoint.unwrap_or_else(|| panic!("no endpoint: {record}"));
    let was_there = arrived[&endpoint].iter().any(|target| target == path);
    let failure = record["failure"].as_str();
    match (seen.status, seen.complete) {
        (200, true) => {
            assert_eq!((failure, &record["end"]), (None, &"complete".into()), "{record}");
            assert!(was_there, "it never arrived at {endpoint}: {record}");
        }
        (504, true) => {
            assert_eq!(failure, Some(Failure::UpstreamTimeout.code()), "{record}");
            assert_eq!(record["end"], "deadline", "{record}");
            assert!(was_there, "it never arrived at {endpoint}: {record}");
        }
        other => panic!("nothing that may be seen: {other:?} {record}"),
    }
}

#[test]
fn traffic_moves_and_comes_back() {
    let upstreams = [Upstream::mortal(), Upstream::mortal(), Upstream::mortal()];
    let keys = r#"
retries = 2
retry_budget = { percent = 100 }
timeouts = { first_byte = "500ms" }
ejection = { failures = 3, first = "100ms", longest = "200ms" }
health = { check = "http", path = "/well", interval = "300ms", timeout = "300ms", healthy_after = 1, unhealthy_after = 2 }
"#;
    let gate = gate_before(&upstreams, keys);
    let (stop, next, ledger) = (AtomicBool::new(false), AtomicUsize::new(0), Mutex::default());
    let progress = |what: &str, calls_more: usize| {
        let from = next.load(Ordering::Relaxed);
        poll::until(what, || (next.load(Ordering::Relaxed) > from + calls_more).then_some(()));
    };
    let served = |what: &str, at: usize| {
        let from = calls(&upstreams[at]).len();
        poll::until(what, || (calls(&upstreams[at]).len() > from + 5).then_some(()));
    };
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| call_until(&gate, &stop, &next, &ledger));
        }
        served("the first serves", 0);

        upstreams[0].die();
        wait_for_state(&gate, "healthy", 2);
        progress("the others serve while one is dead", 50);
        upstreams[0].return_again();
        wait_for_state(&gate, "healthy", 3);
        served("the dead one is back", 0);

        upstreams[1].feel(Mood::Hanging);
        wait_for_state(&gate, "healthy", 2);
        progress("the others serve while one hangs", 50);
        upstreams[1].feel(Mood::Well);
        wait_for_state(&gate, "healthy", 3);
        served("the hanging one is back", 1);

        for _ in 0..5 {
            upstreams[2].die();
            progress("the others serve while one flaps", 20);
            upstreams[2].return_again();
            progress("all serve in between", 20);
        }
        wait_for_state(&gate, "healthy", 3);
        served("the flapping one is back", 2);
        stop.store(true, Ordering::Release);
    });

    let ledger = ledger.into_inner().unwrap_or_else(PoisonError::into_inner);
    let arrived = upstreams.iter().map(|upstream| {
        (upstream.address, calls(upstream).into_iter().map(|request| request.target).collect())
    });
    let arrived: BTreeMap<SocketAddr, Vec<String>> = arrived.collect();
    gate.settle();
    let records = gate.records_now(&["--path", "/open"]);
    let by_id: BTreeMap<&str, &Value> =
        records.iter().filter_map(|record| Some((record["id"].as_str()?, record))).collect();
    assert_eq!(by_id.len(), ledger.len(), "one record for each call");
    for (path, seen) in &ledger {
        expect_agreement(path, seen, by_id[seen.id.as_str()], &arrived);
    }
    let timeouts = ledger.values().filter(|seen| seen.status == 504).count();
    // Only those that were at the hanging one before checks or ejection took it out.
    assert!(timeouts > 0 && timeouts < 20, "{timeouts} of {} timed out", ledger.len());
}

/// A process of Python's that serves, and remembers nothing.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    fn start(address: SocketAddr) -> Self {
        let script = "
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        body = sys.argv[2].encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
host, port = sys.argv[1].rsplit(':', 1)
http.server.ThreadingHTTPServer.request_queue_size = 128
server = http.server.ThreadingHTTPServer((host, int(port)), Handler)
print('ready', flush=True)
server.serve_forever()
";
        let name = address.to_string();
        let mut command = Command::new(tools::python());
        command.args(["-c", script, &name, &name]).stdout(Stdio::piped());
        let mut child = command.spawn().expect("Python starts");
        let mut line = String::new();
        let output = child.stdout.take().expect("it was asked for");
        BufReader::new(output).read_line(&mut line).expect("Python says it is ready");
        assert_eq!(line, "ready\n");
        Self { child, address }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        tools::run(Command::new("kill").args(["-s", name, &pid]), b"").expect_success();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn a_process_is_frozen_killed_and_started_again() {
    let (first, second) = (address::free(), address::free());
    let mut dying = Process::start(first);
    let _steady = Process::start(second);
    let endpoints = format!("\"{first}\", \"{second}\"");
    let keys = r#"
timeouts = { first_byte = "300ms" }
ejection = { failures = 2, first = "200ms", longest = "200ms" }
health = { check = "http", interval = "300ms", timeout = "300ms", healthy_after = 1 }
"#;
    let gate = Gate::start(&Setup { endpoints, upstream: keys, ..Setup::before_address(first) });
    let served_by = |path: &str, allowed: &[u16]| {
        let response = gate.call(&Request::get(path));
        assert!(allowed.contains(&response.status), "{response:?}");
        let record = gate.record_of(&response);
        let end = if response.status == 200 { "complete" } else { "deadline" };
        assert_eq!(record["end"], end, "{record}");
        if response.status == 200 {
            assert_eq!(record["endpoint"], response.text(), "the record names who answered");
        }
        (response.status == 200).then(|| response.text().to_owned())
    };
    let serves = |who: SocketAddr, allowed: &[u16]| {
        poll::until(&format!("{who} serves"), || {
            (served_by("/open/served", allowed)? == who.to_string()).then_some(())
        });
    };
    serves(first, &[200]);
    serves(second, &[200]);

    dying.signal("STOP");
    wait_for_state(&gate, "healthy", 1);
    (0..10).for_each(|n| assert!(served_by(&format!("/open/frozen/{n}"), &[200]).is_some()));
    dying.signal("CONT");
    wait_for_state(&gate, "healthy", 2);
    serves(first, &[200]);

    dying.signal("KILL");
    (0..10).for_each(|n| assert!(served_by(&format!("/open/killed/{n}"), &[200]).is_some()));
    wait_for_state(&gate, "healthy", 1);
    drop(dying);
    dying = Process::start(first);
    wait_for_state(&gate, "healthy", 2);
    serves(dying.address, &[200]);
}
