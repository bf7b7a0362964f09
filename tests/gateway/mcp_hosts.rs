//! Hosts: under which the endpoint is, what its path is elsewhere, and which tools there are under each.

use serde_json::json;

use super::harness::bench::Bench;
use super::harness::gate::Gate;
use super::harness::http::Request;
use super::harness::mcp::{Answer, Era, modern};
use super::harness::setup::{LAB, Setup};
use super::harness::upstream::{OK_BODY, Upstream};

/// An api of pages, one of which is at the endpoint's path.
const PAGES: &str = r#"
[[api]]
name = "pages"
hosts = ["pages.test"]
base_path = "/"
upstream = "recorder"
access = "public"

[[api.operation]]
id = "mcp"
methods = ["GET", "POST"]
path = "/mcp"
"#;

#[test]
fn under_other_hosts_its_path_is_an_apis() {
    let upstream = Upstream::start();
    let setup = Setup::before(&upstream);
    let apis = format!("{LAB}{PAGES}");
    let more = "[mcp]\nhosts = [\"mcp.test\"]\n".to_owned();
    let bench = Bench::start(&Setup { apis, more, ..setup });
    // The page is served to anyone, with or without a key, and gets what was sent.
    for request in [
        Request::under("pages.test", "GET", "/mcp"),
        Request::under("pages.test", "POST", "/mcp").body(b"{}"),
        Request::under("pages.test", "POST", "/mcp").key(&bench.key.text).body(b"{}"),
        modern("tools/list", json!({})).under("pages.test").request(None),
    ] {
        let response = bench.gate.call(&request);
        assert_eq!((response.status, &*response.body), (200, &OK_BODY[..]), "{response:?}");
        let record = bench.gate.record_of(&response);
        assert_eq!(record["operation"], "pages.mcp", "{record}");
        assert_eq!(record["surface"], "rest", "{record}");
    }
    assert_eq!(upstream.received_at("/mcp").len(), 4);
    // The endpoint is where it is said to be, and nowhere else.
    let list = |host: &str| {
        let message = modern("tools/list", json!({})).under(host);
        bench.gate.call(&message.request(Some(&bench.key.text)))
    };
    let at_home = Answer::of(list("mcp.test"));
    assert_eq!(at_home.tools(), ["lab_erase", "lab_read"]);
    let elsewhere = list("gate.test");
    assert_eq!(elsewhere.status, 404, "{elsewhere:?}");
    assert_eq!(upstream.received().len(), 4);
    // A call from there is the operation's, which is under all hosts.
    for era in Era::BOTH {
        let call = era.lab("ok", "1").under("mcp.test");
        let answer = bench.gate.mcp(&bench.key.text, &call);
        assert_eq!(answer.text().as_bytes(), OK_BODY, "{answer:?}");
        assert_eq!(bench.gate.record_of_answer(&answer)["operation"], "lab.read");
    }
}

/// The lab below one domain only, and another api elsewhere.
fn tenants() -> String {
    let lab =
        LAB.replace("base_path = \"/lab\"", "hosts = [\"*.tenants.test\"]\nbase_path = \"/lab\"");
    lab.replace("base_path = \"/open\"", "hosts = [\"open.test\"]\nbase_path = \"/open\"")
}

fn tools(gate: &Gate, key: &str, era: Era, host: &str) -> Vec<String> {
    let message = era.message("tools/list", json!({})).under(host);
    let answer = gate.mcp(key, &message);
    answer.tools().into_iter().map(str::to_owned).collect()
}

#[test]
fn tools_of_a_domain_are_below_it() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup { apis: tenants(), ..Setup::before(&upstream) });
    let key = &bench.key.text;
    for (calls, era) in (1..).zip(Era::BOTH) {
        for host in ["a.tenants.test", "B.Tenants.test", "a.tenants.test:8443"] {
            assert_eq!(tools(&bench.gate, key, era, host), ["lab_erase", "lab_read"], "{host}");
        }
        let call = era.lab("ok", "1").under("a.tenants.test");
        let answer = bench.gate.mcp(key, &call);
        assert_eq!(answer.text().as_bytes(), OK_BODY, "{answer:?}");
        let record = bench.gate.record_of_answer(&answer);
        assert_eq!(record["host"], "a.tenants.test", "{record}");
        let received = upstream.received_at("/lab/ok/1");
        assert_eq!(received.len(), calls);
        let forwarded = received[0].fields.value("x-forwarded-host");
        assert_eq!(forwarded, Some("a.tenants.test"), "{received:?}");
        // Under another api's host there are none of them, and a call says why.
        assert!(tools(&bench.gate, key, era, "open.test").is_empty());
        let astray = bench.gate.mcp(key, &era.lab("ok", "1").under("open.test"));
        astray.expect_error("host");
        let record = bench.gate.record_of_answer(&astray);
        assert_eq!(record["operation"], "mcp.tools/call", "{record}");
        assert_eq!(upstream.received().len(), calls, "it reached the upstream");
    }
    // A host of nobody's is none of the endpoint's.
    for host in ["tenants.test", "evil.test", "a.tenants.test.evil.test"] {
        let message = modern("tools/list", json!({})).under(host);
        let response = bench.gate.call(&message.request(Some(key)));
        assert_eq!(response.status, 421, "{host}: {response:?}");
    }
}

/// With an exact host of its own an api is called there, wherever the message came in.
#[test]
fn an_exact_host_is_the_calls() {
    let upstream = Upstream::start();
    let apis = LAB.replace("base_path = \"/lab\"", "hosts = [\"lab.test\"]\nbase_path = \"/lab\"");
    let more = "[mcp]\nhosts = [\"mcp.test\"]\n".to_owned();
    let bench = Bench::start(&Setup { apis, more, ..Setup::before(&upstream) });
    for era in Era::BOTH {
        let key = &bench.key.text;
        assert_eq!(tools(&bench.gate, key, era, "mcp.test"), ["lab_erase", "lab_read"]);
        let answer = bench.gate.mcp(key, &era.lab("ok", "1").under("mcp.test"));
        assert_eq!(answer.text().as_bytes(), OK_BODY, "{answer:?}");
        assert_eq!(bench.gate.record_of_answer(&answer)["host"], "lab.test");
    }
}
