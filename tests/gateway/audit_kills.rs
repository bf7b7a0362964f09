//! A gate that is killed at the worst moments: between a line of the log and what the journal says beside it, in a
//! start that makes good of a kill, in a stop. No call is lost, and none is counted twice.

use super::harness::client::Client;
use super::harness::faults::Faults;
use super::harness::gate::Gate;
use super::harness::http::{Body, Request};
use super::harness::setup::Setup;
use super::harness::upstream::Upstream;

/// Calls without a credential, over one connection, until there are so many answers or the gate is gone.
fn strangers(gate: &Gate, calls: usize) -> u64 {
    // Without the witness: they have no record each.
    let mut client = Client::connect(gate.address, None);
    let mut answered = 0;
    for n in 0..calls {
        client.send(&Request::get(&format!("/lab/ok/{n}")).bytes());
        let Some(response) = client.read(Body::Expected) else { break };
        assert_eq!(response.status, 401);
        answered += 1;
    }
    answered
}

/// Denied calls of strangers that the log tells of.
fn counted(gate: &Gate) -> u64 {
    let records = gate.records_now(&["--denial", "credential_missing"]);
    records.iter().map(|record| record["count"].as_u64().unwrap_or(1)).sum()
}

/// Calls without a record that the log tells of, by its own count.
fn unrecorded(gate: &Gate) -> u64 {
    let records = gate.records_now(&["--surface", "admin"]);
    let gaps = records.iter().filter(|record| record["action"] == "audit.gap");
    gaps.flat_map(|gap| [&gap["after"]["refused"], &gap["after"]["served"]])
        .map(|count| count.as_u64().expect("a count"))
        .sum()
}

const FOR_EVER: usize = usize::MAX;

fn start(setup: &Setup, faults: &Faults) -> Gate {
    let environment = faults.environment();
    Gate::start_with(setup, &environment.each_ref().map(|(name, value)| (*name, value.as_str())))
}

#[test]
fn summaries_count_each_call_once() {
    let upstream = Upstream::start();
    for when in ["before", "after"] {
        let faults = Faults::none();
        let setup = Setup { audit: "denials_per_source = 2", ..Setup::before(&upstream) };
        let mut gate = start(&setup, &faults);
        faults.are(&format!("KILL {when} \"count\":"));
        let answered = strangers(&gate, FOR_EVER);
        gate.wait_for_end();
        // The one that the gate was at may have a record without an answer.
        let expected = answered..=answered + 1;
        faults.are("");
        for _ in 0..2 {
            gate.run();
            let told = counted(&gate);
            assert!(expected.contains(&told), "{when}: {told} calls told, {answered} answered");
            gate.kill9();
        }
        gate.run();
    }
}

/// What a start writes of the calls of strangers is counted too, and that start can be killed as well.
#[test]
fn starts_that_are_killed_count_each_call_once() {
    let upstream = Upstream::start();
    let faults = Faults::none();
    let setup = Setup { audit: "denials_per_source = 2", ..Setup::before(&upstream) };
    let mut gate = start(&setup, &faults);
    faults.are("write ENOSPC");
    let answered = strangers(&gate, 500);
    gate.kill9();
    for at in
        ["before \"count\":", "after \"count\":", "after cause crash", "after audit.recovered"]
    {
        faults.are(&format!("KILL {at}"));
        gate.run_in_vain();
    }
    faults.are("");
    gate.run();
    assert_eq!(counted(&gate), answered);
}

#[test]
fn gaps_count_each_call_once() {
    const CALLS: usize = 600;
    let upstream = Upstream::start();
    for when in ["before", "after"] {
        let faults = Faults::none();
        let setup = Setup { audit: "queue_records_max = 200", ..Setup::before(&upstream) };
        let mut gate = start(&setup, &faults);
        let key = gate.add_lab_client("full").text;
        faults.are("write ENOSPC");
        let mut client = Client::connect(gate.address, None);
        for n in 0..CALLS {
            let call = Request::get(&format!("/lab/ok/{n}")).key(&key);
            assert_eq!(client.call(&call).status, 200);
        }
        faults.are(&format!("KILL {when} audit.gap"));
        gate.wait_for_end();
        // The start that looks whether they are told can be killed too.
        faults.are("KILL after cause crash");
        gate.run_in_vain();
        faults.are("");
        gate.run();
        gate.settle();
        let recorded = gate.records_now(&["--client", "full"]).len();
        let counted = unrecorded(&gate);
        assert!(counted > 0, "some had no record");
        assert_eq!(recorded as u64 + counted, CALLS as u64, "{when}: {counted} without a record");
    }
}

#[test]
fn a_stop_can_be_killed_too() {
    let upstream = Upstream::start();
    let faults = Faults::none();
    let mut gate = start(&Setup::before(&upstream), &faults);
    let key = gate.add_lab_client("full").text;
    let journal = gate.folder.path().join("data/audit.journal");
    // At the end of the gate each of these is held against the records.
    let call = |gate: &Gate| {
        assert_eq!(gate.call(&Request::get("/lab/ok/1").key(&key)).status, 200);
    };
    for when in ["before", "after"] {
        call(&gate);
        faults.are(&format!("KILL {when} cause stop"));
        gate.signal("TERM");
        gate.wait_for_end();
        assert!(journal.exists(), "{when}: it is removed last");
        faults.are("");
        gate.run();
        call(&gate);
    }
    assert!(gate.terminate().success());
    assert!(!journal.exists());
    gate.run();
    call(&gate);
    gate.kill9();
    gate.run();
    let recovered = gate.records_now(&["--surface", "admin"]);
    let recovered = recovered.iter().filter(|record| record["action"] == "audit.recovered");
    assert_eq!(recovered.count(), 2, "of the stop without its last word, and the last kill");
}
