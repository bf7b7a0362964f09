//! `onegate run`: the gate itself, in the foreground, until a signal ends it.

use std::io::{self, Write};

use super::Exit;
use super::output::{Failure, Output};
use crate::edge::flights::Listening;
use crate::model::policy::AccessLogPath;
use crate::server::{self, Source};

pub fn run(source: Source, output: &mut Output<'_>) -> Result<(), Failure> {
    let loaded = source.load().map_err(|problems| Failure::config(&problems))?;
    let data_dir = loaded.policy.server.data_dir.clone();
    let failed = |error| Failure::plain(Exit::NotDone, error);
    // What stands on standard output is for whoever reads the access log, where that is its place.
    let log = loaded.policy.access_log.as_ref().map(|settings| &settings.path);
    let mut aside = io::stderr();
    let out: &mut dyn Write =
        if log == Some(&AccessLogPath::Stdout) { &mut aside } else { &mut output.out };
    write!(out, "{}", loaded.warnings)?;
    let running = server::start(loaded, source.clone()).map_err(failed)?;
    for Listening { name, address, scheme } in &running.listeners {
        writeln!(out, "listener {name} on {}://{address}", scheme.as_str())?;
    }
    writeln!(out, "metrics on http://{}/metrics", running.metrics_address)?;
    if running.is_without_clients() {
        writeln!(
            out,
            "no clients yet; this makes one:\n  onegate -c {} --data-dir {} client add my-app \
             --kind app --owner you@example.com --purpose 'first steps' --product PRODUCT",
            source.path.display(),
            data_dir.display(),
        )?;
    }
    out.flush()?;
    running.run().map_err(failed)
}
