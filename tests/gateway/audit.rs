//! The audit as an auditor meets it: its filters, its files, its bounds, and acts of administration
//! in the same log. That no record is missing or double is `ledger`'s.

use std::fs;

use onegate::model::denial::Denial;
use serde_json::Value;

use super::harness::bench::{Bench, expect_denial};
use super::harness::gate::Gate;
use super::harness::http::Request;
use super::harness::poll;
use super::harness::setup::Setup;
use super::harness::upstream::Upstream;

#[test]
fn filters_choose_records() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    bench.get("/lab/ok/7");
    bench.get("/lab/absent/7");
    bench.gate.call(&Request::get("/lab/ok/7").key(&bench.other.text));
    bench.gate.call(&Request::get("/lab/ok"));
    bench.gate.call(&Request::get("/open/ok/7"));
    bench.gate.settle();
    let check = |filters: &[&str], expected: usize| {
        let records = bench.gate.records_now(&[filters, &["--surface", "rest"]].concat());
        assert_eq!(records.len(), expected, "{filters:?}: {records:?}");
    };
    check(&[], 5);
    check(&["--client", "full"], 2);
    check(&["--client", "other", "--decision", "allowed"], 0);
    check(&["--credential", &bench.key.credential], 2);
    check(&["--api", "lab"], 4);
    check(&["--operation", "lab.read"], 3);
    check(&["--decision", "denied"], 2);
    check(&["--denial", "not_granted"], 1);
    check(&["--status", "404"], 1);
    check(&["--upstream", "recorder"], 3);
    check(&["--ip", "127.0.0.1"], 5);
    check(&["--ip", "10.0.0.1"], 0);
    check(&["--from", "2020-01-01T00:00:00Z"], 5);
    check(&["--to", "2020-01-01T00:00:00Z"], 0);
    check(&["--month", "2020-03"], 0);
    check(&["--limit", "3"], 3);
    // Whole segments: /lab/ok holds /lab/ok/7, and /lab/o holds nothing.
    check(&["--path", "/lab/ok"], 3);
    check(&["--path", "/lab/o"], 0);
    check(&["--path", "/lab"], 4);
}

#[test]
fn administration_is_in_the_same_log() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let reason = ["--reason", "left the company"];
    bench.gate.json(&[&["revoke", "client", "reader"], &reason[..]].concat());
    let acts = bench.gate.records(&["--surface", "admin"], |acts| {
        acts.iter().any(|act| act["action"].as_str().is_some_and(|a| a.contains("revoke")))
    });
    let act = |words: &[&str]| -> &Value {
        let is = |act: &&Value| words.iter().all(|word| act.to_string().contains(word));
        acts.iter().find(is).unwrap_or_else(|| panic!("no act with {words:?} in {acts:?}"))
    };
    let added = act(&["client.add", "client/full"]);
    assert!(added["actor"].as_str().is_some_and(|actor| actor.contains("uid=")), "{added}");
    let revoked = act(&["revoke", "client/reader"]);
    assert_eq!(revoked["reason_given"], "left the company", "{revoked}");
    assert!(!revoked["before"].is_null() && !revoked["after"].is_null(), "{revoked}");
}

#[test]
fn a_full_queue_refuses_requests() {
    let upstream = Upstream::start();
    let audit = "queue_records_max = 16";
    let bench = Bench::start(&Setup { audit, ..Setup::before(&upstream) });
    let held = bench.hold(&upstream, 16);
    // Pasted, because no witness may ask for records that cannot be.
    let call = || bench.paste(r#"curl -si "$URL/open/ok/1""#);
    let refused = call();
    expect_denial(&refused, Denial::AuditUnavailable, &[]);
    assert!(upstream.received_at("/open/ok/1").is_empty(), "forwarded without a record");
    held.release(&upstream);
    poll::until("there is room again", || (call().status == 200).then_some(()));
}

#[test]
fn records_are_written_within_the_interval() {
    let upstream = Upstream::start();
    for audit in ["flush_interval = \"1ms\"", "flush_interval = \"100ms\""] {
        let gate = Gate::start(&Setup { audit, ..Setup::before(&upstream) });
        let response = gate.call(&Request::get("/open/ok/1"));
        // No later request pushes it out.
        gate.record_of(&response);
    }
}

#[test]
fn a_full_segment_is_closed() {
    let upstream = Upstream::start();
    let audit = "segment_bytes_max = \"1MiB\"";
    let gate = Gate::start(&Setup { audit, ..Setup::before(&upstream) });
    let mut client = gate.client();
    let long = "a".repeat(7000);
    for n in 0..320 {
        assert_eq!(client.call(&Request::get(&format!("/open/ok/{n}/{long}"))).status, 200);
    }
    gate.settle();
    let entries = fs::read_dir(gate.folder.path().join("data/audit")).expect("the log is there");
    let sizes = entries.map(|entry| entry.and_then(|e| e.metadata()).expect("a file").len());
    let sizes: Vec<u64> = sizes.collect();
    assert!(sizes.len() >= 3, "2.2 MB of records in files of {sizes:?}");
    assert!(sizes.iter().all(|size| *size <= (1 << 20) + 8192), "{sizes:?}");
}
