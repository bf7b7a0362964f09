//! Suspending and resuming: in force for the next call, for live ones too, over restarts, and only
//! as long as it was said.

use onegate::model::denial::Denial;
use serde_json::Value;

use super::harness::bench::expect_denial;
use super::harness::gate::{Gate, Key};
use super::harness::http::{Body, Request, Response};
use super::harness::poll;
use super::harness::setup::Setup;
use super::harness::upstream::Upstream;

const WHY: [&str; 2] = ["--reason", "a test"];

fn call(gate: &Gate, key: &Key) -> Response {
    gate.call(&Request::get("/lab/ok/1").key(&key.text))
}

#[test]
fn who_is_suspended_is_refused_until_resumed() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup::before(&upstream));
    let key = gate.add_lab_client("app");
    let second = gate.key(&["credential", "add", "--client", "app", "--key"]);
    let other = gate.add_lab_client("other");
    let check = |target: &[&str], denied: &[&Key], allowed: &[&Key], reason: &str| {
        assert_eq!(call(&gate, denied[0]).status, 200);
        let receipt = gate.json(&[&["suspend"], target, &WHY].concat()).remove(0);
        let stopped = receipt["credentials"].as_array().expect("a list").len();
        assert_eq!(stopped, denied.len(), "{receipt}");
        assert_eq!(receipt["last_calls"][0]["status"], 200, "{receipt}");
        for key in denied {
            let response = call(&gate, key);
            expect_denial(&response, Denial::ClientSuspended, &[]);
            assert_eq!(gate.record_of(&response)["reason"], reason);
        }
        for key in allowed {
            assert_eq!(call(&gate, key).status, 200);
        }
        let again = gate.json(&[&["resume"], target].concat());
        assert!(again[0]["revision"].is_u64(), "{again:?}");
        assert_eq!(call(&gate, denied[0]).status, 200);
        let acts = gate.records(&["--surface", "admin"], |acts| acts.len() > 2);
        let of = |action: &str| {
            let action = format!("{}.{action}", target[0]);
            let mut acts = acts.iter().filter(|act| act["action"] == action.as_str());
            acts.next().unwrap_or_else(|| panic!("no {action}: {acts:?}")).clone()
        };
        let suspend = of("suspend");
        assert_eq!(suspend["reason_given"], WHY[1], "{suspend}");
        assert_eq!(suspend["after"]["suspended_until"], "until it is resumed", "{suspend}");
        assert_eq!(of("resume")["after"]["suspended_until"], Value::Null);
    };
    check(&["client", "app"], &[&key, &second], &[&other], "the client is suspended");
    let credential = ["credential", &*key.credential];
    check(&credential, &[&key], &[&second, &other], "the key is suspended");
}

#[test]
fn what_is_live_ends_with_the_reason() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup::before(&upstream));
    let key = gate.add_lab_client("app");
    let begin = |target: &str| {
        let mut client = gate.client();
        client.send(&Request::get(target).key(&key.text).bytes());
        upstream.wait_for(target);
        client
    };
    let mut stream = begin("/lab/stream/1");
    let head = stream.read(Body::Absent).expect("a head");
    let mut waits = begin("/lab/hold/1");
    let receipt = gate.json(&[&["suspend", "client", "app"][..], &WHY].concat()).remove(0);
    assert_eq!((&receipt["requests_ended"], &receipt["streams_ended"]), (&2.into(), &1.into()));
    let answer = waits.read(Body::Expected).expect("an answer");
    expect_denial(&answer, Denial::ClientSuspended, &[]);
    for response in [&head, &answer] {
        let record = gate.record_of(response);
        assert_eq!(record["end"], "revoked", "{record}");
        assert_eq!(record["reason"], "the client is suspended", "{record}");
    }
}

#[test]
fn it_ends_by_itself_when_that_was_said() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup::before(&upstream));
    let key = gate.add_lab_client("app");
    for target in [["client", "app"], ["credential", &*key.credential]] {
        gate.json(&[&["suspend"], &target[..], &["--for", "2s"], &WHY].concat());
        expect_denial(&call(&gate, &key), Denial::ClientSuspended, &[]);
        poll::until("it is over", || (call(&gate, &key).status == 200).then_some(()));
        // Over is over, without any act: there is nothing to resume, and nothing shows it.
        let said = gate.cli(&["resume", target[0], target[1]]);
        assert!(said.stderr.contains("is not suspended"), "{}", said.stderr);
        let list = gate.cli(&["client", "list"]).expect_success();
        assert!(list.contains(" active "), "{list}");
    }
}

#[test]
fn it_holds_over_restarts_and_is_made_beside_a_gate_too() {
    let upstream = Upstream::start();
    let mut gate = Gate::start(&Setup::before(&upstream));
    let key = gate.add_lab_client("app");
    gate.json(&[&["suspend", "client", "app"][..], &WHY].concat());
    gate.kill9();
    gate.run();
    expect_denial(&call(&gate, &key), Denial::ClientSuspended, &[]);
    assert!(gate.terminate().success());
    gate.json(&["resume", "client", "app"]);
    gate.json(&[&["suspend", "credential", &key.credential, "--for", "1h"][..], &WHY].concat());
    gate.run();
    let denied = call(&gate, &key);
    expect_denial(&denied, Denial::ClientSuspended, &[]);
    assert_eq!(gate.record_of(&denied)["reason"], "the key is suspended");
}

#[test]
fn operators_are_told_who_is_suspended() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup::before(&upstream));
    let key = gate.add_lab_client("app");
    gate.json(&[&["suspend", "client", "app", "--for", "1h"][..], &WHY].concat());
    let list = gate.cli(&["client", "list"]).expect_success();
    assert!(list.contains(" suspended "), "{list}");
    let shown = gate.cli(&["client", "show", "app"]).expect_success();
    assert_eq!(shown.matches("suspended").count(), 2, "the client, and its key: {shown}");
    assert!(shown.contains("suspended until 20"), "{shown}");
    let rows = gate.json(&["client", "list"]);
    assert!(rows[0]["suspended_until"].is_string(), "{rows:?}");
    let said = gate.cli(&["explain", "--client", "app", "GET", "/lab/ok/1"]);
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("client_suspended (403): the client is suspended"), "{said:?}");

    let refused = |args: &[&str], word: &str| {
        let said = gate.cli(args);
        assert!(matches!(said.code, Some(1..=3)), "{args:?}: {:?}", said.code);
        assert!(said.stderr.contains(word), "{args:?}: {}", said.stderr);
    };
    let sooner = ["suspend", "client", "app", "--for", "1m"];
    refused(&[&sooner[..], &WHY].concat(), "onegate resume client app");
    refused(&[&["suspend", "client", "app", "--for", "soon"][..], &WHY].concat(), "2h");
    refused(&[&["suspend", "client", "nobody"][..], &WHY].concat(), "nobody");
    refused(&["suspend", "client", "app"], "--reason");
    refused(&["resume", "credential", &key.credential], "is not suspended");
}
