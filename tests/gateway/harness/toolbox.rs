//! A gate whose tools are operations of `fixtures/tools.yaml`, a service that remembers what arrived, and
//! two clients of different grants.

use serde_json::{Value, json};

use super::gate::{Gate, Key};
use super::http::{Request, Response};
use super::mcp::{Answer, Message};
use super::scripted::{Asked, Say, Scripted, whole};
use super::setup::Setup;

pub struct Toolbox {
    pub gate: Gate,
    pub upstream: Scripted,
    /// May do all.
    pub full: Key,
    /// May read.
    pub reader: Key,
}

/// All tools, in order of their names, which is the order of a list.
pub const ALL: [&str; 5] = ["lab_absent", "lab_busy", "lab_hold", "lab_read", "lab_write"];
/// Those of a reader.
pub const READING: [&str; 2] = ["lab_absent", "lab_read"];

impl Toolbox {
    pub fn start() -> Self {
        Self::start_with(|setup| setup)
    }

    /// With keys of `[mcp]`.
    pub fn start_with_keys(mcp: &str) -> Self {
        Self::start_with(|setup| Setup { more: format!("[mcp]\n{mcp}\n"), ..setup })
    }

    /// With a setup that the test changes first.
    pub fn start_with(change: impl FnOnce(Setup) -> Setup) -> Self {
        let upstream = Scripted::start(answer);
        let setup = Setup { apis: apis(), ..Setup::before_address(upstream.address) };
        let gate = Gate::start(&change(setup));
        let full = gate.add_client("full", &FULL);
        let reading = ["--no-expiry", "--plan", "wide", "--product", "reading"];
        let reader = gate.add_client("reader", &[&reading[..], &["--scope", "lab:read"]].concat());
        Self { gate, upstream, full, reader }
    }

    /// What a client that may do all gets for a message.
    pub fn ask(&self, message: &Message) -> Answer {
        self.gate.mcp(&self.full.text, message)
    }

    /// What the same client gets over REST.
    pub fn rest(&self, method: &'static str, target: &str) -> Response {
        self.gate.call(&Request::new(method, target).key(&self.full.text))
    }

    /// Whether it still serves, in both eras' simplest way.
    pub fn expect_service(&self) {
        let ping = super::mcp::legacy("ping", json!({}));
        assert!(self.ask(&ping).result().is_object());
    }

    /// The only request that the service got.
    pub fn only_asked(&self) -> Asked {
        let mut asked = self.upstream.asked();
        assert_eq!(asked.len(), 1, "{asked:?}");
        asked.remove(0)
    }
}

/// Grants of a client that may do all, under a plan that never refuses.
pub const FULL: [&str; 9] = [
    "--no-expiry",
    "--plan",
    "wide",
    "--product",
    "all",
    "--scope",
    "lab:read",
    "--scope",
    "lab:write",
];

/// Where the tests keep what they read.
pub fn fixture(name: &str) -> String {
    format!("{}/tests/gateway/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn apis() -> String {
    let openapi = fixture("tools.yaml");
    format!(
        r#"
[[api]]
name = "lab"
base_path = "/lab"
upstream = "recorder"
access = "granted"
openapi = "{openapi}"
body_bytes_max = "4MiB"

[[api.operation]]
id = "read"
scopes = ["lab:read"]

[[api.operation]]
id = "write"
scopes = ["lab:write"]

[[product]]
name = "all"
operations = ["lab.read", "lab.write", "lab.absent", "lab.busy", "lab.hold"]

[[product]]
name = "reading"
operations = ["lab.read", "lab.absent"]
"#
    )
}

/// Says what arrived, or what the path says.
fn answer(asked: &Asked) -> Vec<Say> {
    let arrived = || {
        let body = String::from_utf8_lossy(&asked.body);
        let arrived = json!({ "method": asked.method, "target": asked.target, "body": body });
        json_answer(asked, "200 OK", "", &arrived)
    };
    match asked.target.split('/').nth(2).unwrap_or_default() {
        "absent" => json_answer(asked, "404 Not Found", "", &json!({ "title": "No such thing" })),
        "busy" => {
            let busy = json!({ "title": "Too much to do" });
            json_answer(asked, "503 Service Unavailable", "Retry-After: 7\r\n", &busy)
        }
        "hold" => [vec![Say::Wait], arrived()].concat(),
        _ => arrived(),
    }
}

fn json_answer(asked: &Asked, status: &str, fields: &str, body: &Value) -> Vec<Say> {
    // What the upstream says of itself must not reach the agent.
    let fields = format!(
        "Content-Type: application/json\r\nX-Request-Id: of-upstream\r\nServer: secret-host\r\n{fields}"
    );
    whole(asked, status, &fields, body.to_string().as_bytes())
}
