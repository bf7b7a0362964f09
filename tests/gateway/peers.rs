//! The gate between programs that were not written for it: nginx behind it, and curl, h2load, ab and
//! Python's requests before it. Right bytes, right statuses, and memory that does not follow the
//! size of a body.

use std::fs;
use std::process::Command;

use super::harness::gate::{Gate, Key};
use super::harness::http::Request;
use super::harness::nginx::{LARGE_BYTES, Nginx, SMALL_BYTES, pattern};
use super::harness::setup::Setup;
use super::harness::tools;

const APIS: &str = r#"
[[api]]
name = "files"
upstream = "recorder"
access = "granted"
body_bytes_max = "128MiB"

[[api.operation]]
id = "read"
methods = ["GET"]
path = "/{name}"
scopes = ["files:read"]

[[api.operation]]
id = "upload"
methods = ["PUT"]
path = "/up/{name}"
scopes = ["files:write"]

[[product]]
name = "files"
operations = ["files.read", "files.upload"]
"#;

const MEMORY_GROWTH_KB_MAX: u64 = 16 * 1024;

#[test]
fn curl_gets_and_puts_files() {
    let bench = Bench::start();
    let get = bench.curl(&["-o", &bench.gate.folder.at("small"), &bench.url("/small")]);
    assert_eq!(get, "200");
    assert_eq!(
        fs::read(bench.gate.folder.at("small")).expect("it was written"),
        pattern(SMALL_BYTES)
    );
    let missing = bench.curl(&["-o", "/dev/null", &bench.url("/missing")]);
    assert_eq!(missing, "404");
    let small = bench.gate.folder.at("small");
    assert_eq!(bench.curl(&["-T", &small, "-o", "/dev/null", &bench.url("/up/copy")]), "201");
    assert_eq!(bench.nginx.uploaded("copy"), pattern(SMALL_BYTES));
    let range =
        bench.curl(&["-r", "10-19", "-o", &bench.gate.folder.at("range"), &bench.url("/small")]);
    assert_eq!(range, "206");
    assert_eq!(fs::read(bench.gate.folder.at("range")).expect("it was written"), pattern(20)[10..]);
}

#[test]
fn large_bodies_pass_through_without_staying() {
    let bench = Bench::start();
    // What the first call makes it allocate is not the body's.
    assert_eq!(bench.gate.call(&Request::get("/small").key(&bench.key.text)).status, 200);
    let down = bench.gate.folder.at("down");
    bench.without_growth(|| {
        assert_eq!(bench.curl(&["-o", &down, &bench.url("/large")]), "200");
    });
    bench.without_growth(|| {
        let large = bench.nginx.large_file();
        let put = ["-T", &large, "-o", "/dev/null", &bench.url("/up/large")];
        assert_eq!(bench.curl(&put), "201");
    });
    let original = pattern(LARGE_BYTES);
    assert!(fs::read(&down).expect("it was written") == original, "changed on the way down");
    assert!(bench.nginx.uploaded("large") == original, "changed on the way up");
}

#[test]
fn h2load_sees_only_successes() {
    let bench = Bench::start();
    let key = format!("x-api-key: {}", bench.key.text);
    let mut h2load = Command::new("h2load");
    h2load.args(["--h1", "-n", "2000", "-c", "16", "-H", &key, &bench.url("/small")]);
    let said = tools::run(&mut h2load, b"").expect_success();
    assert!(said.contains("2000 succeeded, 0 failed, 0 errored, 0 timeout"), "{said}");
    assert!(said.contains("2000 2xx, 0 3xx, 0 4xx, 0 5xx"), "{said}");
    bench.expect_records(2000);
}

#[test]
fn ab_sees_only_successes() {
    let bench = Bench::start();
    let key = format!("X-API-Key: {}", bench.key.text);
    // ab speaks HTTP/1.0: with -k it asks for its connections to be kept, without it does not.
    for keep in [&["-k"][..], &[]] {
        let mut ab = Command::new("ab");
        ab.args(["-q", "-n", "1000", "-c", "16", "-H", &key]).args(keep).arg(bench.url("/small"));
        let said = tools::run(&mut ab, b"").expect_success();
        let line =
            |name: &str| said.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        assert_eq!(line("Complete requests:"), Some("1000"), "{said}");
        assert_eq!(line("Failed requests:"), Some("0"), "{said}");
        assert_eq!(line("Non-2xx responses:"), None, "{said}");
        assert_eq!(line("Document Length:"), Some("1024 bytes"), "{said}");
    }
    bench.expect_records(2000);
}

#[test]
fn requests_of_python_keeps_its_session() {
    let bench = Bench::start();
    let script = r#"
import os, requests
url, pattern = os.environ["URL"], bytes(at % 251 for at in range(1024))
with requests.Session() as session:
    session.headers["Authorization"] = "Bearer " + os.environ["KEY"]
    for _ in range(50):
        answer = session.get(url + "/small", timeout=20)
        assert (answer.status_code, answer.content) == (200, pattern), answer
    assert session.get(url + "/missing", timeout=20).status_code == 404
    put = session.put(url + "/up/of-python", data=(pattern for _ in range(3)), timeout=20)
    assert put.status_code == 201, put
denied = requests.get(url + "/small", timeout=20)
assert denied.status_code == 401 and denied.json()["code"] == "credential_missing", denied.text
print("ok")
"#;
    let mut python = Command::new(tools::python());
    python.args(["-c", script]).env("URL", bench.url("")).env("KEY", &bench.key.text);
    assert_eq!(tools::run(&mut python, b"").expect_success(), "ok\n");
    assert_eq!(bench.nginx.uploaded("of-python"), pattern(SMALL_BYTES).repeat(3));
}

/// A gate before a real nginx.
struct Bench {
    gate: Gate,
    key: Key,
    nginx: Nginx,
}

impl Bench {
    fn start() -> Self {
        let nginx = Nginx::start();
        let apis = APIS.to_owned();
        let gate = Gate::start(&Setup { apis, ..Setup::before_address(nginx.address) });
        let may = ["--product", "files", "--scope", "files:read", "--scope", "files:write"];
        let key = gate.add_client("peer", &[&may[..], &["--plan", "wide", "--no-expiry"]].concat());
        Self { gate, key, nginx }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.gate.address)
    }

    /// Runs curl with the key; gives the status.
    fn curl(&self, args: &[&str]) -> String {
        let key = format!("X-API-Key: {}", self.key.text);
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-w", "%{http_code}", "-H", &key]).args(args);
        tools::run(&mut curl, b"").expect_success()
    }

    fn without_growth(&self, exchange: impl FnOnce()) {
        self.gate.forget_peak();
        let before = self.gate.memory_kb("VmRSS");
        exchange();
        let most = self.gate.memory_kb("VmHWM");
        let growth = most.saturating_sub(before);
        assert!(growth <= MEMORY_GROWTH_KB_MAX, "grew from {before} to {most} kB");
    }

    /// As many records of `/small` as calls were made, all of success.
    fn expect_records(&self, calls: usize) {
        let query = ["--path", "/small", "--status", "200"];
        let records = self.gate.records(&query, |records| records.len() >= calls);
        assert_eq!(records.len(), calls);
    }
}
