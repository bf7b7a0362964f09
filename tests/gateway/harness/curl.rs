//! curl, which speaks TLS and HTTP/2 as most callers do.

use std::net::SocketAddr;
use std::process::Command;

use super::gate::Gate;
use super::http::{Fields, Response};
use super::tools::{self, Said};

/// A call that is being put together.
pub struct Curl<'g> {
    gate: &'g Gate,
    command: Command,
}

/// A response, and the version of HTTP it came in.
pub struct Fetched {
    pub version: String,
    pub response: Response,
}

impl<'g> Curl<'g> {
    /// A call of a host that is at an address.
    pub fn to(gate: &'g Gate, scheme: &str, host: &str, address: SocketAddr, path: &str) -> Self {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--include", "--max-time", "20"]);
        let (ip, port) = (address.ip(), address.port());
        command.args(["--connect-to", &format!("{host}:{port}:{ip}:{port}")]);
        command.arg(format!("{scheme}://{host}:{port}{path}"));
        Self { gate, command }
    }

    pub fn args(mut self, args: &[&str]) -> Self {
        self.command.args(args);
        self
    }

    pub fn key(self, key: &str) -> Self {
        self.args(&["--header", &format!("Authorization: Bearer {key}")])
    }

    pub fn said(mut self) -> Said {
        tools::run(&mut self.command, b"")
    }

    /// The response, which must have a record.
    pub fn fetch(mut self) -> Fetched {
        let said = tools::run(&mut self.command, b"");
        assert_eq!(said.code, Some(0), "{:?}\n{}{}", self.command, said.stdout, said.stderr);
        let fetched = parse(&said.stdout);
        self.gate.witness.saw_response(&fetched.response);
        fetched
    }

    /// curl's exit code, when it got no response.
    pub fn failure(self) -> i32 {
        let said = self.said();
        assert!(said.stdout.is_empty(), "an answer: {}", said.stdout);
        said.code.expect("it ended by itself")
    }
}

fn parse(text: &str) -> Fetched {
    let (head, body) = text.split_once("\r\n\r\n").expect("a head has an end");
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let version = words.next().unwrap_or_default();
    let status = words.next().and_then(|status| status.parse().ok()).expect("a status");
    let mut fields = Fields::default();
    lines.for_each(|line| fields.push_line(line));
    let body = body.as_bytes().to_vec();
    Fetched { version, response: Response { status, fields, body, complete: true } }
}
