//! MCP Inspector, the tool by which authors of MCP servers look at them: one run for each question.

use serde_json::{Value, json};

use super::folder::Folder;
use super::node;
use super::tools::{self, Said};

/// The program of its package.
const PROGRAM: &str = "@modelcontextprotocol/inspector/clients/launcher/build/index.js";

/// How it is set up.
#[derive(Clone, Copy, Debug)]
pub struct Inspector<'a> {
    pub url: &'a str,
    pub key: &'a str,
    /// `legacy`, `auto` or `modern`.
    pub era: &'static str,
}

impl Inspector<'_> {
    /// The list of tools. It ends well only when it finds nothing in their schemas that a client of some
    /// vendor would not take.
    pub fn list_strictly(&self) -> Said {
        self.ask(&["--method", "tools/list", "--strict"])
    }

    pub fn call(&self, tool: &str, arguments: &Value) -> Said {
        let arguments = arguments.to_string();
        self.ask(&["--method", "tools/call", "--tool-name", tool, "--tool-args-json", &arguments])
    }

    fn ask(&self, words: &[&str]) -> Said {
        // It keeps files where its user is at home.
        let home = Folder::new();
        let mut command = node::of_package(PROGRAM);
        command.env("HOME", home.at(""));
        command.args(["--cli", "--transport", "http", "--server-url", self.url]);
        command.args(["--header", &format!("X-API-Key: {}", self.key)]);
        // Nobody is there to log in by a browser.
        command.args(["--protocol-era", self.era, "--stored-auth-only", "--format", "json"]);
        tools::run(command.args(words), b"")
    }
}

/// The one JSON value that a run printed.
pub fn said_json(said: &Said) -> Value {
    let Said { stdout, stderr, .. } = said;
    serde_json::from_str(stdout).unwrap_or_else(|_| json!({ "stdout": stdout, "stderr": stderr }))
}
