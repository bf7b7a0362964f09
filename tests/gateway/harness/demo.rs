//! `onegate demo` as a newcomer starts it, in a folder of the test's own.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::address;
use super::folder::Folder;
use super::poll;
use super::tools::{self, Said};
use super::witness::Witness;

pub struct Demo {
    child: Child,
    folder: Folder,
    /// The one line that it prints with `--json`.
    said: Value,
}

impl Demo {
    /// A demo that is ready.
    pub fn start() -> Self {
        let folder = Folder::new();
        let mut command = Command::new(env!("CARGO_BIN_EXE_onegate"));
        command.args(["--json", "--data-dir", &folder.at("data"), "demo"]);
        command.args(["--listen", &address::free().to_string()]);
        command.args(["--metrics", &address::free().to_string()]);
        let log = File::create(folder.at("log")).expect("the folder is ours");
        let child = command.stdout(Stdio::piped()).stderr(log).spawn();
        let mut child = child.expect("the binary was built");
        let mut line = String::new();
        let output = child.stdout.take().expect("it was asked for");
        BufReader::new(output).read_line(&mut line).expect("text");
        let said = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not ready: {line:?}"));
        Self { child, folder, said }
    }

    /// `http://ADDRESS`.
    pub fn url(&self) -> &str {
        self.said["url"].as_str().expect("a URL")
    }

    /// Where agents call.
    pub fn mcp(&self) -> String {
        format!("{}/mcp", self.url())
    }

    /// The key of a client.
    pub fn key(&self, client: &str) -> &str {
        let clients = self.said["clients"].as_array().expect("clients");
        let client = clients.iter().find(|of| of["id"] == client).expect("the demo has it");
        client["key"].as_str().expect("a key: the folder is fresh")
    }

    /// No key of a client stands in any of its files, its log among them.
    pub fn expect_no_key(&self) {
        let witness = Witness::default();
        for client in self.said["clients"].as_array().expect("clients") {
            witness.was_given(client["key"].as_str().expect("a key: the folder is fresh"));
        }
        witness.expect_no_secret(&self.folder.files());
    }

    /// What curl gets for a path, with a client's key: status and body.
    pub fn curl(&self, client: &str, path: &str) -> (u16, Value) {
        let mut command = Command::new("curl");
        command.args([
            "--silent",
            "--show-error",
            "--max-time",
            "20",
            "--write-out",
            "\n%{http_code}",
        ]);
        command.args(["--header", &format!("Authorization: Bearer {}", self.key(client))]);
        command.arg(format!("{}{path}", self.url()));
        let said = tools::run(&mut command, b"").expect_success();
        let (body, status) = said.rsplit_once('\n').expect("a status");
        (status.parse().expect("a number"), serde_json::from_str(body).expect("JSON"))
    }

    /// What a command of the CLI says, beside the demo.
    pub fn cli(&self, words: &[&str]) -> Said {
        let config = self.said["config"].as_str().expect("a path");
        let mut command = Command::new(env!("CARGO_BIN_EXE_onegate"));
        command.args(["--config", config, "--data-dir", &self.folder.at("data")]).args(words);
        tools::run(&mut command, b"")
    }

    /// Records that match the filters, once `enough` of them are written.
    pub fn records(&self, filters: &[&str], enough: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        poll::until(&format!("records of {filters:?}"), || {
            let words = [&["--json", "audit", "query"], filters].concat();
            let rows = self.cli(&words).expect_success();
            let rows = rows.lines().map(|row| serde_json::from_str(row).expect("a row is JSON"));
            let mut records: Vec<Value> = rows.collect();
            records.retain(|record| record["entry"].is_null());
            Some(records).filter(|records| enough(records))
        })
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
