//! Whether `parity` finds what it is there to find: a small gate with deliberate faults. The gates that are
//! compared are this very program of tests, which runs one where its environment says so.

use std::env;
use std::io;
use std::path::Path;
use std::process;

use super::*;
use crate::admin::{parse, wire};
use crate::cli::parity::tell;
use crate::cli::run;
use crate::edge::sabotage::Sabotage;
use crate::inventory::change::Change;
use crate::parity::{self, Asked, Clients, Report};

/// What says so: the fault, the config and the data directory.
const FAULT: &str = "ONEGATE_TEST_FAULT";
const CONFIG: &str = "ONEGATE_TEST_CONFIG";
const DATA_DIR: &str = "ONEGATE_TEST_DATA_DIR";

/// No test, but a gate that others start: `onegate run`, and a fault. Without such an environment it has nothing to do.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test's program has no other arguments")]
fn gate() {
    let Ok(fault) = env::var(FAULT) else { return };
    let fault = Sabotage::ALL.into_iter().find(|known| known.as_str() == fault);
    fault.expect("a fault").begin();
    let path = |name| env::var(name).expect("it is set").into();
    let source = Source { path: path(CONFIG), data_dir: Some(path(DATA_DIR)) };
    let mut out = io::stdout();
    let mut output = Output { format: Format::Human, out: &mut out };
    run::run(source, &mut output).expect("it serves until it is told to end");
}

fn compared(fault: Sabotage) -> Report {
    let program = env::current_exe().expect("it runs");
    let gate = |config: &Path, data_dir: &Path| {
        let mut command = process::Command::new(&program);
        command.args(["cli::tests::parity::gate", "--exact", "--nocapture"]);
        command.env(FAULT, fault.as_str()).env(CONFIG, config).env(DATA_DIR, data_dir);
        command
    };
    let dir = TempDir::default();
    let path = dir.path().join("gateway.toml");
    fs::write(&path, CONFIG_TEXT).expect("the folder is ours");
    let loaded = Source { path, data_dir: None }.load().expect("it loads");
    let apply: wire::Apply = toml::from_str(CLIENTS).expect("it parses");
    let Ok(Change::Apply(clients)) = parse::change(&wire::Change::Apply(apply)) else {
        panic!("clients that make no sense")
    };
    let only = Vec::new();
    let asked = Asked { loaded, clients: Clients::Told(clients), only, gate: &gate };
    parity::run(asked).unwrap_or_else(|error| panic!("{error}"))
}

const CONFIG_TEXT: &str = r#"
[[listener]]
name = "public"
address = "127.0.0.1:0"
[[upstream]]
name = "far"
endpoints = ["192.0.2.1:80"]
[[api]]
name = "payments"
base_path = "/payments"
upstream = "far"
access = "granted"
[[api.operation]]
id = "list"
methods = ["GET"]
path = "/"
[[api.operation]]
id = "make"
methods = ["POST"]
path = "/{account}"
scopes = ["payments:write"]
[[product]]
name = "all"
operations = ["payments.list", "payments.make"]
[[plan]]
name = "standard"
rates = [{ limit = 50, per = "1s", name = "steady" }]
"#;

const CLIENTS: &str = r#"
[[client]]
id = "app"
kind = "app"
owner = "o@example.com"
purpose = "tests"
products = ["all"]
scopes = ["payments:write"]
plan = "standard"
"#;

/// Every fact that differs, once.
fn facts(report: &Report) -> Vec<&str> {
    let mut facts: Vec<&str> =
        report.differences.iter().map(|difference| &*difference.differs.fact).collect();
    facts.sort_unstable();
    facts.dedup();
    facts
}

#[test]
fn without_a_fault_there_is_no_difference() {
    let report = compared(Sabotage::None);
    assert!(report.differences.is_empty(), "{:?}", report.differences);
    assert!(report.uncalled.is_empty(), "{:?}", report.uncalled);
    assert_eq!((report.clients, report.operations), (3, 2));
    for denial in ["not_granted", "insufficient_scope", "rate_limited"] {
        assert!(report.denied.contains_key(denial), "{denial}: {:?}", report.denied);
    }
}

#[test]
fn a_limit_that_is_charged_twice_is_found() {
    let report = compared(Sabotage::ChargeTwice);
    let facts = facts(&report);
    for fact in ["limit steady: left", "told", "record: denial"] {
        assert!(facts.contains(&fact), "{fact}: {facts:?}");
    }
}

#[test]
fn a_scope_that_only_agents_need_is_found() {
    let report = compared(Sabotage::AskForMore);
    let facts = facts(&report);
    for fact in ["told", "record: decision", "record: status", "upstream: requests"] {
        assert!(facts.contains(&fact), "{fact}: {facts:?}");
    }
}

#[test]
fn a_field_that_leaks_to_the_upstream_is_found() {
    let report = compared(Sabotage::LeakField);
    assert_eq!(facts(&report), ["upstream: field x-agent-session"]);

    let told = told(&report, Format::Human);
    let row = "app payments.list required arguments mcp-2026-07-28 \
               upstream: field x-agent-session - leaked";
    let row: Vec<&str> = row.split(' ').collect();
    let mut rows = told.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    assert!(rows.any(|words| words == row), "{told}");

    let lines = self::told(&report, Format::Json);
    assert_eq!(lines.lines().count(), report.differences.len());
    let first: serde_json::Value =
        serde_json::from_str(lines.lines().next().expect("a line")).expect("each line is JSON");
    let expected = serde_json::json!({
        "client": "app",
        "operation": "payments.list",
        "case": "required arguments",
        "surface": "mcp-2026-07-28",
        "fact": "upstream: field x-agent-session",
        "rest": null,
        "other": "leaked",
    });
    assert_eq!(first, expected, "{lines}");
}

/// What is printed, where there are differences.
fn told(report: &Report, format: Format) -> String {
    let mut out = Vec::new();
    let failure = tell(report, &mut Output { format, out: &mut out }).expect_err("it differs");
    assert_eq!(failure.exit, Exit::ProblemFound);
    String::from_utf8(out).expect("text")
}

#[test]
fn a_record_without_its_client_is_found() {
    let report = compared(Sabotage::ForgetClient);
    let facts = facts(&report);
    assert!(facts.contains(&"record: client"), "{facts:?}");
    assert!(facts.iter().all(|fact| fact.starts_with("record: ")), "{facts:?}");
}
