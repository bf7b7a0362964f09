//! Calls at once: a call counts from its request to the last byte of its answer, streams included,
//! and no longer.

use onegate::model::denial::Denial;

use super::harness::bench::expect_denial;
use super::harness::client::Client;
use super::harness::gate::{Gate, Key};
use super::harness::http::{Body, Request};
use super::harness::poll;
use super::harness::setup::Setup;
use super::harness::upstream::Upstream;

const TWO: &str = r#"
[[plan]]
name = "wide"
rates = [{ limit = 100000, per = "1s" }]
concurrency = 2
"#;

fn begin(gate: &Gate, upstream: &Upstream, key: &Key, target: &str) -> Client {
    let mut client = gate.client();
    client.send(&Request::get(target).key(&key.text).bytes());
    upstream.wait_for(target);
    client
}

#[test]
fn calls_at_once_are_limited() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup { plans: TWO, ..Setup::before(&upstream) });
    let (key, other) = (gate.add_lab_client("busy"), gate.add_lab_client("idle"));
    let call = |key: &Key| gate.call(&Request::get("/lab/ok/1").key(&key.text));
    let allowed = call(&key);
    let policy = allowed.field("ratelimit-policy").expect("it is always there");
    assert!(policy.ends_with("\"concurrency\";q=2;qu=\"concurrent-requests\""), "{policy}");
    let standing = allowed.field("ratelimit").expect("it is always there");
    assert!(standing.ends_with("\"concurrency\";r=1"), "{standing}");

    let mut held = begin(&gate, &upstream, &key, "/lab/hold/1");
    let mut stream = begin(&gate, &upstream, &key, "/lab/stream/1");
    let refused = call(&key);
    expect_denial(&refused, Denial::ConcurrencyLimited, &[("retry-after", "1")]);
    assert_eq!(refused.problem()["violated-policies"][0], "concurrency");
    let record = gate.record_of(&refused);
    assert_eq!(record["limit"], "concurrency", "{record}");
    assert_eq!(record["denial"], "concurrency_limited", "{record}");
    assert_eq!(call(&other).status, 200, "another client has its own");
    let used = r#"onegate_limit_used_ratio{client="busy",limit="wide/concurrency"} 1"#;
    assert!(gate.metrics().contains(used), "{}", gate.metrics());

    upstream.release();
    for client in [&mut held, &mut stream] {
        assert_eq!(client.read(Body::Expected).map(|response| response.status), Some(200));
    }
    // Both ended, so both places are free: that of the stream too.
    let gone = || (!gate.metrics().contains("wide/concurrency\"")).then_some(());
    poll::until("both calls have ended", gone);
    assert_eq!(call(&key).status, 200);
}

#[test]
fn a_caller_that_leaves_frees_its_place() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup { plans: TWO, ..Setup::before(&upstream) });
    let key = gate.add_lab_client("restless");
    let held: Vec<Client> =
        (0..2).map(|n| begin(&gate, &upstream, &key, &format!("/lab/stream/{n}"))).collect();
    let call = || gate.call(&Request::get("/lab/ok/1").key(&key.text)).status;
    assert_eq!(call(), 429);
    drop(held);
    poll::until("a place is free", || (call() == 200).then_some(()));
}

#[test]
fn never_more_at_once_than_the_plan_says() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup { plans: TWO, ..Setup::before(&upstream) });
    let key = gate.add_lab_client("crowd");
    let clients: Vec<Client> = (0..64)
        .map(|n| {
            let mut client = gate.client();
            client.send(&Request::get(&format!("/lab/hold/{n}")).key(&key.text).bytes());
            client
        })
        .collect();
    // The refused are answered at once, the admitted when the upstream is told.
    let refused =
        || (gate.records_now(&["--denial", "concurrency_limited"]).len() == 62).then_some(());
    poll::until("62 of 64 are refused", refused);
    assert_eq!(upstream.received().len(), 2);
    upstream.release();
    let statuses =
        clients.into_iter().map(|mut client| client.read(Body::Expected).map(|r| r.status));
    let admitted = statuses.filter(|status| *status == Some(200)).count();
    assert_eq!(admitted, 2);
}

#[test]
fn a_shadow_of_calls_at_once_refuses_nobody() {
    let upstream = Upstream::start();
    let plans = r#"
[[plan]]
name = "wide"
concurrency = { limit = 1, shadow = true }
"#;
    let gate = Gate::start(&Setup { plans, ..Setup::before(&upstream) });
    let key = gate.add_lab_client("watched");
    let mut held = begin(&gate, &upstream, &key, "/lab/hold/1");
    let second = gate.call(&Request::get("/lab/ok/1").key(&key.text));
    assert_eq!((second.status, second.field("ratelimit-policy")), (200, None));
    assert_eq!(gate.record_of(&second)["shadow_limit"], "concurrency");
    upstream.release();
    assert_eq!(held.read(Body::Expected).map(|response| response.status), Some(200));
}

/// Regression: whoever had sent a byte of its next request was not seen to leave.
#[test]
fn a_caller_that_sent_ahead_and_leaves_frees_its_place() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup { plans: TWO, ..Setup::before(&upstream) });
    let key = gate.add_lab_client("hasty");
    let mut held: Vec<Client> =
        (0..2).map(|n| begin(&gate, &upstream, &key, &format!("/lab/stream/{n}"))).collect();
    let call = || gate.call(&Request::get("/lab/ok/1").key(&key.text)).status;
    assert_eq!(call(), 429);
    held[0].send(b"G");
    held[1].send(&Request::get("/lab/ok/2").key(&key.text).bytes());
    drop(held);
    for n in 0..2 {
        let record = gate.record_of_path(&format!("/lab/stream/{n}"));
        assert_eq!(record["end"], "client_abort", "{record}");
    }
    assert_eq!(call(), 200);
}
