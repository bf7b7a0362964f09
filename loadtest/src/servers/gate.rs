//! The gate as it is governed in the measurement: one api that needs a grant and a scope, a plan
//! with two rates that never refuse, clients with one key each. Audit and metrics are as they come.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Scene;
use super::features::{Governance, Section};
use crate::error::{Error, Result};
use crate::process::{self, Prefix, free_address};
use crate::scratch::Scratch;

/// Makes the clients through the CLI, on the store that the gate will open, and returns their keys.
pub(super) fn make_clients(
    binary: &Path,
    scratch: &Scratch,
    upstream: SocketAddr,
    scene: Scene,
) -> Result<Vec<String>> {
    let with = Governance::default();
    let config = write_config(scratch, free_address()?, upstream, (scene, &with))?;
    let file = scratch.write("clients.toml", &clients(scene))?;
    let mut command = with_place(Command::new(binary), scratch, &config)?;
    command.args(["--json", "inventory", "apply"]).arg(file);
    let text = process::output(command)?;
    let key_of = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(row.get("key")?.as_str()?.to_owned())
    };
    let keys: Vec<String> = text.lines().filter_map(key_of).collect();
    if keys.len() == scene.clients() as usize {
        return Ok(keys);
    }
    // Not with the text: where it is not what we expect it may still hold keys.
    let what = format!("printed {} rows with a key, not {}", keys.len(), scene.clients());
    Err(Error::unexpected("onegate inventory apply", what))
}

/// The file of `inventory apply`.
fn clients(scene: Scene) -> String {
    let client = |number: u32| {
        let id = if scene.clients() == 1 { "load".into() } else { format!("load-{number:05}") };
        format!(
            r#"[[client]]
id = "{id}"
kind = "service"
owner = "loadtest"
purpose = "load test"
no_expiry = true
products = ["load"]
scopes = ["payments:read"]
plan = "load"
[[client.credential]]
issue = true

"#
        )
    };
    (0..scene.clients()).map(client).collect()
}

/// Removes the closed files of the audit: a sweep would fill the disk. Nobody reads them.
pub(super) fn forget_records(scratch: &Scratch) {
    let folder = scratch.file("gate-data/audit");
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut segments: Vec<PathBuf> = files
        .map(|file| file.path())
        .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .collect();
    segments.sort();
    segments.pop();
    for path in segments {
        // One that stays is no harm but room.
        drop(fs::remove_file(path));
    }
}

pub(super) fn command(
    prefix: &Prefix,
    binary: &Path,
    scratch: &Scratch,
    address: SocketAddr,
    upstream: SocketAddr,
    (scene, with): (Scene, &Governance),
) -> Result<Command> {
    let config = write_config(scratch, address, upstream, (scene, with))?;
    let mut command = with_place(prefix.command(binary), scratch, &config)?;
    command.arg("run");
    Ok(command)
}

fn with_place(mut command: Command, scratch: &Scratch, config: &Path) -> Result<Command> {
    command.arg("--config").arg(config);
    command.arg("--data-dir").arg(scratch.directory("gate-data")?);
    Ok(command)
}

fn write_config(
    scratch: &Scratch,
    address: SocketAddr,
    upstream: SocketAddr,
    (scene, with): (Scene, &Governance),
) -> Result<PathBuf> {
    let metrics = free_address()?;
    let (audit, operation, operations) = match scene {
        Scene::OneClient => ("", "", r#""load.payment""#),
        Scene::Many { .. } => (SMALL_SEGMENTS, MORE_BYTES, r#""load.payment", "load.bytes""#),
    };
    let elsewhere = if with.is_elsewhere() { other_half(upstream, with)? } else { String::new() };
    let [whole, listener, upstream_keys, api, plan, rates] = SECTIONS.map(|s| with.lines_here(s));
    scratch.write(
        "gateway.toml",
        &format!(
            r#"[server]
threads = 1
{audit}
[metrics]
address = "{metrics}"

{whole}
[[listener]]
name = "load"
address = "{address}"
{listener}
[[upstream]]
name = "stub"
endpoints = ["{upstream}"]
{upstream_keys}
[[api]]
name = "load"
base_path = "/"
upstream = "stub"
access = "granted"
{api}
[[api.operation]]
id = "payment"
methods = ["GET"]
path = "/payments/{{id}}"
scopes = ["payments:read"]
{operation}
[[product]]
name = "load"
operations = [{operations}]

[[plan]]
name = "load"
rates = [
    {{ limit = 500000, per = "1s", burst = 500000 }},
    {{ limit = 20000000, per = "1m", burst = 20000000 }},
    {rates}
]
{plan}
{elsewhere}"#
        ),
    )
}

const SECTIONS: [Section; 6] = [
    Section::Whole,
    Section::Listener,
    Section::Upstream,
    Section::Api,
    Section::Plan,
    Section::Rates,
];

/// A listener, an upstream, an api and a plan that no measured request has to do with.
fn other_half(upstream: SocketAddr, with: &Governance) -> Result<String> {
    let address = free_address()?;
    let [whole, listener, upstream_keys, api, plan, rates] =
        SECTIONS.map(|section| with.lines_elsewhere(section));
    Ok(format!(
        r#"{whole}
[[listener]]
name = "other"
address = "{address}"
{listener}
[[upstream]]
name = "other"
endpoints = ["{upstream}"]
{upstream_keys}
[[api]]
name = "other"
base_path = "/other"
upstream = "other"
access = "granted"
{api}
[[api.operation]]
id = "thing"
methods = ["GET"]
path = "/things/{{id}}"

[[product]]
name = "other"
operations = ["other.thing"]

[[plan]]
name = "other"
rates = [
    {{ limit = 50, per = "1s" }},
    {rates}
]
{plan}
"#
    ))
}

/// So that closed files can be removed between two points, and large results come whole.
const SMALL_SEGMENTS: &str = r#"
[audit]
segment_bytes_max = "64MiB"
[mcp]
result_bytes_max = "256KiB"
"#;

const MORE_BYTES: &str = r#"
[[api.operation]]
id = "bytes"
methods = ["GET"]
path = "/payments/{id}/bytes/{bytes}"
scopes = ["payments:read"]
"#;
