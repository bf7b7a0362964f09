//! WebSocket through the gate: by the rules or not at all, every byte both ways, an end that the
//! record tells right. Between real libraries and between raw bytes.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;
use std::time::Duration;

use onegate::model::denial::{Denial, Failure};
use serde_json::Value;

use super::harness::bench::{Bench, expect_denial};
use super::harness::client::Client;
use super::harness::faults::Faults;
use super::harness::gate::Gate;
use super::harness::http::{Body, Request, Response};
use super::harness::poll::{self, PATIENCE};
use super::harness::python::{self, Program};
use super::harness::setup::{LAB, Setup};
use super::harness::upstream::Upstream;

/// A server and a client of a real library, with the gate between them.
struct Pair {
    server: Program,
    client: Program,
    bench: Bench,
    /// Of the handshake's answer.
    id: String,
}

impl Pair {
    fn start() -> Self {
        let mut server = Program::start(&mut python::command("websocket_server.py"));
        let address = format!("127.0.0.1:{}", server.hear()).parse().expect("an address");
        let bench = Bench::start(&Setup::before_address(address));
        let url = format!("ws://{}/lab/echo/1", bench.gate.address);
        let mut command = python::command("websocket_client.py");
        let mut client = Program::start(command.args([&url, &bench.key.text]));
        let id = client.hear();
        Self { server, client, bench, id }
    }

    fn order(&mut self, word: &str) -> Value {
        self.client.ask(word)
    }

    /// The one record, of which this much is always so.
    fn expect_end(&self, end: &str) -> Value {
        let records = self.bench.gate.records(&["--id", &self.id], |records| !records.is_empty());
        assert_eq!(records.len(), 1, "{records:?}");
        let record = &records[0];
        assert_eq!((&record["status"], &record["end"]), (&101.into(), &end.into()), "{record}");
        assert_eq!(record["decision"], "allowed", "{record}");
        assert_eq!(record["operation"], "lab.read", "{record}");
        record.clone()
    }
}

#[test]
fn messages_of_any_size_pass_both_ways() {
    let mut pair = Pair::start();
    assert_eq!(pair.order("text"), "hällo");
    assert_eq!(pair.order("ping"), "pong");
    assert_eq!(pair.order("many"), true);
    assert_eq!(pair.order("large"), true);
    assert_eq!(pair.order("ping"), "pong");
    assert_eq!(pair.order("close"), 1000);
    let record = pair.expect_end("complete");
    for member in ["request_bytes", "response_bytes"] {
        assert!(record[member].as_u64() > Some(251 * 40_000), "{record}");
    }
}

#[test]
fn whoever_leaves_is_told_by_the_record() {
    let mut closed_by_server = Pair::start();
    assert_eq!(closed_by_server.order("leave"), 4000);
    closed_by_server.expect_end("complete");

    let mut caller_dies = Pair::start();
    assert_eq!(caller_dies.order("text"), "hällo");
    caller_dies.client.kill();
    caller_dies.expect_end("client_abort");

    let mut upstream_dies = Pair::start();
    assert_eq!(upstream_dies.order("text"), "hällo");
    upstream_dies.server.kill();
    upstream_dies.expect_end("upstream_error");
}

fn handshake(target: &str) -> Request {
    Request::get(target)
        .field("Connection", "keep-alive, Upgrade")
        .field("Upgrade", "websocket")
        .field("Sec-WebSocket-Version", "13")
        .field("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
}

/// Opens a WebSocket, and gives its connection with the handshake's answer.
fn open(gate: &Gate, request: &Request) -> (Client, Response) {
    let mut client = gate.client();
    client.send(&request.bytes());
    let response = client.read_switch().expect("an answer");
    assert_eq!(response.status, 101, "{response:?}");
    (client, response)
}

#[test]
fn bytes_pass_as_they_come() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup::before(&upstream));
    let (mut client, response) = open(&gate, &handshake("/open/switch/1"));
    assert_eq!(response.field("upgrade"), Some("websocket"));
    assert_eq!(response.field("connection"), Some("Upgrade"));
    for n in 1..=100 {
        let sent = vec![b'a'; n * 50];
        client.send(&sent);
        let mut came = vec![0; sent.len()];
        client.stream().read_exact(&mut came).expect("they come back");
        assert_eq!(came, sent);
    }
    let received = upstream.one_at("/open/switch/1");
    assert_eq!(received.fields.value("upgrade"), Some("websocket"));
    assert_eq!(received.fields.value("connection"), Some("Upgrade"));
    assert_eq!(received.fields.value("sec-websocket-version"), Some("13"));
    assert_eq!(received.fields.value("transfer-encoding"), None);
    drop(client);
    assert_eq!(gate.record_of(&response)["end"], "client_abort");
    let (mut client, response) = open(&gate, &handshake("/open/switch-and-leave/1"));
    client.send(b"?");
    assert_eq!(client.stream().read(&mut [0]).expect("an end"), 0);
    assert_eq!(gate.record_of(&response)["end"], "upstream_error");
}

#[test]
fn what_a_caller_sends_ahead_waits_for_the_switch() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup::before(&upstream));
    let mut client = gate.client();
    client.send(&[handshake("/open/switch/1").bytes(), b"ahead".to_vec()].concat());
    assert_eq!(client.read_switch().map(|response| response.status), Some(101));
    let mut came = [0; 5];
    client.stream().read_exact(&mut came).expect("they come back");
    assert_eq!(&came, b"ahead");
    // Where nobody switches, it is the next request.
    let mut client = gate.client();
    let next = Request::get("/open/echo/2").bytes();
    client.send(&[handshake("/open/ok/1").bytes(), next].concat());
    for _ in 0..2 {
        assert_eq!(client.read(Body::Expected).map(|response| response.status), Some(200));
    }
    assert_eq!(upstream.received_at("/open/echo/2").len(), 1);
}

#[test]
fn only_websocket_is_switched_to() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup::before(&upstream));
    let get = || Request::get("/open/ok/1");
    let check = |request: Request| {
        let before = upstream.received().len();
        let mut client = gate.client();
        for _ in 0..2 {
            // It is an ordinary request, and its connection goes on.
            let response = client.call(&request);
            assert_eq!((response.status, response.complete), (200, true), "{response:?}");
        }
        for received in &upstream.received()[before..] {
            for name in ["upgrade", "connection", "http2-settings", "transfer-encoding"] {
                assert_eq!(received.fields.value(name), None, "{received:?}");
            }
        }
    };
    let upgrade = |request: Request, what: &str| {
        request.field("Connection", "Upgrade").field("Upgrade", what)
    };
    check(
        get()
            .field("Connection", "Upgrade, HTTP2-Settings")
            .field("Upgrade", "h2c")
            .field("HTTP2-Settings", "AAMAAABkAAQCAAAAAAIAAAAA"),
    );
    check(get().field("Upgrade", "websocket"));
    check(upgrade(get(), "websocket, h2c"));
    check(upgrade(get(), "foo"));
    check(upgrade(Request::new("POST", "/open/ok/1"), "websocket").body(b"body"));
    check(upgrade(get(), "websocket").body(b"body"));
    // This one is asked for, and the upstream ignores it.
    let mut client = gate.client();
    for _ in 0..2 {
        assert_eq!(client.call(&handshake("/open/ok/1")).status, 200);
    }
    let said = super::harness::tools::run(
        std::process::Command::new("curl").args([
            "-sS",
            "--http2",
            &format!("http://{}/open/ok/1", gate.address),
        ]),
        b"",
    );
    assert_eq!(said.expect_success().len(), 1024);
}

/// An upstream that answers every connection with these bytes.
fn answering(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of this machine");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            drop(stream.read(&mut [0; 4096]));
            drop(stream.write_all(bytes));
            drop(stream.read(&mut [0; 4096]));
        }
    });
    address
}

#[test]
fn a_switch_that_was_not_agreed_on_is_a_failure() {
    let check = |answer: &'static [u8], request: Request| {
        let gate = Gate::start(&Setup::before_address(answering(answer)));
        let response = gate.call(&request);
        assert_eq!(response.status, Failure::UpstreamProtocol.row().status, "{response:?}");
        let record = gate.record_of(&response);
        assert_eq!(record["failure"], Failure::UpstreamProtocol.code(), "{record}");
    };
    let good =
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let asks = || handshake("/open/x");
    check(good, Request::get("/open/x"));
    check(good, Request::get("/open/x").field("Connection", "Upgrade").field("Upgrade", "h2c"));
    check(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        asks(),
    );
    check(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nbytes", asks());
    check(b"HTTP/1.1 101 Switching Protocols\r\n\r\nbytes", asks());
    check(
        b"HTTP/1.0 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nbytes",
        asks(),
    );
}

#[test]
fn a_handshake_is_judged_like_any_call() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let check = |request: Request, denial: Denial| {
        let mut client = bench.gate.client();
        client.send(&request.bytes());
        expect_denial(&client.read_switch().expect("an answer"), denial, &[]);
    };
    let ask = || handshake("/lab/switch/1");
    check(ask(), Denial::CredentialMissing);
    check(ask().key(&bench.other.text), Denial::NotGranted);
    let (_client, _) = open(&bench.gate, &ask().key(&bench.key.text));
    assert_eq!(upstream.received().len(), 1);
}

/// An answer of the gate's own waits for no end that a handshake never has, and the connection goes on.
#[test]
fn a_handshake_that_goes_no_further_is_answered_at_once() {
    let upstream = Upstream::start();
    let faults = Faults::none();
    let ahead = LAB.replace("id = \"read\"", "id = \"read\"\naudit = \"write-ahead\"");
    let own = "[[api.operation]]\nid = \"own\"\nmethods = [\"GET\"]\npath = \"/own\"\nrespond = { status = 204 }";
    let apis = ahead.replace("[[product]]", &format!("{own}\n\n[[product]]"));
    // Nothing else would end it before a test gives up.
    let setup = Setup { apis, bounds: "body_timeout = \"1m\"", ..Setup::before(&upstream) };
    let bench = Bench::start_with(&setup, &faults.environment());
    let check = |target: &str, status: u16| {
        let mut client = bench.gate.client();
        client.send(&handshake(target).key(&bench.key.text).bytes());
        let response = client.read(Body::Expected).expect("an answer");
        assert_eq!(response.status, status, "{response:?}");
        assert_eq!(client.call(&Request::get("/open/ok/1")).status, 200, "{target}");
        response
    };
    check("/open/own", 204);
    faults.are("sync EIO");
    let refused = check("/lab/switch/1", 503);
    expect_denial(&refused, Denial::AuditUnavailable, &[("retry-after", "1")]);
    faults.are("");
    assert_eq!(upstream.received_at("/lab/switch/1").len(), 0);
    let (_client, _) = poll::until("the disk is used again", || {
        let mut client = bench.gate.client();
        client.send(&handshake("/lab/switch/1").key(&bench.key.text).bytes());
        let response = client.read_switch().expect("an answer");
        (response.status == 101).then_some((client, response))
    });
    assert_eq!(bench.gate.record_of(&refused)["denial"], "audit_unavailable");
}

#[test]
fn any_byte_keeps_it_and_silence_ends_it() {
    let upstream = Upstream::start();
    let keys = "timeouts = { idle = \"1s\" }";
    let gate = Gate::start(&Setup { upstream: keys, ..Setup::before(&upstream) });
    // Only the caller speaks, and longer than the silence may last; then it does not.
    let (mut client, response) = open(&gate, &handshake("/open/switch-and-listen/1"));
    for _ in 0..15 {
        client.send(b".");
        assert!(!client.hears_within(Duration::from_millis(200)), "ended while it was used");
    }
    assert!(client.hears_within(PATIENCE), "silence goes on for ever");
    let record = gate.record_of(&response);
    assert_eq!(record["end"], "deadline", "{record}");
    assert_eq!(record["decision"], "allowed", "{record}");
    assert_eq!(record["reason"], "both sides were silent for too long", "{record}");
}

#[test]
fn the_total_bounds_it_and_so_does_the_gates_end() {
    let upstream = Upstream::start();
    let keys = "timeouts = { total = \"1s\" }";
    let mut gate = Gate::start(&Setup { upstream: keys, ..Setup::before(&upstream) });
    let (mut client, response) = open(&gate, &handshake("/open/switch/1"));
    poll::until("the total is over", || {
        client.send(b".");
        let records = gate.records_now(&["--id", response.id()]);
        records.first().filter(|record| record["entry"].is_null()).map(|record| {
            assert_eq!(record["reason"], "the whole took longer than allowed", "{record}");
        })
    });
    let long = Setup { server: "drain_deadline = \"1s\"", ..Setup::before(&upstream) };
    assert!(gate.terminate().success());
    gate.write_config(&long);
    gate.run();
    let (_client, response) = open(&gate, &handshake("/open/switch/1"));
    assert!(gate.terminate().success());
    let record = gate.record_of(&response);
    assert_eq!((&record["end"], &record["status"]), (&"deadline".into(), &101.into()), "{record}");
    assert_eq!(record["reason"], "the gate stopped", "{record}");
}
