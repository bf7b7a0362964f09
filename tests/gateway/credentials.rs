//! Where keys are taken from, and what makes one good.

use onegate::model::denial::Denial;

use super::harness::bench::{Bench, expect_denial};
use super::harness::http::Request;
use super::harness::setup::{LAB, Setup};
use super::harness::upstream::Upstream;

#[test]
fn keys_are_taken_only_from_their_headers() {
    let upstream = Upstream::start();
    let check = |credential: &str, places: &[(&str, &str, u16)]| {
        let apis = LAB.replace("body_bytes_max = \"4KiB\"", credential);
        let bench = Bench::start(&Setup { apis, ..Setup::before(&upstream) });
        let key = &bench.key.text;
        for (name, prefix, status) in places {
            let request = Request::get("/lab/ok/1").field(name, &format!("{prefix}{key}"));
            assert_eq!(bench.gate.call(&request).status, *status, "{credential} {name}: {prefix}");
        }
        let in_query = bench.gate.call(&Request::get(&format!("/lab/ok/1?api_key={}", &key[..20])));
        expect_denial(&in_query, Denial::CredentialMissing, &[]);
    };
    check(
        "",
        &[
            ("Authorization", "Bearer ", 200),
            ("authorization", "bearer ", 200),
            ("X-API-Key", "", 200),
            ("Authorization", "Basic ", 401),
            ("X-Key", "", 401),
            ("Cookie", "key=", 401),
        ],
    );
    check(
        "credential = [\"x-api-key\"]",
        &[("X-API-Key", "", 200), ("Authorization", "Bearer ", 401)],
    );
    check(
        "credential = [\"authorization\"]",
        &[("X-API-Key", "", 401), ("Authorization", "Bearer ", 200)],
    );
}

#[test]
fn a_key_is_good_as_a_whole_or_not_at_all() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let good = &bench.key.text;
    let parts: Vec<&str> = good.split('_').collect();
    let another = bench.gate.key(&["credential", "add", "--client", "other", "--key"]);
    let foreign: Vec<&str> = another.text.split('_').collect();
    let swapped = [parts[0], parts[1], parts[2], foreign[3], parts[4]].join("_");
    let reasons = [
        ("", "an empty value"),
        ("og_", "only a prefix"),
        (&good[1..], "its first character is missing"),
        (&good[..good.len() - 1], "its last character is missing"),
        (&swapped, "another key's secret"),
        (&good.to_lowercase(), "in lower case"),
    ];
    for (key, reason) in reasons {
        let response = bench.gate.call(&Request::get("/lab/ok/1").field("X-API-Key", key));
        // The caller learns nothing of what was wrong.
        expect_denial(&response, Denial::CredentialInvalid, &[]);
        let record = bench.gate.record_of(&response);
        assert!(record["client"].is_null(), "{reason}: {record}");
    }
    assert_eq!(bench.get("/lab/ok/1").status, 200);
}

#[test]
fn two_keys_must_be_of_one_client() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let second = bench.gate.key(&["credential", "add", "--client", "full", "--key"]);
    let call = |bearer: &str, api_key: &str| {
        bench.gate.call(&Request::get("/lab/ok/1").key(bearer).field("X-API-Key", api_key))
    };
    assert_eq!(call(&bench.key.text, &second.text).status, 200);
    let conflict = call(&bench.key.text, &bench.other.text);
    bench.check_response(&conflict, Denial::CredentialConflict, &[]);
    // Neither reached the upstream.
    let received = upstream.one_at("/lab/ok/1");
    assert_eq!(
        (received.fields.value("authorization"), received.fields.value("x-api-key")),
        (None, None)
    );
}
