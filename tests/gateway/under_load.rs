//! What a gate must live through without anyone noticing: reloads and its own end, under load.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::harness::bench::Bench;
use super::harness::client::Client;
use super::harness::gate::{Gate, Key};
use super::harness::http::{Body, Request};
use super::harness::poll;
use super::harness::python::{self, Program, Streams};
use super::harness::setup::Setup;
use super::harness::tools;
use super::harness::upstream::Upstream;

const RELOADS: usize = 20;
const STREAMS: u64 = 10;

#[test]
fn twenty_reloads_fail_no_request_and_cut_no_stream() {
    let upstream = Upstream::start();
    let streams = Streams::start();
    let listener = "http2 = true".to_owned();
    let setup = Setup { listener, more: streams.config(), ..Setup::before(&upstream) };
    let gate = Gate::start(&setup);
    let may = ["--no-expiry", "--product", "lab", "--product", "streams", "--scope", "lab:read"];
    let key = gate.add_client("loaded", &[&may[..], &["--plan", "wide"]].concat());
    let mut held = hold(&gate, &key);

    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let (gate, key, done) = (&gate, &key.text, &done);
        let _ends = scope.spawn(move || load(gate, key, done));
        let keep_alive = scope.spawn(move || keep_calling(gate, key, done));
        for n in 0..RELOADS {
            let other =
                setup.apis.replace("body_bytes_max = \"4KiB\"", "body_bytes_max = \"5KiB\"");
            let apis = if n % 2 == 0 { other } else { setup.apis.clone() };
            gate.write_config(&Setup { apis, ..setup.clone() });
            if n % 4 == 3 {
                // By signal too: the count of reloads says when it is done.
                gate.signal("HUP");
            } else {
                gate.cli(&["reload"]).expect_success();
            }
            poll::until("the reload is counted", || {
                let line = format!("onegate_config_reloads_total{{result=\"done\"}} {}", n + 1);
                gate.metrics().contains(&line).then_some(())
            });
            let alive = held.ask(&format!("after reload {n}"));
            assert_eq!(alive["sockets"], STREAMS, "WebSockets after reload {n}");
            assert_eq!(alive["events"], STREAMS, "event streams after reload {n}");
        }
        done.store(true, Ordering::Release);
        let calls = keep_alive.join().expect("no call failed");
        assert!(calls >= RELOADS, "the load did not go on meanwhile: {calls} calls");
    });
    held.end();
    streams.end();
}

/// Opens the streams that must live on.
fn hold(gate: &Gate, key: &Key) -> Program {
    let (host, port) = (gate.address.ip().to_string(), gate.address.port().to_string());
    let count = STREAMS.to_string();
    let mut held =
        Program::start(python::command("held.py").args([&host, &port, &key.text, &count, &count]));
    assert_eq!(held.hear(), "ready");
    held
}

/// Runs h2load again and again, over every protocol it has.
fn load(gate: &Gate, key: &str, done: &AtomicBool) {
    let key = format!("x-api-key: {key}");
    let url = format!("http://{}/lab/ok/1", gate.address);
    while !done.load(Ordering::Acquire) {
        for protocol in PROTOCOLS {
            let mut h2load = Command::new("h2load");
            h2load.args(protocol).args(["-n", "400", "-c", "4", "-H", &key, &url]);
            let said = tools::run(&mut h2load, b"").expect_success();
            assert!(said.contains("400 succeeded, 0 failed, 0 errored, 0 timeout"), "{said}");
            assert!(said.contains("400 2xx, 0 3xx, 0 4xx, 0 5xx"), "{said}");
        }
    }
}

const PROTOCOLS: [&[&str]; 2] = [&["--h1"], &["-m", "10"]];

/// One connection, used for as long as the gate keeps it.
fn keep_calling(gate: &Gate, key: &str, done: &AtomicBool) -> usize {
    let mut client = gate.client();
    let mut calls = 0;
    while !done.load(Ordering::Acquire) {
        let response = client.call(&Request::get("/lab/ok/2").key(key));
        assert_eq!((response.status, response.complete), (200, true), "call {calls}");
        calls += 1;
    }
    calls
}

#[test]
fn a_drain_under_load_fails_no_request_that_was_begun() {
    let upstream = Upstream::start();
    let server = "drain_deadline = \"20s\"";
    let mut bench = Bench::start(&Setup { server, ..Setup::before(&upstream) });
    let held = bench.hold(&upstream, 8);
    let outcomes: Vec<Outcome> = thread::scope(|scope| {
        let bench = &bench;
        let callers = (0..8).map(|caller| scope.spawn(move || call_until_the_end(bench, caller)));
        let callers: Vec<_> = callers.collect();
        poll::until("the load is on", || (upstream.received().len() > 200).then_some(()));
        bench.gate.signal("TERM");
        poll::until("the listener closes", || {
            std::net::TcpStream::connect(bench.gate.address).is_err().then_some(())
        });
        held.release(&upstream);
        callers.into_iter().map(|caller| caller.join().expect("no answer was cut")).collect()
    });
    assert!(bench.gate.wait_for_end().success());

    // What got no answer was never begun: the upstream did not see it, and there is no record.
    let records = bench.gate.records_now(&["--path", "/lab/ok"]);
    for Outcome { answered, last } in outcomes {
        assert!(answered > 0);
        let of_last = records.iter().filter(|record| record["path"] == last.as_str()).count();
        assert_eq!((of_last, upstream.received_at(&last).len()), (0, 0), "{last} was begun");
    }
    bench.gate.run();
}

struct Outcome {
    answered: usize,
    /// The first request that got no answer.
    last: String,
}

/// Calls over one connection after the other until there is none to be had.
fn call_until_the_end(bench: &Bench, caller: usize) -> Outcome {
    let mut answered = 0;
    loop {
        let Some(mut client) = Client::try_connect(bench.gate.address, &bench.gate.witness) else {
            return Outcome { answered, last: "/lab/ok/never-sent".to_owned() };
        };
        loop {
            let path = format!("/lab/ok/{caller}-{answered}");
            client.send(&Request::get(&path).key(&bench.key.text).bytes());
            match client.read(Body::Expected) {
                Some(response) => {
                    assert!(response.complete, "cut: {path}");
                    assert_eq!(response.status, 200, "{path}");
                    answered += 1;
                    if response.field("connection") == Some("close") {
                        break;
                    }
                }
                None => return Outcome { answered, last: path },
            }
        }
    }
}
