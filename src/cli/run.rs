//! `onegate run`: the gate itself, in the foreground, until a signal ends it.

use super::Exit;
use super::output::{Failure, Output};
use crate::edge::flights::Listening;
use crate::server::{self, Source};

pub fn run(source: Source, output: &mut Output<'_>) -> Result<(), Failure> {
    let loaded = source.load().map_err(|problems| Failure::config(&problems))?;
    write!(output.out, "{}", loaded.warnings)?;
    let data_dir = loaded.policy.server.data_dir.clone();
    let failed = |error| Failure::plain(Exit::NotDone, error);
    let running = server::start(loaded.policy, source.clone()).map_err(failed)?;
    for Listening { name, address, scheme } in &running.listeners {
        writeln!(output.out, "listener {name} on {}://{address}", scheme.as_str())?;
    }
    writeln!(output.out, "metrics on http://{}/metrics", running.metrics_address)?;
    if running.is_without_clients() {
        writeln!(
            output.out,
            "no clients yet; this makes one:\n  onegate -c {} --data-dir {} client add my-app \
             --kind app --owner you@example.com --purpose 'first steps' --product PRODUCT",
            source.path.display(),
            data_dir.display(),
        )?;
    }
    output.out.flush()?;
    running.run().map_err(failed)
}
