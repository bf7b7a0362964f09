//! A disk that is full, fails or is slow: what becomes of calls is the config's choice, what has no record is
//! counted, and the gate recovers by itself.

use std::fs;
use std::io::Write;
use std::process::Command;

use onegate::model::denial::Denial;
use serde_json::Value;

use super::harness::bench::{Bench, expect_denial};
use super::harness::client::Client;
use super::harness::faults::Faults;
use super::harness::gate::Gate;
use super::harness::http::{Request, Response};
use super::harness::poll;
use super::harness::setup::Setup;
use super::harness::tools;
use super::harness::upstream::Upstream;

/// More than there are calls until the recorder sees that the disk refuses, and less than the test's.
const SMALL_QUEUE: &str = "queue_records_max = 200";
const CALLS: usize = 600;

/// Calls whose records are counted by the test itself: some have none.
fn calls(gate: &Gate, key: &str, count: usize) -> Vec<Response> {
    let mut client = Client::connect(gate.address, None);
    let call = |n| client.call(&Request::get(&format!("/lab/ok/{n}")).key(key));
    (0..count).map(call).collect()
}

/// Calls without a record, by the log's own count: refused ones, and served ones.
fn told(records: &[Value]) -> (u64, u64) {
    let gaps = records.iter().filter(|record| record["action"] == "audit.gap");
    gaps.fold((0, 0), |(refused, served), gap| {
        let count = |of: &str| gap["after"][of].as_u64().expect("a count");
        (refused + count("refused"), served + count("served"))
    })
}

/// Waits until each of so many calls has a record or is counted.
fn settled(gate: &Gate, calls: u64) -> (u64, u64, u64) {
    poll::until("every call has a record or is counted", || {
        let records = gate.records_now(&[]);
        let of_calls = records.iter().filter(|record| record["surface"] == "rest").count() as u64;
        let (refused, served) = told(&records);
        let all = of_calls + refused + served;
        assert!(all <= calls, "{all} of {calls} calls");
        (all == calls).then_some((of_calls, refused, served))
    })
}

/// A file system of its own for the gate's data, gone at the end.
struct SmallDisk(String);

impl SmallDisk {
    fn at(path: String) -> Self {
        fs::create_dir_all(&path).expect("the folder is ours");
        tools::as_root(&["mount", "-t", "tmpfs", "-o", "size=8m,mode=0700", "tmpfs", &path]);
        let user = tools::run(Command::new("id").arg("-u"), b"").expect_success();
        tools::as_root(&["chown", user.trim(), &path]);
        Self(path)
    }

    fn fill(&self) {
        let mut file = fs::File::create(format!("{}/filler", self.0)).expect("a file");
        for bytes in [1 << 16, 1 << 12, 1] {
            while file.write_all(&vec![b'x'; bytes]).is_ok() {}
        }
    }

    fn empty(&self) {
        fs::remove_file(format!("{}/filler", self.0)).expect("it is there");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        tools::as_root(&["umount", "--lazy", &self.0]);
    }
}

#[test]
fn calls_are_served_and_counted_while_the_disk_is_full() {
    let upstream = Upstream::start();
    let setup = Setup { audit: SMALL_QUEUE, ..Setup::before(&upstream) };
    let (gate, disk) = Gate::start_after(&setup, |folder| SmallDisk::at(folder.at("data")));
    let key = gate.add_lab_client("full").text;
    disk.fill();
    let answers = calls(&gate, &key, CALLS);
    assert!(answers.iter().all(|answer| answer.status == 200));
    // Into the room that was kept for it, and signed, while there is no other.
    let gaps = poll::until("the count is in the log", || {
        Some(told(&gate.records_now(&["--surface", "admin"]))).filter(|(_, served)| *served > 0)
    });
    assert_eq!(gaps.0, 0, "none was refused");
    gate.cli(&["audit", "verify"]).expect_success();
    let metrics = gate.metrics();
    assert!(metrics.contains("\nonegate_audit_failing 1\n"), "{metrics}");
    assert!(metrics.contains("\nonegate_audit_disk_seconds_left "), "{metrics}");
    disk.empty();
    let (records, refused, served) = settled(&gate, CALLS as u64);
    assert!(records > 0 && served > 0 && refused == 0, "{records} {refused} {served}");
    let line = format!("\nonegate_audit_unrecorded_total {served}\n");
    assert!(gate.metrics().contains(&line), "{line}");
    assert_eq!(gate.call(&Request::get("/lab/ok/after").key(&key)).status, 200);
    gate.settle();
    poll::until("the disk works", || {
        gate.metrics().contains("\nonegate_audit_failing 0\n").then_some(())
    });
    drop(gate);
    drop(disk);
}

#[test]
fn a_disk_that_fails_is_left_for_the_next_file() {
    let upstream = Upstream::start();
    let faults = Faults::none();
    let setup = Setup { audit: SMALL_QUEUE, ..Setup::before(&upstream) };
    let bench = Bench::start_with(&setup, &faults.environment());
    let gate = &bench.gate;
    faults.are("write EIO");
    let answers = calls(gate, &bench.key.text, CALLS);
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert!(gate.metrics().contains("\nonegate_audit_failing 1\n"));
    faults.are("");
    let (records, _, served) = settled(gate, CALLS as u64);
    assert!(records > 0 && served > 0, "{records} {served}");
    let files = fs::read_dir(gate.folder.path().join("data/audit")).expect("the log is there");
    assert!(files.count() > 1, "nothing more went into the file that failed");
}

#[test]
fn calls_are_refused_where_that_is_wanted() {
    let upstream = Upstream::start();
    let faults = Faults::none();
    let audit = "queue_records_max = 16\non_failure = \"refuse\"";
    let bench =
        Bench::start_with(&Setup { audit, ..Setup::before(&upstream) }, &faults.environment());
    faults.are("write ENOSPC");
    let answers = calls(&bench.gate, &bench.key.text, 100);
    let served = answers.iter().filter(|answer| answer.status == 200).count() as u64;
    assert!((1..=16).contains(&served), "{served}");
    let refused = answers.last().expect("a hundred");
    expect_denial(refused, Denial::AuditUnavailable, &[("retry-after", "1")]);
    assert_eq!(upstream.received().len() as u64, served, "what is refused is not called");
    faults.are("");
    assert_eq!(settled(&bench.gate, 100), (served, 100 - served, 0));
}

#[test]
fn a_slow_disk_delays_only_those_who_wait_for_it() {
    let upstream = Upstream::start();
    let faults = Faults::none();
    let bench = Bench::start_with(&Setup::before(&upstream), &faults.environment());
    faults.are("sync SLOW");
    let answers = calls(&bench.gate, &bench.key.text, 500);
    assert!(answers.iter().all(|answer| answer.status == 200));
    let (records, refused, served) = settled(&bench.gate, 500);
    assert_eq!((records, refused, served), (500, 0, 0));
    poll::until("the metric tells what a power cut would have cost", || {
        let metrics = bench.gate.metrics();
        let name = "onegate_audit_unsynced_seconds_max ";
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)).expect("it is there");
        (line.parse::<f64>().expect("a number") >= 1.0).then_some(())
    });
    faults.are("");
}

/// What a file could not commit, the next one does; also where the gate is then killed.
#[test]
fn a_kill_after_a_failed_write_leaves_a_good_log() {
    let upstream = Upstream::start();
    let faults = Faults::none();
    let mut bench = Bench::start_with(&Setup::before(&upstream), &faults.environment());
    for round in 0..3 {
        for n in 0..50 {
            assert_eq!(bench.get(&format!("/lab/ok/{round}-{n}")).status, 200);
        }
        let fault = if round == 1 { "sync EIO" } else { "write EIO" };
        faults.are(fault);
        assert_eq!(bench.get(&format!("/lab/ok/{round}-failing")).status, 200);
        poll::until("it is noticed", || {
            bench.gate.metrics().contains("\nonegate_audit_failing 1\n").then_some(())
        });
        faults.are("");
        for n in 0..50 {
            assert_eq!(bench.get(&format!("/lab/ok/{round}-after-{n}")).status, 200);
        }
        bench.gate.kill9();
        bench.gate.run();
        bench.gate.cli(&["audit", "verify"]).expect_success();
        let directory = bench.gate.folder.at("data/audit");
        let python = Command::new("python3").args(["docs/verify_audit.py", &directory]).output();
        let said = python.expect("Python is there");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
    }
}

#[test]
fn a_gate_that_was_killed_on_a_full_disk_starts_again() {
    let upstream = Upstream::start();
    let setup = Setup { audit: SMALL_QUEUE, ..Setup::before(&upstream) };
    let (mut gate, disk) = Gate::start_after(&setup, |folder| SmallDisk::at(folder.at("data")));
    let key = gate.add_lab_client("full").text;
    disk.fill();
    let answers = calls(&gate, &key, CALLS);
    assert!(answers.iter().all(|answer| answer.status == 200));
    gate.kill9();
    gate.run();
    assert_eq!(calls(&gate, &key, 1).len(), 1);
    disk.empty();
    let (records, refused, served) = settled(&gate, CALLS as u64 + 1);
    assert!(records > 0 && served > 0 && refused == 0, "{records} {refused} {served}");
    gate.cli(&["audit", "verify"]).expect_success();
    drop(gate);
    drop(disk);
}
