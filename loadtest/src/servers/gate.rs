//! The gate as it is governed in the measurement: one api that needs a grant and a scope, a plan
//! with two rates that never refuse, one client with one key. Audit and metrics are as they come.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::process::{self, Prefix, free_address};
use crate::scratch::Scratch;

/// Makes the client through the CLI, on the store that the gate will open, and returns its key.
pub(super) fn make_client(
    binary: &Path,
    scratch: &Scratch,
    upstream: SocketAddr,
) -> Result<String> {
    let config = write_config(scratch, free_address()?, upstream)?;
    let mut command = with_place(Command::new(binary), scratch, &config)?;
    command.args(["--json", "client", "add", "load", "--kind", "service"]);
    command.args(["--owner", "loadtest", "--purpose", "load test", "--no-expiry"]);
    command.args(["--product", "load", "--scope", "payments:read", "--plan", "load"]);
    let text = process::output(command)?;
    let key = text.lines().find_map(|line| {
        let row: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(row.get("key")?.as_str()?.to_owned())
    });
    // Not with the text: where it is not what we expect it may still hold the key.
    key.ok_or_else(|| Error::unexpected("onegate client add", "printed no row with a key"))
}

pub(super) fn command(
    prefix: &Prefix,
    binary: &Path,
    scratch: &Scratch,
    address: SocketAddr,
    upstream: SocketAddr,
) -> Result<Command> {
    let config = write_config(scratch, address, upstream)?;
    let mut command = with_place(prefix.command(binary), scratch, &config)?;
    command.arg("run");
    Ok(command)
}

fn with_place(mut command: Command, scratch: &Scratch, config: &Path) -> Result<Command> {
    command.arg("--config").arg(config);
    command.arg("--data-dir").arg(scratch.directory("gate-data")?);
    Ok(command)
}

fn write_config(scratch: &Scratch, address: SocketAddr, upstream: SocketAddr) -> Result<PathBuf> {
    let metrics = free_address()?;
    scratch.write(
        "gateway.toml",
        &format!(
            r#"[server]
threads = 1

[metrics]
address = "{metrics}"

[[listener]]
name = "load"
address = "{address}"

[[upstream]]
name = "stub"
endpoints = ["{upstream}"]

[[api]]
name = "load"
base_path = "/"
upstream = "stub"
access = "granted"

[[api.operation]]
id = "payment"
methods = ["GET"]
path = "/payments/{{id}}"
scopes = ["payments:read"]

[[product]]
name = "load"
operations = ["load.payment"]

[[plan]]
name = "load"
rates = [
    {{ limit = 500000, per = "1s", burst = 500000 }},
    {{ limit = 20000000, per = "1m", burst = 20000000 }},
]
"#
        ),
    )
}
