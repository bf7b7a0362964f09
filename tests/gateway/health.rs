//! Who is left out, and for how long: by checks that the gate makes, and by what requests saw.

use onegate::model::denial::Failure;

use super::balance::endpoints;
use super::harness::gate::Gate;
use super::harness::http::Request;
use super::harness::poll;
use super::harness::setup::Setup;
use super::harness::upstream::{Mood, Received, Upstream};
use super::metrics::{value, wait_for};

const CHECKED: &str = r#"
retries = 1
timeouts = { first_byte = "1s" }
ejection = { failures = 0 }
panic_threshold = 0
[upstream.health]
check = "http"
path = "/well"
interval = "300ms"
timeout = "300ms"
healthy_after = 2
unhealthy_after = 2
"#;

pub fn gate_before(upstreams: &[Upstream], keys: &'static str) -> Gate {
    let endpoints = endpoints(upstreams);
    Gate::start(&Setup { endpoints, upstream: keys, ..Setup::before(&upstreams[0]) })
}

/// Requests that are no checks.
pub fn calls(upstream: &Upstream) -> Vec<Received> {
    let mut received = upstream.received();
    received.retain(|request| request.target.starts_with("/open/"));
    received
}

pub fn wait_for_state(gate: &Gate, state: &str, count: u32) {
    let state = format!("state=\"{state}\"");
    let labels = ["upstream=\"recorder\"", state.as_str()];
    wait_for(gate, "onegate_upstream_endpoints", &labels, f64::from(count));
}

/// Calls one after the other; all must succeed.
fn call_all(gate: &Gate, name: &str, count: usize) {
    for n in 0..count {
        assert_eq!(gate.call(&Request::get(&format!("/open/ok/{name}-{n}"))).status, 200);
    }
}

#[test]
fn checks_take_an_endpoint_out_and_back() {
    let upstreams = [Upstream::mortal(), Upstream::mortal()];
    let gate = gate_before(&upstreams, CHECKED);
    wait_for_state(&gate, "healthy", 2);
    call_all(&gate, "before", 10);
    assert_eq!(calls(&upstreams[0]).len(), 5);

    upstreams[0].die();
    call_all(&gate, "dead", 10);
    wait_for_state(&gate, "unhealthy", 1);
    let retries =
        || gate.metrics().lines().find(|l| l.contains("retries_total{")).map(str::to_owned);
    let before = retries();
    call_all(&gate, "out", 20);
    assert_eq!(retries(), before, "it is not tried while it is out");

    upstreams[0].return_again();
    wait_for_state(&gate, "healthy", 2);
    let seen = calls(&upstreams[0]).len();
    call_all(&gate, "back", 10);
    assert_eq!(calls(&upstreams[0]).len(), seen + 5);
    let log = gate.stderr();
    let first = upstreams[0].address;
    assert_eq!(log.matches(&format!("{first} is unhealthy")).count(), 1, "{log}");
    assert_eq!(log.matches(&format!("{first} is healthy")).count(), 1, "{log}");
}

#[test]
fn a_hanging_endpoint_fails_its_checks() {
    let upstreams = [Upstream::start(), Upstream::start()];
    let gate = gate_before(&upstreams, CHECKED);
    call_all(&gate, "before", 2);
    upstreams[0].feel(Mood::Hanging);
    wait_for_state(&gate, "unhealthy", 1);
    let seen = calls(&upstreams[0]).len();
    call_all(&gate, "hung", 10);
    assert_eq!(calls(&upstreams[0]).len(), seen);
    upstreams[0].feel(Mood::Well);
    wait_for_state(&gate, "healthy", 2);
}

#[test]
fn tcp_checks_ask_for_a_connection() {
    let upstreams = [Upstream::mortal(), Upstream::mortal()];
    let keys =
        "retries = 0\nhealth = { check = \"tcp\", interval = \"100ms\", unhealthy_after = 1 }";
    let gate = gate_before(&upstreams, keys);
    upstreams[0].feel(Mood::Hanging);
    poll::until("both were checked", || {
        upstreams.iter().all(|upstream| upstream.connections().made > 1).then_some(())
    });
    wait_for_state(&gate, "healthy", 2);
    upstreams[0].die();
    wait_for_state(&gate, "unhealthy", 1);
    call_all(&gate, "dead", 10);
}

#[test]
fn an_http_check_asks_what_it_is_told() {
    let upstream = Upstream::start();
    let keys = r#"health = { check = "http", path = "/absent/check?deep=1", host = "lab.test:80", expect = "404", interval = "100ms", unhealthy_after = 1 }"#;
    let setup = Setup { upstream: keys, ..Setup::before(&upstream) };
    let gate = Gate::start(&setup);
    upstream.wait_for("/absent/check?deep=1");
    let check = upstream.received_at("/absent/check?deep=1").remove(0);
    assert_eq!(check.method, "GET");
    assert_eq!(check.fields.value("host"), Some("lab.test:80"));
    assert_eq!(check.fields.value("user-agent"), Some("onegate-health-check"));
    wait_for_state(&gate, "healthy", 1);

    let keys = r#"health = { check = "http", path = "/absent/check", expect = "200-399", interval = "100ms", unhealthy_after = 1 }"#;
    gate.write_config(&Setup { upstream: keys, ..setup.clone() });
    gate.cli(&["reload"]).expect_success();
    wait_for_state(&gate, "unhealthy", 1);
    let check = upstream.received_at("/absent/check").remove(0);
    assert_eq!(check.fields.value("host"), Some(upstream.address.to_string().as_str()));
    assert!(gate.stderr().contains("a check was answered with 404"), "{}", gate.stderr());

    // Without checks it is taken as well.
    gate.write_config(&Setup { upstream: "", ..setup });
    gate.cli(&["reload"]).expect_success();
    wait_for_state(&gate, "healthy", 1);
}

#[test]
fn in_panic_health_is_ignored() {
    let upstreams = [Upstream::start(), Upstream::start()];
    let keys = |threshold: u8| {
        let health = r#"health = { check = "http", path = "/busy", interval = "100ms", unhealthy_after = 1 }"#;
        format!("panic_threshold = {threshold}\n{health}").leak()
    };
    let gate = gate_before(&upstreams, keys(50));
    wait_for_state(&gate, "unhealthy", 2);
    call_all(&gate, "panic", 10);
    assert_eq!(upstreams.each_ref().map(|upstream| calls(upstream).len()), [5, 5]);

    let (endpoints, upstream) = (endpoints(&upstreams), keys(0));
    gate.write_config(&Setup { endpoints, upstream, ..Setup::before(&upstreams[0]) });
    gate.cli(&["reload"]).expect_success();
    wait_for_state(&gate, "unhealthy", 2);
    let response = gate.call(&Request::get("/open/ok/none"));
    assert_eq!(response.problem()["code"], Failure::UpstreamUnreachable.code());
    let record = gate.record_of(&response);
    assert_eq!(record["reason"], "no endpoint of the upstream is healthy", "{record}");
    assert_eq!(record["end"], "complete", "{record}");
    assert!(record["endpoint"].is_null(), "{record}");
    assert_eq!(upstreams.each_ref().map(|upstream| calls(upstream).len()), [5, 5]);
}

#[test]
fn failing_requests_eject_an_endpoint_for_a_while() {
    let upstreams = [Upstream::mortal(), Upstream::mortal()];
    let keys = r#"
retries = 0
timeouts = { first_byte = "200ms" }
ejection = { failures = 3, first = "1s", longest = "1s" }"#;
    let gate = gate_before(&upstreams, keys);
    let check = |what: &str, statuses: &[u16], break_it: &dyn Fn(), mend: &dyn Fn()| {
        wait_for_state(&gate, "healthy", 2);
        // A success ends what was counted before.
        call_all(&gate, &format!("{what}-before"), 4);
        break_it();
        let mut failed = 0;
        poll::until(&format!("{what}: it is ejected"), || {
            let response = gate.call(&Request::get(&format!("/open/ok/{what}-{failed}")));
            failed += usize::from(response.status != 200);
            assert!(response.status == 200 || statuses.contains(&response.status), "{response:?}");
            let ejected = "state=\"ejected\"";
            (value(&gate.metrics(), "onegate_upstream_endpoints", &[ejected]) > 0.0).then_some(())
        });
        // One may meet a connection of before, whose end is nobody's fault.
        assert!((3..=4).contains(&failed), "{what}: {failed}");
        mend();
        wait_for_state(&gate, "healthy", 2);
        poll::until("it gets requests again", || {
            let before = calls(&upstreams[0]).len();
            call_all(&gate, &format!("{what}-after"), 2);
            (calls(&upstreams[0]).len() > before).then_some(())
        });
    };
    let well = || upstreams[0].feel(Mood::Well);
    check("busy", &[503], &|| upstreams[0].feel(Mood::Busy), &well);
    check("hanging", &[504], &|| upstreams[0].feel(Mood::Hanging), &well);
    check("closing", &[502], &|| upstreams[0].feel(Mood::Closing), &well);
    check("dead", &[502], &|| upstreams[0].die(), &|| upstreams[0].return_again());
    assert_eq!(gate.stderr().matches("is ejected for 1s").count(), 4, "{}", gate.stderr());
}

#[test]
fn callers_that_leave_are_no_failures() {
    let upstreams = [Upstream::start(), Upstream::start()];
    let gate = gate_before(&upstreams, "ejection = { failures = 1 }");
    for n in 0..6 {
        let target = format!("/open/hold/{n}");
        let mut client = gate.client();
        client.send(&Request::get(&target).bytes());
        poll::until("it arrives", || {
            upstreams.iter().any(|u| !u.received_at(&target).is_empty()).then_some(())
        });
        drop(client);
        assert_eq!(gate.record_of_path(&target)["end"], "client_abort");
    }
    wait_for_state(&gate, "healthy", 2);
}
