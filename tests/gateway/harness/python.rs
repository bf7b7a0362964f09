//! The Python programs beside the tests: services that stream, and callers that keep a ledger.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

use super::tools;

/// A program that is told line by line and answers so. It ends with its input.
pub struct Program {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// The command that runs a program of `tests/gateway/python`.
pub fn command(name: &str) -> Command {
    let mut command = Command::new(tools::python());
    command.arg(format!("{}/tests/gateway/python/{name}", env!("CARGO_MANIFEST_DIR")));
    command
}

impl Program {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("`ci/setup` makes its Python");
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().expect("it was asked for"));
        Self { child, input, output }
    }

    /// Its next line; empty when it has ended.
    pub fn hear(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("text");
        line.trim_end().to_owned()
    }

    /// Says a line and hears the answer.
    pub fn ask(&mut self, line: &str) -> Value {
        let input = self.input.as_mut().expect("it was not ended");
        writeln!(input, "{line}").expect("it listens");
        let answer = self.hear();
        serde_json::from_str(&answer).unwrap_or_else(|_| panic!("no answer to {line}: {answer}"))
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        self.child.kill().expect("our child");
        self.child.wait().expect("our child");
    }

    /// Ends its input and waits until it is gone.
    pub fn end(mut self) {
        self.input = None;
        let status = self.child.wait().expect("our child");
        assert!(status.success(), "{status}");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Services that stream, and the config that puts them behind the gate.
pub struct Streams {
    program: Program,
    websocket: u64,
    events: u64,
}

impl Streams {
    pub fn start() -> Self {
        let mut program = Program::start(&mut command("upstreams.py"));
        let ports: Value = serde_json::from_str(&program.hear()).expect("its ports");
        let port = |name: &str| ports[name].as_u64().expect("a port");
        Self { websocket: port("websocket"), events: port("events"), program }
    }

    /// Upstreams and apis `/sockets/…` and `/events/…`, and the product `streams` of both.
    pub fn config(&self) -> String {
        let Self { websocket, events, .. } = self;
        format!(
            r#"
[[upstream]]
name = "sockets"
endpoints = ["127.0.0.1:{websocket}"]
[[upstream]]
name = "events"
endpoints = ["127.0.0.1:{events}"]
[[api]]
name = "sockets"
base_path = "/sockets"
upstream = "sockets"
access = "granted"
[[api.operation]]
id = "open"
methods = ["GET"]
path = "/{{rest...}}"
[[api]]
name = "events"
base_path = "/events"
upstream = "events"
access = "granted"
[[api.operation]]
id = "open"
methods = ["GET"]
path = "/{{rest...}}"
[[product]]
name = "streams"
operations = ["sockets.open", "events.open"]
"#
        )
    }

    pub fn end(self) {
        self.program.end();
    }
}
