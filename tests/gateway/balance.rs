//! Who gets a request: by load, by key, within what an endpoint and a budget of retries can bear.
//! The upstreams say what arrived, the records what was meant.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use onegate::model::denial::{Denial, Failure};

use super::harness::bench::expect_denial;
use super::harness::client::Client;
use super::harness::gate::Gate;
use super::harness::http::{Body, Request, Response};
use super::harness::poll;
use super::harness::setup::Setup;
use super::harness::upstream::{Mood, Upstream};
use super::metrics::wait_for;

/// Endpoints of a config, for several upstreams.
pub fn endpoints(upstreams: &[Upstream]) -> String {
    upstreams
        .iter()
        .map(|upstream| format!("\"{}\"", upstream.address))
        .collect::<Vec<_>>()
        .join(", ")
}

fn gate_before(upstreams: &[Upstream], keys: &'static str) -> Gate {
    let endpoints = endpoints(upstreams);
    Gate::start(&Setup { endpoints, upstream: keys, ..Setup::before(&upstreams[0]) })
}

fn counts(upstreams: &[Upstream]) -> Vec<usize> {
    upstreams.iter().map(|upstream| upstream.received().len()).collect()
}

/// Begins a call that an upstream holds; returns when it has arrived at one of them.
fn hold(gate: &Gate, upstreams: &[Upstream], target: &str) -> Client {
    let mut client = gate.client();
    client.send(&Request::get(target).bytes());
    poll::until(&format!("{target} arrives"), || {
        upstreams.iter().any(|upstream| !upstream.received_at(target).is_empty()).then_some(())
    });
    client
}

fn expect_ok(gate: &Gate, client: &mut Client) {
    expect_over(gate, &client.read(Body::Expected).expect("an answer"));
}

/// A call is counted at its endpoint until its record is complete, a moment after the caller has
/// its answer.
fn expect_over(gate: &Gate, response: &Response) {
    assert_eq!(response.status, 200);
    gate.record_of(response);
}

/// Lets an upstream answer the calls that it holds, and waits until none is counted there.
fn finish_those_at(gate: &Gate, upstream: &Upstream, held: &mut Vec<(Client, String)>) {
    upstream.release();
    held.retain_mut(|(client, target)| {
        let here = !upstream.received_at(target).is_empty();
        if here {
            expect_ok(gate, client);
        }
        !here
    });
}

#[test]
fn least_requests_leave_a_busy_endpoint_alone() {
    let upstreams = [Upstream::start(), Upstream::start(), Upstream::start()];
    let gate = gate_before(&upstreams, "balance = \"least_requests\"");
    let mut held = Vec::new();
    for n in 0..6 {
        let target = format!("/open/hold/{n}");
        held.push((hold(&gate, &upstreams, &target), target));
    }
    assert_eq!(counts(&upstreams), [2, 2, 2]);
    // The first is slow, the others are done.
    finish_those_at(&gate, &upstreams[1], &mut held);
    finish_those_at(&gate, &upstreams[2], &mut held);
    for n in 0..20 {
        expect_over(&gate, &gate.call(&Request::get(&format!("/open/ok/{n}"))));
    }
    assert_eq!(counts(&upstreams), [2, 12, 12]);
    finish_those_at(&gate, &upstreams[0], &mut held);
}

#[test]
fn of_two_choices_the_busy_one_loses() {
    let upstreams = [Upstream::start(), Upstream::start()];
    let gate = gate_before(&upstreams, "balance = \"two_choices\"");
    let mut held = Vec::new();
    for n in 0..6 {
        let target = format!("/open/hold/{n}");
        held.push((hold(&gate, &upstreams, &target), target));
    }
    assert_eq!(counts(&upstreams), [3, 3], "of two endpoints both are always drawn");
    finish_those_at(&gate, &upstreams[1], &mut held);
    for n in 0..20 {
        expect_over(&gate, &gate.call(&Request::get(&format!("/open/ok/{n}"))));
    }
    assert_eq!(counts(&upstreams), [3, 23]);
    finish_those_at(&gate, &upstreams[0], &mut held);
}

#[test]
fn a_hash_keeps_a_client_at_its_endpoint() {
    let upstreams = [Upstream::start(), Upstream::start(), Upstream::start()];
    let gate = gate_before(&upstreams, "balance = \"hash:client\"");
    let mut places: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for client in 0..8 {
        let key = gate.add_lab_client(&format!("client-{client}"));
        for n in 0..4 {
            let target = format!("/lab/ok/{client}-{n}");
            let response = gate.call(&Request::get(&target).key(&key.text));
            assert_eq!(response.status, 200);
            let at = upstreams.iter().position(|u| !u.received_at(&target).is_empty());
            places.entry(client).or_default().push(at.expect("it went somewhere"));
        }
    }
    for (client, places) in &places {
        assert_eq!(BTreeSet::from_iter(places).len(), 1, "client {client} was at {places:?}");
    }
    let used: BTreeSet<usize> = places.values().map(|places| places[0]).collect();
    assert!(used.len() > 1, "all clients are at one endpoint");
}

#[test]
fn a_hash_takes_what_it_is_told() {
    let check = |balance: &'static str, request: &dyn Fn(usize) -> Request, spread: usize| {
        let upstreams = [Upstream::start(), Upstream::start(), Upstream::start()];
        let gate = gate_before(&upstreams, balance);
        for n in 0..12 {
            assert_eq!(gate.call(&request(n)).status, 200);
        }
        let used = counts(&upstreams).into_iter().filter(|count| *count > 0).count();
        assert_eq!(used, spread, "{balance}: {:?}", counts(&upstreams));
    };
    let path = |n: usize| Request::get(&format!("/open/ok/{n}"));
    check("balance = \"hash:source_ip\"", &path, 1);
    check("balance = \"hash:path\"", &|n| Request::get(&format!("/open/ok/1?{n}")), 1);
    check("balance = \"hash:path\"", &path, 3);
    let tenant = |n: usize| path(n).field("X-Tenant", "blue");
    check("balance = \"hash:header:x-tenant\"", &tenant, 1);
    check("balance = \"hash:header:x-tenant\"", &path, 3);
    check("balance = \"hash:client\"", &path, 3);
}

#[test]
fn full_endpoints_are_passed_over_and_then_refused() {
    for balance in ["round_robin", "least_requests", "two_choices", "hash:source_ip"] {
        let upstreams = [Upstream::start(), Upstream::start()];
        let keys = format!("connections_max = 2\nbalance = \"{balance}\"");
        let gate = gate_before(&upstreams, keys.leak());
        let mut held: Vec<Client> =
            (0..4).map(|n| hold(&gate, &upstreams, &format!("/open/hold/{n}"))).collect();
        assert_eq!(counts(&upstreams), [2, 2], "{balance}");

        let response = gate.call(&Request::get("/open/ok/over"));
        expect_denial(&response, Denial::Overloaded, &[("retry-after", "1")]);
        let record = gate.record_of(&response);
        assert_eq!(record["denial"], "overloaded", "{record}");
        assert!(record["reason"].as_str().is_some_and(|why| why.contains("connections_max")));
        assert_eq!(counts(&upstreams), [2, 2], "{balance}");

        upstreams.iter().for_each(Upstream::release);
        for client in &mut held {
            expect_ok(&gate, client);
        }
        poll::until("there is room again", || {
            (gate.call(&Request::get("/open/ok/again")).status == 200).then_some(())
        });
        let most = upstreams.iter().map(|upstream| upstream.connections().open).max();
        assert!(most <= Some(2), "{balance}: {most:?} connections");
    }
}

#[test]
fn retries_stay_within_their_budget() {
    let upstreams = [Upstream::start(), Upstream::start()];
    let keys = "retry_budget = { percent = 0, at_least = 2 }\nejection = { failures = 0 }";
    let gate = gate_before(&upstreams, keys);
    upstreams[0].feel(Mood::Closing);
    upstreams[1].feel(Mood::Holding);
    // What begins at the first breaks off there; two calls may be tried again at the second.
    let (mut held, mut failed) = (Vec::new(), 0);
    for n in 0..10 {
        let target = format!("/open/ok/{n}");
        let mut client = gate.client();
        client.send(&Request::get(&target).bytes());
        let arrived = poll::until(&format!("{target} goes somewhere"), || {
            let arrived = !upstreams[1].received_at(&target).is_empty();
            (arrived || client.hears_within(Duration::from_millis(1))).then_some(arrived)
        });
        if arrived {
            held.push(client);
        } else {
            let response = client.read(Body::Expected).expect("an answer");
            let record = gate.record_of(&response);
            assert_eq!(record["failure"], Failure::UpstreamProtocol.code(), "{record}");
            assert_eq!(record["endpoint"], upstreams[0].address.to_string(), "{record}");
            failed += 1;
        }
    }
    assert!(failed > 0, "all were tried again");
    assert_eq!(counts(&upstreams), [failed + 2, held.len()]);
    wait_for(&gate, "onegate_upstream_retries_total", &["upstream=\"recorder\""], 2.0);
    upstreams[1].release();
    for client in &mut held {
        let response = client.read(Body::Expected).expect("an answer");
        assert_eq!(response.status, 200);
        let record = gate.record_of(&response);
        assert_eq!((&record["end"], &record["upstream"]), (&"complete".into(), &"recorder".into()));
        assert_eq!(record["endpoint"], upstreams[1].address.to_string(), "{record}");
    }
    // What was taken is given back.
    for n in 10..14 {
        assert_eq!(gate.call(&Request::get(&format!("/open/ok/{n}"))).status, 200);
    }
}

#[test]
fn a_total_failure_is_not_multiplied() {
    let upstreams = [Upstream::start(), Upstream::start(), Upstream::start(), Upstream::start()];
    let keys = "retry_budget = { percent = 0, at_least = 1 }\nejection = { failures = 0 }";
    let gate = gate_before(&upstreams, keys);
    for upstream in &upstreams {
        upstream.feel(Mood::Closing);
    }
    for n in 0..20 {
        let target = format!("/open/ok/{n}");
        let response = gate.call(&Request::get(&target));
        assert_eq!(response.status, 502);
        let arrived = upstreams.iter().map(|upstream| upstream.received_at(&target).len());
        let arrived: Vec<usize> = arrived.collect();
        assert!(arrived.iter().all(|count| *count <= 1), "{target} was where it was: {arrived:?}");
        assert_eq!(arrived.iter().sum::<usize>(), 3, "{arrived:?}");
    }
    let before: usize = counts(&upstreams).iter().sum();
    let once = gate.call(&Request::new("POST", "/open/ok/pay").body(b"once"));
    assert_eq!(once.status, 502);
    assert_eq!(counts(&upstreams).iter().sum::<usize>(), before + 1, "a POST was sent twice");
}

#[test]
fn a_name_is_as_many_endpoints_as_it_has_addresses() {
    let upstream = Upstream::start();
    let endpoints = format!("\"localhost:{}\"", upstream.address.port());
    let gate = Gate::start(&Setup { endpoints, ..Setup::before(&upstream) });
    for n in 0..4 {
        assert_eq!(gate.call(&Request::get(&format!("/open/ok/{n}"))).status, 200);
    }
    let response = gate.call(&Request::get("/open/ok/last"));
    assert_eq!(gate.record_of(&response)["endpoint"], upstream.address.to_string());
}
