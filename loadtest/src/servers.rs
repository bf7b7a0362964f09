//! The servers that are compared, each started in the same way and asked the same bytes: the stub
//! behind them, the gate, the bare proxy, nginx. How one is configured is below `servers/`; what is
//! measured is none of this file's business.

pub mod features;
mod gate;
pub mod nginx;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::process::{Prefix, Process, free_address};
use crate::scratch::Scratch;

use self::features::Governance;

/// A server that answers the request with 200.
#[derive(Debug)]
pub struct Server {
    pub process: Process,
    pub address: SocketAddr,
    pub request: Vec<u8>,
    /// What it is, in words, for the report.
    pub about: String,
}

/// Whom to start.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Kind {
    Gate {
        binary: PathBuf,
        with: Governance,
    },
    /// `flags` are its own, beyond where it listens and forwards to.
    Bare {
        binary: PathBuf,
        flags: Vec<String>,
    },
    Nginx,
}

/// The place where one set of servers runs: its files, its upstream, its credential.
#[derive(Debug)]
pub struct Stage {
    pub scratch: Scratch,
    pub stub: Server,
    /// What the gate knows the callers by; the others see them pass. Fixed texts when there is no
    /// gate.
    pub keys: Vec<String>,
    scene: Scene,
}

/// Who calls, and what the gate publishes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scene {
    /// One client and one operation: the least that is governed.
    OneClient,
    /// Many clients, and an operation for answers of every size.
    Many { clients: u32 },
}

impl Kind {
    /// The bare proxy with the gate's read buffer.
    pub fn bare(binary: PathBuf, l4_read: usize) -> Self {
        Self::Bare { binary, flags: vec!["--l4-read".into(), l4_read.to_string()] }
    }
}

impl Scene {
    pub const fn clients(self) -> u32 {
        match self {
            Self::OneClient => 1,
            Self::Many { clients } => clients,
        }
    }
}

impl Stage {
    /// Starts the stub and, where a gate will take part, makes its key.
    pub fn set(gate: Option<&Path>, stub_prefix: &Prefix) -> Result<Self> {
        Self::set_for(Scene::OneClient, gate, stub_prefix)
    }

    /// The same for any scene.
    pub fn set_for(scene: Scene, gate: Option<&Path>, stub_prefix: &Prefix) -> Result<Self> {
        let scratch = Scratch::make()?;
        let stub = start_stub(&scratch, stub_prefix)?;
        let keys = match gate {
            Some(binary) => gate::make_clients(binary, &scratch, stub.address, scene)?,
            None => (0..scene.clients()).map(key_of_nobody).collect(),
        };
        Ok(Self { scratch, stub, keys, scene })
    }

    /// Removes what the servers wrote of past requests, as far as they do not need it.
    pub fn forget_records(&self) {
        gate::forget_records(&self.scratch);
        nginx::forget_records(&self.scratch);
    }

    /// Starts one server and returns when it answers. `name` is unique on this stage.
    pub fn start(&self, name: &str, kind: &Kind, prefix: &Prefix) -> Result<Server> {
        let address = free_address()?;
        let command = match kind {
            Kind::Gate { binary, with } => {
                let scene = (self.scene, with);
                gate::command(prefix, binary, &self.scratch, address, self.stub.address, scene)?
            }
            Kind::Bare { binary, flags } => {
                bare_command(prefix, binary, address, self.stub.address, flags)
            }
            Kind::Nginx => {
                nginx::command(prefix, &self.scratch, address, self.stub.address, &self.keys)?
            }
        };
        let mut process = Process::start(name, command, self.log_of(name))?;
        let request = request_with(self.keys.first().map_or("none", String::as_str));
        process.await_ready(address, &request)?;
        let about = match kind {
            Kind::Gate { with, .. } => {
                format!("onegate, key + scope + 2 rates + audit + metrics{}", with.in_words())
            }
            Kind::Bare { .. } => process.first_line(),
            Kind::Nginx => "nginx, key map + limit_req + JSON log".into(),
        };
        Ok(Server { process, address, request, about })
    }

    fn log_of(&self, name: &str) -> PathBuf {
        self.scratch.file(&format!("{name}.log"))
    }
}

/// As long as a real one.
fn key_of_nobody(number: u32) -> String {
    format!("og_live_{number:012}_{:043}_000000", 0)
}

/// A program that was built beside this one.
pub fn beside(name: &str) -> Result<PathBuf> {
    let this = std::env::current_exe().map_err(Error::while_doing("cannot find this program"))?;
    Ok(this.with_file_name(name))
}

fn start_stub(scratch: &Scratch, prefix: &Prefix) -> Result<Server> {
    let address = free_address()?;
    let mut command = prefix.command(&beside("loadtest")?);
    command.args(["stub", "--listen", &address.to_string()]);
    let mut process = Process::start("stub", command, scratch.file("stub.log"))?;
    let request = request_with("none");
    process.await_ready(address, &request)?;
    Ok(Server { process, address, request, about: "the stub alone".into() })
}

fn bare_command(
    prefix: &Prefix,
    binary: &Path,
    address: SocketAddr,
    upstream: SocketAddr,
    flags: &[String],
) -> Command {
    let mut command = prefix.command(binary);
    command.args(["--threads", "1"]);
    command.args(["--listen", &address.to_string(), "--upstream", &upstream.to_string()]);
    command.args(flags);
    command
}

/// One request for all: what a simple client sends, with a fixed host so that the bytes are equal.
fn request_with(key: &str) -> Vec<u8> {
    format!(
        "GET /payments/4711 HTTP/1.1\r\nHost: load.test\r\nUser-Agent: loadtest\r\nAccept: */*\r\n\
         Authorization: Bearer {key}\r\n\r\n"
    )
    .into_bytes()
}
