//! Administration while the gate runs: in force for the next request, durable before it is answered,
//! and it ends what it forbids.

use onegate::model::denial::Denial;

use super::harness::bench::{Bench, expect_denial};
use super::harness::gate::{Gate, Key};
use super::harness::http::{Body, Request, Response};
use super::harness::setup::Setup;
use super::harness::tools;
use super::harness::upstream::Upstream;

const WHY: [&str; 2] = ["--reason", "a test"];

#[test]
fn changes_are_in_force_for_the_next_request() {
    let upstream = Upstream::start();
    let gate = Gate::start(&Setup::before(&upstream));
    let call = |key: &Key| gate.call(&Request::get("/lab/ok/1").key(&key.text));
    // One connection from before all changes sees them like any new one.
    let mut old = gate.client();
    assert_eq!(old.call(&Request::get("/open/ok/1")).status, 200);
    let mut agree = |key: &Key, check: &dyn Fn(&Response)| {
        check(&old.call(&Request::get("/lab/ok/1").key(&key.text)));
        check(&call(key));
    };
    let allowed = |response: &Response| assert_eq!(response.status, 200, "{response:?}");
    let denied = |denial| move |response: &Response| expect_denial(response, denial, &[]);

    let first = gate.add_client("app", &["--no-expiry", "--scope", "lab:read"]);
    agree(&first, &denied(Denial::NotGranted));
    gate.json(&["grant", "add", "--client", "app", "--product", "lab"]);
    agree(&first, &allowed);
    let second = gate.key(&["credential", "add", "--client", "app", "--key"]);
    agree(&second, &allowed);
    let receipt = gate.json(&[&["revoke", "credential", &first.credential], &WHY[..]].concat());
    assert_eq!(receipt[0]["credentials"][0], first.credential.as_str(), "{receipt:?}");
    agree(&first, &denied(Denial::CredentialInvalid));
    agree(&second, &allowed);
    gate.json(&[&["revoke", "client", "app"], &WHY[..]].concat());
    agree(&second, &denied(Denial::CredentialInvalid));
}

#[test]
fn a_revocation_ends_what_is_live() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let mut quiet = bench.gate.client();
    quiet.send(&Request::get("/lab/hold/quiet").key(&bench.key.text).bytes());
    let mut stream = bench.gate.client();
    stream.send(&Request::get("/lab/stream/live").key(&bench.key.text).bytes());
    let mut other = bench.gate.client();
    other.send(&Request::get("/lab/hold/other").key(&bench.reader.text).bytes());
    for target in ["/lab/hold/quiet", "/lab/stream/live", "/lab/hold/other"] {
        upstream.wait_for(target);
    }
    assert!(stream.hears_within(super::harness::poll::PATIENCE), "the stream has begun");

    let receipt = bench.gate.json(&[&["revoke", "client", "full"], &WHY[..]].concat());
    let ended = |member: &str| receipt[0][member].as_u64().unwrap_or_default();
    assert_eq!((ended("requests_ended"), ended("streams_ended")), (2, 1), "{receipt:?}");
    // It was answered after they had ended: what is read now was sent before.
    assert!(!stream.read(Body::Expected).is_some_and(|response| response.complete));
    assert!(quiet.read(Body::Expected).is_none_or(|response| response.status == 401));
    for path in ["/lab/hold/quiet", "/lab/stream/live"] {
        assert_eq!(bench.gate.record_of_path(path)["end"], "revoked");
    }
    upstream.release();
    assert_eq!(other.read(Body::Expected).map(|response| response.status), Some(200));
}

#[test]
fn what_was_answered_survives_kill_9() {
    let upstream = Upstream::start();
    let mut bench = Bench::start(&Setup::before(&upstream));
    let gate = &bench.gate;
    let granted = gate.add_client("granted", &["--no-expiry", "--scope", "lab:read"]);
    gate.json(&["grant", "add", "--client", "granted", "--product", "lab"]);
    let revoked = gate.add_lab_client("revoked");
    gate.json(&[&["revoke", "client", "revoked"], &WHY[..]].concat());

    bench.gate.kill9();
    bench.gate.run();
    let call = |key: &Key| bench.gate.call(&Request::get("/lab/ok/1").key(&key.text));
    assert_eq!(call(&bench.key).status, 200);
    assert_eq!(call(&granted).status, 200);
    expect_denial(&call(&bench.other), Denial::NotGranted, &[]);
    expect_denial(&call(&revoked), Denial::CredentialInvalid, &[]);
}

#[test]
fn without_a_gate_the_store_is_changed_directly() {
    let upstream = Upstream::start();
    let mut gate = Gate::start(&Setup::before(&upstream));
    assert!(gate.terminate().success());
    let key = gate.add_lab_client("early");
    gate.run();
    assert_eq!(gate.call(&Request::get("/lab/ok/1").key(&key.text)).status, 200);
}

#[test]
fn refusals_of_the_cli_change_nothing() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let before = bench.gate.json(&["client", "list"]);
    let check = |args: &[&str], word: &str| {
        let tools::Said { code, stdout, stderr } = bench.gate.cli(args);
        assert!(matches!(code, Some(1..=3)), "{args:?}: {code:?} {stdout}");
        assert!(stderr.contains(word), "{args:?}: {stderr}");
    };
    let who = ["--kind", "app", "--owner", "tests", "--purpose", "testing"];
    check(&[&["client", "add", "full"], &who[..]].concat(), "full");
    check(&[&["client", "add", "New Client"], &who[..]].concat(), "New Client");
    check(&[&["client", "add", "new", "--product", "labs"], &who[..]].concat(), "lab");
    check(&[&["client", "add", "new", "--plan", "wid"], &who[..]].concat(), "wide");
    check(&["grant", "add", "--client", "nobody", "--product", "lab"], "nobody");
    check(&[&["revoke", "credential", "000000000000"], &WHY[..]].concat(), "000000000000");
    check(&["revoke", "client", "full"], "--reason");
    assert_eq!(bench.gate.json(&["client", "list"]), before);
}
