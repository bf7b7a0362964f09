//! `onegate check`: every problem of the config, with its place and a fix.

use super::output::{Failure, Output};
use crate::server::Source;

/// Prints the problems, or what the config holds.
pub fn run(source: &Source, output: &mut Output<'_>) -> Result<(), Failure> {
    let loaded = source.load().map_err(|problems| Failure::config(&problems))?;
    write!(output.out, "{}", loaded.warnings)?;
    let policy = &loaded.policy;
    writeln!(
        output.out,
        "{} is good: {} listeners, {} upstreams, {} apis, {} operations, {} products, {} plans \
         (config {})",
        source.path.display(),
        policy.listeners.len(),
        policy.upstreams.len(),
        policy.apis.len(),
        policy.operations.len(),
        policy.products.len(),
        policy.plans.len(),
        policy.digest,
    )?;
    Ok(())
}
