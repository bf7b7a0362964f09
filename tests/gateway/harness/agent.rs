//! Agents that speak MCP as most do: by the Python SDK, the TypeScript client and the Rust SDK.

use std::process::Command;

use serde_json::{Value, json};

use super::node;
use super::python;
use super::tools;

/// What an agent is written with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sdk {
    Python,
    TypeScript,
    Rust,
}

/// Where an agent puts its key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeyField {
    Authorization,
    XApiKey,
}

/// How an agent is set up.
#[derive(Clone, Copy, Debug)]
pub struct Agent<'a> {
    pub sdk: Sdk,
    /// `legacy`, `auto`, or a revision.
    pub mode: &'static str,
    pub key: &'a str,
    pub key_field: KeyField,
}

/// What came of a run.
#[derive(Debug)]
pub struct Ran {
    /// Of the protocol, as agreed.
    pub revision: String,
    /// The tools' names, as listed.
    pub tools: Vec<String>,
    /// For each call its `result`, or its `error`.
    pub calls: Vec<Value>,
}

impl Sdk {
    fn program(self) -> Command {
        match self {
            Self::Python => python::command("mcp_client.py"),
            Self::TypeScript => node::command("client.mjs"),
            Self::Rust => Command::new(tools::rmcp_client()),
        }
    }
}

impl Agent<'_> {
    /// Lists, then calls.
    pub fn run(&self, url: &str, calls: &Value) -> Ran {
        let said = self.said(url, calls);
        let said = said.expect_success();
        let steps: Vec<Value> = said
            .lines()
            .map(|line| serde_json::from_str(line).expect("a step is one JSON value"))
            .collect();
        let [connected, listed, called @ ..] = &steps[..] else { panic!("{self:?}: {said}") };
        let names = listed["names"].as_array().expect("names").iter();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        Ran {
            revision: text(&connected["revision"]),
            tools: names.map(text).collect(),
            calls: called.to_vec(),
        }
    }

    /// What it says and how it ends, when it may not connect.
    pub fn said(&self, url: &str, calls: &Value) -> tools::Said {
        let header = match self.key_field {
            KeyField::Authorization => "authorization",
            KeyField::XApiKey => "x-api-key",
        };
        let setup = json!({
            "url": url,
            "key": self.key,
            "header": header,
            "mode": self.mode,
            "calls": calls,
        });
        tools::run(self.sdk.program().arg(setup.to_string()), b"")
    }
}
