//! Plans: counted per client, exact, all rates or none, also when many connections ask at once.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::thread;

use onegate::model::denial::Denial;

use super::harness::bench::{Bench, expect_denial};
use super::harness::gate::Gate;
use super::harness::http::Request;
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
