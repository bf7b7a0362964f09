//! Stopping a client: everything it has open ends, nothing of anybody else does, and no call that
//! begins afterwards is allowed. By the clients' own account.

use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use onegate::model::denial::Denial;

use super::harness::client::Client;
use super::harness::gate::{Gate, Key};
use super::harness::http::{Body, Request};
use super::harness::poll;
use super::harness::setup::Setup;
use super::harness::upstream::Upstream;

/// What one client has open: an event stream, a WebSocket, a download that nobody reads, and a call
/// that waits for its answer.
const KINDS: [&str; 4] = ["stream", "switch", "endless", "hold"];
/// Of each kind and client: 200 streams in all, and some that wait.
const STREAMS_OF_A_KIND: usize = 34;
const HOLDS: usize = 5;

struct Open {
    kind: &'static str,
    client: Client,
}

fn open_all(gate: &Gate, upstream: &Upstream, key: &Key, name: &str) -> Vec<Open> {
    let open = |kind: &'static str, n: usize| {
        let target = format!("/lab/{kind}/{name}-{n}");
        let mut request = Request::get(&target).key(&key.text);
        if kind == "switch" {
            request = request.field("Connection", "Upgrade").field("Upgrade", "websocket");
        }
        let mut client = gate.client();
        client.send(&request.bytes());
        match kind {
            "hold" => upstream.wait_for(&target),
            _ => drop(client.read(Body::Absent).expect("a head")),
        }
        if kind == "stream" {
            let mut event = [0; 10];
            client.stream().read_exact(&mut event).expect("an event");
        }
        Open { kind, client }
    };
    let count = |kind: &str| match kind {
        "hold" => HOLDS,
        "endless" => STREAMS_OF_A_KIND - 2,
        _ => STREAMS_OF_A_KIND,
    };
    let of_kind = |kind| (0..count(kind)).map(move |n| open(kind, n));
    KINDS.into_iter().flat_map(of_kind).collect()
}

impl Open {
    /// Reads what was sent before, and then finds the end.
    fn expect_end(mut self) {
        if self.kind == "hold" {
            let response = self.client.read(Body::Expected);
            let status = response.map(|response| response.status);
            assert_eq!(status, Some(Denial::CredentialInvalid.row().status));
            return;
        }
        // The head was read before, so all of this is body, and it has an end.
        let read = std::io::copy(self.client.stream(), &mut std::io::sink());
        let timed_out = |error: &std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
        assert!(!read.as_ref().is_err_and(timed_out), "a {} goes on: {read:?}", self.kind);
    }

    /// Finds that it works as before.
    fn expect_alive(&mut self) {
        let stream = self.client.stream();
        match self.kind {
            "switch" => {
                std::io::Write::write_all(stream.get_mut(), b"aaaa").expect("it is open");
                let mut back = [0; 4];
                stream.read_exact(&mut back).expect("it is open");
                assert_eq!(&back, b"aaaa");
            }
            "endless" => {
                // More than can have waited in buffers on the way.
                let mut more = stream.take(8 << 20);
                let read = std::io::copy(&mut more, &mut std::io::sink()).expect("it goes on");
                assert_eq!(read, 8 << 20);
            }
            "stream" => {
                let mut rest = [0; 14];
                stream.read_exact(&mut rest).expect("the last event, and the end");
                assert_eq!(&rest, b"4\r\nlast\r\n0\r\n\r\n");
            }
            _ => {
                let response = self.client.read(Body::Expected).expect("an answer");
                assert_eq!(response.status, 200);
            }
        }
    }
}

#[test]
fn all_streams_of_one_client_end_and_none_of_another() {
    let upstream = Upstream::start();
    // Those that nobody reads shall wait for that as long as the test takes.
    let gate = Gate::start(&Setup::before(&upstream));
    let (stopped, other) = (gate.add_lab_client("stopped"), gate.add_lab_client("other"));
    let of_stopped = open_all(&gate, &upstream, &stopped, "stopped");
    let mut of_other = open_all(&gate, &upstream, &other, "other");
    let streams = of_stopped.len() - HOLDS;
    assert_eq!(streams, 100);

    let revoke = ["revoke", "client", "stopped", "--reason", "a test"];
    let receipt = gate.json(&revoke).remove(0);
    assert_eq!(receipt["requests_ended"], of_stopped.len(), "{receipt}");
    assert_eq!(receipt["streams_ended"], streams, "{receipt}");
    // They had ended, and were recorded, when the command returned.
    let records = gate.records_now(&["--client", "stopped"]);
    assert_eq!(records.len(), of_stopped.len());
    for record in &records {
        assert_eq!((&record["end"], &record["reason"]), (&"revoked".into(), &REVOKED.into()));
    }
    let last = receipt["last_calls"].as_array().expect("a list");
    assert_eq!(last.len(), 5, "{receipt}");
    assert_eq!((&last[0]["operation"], &last[0]["source"]), (&"lab.read".into(), &IP.into()));

    of_stopped.into_iter().for_each(Open::expect_end);
    upstream.release();
    of_other.iter_mut().for_each(Open::expect_alive);
    assert!(gate.records_now(&["--client", "other"]).iter().all(|r| r["end"] != "revoked"));
}

const REVOKED: &str = "the client is revoked";
const IP: &str = "127.0.0.1";

/// What a client noted of one call: when it began, and what came of it.
struct Noted {
    began: Instant,
    status: u16,
}

/// Calls without a pause until it is told to stop.
fn call_on(gate: &Gate, key: &Key, stop: &AtomicBool) -> Vec<Noted> {
    let mut client = gate.client();
    let mut noted = Vec::new();
    while !stop.load(Ordering::Acquire) {
        let began = Instant::now();
        client.send(&Request::get("/lab/ok/1").key(&key.text).bytes());
        match client.read(Body::Expected) {
            Some(response) => noted.push(Noted { began, status: response.status }),
            // It was in the air when its permission was withdrawn.
            None => client = gate.client(),
        }
        if noted.last().is_some_and(|call| call.status == 401) {
            client = gate.client();
        }
    }
    noted
}

#[test]
fn no_call_that_begins_afterwards_is_allowed() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup::before(&upstream));
    let check = |command: &[&str], id: &str, status: u16| {
        let keys = [gate.add_lab_client(id), gate.add_lab_client(&format!("not-{id}"))];
        let stop = AtomicBool::new(false);
        let (returned, ledgers) = thread::scope(|scope| {
            let callers: Vec<_> = [&keys[0], &keys[0], &keys[1]]
                .map(|key| scope.spawn(|| call_on(&gate, key, &stop)))
                .into();
            let calls = |id: &str| {
                let now = gate.records_now(&["--client", id, "--status", "200"]).len();
                (now > 50).then_some(())
            };
            poll::until("both call", || calls(id).and_then(|()| calls(&format!("not-{id}"))));
            gate.json(&[command, &["client", id, "--reason", "a test"]].concat());
            let returned = Instant::now();
            poll::until("calls are refused", || {
                let refused = gate.records_now(&["--client", id, "--decision", "denied"]);
                (refused.len() > 50).then_some(())
            });
            stop.store(true, Ordering::Release);
            let join = |caller: thread::ScopedJoinHandle<'_, _>| caller.join().expect("it calls");
            (returned, callers.into_iter().map(join).collect::<Vec<_>>())
        });
        for ledger in &ledgers[..2] {
            let (before, after): (Vec<_>, Vec<_>) =
                ledger.iter().partition(|call| call.began <= returned);
            assert!(before.iter().any(|call| call.status == 200), "it was never allowed");
            assert!(!after.is_empty() && after.iter().all(|call| call.status == status));
        }
        assert!(ledgers[2].iter().all(|call| call.status == 200), "another was refused");
    };
    check(&["revoke"], "revoked", Denial::CredentialInvalid.row().status);
    check(&["suspend"], "suspended", Denial::ClientSuspended.row().status);
}
