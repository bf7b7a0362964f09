//! Answered calls keep their records whatever becomes of the gate, calls that last are in the log while they
//! do, and what is written ahead is there before the upstream is called.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use onegate::model::denial::Denial;
use serde_json::Value;

use super::harness::bench::{Bench, expect_denial};
use super::harness::client::Client;
use super::harness::faults::Faults;
use super::harness::gate::Gate;
use super::harness::http::{Body, Request};
use super::harness::nginx::Nginx;
use super::harness::poll;
use super::harness::scripted::{Say, Scripted};
use super::harness::setup::{LAB, Setup};
use super::harness::tools;
use super::harness::upstream::Upstream;

/// Lines of the log's files, as they are.
fn lines(gate: &Gate) -> Vec<Value> {
    let directory = gate.folder.path().join("data/audit");
    let entries = fs::read_dir(directory).expect("the log is there");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    let text: String = files.iter().map(|file| fs::read_to_string(file).expect("reads")).collect();
    // The last may be being written.
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn is_open_entry(line: &Value, path: &str) -> bool {
    line["entry"] == "open" && line["path"] == path
}

const CALLERS: usize = 6;
const ANSWERS_BETWEEN_KILLS: usize = 200;
const KILLS: usize = 5;

/// The witness asserts at the end that each response has exactly one record, and that the log is good.
#[test]
fn answered_calls_outlast_kill_9() {
    let upstream = Upstream::start();
    let mut bench = Bench::start(&Setup::before(&upstream));
    for kill in 0..KILLS {
        let answered = AtomicUsize::new(0);
        thread::scope(|scope| {
            let (key, gate) = (&bench.key.text, &bench.gate);
            let mut killed = Vec::new();
            for caller in 0..CALLERS {
                let answered = &answered;
                let mut client = gate.client();
                killed.push(scope.spawn(move || {
                    for n in 0.. {
                        // Denials of strangers would be told in one record where a slow disk left many of them open.
                        let kind = if n % 5 == 4 { "/lab/ok/absent" } else { "/lab/ok" };
                        let target = format!("{kind}/{kill}-{caller}-{n}");
                        let request = Request::get(&target).key(key);
                        client.send(&request.bytes());
                        if client.read(Body::Expected).is_none() {
                            return;
                        }
                        answered.fetch_add(1, Ordering::AcqRel);
                    }
                }));
            }
            poll::until("there is load", || {
                (answered.load(Ordering::Acquire) >= ANSWERS_BETWEEN_KILLS + kill * 7).then_some(())
            });
            tools::run(
                std::process::Command::new("kill").args(["-9", &gate.pid().to_string()]),
                b"",
            )
            .expect_success();
        });
        bench.gate.kill9();
        bench.gate.run();
    }
    let mut numbers: BTreeMap<(String, u64), usize> = BTreeMap::new();
    for line in lines(&bench.gate).iter().filter(|line| line["v"] == 1) {
        let number = (line["boot"].to_string(), line["seq"].as_u64().expect("each has one"));
        *numbers.entry(number).or_default() += 1;
    }
    assert!(numbers.values().all(|count| *count == 1), "a number was used twice");
    let recovered = bench.gate.records_now(&["--surface", "admin"]);
    let recovered = recovered.iter().filter(|record| record["action"] == "audit.recovered");
    assert_eq!(recovered.count(), KILLS);
}

#[test]
fn a_call_that_was_under_way_gets_the_end_crash() {
    let upstream = Upstream::start();
    let mut bench = Bench::start(&Setup::before(&upstream));
    let mut client = bench.gate.client();
    client.send(&Request::get("/lab/stream/1").key(&bench.key.text).bytes());
    let head = client.read(Body::Absent).expect("a head");
    bench.gate.kill9();
    bench.gate.run();
    let record = bench.gate.record_of(&head);
    let facts = ["end", "decision", "client", "operation", "product", "upstream", "path"];
    let facts = facts.map(|key| record[key].as_str().unwrap_or_default());
    let expected = ["crash", "allowed", "full", "lab.read", "lab", "recorder", "/lab/stream/1"];
    assert_eq!(facts, expected, "{record}");
    assert_eq!(record["scopes_required"], serde_json::json!(["lab:read"]), "{record}");
    assert!(record["duration_us"].is_null() && record["response_bytes"].is_null(), "{record}");
    assert!(record["trace_id"].is_string() && record["policy"].is_string(), "{record}");
    assert_eq!(record["credential"], bench.key.credential, "{record}");
}

#[test]
fn a_call_that_lasts_is_in_the_log_while_it_does() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let gate = &bench.gate;
    let mut client = gate.client();
    client.send(&Request::get("/lab/stream/1").key(&bench.key.text).bytes());
    let head = client.read(Body::Absent).expect("a head");
    poll::until("it is in the log", || {
        lines(gate).iter().any(|line| is_open_entry(line, "/lab/stream/1")).then_some(())
    });
    let open = gate.records_now(&["--id", head.id()]);
    assert_eq!(open.len(), 1, "{open:?}");
    assert_eq!((&open[0]["entry"], open[0].get("end")), (&"open".into(), None), "{open:?}");
    gate.cli(&["audit", "verify"]).expect_success();
    upstream.release();
    assert_eq!(gate.record_of(&head)["end"], "complete");
    let entries = lines(gate).into_iter().filter(|line| line["id"] == head.id());
    assert_eq!(entries.count(), 2, "one entry says that it is open, one how it ended");
}

fn ahead() -> String {
    LAB.replace("id = \"write\"", "id = \"write\"\naudit = \"write-ahead\"")
}

#[test]
fn what_is_written_ahead_is_in_the_log_before_the_upstream_is_called() {
    let upstream = Scripted::start(|_| {
        vec![Say::Wait, Say::Bytes(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec())]
    });
    let setup = Setup { apis: ahead(), ..Setup::before_address(upstream.address) };
    let bench = Bench::start(&setup);
    let (sent, told) = mpsc::channel();
    thread::scope(|scope| {
        let (gate, key) = (&bench.gate, &bench.key.text);
        scope.spawn(move || {
            let request = Request::new("POST", "/lab/ok/1").key(key).body(b"payment");
            sent.send(gate.call(&request)).expect("it is awaited");
        });
        poll::until("it is called", || (!upstream.asked().is_empty()).then_some(()));
        let open = lines(gate).into_iter().filter(|line| is_open_entry(line, "/lab/ok/1"));
        let open: Vec<Value> = open.collect();
        assert_eq!(open.len(), 1, "{open:?}");
        assert_eq!((&open[0]["client"], &open[0]["decision"]), (&"full".into(), &"allowed".into()));
        assert_eq!(open[0]["status"], Value::Null);
        upstream.release();
        let response = told.recv().expect("an answer");
        assert_eq!(response.status, 200);
        assert_eq!(gate.record_of(&response)["end"], "complete");
    });
    // What needs no such care does not wait.
    assert_eq!(bench.get("/lab/ok/2").status, 200);
    assert!(!lines(&bench.gate).iter().any(|line| is_open_entry(line, "/lab/ok/2")));
}

#[test]
fn what_cannot_be_written_ahead_is_not_called() {
    let upstream = Upstream::start();
    let faults = Faults::none();
    let bench = Bench::start_with(
        &Setup { apis: ahead(), ..Setup::before(&upstream) },
        &faults.environment(),
    );
    let post = Request::new("POST", "/lab/ok/1").key(&bench.key.text);
    faults.are("sync EIO");
    let refused = bench.gate.call(&post);
    expect_denial(&refused, Denial::AuditUnavailable, &[("retry-after", "1")]);
    assert_eq!(upstream.received().len(), 0, "nothing was called");
    assert_eq!(bench.get("/lab/ok/2").status, 200, "standard operations are served");
    faults.are("");
    let served = poll::until("the disk is used again", || {
        let response = bench.gate.call(&post);
        (response.status == 200).then_some(response)
    });
    assert_eq!(bench.gate.record_of(&served)["end"], "complete");
    assert_eq!(bench.gate.record_of(&refused)["denial"], "audit_unavailable");
}

#[test]
fn an_upstreams_log_and_ours_are_compared() {
    let nginx = Nginx::start();
    let gate = Gate::start(&Setup::before_address(nginx.address));
    let mut client = gate.client();
    let ids: Vec<String> =
        (0..5).map(|_| client.call(&Request::get("/open/small")).id().to_owned()).collect();
    gate.settle();
    let reconcile = |log: &str| gate.cli(&["audit", "reconcile", "--upstream", log]);
    let logged = || fs::read_to_string(nginx.access_log()).unwrap_or_default();
    poll::until("nginx has logged all", || (logged().lines().count() >= 5).then_some(()));
    let same = reconcile(&nginx.access_log());
    assert_eq!((same.code, same.stdout.as_str()), (Some(0), ""), "{same:?}");
    assert!(same.stderr.contains("5 calls of the upstream with 5 records"), "{}", same.stderr);

    // Around the gate, with an id of its own making and without, and one that nginx has forgotten.
    let mut direct = Client::connect(nginx.address, None);
    direct.call(&Request::get("/small"));
    let made_up = ids[0].replace(&ids[0][24..], "0123456789ab");
    direct.call(&Request::get("/small").field("X-Request-Id", &made_up));
    poll::until("nginx has logged all", || (logged().lines().count() >= 7).then_some(()));
    let edited = gate.folder.at("edited.log");
    let kept: Vec<String> =
        logged().lines().filter(|line| !line.contains(&ids[2])).map(str::to_owned).collect();
    fs::write(&edited, kept.join("\n") + "\n").expect("the folder is ours");
    let said = reconcile(&edited);
    assert_eq!(said.code, Some(1), "{said:?}");
    let told: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].contains("edited.log:5: a call without a request id"), "{told:?}");
    assert!(told[1].contains(&format!("edited.log:6: no record has the id {made_up}")), "{told:?}");
    assert!(
        told[2].starts_with(&ids[2]) && told[2].ends_with("not in the upstream's log"),
        "{told:?}"
    );

    // Apache's, with %{X-Request-Id}i in quotes.
    let apache = gate.folder.at("apache.log");
    let line = |id: &String| {
        format!(
            "127.0.0.1 - - [30/Nov/2026:12:00:00 +0000] \"GET /open/small HTTP/1.1\" 200 1024 \"{id}\"\n"
        )
    };
    fs::write(&apache, ids.iter().map(line).collect::<String>()).expect("the folder is ours");
    assert_eq!(reconcile(&apache).code, Some(0));
    let rows = gate.cli(&["--json", "audit", "reconcile", "--upstream", &edited]).stdout;
    let rows: Vec<Value> =
        rows.lines().map(|row| serde_json::from_str(row).expect("JSON")).collect();
    assert_eq!((&rows[0]["lacks"], &rows[2]["lacks"]), (&"record".into(), &"call".into()));
    assert_eq!(reconcile("/nothing/here").code, Some(3));
}
