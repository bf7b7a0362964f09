//! `/metrics`, as Prometheus reads it: well-formed, in agreement with what clients saw, and bounded.

use std::process::Command;

use super::harness::bench::Bench;
use super::harness::gate::Gate;
use super::harness::http::{Body, Request};
use super::harness::poll;
use super::harness::setup::Setup;
use super::harness::tools;
use super::harness::upstream::Upstream;

#[test]
fn metrics_are_served_at_their_address() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup::before(&upstream));
    assert_eq!(gate.metrics_get("/livez").status, 200);
    assert_eq!(gate.metrics_get("/readyz").status, 200);
    assert_eq!(gate.metrics_get("/else").status, 404);
    assert!(gate.metrics().contains("onegate_snapshot_revision"));
    // Nothing of it is reachable where the traffic goes.
    assert_eq!(gate.call(&Request::get("/metrics")).status, 404);
}

#[test]
fn promtool_finds_nothing_to_say() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    bench.get("/lab/ok/1");
    bench.get("/lab/close/1");
    bench.gate.call(&Request::get("/lab/ok/1"));
    let metrics = bench.gate.metrics();
    let said = tools::run(Command::new("promtool").args(["check", "metrics"]), metrics.as_bytes());
    assert_eq!((said.code, &*said.stderr), (Some(0), ""), "{}", said.stdout);
}

#[test]
fn counts_agree_with_the_callers() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    for n in 0..7 {
        assert_eq!(bench.get(&format!("/lab/ok/{n}")).status, 200);
    }
    for _ in 0..3 {
        assert_eq!(bench.gate.call(&Request::get("/lab/ok/1").key(&bench.other.text)).status, 403);
    }
    for _ in 0..2 {
        assert_eq!(bench.gate.call(&Request::get("/lab/ok/1")).status, 401);
    }
    assert_eq!(bench.get("/lab/close/1").status, 502);
    let check = |name: &str, labels: &[&str], expected: f64| {
        wait_for(&bench.gate, name, labels, expected);
    };
    let requests = "onegate_requests_total";
    check(requests, &["client=\"full\"", "api=\"lab\"", "decision=\"allowed\""], 8.0);
    check(requests, &["client=\"other\"", "decision=\"denied\"", "surface=\"rest\""], 3.0);
    check(requests, &["client=\"_anonymous\"", "decision=\"denied\""], 2.0);
    check("onegate_denials_total", &["client=\"other\"", "denial=\"not_granted\""], 3.0);
    check("onegate_denials_total", &["denial=\"credential_missing\""], 2.0);
    check("onegate_failures_total", &["api=\"lab\""], 1.0);
    check("onegate_responses_total", &["api=\"lab\"", "status_class=\"2xx\""], 7.0);
    check("onegate_gateway_duration_seconds_count", &["api=\"lab\""], 13.0);
    check("onegate_upstream_duration_seconds_count", &["api=\"lab\""], 8.0);
}

#[test]
fn requests_in_flight_are_counted_in_and_out() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let held = bench.hold(&upstream, 3);
    let name = "onegate_requests_in_flight";
    wait_for(&bench.gate, name, &["client=\"full\""], 3.0);
    held.release(&upstream);
    wait_for(&bench.gate, name, &["client=\"full\""], 0.0);
}

#[test]
fn clients_past_the_budget_share_other() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup { metrics: "clients_max = 0", ..Setup::before(&upstream) });
    bench.get("/lab/ok/1");
    bench.gate.call(&Request::get("/lab/ok/1").key(&bench.reader.text));
    wait_for(&bench.gate, "onegate_requests_total", &["client=\"_other\""], 2.0);
    let held = bench.hold(&upstream, 2);
    let mut stranger = bench.gate.client();
    stranger.send(&Request::get("/open/hold/1").bytes());
    wait_for(&bench.gate, "onegate_requests_in_flight", &["client=\"_other\""], 2.0);
    wait_for(&bench.gate, "onegate_requests_in_flight", &["client=\"_anonymous\""], 1.0);
    assert!(!bench.gate.metrics().contains("client=\"full\""));
    held.release(&upstream);
    assert_eq!(stranger.read(Body::Expected).map(|response| response.status), Some(200));
}

/// Waits until the series with these labels add up to a value: counting happens off the worker
/// threads, a moment after the answer.
pub fn wait_for(gate: &Gate, name: &str, labels: &[&str], expected: f64) {
    poll::until(&format!("{name}{labels:?} is {expected}"), || {
        let off = value(&gate.metrics(), name, labels) - expected;
        (off.abs() < f64::EPSILON).then_some(())
    });
}

/// The sum of the series with these labels.
pub fn value(metrics: &str, name: &str, labels: &[&str]) -> f64 {
    let series = metrics.lines().filter_map(|line| line.strip_prefix(name)?.rsplit_once(' '));
    let wanted = series.filter(|(set, _)| {
        matches!(set.as_bytes().first(), None | Some(b'{'))
            && labels.iter().all(|l| set.contains(l))
    });
    wanted.map(|(_, value)| value.parse::<f64>().expect("a number")).sum()
}
