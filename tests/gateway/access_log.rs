//! The access log: every request has a line, wherever the file is now.

use std::fs;
use std::process::Command;

use serde_json::Value;

use super::harness::bench::Bench;
use super::harness::gate::Gate;
use super::harness::http::Request;
use super::harness::poll;
use super::harness::setup::Setup;
use super::harness::tools;
use super::harness::upstream::Upstream;

const TO_A_FILE: &str = "[access_log]\npath = \"access.log\"";

#[test]
fn every_request_has_a_line() {
    let upstream = Upstream::start();
    let setup = Setup { more: TO_A_FILE.to_owned(), ..Setup::before(&upstream) };
    let bench = Bench::start(&setup);
    let call = |target: &str| {
        let request = Request::get(target).key(&bench.key.text).field("User-Agent", "lab/1");
        bench.gate.call(&request)
    };
    let answers = [
        call("/lab/ok/1"),
        call("/lab/none-of-these/1/2/3"),
        bench.gate.call(&Request::get("/lab/ok/2")),
        bench.gate.call(&Request::get("/lab/ok/3").field("Host", "twice")),
        // A key in the wrong place must not end in a file.
        bench.gate.call(&Request::get("/open/ok/4").field("User-Agent", &bench.key.text)),
    ];
    let expected = [
        (200, Some("full"), "/lab/ok/1", Some("lab/1")),
        (404, Some("full"), "/lab/none-of-these/1/2/3", Some("lab/1")),
        (401, None, "/lab/ok/2", None),
        (400, None, "", None),
        (200, None, "/open/ok/4", None),
    ];
    for (answer, (status, client, path, user_agent)) in answers.iter().zip(expected) {
        assert_eq!(answer.status, status, "{answer:?}");
        let line = line_of(&bench.gate, "access.log", answer.id());
        assert_eq!(line["status"], status, "{line}");
        assert_eq!(line["client"].as_str(), client, "{line}");
        assert_eq!(line["path"].as_str().unwrap_or_default(), path, "{line}");
        assert_eq!(line["user_agent"].as_str(), user_agent, "{line}");
        if status != 400 {
            assert_eq!(line["protocol"], "HTTP/1.1", "{line}");
        }
    }
    let lines = fs::read_to_string(bench.gate.folder.at("access.log")).expect("it was made");
    assert_eq!(lines.lines().count(), answers.len(), "one line for each: {lines}");
}

#[test]
fn the_file_is_opened_anew_by_signal_and_moved_by_reload() {
    let upstream = Upstream::start();
    let setup = Setup { more: TO_A_FILE.to_owned(), ..Setup::before(&upstream) };
    let bench = Bench::start(&setup);
    let gate = &bench.gate;
    let first = bench.get("/lab/ok/1");
    line_of(gate, "access.log", first.id());

    // As logrotate does it.
    fs::rename(gate.folder.at("access.log"), gate.folder.at("access.log.1")).expect("one folder");
    gate.signal("USR1");
    poll::until("a new file", || fs::exists(gate.folder.at("access.log")).ok()?.then_some(()));
    let second = bench.get("/lab/ok/2");
    line_of(gate, "access.log", second.id());

    gate.write_config(&Setup {
        more: TO_A_FILE.replace("access.log\"", "other.log\""),
        ..Setup::before(&upstream)
    });
    gate.cli(&["reload"]).expect_success();
    line_of(gate, "other.log", bench.get("/lab/ok/3").id());

    // A place that cannot be written refuses the reload, and the old one goes on.
    gate.write_config(&Setup {
        more: TO_A_FILE.replace("access.log\"", "no/such/folder/access.log\""),
        ..Setup::before(&upstream)
    });
    let said = gate.cli(&["reload"]);
    assert!(said.code != Some(0) && said.stderr.contains("access_log"), "{}", said.stderr);
    line_of(gate, "other.log", bench.get("/lab/ok/4").id());

    // And to standard output, where a container looks for it.
    gate.write_config(&Setup {
        more: TO_A_FILE.replace("access.log\"", "stdout\""),
        ..Setup::before(&upstream)
    });
    gate.cli(&["reload"]).expect_success();
    line_of(gate, "stdout.txt", bench.get("/lab/ok/5").id());
}

/// Regression: what the gate says when it starts stood among the lines of JSON.
#[test]
fn standard_output_is_the_logs_alone() {
    let upstream = Upstream::start();
    let more = TO_A_FILE.replace("access.log\"", "stdout\"");
    let gate = Gate::start(&Setup { more, ..Setup::before(&upstream) });
    line_of(&gate, "stdout.txt", gate.call(&Request::get("/open/ok/1")).id());
    let text = fs::read_to_string(gate.folder.at("stdout.txt")).expect("it is written");
    for line in text.lines() {
        assert!(serde_json::from_str::<Value>(line).is_ok(), "{line}");
    }
}

#[test]
fn a_log_that_cannot_be_written_does_not_hold_the_gate_back() {
    let upstream = Upstream::start();
    let more = TO_A_FILE.replace("access.log\"", "/dev/full\"");
    let gate = Gate::start(&Setup { more, ..Setup::before(&upstream) });
    for n in 0..20 {
        assert_eq!(gate.call(&Request::get(&format!("/open/ok/{n}"))).status, 200);
    }
    poll::until("the loss is counted", || {
        gate.metrics().contains("onegate_access_log_dropped_total 20").then_some(())
    });
    // A pipe without a reader would hold the start back for ever, so it is refused.
    let pipe = gate.folder.at("pipe");
    tools::run(Command::new("mkfifo").arg(&pipe), b"").expect_success();
    gate.write_config(&Setup {
        more: TO_A_FILE.replace("access.log", "pipe"),
        ..Setup::before(&upstream)
    });
    let said = gate.cli(&["reload"]);
    assert!(said.stderr.contains("pipe"), "{}{}", said.stdout, said.stderr);
}

/// The line of a request, once it is written.
fn line_of(gate: &Gate, file: &str, id: &str) -> Value {
    poll::until(&format!("a line of {id} in {file}"), || {
        let text = fs::read_to_string(gate.folder.at(file)).unwrap_or_default();
        let line = text.lines().find(|line| line.contains(id))?;
        serde_json::from_str(line).ok()
    })
}
