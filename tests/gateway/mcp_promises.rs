//! What is promised for an operation holds for its tool too: written ahead, under the api's rules, told to the upstream
//! as a trusted proxy said.

use serde_json::{Value, json};

use super::harness::bench::Bench;
use super::harness::faults::Faults;
use super::harness::http::Request;
use super::harness::mcp::{Answer, Era};
use super::harness::poll;
use super::harness::setup::{LAB, Setup};
use super::harness::upstream::{OK_BODY, Upstream};

fn ahead() -> String {
    LAB.replace("id = \"erase\"", "id = \"erase\"\naudit = \"write-ahead\"")
}

fn erase(era: Era, behaviour: &str, n: &str) -> super::harness::mcp::Message {
    era.call("lab_erase", &json!({ "behaviour": behaviour, "n": n }))
}

/// The entries of a path, open ones too.
fn entries(bench: &Bench, path: &str) -> Vec<Value> {
    bench.gate.records_now(&["--path", path])
}

#[test]
fn what_is_written_ahead_is_there_before_the_upstream_is_called() {
    let upstream = Upstream::start();
    let mut bench = Bench::start(&Setup { apis: ahead(), ..Setup::before(&upstream) });
    for era in Era::BOTH {
        let n = format!("{era:?}");
        let path = format!("/lab/hold/{n}");
        let mut client = bench.gate.client();
        client.send(&erase(era, "hold", &n).request(Some(&bench.key.text)).bytes());
        upstream.wait_for(&path);
        let open = entries(&bench, &path);
        assert_eq!(open.len(), 1, "{open:?}");
        assert_eq!(open[0]["entry"], "open", "{open:?}");
        assert_eq!((&open[0]["surface"], &open[0]["client"]), (&"mcp".into(), &"full".into()));
        assert_eq!(open[0]["mcp"]["tool"], "lab_erase", "{open:?}");
        // What it was written for.
        bench.gate.kill9();
        bench.gate.run();
        let records = entries(&bench, &path);
        assert_eq!(records.len(), 1, "{records:?}");
        assert_eq!((&records[0]["end"], &records[0]["surface"]), (&"crash".into(), &"mcp".into()));
        assert_eq!(records[0]["mcp"]["tool"], "lab_erase", "{records:?}");
        // One that ends well has one record too.
        let answer = bench.gate.mcp(&bench.key.text, &erase(era, "ok", &n));
        assert_eq!(answer.text().as_bytes(), OK_BODY, "{answer:?}");
        let record = bench.gate.record_of_answer(&answer);
        assert_eq!((&record["end"], &record["decision"]), (&"complete".into(), &"allowed".into()));
        assert_eq!(entries(&bench, &format!("/lab/ok/{n}")).len(), 1);
    }
}

#[test]
fn what_cannot_be_written_ahead_is_not_called() {
    let upstream = Upstream::start();
    let faults = Faults::none();
    let setup = Setup { apis: ahead(), ..Setup::before(&upstream) };
    let bench = Bench::start_with(&setup, &faults.environment());
    faults.are("sync EIO");
    let refused = Era::BOTH.map(|era| bench.gate.mcp(&bench.key.text, &erase(era, "ok", "1")));
    for answer in &refused {
        answer.expect_problem(503, "audit_unavailable");
    }
    assert!(upstream.received().is_empty(), "nothing was called");
    // What needs no such care is served.
    let read = bench.gate.mcp(&bench.key.text, &Era::Modern.lab("ok", "2"));
    assert_eq!(read.text().as_bytes(), OK_BODY);
    faults.are("");
    poll::until("the disk is used again", || {
        let answer = bench.gate.mcp(&bench.key.text, &erase(Era::Modern, "ok", "3"));
        (!answer.is_error()).then_some(())
    });
    for answer in &refused {
        assert_eq!(bench.gate.record_of_answer(answer)["denial"], "audit_unavailable");
    }
}

/// Where a key is put is a matter of the request that carries it: the endpoint's own places, not the api's. Who it
/// proves is the same.
#[test]
fn a_key_is_put_where_the_endpoint_takes_it() {
    let upstream = Upstream::start();
    let apis =
        LAB.replace("access = \"granted\"", "access = \"granted\"\ncredential = [\"x-api-key\"]");
    let bench = Bench::start(&Setup { apis, ..Setup::before(&upstream) });
    let key = &bench.key.text;
    let rest = |request: Request| bench.gate.call(&request).status;
    assert_eq!(rest(Request::get("/lab/ok/1").key(key)), 401);
    assert_eq!(rest(Request::get("/lab/ok/1").field("X-API-Key", key)), 200);
    for era in Era::BOTH {
        let by_authorization = bench.gate.mcp(key, &era.lab("ok", "2"));
        let message = era.lab("ok", "3").field("X-API-Key", key);
        let by_x_api_key = Answer::of(bench.gate.call(&message.request(None)));
        for answer in [by_authorization, by_x_api_key] {
            assert_eq!(answer.text().as_bytes(), OK_BODY, "{answer:?}");
            let record = bench.gate.record_of_answer(&answer);
            assert_eq!(record["client"], "full", "{record}");
            assert_eq!(record["credential"], bench.key.credential, "{record}");
        }
        let list = era.message("tools/list", json!({}));
        assert_eq!(bench.gate.mcp(key, &list).tools(), ["lab_erase", "lab_read"]);
    }
    for received in upstream.received() {
        for name in ["authorization", "x-api-key"] {
            assert_eq!(received.fields.value(name), None, "{received:?}");
        }
    }
}

#[test]
fn a_trusted_proxy_is_believed_as_over_rest() {
    const TOLD: [&str; 3] = ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"];
    let upstream = Upstream::start();
    let check = |server: &'static str, source: &str| {
        let bench = Bench::start(&Setup { server, ..Setup::before(&upstream) });
        let by_proxy = |mut request: Request| {
            for (name, value) in [
                ("X-Forwarded-For", "203.0.113.7"),
                ("X-Forwarded-Proto", "https"),
                ("X-Forwarded-Host", "public.example.com"),
                ("X-Request-Id", "of-the-proxy"),
            ] {
                request = request.field(name, value);
            }
            bench.gate.call(&request)
        };
        let path = format!("/lab/ok/{source}");
        let over_rest = by_proxy(Request::get(&path).key(&bench.key.text));
        let of_rest = bench.gate.record_of(&over_rest);
        assert_eq!(of_rest["source_ip"], source, "{of_rest}");
        for era in Era::BOTH {
            let message = era.lab("ok", source).request(Some(&bench.key.text));
            let answer = Answer::of(by_proxy(message));
            assert!(!answer.is_error(), "{answer:?}");
            let record = bench.gate.record_of_answer(&answer);
            for name in ["source_ip", "peer_ip", "parent_request_id"] {
                assert_eq!(record[name], of_rest[name], "{name}: {record}");
            }
        }
        let received = upstream.received_at(&path);
        assert_eq!(received.len(), 3);
        for name in TOLD {
            let told: Vec<_> = received.iter().map(|request| request.fields.value(name)).collect();
            assert!(told[0].is_some(), "{name}: {received:?}");
            assert_eq!(told, [told[0]; 3], "{name}");
        }
        received[0].fields.value("x-forwarded-for").map(str::to_owned)
    };
    let trusted = check("trusted_proxies = [\"127.0.0.0/8\"]", "203.0.113.7");
    assert_eq!(trusted.as_deref(), Some("203.0.113.7, 127.0.0.1"));
    let untrusted = check("drain_deadline = \"2s\"", "127.0.0.1");
    assert_eq!(untrusted.as_deref(), Some("127.0.0.1"));
}

/// Rules of an api are held against who sent the message.
#[test]
fn addresses_that_an_api_refuses_are_refused_its_tools() {
    let upstream = Upstream::start();
    let apis = LAB.replace(
        "access = \"granted\"",
        "access = \"granted\"\nip = { deny = [\"203.0.113.0/24\"] }",
    );
    let server = "trusted_proxies = [\"127.0.0.0/8\"]";
    let bench = Bench::start(&Setup { server, apis, ..Setup::before(&upstream) });
    for era in Era::BOTH {
        let ask = |message: super::harness::mcp::Message, ip: &str| {
            bench.gate.mcp(&bench.key.text, &message.field("X-Forwarded-For", ip))
        };
        let list = || era.message("tools/list", json!({}));
        assert_eq!(ask(list(), "198.51.100.7").tools(), ["lab_erase", "lab_read"]);
        assert!(ask(list(), "203.0.113.7").tools().is_empty());
        assert!(!ask(era.lab("ok", "1"), "198.51.100.7").is_error());
        let refused = ask(era.lab("ok", "2"), "203.0.113.7");
        refused.expect_problem(403, "address_not_allowed");
        assert_eq!(bench.gate.record_of_answer(&refused)["denial"], "address_not_allowed");
    }
    assert!(upstream.received_at("/lab/ok/2").is_empty());
}
