//! How the gate connects to its upstreams: TLS that proves who they are, the protocol that was asked
//! for, unix sockets, and connections that are shared by nobody else.

use std::fs;
use std::process::Command;

use onegate::model::denial::Failure;
use serde_json::{Value, json};

use super::harness::authority::{Authority, Issued, Kind};
use super::harness::folder::Folder;
use super::harness::gate::Gate;
use super::harness::http::{Request, Response};
use super::harness::nginx::{Nginx, SMALL_BYTES, pattern};
use super::harness::service::Service;
use super::harness::setup::Setup;
use super::harness::tools;

const NAME: &str = "payments.test";

#[test]
fn nothing_is_sent_to_an_upstream_that_proves_nothing() {
    let (trusted, other) = (Authority::new(), Authority::new());
    let check = |shown: &Issued, ca: Option<&str>, version: &str, reason: &str| {
        let tls = json!({ "cert": shown.cert, "key": shown.key, "version": version });
        let service = Service::start(&json!({ "protocol": "http1", "tls": tls }));
        let gate = gate(&service, &tls_keys(NAME, ca, ""));
        let response = gate.call(&Request::get("/open/ok/1"));
        let record = expect_failure(&gate, &response, Failure::UpstreamUnreachable);
        let told = record["reason"].as_str().unwrap_or_default();
        assert!(told.contains(reason), "{reason}: {record}");
        assert!(service.events("data").is_empty(), "{reason}: it was told something");
    };
    let ca = trusted.trusted();
    let good = trusted.issue(NAME, &[NAME], Kind::Ecdsa, 90);
    let past = trusted.issue("past", &[NAME], Kind::Ecdsa, -1);
    check(&past, Some(&ca), "", "certificate has expired");
    let elsewhere = trusted.issue("elsewhere.test", &["elsewhere.test"], Kind::Ecdsa, 90);
    check(&elsewhere, Some(&ca), "", "hostname mismatch");
    let below = trusted.issue("below.payments.test", &["below.payments.test"], Kind::Ecdsa, 90);
    check(&below, Some(&ca), "", "hostname mismatch");
    let signed_by_other = other.issue(NAME, &[NAME], Kind::Ecdsa, 90);
    // The two authorities have one name, and different keys.
    check(&signed_by_other, Some(&ca), "", "certificate signature failure");
    let alone = self_signed(&trusted);
    check(&alone, Some(&ca), "", "self-signed certificate");
    // Without a CA of its own, the system's are trusted, and the test's is none of them.
    check(&good, None, "", "unable to get local issuer certificate");
    check(&good, Some(&ca), "1.1", "TLSHandshakeFailure");
}

#[test]
fn an_upstream_that_proves_itself_is_spoken_to() {
    let authority = Authority::new();
    let check = |certified: &str, host: &str, sni: Option<&str>| {
        let shown = authority.issue(certified, &[certified], Kind::Ecdsa, 90);
        let tls = json!({ "cert": shown.cert, "key": shown.key });
        let service = Service::start(&json!({ "protocol": "http1", "tls": tls }));
        let sni = sni.map_or_else(String::new, |sni| format!("sni = \"{sni}\", "));
        let keys = format!("tls = {{ {sni}ca = \"{}\" }}", authority.trusted());
        let gate = Gate::start(&Setup::before_once(&service.endpoint_at(host), &keys));
        service.expect_kept_connection(|| drop(expect_success(&gate)));
        let connected = service.events("connected");
        assert_eq!(connected[0]["sni"], certified);
        assert_eq!(connected[0]["version"], "TLSv1.3");
    };
    check(NAME, "127.0.0.1", Some(NAME));
    // The endpoint's own name, where it has one.
    check("localhost", "localhost", None);
    check(NAME, "localhost", Some(NAME));
}

#[test]
fn a_rotated_ca_is_taken_on_by_a_reload() {
    let (first, second) = (Authority::new(), Authority::new());
    let shown = first.issue(NAME, &[NAME], Kind::Ecdsa, 90);
    let tls = json!({ "cert": shown.cert, "key": shown.key });
    let service = Service::start(&json!({ "protocol": "http1", "tls": tls }));
    let folder = Folder::new();
    let ca = folder.at("ca.pem");
    let gate = {
        fs::copy(first.trusted(), &ca).expect("the folder is ours");
        gate(&service, &tls_keys(NAME, Some(&ca), ""))
    };
    let reload_with = |authority: &Authority| {
        fs::copy(authority.trusted(), &ca).expect("the folder is ours");
        gate.cli(&["reload"]).expect_success();
    };
    expect_success(&gate);
    // The connection is kept, and good, but whom it was made to is no longer trusted.
    reload_with(&second);
    let response = gate.call(&Request::get("/open/ok/2"));
    expect_failure(&gate, &response, Failure::UpstreamUnreachable);
    assert_eq!(service.events("request").len(), 1);
    reload_with(&first);
    expect_success(&gate);
}

#[test]
fn an_upstream_may_ask_who_the_gate_is() {
    let authority = Authority::new();
    let shown = authority.issue(NAME, &[NAME], Kind::Ecdsa, 90);
    let own = authority.issue("gate.test", &["gate.test"], Kind::Ecdsa, 90);
    let tls = json!({ "cert": shown.cert, "key": shown.key, "client_ca": authority.trusted() });
    let service = Service::start(&json!({ "protocol": "http1", "tls": tls }));
    let own = format!(", cert = \"{}\", key = \"{}\"", own.cert, own.key);
    let with = gate(&service, &tls_keys(NAME, Some(&authority.trusted()), &own));
    expect_success(&with);
    assert_eq!(service.events("connected")[0]["client"], "gate.test");

    let without = gate(&service, &tls_keys(NAME, Some(&authority.trusted()), ""));
    let response = without.call(&Request::get("/open/ok/1"));
    // The handshake of TLS 1.3 was done for the gate when the upstream refused it.
    expect_failure(&without, &response, Failure::UpstreamProtocol);
    assert_eq!(service.events("request").len(), 1);
}

#[test]
fn the_protocol_is_the_one_that_was_asked_for() {
    let authority = Authority::new();
    let shown = authority.issue(NAME, &[NAME], Kind::Ecdsa, 90);
    let start = |protocol: &str, alpn: &[&str]| {
        let tls = json!({ "cert": shown.cert, "key": shown.key, "alpn": alpn });
        Service::start(&json!({ "protocol": protocol, "tls": tls }))
    };
    let tls = tls_keys(NAME, Some(&authority.trusted()), "");
    let check = |service: &Service, protocol: &str, alpn: Value| {
        let gate = gate(service, &format!("protocol = \"{protocol}\"\n{tls}"));
        expect_success(&gate);
        assert_eq!(service.events("connected")[0]["alpn"], alpn);
    };
    check(&start("h2", &["http/1.1", "h2"]), "http2", json!("h2"));
    check(&start("http1", &["h2", "http/1.1"]), "http1", json!("http/1.1"));
    // A server that has not heard of ALPN speaks HTTP/1.1.
    check(&start("http1", &[]), "http1", Value::Null);

    let refuses = |service: &Service, keys: &str, failure: Failure| {
        let gate = gate(service, &format!("protocol = \"http2\"\n{keys}"));
        for _ in 0..2 {
            let response = gate.call(&Request::get("/open/ok/1"));
            expect_failure(&gate, &response, failure);
        }
        assert!(service.events("request").is_empty(), "{:?}", service.events("request"));
    };
    refuses(&start("http1", &["http/1.1"]), &tls, Failure::UpstreamProtocol);
    refuses(&start("http1", &[]), &tls, Failure::UpstreamProtocol);

    let plain = Service::start(&json!({ "protocol": "h2" }));
    expect_success(&gate(&plain, "protocol = \"http2\""));
}

#[test]
fn nginx_is_an_upstream_of_both() {
    let authority = Authority::new();
    let nginx = Nginx::secured(&authority.issue(NAME, &[NAME], Kind::Ecdsa, 90));
    for protocol in ["http1", "http2"] {
        let tls = tls_keys(NAME, Some(&authority.trusted()), "");
        // Its paths stand below the api's.
        let keys = format!("protocol = \"{protocol}\"\n{tls}");
        let setup = Setup::before_once(&nginx.address.to_string(), &keys);
        let apis = setup.apis.replace("upstream = ", "upstream_base_path = \"/\"\nupstream = ");
        let gate = Gate::start(&Setup { apis, ..setup });
        let small = gate.call(&Request::get("/open/small"));
        assert_eq!((small.status, small.body), (200, pattern(SMALL_BYTES)));
        let target = format!("/open/up/{protocol}");
        let up = pattern(8 << 20);
        let put = gate.call(&Request::new("PUT", &target).body(&up));
        assert_eq!(put.status, 201, "{put:?}");
        assert!(nginx.uploaded(protocol) == up, "{protocol}: changed on the way up");
        let down = gate.call(&Request::get(&target));
        assert!(down.complete && down.body == up, "{protocol}: changed on the way down");
        assert_eq!(gate.call(&Request::get("/open/missing")).status, 404);
    }
}

#[test]
fn a_handshake_that_never_ends_is_bounded() {
    let authority = Authority::new();
    let mute = Service::start(&json!({ "protocol": "mute" }));
    let tls = tls_keys(NAME, Some(&authority.trusted()), "");
    let gate = gate(&mute, &format!("{tls}\ntimeouts = {{ connect = \"300ms\" }}"));
    let response = gate.call(&Request::get("/open/ok/1"));
    let record = expect_failure(&gate, &response, Failure::UpstreamUnreachable);
    assert!(record["reason"].as_str().is_some_and(|reason| reason.contains("300ms")), "{record}");
}

#[test]
fn unix_sockets_are_endpoints() {
    let authority = Authority::new();
    let shown = authority.issue(NAME, &[NAME], Kind::Ecdsa, 90);
    let server_tls = json!({ "cert": shown.cert, "key": shown.key, "alpn": ["h2"] });
    let folder = Folder::new();
    let check = |name: &str, service: Value, keys: &str| {
        let path = folder.at(name);
        let mut setup = service;
        setup["unix"] = json!(path);
        let service = Service::start(&setup);
        let gate = Gate::start(&Setup::before_once(&format!("unix:{path}"), keys));
        service.expect_kept_connection(|| {
            assert_eq!(expect_success(&gate)["endpoint"], format!("unix:{path}"));
        });
    };
    check("http1", json!({ "protocol": "http1" }), "");
    check("h2", json!({ "protocol": "h2" }), "protocol = \"http2\"");
    let tls = tls_keys(NAME, Some(&authority.trusted()), "");
    let keys = format!("protocol = \"http2\"\n{tls}");
    check("tls", json!({ "protocol": "h2", "tls": server_tls }), &keys);

    let nobody = format!("unix:{}", folder.at("nobody"));
    let gate = Gate::start(&Setup::before_once(&nobody, ""));
    let response = gate.call(&Request::get("/open/ok/1"));
    let record = expect_failure(&gate, &response, Failure::UpstreamUnreachable);
    assert_eq!(record["endpoint"], nobody);
    let reason = record["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("No such file or directory"), "{record}");
}

#[test]
fn checks_speak_as_requests_do() {
    let authority = Authority::new();
    let shown = authority.issue(NAME, &[NAME], Kind::Ecdsa, 90);
    let server_tls = json!({ "cert": shown.cert, "key": shown.key, "alpn": ["h2"] });
    let service = Service::start(&json!({ "protocol": "h2", "tls": server_tls }));
    let tls = tls_keys(NAME, Some(&authority.trusted()), "");
    let check = "health = { check = \"http\", path = \"/ok/check\", interval = \"1s\" }";
    let _gate = gate(&service, &format!("protocol = \"http2\"\n{tls}\n{check}"));
    let request = service.wait_for("request", 1).remove(0);
    assert_eq!(request["target"], "/ok/check");
}

#[test]
fn connections_are_not_shared_between_profiles() {
    let authority = Authority::new();
    let shown = authority.issue(NAME, &[NAME], Kind::Ecdsa, 90);
    let own = authority.issue("gate.test", &["gate.test"], Kind::Ecdsa, 90);
    let tls = json!({ "cert": shown.cert, "key": shown.key });
    let service = Service::start(&json!({ "protocol": "http1", "tls": tls }));
    let ca = authority.trusted();
    let identity = format!(", cert = \"{}\", key = \"{}\"", own.cert, own.key);
    let profiles = [tls_keys(NAME, Some(&ca), ""), tls_keys(NAME, Some(&ca), &identity)];
    let upstreams = (0..).zip(&profiles).map(|(n, tls)| {
        format!(
            "[[upstream]]\nname = \"p{n}\"\nendpoints = [\"{}\"]\n{tls}\n[[api]]\nname = \"p{n}\"\n\
             base_path = \"/p{n}\"\nupstream = \"p{n}\"\naccess = \"public\"\n[[api.operation]]\n\
             id = \"any\"\nmethods = [\"*\"]\npath = \"/{{rest...}}\"\n",
            service.address
        )
    });
    let more = upstreams.collect();
    let gate = Gate::start(&Setup { more, ..Setup::before_address(service.address) });
    service.expect_kept_connection(|| {
        for target in ["/p0/ok/1", "/p1/ok/1"] {
            assert_eq!(gate.call(&Request::get(target)).status, 200);
        }
    });
    for targets in service.targets_by_connection().values() {
        assert!(targets.iter().all(|target| *target == targets[0]), "{targets:?}");
    }
}

/// A certificate that nobody else signed.
fn self_signed(authority: &Authority) -> Issued {
    let (cert, key) = (authority.folder().at("alone.crt"), authority.folder().at("alone.key"));
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    openssl.args(["-nodes", "-days", "90", "-subj", "/CN=alone", "-keyout", &key, "-out", &cert]);
    openssl.args(["-addext", &format!("subjectAltName = DNS:{NAME}")]);
    tools::run(&mut openssl, b"").expect_success();
    Issued { cert, key, serial: String::new() }
}

fn tls_keys(sni: &str, ca: Option<&str>, more: &str) -> String {
    let ca = ca.map_or_else(String::new, |ca| format!(", ca = \"{ca}\""));
    format!("tls = {{ sni = \"{sni}\"{ca}{more} }}")
}

fn gate(service: &Service, keys: &str) -> Gate {
    Gate::start(&Setup::before_once(&service.address.to_string(), keys))
}

fn expect_success(gate: &Gate) -> Value {
    let response = gate.call(&Request::get("/open/ok/1"));
    assert_eq!((response.status, response.body.len()), (200, 1024), "{response:?}");
    gate.record_of(&response)
}

fn expect_failure(gate: &Gate, response: &Response, failure: Failure) -> Value {
    let row = failure.row();
    assert_eq!(response.status, row.status, "{response:?}");
    assert_eq!(response.problem()["code"], row.code);
    let record = gate.record_of(response);
    assert_eq!(record["decision"], "allowed", "{record}");
    assert_eq!(record["failure"], row.code, "{record}");
    record
}
