//! The thread that looks after finished files of the audit: it asks the archive to seal and delete what is due, and gives
//! way to everything else on the machine.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::IntCounter;

use super::ticker::Ticker;
use crate::audit::archive::{Archive, Looked};
use crate::audit::{self, AuditLog, Recorder};
use crate::clock;
use crate::config::kept::Kept;
use crate::inventory::Registry;
use crate::model::time::{MonoNs, UnixMicros};

/// Until dropped.
pub struct Archivist {
    archive: Arc<Archive>,
    _ticker: Ticker,
}

/// What it needs of the gate.
pub struct Parts<'a> {
    pub recorder: &'a Recorder,
    pub log: AuditLog,
    /// Says how long files stay.
    pub registry: Arc<Registry>,
    pub failures: IntCounter,
}

impl Archivist {
    pub fn start(data_dir: &Path, node: &str, parts: Parts<'_>) -> io::Result<Self> {
        let Parts { recorder, log, registry, failures } = parts;
        let (running, kept) = (registry.running(), Kept::of(data_dir));
        let archive = Arc::new(Archive::new(&audit::directory(data_dir), node, (recorder, log)));
        let next = Mutex::new(MonoNs(0));
        let look = {
            let archive = Arc::clone(&archive);
            move || {
                let mut next = next.lock().unwrap_or_else(PoisonError::into_inner);
                let now = clock::now();
                if now.mono < *next {
                    return;
                }
                yield_to_others();
                let settings = running.load().policy.archive;
                let pause = match archive.look(settings, now) {
                    Ok(Looked::Worked) => Duration::ZERO,
                    Ok(Looked::Deleted { until, revision }) => {
                        forget(&registry, &kept, until, revision);
                        Duration::ZERO
                    }
                    Ok(Looked::Done) => (settings.seal_after / 4).clamp(TICK, PAUSE_MAX),
                    Err(_) if archive.stopped() => PAUSE_MAX,
                    Err(error) => {
                        failures.inc();
                        log::error!("audit: finished files are not looked after: {error}");
                        PAUSE_MAX
                    }
                };
                *next = now.mono.after(pause);
            }
        };
        let ticker = Ticker::start("onegate-archive", TICK, look)?;
        Ok(Self { archive, _ticker: ticker })
    }
}

impl Drop for Archivist {
    fn drop(&mut self) {
        self.archive.stop();
    }
}

impl fmt::Debug for Archivist {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Archivist")
    }
}

/// What only deleted records named is not asked for any more.
fn forget(registry: &Registry, kept: &Kept, until: UnixMicros, revision: Option<u64>) {
    match kept.forget_until(until, &registry.running().load().policy.digest) {
        Ok(0) => {}
        Ok(gone) => log::info!("{gone} configs that no record names any more are forgotten"),
        Err(error) => log::error!("configs that no record names are not forgotten: {error}"),
    }
    if let Some(Err(error)) = revision.map(|revision| registry.forget_before(revision)) {
        log::error!("the inventory's history is not shortened: {error}");
    }
}

/// Linux keeps niceness for each thread.
fn yield_to_others() {
    if let Err(error) = rustix::process::setpriority_process(None, NICEST) {
        log::debug!("the archive runs as everything else does: {error}");
    }
}

const TICK: Duration = Duration::from_millis(250);
/// Between two looks at the files.
const PAUSE_MAX: Duration = Duration::from_mins(1);
const NICEST: i32 = 19;
