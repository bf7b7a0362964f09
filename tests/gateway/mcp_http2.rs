//! Messages over HTTP/2: the same answers and records as over HTTP/1, streams as frames of data, and a stream that is
//! reset is a caller that left.

use h2::Reason;
use serde_json::{Value, json};

use super::harness::bench::Bench;
use super::harness::gate::{Gate, Key};
use super::harness::http2::{Begun, Http2, Sent, block_on, in_time};
use super::harness::mcp::{Answer, Era, LEGACY, Message, initialize};
use super::harness::poll::until_seen;
use super::harness::setup::Setup;
use super::harness::upstream::{OK_BODY, Upstream};

fn start(upstream: &Upstream, mcp: &str) -> Bench {
    let listener = "http2 = true".to_owned();
    let more = format!("[mcp]\n{mcp}\n");
    Bench::start(&Setup { listener, more, ..Setup::before(upstream) })
}

async fn ask(http2: &mut Http2, key: &Key, message: &Message) -> Answer {
    let (request, body) = message.over_http2(&key.text);
    Answer::of(http2.call(request, &body).await)
}

/// Sends a message whole; its answer comes later.
async fn send(http2: &mut Http2, key: &Key, message: &Message) -> Sent {
    let (request, body) = message.over_http2(&key.text);
    let mut sent = http2.send(request, false).await;
    sent.body.send_data(body.into(), true).expect("the gate reads");
    sent
}

/// The next frame of data as a message, if it is one.
async fn frame(begun: &mut Begun) -> Option<Value> {
    let data = in_time(begun.body.data()).await.expect("the stream goes on").expect("data");
    begun.body.flow_control().release_capacity(data.len()).expect("it was received");
    let text = std::str::from_utf8(&data).expect("text");
    assert!(text.ends_with("\n\n"), "half an event: {text:?}");
    let line = text.lines().find_map(|line| line.strip_prefix("data:"))?;
    Some(serde_json::from_str(line.trim()).expect("JSON"))
}

#[test]
fn messages_are_answered_as_over_http1() {
    let upstream = Upstream::start();
    let bench = start(&upstream, "");
    block_on(async {
        let mut http2 = Http2::connect(&bench.gate).await;
        let hello = ask(&mut http2, &bench.key, &initialize(LEGACY)).await;
        assert_eq!(hello.result()["protocolVersion"], LEGACY);
        for era in Era::BOTH {
            let listed = ask(&mut http2, &bench.key, &era.message("tools/list", json!({}))).await;
            assert_eq!(listed.tools(), ["lab_erase", "lab_read"], "{era:?}");
            let of_reader =
                ask(&mut http2, &bench.reader, &era.message("tools/list", json!({}))).await;
            assert_eq!(of_reader.tools(), ["lab_read"], "{era:?}");
            let called = ask(&mut http2, &bench.key, &era.lab("ok", "1")).await;
            assert_eq!(called.text().as_bytes(), OK_BODY, "{era:?}");
            let record = bench.gate.record_of_answer(&called);
            assert_eq!(
                (&record["operation"], &record["end"]),
                (&"lab.read".into(), &"complete".into())
            );
            assert_eq!(record["mcp"]["tool"], "lab_read", "{record}");
            let denied = era.call("lab_erase", &json!({ "behaviour": "ok", "n": "1" }));
            let denied = ask(&mut http2, &bench.reader, &denied).await;
            denied.expect_problem(403, "insufficient_scope");
            let absent = ask(&mut http2, &bench.key, &era.lab("absent", "1")).await;
            absent.expect_error("404");
        }
        assert_eq!(upstream.received_at("/lab/ok/1").len(), 2);
        let fields = &upstream.received_at("/lab/ok/1")[0].fields;
        assert_eq!(fields.value("host"), Some("gate.test"));
    });
}

#[test]
fn progress_comes_as_frames() {
    let upstream = Upstream::start();
    let bench = start(&upstream, "keep_alive = \"1s\"");
    block_on(async {
        let mut http2 = Http2::connect(&bench.gate).await;
        let mut streams = Vec::new();
        for era in Era::BOTH {
            let token = json!(format!("{era:?}"));
            let message = era.lab("hold", &format!("{era:?}")).progress(token.clone());
            let mut begun = send(&mut http2, &bench.key, &message).await.begun().await;
            let kind = begun.head.headers["content-type"].to_str().expect("text").to_owned();
            assert!(kind.starts_with("text/event-stream"), "{kind}");
            for name in ["transfer-encoding", "connection", "content-length"] {
                assert!(!begun.head.headers.contains_key(name), "{name}");
            }
            let told = frame(&mut begun).await.expect("progress");
            assert_eq!(told["params"]["progressToken"], token, "{told}");
            streams.push((begun, token));
        }
        // Two streams of one connection go on side by side.
        for (begun, token) in &mut streams {
            let told = frame(begun).await.expect("progress");
            assert_eq!(&told["params"]["progressToken"], token, "{told}");
        }
        upstream.release();
        for (begun, _) in streams {
            let answer = Answer::of(begun.whole().await);
            assert!(answer.response.complete, "{answer:?}");
            assert_eq!(answer.text().as_bytes(), OK_BODY);
            assert_eq!(bench.gate.record_of_answer(&answer)["end"], "complete");
        }
    });
}

/// A stream that is gone once the caller had a sign of progress, or before it had anything.
async fn reset(http2: &mut Http2, bench: &Bench, upstream: &Upstream, message: &Message) {
    let mut sent = send(http2, &bench.key, message).await;
    let open = upstream.connections().open;
    until_seen("the call arrives", || upstream.connections().open > open).await;
    sent.body.send_reset(Reason::CANCEL);
}

#[test]
fn a_modern_caller_that_resets_its_stream_ends_the_call() {
    let upstream = Upstream::start();
    let bench = start(&upstream, "");
    block_on(async {
        let mut http2 = Http2::connect(&bench.gate).await;
        let quiet = Era::Modern.lab("hold", "quiet");
        let streamed = Era::Modern.lab("hold", "streamed").progress(json!(1));
        for (message, path) in [(quiet, "/lab/hold/quiet"), (streamed, "/lab/hold/streamed")] {
            reset(&mut http2, &bench, &upstream, &message).await;
            until_seen("it is given up", || upstream.connections().open == 0).await;
            expect(&bench.gate, path, "client_abort");
        }
        // The connection goes on.
        let answer = ask(&mut http2, &bench.key, &Era::Modern.lab("ok", "1")).await;
        assert_eq!(answer.text().as_bytes(), OK_BODY);
    });
}

#[test]
fn a_legacy_caller_that_resets_its_stream_does_not() {
    let upstream = Upstream::start();
    let bench = start(&upstream, "keep_alive = \"1s\"");
    block_on(async {
        let mut http2 = Http2::connect(&bench.gate).await;
        let quiet = Era::Legacy.lab("hold", "quiet");
        let streamed = Era::Legacy.lab("hold", "streamed").progress(json!(1));
        for message in [&quiet, &streamed] {
            reset(&mut http2, &bench, &upstream, message).await;
        }
        // By then it was noticed: signs of life go to all.
        let other = Era::Legacy.lab("hold", "other").progress(json!(2));
        let mut other = send(&mut http2, &bench.key, &other).await.begun().await;
        for _ in 0..3 {
            frame(&mut other).await;
        }
        assert_eq!(upstream.connections().open, 3, "a call was given up");
        upstream.release();
        drop(Answer::of(other.whole().await));
        for path in ["/lab/hold/quiet", "/lab/hold/streamed", "/lab/hold/other"] {
            expect(&bench.gate, path, "complete");
        }
    });
}

fn expect(gate: &Gate, path: &str, end: &str) {
    let record = gate.record_of_path(path);
    assert_eq!((&record["decision"], &record["end"]), (&"allowed".into(), &end.into()), "{record}");
    assert_eq!((&record["surface"], &record["operation"]), (&"mcp".into(), &"lab.read".into()));
    let metrics = gate.metrics();
    let failed = metrics.lines().filter(|line| line.starts_with("onegate_failures_total{"));
    assert!(failed.clone().all(|line| line.ends_with(" 0")), "{:?}", failed.collect::<Vec<_>>());
}
