//! Where a gate lives that is killed: the same files and addresses for every process of it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::clock::Deadline;
use crate::error::{Error, Result};
use crate::interrupt;
use crate::process::{self, Process, free_address};
use crate::scratch::Scratch;

pub struct Place<'a> {
    pub scratch: &'a Scratch,
    binary: &'a Path,
    config: PathBuf,
    pub address: SocketAddr,
    metrics: SocketAddr,
}

impl<'a> Place<'a> {
    /// `config` names its addresses `GATE`, `METRICS` and `UPSTREAM`.
    pub fn make(
        scratch: &'a Scratch,
        binary: &'a Path,
        config: &str,
        upstream: SocketAddr,
    ) -> Result<Self> {
        let (address, metrics) = (free_address()?, free_address()?);
        let text = config
            .replace("GATE", &address.to_string())
            .replace("METRICS", &metrics.to_string())
            .replace("UPSTREAM", &upstream.to_string());
        let config = scratch.write("gateway.toml", &text)?;
        Ok(Self { scratch, binary, config, address, metrics })
    }

    /// A command of the gate's, with its data.
    pub fn command(&self) -> Result<Command> {
        let mut command = Command::new(self.binary);
        command.arg("--config").arg(&self.config);
        command.arg("--data-dir").arg(self.data()?);
        Ok(command)
    }

    pub fn data(&self) -> Result<PathBuf> {
        self.scratch.directory("data")
    }

    /// Makes the client `load` with this plan, for the product `all`; its key.
    pub fn make_client(&self, plan: &str) -> Result<String> {
        let mut command = self.command()?;
        command.args(["--json", "client", "add", "load", "--kind", "service", "--owner", "load"]);
        command.args(["--purpose", "load", "--no-expiry", "--product", "all", "--plan", plan]);
        let text = process::output(command)?;
        let row: Option<serde_json::Value> = serde_json::from_str(text.trim()).ok();
        let key = row.as_ref().and_then(|row| row.get("key")?.as_str());
        let key = key.ok_or_else(|| Error::unexpected("onegate client add", "printed no key"))?;
        Ok(key.to_owned())
    }

    pub fn start(&self) -> Result<Process> {
        self.start_with(&[])
    }

    /// The same with variables in its environment.
    pub fn start_with(&self, environment: &[(&str, PathBuf)]) -> Result<Process> {
        let mut command = self.command()?;
        command.arg("run").envs(environment.iter().map(|(name, value)| (name, value)));
        let mut process = Process::start("gate", command, self.scratch.file("gate.log"))?;
        process.await_ready(self.metrics, b"GET /readyz HTTP/1.1\r\nHost: load\r\n\r\n")?;
        Ok(process)
    }

    /// The text of its metrics.
    pub fn metrics(&self) -> Result<String> {
        let doing = || Error::while_doing("cannot read the metrics");
        let mut stream = TcpStream::connect(self.metrics).map_err(doing())?;
        let request = b"GET /metrics HTTP/1.1\r\nHost: load\r\nConnection: close\r\n\r\n";
        stream.write_all(request).map_err(doing())?;
        let mut text = String::new();
        stream.read_to_string(&mut text).map_err(doing())?;
        Ok(text)
    }
}

/// Waits until callers have got so far that the gate may be killed.
pub fn await_load(enough: impl Fn() -> bool) -> Result<()> {
    let deadline = Deadline::after(LOAD_WITHIN);
    while !enough() {
        if deadline.passed() {
            return Err(Error::unexpected("the gate", "does not answer what it is asked"));
        }
        interrupt::pause(Duration::from_millis(1))?;
    }
    Ok(())
}

/// Between two kills.
const LOAD_WITHIN: Duration = Duration::from_mins(1);
