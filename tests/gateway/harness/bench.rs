//! A gate with a client of each kind that denials need, and command lines as a person pastes them.

use std::io::BufReader;
use std::process::Command;

use onegate::model::denial::Denial;
use serde_json::Value;

use super::client::Client;
use super::gate::{Gate, Key};
use super::http::{Body, Request, Response};
use super::setup::Setup;
use super::tools;
use super::upstream::Upstream;

pub struct Bench {
    pub gate: Gate,
    /// `$KEY`: may do all of the lab.
    pub key: Key,
    /// `$OTHER`: has no grant.
    pub other: Key,
    /// `$READER`: has the scope to read only.
    pub reader: Key,
    /// `$FIVE`: may read five times.
    pub five: Key,
}

impl Bench {
    pub fn start(setup: &Setup) -> Self {
        Self::start_with(setup, &[])
    }

    /// With variables in the gate's environment.
    pub fn start_with(setup: &Setup, environment: &[(&str, String)]) -> Self {
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Self::of(Gate::start_with(setup, &environment))
    }

    /// With the clients in a gate that runs.
    pub fn of(gate: Gate) -> Self {
        let read = ["--no-expiry", "--product", "lab", "--scope", "lab:read"];
        Self {
            key: gate.add_lab_client("full"),
            other: gate.add_client("other", &["--no-expiry", "--scope", "lab:read"]),
            reader: gate.add_client("reader", &[&read[..], &["--plan", "wide"]].concat()),
            five: gate.add_client("five", &[&read[..], &["--plan", "five"]].concat()),
            gate,
        }
    }

    /// A call with `$KEY` over a connection of its own.
    pub fn get(&self, target: &str) -> Response {
        self.gate.call(&Request::get(target).key(&self.key.text))
    }

    /// Pastes a script that is denied, and gives its record.
    pub fn check(&self, script: &str, denial: Denial, fields: &[(&str, &str)]) -> Value {
        let response = self.paste(script);
        self.check_response(&response, denial, fields)
    }

    /// Looks at a denied response and at its record, and gives the record.
    pub fn check_response(
        &self,
        response: &Response,
        denial: Denial,
        fields: &[(&str, &str)],
    ) -> Value {
        expect_denial(response, denial, fields);
        let record = self.gate.record_of(response);
        assert_eq!(record["decision"], "denied", "{record}");
        assert_eq!(record["denial"], denial.code(), "{record}");
        assert!(record["reason"].is_string(), "{record}");
        record
    }

    /// Runs a script whose output is a response, or ends with one.
    pub fn paste(&self, script: &str) -> Response {
        let address = self.gate.address;
        let mut bash = Command::new("bash");
        bash.args(["-c", script]).env("URL", format!("http://{address}"));
        bash.env("HOST", address.ip().to_string()).env("PORT", address.port().to_string());
        bash.env("KEY", &self.key.text).env("OTHER", &self.other.text);
        bash.env("READER", &self.reader.text).env("FIVE", &self.five.text);
        let said = tools::run(&mut bash, b"");
        let mut output = BufReader::new(said.stdout.as_bytes());
        let response = Response::read(&mut output, Body::Expected).expect("text can be read");
        let response = response.unwrap_or_else(|| panic!("{script}\n{}", said.stderr));
        if response.status == 100 {
            return Response::read(&mut output, Body::Expected).ok().flatten().expect("a response");
        }
        response
    }

    /// Makes calls that stay in the air until the upstream releases them.
    pub fn hold(&self, upstream: &Upstream, count: usize) -> Held {
        let hold = |n| {
            let target = format!("/lab/hold/{n}");
            let mut client = self.gate.client();
            client.send(&Request::get(&target).key(&self.key.text).bytes());
            upstream.wait_for(&target);
            client
        };
        Held((0..count).map(hold).collect())
    }
}

/// Calls that wait at the upstream.
pub struct Held(Vec<Client>);

impl Held {
    /// Releases them all: they end well.
    pub fn release(mut self, upstream: &Upstream) {
        upstream.release();
        for client in &mut self.0 {
            assert_eq!(client.read(Body::Expected).map(|response| response.status), Some(200));
        }
    }
}

/// Status, fields and body as the denial's row says.
pub fn expect_denial(response: &Response, denial: Denial, fields: &[(&str, &str)]) {
    let row = denial.row();
    assert_eq!(response.status, row.status, "{response:?}");
    let problem = response.problem();
    assert_eq!(problem["code"], row.code, "{problem}");
    assert_eq!(problem["title"], row.title.0, "{problem}");
    let kind = if row.status == 429 { "quota-exceeded" } else { row.code };
    assert!(problem["type"].as_str().is_some_and(|text| text.ends_with(kind)), "{problem}");
    for (name, value) in fields {
        assert_eq!(response.field(name), Some(*value), "{response:?}");
    }
    assert_eq!(response.field("server"), None, "a banner: {response:?}");
}
