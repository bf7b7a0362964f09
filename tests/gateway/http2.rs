//! HTTP/2 from callers that keep its rules: the same decisions, records and deadlines as HTTP/1, and
//! streams that end without each other.

use bytes::Bytes;
use h2::Reason;
use http::Request;
use onegate::model::denial::{Denial, Failure};

use super::harness::address;
use super::harness::bench::{Bench, expect_denial};
use super::harness::client::Client;
use super::harness::curl::Curl;
use super::harness::frames::Frames;
use super::harness::gate::Gate;
use super::harness::http::{Body, Request as Http1};
use super::harness::http2::{Begun, Http2, Sent, block_on, in_time, request};
use super::harness::poll::until_seen;
use super::harness::setup::Setup;
use super::harness::tools;
use super::harness::upstream::{OK_BODY, Upstream};

fn setup(upstream: &Upstream) -> Setup {
    Setup { listener: "http2 = true".to_owned(), ..Setup::before(upstream) }
}

#[test]
fn plain_http2_is_taken_only_where_it_is_set() {
    let upstream = Upstream::start();
    let address = address::free();
    let more = format!("[[listener]]\nname = \"old\"\naddress = \"{address}\"\nhttp2 = false\n");
    let gate = Gate::start(&Setup { more, ..setup(&upstream) });
    let fetch = |version: &str| {
        let curl = Curl::to(&gate, "http", "gate.test", gate.address, "/open/ok/1");
        let fetched = curl.args(&[version]).fetch();
        assert_eq!((fetched.response.status, &*fetched.response.body), (200, &OK_BODY[..]));
        fetched.version
    };
    assert_eq!(fetch("--http2-prior-knowledge"), "HTTP/2");
    assert_eq!(fetch("--http1.1"), "HTTP/1.1");
    // An upgrade is not taken: the response is HTTP/1.1's.
    assert_eq!(fetch("--http2"), "HTTP/1.1");
    let mut old = Client::connect(address, Some(gate.witness.clone()));
    old.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    let response = old.read(Body::Expected).expect("an answer");
    expect_denial(&response, Denial::MalformedRequest, &[]);
}

#[test]
fn a_call_is_judged_forwarded_and_recorded_as_over_http1() {
    let upstream = Upstream::start();
    let bench = Bench::start(&setup(&upstream));
    block_on(async {
        let mut http2 = Http2::connect(&bench.gate).await;
        let mut call = request("POST", "/lab/echo/1?q=1", &bench.key.text);
        let fields = call.headers_mut();
        fields.append("cookie", "a=1".parse().expect("a value"));
        fields.append("cookie", "b=2".parse().expect("a value"));
        fields.insert("x-forwarded-for", "6.6.6.6".parse().expect("a value"));
        fields.insert("te", "trailers".parse().expect("a value"));
        let response = http2.call(call, b"hello").await;
        assert_eq!((response.status, response.text()), (200, "hello"));
        assert_eq!(response.field("x-upstream"), Some("kept"));
        assert!(response.field("date").is_some() && response.field("connection").is_none());
        let record = bench.gate.record_of(&response);
        assert_eq!(record["operation"], "lab.write", "{record}");
        assert_eq!(
            (&record["host"], &record["path"]),
            (&"gate.test".into(), &"/lab/echo/1".into())
        );
        assert_eq!(record["request_bytes"], 5, "{record}");
        assert_eq!(record["end"], "complete", "{record}");
        let received = upstream.one_at("/lab/echo/1?q=1");
        let field = |name: &str| received.fields.value(name).map(str::to_owned);
        assert_eq!(field("host").as_deref(), Some("gate.test"));
        assert_eq!(field("x-forwarded-host").as_deref(), Some("gate.test"));
        assert_eq!(field("x-forwarded-proto").as_deref(), Some("http"));
        assert_eq!(field("x-forwarded-for").as_deref(), Some("127.0.0.1"));
        assert_eq!(field("cookie").as_deref(), Some("a=1; b=2"));
        assert_eq!(field("via").as_deref(), Some("2 onegate"));
        assert_eq!((field("te"), field("authorization")), (None, None));

        let head = http2.call(request("HEAD", "/lab/ok/2", &bench.key.text), b"").await;
        assert_eq!((head.status, head.body.len(), head.complete), (200, 0, true));
        assert_eq!(head.field("content-length"), Some("1024"));
        let empty = http2.call(request("GET", "/lab/empty/3", &bench.key.text), b"").await;
        assert_eq!((empty.status, empty.complete), (204, true));
        let own = http2.call(request("GET", "/lab/absent/4", &bench.key.text), b"").await;
        assert_eq!((own.status, own.text()), (404, "not here\n"));
        let large = vec![7; 200_000];
        let large_back = http2.call(request("PUT", "/open/echo/5", ""), &large).await;
        assert!(large_back.body == large, "{} bytes came back", large_back.body.len());
    });
}

#[test]
fn denials_and_failures_are_told_on_their_stream() {
    let upstream = Upstream::start();
    let bounds = "head_fields_max = 20\nhead_bytes_max = \"4KiB\"\nuri_bytes_max = \"256B\"";
    let keys = "retries = 0\ntimeouts = { first_byte = \"300ms\" }";
    let bench = Bench::start(&Setup { bounds, upstream: keys, ..setup(&upstream) });
    block_on(async {
        let mut http2 = Http2::connect(&bench.gate).await;
        let check = async |http2: &mut Http2, call: Request<()>, body: &[u8], denial: Denial| {
            let response = http2.call(call, body).await;
            bench.check_response(&response, denial, &[]);
        };
        let key = &bench.key.text;
        let other = &bench.other.text;
        check(&mut http2, request("GET", "/lab/ok/1", ""), b"", Denial::CredentialMissing).await;
        check(&mut http2, request("GET", "/lab/ok/1", other), b"", Denial::NotGranted).await;
        check(&mut http2, request("GET", "/nowhere", key), b"", Denial::NotFound).await;
        check(&mut http2, request("PATCH", "/lab/ok/1", key), b"x", Denial::MethodNotAllowed).await;
        check(&mut http2, request("POST", "/lab/echo/1", key), &[7; 5000], Denial::BodyTooLarge)
            .await;
        let with = |name: &str, value: &str| {
            let mut call = request("GET", "/open/ok/1", "");
            let name = http::HeaderName::from_bytes(name.as_bytes()).expect("a name");
            call.headers_mut().insert(name, value.parse().expect("a value"));
            call
        };
        check(&mut http2, with("host", "other.test"), b"", Denial::MalformedRequest).await;
        check(&mut http2, with("a", &"a".repeat(4096)), b"", Denial::HeadTooLarge).await;
        let mut many = request("GET", "/open/ok/1", "");
        for n in 0..20 {
            many.headers_mut().append("a", n.into());
        }
        check(&mut http2, many, b"", Denial::HeadTooLarge).await;
        let long = format!("{:a<257}", "/open/ok/1?");
        check(&mut http2, request("GET", &long, ""), b"", Denial::UriTooLong).await;
        let connect = Request::builder().method("CONNECT").uri("gate.test:80");
        let connect = connect.body(()).expect("a request");
        check(&mut http2, connect, b"", Denial::MethodNotAllowed).await;
        // HEAD has the same head and no body.
        let head = http2.call(request("HEAD", "/lab/ok/1", ""), b"").await;
        assert_eq!((head.status, head.body.len(), head.complete), (401, 0, true));

        let check = async |http2: &mut Http2, behaviour: &str, failure: Failure| {
            let target = format!("/open/{behaviour}/1");
            let response = http2.call(request("GET", &target, ""), b"").await;
            assert_eq!(response.problem()["code"], failure.code(), "{response:?}");
            assert_eq!(bench.gate.record_of(&response)["failure"], failure.code());
        };
        check(&mut http2, "close", Failure::UpstreamProtocol).await;
        check(&mut http2, "garbage", Failure::UpstreamProtocol).await;
        check(&mut http2, "hold", Failure::UpstreamTimeout).await;
        // What has begun cannot be mended: the stream is reset, perhaps before its head was sent.
        let sent = http2.get("/open/close-mid-body/1", "").await;
        if let Ok(response) = sent.begun_or_reset().await {
            let mut body = response.into_body();
            while let Some(Ok(_)) = in_time(body.data()).await {}
            assert!(!body.is_end_stream(), "half a body is none");
        }
        assert_eq!(bench.gate.record_of_path("/open/close-mid-body/1")["end"], "upstream_error");
        // The connection has outlived all of it.
        assert_eq!(http2.call(request("GET", "/open/ok/9", ""), b"").await.status, 200);
    });
}

#[test]
fn each_deadline_holds_on_a_stream() {
    let upstream = Upstream::start();
    let bounds = "body_timeout = \"1s\"\nidle_timeout = \"1s\"";
    let keys = "timeouts = { idle = \"300ms\", total = \"2s\" }";
    let gate = Gate::start(&Setup { bounds, upstream: keys, ..setup(&upstream) });
    block_on(async {
        let mut http2 = Http2::connect(&gate).await;
        let slow = http2.send(request("POST", "/open/echo/1", ""), false).await;
        let held = http2.get("/open/hold/2", "").await;
        let stalled = http2.get("/open/stream/3", "").await;
        let stalled = stalled.response().await;
        assert_eq!((stalled.status, stalled.complete, stalled.text()), (200, false, "first"));
        assert_eq!(gate.record_of(&stalled)["end"], "deadline");
        let slow = slow.response().await;
        expect_denial(&slow, Denial::RequestTimeout, &[]);
        assert_eq!(gate.record_of(&slow)["end"], "deadline");
        let held = held.response().await;
        assert_eq!(held.problem()["code"], Failure::Deadline.code());
        assert_eq!(gate.record_of(&held)["end"], "deadline");
        // Now the connection is idle, and is closed in good order.
        assert!(http2.ended().await.is_none());
    });
}

#[test]
fn streams_past_the_most_wait() {
    let upstream = Upstream::start();
    let bounds = "http2_streams_max = 3";
    let gate = Gate::start(&Setup { bounds, ..setup(&upstream) });
    block_on(async {
        let mut http2 = Http2::connect(&gate).await;
        until_seen("the bound is told", || http2.streams_max() == 3).await;
        let mut held = Vec::new();
        for n in 0..4 {
            held.push(http2.get(&format!("/open/hold/{n}"), "").await);
        }
        until_seen("three arrive", || upstream.received().len() == 3).await;
        assert!(upstream.received_at("/open/hold/3").is_empty());
        upstream.release();
        for sent in held {
            assert_eq!(sent.response().await.status, 200);
        }
    });
}

#[test]
fn a_revoked_client_loses_its_streams_and_others_go_on() {
    let upstream = Upstream::start();
    let bench = Bench::start(&setup(&upstream));
    let revoked = bench.gate.add_lab_client("revoked");
    block_on(async {
        let mut http2 = Http2::connect(&bench.gate).await;
        let (mut quiet, mut others) = (Vec::new(), Vec::new());
        for n in 0..50 {
            let sent = http2.get(&format!("/lab/stream/{n}"), &revoked.text).await;
            quiet.push(first(sent).await);
        }
        for n in 50..55 {
            let sent = http2.get(&format!("/lab/stream/{n}"), &bench.key.text).await;
            others.push(first(sent).await);
        }
        let revoke = ["revoke", "client", "revoked", "--reason", "test"];
        let receipt = bench.gate.json(&revoke).remove(0);
        assert_eq!(receipt["requests_ended"], 50, "{receipt}");
        for begun in quiet {
            let response = begun.whole().await;
            assert!(!response.complete, "it was to be reset");
            let record = bench.gate.record_of(&response);
            assert_eq!((&record["end"], &record["status"]), (&"revoked".into(), &200.into()));
        }
        upstream.release();
        for begun in others {
            let response = begun.whole().await;
            assert_eq!((response.complete, response.text()), (true, "last"));
        }
        let again = http2.call(request("GET", "/lab/ok/1", &revoked.text), b"").await;
        expect_denial(&again, Denial::CredentialInvalid, &[]);
    });
}

/// A stream whose first piece has come, and then is quiet.
async fn first(sent: Sent) -> Begun {
    let mut begun = sent.begun().await;
    let piece = in_time(begun.body.data()).await.expect("a piece").expect("a piece");
    assert_eq!(&piece[..], b"first");
    begun
}

#[test]
fn a_caller_that_leaves_takes_its_call_along() {
    let upstream = Upstream::start();
    let gate = Gate::start(&setup(&upstream));
    block_on(async {
        let mut http2 = Http2::connect(&gate).await;
        let mut one = http2.get("/open/hold/1", "").await;
        let other = http2.get("/open/hold/2", "").await;
        until_seen("both arrive", || upstream.connections().open == 2).await;
        one.body.send_reset(Reason::CANCEL);
        until_seen("one is given up", || upstream.connections().open == 1).await;
        assert_eq!(gate.record_of_path("/open/hold/1")["end"], "client_abort");
        // The whole connection goes, in the middle of an upload too.
        let mut upload = http2.send(request("POST", "/open/echo/3", ""), false).await;
        upload.body.send_data(Bytes::from_static(b"half"), false).expect("sent");
        until_seen("the upload arrives", || upstream.connections().open == 2).await;
        http2.leave().await;
        drop((upload, other, one));
        for path in ["/open/hold/2", "/open/echo/3"] {
            assert_eq!(gate.record_of_path(path)["end"], "client_abort", "{path}");
        }
        until_seen("all are given up", || upstream.connections().open == 0).await;
    });
}

#[test]
fn a_body_that_differs_from_its_length_is_refused() {
    let upstream = Upstream::start();
    let gate = Gate::start(&setup(&upstream));
    block_on(async {
        let mut http2 = Http2::connect(&gate).await;
        for (n, body) in [(1, &b"short"[..]), (2, b"much too long")] {
            let mut call = request("POST", &format!("/open/echo/{n}"), "");
            call.headers_mut().insert("content-length", 9.into());
            let mut sent = http2.send(call, false).await;
            until_seen("the head arrives", || {
                !upstream.received_at(&format!("/open/echo/{n}")).is_empty()
            })
            .await;
            sent.body.send_data(Bytes::copy_from_slice(body), true).expect("sent");
            let error = sent.begun_or_reset().await.expect_err("a reset");
            assert_eq!(error.reason(), Some(Reason::PROTOCOL_ERROR));
            let record = gate.record_of_path(&format!("/open/echo/{n}"));
            assert_eq!(record["denial"], Denial::MalformedRequest.code(), "{record}");
        }
        assert_eq!(http2.call(request("GET", "/open/ok/9", ""), b"").await.status, 200);
    });
}

#[test]
fn a_drain_says_goodbye_and_lets_streams_end() {
    let upstream = Upstream::start();
    let mut gate = Gate::start(&Setup { server: "drain_deadline = \"20s\"", ..setup(&upstream) });
    block_on(async {
        let mut http2 = Http2::connect(&gate).await;
        let idle = Http2::connect(&gate).await;
        let held = http2.get("/open/hold/1", "").await;
        until_seen("it arrives", || upstream.received().len() == 1).await;
        gate.signal("TERM");
        assert!(idle.ended().await.is_none(), "an idle connection ends well");
        upstream.release();
        assert_eq!(held.response().await.status, 200);
        assert!(http2.ended().await.is_none(), "a busy one ends well after its last stream");
    });
    assert!(gate.wait_for_end().success());
}

#[test]
fn a_drain_deadline_is_told_on_each_stream() {
    let upstream = Upstream::start();
    let mut gate = Gate::start(&Setup { server: "drain_deadline = \"1s\"", ..setup(&upstream) });
    block_on(async {
        let mut http2 = Http2::connect(&gate).await;
        let held = http2.get("/open/hold/1", "").await;
        until_seen("it arrives", || upstream.received().len() == 1).await;
        gate.signal("TERM");
        assert_eq!(held.response().await.problem()["code"], Failure::Deadline.code());
        http2.ended().await;
    });
    assert!(gate.wait_for_end().success());
}

#[test]
fn many_requests_on_few_connections_have_a_record_each() {
    let upstream = Upstream::start();
    let gate = Gate::start(&setup(&upstream));
    let url = format!("http://{}/open/ok/1", gate.address);
    let mut h2load = std::process::Command::new("h2load");
    h2load.args(["-n", "2000", "-c", "4", "-m", "25", &url]);
    let said = tools::run(&mut h2load, b"").expect_success();
    assert!(said.contains("2000 succeeded, 0 failed, 0 errored"), "{said}");
    let records =
        gate.records(&["--path", "/open/ok/1", "--limit", "5000"], |records| records.len() == 2000);
    assert!(records.iter().all(|record| record["end"] == "complete" && record["status"] == 200));
    assert_eq!(gate.call(&Http1::get("/open/ok/2")).status, 200);
}

/// Regression: a caller that translates from HTTP/1 may send Host and no :authority; and a key of
/// the gate among the crumbs of a cookie was joined to the others and so passed.
#[test]
fn heads_from_translators_are_taken() {
    let upstream = Upstream::start();
    let bench = Bench::start(&setup(&upstream));
    let key = &bench.key.text;
    let mut frames = Frames::begin(bench.gate.address);
    let head = [(":method", "GET"), (":scheme", "http"), (":path", "/open/ok/1")];
    frames.request(1, &[&head[..], &[("host", "gate.test")]].concat());
    assert!(!frames.read_stream(1).is_empty());
    let record = bench.gate.record_of_path("/open/ok/1");
    assert_eq!((&record["status"], &record["host"]), (&200.into(), &"gate.test".into()));
    block_on(async {
        let mut http2 = Http2::connect(&bench.gate).await;
        let mut call = request("GET", "/lab/ok/1", key);
        for crumb in ["a=1", key, "b=2"] {
            call.headers_mut().append("cookie", crumb.parse().expect("a value"));
        }
        assert_eq!(http2.call(call, b"").await.status, 200);
    });
    assert_eq!(upstream.one_at("/lab/ok/1").fields.value("cookie"), Some("a=1; b=2"));
}
