//! An upstream that speaks HTTP/2, well or badly: what it is sent, what may be sent again, and
//! deadlines that hold although a connection is shared.

use onegate::model::denial::Failure;
use serde_json::{Value, json};

use super::harness::authority::{Authority, Kind};
use super::harness::gate::Gate;
use super::harness::http::{Body, Request};
use super::harness::poll;
use super::harness::service::Service;
use super::harness::setup::Setup;

#[test]
fn heads_are_those_of_http2() {
    let authority = Authority::new();
    let shown = authority.issue("payments.test", &["payments.test"], Kind::Ecdsa, 90);
    let server_tls = json!({ "cert": shown.cert, "key": shown.key, "alpn": ["h2"] });
    let tls = format!("tls = {{ sni = \"payments.test\", ca = \"{}\" }}", authority.trusted());
    let check = |service: Value, keys: &str, scheme: &str| {
        let service = Service::start(&service);
        let gate = gate(&service, keys);
        let key = gate.add_lab_client("caller");
        let post = Request::new("POST", "/lab/echo/1?a=%20b")
            .key(&key.text)
            .field("Connection", "keep-alive, X-Hop")
            .field("Keep-Alive", "timeout=5")
            .field("X-Hop", "one hop only")
            .field("TE", "trailers, deflate")
            .field("Upgrade", "h2c")
            .field("X-Kept", "yes")
            .chunks(&[b"to ", b"echo"]);
        let response = gate.call(&post);
        assert_eq!((response.status, response.text()), (200, "to echo"), "{response:?}");
        let request = service.requests_for("/lab/echo/1?a=%20b").remove(0);
        let fields = request["fields"].as_array().expect("fields").clone();
        let value = |name: &str| {
            let found = fields.iter().find(|field| field[0] == name);
            found.map(|field| field[1].as_str().unwrap_or_default().to_owned())
        };
        assert_eq!(value(":method").as_deref(), Some("POST"));
        assert_eq!(value(":scheme").as_deref(), Some(scheme));
        assert_eq!(value(":authority").as_deref(), Some("gate.test"));
        assert_eq!(value("x-forwarded-host").as_deref(), Some("gate.test"));
        assert_eq!(value("x-onegate-client").as_deref(), Some("caller"));
        assert_eq!(value("x-request-id").as_deref(), Some(response.id()));
        assert_eq!(value("x-kept").as_deref(), Some("yes"));
        for gone in [
            "host",
            "connection",
            "keep-alive",
            "x-hop",
            "te",
            "upgrade",
            "transfer-encoding",
            "authorization",
        ] {
            assert_eq!(value(gone), None, "{fields:?}");
        }
    };
    check(json!({ "protocol": "h2" }), "", "http");
    check(json!({ "protocol": "h2", "tls": server_tls }), &tls, "https");
}

#[test]
fn an_upgrade_is_not_offered_over_http2() {
    let service = Service::start(&json!({ "protocol": "h2" }));
    let gate = gate(&service, "");
    let upgrade = Request::get("/open/ok/1")
        .field("Connection", "Upgrade")
        .field("Upgrade", "websocket")
        .field("Sec-WebSocket-Version", "13")
        .field("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    // The upstream was not asked to, so it answers as it always does.
    assert_eq!(gate.call(&upgrade).status, 200);
}

#[test]
fn one_connection_serves_many_requests() {
    let service = Service::start(&json!({ "protocol": "h2" }));
    let gate = gate(&service, "");
    let mut held = hold(&gate, &service, 8);
    assert_eq!(gate.call(&Request::get("/open/ok/2")).status, 200, "it does not wait for them");
    service.release();
    for client in &mut held {
        assert_eq!(client.read(Body::Expected).map(|response| response.status), Some(200));
    }
    assert_eq!(service.events("connected").len(), 1);
}

#[test]
fn streams_past_the_most_get_another_connection() {
    let service = Service::start(&json!({ "protocol": "h2" }));
    let gate = gate(&service, "http2 = { streams_max = 2 }");
    let mut held = hold(&gate, &service, 5);
    let shared = service.targets_by_connection();
    let counts: Vec<usize> = shared.values().map(Vec::len).collect();
    assert_eq!(counts, [2, 2, 1]);
    service.release();
    for client in &mut held {
        assert_eq!(client.read(Body::Expected).map(|response| response.status), Some(200));
    }
}

#[test]
fn a_slow_caller_holds_up_its_own_response_only() {
    let service = Service::start(&json!({ "protocol": "h2" }));
    let gate = gate(&service, "http2 = { stream_window = \"64KiB\" }");
    // Memory that the gate holds for it is bounded, however much the upstream has for it.
    let mut slow = gate.client();
    slow.send(&Request::get("/open/large/1").bytes());
    service.wait_for("request", 1);
    // It shares its connection with others, and they do not notice.
    service.expect_kept_connection(|| {
        assert_eq!(gate.call(&Request::get("/open/ok/1")).status, 200);
    });
    let shared = service.targets_by_connection();
    assert!(shared[&1].contains(&"/open/ok/1".to_owned()), "{shared:?}");
    let response = slow.read(Body::Expected).expect("it reads at last");
    assert_eq!((response.status, response.complete), (200, true));
    assert_eq!(response.body.len(), 32 * 1024 * 1024);
}

#[test]
fn what_the_upstream_left_alone_is_sent_again() {
    let service = Service::start(&json!({ "protocol": "h2" }));
    let setup = Setup::before_once(&service.address.to_string(), "protocol = \"http2\"");
    let upstream = "retries = 1\nprotocol = \"http2\"";
    let gate = Gate::start(&Setup { upstream, ..setup });
    for path in ["/open/refuse-once/1", "/open/leave-once/1"] {
        let response = gate.call(&Request::new("POST", path).body(b"pay"));
        assert_eq!(response.status, 200, "{path}: {response:?}");
        assert_eq!(service.requests_for(path).len(), 2, "{path}");
    }
    // What it began, it may have done.
    let post = gate.call(&Request::new("POST", "/open/break/1").body(b"pay"));
    assert_eq!(post.status, Failure::UpstreamProtocol.row().status);
    assert_eq!(service.requests_for("/open/break/1").len(), 1);
}

#[test]
fn each_failure_has_its_word_and_its_reason() {
    let service = Service::start(&json!({ "protocol": "h2" }));
    let gate = gate(&service, "timeouts = { first_byte = \"300ms\", total = \"30s\" }");
    let check = |behaviour: &str, failure: Failure, reason: &str| {
        let response = gate.call(&Request::get(&format!("/open/{behaviour}/1")));
        let row = failure.row();
        assert_eq!(response.status, row.status, "{behaviour}: {response:?}");
        assert_eq!(response.problem()["code"], row.code, "{behaviour}");
        let record = gate.record_of(&response);
        assert_eq!(record["failure"], row.code, "{behaviour}: {record}");
        let told = record["reason"].as_str().unwrap_or_default();
        assert!(told.contains(reason), "{behaviour}: {record}");
        // The next request finds its way.
        assert_eq!(gate.call(&Request::get("/open/ok/1")).status, 200, "after {behaviour}");
    };
    check("break", Failure::UpstreamProtocol, "unexpected internal error encountered");
    check("downgrade", Failure::UpstreamProtocol, "HTTP/1.1");
    check("goaway", Failure::UpstreamProtocol, "detected excessive load");
    check("close", Failure::UpstreamProtocol, "");
    check("garbage", Failure::UpstreamProtocol, "");
    check("hold", Failure::UpstreamTimeout, "");
}

#[test]
fn an_upstream_of_http1_is_no_upstream_of_http2() {
    let service = Service::start(&json!({ "protocol": "http1" }));
    let gate = gate(&service, "");
    let response = gate.call(&Request::get("/open/ok/1"));
    assert_eq!(response.problem()["code"], Failure::UpstreamProtocol.code());
}

#[test]
fn deadlines_end_streams_and_not_connections() {
    let check = |keys: &str, path: &str, begun: bool, failure: Failure| {
        let service = Service::start(&json!({ "protocol": "h2" }));
        let gate = gate(&service, &format!("timeouts = {{ {keys} }}"));
        let response = gate.call(&Request::get(path));
        let status = if begun { 200 } else { failure.row().status };
        assert_eq!(response.status, status, "{path}: {response:?}");
        let record = gate.record_of(&response);
        assert_eq!(record["failure"], failure.code(), "{record}");
        assert_eq!(record["end"], "deadline", "{record}");
        service.wait_for("reset", 1);
        assert_eq!(gate.call(&Request::get("/open/ok/2")).status, 200);
        assert_eq!(service.events("connected").len(), 1, "{path}");
    };
    check("first_byte = \"300ms\"", "/open/hold/1", false, Failure::UpstreamTimeout);
    check("total = \"300ms\"", "/open/hold/1", false, Failure::Deadline);
    check("idle = \"300ms\"", "/open/stall/1", true, Failure::UpstreamTimeout);
    check("total = \"300ms\"", "/open/stall/1", true, Failure::Deadline);
}

#[test]
fn a_body_that_breaks_off_is_not_mended() {
    let service = Service::start(&json!({ "protocol": "h2" }));
    let gate = gate(&service, "");
    let response = gate.call(&Request::get("/open/break-mid-body/1"));
    assert_eq!((response.status, response.complete), (200, false), "{response:?}");
    assert_eq!(gate.record_of(&response)["end"], "upstream_error");
}

#[test]
fn a_caller_that_leaves_ends_its_stream() {
    let service = Service::start(&json!({ "protocol": "h2" }));
    let gate = gate(&service, "");
    drop(hold(&gate, &service, 1));
    service.wait_for("reset", 1);
    assert_eq!(gate.record_of_path("/open/hold/0")["end"], "client_abort");
    assert_eq!(gate.call(&Request::get("/open/ok/1")).status, 200);
    assert_eq!(service.events("connected").len(), 1);
}

#[test]
fn connections_are_kept_as_long_as_was_said() {
    let start = |keepalive: &str| {
        let service = Service::start(&json!({ "protocol": "h2" }));
        let gate = gate(&service, &format!("keepalive = \"{keepalive}\""));
        (service, gate)
    };
    let call = |gate: &Gate| assert_eq!(gate.call(&Request::get("/open/ok/1")).status, 200);
    let (service, gate) = start("1m");
    service.expect_kept_connection(|| call(&gate));
    let (service, gate) = start("0s");
    for n in 1..4 {
        call(&gate);
        service.wait_for("closed", n);
    }
    assert_eq!(service.events("connected").len(), 3);
}

/// A gate before a service of HTTP/2; what fails is not tried again.
fn gate(service: &Service, keys: &str) -> Gate {
    let keys = format!("protocol = \"http2\"\n{keys}");
    Gate::start(&Setup::before_once(&service.address.to_string(), &keys))
}

/// Calls that wait at the service, `/open/hold/N`.
fn hold(gate: &Gate, service: &Service, count: usize) -> Vec<super::harness::client::Client> {
    let hold = |n| {
        let target = format!("/open/hold/{n}");
        let mut client = gate.client();
        client.send(&Request::get(&target).bytes());
        let arrived = || (!service.requests_for(&target).is_empty()).then_some(());
        poll::until("the service gets it", arrived);
        client
    };
    (0..count).map(hold).collect()
}

/// Regression: Pingora does not hear the 100 of an HTTP/2 upstream, so a caller that waits for it
/// waited until its time was over.
#[test]
fn the_gate_itself_says_continue() {
    let service = Service::start(&json!({ "protocol": "h2" }));
    let gate = gate(&service, "");
    let mut client = gate.client();
    let request = Request::new("POST", "/open/echo/1")
        .field("Expect", "100-continue")
        .field("Content-Length", "7");
    client.send(&request.head_bytes());
    let interim = client.read(Body::Absent).expect("a 100");
    assert_eq!(interim.status, 100);
    client.send(b"to echo");
    let response = client.read(Body::Expected).expect("an answer");
    assert_eq!((response.status, response.text()), (200, "to echo"));
    assert_eq!(gate.record_of(&response)["end"], "complete");
}
