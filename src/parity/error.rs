//! Why surfaces could not be compared.

use std::fmt;
use std::io;

use crate::config::diagnostic::Diagnostics;
use crate::config::staged::NotStaged;
use crate::inventory::error::{ChangeError, StoreError};

#[derive(Debug)]
pub enum ParityError {
    Io(io::Error),
    Store(StoreError),
    Change(ChangeError),
    Staged(NotStaged),
    Config(Box<Diagnostics>),
    /// A staged gate, with the end of its log.
    Gate {
        what: &'static str,
        said: String,
    },
    /// A call that had no answer.
    Call {
        client: String,
        tool: String,
        surface: &'static str,
        why: String,
    },
    NoClient(String),
    NoEndpoint,
    NoTools,
    TooMany {
        calls: usize,
        most: usize,
    },
}

impl ParityError {
    /// What to do about it.
    pub const fn fix(&self) -> &'static str {
        match self {
            Self::Io(_) => "Check the room and the permissions of the folder for temporary files.",
            Self::Store(_) | Self::Change(_) => {
                "Check the inventory: onegate client list, or the file of --inventory."
            }
            Self::Staged(_) | Self::Config(_) => "Check the config: onegate check.",
            Self::Gate { .. } | Self::Call { .. } => {
                "Try again; if it stays, it is a fault of the gate."
            }
            Self::NoClient(_) => "onegate client list tells which there are.",
            Self::NoEndpoint => "Take endpoint = \"off\" out of [mcp].",
            Self::NoTools => "onegate check tells which operations are no tools, and why.",
            Self::TooMany { .. } => {
                "Compare some of the clients: --client ID, which may be repeated."
            }
        }
    }
}

impl fmt::Display for ParityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => write!(f, "the comparison cannot be set up: {error}"),
            Self::Store(error) => write!(f, "the inventory cannot be copied: {error}"),
            Self::Change(error) => write!(f, "the copy of the inventory cannot be used: {error}"),
            Self::Staged(error) => write!(f, "{error}"),
            Self::Config(problems) => write!(f, "the staged config does not load:\n{problems}"),
            Self::Gate { what, said } => write!(f, "a gate that was started {what}\n  {said}"),
            Self::Call { client, tool, surface, why } => {
                write!(f, "a call of {client} for {tool} ({surface}) had no answer: {why}")
            }
            Self::NoClient(id) => write!(f, "there is no client '{id}'"),
            Self::NoEndpoint => f.write_str("the config has no MCP endpoint to compare with"),
            Self::NoTools => f.write_str("no operation is a tool, so there is nothing to compare"),
            Self::TooMany { calls, most } => {
                write!(f, "this would take {calls} calls for each surface; {most} are the most")
            }
        }
    }
}

impl std::error::Error for ParityError {}
