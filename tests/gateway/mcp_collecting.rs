//! Answers that are longer than a result, or never end: the model gets what there is with a word about the rest, the
//! upstream is left, and none of it is a failure.

use serde_json::{Value, json};

use super::harness::bench::Bench;
use super::harness::mcp::{Answer, Era};
use super::harness::poll;
use super::harness::setup::Setup;
use super::harness::upstream::{OK_BODY, Upstream};

/// An operation that answers with the body it was sent.
const ECHO: &str = r#"
[[api]]
name = "mirror"
base_path = "/mirror"
upstream = "recorder"
access = "public"
body_bytes_max = "8MiB"

[[api.operation]]
id = "send"
methods = ["POST"]
path = "/echo/{n}"
"#;

fn start(upstream: &Upstream, mcp: &str) -> Bench {
    let setup = Setup::before(upstream);
    let apis = format!("{}{ECHO}", setup.apis);
    let more = format!("[mcp]\n{mcp}\nmessage_bytes_max = \"8MiB\"\n");
    Bench::start(&Setup { apis, more, ..setup })
}

/// Good, with a marker, and recorded as the upstream's answer that it is.
fn expect_cut(bench: &Bench, answer: &Answer, marker: &str) -> Value {
    assert!(!answer.is_error(), "{answer:?}");
    assert!(answer.text().contains(marker), "{answer:?}");
    assert!(answer.result()["structuredContent"].is_null(), "it is not whole: {answer:?}");
    let record = bench.gate.record_of_answer(answer);
    for (name, value) in [("decision", "allowed"), ("end", "complete"), ("surface", "mcp")] {
        assert_eq!(record[name], value, "{name}: {record}");
    }
    assert_eq!(record["status"], 200, "{record}");
    assert_eq!(record["mcp"]["is_error"], false, "{record}");
    assert!(record["failure"].is_null(), "{record}");
    record
}

/// What the model gets before the marker.
fn before_marker(answer: &Answer) -> String {
    let text = answer.text();
    text.split("\n[").next().unwrap_or_default().to_owned()
}

#[test]
fn a_short_rest_is_read_away() {
    let upstream = Upstream::start();
    let bench = start(&upstream, "result_bytes_max = \"1KiB\"");
    for (calls, era) in (1..).zip([Era::Modern, Era::Legacy, Era::Modern]) {
        let long = json!({ "n": "1", "body": ["a".repeat(100_000)] });
        let answer = bench.gate.mcp(&bench.key.text, &era.call("mirror_send", &long));
        expect_cut(&bench, &answer, "cut after 1024 bytes");
        assert_eq!(before_marker(&answer).len(), 1024, "{era:?}");
        assert_eq!(upstream.received().len(), calls);
        assert_eq!(upstream.connections().made, 1, "its connection can go on");
    }
    // The very bound is not over it.
    let whole = bench.gate.mcp(&bench.key.text, &Era::Modern.lab("ok", "1"));
    assert_eq!(whole.text().as_bytes(), OK_BODY, "{whole:?}");
    assert_eq!(upstream.connections().made, 1);
}

#[test]
fn a_long_rest_is_left() {
    let upstream = Upstream::start();
    let bench = start(&upstream, "result_bytes_max = \"1KiB\"");
    let long = json!({ "n": "1", "body": ["a".repeat(4 << 20)] });
    for era in Era::BOTH {
        let answer = bench.gate.mcp(&bench.key.text, &era.call("mirror_send", &long));
        expect_cut(&bench, &answer, "cut after 1024 bytes");
        assert_eq!(before_marker(&answer).len(), 1024, "{era:?}");
        poll::until("it is left", || (upstream.connections().open == 0).then_some(()));
    }
    assert_eq!(upstream.connections().made, 2);
}

#[test]
fn an_endless_answer_is_left() {
    let upstream = Upstream::start();
    let bench = start(&upstream, "result_bytes_max = \"64KiB\"\ncollect_for = \"1m\"");
    for era in Era::BOTH {
        for message in [era.lab("endless", "1"), era.lab("endless", "2").progress(json!(1))] {
            let answer = bench.gate.mcp(&bench.key.text, &message);
            expect_cut(&bench, &answer, "cut after 65536 bytes");
            assert_eq!(before_marker(&answer).len(), 65536, "{era:?}");
            poll::until("it is left", || (upstream.connections().open == 0).then_some(()));
        }
    }
}

#[test]
fn events_are_collected_for_a_time() {
    let upstream = Upstream::start();
    let bench = start(&upstream, "collect_for = \"300ms\"");
    for era in Era::BOTH {
        for message in [era.lab("stream", "1"), era.lab("stream", "2").progress(json!(1))] {
            let answer = bench.gate.mcp(&bench.key.text, &message);
            expect_cut(&bench, &answer, "the stream goes on");
            assert!(before_marker(&answer).contains("first"), "{answer:?}");
            poll::until("it is left", || (upstream.connections().open == 0).then_some(()));
        }
    }
    // One that ends in time is whole.
    upstream.release();
    let answer = bench.gate.mcp(&bench.key.text, &Era::Modern.lab("stream", "3"));
    assert_eq!(answer.text(), "firstlast", "{answer:?}");
    assert_eq!(bench.gate.record_of_answer(&answer)["end"], "complete");
    // Over REST it is no different, but that nobody leaves.
    assert_eq!(bench.get("/lab/stream/4").text(), "firstlast");
}

#[test]
fn an_answer_that_breaks_off_is_an_error() {
    let upstream = Upstream::start();
    let bench = start(&upstream, "");
    let over_rest = bench.get("/lab/close-mid-body/1");
    assert!(!over_rest.complete, "{over_rest:?}");
    let of_rest = bench.gate.record_of(&over_rest);
    for era in Era::BOTH {
        let answer = bench.gate.mcp(&bench.key.text, &era.lab("close-mid-body", "1"));
        answer.expect_error("broke off");
        let record = bench.gate.record_of_answer(&answer);
        for name in ["decision", "end", "failure", "reason", "status", "response_bytes"] {
            assert_eq!(record[name], of_rest[name], "{name}: {record}");
        }
        assert_eq!(record["mcp"]["is_error"], true, "{record}");
    }
}
