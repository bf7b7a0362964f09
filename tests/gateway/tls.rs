//! TLS on listeners: which certificate, which versions and groups, which host belongs where, and
//! callers that do not get as far.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use onegate::model::denial::Denial;
use openssl::ssl::{
    HandshakeError, Ssl, SslContextBuilder, SslMethod, SslSessionCacheMode, SslStream,
    SslVerifyMode, SslVersion,
};

use super::harness::address;
use super::harness::authority::{Authority, Issued, Kind};
use super::harness::bench::{Bench, expect_denial};
use super::harness::curl::{Curl, Fetched};
use super::harness::gate::Gate;
use super::harness::http::{Body, Request};
use super::harness::poll::{self, PATIENCE};
use super::harness::setup::Setup;
use super::harness::tools;
use super::harness::upstream::Upstream;

/// A gate with a TLS listener beside the plain one.
pub struct Secured {
    pub gate: Gate,
    pub address: SocketAddr,
}

pub fn listener(address: SocketAddr, keys: &str, pairs: &[&Issued]) -> String {
    let pairs: Vec<_> = pairs.iter().map(|pair| pair.toml()).collect();
    format!(
        "[[listener]]\nname = \"secure\"\naddress = \"{address}\"\n[listener.tls]\n{keys}\n\
         certificates = [{}]\n",
        pairs.join(", ")
    )
}

impl Secured {
    pub fn start(setup: Setup, keys: &str, pairs: &[&Issued]) -> Self {
        let address = address::free();
        let gate = Gate::start(&Setup { more: listener(address, keys, pairs), ..setup });
        Self { gate, address }
    }

    pub fn curl(&self, authority: &Authority, host: &str, path: &str) -> Curl<'_> {
        let curl = Curl::to(&self.gate, "https", host, self.address, path);
        curl.args(&["--cacert", &authority.trusted()])
    }

    /// The serial number of the certificate that a caller with these options is shown.
    pub fn serial(&self, options: &[&str]) -> String {
        let mut client = Command::new("openssl");
        client.args(["s_client", "-connect", &self.address.to_string()]).args(options);
        let shown = tools::run(&mut client, b"").stdout;
        let mut x509 = Command::new("openssl");
        x509.args(["x509", "-noout", "-serial"]);
        let serial = tools::run(&mut x509, shown.as_bytes()).expect_success();
        serial.trim().trim_start_matches("serial=").to_owned()
    }
}

#[test]
fn the_certificate_is_chosen_by_name() {
    let upstream = Upstream::start();
    let authority = Authority::new();
    let first = authority.issue("first", &["first.test"], Kind::Ecdsa, 90);
    let exact = authority.issue("exact", &["a.wild.test", "b.test"], Kind::Ecdsa, 90);
    let rsa = authority.issue("rsa", &["b.test"], Kind::Rsa, 90);
    let wild = authority.issue("wild", &["*.wild.test"], Kind::Ecdsa, 90);
    let secured = Secured::start(Setup::before(&upstream), "", &[&first, &exact, &rsa, &wild]);
    let check = |options: &[&str], expected: &Issued| {
        assert_eq!(secured.serial(options), expected.serial, "{options:?}");
    };
    check(&["-noservername"], &first);
    check(&["-servername", "first.test"], &first);
    check(&["-servername", "unknown.test"], &first);
    check(&["-servername", "a.wild.test"], &exact);
    check(&["-servername", "B.TEST"], &exact);
    check(&["-servername", "x.wild.test"], &wild);
    check(&["-servername", "x.y.wild.test"], &first);
    check(&["-servername", "wild.test"], &first);
    // A caller that knows one kind of key only gets that one, in both versions.
    let rsa_only = ["-sigalgs", "RSA-PSS+SHA256:RSA+SHA256", "-servername", "b.test"];
    check(&rsa_only, &rsa);
    check(&[&rsa_only[..], &["-tls1_2"]].concat(), &rsa);
    check(&["-sigalgs", "ECDSA+SHA256", "-servername", "b.test", "-tls1_2"], &exact);
    for (host, version) in [("first.test", "--http1.1"), ("x.wild.test", "--http2")] {
        let curl = secured.curl(&authority, host, "/open/ok/1").args(&[version]);
        assert_eq!(curl.fetch().response.status, 200);
    }
    // 60: the certificate is not the host's.
    assert_eq!(secured.curl(&authority, "unknown.test", "/open/ok/1").failure(), 60);
}

#[test]
fn a_call_over_tls_is_known_as_such() {
    let upstream = Upstream::start();
    let authority = Authority::new();
    let pair = authority.issue("a", &["a.test"], Kind::Ecdsa, 90);
    let address = address::free();
    let bench =
        Bench::start(&Setup { more: listener(address, "", &[&pair]), ..Setup::before(&upstream) });
    let secured = |path: &str, options: &[&str]| -> Fetched {
        let curl = Curl::to(&bench.gate, "https", "a.test", address, path);
        curl.args(&["--cacert", &authority.trusted()]).args(options).key(&bench.key.text).fetch()
    };
    for (n, (option, version)) in
        [("--http1.1", "HTTP/1.1"), ("--http2", "HTTP/2")].into_iter().enumerate()
    {
        let path = format!("/lab/echo/{n}");
        let body = "x".repeat(3000);
        let fetched = secured(&path, &[option, "--data-binary", &body]);
        assert_eq!((&*fetched.version, fetched.response.text()), (version, &*body));
        let record = bench.gate.record_of(&fetched.response);
        assert_eq!(
            (&record["host"], &record["operation"]),
            (&"a.test".into(), &"lab.write".into())
        );
        let received = upstream.one_at(&path);
        assert_eq!(received.fields.value("x-forwarded-proto"), Some("https"));
        let host = format!("a.test:{}", address.port());
        assert_eq!(received.fields.value("x-forwarded-host"), Some(&*host));
    }
    // On the plain listener nothing has changed.
    assert_eq!(bench.get("/lab/ok/9").status, 200);
    assert_eq!(upstream.one_at("/lab/ok/9").fields.value("x-forwarded-proto"), Some("http"));
    let stdout = fs::read_to_string(bench.gate.folder.at("stdout.txt")).expect("it is ours");
    assert!(stdout.contains(&format!("listener secure on https://{address}\n")), "{stdout}");
    let metrics = bench.gate.metrics();
    let left = metrics
        .lines()
        .find_map(|line| line.strip_prefix("onegate_certificate_expiry_seconds{name=\"a.test\"} "));
    let left: i64 = left.and_then(|left| left.parse().ok()).expect("a number");
    assert!((89 * 86_400..=90 * 86_400).contains(&left), "{left}");
    assert!(metrics.contains("onegate_connections{listener=\"secure\"} "), "{metrics}");
}

#[test]
fn versions_and_groups_are_those_of_the_profile() {
    let upstream = Upstream::start();
    let authority = Authority::new();
    let pair = authority.issue("a", &["a.test"], Kind::Ecdsa, 90);
    let usual = Secured::start(Setup::before(&upstream), "", &[&pair]);
    let newest = Secured::start(Setup::before(&upstream), "min_version = \"1.3\"", &[&pair]);
    let check = |secured: &Secured, offer: Offer<'_>, expected: bool| {
        assert_eq!(shake(secured.address, &offer).is_some(), expected, "{offer:?}");
    };
    let usually = |offer: Offer<'_>, expected| check(&usual, offer, expected);
    usually(Offer::default(), true);
    let only = |version| Offer { only: Some(version), ..Offer::default() };
    usually(only(SslVersion::TLS1_1), false);
    usually(only(SslVersion::TLS1_2), true);
    check(&newest, only(SslVersion::TLS1_2), false);
    check(&newest, only(SslVersion::TLS1_3), true);
    for (groups, expected) in [
        ("X25519MLKEM768", true),
        ("X25519", true),
        ("P-256", true),
        ("P-384", true),
        ("P-521", false),
        ("X448", false),
        ("ffdhe2048", false),
    ] {
        usually(Offer { groups: Some(groups), ..only(SslVersion::TLS1_3) }, expected);
    }
    for (ciphers, expected) in [
        ("ECDHE-ECDSA-AES128-GCM-SHA256", true),
        ("ECDHE-ECDSA-CHACHA20-POLY1305", true),
        ("ECDHE-ECDSA-AES128-SHA256", false),
        ("ECDHE-ECDSA-AES256-CCM", false),
        ("AES128-GCM-SHA256", false),
        ("DHE-RSA-AES128-GCM-SHA256", false),
    ] {
        usually(Offer { ciphers: Some(ciphers), ..only(SslVersion::TLS1_2) }, expected);
    }
    let speaks = |alpn: &'static [u8]| Offer { alpn: Some(alpn), ..Offer::default() };
    usually(speaks(b"\x02h2"), true);
    usually(speaks(b"\x08http/1.1"), true);
    usually(speaks(b"\x06spdy/3"), false);
    let chosen = |alpn| {
        let stream = shake(usual.address, &speaks(alpn)).expect("a handshake");
        stream.ssl().selected_alpn_protocol().map(<[u8]>::to_vec)
    };
    assert_eq!(chosen(b"\x08http/1.1\x02h2").as_deref(), Some(&b"h2"[..]));
    assert_eq!(chosen(b"\x06spdy/3\x08http/1.1").as_deref(), Some(&b"http/1.1"[..]));
    for version in [SslVersion::TLS1_2, SslVersion::TLS1_3] {
        let (mut stream, sessions) = shake_and_count(usual.address, &only(version));
        // Tickets of 1.3 come with the first answer.
        let request = b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
        stream.write_all(request).expect("sent");
        stream.read_to_end(&mut Vec::new()).expect("a close in good order");
        assert_eq!(sessions.load(Ordering::Acquire), 0, "it could be resumed: {version:?}");
    }
}

/// What a caller offers.
#[derive(Clone, Copy, Debug, Default)]
struct Offer<'a> {
    only: Option<SslVersion>,
    groups: Option<&'a str>,
    ciphers: Option<&'a str>,
    alpn: Option<&'static [u8]>,
}

/// A connection, and how many sessions came with it that could be resumed.
fn shake_and_count(
    address: SocketAddr,
    offer: &Offer<'_>,
) -> (SslStream<TcpStream>, Arc<AtomicUsize>) {
    let sessions = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sessions);
    let mut context = context(offer);
    context.set_session_cache_mode(SslSessionCacheMode::CLIENT);
    context.set_new_session_callback(move |_, _| {
        counted.fetch_add(1, Ordering::AcqRel);
    });
    (connect(address, context).expect("a handshake"), sessions)
}

/// A connection, when both sides agree.
fn shake(address: SocketAddr, offer: &Offer<'_>) -> Option<SslStream<TcpStream>> {
    connect(address, context(offer))
}

fn context(offer: &Offer<'_>) -> SslContextBuilder {
    let mut context = SslContextBuilder::new(SslMethod::tls_client()).expect("a context");
    context.set_verify(SslVerifyMode::NONE);
    context.set_security_level(0);
    context.set_min_proto_version(offer.only).expect("a version");
    context.set_max_proto_version(offer.only).expect("a version");
    context.set_cipher_list(offer.ciphers.unwrap_or("ALL")).expect("ciphers");
    if let Some(groups) = offer.groups {
        context.set_groups_list(groups).expect("groups");
    }
    if let Some(alpn) = offer.alpn {
        context.set_alpn_protos(alpn).expect("protocols");
    }
    context
}

fn connect(address: SocketAddr, context: SslContextBuilder) -> Option<SslStream<TcpStream>> {
    let mut ssl = Ssl::new(&context.build()).expect("a connection");
    ssl.set_hostname("a.test").expect("a name");
    let stream = TcpStream::connect(address).expect("the gate listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket of ours");
    match ssl.connect(stream) {
        Ok(stream) => Some(stream),
        Err(HandshakeError::Failure(_)) => None,
        Err(error) => panic!("the gate must not hang: {error}"),
    }
}

#[test]
fn a_host_of_another_certificate_is_misdirected() {
    let upstream = Upstream::start();
    let authority = Authority::new();
    let one = authority.issue("one", &["a.test", "*.a.test"], Kind::Ecdsa, 90);
    let other = authority.issue("other", &["b.test"], Kind::Ecdsa, 90);
    let secured = Secured::start(Setup::before(&upstream), "", &[&one, &other]);
    let fetch = |sni: &str, host: &str, version: &str| {
        let curl = secured.curl(&authority, sni, "/open/ok/1");
        curl.args(&[version, "--header", &format!("Host: {host}")]).fetch().response
    };
    for version in ["--http1.1", "--http2"] {
        for host in ["a.test", "A.test:443", "x.a.test", "a.test."] {
            assert_eq!(fetch("a.test", host, version).status, 200, "{version} {host}");
        }
        for host in ["b.test", "x.y.a.test", "localhost", "127.0.0.1"] {
            let response = fetch("a.test", host, version);
            expect_denial(&response, Denial::Misdirected, &[]);
            let record = secured.gate.record_of(&response);
            assert_eq!((&record["host"], &record["method"]), (&host.into(), &"GET".into()));
            assert_eq!(record["denial"], "misdirected", "{record}");
        }
        assert_eq!(fetch("b.test", "b.test", version).status, 200);
        // Who does not check certificates is told too: the first does not cover the host.
        let curl = secured.curl(&authority, "unknown.test", "/open/ok/1");
        let told = curl.args(&[version, "--insecure"]).fetch().response;
        expect_denial(&told, Denial::Misdirected, &[]);
    }
    // Who names no host is held to none.
    let address = secured.address;
    let ip = address.ip().to_string();
    let curl = Curl::to(&secured.gate, "https", &ip, address, "/open/ok/1");
    assert_eq!(curl.args(&["--insecure"]).fetch().response.status, 200);
}

#[test]
fn a_slow_handshake_is_ended() {
    let upstream = Upstream::start();
    let authority = Authority::new();
    let pair = authority.issue("a", &["a.test"], Kind::Ecdsa, 90);
    let bounds = "handshake_deadline = \"1s\"\nconnections_max = 20";
    let secured = Secured::start(Setup { bounds, ..Setup::before(&upstream) }, "", &[&pair]);
    let connect = || TcpStream::connect(secured.address).expect("the gate listens");
    // A connection in its handshake has a place.
    let silent: Vec<_> = (0..20).map(|_| connect()).collect();
    let taken = "onegate_connections{listener=\"secure\"} 20";
    poll::until("the places are taken", || secured.gate.metrics().contains(taken).then_some(()));
    let mut client = secured.gate.client();
    client.send(&Request::get("/open/ok/1").bytes());
    assert!(client.read(Body::Expected).is_none(), "one more was served");
    for mut stream in silent {
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket of ours");
        let mut read = Vec::new();
        stream.read_to_end(&mut read).expect("a close in time: the gate must not hang");
        assert!(read.is_empty(), "nobody asked for an answer");
    }
    for _ in 0..20 {
        let mut stream = connect();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").expect("sent");
        // An alert, then the end.
        drop(stream.read_to_end(&mut Vec::new()));
    }
    let counted = "onegate_refused_before_request_total{reason=\"handshake\"} 40";
    poll::until("all are counted", || secured.gate.metrics().contains(counted).then_some(()));
    assert_eq!(secured.curl(&authority, "a.test", "/open/ok/1").fetch().response.status, 200);
    let said = secured.gate.stderr();
    assert!(!said.to_lowercase().contains("handshake"), "{said}");
}

#[test]
fn a_connection_ends_in_good_order() {
    let upstream = Upstream::start();
    let authority = Authority::new();
    let pair = authority.issue("a", &["a.test"], Kind::Ecdsa, 90);
    let bounds = "idle_timeout = \"1s\"";
    let mut secured = Secured::start(Setup { bounds, ..Setup::before(&upstream) }, "", &[&pair]);
    // Without the end of TLS, reading to the end fails.
    let mut idle = shake(secured.address, &Offer::default()).expect("a handshake");
    idle.read_to_end(&mut Vec::new()).expect("a close in good order");
    let mut refused = shake(secured.address, &Offer::default()).expect("a handshake");
    refused.write_all(b"GET / HTTP/1.1\r\n\r\n").expect("sent");
    let mut answer = String::new();
    refused.read_to_string(&mut answer).expect("a close in good order");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let mut drained = shake(secured.address, &Offer::default()).expect("a handshake");
    secured.gate.signal("TERM");
    drained.read_to_end(&mut Vec::new()).expect("a close in good order");
    assert!(secured.gate.wait_for_end().success());
}

#[test]
fn key_material_stands_nowhere() {
    let upstream = Upstream::start();
    let authority = Authority::new();
    let pair = authority.issue("a", &["a.test"], Kind::Rsa, 90);
    let secured = Secured::start(Setup::before(&upstream), "", &[&pair]);
    assert_eq!(secured.curl(&authority, "a.test", "/open/ok/1").fetch().response.status, 200);
    secured.gate.cli(&["reload"]).expect_success();
    let pem = fs::read_to_string(&pair.key).expect("the file is ours");
    let line = pem.lines().nth(5).expect("a long key");
    for file in secured.gate.folder.files() {
        let bytes = fs::read(&file).unwrap_or_default();
        let found = |text: &str| bytes.windows(text.len()).any(|at| at == text.as_bytes());
        // The gate's own, which signs the audit, lies where its owner alone can read it.
        let is_ours = file.ends_with("data/audit.key");
        assert!(!found(line) && (is_ours || !found("PRIVATE KEY")), "{}", file.display());
    }
}
