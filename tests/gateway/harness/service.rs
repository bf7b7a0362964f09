//! A service behind the gate that speaks HTTP/1.1 or HTTP/2, in plain or over TLS, and misbehaves as
//! the path says (`python/upstream.py`). What happens to it, it tells.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use serde_json::Value;

use super::poll;
use super::tools;

pub struct Service {
    child: Child,
    orders: Mutex<(ChildStdin, u64)>,
    events: Arc<Mutex<Vec<Value>>>,
    pub address: SocketAddr,
}

impl Service {
    /// A service that listens; `setup` is the script's argument.
    pub fn start(setup: &Value) -> Self {
        Self::run("upstream.py", setup)
    }

    /// One of gRPC.
    pub fn grpc(setup: &Value) -> Self {
        Self::run("grpc_service.py", setup)
    }

    fn run(script: &str, setup: &Value) -> Self {
        let mut command = Command::new(tools::python());
        let script = format!("{}/tests/gateway/python/{script}", env!("CARGO_MANIFEST_DIR"));
        command.args([&script, &setup.to_string()]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python was found, so it starts");
        let orders = Mutex::new((child.stdin.take().expect("it was asked for"), 0));
        let output = BufReader::new(child.stdout.take().expect("it was asked for"));
        let events = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&events);
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line).expect("an event is JSON");
                lock(&heard).push(event);
            }
        });
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut service = Self { child, orders, events, address };
        let listening = service.wait_for("listening", 1).remove(0);
        let port = listening["port"].as_u64().and_then(|port| port.try_into().ok());
        service.address.set_port(port.expect("a port"));
        service
    }

    /// Where it listens, as an endpoint under another host.
    pub fn endpoint_at(&self, host: &str) -> String {
        format!("{host}:{}", self.address.port())
    }

    /// Events of a kind so far, all of them.
    pub fn events(&self, kind: &str) -> Vec<Value> {
        // What it said before it answered has been heard by now.
        let number = {
            let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
            orders.1 += 1;
            let number = orders.1;
            writeln!(orders.0, "{number}").expect("it listens");
            number
        };
        poll::until("the service answers", || {
            self.heard("said").iter().any(|said| said["number"] == number).then_some(())
        });
        self.heard(kind)
    }

    fn heard(&self, kind: &str) -> Vec<Value> {
        let events = lock(&self.events);
        events.iter().filter(|event| event["event"] == kind).cloned().collect()
    }

    /// Events of a kind, once there are `enough`.
    pub fn wait_for(&self, kind: &str, enough: usize) -> Vec<Value> {
        poll::until(&format!("{enough} times {kind}"), || {
            Some(self.heard(kind)).filter(|events| events.len() >= enough)
        })
    }

    /// Requests that arrived for a target.
    pub fn requests_for(&self, target: &str) -> Vec<Value> {
        let mut requests = self.events("request");
        requests.retain(|request| request["target"] == target);
        requests
    }

    /// Targets of the requests that came over each connection.
    pub fn targets_by_connection(&self) -> BTreeMap<u64, Vec<String>> {
        let mut targets: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for request in self.events("request") {
            let number = request["connection"].as_u64().expect("a number");
            let target = request["target"].as_str().expect("a text").to_owned();
            targets.entry(number).or_default().push(target);
        }
        targets
    }

    /// Makes calls until one comes over a connection that an earlier one had: a response is told
    /// before its connection is kept.
    pub fn expect_kept_connection(&self, mut call: impl FnMut()) {
        poll::until("a kept connection is used again", || {
            call();
            self.targets_by_connection().values().any(|targets| targets.len() > 1).then_some(())
        });
    }

    /// Lets what is held go on, from now on.
    pub fn release(&self) {
        let mut orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders.0.write_all(b"release\n").expect("it listens");
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn lock(events: &Mutex<Vec<Value>>) -> MutexGuard<'_, Vec<Value>> {
    events.lock().unwrap_or_else(PoisonError::into_inner)
}
