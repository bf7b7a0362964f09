//! Every denial: how a caller meets it, what it is told, what the record says. Each is a command
//! line to paste, with `$URL`, `$KEY` and the like as `harness::bench` sets them.

use std::process::Command;

use onegate::model::denial::Denial;

use super::harness::bench::{Bench, expect_denial};
use super::harness::http::{Body, Request};
use super::harness::poll;
use super::harness::setup::{LAB, Setup};
use super::harness::tools;
use super::harness::upstream::Upstream;

#[test]
fn of_credentials_and_grants() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let check = |script: &str, denial: Denial, challenge: &str| {
        let fields = [("www-authenticate", challenge)];
        let fields = if challenge.is_empty() { &[] } else { &fields[..] };
        let record = bench.check(script, denial, fields);
        assert_eq!(record["path"], "/lab/ok/1", "{record}");
    };
    let missing = r#"Bearer realm="onegate""#;
    check(r#"curl -si "$URL/lab/ok/1""#, Denial::CredentialMissing, missing);
    for credential in [
        // One character is wrong, so the check digits are.
        r#"-H "X-API-Key: ${KEY%?}-""#,
        r#"-H "Authorization: Bearer some-token-of-someone-else""#,
    ] {
        let script = format!(r#"curl -si {credential} "$URL/lab/ok/1""#);
        let invalid = r#"Bearer realm="onegate", error="invalid_token""#;
        check(&script, Denial::CredentialInvalid, invalid);
    }
    check(
        r#"curl -si -H "Authorization: Bearer $KEY" -H "X-API-Key: $OTHER" "$URL/lab/ok/1""#,
        Denial::CredentialConflict,
        "",
    );
    check(r#"curl -si -H "X-API-Key: $OTHER" "$URL/lab/ok/1""#, Denial::NotGranted, "");
    check(
        r#"curl -si -X DELETE -H "X-API-Key: $READER" "$URL/lab/ok/1""#,
        Denial::InsufficientScope,
        r#"Bearer realm="onegate", error="insufficient_scope", scope="lab:erase lab:write""#,
    );
    assert!(upstream.received().is_empty(), "a denied call reached the upstream");
}

#[test]
fn of_paths_methods_and_hosts() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    bench.check(r#"curl -si "$URL/nothing/here""#, Denial::NotFound, &[]);
    bench.check(r#"curl -si -H "X-API-Key: $KEY" "$URL/lab/no/such/thing""#, Denial::NotFound, &[]);
    // Only identified callers learn what exists.
    bench.check(r#"curl -si "$URL/lab/no/such/thing""#, Denial::CredentialMissing, &[]);
    bench.check(
        r#"curl -si -X PATCH -H "X-API-Key: $KEY" "$URL/lab/ok/1""#,
        Denial::MethodNotAllowed,
        &[("allow", "DELETE, GET, HEAD, POST, PUT")],
    );
    bench.check(r#"curl -si "$URL/lab//ok""#, Denial::MalformedRequest, &[]);

    let apis = LAB.replace("base_path", "hosts = [\"gate.test\"]\nbase_path");
    let hosted = Bench::start(&Setup { apis, ..Setup::before(&upstream) });
    let script = r#"curl -si -H "Host: elsewhere.test" -H "X-API-Key: $KEY" "$URL/lab/ok/1""#;
    hosted.check(script, Denial::Misdirected, &[]);
    assert!(upstream.received().is_empty(), "a denied call reached the upstream");
}

#[test]
fn of_rules() {
    let upstream = Upstream::start();
    let start = |rule: &str| {
        let apis = LAB.replace("base_path", &format!("{rule}\nbase_path"));
        Bench::start(&Setup { apis, ..Setup::before(&upstream) })
    };
    let script = r#"curl -si -H "X-API-Key: $KEY" "$URL/lab/.git/config""#;
    let bench = start("ip = { deny = [\"127.0.0.0/8\"] }");
    let record = bench.check(script, Denial::AddressNotAllowed, &[]);
    assert_eq!(record["client"], "full", "{record}");
    let bench = start("blocked_paths = [\"/**/.git/**\"]");
    bench.check(script, Denial::PolicyRefused, &[]);
    assert!(upstream.received().is_empty(), "a denied call reached the upstream");
}

#[test]
fn of_sizes() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let long = r#"curl -si "$URL/lab/$(printf 'a%.0s' {1..9000})/1""#;
    bench.check(long, Denial::UriTooLong, &[]);
    let many = r#"curl -si $(printf -- '-HA%d:1 ' {1..150}) "$URL/lab/ok/1""#;
    bench.check(many, Denial::HeadTooLarge, &[]);
    let large = r#"head -c 5000 /dev/zero |
        curl -si -H "X-API-Key: $KEY" --data-binary @- "$URL/lab/echo/1""#;
    bench.check(large, Denial::BodyTooLarge, &[]);
    assert!(upstream.received().is_empty(), "a denied call reached the upstream");
}

#[test]
fn of_time() {
    let upstream = Upstream::start();
    let bounds = "head_deadline = \"1s\"";
    let bench = Bench::start(&Setup { bounds, ..Setup::before(&upstream) });
    let script = r#"exec 3<>"/dev/tcp/$HOST/$PORT"
        printf 'GET /lab/ok/1 HTTP/1.1\r\nHost: ' >&3
        cat <&3"#;
    bench.check(script, Denial::RequestTimeout, &[]);
}

#[test]
fn of_rates() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let script = r#"
        for _ in 1 2 3 4 5; do curl -sf -o /dev/null -H "X-API-Key: $FIVE" "$URL/lab/ok/1" || exit; done
        curl -si -H "X-API-Key: $FIVE" "$URL/lab/ok/1""#;
    let record = bench.check(script, Denial::RateLimited, &[]);
    assert_eq!(record["limit"], "per-minute", "{record}");
    assert_eq!(upstream.received().len(), 5);
}

#[test]
fn of_quotas() {
    let upstream = Upstream::start();
    let plans = "[[plan]]\nname = \"wide\"\nquotas = [{ limit = 1, per = \"month\" }]\n[[plan]]\nname = \"five\"\nconcurrency = 1\n";
    let bench = Bench::start(&Setup { plans, ..Setup::before(&upstream) });
    let script = r#"curl -sf -o /dev/null -H "X-API-Key: $READER" "$URL/lab/ok/1" || exit
        curl -si -H "X-API-Key: $READER" "$URL/lab/ok/1""#;
    let record = bench.check(script, Denial::QuotaExhausted, &[]);
    assert_eq!(record["limit"], "per-month", "{record}");
    let mut held = bench.gate.client();
    held.send(&Request::get("/lab/hold/1").key(&bench.five.text).bytes());
    upstream.wait_for("/lab/hold/1");
    let script = r#"curl -si -H "X-API-Key: $FIVE" "$URL/lab/ok/1""#;
    let record = bench.check(script, Denial::ConcurrencyLimited, &[("retry-after", "1")]);
    assert_eq!(record["limit"], "concurrency", "{record}");
    upstream.release();
    assert_eq!(held.read(Body::Expected).map(|response| response.status), Some(200));
}

#[test]
fn of_strangers() {
    let upstream = Upstream::start();
    let more = "[limits.anonymous]\nlimit = 1\nper = \"1h\"\n".to_owned();
    let bench = Bench::start(&Setup { more, ..Setup::before(&upstream) });
    let script = r#"curl -s -o /dev/null "$URL/lab/ok/1"; curl -si "$URL/lab/ok/1""#;
    let record = bench.check(script, Denial::TooManyUnauthenticated, &[]);
    assert_eq!(record["limit"], "anonymous", "{record}");
}

#[test]
fn of_expiry() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let soon = tools::run(Command::new("date").args(["-u", "-d", "+3 seconds", "+%FT%TZ"]), b"");
    let soon = soon.expect_success();
    let terms = ["--product", "lab", "--scope", "lab:read", "--expires", soon.trim()];
    let key = bench.gate.add_client("short-lived", &terms);
    let call = Request::get("/lab/ok/1").key(&key.text);
    assert_eq!(bench.gate.call(&call).status, 200);
    poll::until("the client expires", || (bench.gate.call(&call).status == 403).then_some(()));
    let script = format!(r#"curl -si -H "X-API-Key: {}" "$URL/lab/ok/1""#, key.text);
    bench.check(&script, Denial::ClientSuspended, &[]);
}

#[test]
fn of_quarantine() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let quarantine = ["quarantine", "client", "full", "--reads-only", "--for", "1h"];
    bench.gate.json(&[&quarantine[..], &["--reason", "a test"]].concat());
    let script = r#"curl -si -d "{}" -H "X-API-Key: $KEY" "$URL/lab/ok/1""#;
    bench.check(script, Denial::Quarantined, &[]);
    assert!(upstream.received().is_empty(), "a denied call reached the upstream");
}

#[test]
fn of_repetition() {
    let upstream = Upstream::start();
    let plans = "[[plan]]\nname = \"wide\"\nloop_brake = { mode = \"on\", failures = 2 }\n\
                 [[plan]]\nname = \"five\"\nconcurrency = 5\n";
    let bench = Bench::start(&Setup { plans, ..Setup::before(&upstream) });
    let script = r#"
        for _ in 1 2; do curl -s -o /dev/null -H "X-API-Key: $KEY" "$URL/lab/absent/1"; done
        curl -si -H "X-API-Key: $KEY" "$URL/lab/ok/1""#;
    let record = bench.check(script, Denial::RepeatedCall, &[("retry-after", "300")]);
    assert_eq!(record["limit"], "loop_brake", "{record}");
}

#[test]
fn of_load() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup { bounds: "requests_max = 2", ..Setup::before(&upstream) });
    let held = bench.hold(&upstream, 2);
    let script = r#"curl -si -H "X-API-Key: $KEY" "$URL/lab/ok/1""#;
    bench.check(script, Denial::Overloaded, &[("retry-after", "1")]);
    held.release(&upstream);
}

#[test]
fn of_the_audit() {
    let upstream = Upstream::start();
    let audit = "queue_records_max = 16";
    let bench = Bench::start(&Setup { audit, ..Setup::before(&upstream) });
    let held = bench.hold(&upstream, 16);
    let response = bench.paste(r#"curl -si -H "X-API-Key: $KEY" "$URL/lab/ok/1""#);
    expect_denial(&response, Denial::AuditUnavailable, &[("retry-after", "1")]);
    held.release(&upstream);
    // That call has no record, for there was no room. How often that happened has one.
    let is_gap = |record: &&serde_json::Value| record["action"] == "audit.gap";
    let gaps = bench.gate.records(&["--surface", "admin"], |all| all.iter().any(|r| is_gap(&r)));
    let gap = gaps.iter().find(is_gap).expect("it was waited for");
    assert_eq!(gap["after"]["refused"], 1, "{gap}");
}

#[test]
fn each_has_its_test() {
    let tests = include_str!("denials.rs");
    for denial in Denial::ALL {
        assert!(tests.contains(&format!("Denial::{denial:?}")), "{denial} has none");
    }
}
