//! `onegate demo`: what it prints, ready to paste.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::Exit;
use super::output::{Failure, Format, Output};
use crate::demo::{self, Demo};

#[derive(Args, Debug)]
pub struct DemoArgs {
    /// Where the gate listens
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where its metrics are
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:9464")]
    metrics: SocketAddr,
}

impl DemoArgs {
    /// Starts the demo and serves until a signal ends it.
    pub fn run(self, data_dir: Option<PathBuf>, output: &mut Output<'_>) -> Result<(), Failure> {
        let failed = |error| Failure::plain(Exit::NotDone, error);
        let demo = demo::start(self.listen, self.metrics, data_dir).map_err(failed)?;
        match output.format {
            Format::Json => output.json(&as_json(&demo))?,
            Format::Human => tell(&demo, output)?,
        }
        output.out.flush()?;
        demo.running.run().map_err(|error| failed(error.into()))
    }
}

fn as_json(demo: &Demo) -> serde_json::Value {
    let clients = demo
        .clients
        .iter()
        .map(|client| json!({ "id": client.id, "kind": client.kind.as_str(), "key": client.key }));
    json!({
        "url": format!("http://{}", demo.url),
        "metrics_url": format!("http://{}/metrics", demo.running.metrics_address),
        "admin_socket": demo.running.admin_socket,
        "data_dir": demo.data_dir,
        "config": demo.config,
        "clients": clients.collect::<Vec<_>>(),
    })
}

fn tell(demo: &Demo, output: &mut Output<'_>) -> Result<(), Failure> {
    let (url, out) = (demo.url, &mut output.out);
    let data_dir = demo.data_dir.display();
    writeln!(out, "onegate demo: a payments API behind http://{url}/api, data in {data_dir}\n")?;
    for client in &demo.clients {
        let (id, kind) = (client.id, client.kind.as_str());
        match &client.key {
            Some(key) => writeln!(out, "{id} ({kind})\n  key {key}")?,
            None => writeln!(
                out,
                "{id} ({kind})\n  key shown at its making; for another: onegate \
                                   --data-dir {data_dir} -c {} credential add --client {id} --key",
                demo.config.display()
            )?,
        }
    }
    let keys: Vec<&str> = demo.clients.iter().filter_map(|c| c.key.as_deref()).collect();
    if let [app, agent] = keys[..] {
        writeln!(out, "\nPaste these:\n")?;
        for line in demo::lines(url, app, agent) {
            writeln!(out, "# {}\n{}\n", line.about, line.command)?;
        }
    }
    writeln!(out, "Who called?\nonegate --data-dir {data_dir} audit query --path /api/payments\n")?;
    writeln!(
        out,
        "Set-up for Claude Code, Cursor, VS Code and others:\nonegate --data-dir {data_dir} -c {} client connect \
         support-agent\n",
        demo.config.display()
    )?;
    writeln!(
        out,
        "Metrics: http://{}/metrics. Ctrl-C ends the demo.",
        demo.running.metrics_address
    )?;
    Ok(())
}
