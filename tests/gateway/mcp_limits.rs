//! Limits and the audit do not ask how a call arrived: REST and tools use up one quota, one rate, and stand
//! in one trail.

use serde_json::{Value, json};

use super::harness::mcp::{Answer, Era, legacy, modern};
use super::harness::setup::Setup;
use super::harness::toolbox::{FULL, Toolbox};

/// A gate whose plan `wide`, which all of its clients have, is another.
fn start(plans: &'static str) -> Toolbox {
    Toolbox::start_with(|setup| Setup { plans, ..setup })
}

#[test]
fn one_quota_is_used_up_by_both() {
    let toolbox = start("[[plan]]\nname = \"wide\"\nquotas = [{ limit = 100, per = \"month\" }]\n");
    for n in 0..50 {
        let rest = toolbox.rest("GET", &format!("/lab/ok/{n}"));
        assert_eq!(rest.status, 200, "REST call {n}: {rest:?}");
        let era = if n % 2 == 0 { Era::Modern } else { Era::Legacy };
        let tool = toolbox.ask(&era.call("lab_read", &json!({ "n": n.to_string() })));
        assert!(!tool.is_error(), "tool call {n}: {tool:?}");
    }
    assert_eq!(toolbox.upstream.asked().len(), 100);
    let rest = toolbox.rest("GET", "/lab/ok/more");
    assert_eq!(rest.status, 429, "{rest:?}");
    let detail = rest.problem()["detail"].as_str().expect("a text").to_owned();
    for era in Era::BOTH {
        let answer = toolbox.ask(&era.call("lab_read", &json!({ "n": "more" })));
        answer.expect_problem(429, "quota_exhausted");
        answer.expect_error(&detail);
        let record = toolbox.gate.record_of_answer(&answer);
        assert_eq!(record["denial"], "quota_exhausted", "{record}");
        assert_eq!(record["limit"], "per-month", "{record}");
        assert_eq!(record["operation"], "lab.read", "{record}");
        // The protocol's own methods do not use it up.
        assert!(!toolbox.ask(&era.message("tools/list", json!({}))).tools().is_empty());
    }
    assert_eq!(toolbox.upstream.asked().len(), 100, "over-admitted");
    // Another client has its own.
    let other = toolbox.gate.add_client("other", &FULL);
    let call = Era::Modern.call("lab_read", &json!({ "n": "1" }));
    assert!(!toolbox.gate.mcp(&other.text, &call).is_error());
}

#[test]
fn a_call_is_charged_once() {
    let toolbox = start(
        "[[plan]]\nname = \"wide\"\n\
         rates = [{ name = \"slow\", limit = 1, per = \"1h\", burst = 6 }]\n",
    );
    let tool =
        |n: usize| toolbox.ask(&Era::Modern.call("lab_read", &json!({ "n": n.to_string() })));
    for n in 0..3 {
        assert!(!tool(n).is_error(), "{n}");
        assert_eq!(toolbox.rest("GET", "/lab/ok/1").status, 200, "{n}");
    }
    let refused = tool(7);
    refused.expect_problem(429, "rate_limited");
    let record = toolbox.gate.record_of_answer(&refused);
    assert_eq!((&record["denial"], &record["limit"]), (&json!("rate_limited"), &json!("slow")));
    assert_eq!(toolbox.rest("GET", "/lab/ok/1").status, 429);
    expect_slowed(&toolbox, &toolbox.ask(&modern("tools/list", json!({}))));
}

#[test]
fn methods_of_the_protocol_are_charged_to_the_rate() {
    let toolbox = start(
        "[[plan]]\nname = \"wide\"\n\
         rates = [{ name = \"slow\", limit = 1, per = \"1h\", burst = 5 }]\n",
    );
    for message in [
        modern("server/discover", json!({})),
        legacy("ping", json!({})),
        modern("tools/list", json!({})),
        // Who guesses is slowed down too.
        Era::Modern.call("lab_nothing", &json!({})),
        Era::Modern.call("lab_read", &json!({ "n": 7 })),
    ] {
        assert_eq!(toolbox.ask(&message).response.status, 200, "{message:?}");
    }
    expect_slowed(&toolbox, &toolbox.ask(&legacy("tools/list", json!({}))));
    expect_slowed(&toolbox, &toolbox.ask(&modern("server/discover", json!({}))));
    assert_eq!(toolbox.rest("GET", "/lab/ok/1").status, 429, "it is one rate");
}

fn expect_slowed(toolbox: &Toolbox, answer: &Answer) {
    assert_eq!(answer.response.status, 429, "{answer:?}");
    let after = answer.response.field("retry-after").and_then(|text| text.parse::<u64>().ok());
    assert!(after.is_some_and(|after| (1..=3600).contains(&after)), "{answer:?}");
    let record = toolbox.gate.record_of_answer(answer);
    assert_eq!(record["denial"], "rate_limited", "{record}");
}

#[test]
fn calls_in_the_air_are_counted_together() {
    let toolbox = start("[[plan]]\nname = \"wide\"\nconcurrency = 1\n");
    let mut held = toolbox.gate.client();
    let call = Era::Modern.call("lab_hold", &json!({ "n": "1" }));
    held.send(&call.request(Some(&toolbox.full.text)).bytes());
    super::harness::poll::until("the call is in the air", || {
        (!toolbox.upstream.asked().is_empty()).then_some(())
    });
    assert_eq!(toolbox.rest("GET", "/lab/ok/1").status, 429);
    let other = toolbox.ask(&Era::Legacy.call("lab_read", &json!({ "n": "1" })));
    other.expect_problem(429, "concurrency_limited");
    toolbox.upstream.release();
    let response = held.read(super::harness::http::Body::Expected).expect("an answer");
    assert!(!Answer::of(response).is_error());
}

#[test]
fn one_question_finds_both() {
    let toolbox = Toolbox::start();
    assert_eq!(toolbox.rest("GET", "/lab/ok/7").status, 200);
    for era in Era::BOTH {
        assert!(!toolbox.ask(&era.call("lab_read", &json!({ "n": "7" }))).is_error());
        // Not by this question.
        assert!(!toolbox.ask(&era.call("lab_read", &json!({ "n": "77" }))).is_error());
        let denied = era.call("lab_write", &json!({ "n": "7", "amount": 1 }));
        assert!(toolbox.gate.mcp(&toolbox.reader.text, &denied).is_error());
    }
    let records = toolbox.gate.records(&["--path", "/lab/ok/7"], |records| records.len() >= 5);
    let tell = |record: &Value| {
        let text = |name: &str| record[name].as_str().expect("a text").to_owned();
        [text("surface"), text("client"), text("operation"), text("decision")].join(" ")
    };
    let mut told: Vec<String> = records.iter().map(tell).collect();
    told.sort();
    assert_eq!(
        told,
        [
            "mcp full lab.read allowed",
            "mcp full lab.read allowed",
            "mcp reader lab.write denied",
            "mcp reader lab.write denied",
            "rest full lab.read allowed",
        ]
    );
    let count =
        |filters: &[&str]| toolbox.gate.records(filters, |records| !records.is_empty()).len();
    assert_eq!(count(&["--path", "/lab/ok/7", "--surface", "mcp"]), 4);
    assert_eq!(count(&["--path", "/lab/ok/7", "--surface", "rest"]), 1);
    assert_eq!(count(&["--operation", "lab.read"]), 5);
    assert_eq!(count(&["--client", "reader"]), 2);
}
