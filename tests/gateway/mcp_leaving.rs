//! Callers that leave during a call. Before 2026-07-28 the call goes on without them; since then it ends with them.
//! Neither is a failure of anyone's.

use serde_json::{Value, json};

use super::harness::bench::Bench;
use super::harness::events::Events;
use super::harness::gate::Gate;
use super::harness::mcp::{Era, Message};
use super::harness::poll;
use super::harness::setup::Setup;
use super::harness::upstream::Upstream;

fn start(upstream: &Upstream) -> Bench {
    let more = "[mcp]\nkeep_alive = \"1s\"\n".to_owned();
    Bench::start(&Setup { more, ..Setup::before(upstream) })
}

/// A call with a stream whose caller is gone once it had the first sign of progress.
fn leave_stream(bench: &Bench, upstream: &Upstream, message: &Message, path: &str) -> String {
    let mut events = Events::open(&bench.gate, &bench.key.text, message);
    let told = events.next().expect("progress");
    assert_eq!(told["method"], "notifications/progress", "{told}");
    upstream.wait_for(path);
    events.head.id().to_owned()
}

/// A call that has said nothing yet when its caller is gone.
fn leave_early(bench: &Bench, upstream: &Upstream, message: &Message, path: &str) -> Value {
    let mut client = bench.gate.client();
    client.send(&message.request(Some(&bench.key.text)).bytes());
    upstream.wait_for(path);
    drop(client);
    json!(path)
}

/// The gate has written to who has left, twice: it has signs to give to all at the same pace.
fn until_it_was_noticed(bench: &Bench) {
    let message = Era::Legacy.lab("hold", "meanwhile").progress(json!(0));
    let mut events = Events::open(&bench.gate, &bench.key.text, &message);
    for _ in 0..4 {
        assert!(events.next().is_some());
    }
}

fn expect_no_failures(gate: &Gate) {
    let metrics = gate.metrics();
    let failures = metrics.lines().filter(|line| line.starts_with("onegate_failures_total{"));
    let failures: Vec<&str> = failures.filter(|line| !line.ends_with(" 0")).collect();
    assert!(failures.is_empty(), "{failures:?}");
    let stderr = gate.stderr();
    assert!(!stderr.contains("internal_error"), "{stderr}");
}

fn expect(record: &Value, end: &str) {
    assert_eq!(record["decision"], "allowed", "{record}");
    assert_eq!(record["end"], end, "{record}");
    assert_eq!(record["operation"], "lab.read", "{record}");
    assert_eq!(record["surface"], "mcp", "{record}");
    assert!(record["failure"].is_null(), "{record}");
}

#[test]
fn a_legacy_call_goes_on_without_its_caller() {
    let upstream = Upstream::start();
    let bench = start(&upstream);
    let streamed = Era::Legacy.lab("hold", "streamed").progress(json!("token"));
    let id = leave_stream(&bench, &upstream, &streamed, "/lab/hold/streamed");
    leave_early(&bench, &upstream, &Era::Legacy.lab("hold", "early"), "/lab/hold/early");
    until_it_was_noticed(&bench);
    // Both are still under way.
    for path in ["/lab/hold/streamed", "/lab/hold/early"] {
        let ended = bench.gate.records_now(&["--path", path]);
        assert!(ended.iter().all(|record| record["end"].is_null()), "{ended:?}");
    }
    upstream.release();
    for record in [bench.gate.record_of_id(&id), bench.gate.record_of_path("/lab/hold/early")] {
        expect(&record, "complete");
        assert_eq!(record["status"], 200, "{record}");
        assert_eq!(record["mcp"]["is_error"], false, "{record}");
    }
    bench.gate.record_of_path("/lab/hold/meanwhile");
    expect_no_failures(&bench.gate);
}

#[test]
fn a_modern_call_ends_with_its_caller() {
    let upstream = Upstream::start();
    let bench = start(&upstream);
    let streamed = Era::Modern.lab("hold", "streamed").progress(json!("token"));
    let id = leave_stream(&bench, &upstream, &streamed, "/lab/hold/streamed");
    leave_early(&bench, &upstream, &Era::Modern.lab("hold", "early"), "/lab/hold/early");
    for record in [bench.gate.record_of_id(&id), bench.gate.record_of_path("/lab/hold/early")] {
        expect(&record, "client_abort");
    }
    // The upstream's calls were ended, nobody released them.
    poll::until("they are given up", || (upstream.connections().open == 0).then_some(()));
    expect_no_failures(&bench.gate);
}

/// The answer has begun, and nobody is there for its end.
#[test]
fn who_leaves_within_an_answer_has_the_same_record() {
    let upstream = Upstream::start();
    let bench = start(&upstream);
    for (era, end) in [(Era::Modern, "client_abort"), (Era::Legacy, "complete")] {
        let path = format!("/lab/stream/{era:?}");
        let message = era.lab("stream", &format!("{era:?}")).progress(json!(7));
        let id = leave_stream(&bench, &upstream, &message, &path);
        if era == Era::Legacy {
            upstream.release();
        }
        expect(&bench.gate.record_of_id(&id), end);
    }
    expect_no_failures(&bench.gate);
}

/// Many at once, at any moment of a call.
#[test]
fn leaving_is_never_a_failure_of_the_gate() {
    let upstream = Upstream::start();
    let bench = start(&upstream);
    for n in 0..40 {
        let era = if n % 2 == 0 { Era::Modern } else { Era::Legacy };
        let behaviour = ["ok", "source", "absent", "stream"][n / 2 % 4];
        let message = era.lab(behaviour, &n.to_string());
        let message = if n % 3 == 0 { message.progress(json!(n)) } else { message };
        let mut client = bench.gate.client();
        client.send(&message.request(Some(&bench.key.text)).bytes());
    }
    upstream.release();
    let all = bench.gate.records(&["--client", "full"], |records| {
        let calls = records.iter().filter(|record| record["operation"] == "lab.read");
        calls.count() >= upstream.received().len()
    });
    for record in all {
        let end = record["end"].as_str().expect("an end");
        assert!(matches!(end, "complete" | "client_abort"), "{record}");
        assert!(record["failure"].is_null(), "{record}");
    }
    let ping = Era::Legacy.message("ping", json!({}));
    assert!(bench.gate.mcp(&bench.key.text, &ping).result().is_object());
    expect_no_failures(&bench.gate);
}
