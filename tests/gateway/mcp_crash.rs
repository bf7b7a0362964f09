//! A gate that is killed while a tool call is under way: whoever was told anything of the call has a record of it,
//! and only one.

use serde_json::json;

use super::harness::bench::Bench;
use super::harness::events::Events;
use super::harness::faults::Faults;
use super::harness::mcp::{Answer, Era, Message};
use super::harness::setup::Setup;
use super::harness::upstream::Upstream;

/// As often as this the gate is killed in each way.
const KILLS: usize = 3;

/// Begins a call whose answer is a stream, kills the gate once its head came, and looks at the record.
fn check(bench: &mut Bench, upstream: &Upstream, message: &Message, path: &str, waits: bool) {
    let events = Events::open(&bench.gate, &bench.key.text, message);
    if waits {
        upstream.wait_for(path);
    }
    bench.gate.kill9();
    bench.gate.run();
    let record = bench.gate.record_of_id(events.head.id());
    let facts = ["end", "surface", "decision", "client", "operation", "product", "method", "path"];
    let facts = facts.map(|name| record[name].as_str().unwrap_or_default());
    let expected = ["crash", "mcp", "allowed", "full", "lab.read", "lab", "GET", path];
    assert_eq!(facts, expected, "{record}");
    assert_eq!(record["mcp"]["tool"], "lab_read", "{record}");
    assert_eq!(record["credential"], bench.key.credential, "{record}");
    assert_eq!(record["policy"].as_str().map(str::is_empty), Some(false), "{record}");
    assert!(record["mcp"]["tool_digest"].is_string(), "{record}");
    assert!(record["mcp"]["args_digest"].is_string(), "{record}");
    assert!(record["duration_us"].is_null(), "{record}");
    let of_path = bench.gate.records_now(&["--path", path]);
    assert_eq!(of_path.len(), 1, "{of_path:?}");
}

#[test]
fn progress_outlasts_kill_9() {
    let upstream = Upstream::start();
    let mut bench = Bench::start(&Setup::before(&upstream));
    for era in Era::BOTH {
        for kill in 0..KILLS {
            let n = format!("{era:?}-{kill}");
            let message = era.lab("hold", &n).progress(json!(kill));
            check(&mut bench, &upstream, &message, &format!("/lab/hold/{n}"), kill == 0);
        }
    }
}

#[test]
fn a_stream_without_progress_outlasts_kill_9() {
    let upstream = Upstream::start();
    let more = "[mcp]\nstream_after = \"0s\"\n".to_owned();
    let mut bench = Bench::start(&Setup { more, ..Setup::before(&upstream) });
    for kill in 0..KILLS {
        let message = Era::Modern.lab("hold", &kill.to_string());
        check(&mut bench, &upstream, &message, &format!("/lab/hold/{kill}"), kill == 0);
    }
}

/// The answer of the upstream has begun, and what it says is collected.
#[test]
fn a_collected_stream_outlasts_kill_9() {
    let upstream = Upstream::start();
    let mut bench = Bench::start(&Setup::before(&upstream));
    for kill in 0..KILLS {
        let n = kill.to_string();
        let message = Era::Legacy.lab("stream", &n).progress(json!("token"));
        check(&mut bench, &upstream, &message, &format!("/lab/stream/{n}"), true);
    }
}

/// A whole answer has its record before its caller has it.
#[test]
fn answers_outlast_kill_9() {
    let upstream = Upstream::start();
    let mut bench = Bench::start(&Setup::before(&upstream));
    for kill in 0..KILLS {
        let answers = Era::BOTH.map(|era| {
            let n = format!("{era:?}-{kill}");
            let read = bench.gate.mcp(&bench.key.text, &era.lab("ok", &n));
            let list = bench.gate.mcp(&bench.key.text, &era.message("tools/list", json!({})));
            let streamed = era.lab("ok", &format!("{n}-progress")).progress(json!(1));
            [read, list, bench.gate.mcp(&bench.key.text, &streamed)]
        });
        bench.gate.kill9();
        bench.gate.run();
        for [read, list, streamed] in answers {
            for (answer, operation) in
                [(read, "lab.read"), (list, "mcp.tools/list"), (streamed, "lab.read")]
            {
                let record = bench.gate.record_of_answer(&answer);
                assert_eq!(record["operation"], operation, "{record}");
                assert_eq!(record["decision"], "allowed", "{record}");
            }
        }
    }
}

#[test]
fn a_subscription_outlasts_kill_9() {
    let upstream = Upstream::start();
    let mut bench = Bench::start(&Setup::before(&upstream));
    let asked = json!({ "notifications": { "toolsListChanged": true } });
    let listen = Era::Modern.message("subscriptions/listen", asked);
    let mut events = Events::open(&bench.gate, &bench.key.text, &listen);
    assert!(events.next().is_some(), "an acknowledgement");
    bench.gate.kill9();
    bench.gate.run();
    let record = bench.gate.record_of_id(events.head.id());
    assert_eq!(record["end"], "crash", "{record}");
    assert_eq!(record["operation"], "mcp.subscriptions/listen", "{record}");
    assert_eq!((&record["surface"], &record["client"]), (&json!("mcp"), &json!("full")));
}

/// What a killed gate's journal says of a call that never became a request: it was an error, as its record says.
#[test]
fn arguments_that_do_not_fit_are_an_error_in_the_journal_too() {
    let upstream = Upstream::start();
    let faults = Faults::none();
    let mut bench = Bench::start_with(&Setup::before(&upstream), &faults.environment());
    let bad = Era::Modern.call("lab_read", &json!({ "n": 7 }));
    let ask = |bench: &Bench| -> Answer { bench.gate.mcp(&bench.key.text, &bad) };
    let ordinary = ask(&bench);
    assert_eq!(bench.gate.record_of_answer(&ordinary)["mcp"]["is_error"], true);
    faults.are("write ENOSPC");
    let killed = ask(&bench);
    bench.gate.kill9();
    faults.are("");
    bench.gate.run();
    let record = bench.gate.record_of_answer(&killed);
    assert_eq!(record["end"], "crash", "{record}");
    assert_eq!(record["mcp"]["is_error"], true, "{record}");
}
