//! What becomes of finished files of the audit: they are sealed, and deleted when all is old enough; and the log goes on
//! with another key. Whoever asks gets the same answers, both verifiers agree, and other programs can read the files.

use std::fs;
use std::io::BufRead;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime};

use onegate::audit::sealed::Unsealed;
use serde_json::{Value, json};

use super::harness::bench::Bench;
use super::harness::client::Client;
use super::harness::faults::Faults;
use super::harness::folder::Folder;
use super::harness::gate::Gate;
use super::harness::http::Request;
use super::harness::logs::{Log, edit, name};
use super::harness::poll;
use super::harness::python;
use super::harness::setup::Setup;
use super::harness::tools;
use super::harness::upstream::Upstream;

const SMALL_AND_SEALED_SOON: &str = "segment_bytes_max = \"1MiB\"\nseal_after = \"1s\"";

/// Files of the gate's log whose names end so.
fn files(gate: &Gate, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(gate.folder.path().join("data/audit")).expect("the log is there");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("lists").path()).collect();
    files.retain(|file| file.to_string_lossy().ends_with(ending));
    files.sort();
    files
}

/// The auditor's verifier and the gate's, on the log of a gate that may run.
fn verify(gate: &Gate, key: &str) {
    gate.cli(&["audit", "verify", "--key", key]).expect_success();
    let mut theirs = Command::new(tools::python());
    theirs.arg("docs/verify_audit.py").arg(gate.folder.path().join("data/audit"));
    tools::run(theirs.args(["--key", key]), b"").expect_success();
}

/// What other programs read in the sealed files.
fn read_by_others(gate: &Gate) -> Value {
    let mut rows = python::command("sealed.py");
    let said = tools::run(rows.args(files(gate, ".parquet")), b"").expect_success();
    serde_json::from_str(&said).expect("JSON")
}

fn public_key(gate: &Gate) -> String {
    let text = fs::read_to_string(gate.folder.path().join("data/audit.pub")).expect("a key");
    text.trim().to_owned()
}

#[test]
fn finished_files_are_sealed_and_still_answer() {
    let upstream = Upstream::start();
    let mut bench =
        Bench::start(&Setup { audit: SMALL_AND_SEALED_SOON, ..Setup::before(&upstream) });
    let long = "a".repeat(7000);
    let mut client = bench.gate.client();
    let call = |n: u32| Request::get(&format!("/lab/ok/{n}{long}")).key(&bench.key.text);
    for n in 0..320 {
        assert_eq!(client.call(&call(n)).status, 200);
    }
    bench.gate.settle();
    let before = bench.gate.records_now(&[]);
    poll::until("all files but the last are sealed", || {
        let sealed = files(&bench.gate, ".parquet");
        (sealed.len() >= 2 && files(&bench.gate, ".jsonl").len() == 2).then_some(())
    });
    assert_eq!(bench.gate.records_now(&[]), before, "the same records, word for word");
    verify(&bench.gate, &public_key(&bench.gate));
    // What others read with: a row for each record.
    let said = read_by_others(&bench.gate);
    let current =
        files(&bench.gate, ".jsonl").into_iter().filter(|file| !file.ends_with("manifest.jsonl"));
    let current = current.map(|file| fs::read_to_string(file).expect("reads"));
    let current: usize = current.map(|text| text.matches("\n{\"v\"").count()).sum();
    let sealed = before.len() - current;
    let of_full = |record: &&Value| record["client"] == "full" && record["surface"] == "rest";
    let calls = before[..sealed].iter().filter(of_full).count();
    assert!(calls > 200, "{calls}");
    for reader in ["pyarrow", "duckdb"] {
        let expected = json!({ "rows": sealed, "calls_of_full": calls, "tool_errors": 0 });
        assert_eq!(said[reader], expected, "{reader}");
    }
    // A gate that is killed and one that is stopped go on from there.
    bench.gate.kill9();
    bench.gate.run();
    assert_eq!(bench.get("/lab/ok/after").status, 200);
    verify(&bench.gate, &public_key(&bench.gate));
}

/// A gate that finds a log of long ago.
fn gate_with_old_log(setup: &Setup) -> (Gate, Log) {
    let old = Log { folder: Folder::new() };
    old.boot(90);
    // Its records are of 2026-03-01T12:00:00Z.
    let written = SystemTime::UNIX_EPOCH + Duration::from_hours(492_324);
    for file in old.files() {
        let file = fs::File::options().write(true).open(file).expect("opens");
        file.set_modified(written).expect("sets");
    }
    let (gate, ()) = Gate::start_after(setup, |folder| {
        let data = folder.path().join("data");
        fs::create_dir_all(data.join("audit")).expect("makes");
        let copy = |from: PathBuf, to: PathBuf| {
            let mut cp = Command::new("cp");
            tools::run(cp.arg("-p").arg(from).arg(to), b"").expect_success();
        };
        for name in ["audit.key", "audit.pub"] {
            copy(old.path().join(name), data.join(name));
        }
        for file in old.files() {
            copy(file, data.join("audit"));
        }
    });
    (gate, old)
}

/// Calls that a later gate has no records of any more, so that nobody looks for them.
fn call_unseen(gate: &Gate, key: &str, path: &str) {
    let mut client = Client::connect(gate.address, None);
    assert_eq!(client.call(&Request::get(path).key(key)).status, 200);
}

/// As if the files of the log had been written so many days ago, as its gate's clock says.
fn age_files(gate: &Gate, days: u32) {
    let written = SystemTime::now() - Duration::from_hours(24) * days;
    for file in files(gate, ".jsonl") {
        let file = fs::File::options().write(true).open(file).expect("opens");
        file.set_modified(written).expect("sets");
    }
}

#[test]
fn records_past_their_retention_are_deleted_by_whole_files() {
    let upstream = Upstream::start();
    let faults = Faults::none();
    let setup =
        Setup { audit: "retention = \"100d\"\nseal_after = \"1d\"", ..Setup::before(&upstream) };
    faults.are("clock 17280000");
    let environment = faults.environment();
    let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
    let mut gate = Gate::start_with(&setup, &environment);
    let key = gate.add_lab_client("full").text;
    for n in 0..20 {
        call_unseen(&gate, &key, &format!("/lab/ok/{n}"));
    }
    assert!(gate.terminate().success());
    let old = files(&gate, ".jsonl");
    let last = fs::read_to_string(old.last().expect("a file")).expect("reads");
    let kept: Value = serde_json::from_str(last.lines().last().expect("a line")).expect("JSON");
    let records = gate.records_now(&[]).len() as u64;
    age_files(&gate, 200);
    // Off for most of the year: for a day it would not believe its clock. It runs, three days ago.
    faults.are("clock 259200");
    gate.run();
    call_unseen(&gate, &key, "/lab/ok/later");
    assert!(gate.terminate().success());
    assert!(old.iter().all(|file| file.exists()));
    // Today.
    faults.are("");
    gate.run();
    assert_eq!(gate.call(&Request::get("/lab/ok/now").key(&key)).status, 200);
    let is_deletion = |act: &&Value| act["action"] == "audit.deleted";
    let acts =
        gate.records(&["--surface", "admin"], |acts| acts.iter().any(|act| is_deletion(&act)));
    let deletion = acts.iter().find(is_deletion).expect("found");
    assert_eq!(deletion["after"]["files"], old.len(), "{deletion}");
    assert_eq!(deletion["after"]["records"], records, "{deletion}");
    poll::until("the old files are gone", || old.iter().all(|file| !file.exists()).then_some(()));
    verify(&gate, &public_key(&gate));
    let query = gate.cli(&["audit", "query"]);
    assert!(query.stderr.contains(&format!("; {records} records until ")), "{query:?}");
    let recent = gate.cli(&["audit", "query", "--from", "-1h"]);
    assert!(!recent.stderr.contains("deleted"), "{recent:?}");
    let verdict = gate.cli(&["audit", "verify"]).expect_success();
    assert!(verdict.contains("were deleted"), "{verdict}");
    // What was kept of the deleted part is no sign of a cut.
    let checkpoint = gate.folder.at("kept");
    fs::write(&checkpoint, kept["checkpoint"].as_str().expect("a note")).expect("writes");
    gate.cli(&["audit", "verify", "--checkpoint", &checkpoint]).expect_success();
}

#[test]
fn records_within_their_retention_stay() {
    let upstream = Upstream::start();
    let audit = "retention = \"36500d\"\nseal_after = \"1s\"";
    let (gate, old) = gate_with_old_log(&Setup { audit, ..Setup::before(&upstream) });
    poll::until("the old files are sealed", || {
        (files(&gate, ".parquet").len() == old.files().len()).then_some(())
    });
    let records = gate.records_now(&["--month", "2026-03"]);
    assert_eq!(records.len(), 90);
    let messages = gate.records_now(&["--surface", "mcp"]);
    assert_eq!(messages.len(), 18);
    assert!(messages.iter().all(|record| record["agent"] == "\"},{\n\u{1b}[2J\u{7f}é/1.0"));
    assert!(messages.iter().all(|record| record["mcp"]["rpc_id"] == "\0\" x"));
    let failed = |record: &&Value| record["mcp"]["is_error"] == true;
    let failed = messages.iter().filter(failed).count();
    assert!(failed > 0, "{messages:?}");
    let said = read_by_others(&gate);
    for reader in ["pyarrow", "duckdb"] {
        assert_eq!(said[reader]["tool_errors"], failed, "{reader}");
    }
    verify(&gate, &public_key(&gate));
}

#[test]
fn files_end_at_their_age() {
    let upstream = Upstream::start();
    let audit = "segment_age_max = \"1s\"\nseal_after = \"36500d\"";
    let bench = Bench::start(&Setup { audit, ..Setup::before(&upstream) });
    assert_eq!(bench.get("/lab/ok/1").status, 200);
    poll::until("a file has ended", || {
        (files(&bench.gate, "-000002.jsonl").len() == 1).then_some(())
    });
    assert_eq!(bench.get("/lab/ok/2").status, 200);
    assert!(files(&bench.gate, ".parquet").is_empty());
}

#[test]
fn another_key_signs_when_it_is_asked_for() {
    let upstream = Upstream::start();
    let mut bench = Bench::start(&Setup::before(&upstream));
    assert_eq!(bench.get("/lab/ok/1").status, 200);
    let first = public_key(&bench.gate);
    let secret =
        |bench: &Bench| fs::read(bench.gate.folder.path().join("data/audit.key")).expect("reads");
    let before = secret(&bench);
    let rotated = bench.gate.json(&["audit", "rotate-key", "--reason", "once a year"]);
    let second = public_key(&bench.gate);
    assert_eq!(
        (&rotated[0]["from"], &rotated[0]["to"]),
        (&Value::from(&*first), &Value::from(&*second))
    );
    assert_ne!(before, secret(&bench), "nothing is left of the key before");
    assert_eq!(bench.get("/lab/ok/2").status, 200);
    bench.gate.settle();
    for key in [&first, &second] {
        verify(&bench.gate, key);
    }
    assert!(bench.gate.terminate().success());
    // Without a gate too, by the same command.
    let said = bench.gate.cli(&["audit", "rotate-key", "--reason", "moved"]).expect_success();
    let third = public_key(&bench.gate);
    assert!(said.contains(&second) && said.contains(&third) && second != third, "{said}");
    bench.gate.run();
    assert_eq!(bench.get("/lab/ok/3").status, 200);
    for key in [&first, &second, &third] {
        verify(&bench.gate, key);
    }
    let acts = bench.gate.records(&["--surface", "admin"], |acts| acts.len() > 2);
    let rotations: Vec<_> = acts.iter().filter(|act| act["action"] == "audit.rotate_key").collect();
    assert_eq!(rotations.len(), 2, "{acts:?}");
    assert_eq!(rotations[0]["reason_given"], "once a year");
    assert_eq!(rotations[0]["before"]["key"], *first);
    assert_eq!(rotations[1]["after"]["key"], *third);
    assert!(rotations[1]["actor"].as_str().is_some_and(|actor| actor.contains("uid=")));
    let refused = bench.gate.cli(&["audit", "rotate-key", "--reason", "a\nb"]);
    assert_ne!(refused.code, Some(0), "{refused:?}");
}

/// The statements of the log.
fn manifest(log: &Log) -> PathBuf {
    log.audit().join("manifest.jsonl")
}

/// Which line of the manifest is the first of that kind.
fn statement(log: &Log, kind: &str) -> usize {
    let text = fs::read_to_string(manifest(log)).expect("reads");
    text.lines().position(|line| line.starts_with(&format!("{{\"{kind}\""))).expect("one")
}

/// One of the sealed files that begin with no handover.
fn sealed(log: &Log, at: usize) -> PathBuf {
    let is_plain = |file: &PathBuf| {
        let mut first = String::new();
        let mut lines = Unsealed::open(file).expect("a sealed file");
        lines.read_line(&mut first).expect("reads");
        !first.contains("handover")
    };
    let files = log.files().into_iter().filter(|file| name(file).ends_with(".parquet"));
    files.filter(is_plain).nth(at).expect("a sealed file")
}

/// Changes a copy of an archived log, and finds the change where it was made, by both verifiers.
fn check(whole: &Log, what: &str, tamper: impl Fn(&Log) -> (String, u64)) {
    let log = whole.copy();
    let expected = Some(tamper(&log));
    let verdict = log.verdict(&[]);
    assert_eq!(verdict.place, expected, "{what}: {}", verdict.text);
}

#[test]
fn whatever_is_done_to_sealed_files_is_named() {
    let whole = Log::archived();
    let verdict = whole.verdict(&[]);
    assert_eq!(verdict.place, None, "{}", verdict.text);
    assert!(verdict.text.contains("were deleted"), "{}", verdict.text);
    check(&whole, "a byte", |log| {
        let file = sealed(log, 1);
        let mut bytes = fs::read(&file).expect("reads");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&file, bytes).expect("writes");
        (name(&file), 1)
    });
    check(&whole, "gone", |log| {
        let file = sealed(log, 1);
        fs::remove_file(&file).expect("removes");
        (name(&file).replace(".parquet", ".jsonl"), 1)
    });
    check(&whole, "swapped", |log| {
        let (first, second) = (sealed(log, 1), sealed(log, 2));
        let bytes = fs::read(&first).expect("reads");
        fs::copy(&second, &first).expect("copies");
        fs::write(&second, bytes).expect("writes");
        (name(&first), 1)
    });
    check(&whole, "the first one that is left, gone", |log| {
        fs::remove_file(&log.files()[0]).expect("removes");
        ("manifest.jsonl".into(), statement(log, "deleted") as u64 + 1)
    });
}

#[test]
fn whatever_is_done_to_statements_is_named() {
    let whole = Log::archived();
    check(&whole, "of a sealed file, taken out", |log| {
        let file = sealed(log, 1);
        let stem = name(&file).replace(".parquet", "");
        let is_other = |line: &String| !(line.contains("/sealed") && line.contains(&stem));
        edit(&manifest(log), |lines| lines.retain(is_other));
        (name(&file), 1)
    });
    let changes = [
        ("sealed", "records ", "records 1"),
        ("deleted", "files ", "files 1"),
        ("deleted", "retention ", "retention 1"),
    ];
    for (kind, from, to) in changes {
        check(&whole, "changed", |log| {
            let at = statement(log, kind);
            edit(&manifest(log), |lines| lines[at] = lines[at].replacen(from, to, 1));
            ("manifest.jsonl".into(), at as u64 + 1)
        });
    }
    check(&whole, "of what was deleted, taken out", |log| {
        let at = statement(log, "deleted");
        edit(&manifest(log), |lines| drop(lines.remove(at)));
        let boot = name(&log.files()[0]).get(..25).expect("a boot").to_owned();
        (format!("{boot}-000001.jsonl"), 1)
    });
    check(&whole, "not one", |log| {
        edit(&manifest(log), |lines| lines.push("not one".into()));
        let lines = fs::read_to_string(manifest(log)).expect("reads").lines().count();
        ("manifest.jsonl".into(), lines as u64)
    });
    // A key that the log never had.
    let other = Log { folder: Folder::new() };
    other.boot(4);
    check(&whole, "another's key", |log| {
        fs::copy(other.path().join("audit.pub"), log.path().join("audit.pub")).expect("copies");
        (name(&log.files()[0]), 1)
    });
}
