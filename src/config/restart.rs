//! What a reload cannot change, because it was bound or made at start.

use crate::model::policy::{Listener, Policy};

/// Names the keys whose change needs a restart; empty when a reload may go on.
pub fn restart_needed(old: &Policy, new: &Policy) -> Vec<String> {
    let mut changed = Vec::new();
    if old.server.threads != new.server.threads {
        changed.push("server.threads".to_owned());
    }
    if old.server.data_dir != new.server.data_dir {
        changed.push("server.data_dir".to_owned());
    }
    if old.metrics.address != new.metrics.address {
        changed.push("metrics.address".to_owned());
    }
    changed.extend(moved_listeners(&old.listeners, &new.listeners));
    changed
}

/// Listeners that are new, gone, or elsewhere. Their order in the files means nothing.
fn moved_listeners(old: &[Listener], new: &[Listener]) -> Vec<String> {
    let missing_in = |others: &[Listener], listener: &&Listener| !others.contains(listener);
    let gone = old.iter().filter(|listener| missing_in(new, listener));
    let come = new.iter().filter(|listener| missing_in(old, listener));
    let mut names: Vec<_> = gone.chain(come).map(|listener| &listener.name).collect();
    names.sort();
    names.dedup();
    names.into_iter().map(|name| format!("listener \"{name}\"")).collect()
}
