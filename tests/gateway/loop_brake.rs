//! The loop brake: who repeats a call that fails is stopped, told so in one sentence, and seen; over REST and MCP
//! alike. A shadow refuses nothing, and where it is off nothing happens.

use onegate::model::denial::Denial;
use serde_json::{Value, json};

use super::harness::bench::expect_denial;
use super::harness::gate::Gate;
use super::harness::http::{Request, Response};
use super::harness::mcp::Era;
use super::harness::poll;
use super::harness::setup::Setup;
use super::harness::toolbox::Toolbox;
use super::harness::upstream::Upstream;
use super::metrics::wait_for;

const WIDE: &str = "[[plan]]\nname = \"wide\"\nrates = [{ limit = 100000, per = \"1s\" }]\n";
const ON: &str = "loop_brake = { mode = \"on\", failures = 5, calls = 8, quarantine = \"10m\" }\n";
const SHADOW: &str = "loop_brake = { mode = \"shadow\", failures = 5 }\n";
const SHORT: &str = "loop_brake = { mode = \"on\", failures = 5, quarantine = \"2s\" }\n";

fn toolbox(brake: &str) -> Toolbox {
    let plans = Box::leak(format!("{WIDE}{brake}").into_boxed_str());
    Toolbox::start_with(|setup| Setup { plans, ..setup })
}

const SENTENCE: &str = "Do not repeat this call: it failed 5 times in a row";

/// Waits for the act of a brake that came on.
fn act(gate: &Gate, action: &str) -> Value {
    let is_it = |act: &Value| {
        act["action"] == action && act["actor"].as_str().is_some_and(|by| by.contains("loop_brake"))
    };
    let acts = gate.records(&["--surface", "admin"], |acts| acts.iter().any(is_it));
    acts.iter().find(|act| is_it(act)).expect("it was waited for").clone()
}

#[test]
fn an_agent_that_repeats_a_failing_call_a_thousand_times_is_stopped() {
    let toolbox = toolbox(ON);
    let call = Era::Modern.call("lab_absent", &json!({ "n": "1" }));
    let mut refused = 0;
    for n in 0..1000 {
        let answer = toolbox.ask(&call);
        if n < 5 {
            answer.expect_error("404");
            continue;
        }
        answer.expect_problem(429, "repeated_call");
        answer.expect_error(SENTENCE);
        answer.expect_error("Try again after ");
        refused += 1;
        if refused == 1 {
            let record = toolbox.gate.record_of_answer(&answer);
            assert_eq!(record["denial"], "repeated_call", "{record}");
            assert_eq!(record["operation"], "lab.absent", "{record}");
            assert_eq!(record["limit"], "loop_brake", "{record}");
        }
    }
    assert_eq!((refused, toolbox.upstream.asked().len()), (995, 5));

    // On-call sees it, and by whom.
    let made = act(&toolbox.gate, "client.quarantine");
    assert_eq!(made["target"], "client/full", "{made}");
    assert_eq!(made["reason_given"], "5 calls failed in a row", "{made}");
    assert_eq!(made["after"]["quarantine"][0]["operation"], "lab.absent", "{made}");
    let shown = toolbox.gate.cli(&["client", "show", "full"]).expect_success();
    for word in ["no calls of lab.absent", "onegate loop_brake", "5 calls failed in a row"] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    let on = ["client=\"full\"", "mode=\"on\""];
    wait_for(&toolbox.gate, "onegate_loop_brake_total", &on, 1.0);
    let denials = ["client=\"full\"", "denial=\"repeated_call\""];
    wait_for(&toolbox.gate, "onegate_denials_total", &denials, 995.0);
    // The rest of its tools is still there, and the same call over REST is refused alike.
    let read = Era::Legacy.call("lab_read", &json!({ "n": "1" }));
    assert!(!toolbox.ask(&read).is_error());
    let listed = toolbox.ask(&Era::Modern.message("tools/list", json!({})));
    assert_eq!(listed.tools(), ["lab_busy", "lab_hold", "lab_read", "lab_write"]);
    expect_denial(&toolbox.rest("GET", "/lab/absent/1"), Denial::RepeatedCall, &[]);

    // An operator gives it back.
    let end = ["quarantine", "client", "full", "--end", "--reason", "the agent was mended"];
    toolbox.gate.cli(&end).expect_success();
    toolbox.ask(&call).expect_error("404");
}

#[test]
fn guesses_and_arguments_that_do_not_fit_are_stopped_too() {
    let toolbox = toolbox(ON);
    for n in 0..5 {
        let name = format!("lab_guess_{n}");
        assert_eq!(toolbox.ask(&Era::Legacy.call(&name, &json!({}))).code(), -32602);
    }
    let refused = toolbox.ask(&Era::Legacy.call("lab_guess_9", &json!({})));
    assert_eq!(refused.response.status, 429, "{refused:?}");
    assert!(refused.rpc()["error"]["message"].as_str().expect("a text").contains(SENTENCE));
    let made = act(&toolbox.gate, "client.loop_brake");
    assert_eq!(made["after"], json!({ "of": "tools that there are not", "mode": "on" }), "{made}");
    // Tools that there are go on; with bad arguments each is counted for itself.
    assert!(!toolbox.ask(&Era::Modern.call("lab_read", &json!({ "n": "1" }))).is_error());
    for n in 0..6 {
        let answer = toolbox.ask(&Era::Modern.call("lab_write", &json!({ "n": n })));
        assert_eq!(answer.response.status, if n < 5 { 200 } else { 429 }, "{answer:?}");
    }
    let right = Era::Modern.call("lab_write", &json!({ "n": "1", "amount": 1 }));
    toolbox.ask(&right).expect_problem(429, "repeated_call");
}

#[test]
fn guesses_through_the_tools_that_stand_for_all_are_stopped_too() {
    let plans = Box::leak(format!("{WIDE}{ON}").into_boxed_str());
    let mcp = "[mcp]\npresentation = \"search\"\n";
    let toolbox = Toolbox::start_with(|setup| Setup { plans, more: mcp.to_owned(), ..setup });
    let call = |name: &str, arguments: Value| {
        let inner = json!({ "name": name, "arguments": arguments });
        toolbox.ask(&Era::Modern.call("call_read_operation", &inner))
    };
    for n in 0..5 {
        call(&format!("lab_guess_{n}"), json!({})).expect_error("lab_guess");
    }
    assert_eq!(call("lab_guess_9", json!({})).response.status, 429);
    // What there is goes on, and is the operation's own affair.
    for _ in 0..5 {
        call("lab_absent", json!({ "n": "1" })).expect_error("404");
    }
    call("lab_absent", json!({ "n": "1" })).expect_problem(429, "repeated_call");
    assert!(!call("lab_read", json!({ "n": "1" })).is_error());
    expect_denial(&toolbox.rest("GET", "/lab/absent/1"), Denial::RepeatedCall, &[]);
}

/// A call of a client over REST.
type Call = Box<dyn Fn(&Gate, &str) -> Response>;

fn rest(brake: &str) -> (Upstream, Gate, Call) {
    let upstream = Upstream::start();
    let plans = Box::leak(format!("{WIDE}{brake}").into_boxed_str());
    let gate = Gate::start(&Setup { plans, ..Setup::before(&upstream) });
    let key = gate.add_lab_client("app");
    let call = move |gate: &Gate, target: &str| gate.call(&Request::get(target).key(&key.text));
    (upstream, gate, Box::new(call))
}

#[test]
fn an_app_is_stopped_alike_and_its_quarantine_outlasts_a_restart() {
    let (_upstream, mut gate, call) = rest(ON);
    for _ in 0..5 {
        assert_eq!(call(&gate, "/lab/absent/1").status, 404);
    }
    let refused = call(&gate, "/lab/ok/1");
    expect_denial(&refused, Denial::RepeatedCall, &[]);
    assert!(refused.problem()["detail"].as_str().expect("a text").starts_with(SENTENCE));
    let seconds = refused.field("retry-after").and_then(|text| text.parse::<u64>().ok());
    assert!(seconds.is_some_and(|seconds| (1..=600).contains(&seconds)), "{refused:?}");
    for _ in 0..50 {
        expect_denial(&call(&gate, "/lab/ok/1"), Denial::RepeatedCall, &[]);
    }
    // Paths that lead nowhere are another matter.
    for n in 0..5 {
        assert_eq!(call(&gate, &format!("/lab/{n}")).status, 404);
    }
    expect_denial(&call(&gate, "/lab/6"), Denial::RepeatedCall, &[]);
    act(&gate, "client.quarantine");
    gate.kill9();
    gate.run();
    expect_denial(&call(&gate, "/lab/ok/1"), Denial::Quarantined, &[]);
}

#[test]
fn it_ends_by_itself() {
    let (_upstream, gate, call) = rest(SHORT);
    for _ in 0..5 {
        assert_eq!(call(&gate, "/lab/absent/1").status, 404);
    }
    expect_denial(&call(&gate, "/lab/ok/1"), Denial::RepeatedCall, &[]);
    poll::until("it is over", || (call(&gate, "/lab/ok/1").status == 200).then_some(()));
    let list = gate.cli(&["client", "list"]).expect_success();
    assert!(list.contains(" active "), "{list}");
}

#[test]
fn who_runs_into_its_rate_without_end_is_stopped() {
    let slow = "[[plan]]\nname = \"wide\"\nrates = [{ limit = 1, per = \"1h\", burst = 2 }]\n";
    let upstream = Upstream::start();
    let plans = Box::leak(format!("{slow}{ON}").into_boxed_str());
    let gate = Gate::start(&Setup { plans, ..Setup::before(&upstream) });
    let key = gate.add_lab_client("app");
    let call = || gate.call(&Request::get("/lab/ok/1").key(&key.text));
    for n in 0..12 {
        let expected = match n {
            0..2 => None,
            2..10 => Some(Denial::RateLimited),
            _ => Some(Denial::RepeatedCall),
        };
        let response = call();
        match expected {
            None => assert_eq!(response.status, 200, "call {n}"),
            Some(denial) => expect_denial(&response, denial, &[]),
        }
    }
    assert!(call().text().contains("it came 8 times over the limits"));
}

#[test]
fn a_shadow_refuses_nothing_and_is_seen() {
    let (_upstream, gate, call) = rest(SHADOW);
    let mut last = None;
    for _ in 0..20 {
        let response = call(&gate, "/lab/absent/1");
        assert_eq!(response.status, 404);
        last = Some(response);
    }
    let record = gate.record_of(&last.expect("calls"));
    assert_eq!(record["shadow_limit"], "loop_brake", "{record}");
    let labels = ["client=\"app\"", "mode=\"shadow\""];
    wait_for(&gate, "onegate_loop_brake_total", &labels, 1.0);
    let would = ["client=\"app\"", "limit=\"wide/loop_brake\""];
    wait_for(&gate, "onegate_shadow_refusals_total", &would, 15.0);
    let made = act(&gate, "client.loop_brake");
    assert_eq!(made["after"], json!({ "of": "lab.read", "mode": "shadow" }), "{made}");
    let clients = gate.cli(&["client", "list"]).expect_success();
    assert!(clients.contains(" active "), "{clients}");
}

#[test]
fn where_it_is_off_nobody_is_stopped() {
    let (_upstream, gate, call) = rest("loop_brake = { mode = \"off\", failures = 2 }\n");
    for _ in 0..20 {
        assert_eq!(call(&gate, "/lab/absent/1").status, 404);
    }
    assert_eq!(call(&gate, "/lab/ok/1").status, 200);
    assert!(!gate.metrics().contains("onegate_loop_brake_total{"));
}

/// The api's own rules refuse before anybody is asked for a grant: that is a failure like any other.
#[test]
fn what_an_apis_rules_refuse_counts() {
    let plans: &str = Box::leak(format!("{WIDE}{ON}").into_boxed_str());
    let rule = "access = \"granted\"\nrequired_headers = [\"x-tenant\"]";
    let toolbox = Toolbox::start_with(|setup| {
        let apis = setup.apis.replace("access = \"granted\"", rule);
        Setup { apis, plans, ..setup }
    });
    for n in 0..8 {
        let (status, code) = if n < 5 { (403, "policy_refused") } else { (429, "repeated_call") };
        let response = toolbox.rest("GET", "/lab/ok/1");
        assert_eq!((response.status, &response.problem()["code"]), (status, &json!(code)), "{n}");
        let call = Era::Legacy.call("lab_absent", &json!({ "n": "1" }));
        toolbox.ask(&call).expect_problem(status, code);
    }
    assert!(toolbox.upstream.asked().is_empty());
}
