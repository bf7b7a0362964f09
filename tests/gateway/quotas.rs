//! Quotas: calls in a calendar period, kept through restarts and crashes. The upstream counts what
//! was admitted.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use onegate::model::denial::Denial;
use rusqlite::Connection;

use super::harness::bench::expect_denial;
use super::harness::folder::Folder;
use super::harness::gate::{Gate, Key};
use super::harness::http::{Body, Request, Response};
use super::harness::poll;
use super::harness::setup::Setup;
use super::harness::upstream::Upstream;

/// A gate, and not in the last moments of a day: what a test counts must be of one period.
fn start(upstream: &Upstream, plans: &'static str) -> (Gate, Key) {
    poll::until("midnight is over", || (seconds_to_midnight() > 15).then_some(()));
    let gate = Gate::start(&Setup { plans, ..Setup::before(upstream) });
    let key = gate.add_lab_client("counted");
    (gate, key)
}

/// In UTC.
fn seconds_to_midnight() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    86_400 - since_epoch % 86_400
}

fn call(gate: &Gate, key: &Key) -> Response {
    gate.call(&Request::get("/lab/ok/1").key(&key.text))
}

#[test]
fn a_quota_is_never_exceeded() {
    let upstream = Upstream::start();
    let plans = r#"
[[plan]]
name = "wide"
rates = [{ limit = 100000, per = "1s" }]
quotas = [{ limit = 300, per = "month" }, { name = "daily", limit = 250, per = "day" }]
"#;
    let (gate, key) = start(&upstream, plans);
    let start = Barrier::new(64);
    let six = |n: usize| {
        let mut client = gate.client();
        let request = Request::get(&format!("/lab/ok/{n}")).key(&key.text);
        start.wait();
        (0..6).map(|_| client.call(&request).status).collect::<Vec<_>>()
    };
    let statuses: Vec<u16> = thread::scope(|scope| {
        let threads: Vec<_> = (0..64).map(|n| scope.spawn(move || six(n))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a test thread")).collect()
    });
    let mut counts = BTreeMap::new();
    for status in statuses {
        *counts.entry(status).or_insert(0) += 1;
    }
    assert_eq!(counts, BTreeMap::from([(200, 250), (429, 384 - 250)]));
    assert_eq!(upstream.received().len(), 250, "over-admitted");

    let refused = call(&gate, &key);
    expect_denial(&refused, Denial::QuotaExhausted, &[]);
    let policy = "\"100000-per-1s\";q=100000;w=1, \"per-month\";q=300, \"daily\";q=250;w=86400";
    assert_eq!(refused.field("ratelimit-policy"), Some(policy));
    let standing = refused.field("ratelimit").expect("it is always there");
    assert!(standing.contains("\"per-month\";r=50;t="), "a refused call charges none: {standing}");
    let after: u64 = refused.field("retry-after").and_then(|text| text.parse().ok()).expect("it");
    assert!(standing.ends_with(&format!("\"daily\";r=0;t={after}")), "{standing}");
    let midnight = seconds_to_midnight();
    assert!(after.abs_diff(midnight) <= 1, "{after} is not until midnight, {midnight}");
    let record = gate.record_of(&refused);
    assert_eq!((&record["limit"], &record["denial"]), (&"daily".into(), &"quota_exhausted".into()));
    let used = r#"onegate_limit_used_ratio{client="counted",limit="wide/daily"} 1"#;
    assert!(gate.metrics().contains(used), "{}", gate.metrics());
    // A client of the same plan has its own.
    let other = gate.add_lab_client("other");
    assert_eq!(call(&gate, &other).status, 200);
}

#[test]
fn a_quota_counts_the_operations_it_names() {
    let upstream = Upstream::start();
    let plans = r#"
[[plan]]
name = "wide"
quotas = [{ limit = 2, per = "week", operations = ["lab.write"] }]
"#;
    let (gate, key) = start(&upstream, plans);
    let call = |method| gate.call(&Request::new(method, "/lab/ok/1").key(&key.text));
    for method in ["POST", "PUT"] {
        assert_eq!(call(method).status, 200);
    }
    expect_denial(&call("POST"), Denial::QuotaExhausted, &[]);
    let read = call("GET");
    assert_eq!((read.status, read.field("ratelimit")), (200, None));
}

#[test]
fn a_shadow_quota_is_recorded_and_not_enforced() {
    let upstream = Upstream::start();
    let plans = r#"
[[plan]]
name = "wide"
quotas = [{ name = "watched", limit = 3, per = "month", shadow = true }]
"#;
    let (gate, key) = start(&upstream, plans);
    let is_watched = || {
        let response = call(&gate, &key);
        assert_eq!((response.status, response.field("ratelimit")), (200, None));
        let record = gate.record_of(&response);
        (record.get("shadow_limit").is_some_and(|limit| limit == "watched")).then_some(())
    };
    poll::until("the quota is used up", is_watched);
    assert!(upstream.received().len() >= 4);
    poll::until("and stays so", is_watched);
}

#[test]
fn a_quota_outlives_restarts_and_crashes() {
    const BLOCK: usize = 40;
    const CALLERS: usize = 4;
    let upstream = Upstream::start();
    let plans = r#"
[[plan]]
name = "wide"
quotas = [{ limit = 4000, per = "month" }]
"#;
    let (mut gate, key) = start(&upstream, plans);
    for kill in 1..=3 {
        let (address, request) = (gate.address, Request::get("/lab/ok/1").key(&key.text));
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let request = request.bytes();
                thread::spawn(move || call_until_it_ends(address, &request))
            })
            .collect();
        poll::until("calls are under way", || {
            (upstream.received().len() >= 300 * kill).then_some(())
        });
        gate.kill9();
        // One that was cut off in the middle of an answer has panicked.
        for caller in callers {
            drop(caller.join());
        }
        gate.run();
        // In good order: nothing is burnt.
        assert_eq!(call(&gate, &key).status, 200);
        assert!(gate.terminate().success());
        gate.run();
    }
    let mut client = gate.client();
    let request = Request::get("/lab/ok/1").key(&key.text);
    while client.call(&request).status == 200 {}
    let admitted = upstream.received().len();
    assert!(admitted <= 4000, "over-admitted: {admitted}");
    // What was admitted and had not reached the upstream is not burnt, and not seen either.
    let lost = 3 * (BLOCK + CALLERS);
    assert!(admitted + lost >= 4000, "{admitted} of 4000 after 3 kills");
}

/// Calls over one connection. Nobody keeps these answers: the kill may come before their records.
fn call_until_it_ends(address: SocketAddr, request: &[u8]) {
    let stream = TcpStream::connect(address).expect("the gate listens");
    let mut stream = BufReader::new(stream);
    while stream.get_mut().write_all(request).is_ok() {
        let Ok(Some(_)) = Response::read(&mut stream, Body::Expected) else { return };
    }
}

#[test]
fn without_the_ledger_calls_are_refused_until_it_is_back() {
    let upstream = Upstream::start();
    let plans = r#"
[[plan]]
name = "wide"
quotas = [{ limit = 100, per = "month" }]
"#;
    let (gate, key) = start(&upstream, plans);
    assert_eq!(call(&gate, &key).status, 200);
    let other = Connection::open(gate.folder.at("data/counters.db")).expect("it is a database");
    other.execute_batch("BEGIN IMMEDIATE").expect("the file can be locked");
    // A unit that was leased before may still be spent.
    let refused = poll::until("the lease is spent", || {
        Some(call(&gate, &key)).filter(|response| response.status != 200)
    });
    expect_denial(&refused, Denial::Overloaded, &[("retry-after", "1")]);
    let record = gate.record_of(&refused);
    assert!(record["reason"].as_str().is_some_and(|text| text.contains("counters.db")), "{record}");
    assert_eq!(call(&gate, &key).status, 503);
    let complaints = || gate.stderr().matches("counters.db cannot be written").count();
    assert_eq!(complaints(), 1, "{}", gate.stderr());
    other.execute_batch("ROLLBACK").expect("the file can be unlocked");
    assert_eq!(call(&gate, &key).status, 200, "by itself");
}

/// A zone whose next midnight is a few seconds away, so that a day ends while the test looks on.
#[test]
fn a_quota_begins_anew_with_its_period() {
    const PLAIN: &str = "[[plan]]\nname = \"wide\"\nrates = [{ limit = 1000, per = \"1s\" }]\n";
    const DAILY: &str = r#"
[[plan]]
name = "wide"
quotas = [{ limit = 3, per = "day", timezone = "Test/Edge" }]
"#;
    let upstream = Upstream::start();
    let zones = Folder::new();
    fs::create_dir(zones.at("Test")).expect("the folder is ours");
    let setup = Setup { plans: PLAIN, ..Setup::before(&upstream) };
    let gate = Gate::start_with(&setup, &[("TZDIR", &zones.at(""))]);
    let key = gate.add_lab_client("early");
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let midnight = since_epoch + 8;
    fs::write(zones.at("Test/Edge"), zone_with_midnight_at(midnight)).expect("the folder is ours");
    gate.write_config(&Setup { plans: DAILY, ..Setup::before(&upstream) });
    gate.cli(&["reload"]).expect_success();

    for _ in 0..3 {
        assert_eq!(call(&gate, &key).status, 200);
    }
    let refused = call(&gate, &key);
    let heard = Instant::now();
    expect_denial(&refused, Denial::QuotaExhausted, &[]);
    let after: u64 = refused.field("retry-after").and_then(|text| text.parse().ok()).expect("it");
    assert!(after <= 9, "{after}");
    let back = heard + Duration::from_secs(after);
    poll::until("the period ends", || (Instant::now() >= back).then_some(()));
    for _ in 0..3 {
        assert_eq!(call(&gate, &key).status, 200, "Retry-After was true");
    }
    expect_denial(&call(&gate, &key), Denial::QuotaExhausted, &[]);
    assert_eq!(upstream.received().len(), 6);
}

/// A zone file (RFC 9636) with one offset, by which `midnight` is one.
fn zone_with_midnight_at(midnight: u64) -> Vec<u8> {
    let past = i32::try_from(midnight % 86_400).expect("below a day");
    let offset = if past < 43_200 { -past } else { 86_400 - past };
    let mut file = Vec::new();
    for _ in 0..2 {
        file.extend(b"TZif2");
        file.extend([0; 15]);
        // Indicators, leap seconds and transitions: none. One type, four bytes of names.
        for count in [0_u32, 0, 0, 0, 1, 4] {
            file.extend(count.to_be_bytes());
        }
        file.extend(offset.to_be_bytes());
        file.extend([0, 0]);
        file.extend(b"EDG\0");
    }
    file.extend(b"\n\n");
    file
}
