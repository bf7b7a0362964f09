//! What a change needs when no gate runs: the config to check it against, and an audit log of this
//! command's own boot.

use std::path::Path;
use std::sync::Arc;

use super::Exit;
use super::output::Failure;
use crate::audit::{self, Recorder};
use crate::inventory::ActSink;
use crate::inventory::error::AuditUnavailable;
use crate::model::policy::Policy;
use crate::model::record::ActRecord;
use crate::server::{self, AuditSink, Source};

/// An audit log that is closed, and so synced, when the command ends.
struct Offline {
    sink: AuditSink,
    _recorder: Recorder,
}

/// Loads the config and opens the audit. The caller holds the store's lock.
pub fn open(source: &Source, data_dir: &Path) -> Result<(Arc<Policy>, Arc<dyn ActSink>), Failure> {
    let loaded = source.load().map_err(|problems| Failure::config(&problems))?;
    // Its acts name this config. Why it was not kept is in the log.
    drop(server::keep(&loaded.texts, data_dir));
    let policy = loaded.policy;
    let directory = audit::directory(data_dir);
    let opened = audit::open_for_acts(&directory, data_dir, policy.audit, &server::node());
    let (log, recorder) = opened.map_err(|error| Failure::plain(Exit::NotDone, error))?;
    Ok((Arc::new(policy), Arc::new(Offline { sink: AuditSink(log), _recorder: recorder })))
}

impl ActSink for Offline {
    fn record(&self, act: ActRecord) -> Result<(), AuditUnavailable> {
        self.sink.record(act)
    }

    fn flush(&self) -> Result<(), AuditUnavailable> {
        self.sink.flush()
    }
}
