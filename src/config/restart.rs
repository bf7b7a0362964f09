//! What a reload cannot change, because it was bound, made or read at start.

use crate::model::policy::{Listener, Policy};

/// Names the keys whose change needs a restart; empty when a reload may go on.
pub fn restart_needed(old: &Policy, new: &Policy) -> Vec<String> {
    let changed = [
        ("server.threads", old.server.threads != new.server.threads),
        ("server.data_dir", old.server.data_dir != new.server.data_dir),
        ("audit.queue_records_max", old.audit.queue_records_max != new.audit.queue_records_max),
        ("audit.checkpoints_every", old.checkpoints.every != new.checkpoints.every),
        ("audit.checkpoints_to", old.checkpoints.to != new.checkpoints.to),
        ("audit.denials_per_source", old.audit.denials_per_source != new.audit.denials_per_source),
        ("audit.flush_interval", old.audit.flush_interval != new.audit.flush_interval),
        ("audit.segment_bytes_max", old.audit.segment_bytes_max != new.audit.segment_bytes_max),
        ("audit.segment_age_max", old.audit.segment_age_max != new.audit.segment_age_max),
        ("metrics.address", old.metrics.address != new.metrics.address),
        ("metrics.clients_max", old.metrics.clients_max != new.metrics.clients_max),
    ];
    let keys =
        changed.iter().filter(|(_, is_changed)| *is_changed).map(|(key, _)| (*key).to_owned());
    keys.chain(moved_listeners(&old.listeners, &new.listeners)).collect()
}

/// Listeners that are new, gone, or elsewhere, and those whose TLS was switched on or off. Their
/// order in the files means nothing.
fn moved_listeners(old: &[Listener], new: &[Listener]) -> Vec<String> {
    let door = |listener: &Listener| (listener.name.clone(), listener.address, listener.scheme());
    let missing_in = |others: &[Listener], listener: &&Listener| {
        others.iter().all(|other| door(other) != door(listener))
    };
    let gone = old.iter().filter(|listener| missing_in(new, listener));
    let come = new.iter().filter(|listener| missing_in(old, listener));
    let mut names: Vec<_> = gone.chain(come).map(|listener| &listener.name).collect();
    names.sort();
    names.dedup();
    names.into_iter().map(|name| format!("listener \"{name}\"")).collect()
}
