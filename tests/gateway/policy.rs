//! Rules of an api: who is refused by address, path, header fields, content type and size; what the
//! caller is told, and what the record says.

use onegate::model::denial::Denial;

use super::harness::bench::Bench;
use super::harness::gate::Gate;
use super::harness::http::{Body, Request};
use super::harness::setup::{LAB, Setup};
use super::harness::upstream::Upstream;

/// The lab with more keys.
fn lab(more: &str) -> String {
    LAB.replace("access = \"granted\"", &format!("access = \"granted\"\n{more}"))
}

#[test]
fn addresses_are_judged_before_keys() {
    let upstream = Upstream::start();
    let apis =
        lab("ip = { allow = [\"203.0.113.0/24\", \"2001:db8::/32\"], deny = [\"203.0.113.66\"] }");
    let server = "trusted_proxies = [\"127.0.0.0/8\"]";
    let bench = Bench::start(&Setup { server, apis, ..Setup::before(&upstream) });
    let from = |ip: &str| Request::get("/lab/ok/1").field("X-Forwarded-For", ip);
    for ip in ["203.0.113.7", "2001:db8::1", "198.51.100.1, 203.0.113.7"] {
        let response = bench.gate.call(&from(ip).key(&bench.key.text));
        assert_eq!(response.status, 200, "{ip}");
    }
    for ip in ["203.0.113.66", "198.51.100.1", "2001:db9::1", "203.0.113.7, 198.51.100.1"] {
        let right = bench.gate.call(&from(ip).key(&bench.key.text));
        let record = bench.check_response(&right, Denial::AddressNotAllowed, &[]);
        // Who it was is on record, whatever it was told.
        assert_eq!(record["client"], "full", "{record}");
        assert_eq!(record["source_ip"].as_str(), ip.rsplit(", ").next(), "{record}");
        let wrong = bench.gate.call(&from(ip).key("og_live_wrong"));
        bench.check_response(&wrong, Denial::AddressNotAllowed, &[]);
        let none = bench.gate.call(&from(ip));
        bench.check_response(&none, Denial::AddressNotAllowed, &[]);
        assert_eq!(right.problem()["detail"], none.problem()["detail"]);
    }
    assert_eq!(upstream.received().len(), 3);
}

#[test]
fn a_stream_ends_when_its_address_is_no_longer_allowed() {
    let upstream = Upstream::start();
    let setup = |deny: &str| {
        let apis = lab(&format!("ip = {{ deny = [{deny}] }}"));
        Setup { apis, ..Setup::before(&upstream) }
    };
    let bench = Bench::start(&setup("\"192.0.2.1\""));
    let mut client = bench.gate.client();
    client.send(&Request::get("/lab/stream/1").key(&bench.key.text).bytes());
    upstream.wait_for("/lab/stream/1");
    bench.gate.write_config(&setup("\"127.0.0.0/8\""));
    bench.gate.cli(&["reload"]).expect_success();
    let cut = client.read(Body::Expected).expect("it had begun, or is answered");
    assert!(!cut.complete || cut.status == 401, "{cut:?}");
    let record = bench.gate.record_of_path("/lab/stream/1");
    assert_eq!(record["end"], "revoked", "{record}");
    upstream.release();
}

#[test]
fn paths_fields_and_types_are_refused() {
    let upstream = Upstream::start();
    let apis = lab("blocked_paths = [\"/**/.git/**\", \"/lab/secret*/**\"]\n\
         required_headers = [\"X-Tenant\"]\nforbidden_headers = [\"X-Debug\"]\n\
         content_types = [\"application/json\"]");
    let bench = Bench::start(&Setup { apis, ..Setup::before(&upstream) });
    let key = &bench.key.text;
    let get = |target: &str| Request::get(target).key(key).field("x-tenant", "a");
    let put = || Request::new("PUT", "/lab/echo/1").key(key).field("X-Tenant", "a");
    let refuse = |request: &Request, reason: &str| {
        let response = bench.gate.call(request);
        let record = bench.check_response(&response, Denial::PolicyRefused, &[]);
        assert_eq!((&record["reason"], &record["client"]), (&reason.into(), &"full".into()));
        assert!(!response.text().contains(reason), "the caller is told the rule: {response:?}");
    };
    assert_eq!(bench.gate.call(&get("/lab/ok/1")).status, 200);
    refuse(&get("/lab/.git"), "the path is blocked by /**/.git/**");
    refuse(&get("/lab/%2egit/config"), "the path is blocked by /**/.git/**");
    refuse(&get("/lab/.GIT;x/config"), "the path is blocked by /**/.git/**");
    refuse(&get("/lab/secrets/1"), "the path is blocked by /lab/secret*/**");
    refuse(&Request::get("/lab/ok/1").key(key), "the header x-tenant is missing");
    refuse(&get("/lab/ok/1").field("X-Debug", ""), "the header x-debug is forbidden");
    refuse(&get("/lab/ok/1").field("X_Debug", "1"), "the header x_debug is forbidden");

    let other = "the api does not take bodies of this content type";
    refuse(&put().field("Content-Type", "text/plain").body(b"{}"), other);
    refuse(&put().field("Content-Type", "application/jsonp").chunks(&[b"{}"]), other);
    refuse(&put().body(b"{}"), "the body has no content type");
    refuse(&put().chunks(&[b"{}"]), "the body has no content type");
    for content_type in ["application/json", "Application/JSON; charset=utf-8"] {
        let good = put().field("Content-Type", content_type);
        assert_eq!(bench.gate.call(&good.clone().body(b"{}")).status, 200);
        assert_eq!(bench.gate.call(&good.chunks(&[b"{", b"}"])).status, 200);
    }
    assert_eq!(bench.gate.call(&put().body(b"")).status, 200, "no body has no type");
    assert_eq!(upstream.received_at("/lab/echo/1").len(), 5);

    // Strangers learn of nothing but their missing key.
    let stranger = bench.gate.call(&Request::get("/lab/.git").field("X-Debug", "1"));
    bench.check_response(&stranger, Denial::CredentialMissing, &[]);
}

#[test]
fn an_operation_has_its_own_bound_on_bodies() {
    let upstream = Upstream::start();
    let own = "id = \"write\"\nbody_bytes_max = \"6KiB\"";
    let apis = LAB.replace("id = \"write\"", own).replace("256MiB", "1KiB");
    let less = "id = \"erase\"\nbody_bytes_max = \"2KiB\"";
    let apis = apis.replace("id = \"erase\"", less);
    let bench = Bench::start(&Setup { apis, ..Setup::before(&upstream) });
    let check = |method: &'static str, target: &str, bytes: usize, fits: bool| {
        let body = vec![b'x'; bytes];
        let request = Request::new(method, target).key(&bench.key.text);
        for request in [request.clone().body(&body), request.chunks(&[&body])] {
            let response = bench.gate.call(&request);
            if fits {
                assert_eq!(response.status, 200, "{method} {target} {bytes}");
            } else {
                bench.check_response(&response, Denial::BodyTooLarge, &[]);
            }
        }
    };
    // The api has 4 KiB.
    check("PUT", "/lab/echo/1", 6 << 10, true);
    check("PUT", "/lab/echo/1", (6 << 10) + 1, false);
    check("DELETE", "/lab/echo/1", 2 << 10, true);
    check("DELETE", "/lab/echo/1", (2 << 10) + 1, false);
    check("POST", "/open/echo/1", 1 << 10, true);
    check("POST", "/open/echo/1", (1 << 10) + 1, false);
}

#[test]
fn explain_tells_the_rules_too() {
    let upstream = Upstream::start();
    let apis = lab("ip = { allow = [\"10.0.0.0/8\"] }\nrequired_headers = [\"X-Tenant\"]\n\
         content_types = [\"application/json\"]");
    let bench = Bench::start(&Setup { apis, ..Setup::before(&upstream) });
    let check = |more: &[&str], expected: &str| {
        let args = [&["explain", "--client", "full"], more, &["PUT", "/lab/ok/1"]].concat();
        let said = bench.gate.cli(&args);
        let text = [said.stdout, said.stderr].concat();
        assert!(text.contains(expected), "{more:?}: {text}");
    };
    let (inside, tenant) = ("10.1.2.3", "X-Tenant: a");
    check(&[], "denied: address_not_allowed (403)");
    check(&["--source-ip", "192.0.2.1"], "denied: address_not_allowed (403)");
    check(&["--source-ip", inside], "denied: policy_refused (403): the header x-tenant is missing");
    let with_tenant = ["--source-ip", inside, "-H", tenant];
    check(&with_tenant, "the api's rules admit the address");
    check(&with_tenant, "allowed");
    check(&with_tenant, "how much is used only the running gate knows");
    let as_tool = [&with_tenant[..], &["--surface", "mcp"]].concat();
    check(&as_tool, "surface    mcp: the tool's call is decided on as this call of its operation");
    check(&as_tool, "\nallowed");
    check(&["--surface", "admin"], "write one of: rest, mcp");
    let text = ["-H", "Content-Type: text/plain"];
    check(&[&with_tenant[..], &text].concat(), "denied: policy_refused");
}

#[test]
fn explain_tells_of_preflights() {
    let upstream = Upstream::start();
    let apis = lab("cors = { origins = [\"https://app.example.com\"], methods = [\"GET\"] }");
    let bench = Bench::start(&Setup { apis, ..Setup::before(&upstream) });
    let check = |method: &str, expected: &str| {
        let origin = "Origin: https://app.example.com";
        let method = format!("Access-Control-Request-Method: {method}");
        let call = ["explain", "--client", "full", "-H", origin, "-H", &method];
        let said = bench.gate.cli(&[&call[..], &["OPTIONS", "/lab/ok/1"]].concat());
        let text = [said.stdout, said.stderr].concat();
        assert!(text.contains(expected), "{text}");
    };
    check("GET", "a preflight: the cors of api lab answers it, whoever calls");
    check("PUT", "denied: policy_refused (403): the api's cors does not list the method");
}

/// Regression: it said `not_found`, though the gate answers there.
#[test]
fn explain_tells_of_the_mcp_endpoint() {
    let upstream = Upstream::start();
    let bench = Bench::start(&Setup::before(&upstream));
    let check = |more: &[&str], expected: &str| {
        let said = bench.gate.cli(&[&["explain", "--client", "full"], more].concat());
        let text = [said.stdout, said.stderr].concat();
        assert!(text.contains(expected), "{more:?}: {text}");
    };
    let url = "http://gate.test/mcp";
    check(&["POST", url], "classify   the MCP endpoint at /mcp, of the gate itself");
    check(&["POST", url], "a tools/call is the REST request of its operation");
    check(&["POST", url], "\nallowed");
    check(&["GET", url], "denied: method_not_allowed (405)");
    let origin = ["-H", "Origin: https://evil.example"];
    check(&[&origin[..], &["POST", url]].concat(), "denied: policy_refused (403): the Origin");
}

/// Regression: a byte that is no ASCII, or a hop that is no address, made the caller the proxy.
#[test]
fn addresses_cannot_be_hidden_behind_a_proxy() {
    let upstream = Upstream::start();
    let apis = lab("").replace(
        "access = \"public\"",
        "access = \"public\"\nip = { deny = [\"203.0.113.0/24\"] }",
    );
    let server = "trusted_proxies = [\"127.0.0.0/8\"]";
    let gate = Gate::start(&Setup { server, apis, ..Setup::before(&upstream) });
    let check = |hops: &[u8], status: u16, source: Option<&str>| {
        let mut client = gate.client();
        let head = b"GET /open/ok/1 HTTP/1.1\r\nHost: gate.test\r\nX-Forwarded-For: ".as_slice();
        client.send(&[head, hops, b"\r\n\r\n"].concat());
        let response = client.read(Body::Expected).expect("an answer");
        assert_eq!(response.status, status, "{}", hops.escape_ascii());
        let record = gate.record_of(&response);
        assert_eq!(record["source_ip"].as_str(), source, "{record}");
    };
    check(b"198.51.100.7", 200, Some("198.51.100.7"));
    check(b"203.0.113.7", 403, Some("203.0.113.7"));
    check(b"\xff, 203.0.113.7", 403, Some("203.0.113.7"));
    check(b"203.0.113.7:4711", 403, Some("203.0.113.7"));
    check(b"203.0.113.7, junk", 403, None);
    check(b"\xff", 403, None);
}

/// Regression: what `Connection` names is not forwarded, so it fulfils no rule.
#[test]
fn fields_for_the_gate_alone_fulfil_no_rule() {
    let upstream = Upstream::start();
    let rules = "required_headers = [\"X-Tenant\"]\ncontent_types = [\"application/json\"]";
    let bench = Bench::start(&Setup { apis: lab(rules), ..Setup::before(&upstream) });
    let check = |n: usize, connection: &str, status: u16| {
        let request = Request::new("POST", &format!("/lab/echo/{n}"))
            .key(&bench.key.text)
            .field("X-Tenant", "a")
            .field("Content-Type", "application/json")
            .field("Connection", connection)
            .body(b"{}");
        assert_eq!(bench.gate.call(&request).status, status, "{connection}");
    };
    check(0, "keep-alive", 200);
    check(1, "keep-alive, x-tenant", 403);
    check(2, "Content-Type", 403);
}
