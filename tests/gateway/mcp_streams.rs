//! Calls that take their time: progress where it was asked for, signs of life, and the end when the caller
//! leaves.

use serde_json::{Value, json};

use super::harness::events::Events;
use super::harness::http::Body;
use super::harness::mcp::{Era, Message};
use super::harness::poll;
use super::harness::toolbox::Toolbox;

/// A call that waits for the test, in some era.
fn held(era: Era, token: Option<Value>) -> Message {
    let call = era.call("lab_hold", &json!({ "n": "1" }));
    match (token, era) {
        (None, _) => call,
        (Some(token), Era::Modern) => call.set("/params/_meta/progressToken", token),
        (Some(token), Era::Legacy) => call.set("/params/_meta", json!({ "progressToken": token })),
    }
}

#[test]
fn progress_is_told_to_who_asks_for_it() {
    let toolbox = Toolbox::start_with_keys("keep_alive = \"1s\"");
    for (era, token) in [(Era::Modern, json!("token")), (Era::Legacy, json!(7))] {
        let call = held(era, Some(token.clone()));
        let mut events = Events::open(&toolbox.gate, &toolbox.full.text, &call);
        let mut last = None;
        for _ in 0..3 {
            let told = events.next().expect("progress");
            assert_eq!(told["method"], "notifications/progress", "{told}");
            assert_eq!(told["params"]["progressToken"], token, "{told}");
            let progress = told["params"]["progress"].as_f64().expect("a number");
            assert!(last.is_none_or(|last| progress > last), "{told}");
            last = Some(progress);
        }
        drop(events);
    }
    toolbox.upstream.release();
    // It ends with the result.
    let call = held(Era::Modern, Some(json!(1)));
    let answer = toolbox.ask(&call);
    assert_eq!(answer.structured()["target"], "/lab/hold/1");
}

#[test]
fn a_long_call_becomes_a_stream() {
    let toolbox = Toolbox::start_with_keys("stream_after = \"100ms\"\nkeep_alive = \"1s\"");
    for era in Era::BOTH {
        let mut events = Events::open(&toolbox.gate, &toolbox.full.text, &held(era, None));
        let frame = events.frame().expect("a sign of life");
        assert!(frame.starts_with(':'), "{era:?}: {frame}");
    }
    let mut events = Events::open(&toolbox.gate, &toolbox.full.text, &held(Era::Modern, None));
    toolbox.upstream.release();
    let result = events.next().expect("the result");
    assert_eq!(result["id"], 1, "{result}");
    assert_eq!(result["result"]["structuredContent"]["target"], "/lab/hold/1", "{result}");
    assert!(events.next().is_none(), "the result ends the stream");
}

#[test]
fn who_takes_no_stream_gets_none() {
    let toolbox = Toolbox::start_with_keys("stream_after = \"100ms\"");
    let mut client = toolbox.gate.client();
    let call = held(Era::Legacy, Some(json!(1))).with("Accept", "application/json");
    client.send(&call.request(Some(&toolbox.full.text)).bytes());
    poll::until("the call is in the air", || (!toolbox.upstream.asked().is_empty()).then_some(()));
    assert!(!client.hears_within(std::time::Duration::from_millis(500)), "it cannot be a stream");
    toolbox.upstream.release();
    let response = client.read(Body::Expected).expect("an answer");
    assert_eq!(response.field("content-type"), Some("application/json"), "{response:?}");
}

#[test]
fn a_modern_caller_that_leaves_ends_the_call() {
    let toolbox = Toolbox::start();
    let mut client = toolbox.gate.client();
    client.send(&held(Era::Modern, None).request(Some(&toolbox.full.text)).bytes());
    poll::until("the call is in the air", || (!toolbox.upstream.asked().is_empty()).then_some(()));
    drop(client);
    let filters = ["--path", "/lab/hold/1"];
    let records = toolbox.gate.records(&filters, |records| !records.is_empty());
    assert_eq!(records[0]["end"], "client_abort", "{records:?}");
    assert_eq!(records[0]["operation"], "lab.hold", "{records:?}");
}

#[test]
fn a_deadline_is_told_to_the_model() {
    let toolbox = Toolbox::start_with(|setup| super::harness::setup::Setup {
        upstream: "retries = 0\ntimeouts = { total = \"500ms\" }",
        ..setup
    });
    for era in Era::BOTH {
        let answer = toolbox.ask(&held(era, None));
        answer.expect_problem(504, "deadline");
        let record = toolbox.gate.record_of_answer(&answer);
        assert_eq!((&record["status"], &record["end"]), (&json!(504), &json!("deadline")));
    }
}

#[test]
fn a_revoked_client_is_cut_off_in_the_middle() {
    let toolbox = Toolbox::start_with_keys("stream_after = \"100ms\"");
    let reader = ["--no-expiry", "--plan", "wide", "--product", "all"];
    let key = toolbox.gate.add_client("cut", &reader);
    let events = Events::open(&toolbox.gate, &key.text, &held(Era::Modern, None));
    let revoke = ["revoke", "client", "cut", "--reason", "a test"];
    toolbox.gate.cli(&revoke).expect_success();
    for message in events.rest() {
        assert_ne!(message["result"]["isError"], false, "{message}");
    }
    let filters = ["--path", "/lab/hold/1"];
    let records = toolbox.gate.records(&filters, |records| !records.is_empty());
    assert_eq!(records[0]["end"], "revoked", "{records:?}");
}
