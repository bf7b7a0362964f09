//! What a change needs when no gate runs: the config to check it against, and an audit log of this
//! command's own boot.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Exit;
use super::output::Failure;
use crate::audit::{self, AuditLog, Recorder};
use crate::inventory::ActSink;
use crate::inventory::error::AuditUnavailable;
use crate::model::policy::Policy;
use crate::model::record::ActRecord;
use crate::server::{self, Source};

/// An audit log that is closed, and so synced, when the command ends.
struct Offline {
    log: AuditLog,
    _recorder: Recorder,
}

/// Loads the config and opens the audit. The caller holds the store's lock.
pub fn open(source: &Source, data_dir: &Path) -> Result<(Arc<Policy>, Arc<dyn ActSink>), Failure> {
    let policy = source.load().map_err(|problems| Failure::config(&problems))?.policy;
    let directory = audit::directory(data_dir);
    let opened = audit::open(&directory, policy.audit, &server::node(), |_| {});
    let (log, recorder) = opened.map_err(|error| Failure::plain(Exit::NotDone, error))?;
    Ok((Arc::new(policy), Arc::new(Offline { log, _recorder: recorder })))
}

impl ActSink for Offline {
    fn record(&self, act: ActRecord) -> Result<(), AuditUnavailable> {
        let full = |_| AuditUnavailable("the audit queue is full".to_owned());
        self.log.record_act(act).map_err(full)
    }

    fn flush(&self) -> Result<(), AuditUnavailable> {
        let late = |_| AuditUnavailable("the audit was not written in time".to_owned());
        self.log.flush(FLUSH_DEADLINE).map_err(late)
    }
}

const FLUSH_DEADLINE: Duration = Duration::from_secs(5);
