//! gRPC through the gate, between a caller and a service of grpcio: every kind of call, statuses in
//! trailers, refusals as gRPC's own codes, deadlines and cancellation.

use std::net::SocketAddr;
use std::process::Command;

use serde_json::{Value, json};

use super::harness::address;
use super::harness::authority::{Authority, Kind};
use super::harness::gate::Gate;
use super::harness::service::Service;
use super::harness::setup::Setup;
use super::harness::tools;

const NAME: &str = "grpc.test";

const METHODS: [&str; 8] =
    ["Unary", "Split", "Join", "Talk", "Fail", "FailMidway", "Wait", "Deadline"];

#[test]
fn every_kind_of_call_passes_in_plain_and_over_tls() {
    let authority = Authority::new();
    let shown = authority.issue(NAME, &[NAME], Kind::Ecdsa, 90);
    let (cert, key) = (&shown.cert, &shown.key);
    let service_tls = json!({ "tls": { "cert": cert, "key": key } });
    let to_service = format!("tls = {{ sni = \"{NAME}\", ca = \"{}\" }}", authority.trusted());
    let listener_tls =
        format!("tls = {{ certificates = [{{ cert = \"{cert}\", key = \"{key}\" }}] }}");
    let caller_tls = json!({ "ca": authority.trusted(), "name": NAME });
    let plain = Bench::start(&json!({}), "", "http2 = true", "");
    plain.expect_every_kind(&json!({}));
    let secured = Bench::start(&service_tls, &to_service, &listener_tls, "");
    secured.expect_every_kind(&caller_tls);
}

#[test]
fn refusals_are_codes_of_grpc() {
    let bench = Bench::start(&json!({}), "", "http2 = true", "");
    let check = |key: &str, call: &str, code: &str| {
        let result = bench.call(&json!({}), key, &[call]);
        assert_eq!(result[call]["code"], code, "{result}");
    };
    check("", "unary", "UNAUTHENTICATED");
    check("og_live_wrong", "server_stream", "UNAUTHENTICATED");
    let other = bench.gate.add_client("other", &["--no-expiry"]);
    check(&other.text, "unary", "PERMISSION_DENIED");
    check(&other.text, "both_stream", "PERMISSION_DENIED");
    check(&bench.key, "unknown", "UNIMPLEMENTED");
    assert!(bench.service.events("request").is_empty(), "it was asked");
}

#[test]
fn a_stream_that_was_answered_may_pause() {
    // Longer than a body may: the two talk, and neither is slow.
    let bench = Bench::start(&json!({}), "", "http2 = true", "body_timeout = \"1s\"");
    let result = bench.call(&json!({}), &bench.key, &["both_pause"]);
    assert_eq!(result["both_pause"]["code"], "OK", "{result}");
    assert_eq!(result["both_pause"]["messages"], json!(["re: 0", "re: 1", "re: 2"]));
}

#[test]
fn whoever_gives_up_ends_the_call() {
    let bench = Bench::start(&json!({}), "", "http2 = true", "");
    let check = |call: &str, code: &str, count: usize| {
        let result = bench.call(&json!({}), &bench.key, &[call]);
        assert_eq!(result[call]["code"], code, "{result}");
        // The service learns it at once, not when it next writes.
        bench.service.wait_for("cancelled", count);
        let path = ["--path", "/lab.Echo/Wait"];
        let records = bench.gate.records(&path, |records| records.len() >= count);
        for record in records {
            assert_eq!(record["end"], "client_abort", "{record}");
        }
    };
    check("cancels", "CANCELLED", 1);
    check("runs_out", "DEADLINE_EXCEEDED", 2);
}

#[test]
fn the_gates_deadline_ends_the_call() {
    let bench = Bench::start(&json!({}), "timeouts = { total = \"500ms\" }", "http2 = true", "");
    let result = bench.call(&json!({}), &bench.key, &["is_ended"]);
    assert_ne!(result["is_ended"]["code"], "OK", "{result}");
    bench.service.wait_for("cancelled", 1);
    let records = bench.gate.records(&["--path", "/lab.Echo/Wait"], |records| !records.is_empty());
    assert_eq!(records[0]["end"], "deadline", "{records:?}");
}

/// A gate between a service and its callers, with a client that may make every call.
struct Bench {
    service: Service,
    gate: Gate,
    address: SocketAddr,
    key: String,
}

impl Bench {
    fn start(service: &Value, upstream: &str, listener: &str, bounds: &'static str) -> Self {
        let service = Service::grpc(service);
        let address = address::free();
        let keys = format!("protocol = \"http2\"\n{upstream}");
        let setup = Setup::before_once(&service.address.to_string(), &keys);
        let listener =
            format!("[[listener]]\nname = \"grpc\"\naddress = \"{address}\"\n{listener}");
        let gate = Gate::start(&Setup { apis: apis(), more: listener, bounds, ..setup });
        let key = gate.add_client("caller", &["--no-expiry", "--product", "echo"]).text;
        Self { service, gate, address, key }
    }

    /// What came of calls, by their names in the script.
    fn call(&self, tls: &Value, key: &str, calls: &[&str]) -> Value {
        let mut setup = tls.clone();
        setup["target"] = json!(self.address);
        setup["key"] = json!(key);
        setup["calls"] = json!(calls);
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gateway/python/grpc_caller.py");
        let mut command = Command::new(tools::python());
        let said = tools::run(command.args([script, &setup.to_string()]), b"").expect_success();
        serde_json::from_str(&said).expect("one JSON object")
    }

    fn expect_every_kind(&self, tls: &Value) {
        let calls = [
            "unary",
            "large",
            "server_stream",
            "client_stream",
            "both_stream",
            "fails",
            "fails_midway",
            "has_deadline",
        ];
        let result = self.call(tls, &self.key, &calls);
        let check = |call: &str, code: &str, messages: Value| {
            assert_eq!(result[call]["code"], code, "{call}: {result}");
            assert_eq!(result[call]["messages"], messages, "{call}");
        };
        check("unary", "OK", json!(["hello"]));
        assert_eq!(result["unary"]["initial"]["x-initial"], "first");
        assert_eq!(result["unary"]["initial"]["x-bytes-bin"], "000102ff");
        assert_eq!(result["unary"]["trailing"]["x-trailing"], "last");
        assert_eq!(result["unary"]["trailing"]["x-bytes-bin"], "000102ff");
        check("large", "OK", json!([2 * 1024 * 1024]));
        let letters = ["a", "b", "c"].iter().cycle().take(300).collect::<Vec<_>>();
        check("server_stream", "OK", json!(letters));
        let alphabet: String = ('A'..='Z').cycle().take(300).collect();
        check("client_stream", "OK", json!([alphabet]));
        let answers: Vec<String> = (0..20).map(|n| format!("re: {n}")).collect();
        check("both_stream", "OK", json!(answers));
        check("fails", "FAILED_PRECONDITION", json!([]));
        assert_eq!(result["fails"]["details"], "nothing to pay: 100 % \u{e9}");
        assert_eq!(result["fails"]["trailing"]["x-trailing"], "why");
        check("fails_midway", "DATA_LOSS", json!(["first"]));
        assert_eq!(result["fails_midway"]["details"], "the rest is gone");
        // The caller's deadline reaches the service.
        check("has_deadline", "OK", json!(["some"]));
        let records =
            self.gate.records(&["--surface", "rest"], |records| records.len() >= calls.len());
        assert_eq!(records.len(), calls.len(), "{records:?}");
        for record in records {
            assert_eq!((&record["client"], &record["status"]), (&json!("caller"), &json!(200)));
            assert_eq!((&record["api"], &record["end"]), (&json!("echo"), &json!("complete")));
        }
    }
}

/// An operation for each method.
fn apis() -> String {
    let operation = |method: &&str| {
        let id = method.to_ascii_lowercase();
        format!(
            "[[api.operation]]\nid = \"{id}\"\nmethods = [\"POST\"]\npath = \"/lab.Echo/{method}\"\n"
        )
    };
    let operations: String = METHODS.iter().map(operation).collect();
    let id = |method: &&str| format!("\"echo.{}\"", method.to_ascii_lowercase());
    let granted = METHODS.iter().map(id).collect::<Vec<_>>().join(", ");
    format!(
        "[[api]]\nname = \"echo\"\nupstream = \"recorder\"\naccess = \"granted\"\n{operations}\n\
         [[product]]\nname = \"echo\"\noperations = [{granted}]\n"
    )
}
