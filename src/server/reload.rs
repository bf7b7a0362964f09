//! Reload: the files are read again, and either the whole new config is in force for the next
//! request, or none of it is and everyone is told why.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::access_log::AccessLog;
use crate::admin::{self, Reload};
use crate::clock;
use crate::config::diagnostic::Diagnostics;
use crate::config::{self, Loaded};
use crate::edge::Shared;
use crate::inventory::Registry;
use crate::inventory::actor::Actor;
use crate::inventory::store::Asked;
use crate::metrics::Metrics;
use crate::model::policy::Policy;

use super::keep::{keep, stays};
use super::rotation::Rotation;

/// Where the config comes from, and what a command line puts over it.
#[derive(Clone, Debug)]
pub struct Source {
    pub path: PathBuf,
    pub data_dir: Option<PathBuf>,
}

impl Source {
    /// Loads the config as it is now.
    pub fn load(&self) -> Result<Loaded, Diagnostics> {
        let mut loaded = config::load(&self.path)?;
        if let Some(data_dir) = &self.data_dir {
            loaded.policy.server.data_dir.clone_from(data_dir);
        }
        Ok(loaded)
    }
}

/// Swaps the running config.
#[derive(Debug)]
pub struct Reloader {
    pub source: Source,
    pub registry: Arc<Registry>,
    pub shared: Arc<Shared>,
    pub metrics: Arc<Metrics>,
    pub access_log: Arc<AccessLog>,
    pub rotation: Arc<Rotation>,
    /// One reload at a time.
    pub turn: Mutex<()>,
}

impl Reloader {
    /// Reloads, and counts it. Either way the text says what happened; the caller records it.
    pub fn reload(&self) -> Result<String, String> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let before = Arc::clone(&self.shared.snapshot.load().policy);
        let result = self.swap(&before);
        let label = if result.is_ok() { "done" } else { "refused" };
        self.metrics.gate.reloads.with_label_values(&[label]).inc();
        result
    }

    /// Reloads because of a signal; the log has the answer.
    pub fn obey_signal(self: Arc<Self>) {
        let (actor, at) = (Actor::gate(), clock::wall());
        let registry = Arc::clone(&self.registry);
        let reload: Reload = Box::new(move || self.reload());
        match admin::reload(&registry, &reload, Asked { by: &actor, at }) {
            Ok(done) => log::info!("{done}"),
            Err(refused) => log::error!("the old config stays in force:\n{refused}"),
        }
    }

    fn swap(&self, before: &Policy) -> Result<String, String> {
        let loaded = self.source.load().map_err(|diagnostics| diagnostics.to_string())?;
        let fixed = config::restart_needed(before, &loaded.policy);
        if !fixed.is_empty() {
            return Err(format!("needs a restart to change: {}\n", fixed.join(", ")));
        }
        let certificates = Rotation::prepare(&loaded.policy.listeners)
            .map_err(|error| format!("the certificates cannot be used: {error}\n"))?;
        let policy = Arc::new(loaded.policy);
        let adopted = self.access_log.adopt(policy.access_log.as_ref());
        adopted.map_err(|error| format!("[access_log]: cannot write to {error}\n"))?;
        // Before a record can name it.
        let kept = keep(&loaded.texts, &policy.server.data_dir);
        // Before the swap, so that the first request under it finds addresses.
        self.shared.upstreams.adopt(&policy.upstreams);
        self.shared.upstreams.resolve_and_wait();
        match self.registry.swap_policy(Arc::clone(&policy), clock::wall()) {
            Ok(ended) => {
                self.rotation.adopt(certificates);
                self.shared.audit.reloaded();
                let mut done = loaded.warnings.to_string();
                done += &kept.err().map(|told| told + "\n").unwrap_or_default();
                done += &format!(
                    "config {} is in force; {} live requests ended",
                    policy.digest, ended.requests
                );
                Ok(done)
            }
            Err(in_use) => {
                stays(&before.digest, &before.server.data_dir);
                self.shared.upstreams.adopt(&before.upstreams);
                if let Err(error) = self.access_log.adopt(before.access_log.as_ref()) {
                    log::error!("the access log cannot go back to {error}");
                }
                let missing: Vec<_> = in_use.iter().map(ToString::to_string).collect();
                Err(missing.join("\n") + "\n")
            }
        }
    }
}
