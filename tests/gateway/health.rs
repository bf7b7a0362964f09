//! Endpoints die, hang, return and flap: traffic moves and comes back. What callers saw, what arrived
//! and what the records say must agree.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use onegate::model::denial::Failure;
use serde_json::Value;

use super::balance::endpoints;
use super::harness::address;
use super::harness::gate::Gate;
use super::harness::http::{Body, Request};
use super::harness::poll;
use super::harness::setup::Setup;
use super::harness::tools;
use super::harness::upstream::{Mood, Received, Upstream};
use super::metrics::{value, wait_for};

const CHECKED: &str = r#"
retries = 1
timeouts = { first_byte = "1s" }
ejection = { failures = 0 }
panic_threshold = 0
[upstream.health]
check = "http"
path = "/check"
interval = "300ms"
timeout = "300ms"
healthy_after = 2
unhealthy_after = 2
"#;

fn gate_before(upstreams: &[Upstream], keys: &'static str) -> Gate {
    let endpoints = endpoints(upstreams);
    Gate::start(&Setup { endpoints, upstream: keys, ..Setup::before(&upstreams[0]) })
}

/// Requests that are no checks.
fn calls(upstream: &Upstream) -> Vec<Received> {
    let mut received = upstream.received();
    received.retain(|request| request.target.starts_with("/open/"));
    received
}

fn wait_for_state(gate: &Gate, state: &str, count: u32) {
    let state = format!("state=\"{state}\"");
    let labels = ["upstream=\"recorder\"", state.as_str()];
    wait_for(gate, "onegate_upstream_endpoints", &labels, f64::from(count));
}

/// Calls one after the other; all must succeed.
fn call_all(gate: &Gate, name: &str, count: usize) {
    for n in 0..count {
        assert_eq!(gate.call(&Request::get(&format!("/open/ok/{name}-{n}"))).status, 200);
    }
}

#[test]
fn checks_take_an_endpoint_out_and_back() {
    let upstreams = [Upstream::mortal(), Upstream::mortal()];
    let gate = gate_before(&upstreams, CHECKED);
    wait_for_state(&gate, "healthy", 2);
    call_all(&gate, "before", 10);
    assert_eq!(calls(&upstreams[0]).len(), 5);

    upstreams[0].die();
    call_all(&gate, "dead", 10);
    wait_for_state(&gate, "unhealthy", 1);
    let retries =
        || gate.metrics().lines().find(|l| l.contains("retries_total{")).map(str::to_owned);
    let before = retries();
    call_all(&gate, "out", 20);
    assert_eq!(retries(), before, "it is not tried while it is out");

    upstreams[0].return_again();
    wait_for_state(&gate, "healthy", 2);
    let seen = calls(&upstreams[0]).len();
    call_all(&gate, "back", 10);
    assert_eq!(calls(&upstreams[0]).len(), seen + 5);
    let log = gate.stderr();
    let first = upstreams[0].address;
    assert_eq!(log.matches(&format!("{first} is unhealthy")).count(), 1, "{log}");
    assert_eq!(log.matches(&format!("{first} is healthy")).count(), 1, "{log}");
}

#[test]
fn a_hanging_endpoint_fails_its_checks() {
    let upstreams = [Upstream::start(), Upstream::start()];
    let gate = gate_before(&upstreams, CHECKED);
    call_all(&gate, "before", 2);
    upstreams[0].feel(Mood::Hanging);
    wait_for_state(&gate, "unhealthy", 1);
    let seen = calls(&upstreams[0]).len();
    call_all(&gate, "hung", 10);
    assert_eq!(calls(&upstreams[0]).len(), seen);
    upstreams[0].feel(Mood::Well);
    wait_for_state(&gate, "healthy", 2);
}

#[test]
fn tcp_checks_ask_for_a_connection() {
    let upstreams = [Upstream::mortal(), Upstream::mortal()];
    let keys =
        "retries = 0\nhealth = { check = \"tcp\", interval = \"100ms\", unhealthy_after = 1 }";
    let gate = gate_before(&upstreams, keys);
    upstreams[0].feel(Mood::Hanging);
    poll::until("both were checked", || {
        upstreams.iter().all(|upstream| upstream.connections().made > 1).then_some(())
    });
    wait_for_state(&gate, "healthy", 2);
    upstreams[0].die();
    wait_for_state(&gate, "unhealthy", 1);
    call_all(&gate, "dead", 10);
}

#[test]
fn an_http_check_asks_what_it_is_told() {
    let upstream = Upstream::start();
    let keys = r#"health = { check = "http", path = "/absent/check?deep=1", host = "lab.test:80", expect = "404", interval = "100ms", unhealthy_after = 1 }"#;
    let setup = Setup { upstream: keys, ..Setup::before(&upstream) };
    let gate = Gate::start(&setup);
    upstream.wait_for("/absent/check?deep=1");
    let check = upstream.received_at("/absent/check?deep=1").remove(0);
    assert_eq!(check.method, "GET");
    assert_eq!(check.fields.value("host"), Some("lab.test:80"));
    assert_eq!(check.fields.value("user-agent"), Some("onegate-health-check"));
    wait_for_state(&gate, "healthy", 1);

    let keys = r#"health = { check = "http", path = "/absent/check", expect = "200-399", interval = "100ms", unhealthy_after = 1 }"#;
    gate.write_config(&Setup { upstream: keys, ..setup.clone() });
    gate.cli(&["reload"]).expect_success();
    wait_for_state(&gate, "unhealthy", 1);
    let check = upstream.received_at("/absent/check").remove(0);
    assert_eq!(check.fields.value("host"), Some(upstream.address.to_string().as_str()));
    assert!(gate.stderr().contains("a check was answered with 404"), "{}", gate.stderr());

    // Without checks it is taken as well.
    gate.write_config(&Setup { upstream: "", ..setup });
    gate.cli(&["reload"]).expect_success();
    wait_for_state(&gate, "healthy", 1);
}

#[test]
fn in_panic_health_is_ignored() {
    let upstreams = [Upstream::start(), Upstream::start()];
    let keys = |threshold: u8| {
        let health = r#"health = { check = "http", path = "/busy", interval = "100ms", unhealthy_after = 1 }"#;
        format!("panic_threshold = {threshold}\n{health}").leak()
    };
    let gate = gate_before(&upstreams, keys(50));
    wait_for_state(&gate, "unhealthy", 2);
    call_all(&gate, "panic", 10);
    assert_eq!(upstreams.each_ref().map(|upstream| calls(upstream).len()), [5, 5]);

    let (endpoints, upstream) = (endpoints(&upstreams), keys(0));
    gate.write_config(&Setup { endpoints, upstream, ..Setup::before(&upstreams[0]) });
    gate.cli(&["reload"]).expect_success();
    wait_for_state(&gate, "unhealthy", 2);
    let response = gate.call(&Request::get("/open/ok/none"));
    assert_eq!(response.problem()["code"], Failure::UpstreamUnreachable.code());
    let record = gate.record_of(&response);
    assert_eq!(record["reason"], "no endpoint of the upstream is healthy", "{record}");
    assert_eq!(record["end"], "complete", "{record}");
    assert!(record["endpoint"].is_null(), "{record}");
    assert_eq!(upstreams.each_ref().map(|upstream| calls(upstream).len()), [5, 5]);
}

#[test]
fn failing_requests_eject_an_endpoint_for_a_while() {
    let upstreams = [Upstream::mortal(), Upstream::mortal()];
    let keys = r#"
retries = 0
timeouts = { first_byte = "200ms" }
ejection = { failures = 3, first = "1s", longest = "1s" }"#;
    let gate = gate_before(&upstreams, keys);
    let check = |what: &str, statuses: &[u16], break_it: &dyn Fn(), mend: &dyn Fn()| {
        wait_for_state(&gate, "healthy", 2);
        // A success ends what was counted before.
        call_all(&gate, &format!("{what}-before"), 4);
        break_it();
        let mut failed = 0;
        poll::until(&format!("{what}: it is ejected"), || {
            let response = gate.call(&Request::get(&format!("/open/ok/{what}-{failed}")));
            failed += usize::from(response.status != 200);
            assert!(response.status == 200 || statuses.contains(&response.status), "{response:?}");
            let ejected = "state=\"ejected\"";
            (value(&gate.metrics(), "onegate_upstream_endpoints", &[ejected]) > 0.0).then_some(())
        });
        // One may meet a connection of before, whose end is nobody's fault.
        assert!((3..=4).contains(&failed), "{what}: {failed}");
        mend();
        wait_for_state(&gate, "healthy", 2);
        poll::until("it gets requests again", || {
            let before = calls(&upstreams[0]).len();
            call_all(&gate, &format!("{what}-after"), 2);
            (calls(&upstreams[0]).len() > before).then_some(())
        });
    };
    let well = || upstreams[0].feel(Mood::Well);
    check("busy", &[503], &|| upstreams[0].feel(Mood::Busy), &well);
    check("hanging", &[504], &|| upstreams[0].feel(Mood::Hanging), &well);
    check("closing", &[502], &|| upstreams[0].feel(Mood::Closing), &well);
    check("dead", &[502], &|| upstreams[0].die(), &|| upstreams[0].return_again());
    assert_eq!(gate.stderr().matches("is ejected for 1s").count(), 4, "{}", gate.stderr());
}

#[test]
fn callers_that_leave_are_no_failures() {
    let upstreams = [Upstream::start(), Upstream::start()];
    let gate = gate_before(&upstreams, "ejection = { failures = 1 }");
    for n in 0..6 {
        let target = format!("/open/hold/{n}");
        let mut client = gate.client();
        client.send(&Request::get(&target).bytes());
        poll::until("it arrives", || {
            upstreams.iter().any(|u| !u.received_at(&target).is_empty()).then_some(())
        });
        drop(client);
        assert_eq!(gate.record_of_path(&target)["end"], "client_abort");
    }
    wait_for_state(&gate, "healthy", 2);
}

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
health = { check = "http", path = "/check", interval = "300ms", timeout = "300ms", healthy_after = 1, unhealthy_after = 2 }
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
