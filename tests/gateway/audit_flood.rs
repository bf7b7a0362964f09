//! Strangers cannot fill the disk: a few records of their own, then counts; those of real clients are all there.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::Value;

use super::harness::bench::Bench;
use super::harness::client::Client;
use super::harness::gate::Gate;
use super::harness::http::Request;
use super::harness::poll;
use super::harness::setup::Setup;
use super::harness::upstream::Upstream;

const FEW: &str = "denials_per_source = 10";
const CALLERS: usize = 4;
const CALLS: usize = 2500;

/// Calls that the records of a denial stand for, and how many records those are.
fn counted(gate: &Gate, denial: &str) -> (u64, u64) {
    let records = gate.records_now(&["--denial", denial]);
    let calls = records.iter().map(|record| record["count"].as_u64().unwrap_or(1)).sum();
    (calls, records.len() as u64)
}

/// The count of a metric's line.
fn metric(gate: &Gate, line: &str) -> u64 {
    let metrics = gate.metrics();
    let found = metrics.lines().find_map(|text| text.strip_prefix(line)?.trim().parse().ok());
    found.unwrap_or_else(|| panic!("no {line} in {metrics}"))
}

#[test]
fn strangers_have_a_few_records_and_the_rest_is_counted() {
    let upstream = Upstream::start();
    let mut bench = Bench::start(&Setup { audit: FEW, ..Setup::before(&upstream) });
    let over = AtomicBool::new(false);
    let real = thread::scope(|scope| {
        let (gate, key, over) = (&bench.gate, &bench.key.text, &over);
        let real = scope.spawn(move || {
            let mut client = gate.client();
            let mut made = 0_u64;
            while !over.load(Ordering::Acquire) {
                // Allowed, and denied: it is known.
                assert_eq!(client.call(&Request::get("/lab/ok/1").key(key)).status, 200);
                assert_eq!(client.call(&Request::new("PATCH", "/lab/ok/1").key(key)).status, 405);
                made += 1;
            }
            made
        });
        let strangers: Vec<_> = (0..CALLERS)
            .map(|_| {
                scope.spawn(move || {
                    // Without the witness: they have no record each.
                    let mut client = Client::connect(gate.address, None);
                    for n in 0..CALLS {
                        let call = Request::get(&format!("/lab/ok/{n}"));
                        assert_eq!(client.call(&call).status, 401);
                        let wrong = call.key("og_live_4fTq0aZ81kLm_wrong");
                        assert_eq!(client.call(&wrong).status, 401);
                    }
                })
            })
            .collect();
        for stranger in strangers {
            stranger.join().expect("no panic");
        }
        over.store(true, Ordering::Release);
        real.join().expect("no panic")
    });
    let expected = (CALLERS * CALLS) as u64;
    for denial in ["credential_missing", "credential_invalid"] {
        let records = poll::until("every call is counted", || {
            let (calls, records) = counted(&bench.gate, denial);
            assert!(calls <= expected, "{calls} of {expected}");
            (calls == expected).then_some(records)
        });
        assert!(records < expected / 10, "{records} records for {expected} calls");
        let of_metrics =
            format!("onegate_denials_total{{client=\"_anonymous\",denial=\"{denial}\"}}");
        assert_eq!(metric(&bench.gate, &of_metrics), expected);
    }
    let client = ["--client", "full"];
    let records = bench.gate.records(&client, |records| records.len() as u64 == real * 2);
    assert_eq!(records.iter().filter(|record| record["status"] == 405).count() as u64, real);

    look_at_summaries(&bench.gate);

    // What is counted and not written yet is not lost either.
    let mut client = Client::connect(bench.gate.address, None);
    for n in 0..500 {
        assert_eq!(client.call(&Request::get(&format!("/lab/ok/{n}"))).status, 401);
    }
    bench.gate.kill9();
    bench.gate.run();
    let (calls, _) = counted(&bench.gate, "credential_missing");
    assert_eq!(calls, expected + 500);
}

/// How they are shown, and what an answer without them says.
fn look_at_summaries(gate: &Gate) {
    let summary = gate.records_now(&["--denial", "credential_missing", "--ip", "127.0.0.1"]);
    let summary = summary.iter().find(|record| record["count"].is_u64()).expect("one at least");
    assert_eq!((&summary["decision"], &summary["path"]), (&"denied".into(), &Value::Null));
    let said = gate.cli(&["audit", "query", "--denial", "credential_missing"]);
    assert!(said.stdout.contains(" calls of 127.0.0.1"), "{}", said.stdout);
    assert!(said.stderr.contains("summaries among them stand for"), "{}", said.stderr);
    let said = gate.cli(&["audit", "query", "--path", "/lab", "--limit", "100000"]);
    let beside = "denied calls of strangers in the period are only counted";
    assert!(said.stderr.contains(beside), "{}", said.stderr);
}
