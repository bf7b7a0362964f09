//! Plans: counted per client, exact, all rates or none, also when many connections ask at once.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use onegate::model::denial::Denial;

use super::harness::bench::{Bench, expect_denial};
use super::harness::gate::Gate;
use super::harness::http::Request;
use super::harness::poll;
use super::harness::setup::Setup;
use super::harness::upstream::Upstream;

const CONNECTIONS: usize = 64;

#[test]
fn a_burst_is_admitted_at_once() {
    let upstream = Upstream::start();
    let plans = r#"
[[plan]]
name = "wide"
rates = [{ name = "burst", limit = 1, per = "10m", burst = 20 }]"#;
    let gate = Gate::start(&Setup { plans, ..Setup::before(&upstream) });
    let key = gate.add_lab_client("bursty");
    let start = Barrier::new(CONNECTIONS);
    let one = |n: usize| {
        let mut client = gate.client();
        let request = Request::get(&format!("/lab/ok/{n}")).key(&key.text);
        start.wait();
        client.call(&request).status
    };
    let statuses: Vec<u16> = thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS).map(|n| scope.spawn(move || one(n))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a test thread")).collect()
    });
    let mut counts = BTreeMap::new();
    for status in statuses {
        *counts.entry(status).or_insert(0) += 1;
    }
    assert_eq!(counts, BTreeMap::from([(200, 20), (429, CONNECTIONS - 20)]));
    assert_eq!(upstream.received().len(), 20, "over-admitted");
}

#[test]
fn a_plan_limits_all_calls_of_a_client() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let second = bench.gate.key(&["credential", "add", "--client", "five", "--key"]);
    let call = |key: &str| bench.gate.call(&Request::get("/lab/ok/1").key(key));
    // Whatever credential it uses, and whatever else is called meanwhile.
    for key in [&bench.five, &second, &bench.five, &second, &bench.five] {
        assert_eq!(call(&key.text).status, 200);
        assert_eq!(call(&bench.key.text).status, 200);
    }
    for key in [&bench.five, &second] {
        let record = bench.check_response(&call(&key.text), Denial::RateLimited, &[]);
        assert_eq!(record["limit"], "per-minute", "{record}");
    }
    assert_eq!(call(&bench.key.text).status, 200, "another client pays for this one");
}

#[test]
fn all_rates_are_charged_or_none() {
    let upstream = Upstream::start();
    let plans = r#"
[[plan]]
name = "wide"
rates = [
    { name = "few", limit = 1, per = "10m", burst = 2 },
    { name = "many", limit = 1, per = "10m", burst = 10 },
]"#;
    let gate = Gate::start(&Setup { plans, ..Setup::before(&upstream) });
    let key = gate.add_lab_client("careful");
    let call = || gate.call(&Request::get("/lab/ok/1").key(&key.text));
    let remaining = |rate: &str| {
        let response = call();
        let field = response.field("ratelimit").expect("it is always there").to_owned();
        let item = field.split(", ").find(|item| item.starts_with(&format!("\"{rate}\"")));
        let item = item.unwrap_or_else(|| panic!("no {rate} in {field}"));
        item.split(';').find_map(|part| part.strip_prefix("r=")?.parse::<u32>().ok())
    };
    assert_eq!(remaining("many"), Some(9));
    assert_eq!(remaining("many"), Some(8));
    // Refused by `few`: `many` is not charged, however often.
    for _ in 0..20 {
        assert_eq!(remaining("many"), Some(8));
    }
    expect_denial(&call(), Denial::RateLimited, &[]);
    // A call that is denied before the limits is charged to nobody.
    assert_eq!(gate.call(&Request::get("/lab/ok/1")).field("ratelimit"), None);
}

#[test]
fn rate_limit_headers_name_every_rate() {
    let upstream = Upstream::start();
    let plans = r#"
[[plan]]
name = "wide"
rates = [{ name = "per-minute", limit = 1, per = "1m", burst = 2 }, { limit = 50, per = "1s" }]"#;
    let gate = Gate::start(&Setup { plans, ..Setup::before(&upstream) });
    let key = gate.add_lab_client("curious");
    let call = || gate.call(&Request::get("/lab/ok/1").key(&key.text));
    let allowed = [call(), call()];
    let refused = call();
    for response in allowed.iter().chain([&refused]) {
        let policy = "\"per-minute\";q=2;w=120, \"50-per-1s\";q=50;w=1";
        assert_eq!(response.field("ratelimit-policy"), Some(policy));
        let standing = response.field("ratelimit").expect("it is always there");
        assert_eq!(standing.matches(";r=").count(), 2, "{standing}");
        assert_eq!(standing.matches(";t=").count(), 2, "{standing}");
    }
    expect_denial(&refused, Denial::RateLimited, &[]);
    let wait: u64 =
        refused.field("retry-after").and_then(|text| text.parse().ok()).expect("seconds");
    assert!((50..=60).contains(&wait), "{wait}");
    assert_eq!(refused.problem()["violated-policies"][0], "per-minute");
}

/// By the caller's own ledger: a steady stream at twice the rate gets the rate, no more, and hardly
/// less than a bucket that the caller keeps.
#[test]
fn a_steady_stream_gets_its_rate() {
    const RATE: f64 = 80.0;
    const BURST: f64 = 10.0;
    let upstream = Upstream::start();
    let plans = r#"
[[plan]]
name = "wide"
rates = [{ limit = 80, per = "1s", burst = 10 }]"#;
    let gate = Gate::start(&Setup { plans, ..Setup::before(&upstream) });
    let key = gate.add_lab_client("steady");
    let (mut client, request) = (gate.client(), Request::get("/lab/ok/1").key(&key.text));
    let began = Instant::now();
    let (mut admitted, mut due) = (0.0, 0.0);
    let (mut level, mut last, mut slowest) = (BURST, began, Duration::ZERO);
    for n in 0..480 {
        let turn = began + Duration::from_micros(6250) * n;
        poll::until("its turn", || (Instant::now() >= turn).then_some(()));
        let sent = Instant::now();
        level = BURST.min(level + RATE * (sent - last).as_secs_f64());
        last = sent;
        if level >= 1.0 {
            level -= 1.0;
            due += 1.0;
        }
        admitted += f64::from(u8::from(client.call(&request).status == 200));
        slowest = slowest.max(sent.elapsed());
    }
    let most = BURST + RATE * began.elapsed().as_secs_f64();
    assert!(admitted <= most, "{admitted} of {most}");
    // When the gate looked at its clock is known to the slowest call.
    let unknown = 1.0 + RATE * slowest.as_secs_f64();
    assert!(admitted + unknown >= due * 0.97, "{admitted} of {due}, {unknown} unknown");
}

#[test]
fn credentials_can_be_counted_apart() {
    let upstream = Upstream::start();
    let plans = r#"
[[plan]]
name = "wide"
rates = [
    { name = "of-all", limit = 1, per = "10m", burst = 5 },
    { name = "of-each", limit = 1, per = "10m", burst = 3, by = "credential" },
]"#;
    let gate = Gate::start(&Setup { plans, ..Setup::before(&upstream) });
    let first = gate.add_lab_client("two-keys");
    let second = gate.key(&["credential", "add", "--client", "two-keys", "--key"]);
    let call = |key: &str| gate.call(&Request::get("/lab/ok/1").key(key));
    for _ in 0..3 {
        assert_eq!(call(&first.text).status, 200);
    }
    // A change of the inventory gives nothing back.
    gate.add_lab_client("another");
    let refused = call(&first.text);
    expect_denial(&refused, Denial::RateLimited, &[]);
    assert_eq!(gate.record_of(&refused)["limit"], "of-each");
    for _ in 0..2 {
        assert_eq!(call(&second.text).status, 200, "the other key has its own");
    }
    let refused = call(&second.text);
    assert_eq!(gate.record_of(&refused)["limit"], "of-all", "and both are one client");
}

#[test]
fn a_limit_counts_the_operations_it_names() {
    let upstream = Upstream::start();
    let plans = r#"
[[plan]]
name = "wide"
rates = [
    { limit = 100, per = "1s" },
    { name = "writes", limit = 1, per = "10m", burst = 2, operations = ["lab.write", "lab.erase"] },
]"#;
    let gate = Gate::start(&Setup { plans, ..Setup::before(&upstream) });
    let key = gate.add_lab_client("writer");
    let call = |method| gate.call(&Request::new(method, "/lab/ok/1").key(&key.text));
    assert_eq!(call("POST").status, 200);
    assert_eq!(call("DELETE").status, 200);
    let refused = call("PUT");
    expect_denial(&refused, Denial::RateLimited, &[]);
    assert_eq!(refused.problem()["violated-policies"][0], "writes");
    let read = call("GET");
    assert_eq!(read.status, 200);
    let standing = read.field("ratelimit").expect("it is always there");
    assert!(!standing.contains("writes"), "{standing}");
}

#[test]
fn a_shadow_limit_is_recorded_and_not_enforced() {
    let upstream = Upstream::start();
    let plans = r#"
[[plan]]
name = "wide"
rates = [
    { name = "real", limit = 1, per = "10m", burst = 4 },
    { name = "watched", limit = 1, per = "10m", burst = 2, shadow = true },
]"#;
    let gate = Gate::start(&Setup { plans, ..Setup::before(&upstream) });
    let key = gate.add_lab_client("watched");
    let call = || gate.call(&Request::get("/lab/ok/1").key(&key.text));
    for n in 0..4 {
        let response = call();
        assert_eq!(response.status, 200);
        assert_eq!(response.field("ratelimit-policy"), Some("\"real\";q=4;w=2400"));
        let record = gate.record_of(&response);
        let shadow = record.get("shadow_limit").and_then(|limit| limit.as_str());
        assert_eq!(shadow, (n >= 2).then_some("watched"), "{record}");
        assert_eq!(record["decision"], "allowed", "{record}");
    }
    let record = gate.record_of(&call());
    assert_eq!((&record["limit"], record.get("shadow_limit")), (&"real".into(), None), "{record}");
    let counted = r#"onegate_shadow_refusals_total{client="watched",limit="wide/watched"} 2"#;
    assert!(gate.metrics().contains(counted), "{}", gate.metrics());
}
