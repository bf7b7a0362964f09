//! Bodies as they come and as long as they are: event streams, chunks of any number, `100 Continue`,
//! trailers. And callers that leave in the middle.

use std::process::Command;

use onegate::model::denial::{Denial, Failure};

use super::harness::bench::{Bench, expect_denial};
use super::harness::flow::{Check, Pattern};
use super::harness::gate::Gate;
use super::harness::http::{Body, Request};
use super::harness::poll;
use super::harness::setup::{LAB, Setup};
use super::harness::tools;
use super::harness::upstream::Upstream;

#[test]
fn events_pass_at_once() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup::before(&upstream));
    let mut client = gate.client();
    client.send(&Request::get("/open/stream/1").bytes());
    let head = client.read(Body::Absent).expect("a head");
    assert_eq!(head.field("content-type"), Some("text/event-stream"));
    let mut event = [0; 10];
    std::io::Read::read_exact(client.stream(), &mut event).expect("the first, alone");
    assert_eq!(&event, b"5\r\nfirst\r\n");
    upstream.release();
    let mut rest = Check::default();
    rest.take_chunks(client.stream()).expect("the last, and the end");
    assert_eq!(gate.record_of(&head)["end"], "complete");
}

#[test]
fn a_caller_that_leaves_a_quiet_stream_is_noticed_at_once() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup::before(&upstream));
    let mut client = gate.client();
    client.send(&Request::get("/open/stream/1").bytes());
    let head = client.read(Body::Absent).expect("a head");
    drop(client);
    // The upstream says nothing more: it only sees that the gate leaves.
    poll::until("the upstream is left", || (upstream.connections().open == 0).then_some(()));
    let record = gate.record_of(&head);
    assert_eq!((&record["end"], &record["decision"]), (&"client_abort".into(), &"allowed".into()));
}

/// So much each way.
const LARGE_BYTES: u64 = 1 << 30;
const MEMORY_GROWTH_KB_MAX: u64 = 16 * 1024;

#[test]
fn large_bodies_pass_whole_in_little_memory() {
    let upstream = Upstream::start();
    let apis = LAB.replace("256MiB", "1TiB");
    let gate = Gate::start(&Setup { apis, ..Setup::before(&upstream) });
    // What the first bodies make it allocate is not these ones'.
    up_and_down(&gate, 4 << 20);
    let before = gate.memory_kb("VmRSS");
    gate.forget_peak();
    up_and_down(&gate, LARGE_BYTES);
    let growth = gate.memory_kb("VmHWM").saturating_sub(before);
    assert!(growth < MEMORY_GROWTH_KB_MAX, "{growth} KB more for bodies that pass");
}

/// Sends so many bytes in chunks, and gets as many, over one connection.
fn up_and_down(gate: &Gate, bytes: u64) {
    let mut client = gate.client();
    let request = Request::new("POST", "/open/digest/1").field("Transfer-Encoding", "chunked");
    client.send(&request.head_bytes());
    let send = |piece: &[u8]| {
        client.send(format!("{:x}\r\n", piece.len()).as_bytes());
        client.send(piece);
        client.send(b"\r\n");
        Ok(())
    };
    Pattern::default().each_piece(bytes, send).expect("it is sent");
    client.send(b"0\r\n\r\n");
    let up = client.read(Body::Expected).expect("an answer");
    assert_eq!(up.text(), Check::right(bytes));
    assert_eq!(gate.record_of(&up)["request_bytes"], bytes);

    client.send(&Request::get(&format!("/open/source/{bytes}")).bytes());
    let down = client.read(Body::Absent).expect("a head");
    let mut check = Check::default();
    check.take_chunks(client.stream()).expect("a whole body");
    assert_eq!(check.told(), Check::right(bytes));
    assert_eq!(gate.record_of(&down)["response_bytes"], bytes);
}

#[test]
fn trailers_end_a_body_and_go_no_further() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup::before(&upstream));
    let mut client = gate.client();
    let response = client.call(&Request::get("/open/trailer/1"));
    assert_eq!((response.text(), response.complete), ("whole", true), "{response:?}");
    let request = Request::new("POST", "/open/digest/1").field("Transfer-Encoding", "chunked");
    client.send(&request.field("Trailer", "X-Trailer").head_bytes());
    client.send(b"5\r\nwhole\r\n0\r\nX-Trailer: late\r\n\r\n");
    let response = client.read(Body::Expected).expect("an answer");
    assert!(response.text().starts_with("5 "), "{response:?}");
    assert_eq!(client.call(&Request::get("/open/ok/1")).status, 200, "the connection goes on");
}

#[test]
fn a_body_in_chunks_may_be_followed_at_once() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup::before(&upstream));
    let mut client = gate.client();
    client.send(&Request::new("POST", "/open/stream/1").chunks(&[b"body"]).bytes());
    upstream.wait_for("/open/stream/1");
    // The answer is not whole yet: this waits for its turn.
    client.send(&Request::new("POST", "/open/echo/2").chunks(&[b"next"]).bytes());
    upstream.release();
    let first = client.read(Body::Expected).expect("an answer");
    assert_eq!((first.text(), first.complete), ("firstlast", true), "{first:?}");
    assert_eq!(client.read(Body::Expected).expect("an answer").text(), "next");
}

fn expecting(target: &str, bytes: usize) -> Request {
    Request::new("POST", target)
        .field("Expect", "100-continue")
        .field("Content-Length", &bytes.to_string())
}

#[test]
fn a_caller_is_told_to_continue_when_the_upstream_says_so() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup::before(&upstream));
    let mut client = gate.client();
    for n in 0..2 {
        client.send(&expecting(&format!("/open/echo/{n}"), 4).head_bytes());
        assert_eq!(client.read(Body::Expected).map(|response| response.status), Some(100));
        client.send(b"body");
        let response = client.read(Body::Expected).expect("an answer");
        assert_eq!((response.status, response.text()), (200, "body"), "{response:?}");
        let record = gate.record_of(&response);
        assert_eq!((&record["end"], &record["request_bytes"]), (&"complete".into(), &4.into()));
    }
    assert_eq!(upstream.one_at("/open/echo/1").fields.value("expect"), Some("100-continue"));
}

#[test]
fn an_upstream_that_wants_no_body_gets_none() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup::before(&upstream));
    let mut client = gate.client();
    client.send(&expecting("/open/refuse/1", 1000).head_bytes());
    let response = client.read(Body::Expected).expect("an answer");
    assert_eq!((response.status, response.text()), (417, "no\n"), "{response:?}");
    assert_eq!(response.field("connection"), Some("close"));
    drop(client);
    let record = gate.record_of(&response);
    assert_eq!((&record["end"], &record["request_bytes"]), (&"complete".into(), &0.into()));
}

#[test]
fn a_denied_caller_is_never_told_to_continue() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let mut client = bench.gate.client();
    client.send(&expecting("/lab/echo/1", 1000).key(&bench.other.text).head_bytes());
    let response = client.read(Body::Expected).expect("an answer");
    bench.check_response(&response, Denial::NotGranted, &[("connection", "close")]);
    assert_eq!(upstream.received().len(), 0);
}

#[test]
fn curl_waits_for_continue() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let curl = |key: &str| {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--expect100-timeout", "20", "-H", "Expect: 100-continue"]);
        curl.args(["-H", &format!("X-API-Key: {key}"), "-d", &"b".repeat(2000)]);
        curl.args(["-o", "/dev/null", "-w", "%{http_code} %{size_upload}"]);
        curl.arg(format!("http://{}/lab/echo/1", bench.gate.address));
        tools::run(&mut curl, b"").expect_success()
    };
    assert_eq!(curl(&bench.key.text), "200 2000");
    assert_eq!(curl(&bench.other.text), "403 0");
}

#[test]
fn a_caller_that_does_not_continue_is_told_why() {
    let upstream = Upstream::start();
    let bounds = "body_timeout = \"1s\"";
    let gate = Gate::start(&Setup { bounds, ..Setup::before(&upstream) });
    let mut client = gate.client();
    client.send(&expecting("/open/echo/1", 4).head_bytes());
    assert_eq!(client.read(Body::Expected).map(|response| response.status), Some(100));
    let response = client.read(Body::Expected).expect("an answer");
    expect_denial(&response, Denial::RequestTimeout, &[]);
    assert_eq!(gate.record_of(&response)["end"], "deadline");
}

#[test]
fn an_upstream_that_takes_no_body_is_not_the_callers_fault() {
    let upstream = Upstream::start();
    let bounds = "body_timeout = \"1s\"";
    let gate = Gate::start(&Setup { bounds, ..Setup::before_address(deaf()) });
    let mut client = gate.client();
    let request = Request::new("POST", "/open/x").field("Content-Length", "100000000");
    client.send(&request.head_bytes());
    let sender = std::thread::spawn(move || {
        let piece = vec![0; 1 << 20];
        for _ in 0..64 {
            client.send(&piece);
        }
        client.read(Body::Expected)
    });
    let response = sender.join().expect("it sends").expect("an answer");
    assert_eq!(response.problem()["code"], Failure::UpstreamTimeout.code());
    drop(upstream);
}

/// An upstream that takes connections and reads nothing.
fn deaf() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port of this machine");
    let address = listener.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        let connections: Vec<_> = listener.incoming().collect();
        drop(connections);
    });
    address
}
