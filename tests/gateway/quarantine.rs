//! Quarantines: a part of a client's calls is refused, over REST and MCP alike, for live calls too, over restarts,
//! and only as long as it was said; the rest goes on.

use onegate::model::denial::Denial;
use serde_json::json;

use super::harness::bench::expect_denial;
use super::harness::gate::{Gate, Key};
use super::harness::http::{Body, Request, Response};
use super::harness::mcp::Era;
use super::harness::poll;
use super::harness::setup::Setup;
use super::harness::toolbox::{ALL, Toolbox};
use super::harness::upstream::Upstream;

const WHY: [&str; 2] = ["--reason", "the nightly job went wild"];
const HOUR: [&str; 2] = ["--for", "1h"];

fn quarantine(gate: &Gate, client: &str, kind: &[&str]) -> serde_json::Value {
    let command = ["quarantine", "client", client];
    gate.json(&[&command[..], kind, &HOUR, &WHY].concat()).remove(0)
}

fn end(gate: &Gate, client: &str, more: &[&str]) {
    gate.json(&[&["quarantine", "client", client, "--end"][..], more, &WHY].concat());
}

fn read(gate: &Gate, key: &Key) -> Response {
    gate.call(&Request::get("/lab/ok/1").key(&key.text))
}

fn write(gate: &Gate, key: &Key) -> Response {
    gate.call(&Request::new("POST", "/lab/ok/1").key(&key.text).body(b"{}"))
}

fn expect_held(gate: &Gate, response: &Response, reason: &str) {
    expect_denial(response, Denial::Quarantined, &[]);
    let text = response.text();
    assert!(text.contains("\"detail\":\"Until 20") && text.contains("\"until\":\"20"), "{text}");
    assert!(!text.contains("nightly"), "the operator's reason is not the caller's: {text}");
    let seconds = response.field("retry-after").and_then(|text| text.parse::<u64>().ok());
    assert!(seconds.is_some_and(|seconds| (1..=3600).contains(&seconds)), "{response:?}");
    let record = gate.record_of(response);
    assert_eq!((&record["denial"], &record["reason"]), (&json!("quarantined"), &json!(reason)));
}

const READS: &str = "the client is in quarantine: it may only read";
const OPERATION: &str = "the client is in quarantine for the operation";
const RATE: &str = "the client is in quarantine, and the rate that it is left is used up";

#[test]
fn each_kind_takes_its_calls_until_it_is_ended() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup::before(&upstream));
    let (key, other) = (gate.add_lab_client("app"), gate.add_lab_client("other"));

    assert_eq!(write(&gate, &key).status, 200);
    let receipt = quarantine(&gate, "app", &["--reads-only"]);
    assert_eq!(receipt["credentials"], json!([key.credential]), "{receipt}");
    assert_eq!(receipt["last_calls"][0]["status"], 200, "{receipt}");
    expect_held(&gate, &write(&gate, &key), READS);
    // Where nobody needs to be known, who is known is held too.
    let open = |method| gate.call(&Request::new(method, "/open/ok/1").key(&key.text));
    expect_held(&gate, &open("POST"), READS);
    for response in [read(&gate, &key), open("GET"), write(&gate, &other)] {
        assert_eq!(response.status, 200, "{response:?}");
    }
    end(&gate, "app", &[]);
    assert_eq!(write(&gate, &key).status, 200);

    quarantine(&gate, "app", &["--operation", "lab.read", "lab.erase"]);
    expect_held(&gate, &read(&gate, &key), OPERATION);
    assert_eq!(write(&gate, &key).status, 200);
    end(&gate, "app", &["--operation", "lab.read"]);
    assert_eq!(read(&gate, &key).status, 200);

    quarantine(&gate, "app", &["--rate", "2/1h"]);
    assert_eq!([read(&gate, &key).status, read(&gate, &key).status], [200, 200]);
    expect_held(&gate, &read(&gate, &key), RATE);
    assert_eq!(read(&gate, &other).status, 200);

    let acts = gate.records(&["--surface", "admin"], |acts| acts.len() > 6);
    let act = acts.iter().find(|act| act["action"] == "client.quarantine").expect("an act");
    assert_eq!((&act["target"], &act["reason_given"]), (&json!("client/app"), &json!(WHY[1])));
    assert_eq!(act["before"]["quarantine"], json!(null), "{act}");
    assert!(act["after"]["quarantine"][0]["until"].is_string(), "{act}");
}

#[test]
fn tools_are_hidden_and_refused_as_over_rest() {
    let toolbox = Toolbox::start();
    let listed = |era: Era| {
        let answer = toolbox.ask(&era.message("tools/list", json!({})));
        answer.tools().into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let check = |kind: &[&str], tool: &str, arguments, hidden: &[&str]| {
        quarantine(&toolbox.gate, "full", kind);
        for era in Era::BOTH {
            let expected: Vec<_> = ALL.into_iter().filter(|tool| !hidden.contains(tool)).collect();
            assert_eq!(listed(era), expected, "{kind:?}");
            let answer = toolbox.ask(&era.call(tool, arguments));
            answer.expect_problem(403, "quarantined");
            answer.expect_error("Until 20");
            let record = toolbox.gate.record_of_answer(&answer);
            assert_eq!(record["denial"], "quarantined", "{record}");
        }
        end(&toolbox.gate, "full", &[]);
        assert_eq!(listed(Era::Modern), ALL);
    };
    let write = json!({ "n": "1", "amount": 1 });
    check(&["--reads-only"], "lab_write", &write, &["lab_write"]);
    let read = json!({ "n": "1" });
    check(&["--operation", "lab.read"], "lab_read", &read, &["lab_read"]);
    assert!(toolbox.upstream.asked().is_empty(), "a denied call reached the upstream");

    // A rate hides nothing, and what is asked of the gate itself counts.
    quarantine(&toolbox.gate, "full", &["--rate", "2/1h"]);
    assert_eq!(listed(Era::Modern), ALL);
    assert_eq!(listed(Era::Legacy), ALL);
    toolbox.ask(&Era::Legacy.call("lab_read", &read)).expect_problem(403, "quarantined");
    assert_eq!(toolbox.ask(&Era::Legacy.message("tools/list", json!({}))).response.status, 403);
}

#[test]
fn what_is_live_and_taken_away_ends() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup::before(&upstream));
    let key = gate.add_lab_client("app");
    let begin = |method: &'static str, target: &str| {
        let mut client = gate.client();
        client.send(&Request::new(method, target).key(&key.text).body(b"").bytes());
        upstream.wait_for(target);
        client
    };
    let mut stream = begin("GET", "/lab/stream/1");
    let head = stream.read(Body::Absent).expect("a head");
    let mut writes = begin("POST", "/lab/hold/1");
    let receipt = quarantine(&gate, "app", &["--reads-only"]);
    assert_eq!((&receipt["requests_ended"], &receipt["streams_ended"]), (&1.into(), &0.into()));
    let answer = writes.read(Body::Expected).expect("an answer");
    expect_held(&gate, &answer, READS);
    let receipt = quarantine(&gate, "app", &["--operation", "lab.read"]);
    assert_eq!((&receipt["requests_ended"], &receipt["streams_ended"]), (&1.into(), &1.into()));
    let record = gate.record_of(&head);
    assert_eq!((&record["end"], &record["reason"]), (&json!("revoked"), &json!(OPERATION)));
}

#[test]
fn it_ends_by_itself_and_holds_over_restarts_until_then() {
    let upstream = Upstream::start();
    let mut gate = Gate::start(&Setup::before(&upstream));
    let key = gate.add_lab_client("app");
    quarantine(&gate, "app", &["--reads-only"]);
    gate.kill9();
    gate.run();
    expect_held(&gate, &write(&gate, &key), READS);
    assert!(gate.terminate().success());
    // Beside a gate that does not run.
    end(&gate, "app", &[]);
    gate.json(
        &[&["quarantine", "client", "app", "--reads-only", "--for", "30s"][..], &WHY].concat(),
    );
    gate.run();
    expect_held(&gate, &write(&gate, &key), READS);
    end(&gate, "app", &[]);
    gate.json(
        &[&["quarantine", "client", "app", "--reads-only", "--for", "2s"][..], &WHY].concat(),
    );
    assert_eq!(write(&gate, &key).status, 403);
    poll::until("it is over", || (write(&gate, &key).status == 200).then_some(()));
    let said = gate.cli(&[&["quarantine", "client", "app", "--end"][..], &WHY].concat());
    assert!(said.stderr.contains("is not in quarantine"), "{}", said.stderr);
    let list = gate.cli(&["client", "list"]).expect_success();
    assert!(list.contains(" active "), "{list}");
    assert!(!gate.metrics().contains("onegate_quarantined{"));
}

#[test]
fn operators_are_told_who_is_in_quarantine() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup::before(&upstream));
    let key = gate.add_lab_client("app");
    quarantine(&gate, "app", &["--operation", "lab.write"]);
    quarantine(&gate, "app", &["--rate", "5"]);
    let list = gate.cli(&["client", "list"]).expect_success();
    assert!(list.contains(" quarantined "), "{list}");
    let shown = gate.cli(&["client", "show", "app"]).expect_success();
    for word in ["quarantined until 20", "no calls of lab.write", "at most 5/1s", WHY[1], "uid="] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    let row = gate.json(&["client", "list"]).remove(0);
    assert!(row["quarantined_until"].is_string(), "{row}");
    let shown = gate.json(&["client", "show", "app"]).remove(0);
    assert_eq!(shown["quarantines"][0]["operation"], "lab.write", "{shown}");
    assert_eq!(shown["quarantines"][1]["rate"], "5/1s", "{shown}");
    assert!(gate.metrics().contains("\nonegate_quarantined{client=\"app\"} 1\n"));

    let said = gate.cli(&["explain", "--client", "app", "POST", "/lab/ok/1"]);
    assert_eq!(said.code, Some(1));
    assert!(said.stdout.contains("at most 5/1s"), "{said:?}");
    assert!(said.stderr.contains(&format!("quarantined (403): {OPERATION}")), "{said:?}");
    // Its record is explained by what was in force, also when it no longer is.
    let denied = write(&gate, &key);
    gate.record_of(&denied);
    end(&gate, "app", &[]);
    let said = gate.cli(&["audit", "explain", denied.id()]).expect_success();
    assert!(said.contains(OPERATION) && said.contains("no calls of lab.write"), "{said}");

    let refused = |args: &[&str], word: &str| {
        let said = gate.cli(&[&["quarantine", "client"][..], args].concat());
        assert!(matches!(said.code, Some(1..=3)), "{args:?}: {:?}", said.code);
        assert!(said.stderr.contains(word), "{args:?}: {}", said.stderr);
    };
    let why = "--reason=x";
    refused(&["app", "--operation", "lab.wriet", "--for", "1h", why], "Did you mean 'lab.write'?");
    refused(&["app", "--reads-only", "--for", "31d", why], "30d");
    refused(&["app", "--reads-only", why], "--for");
    refused(&["app", "--reads-only", "--for", "1h"], "--reason");
    refused(&["app", "--for", "1h", why], "--reads-only");
    refused(&["app", "--reads-only", "--rate", "5", "--for", "1h", why], "--rate");
    refused(&["app", "--rate", "fast", "--for", "1h", why], "5/1m");
    refused(&["nobody", "--reads-only", "--for", "1h", why], "nobody");
    quarantine(&gate, "app", &["--rate", "5"]);
    refused(&["app", "--rate", "6", "--for", "2h", why], "--end");
}
