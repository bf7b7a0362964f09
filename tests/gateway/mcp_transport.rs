//! Messages as connections carry them: in the smallest pieces, before another request, slower than a revocation, in
//! HTTP/1.0, from clients that take no stream.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::json;

use super::harness::bench::Bench;
use super::harness::http::{Body, Request};
use super::harness::mcp::{Answer, Era, Message, legacy, modern};
use super::harness::setup::Setup;
use super::harness::toolbox::Toolbox;
use super::harness::upstream::{OK_BODY, Upstream};

/// A message as long as it is said.
fn long(era: Era, bytes: usize) -> Message {
    era.call("lab_write", &json!({ "n": "1", "amount": 1, "note": "a".repeat(bytes) }))
}

#[test]
fn a_message_may_come_byte_by_byte() {
    let toolbox = Toolbox::start();
    for era in Era::BOTH {
        let before = toolbox.upstream.asked().len();
        let request = long(era, 60_000).chunked(&toolbox.full.text, 1);
        let next = era.call("lab_read", &json!({ "n": "2" })).request(Some(&toolbox.full.text));
        let mut client = toolbox.gate.client();
        let first = Answer::of(client.call(&request));
        assert!(!first.is_error(), "{first:?}");
        // The connection goes on, for messages and for the rest.
        let second = Answer::of(client.call(&next));
        assert_eq!(second.structured()["target"], "/lab/ok/2", "{second:?}");
        let third = client.call(&Request::get("/lab/ok/3").key(&toolbox.full.text));
        assert_eq!((third.status, third.complete), (200, true), "{third:?}");
        let asked = toolbox.upstream.asked();
        assert_eq!(asked.len(), before + 3);
        let sent: serde_json::Value = serde_json::from_slice(&asked[before].body).expect("JSON");
        assert_eq!(sent["note"].as_str().map(str::len), Some(60_000), "all of it arrived");
    }
}

/// One thread serves both: who sends small pieces without end does not have it for itself.
#[test]
fn small_pieces_starve_nobody() {
    let server = "threads = 1";
    let toolbox = Toolbox::start_with(|setup| Setup { server, ..setup });
    let request = long(Era::Modern, 300_000).chunked(&toolbox.full.text, 1).bytes();
    let answered = AtomicBool::new(false);
    let meanwhile = thread::scope(|scope| {
        let mut slow = toolbox.gate.client();
        let answered = &answered;
        scope.spawn(move || {
            slow.send(&request);
            let answer = slow.read(Body::Expected);
            answered.store(true, Ordering::Release);
            let answer = Answer::of(answer.expect("an answer"));
            assert!(!answer.is_error(), "{answer:?}");
        });
        let mut other = toolbox.gate.client();
        let mut calls = 0;
        while !answered.load(Ordering::Acquire) {
            let call = Era::Legacy.call("lab_read", &json!({ "n": "2" }));
            let answer = Answer::of(other.call(&call.request(Some(&toolbox.full.text))));
            assert!(!answer.is_error(), "{answer:?}");
            calls += 1;
        }
        calls
    });
    assert!(meanwhile > 2, "{meanwhile} calls were answered meanwhile");
}

/// Half of a message is no message: another one comes and goes in between.
#[test]
fn a_slow_message_waits_alone() {
    let toolbox = Toolbox::start_with(|setup| Setup { server: "threads = 1", ..setup });
    let request = long(Era::Legacy, 10_000).chunked(&toolbox.full.text, 1).bytes();
    let (half, rest) = request.split_at(request.len() / 2);
    let mut slow = toolbox.gate.client();
    slow.send(half);
    // For longer than the rate's burst lasts: what was charged meanwhile lies in the future of the message's head.
    let mut seconds = BTreeSet::new();
    while seconds.len() < 4 {
        let answer = toolbox.ask(&Era::Modern.call("lab_read", &json!({ "n": "2" })));
        assert!(!answer.is_error());
        seconds.insert(answer.response.field("date").expect("a date").to_owned());
    }
    slow.send(rest);
    let answer = Answer::of(slow.read(Body::Expected).expect("an answer"));
    assert_eq!(answer.structured()["target"], "/lab/ok/1", "{answer:?}");
}

/// The gate has begun to read when it says so.
fn begin(
    toolbox: &Toolbox,
    key: &str,
    message: &Message,
) -> (super::harness::client::Client, Vec<u8>) {
    let request = message.request(None).key(key).field("Expect", "100-continue");
    let bytes = request.bytes();
    let (head, body) = bytes.split_at(request.head_bytes().len());
    let mut client = toolbox.gate.client();
    client.send(head);
    let interim = client.read(Body::Absent).expect("an answer");
    assert_eq!(interim.status, 100, "{interim:?}");
    let (some, rest) = body.split_at(body.len() / 2);
    client.send(some);
    (client, rest.to_vec())
}

#[test]
fn who_is_stopped_while_sending_is_not_answered() {
    let toolbox = Toolbox::start();
    let read = json!({ "n": "1" });
    for (n, (stop, message)) in [
        ("revoke", modern("tools/list", json!({}))),
        ("suspend", legacy("tools/list", json!({}))),
        ("revoke", Era::Modern.call("lab_read", &read)),
        ("suspend", Era::Legacy.call("lab_read", &read)),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("gone-{n}");
        let key = toolbox.gate.add_client(&id, &super::harness::toolbox::FULL);
        let (mut client, rest) = begin(&toolbox, &key.text, &message);
        toolbox.gate.cli(&[stop, "client", &id, "--reason", "a test"]).expect_success();
        client.send(&rest);
        // It may be cut off as well.
        if let Some(response) = client.read(Body::Expected) {
            assert!(matches!(response.status, 401 | 403), "{stop}: {response:?}");
            let record = toolbox.gate.record_of(&response);
            assert_eq!(record["decision"], "denied", "{record}");
            assert_eq!(record["client"], id.as_str(), "{record}");
        }
        let records = toolbox.gate.records(&["--client", &id], |records| !records.is_empty());
        assert!(records.iter().all(|record| record["status"] != 200), "{records:?}");
    }
    assert!(toolbox.upstream.asked().is_empty(), "{:?}", toolbox.upstream.asked());
}

/// A grant that goes while the message comes: the tool is denied.
#[test]
fn what_is_taken_while_sending_is_denied() {
    let toolbox = Toolbox::start();
    let call = Era::Modern.call("lab_read", &json!({ "n": "1" }));
    let (mut client, rest) = begin(&toolbox, &toolbox.reader.text, &call);
    let remove =
        ["grant", "remove", "--client", "reader", "--product", "reading", "--reason", "a test"];
    toolbox.gate.cli(&remove).expect_success();
    client.send(&rest);
    let answer = Answer::of(client.read(Body::Expected).expect("an answer"));
    answer.expect_problem(403, "not_granted");
    assert!(toolbox.upstream.asked().is_empty());
}

#[test]
fn who_takes_json_only_never_gets_a_stream() {
    let toolbox = Toolbox::start_with_keys("stream_after = \"0s\"\nkeep_alive = \"1s\"");
    for era in Era::BOTH {
        let call = era.call("lab_read", &json!({ "n": "1" })).progress(json!(1));
        for accept in ["application/json", "application/json, text/html", "application/json;q=0.5"]
        {
            let answer = toolbox.ask(&call.clone().with("Accept", accept));
            assert_eq!(answer.response.status, 200, "{accept}: {answer:?}");
            assert_eq!(answer.messages.len(), 1, "{accept}: {answer:?}");
            let kind = answer.response.field("content-type");
            assert_eq!(kind, Some("application/json"), "{accept}: {answer:?}");
            assert!(answer.response.field("content-length").is_some(), "{answer:?}");
        }
        for accept in ["text/event-stream, application/json", "*/*", "Text/Event-Stream"] {
            let answer = toolbox.ask(&call.clone().with("Accept", accept));
            assert!(!answer.is_error(), "{accept}: {answer:?}");
        }
    }
}

#[test]
fn http_1_0_is_answered_whole() {
    let upstream = Upstream::start();
    let more = "[mcp]\nstream_after = \"0s\"\nlisten_for = \"1s\"\n".to_owned();
    let bench = Bench::start(&Setup { more, ..Setup::before(&upstream) });
    for era in Era::BOTH {
        for message in [
            era.message("tools/list", json!({})),
            era.lab("ok", "1"),
            era.lab("ok", "2").progress(json!(1)),
        ] {
            let request = message.request(Some(&bench.key.text)).http_1_0();
            let answer = Answer::of(bench.gate.call(&request));
            assert!(answer.result().is_object(), "{answer:?}");
            assert!(answer.response.field("content-length").is_some(), "{answer:?}");
            assert_eq!(answer.response.field("transfer-encoding"), None, "{answer:?}");
            assert_eq!(answer.response.field("content-type"), Some("application/json"));
        }
    }
    assert_eq!(upstream.received_at("/lab/ok/1").len(), 2);
    // A stream ends with its connection.
    let asked = json!({ "notifications": { "toolsListChanged": true } });
    let listen = modern("subscriptions/listen", asked).request(Some(&bench.key.text)).http_1_0();
    let answer = Answer::of(bench.gate.call(&listen));
    for name in ["transfer-encoding", "content-length"] {
        assert_eq!(answer.response.field(name), None, "{answer:?}");
    }
    assert_eq!(answer.response.field("connection"), Some("close"), "{answer:?}");
    assert_eq!(answer.messages.len(), 2, "{answer:?}");
    assert_eq!(answer.result()["resultType"], "complete", "{answer:?}");
    assert_eq!(bench.gate.record_of(&answer.response)["end"], "complete");
}

/// Regression: a caller that left within its message was a failure of the gate, answered with 500. Over REST it is one
/// that left.
#[test]
fn half_a_message_is_a_caller_that_left() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let half = |request: &Request, cut: usize| {
        let bytes = request.bytes();
        let mut stream = TcpStream::connect(bench.gate.address).expect("the gate listens");
        stream.write_all(&bytes[..bytes.len() - cut]).expect("it reads");
    };
    let key = &bench.key.text;
    half(&Request::new("POST", "/lab/echo/1").key(key).body(&[b'x'; 300]), 50);
    assert_eq!(bench.gate.record_of_path("/lab/echo/1")["end"], "client_abort");
    for cut in [1, 2, 50] {
        half(&Era::Modern.lab("ok", "1").request(Some(key)), cut);
    }
    half(&Era::Legacy.lab("ok", "1").chunked(key, 1), 6);
    let left = bench.gate.records(&["--path", "/mcp"], |records| records.len() >= 4);
    for record in left {
        assert_eq!(record["end"], "client_abort", "{record}");
        assert!(record["failure"].is_null(), "{record}");
    }
    assert!(upstream.received_at("/lab/ok/1").is_empty());
    let answer = bench.gate.mcp(key, &Era::Modern.lab("ok", "1"));
    assert_eq!(answer.text().as_bytes(), OK_BODY);
}
