//! The inventory: clients, profiles, grants and credentials, durable and in force. The one way to
//! change it is [`Registry::change`], which stores, puts in force and records in one go. It knows
//! neither who serves the gate nor how administrators reach it.

pub mod actor;
mod apply;
pub mod change;
mod describe;
pub mod error;
pub mod in_use;
pub mod store;
#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock;
use crate::model::policy::Policy;
use crate::model::record::ActRecord;
use crate::model::snapshot::{Current, Inventory, Snapshot};
use crate::model::time::UnixMicros;
use change::{Act, Applied, Change, Outcome};
use error::{AuditUnavailable, ChangeError, StoreError};
use in_use::InUse;
use store::{Asked, Store, Waiting};

/// Where acts of administration are recorded: the audit of the running gate, or the one that a
/// command opens beside the store when no gate runs.
pub trait ActSink: Send + Sync {
    /// Hands over one record. May wait for room, but not for ever.
    fn record(&self, act: ActRecord) -> Result<(), AuditUnavailable>;

    /// Returns when every record handed over is on disk.
    fn flush(&self) -> Result<(), AuditUnavailable>;
}

/// What a swap of the running snapshot ended, because it is no longer allowed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Ended {
    pub requests: u64,
    pub streams: u64,
}

/// Called after each swap, before the change is answered.
pub type OnSwap = Box<dyn Fn(&Arc<Snapshot>) -> Ended + Send + Sync>;

/// The inventory of one data directory, and the snapshot that runs on it.
pub struct Registry {
    /// Also guards the snapshot: it is swapped only by whoever holds this.
    store: Mutex<Store>,
    running: Arc<Current>,
    acts: Arc<dyn ActSink>,
    on_swap: OnSwap,
}

/// A change that is made: durable, and in force for the next request.
#[derive(Debug)]
pub struct Done {
    pub revision: u64,
    pub outcome: Outcome,
    pub ended: Ended,
    /// From the moment it was asked until nothing runs that it forbids.
    pub enforced: Duration,
    pub recorded: Recorded,
}

/// Whether the audit has the record of an act on disk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Recorded {
    Yes,
    /// It waits in the store and is handed over before the next act is allowed.
    Waits(AuditUnavailable),
}

impl Registry {
    /// Loads the inventory and makes the first snapshot. Records that a crash kept from the audit
    /// are handed over now.
    pub fn open(
        store: Store,
        policy: Arc<Policy>,
        acts: Arc<dyn ActSink>,
        on_swap: OnSwap,
    ) -> Result<Self, StoreError> {
        let snapshot = Snapshot::new(policy, store.load()?);
        let running = Arc::new(Current::new(snapshot));
        let registry = Self { store: Mutex::new(store), running, acts, on_swap };
        if let Err(why) = registry.hand_over(&mut registry.lock()) {
            log::warn!("records of earlier acts still wait in the inventory: {why}");
        }
        Ok(registry)
    }

    /// The running snapshot. Requests load it; only this registry stores it.
    pub fn running(&self) -> Arc<Current> {
        Arc::clone(&self.running)
    }

    /// Makes one change: when this returns it is on disk, in force for the next request, what it
    /// forbids has ended, and the audit has its record.
    pub fn change(&self, change: &Change, asked: Asked<'_>) -> Result<Done, ChangeError> {
        let started = clock::mono();
        let mut store = self.lock();
        if !change.only_takes_away() {
            self.hand_over(&mut store)?;
        }
        let snapshot = self.running.load_full();
        let applied = match store.change(change, &snapshot, asked) {
            Ok(applied) => applied,
            Err(error) => {
                self.note_in(&mut store, refused(change, &error), asked);
                return Err(error);
            }
        };
        let Applied { revision, clients, credentials, outcome, .. } = applied;
        let ended = if revision == snapshot.inventory.revision {
            Ended::default()
        } else {
            let old = &snapshot.inventory;
            let clients = clients.into_iter().map(|client| (client.id.clone(), client));
            let credentials = credentials.into_iter().map(|credential| (credential.id, credential));
            let inventory = Inventory {
                revision,
                clients: old.clients.with_all(clients),
                credentials: old.credentials.with_all(credentials),
            };
            self.swap(Snapshot::new(Arc::clone(&snapshot.policy), inventory))
        };
        let enforced = clock::mono().since(started);
        let recorded = self.hand_over(&mut store).map_or_else(waits, |()| Recorded::Yes);
        Ok(Done { revision, outcome, ended, enforced, recorded })
    }

    /// Puts another config in force, unless it lacks a product or plan that the inventory uses.
    pub fn swap_policy(&self, policy: Arc<Policy>, now: UnixMicros) -> Result<Ended, Vec<InUse>> {
        let _guard = self.lock();
        let inventory = self.running.load().inventory.clone();
        let missing = in_use::missing(&policy, &inventory, now);
        if !missing.is_empty() {
            return Err(missing);
        }
        Ok(self.swap(Snapshot::new(policy, inventory)))
    }

    /// What the running config lacks though the inventory uses it: possible after a start only.
    pub fn missing(&self, now: UnixMicros) -> Vec<InUse> {
        let running = self.running.load();
        in_use::missing(&running.policy, &running.inventory, now)
    }

    /// Records an act that is no change of the inventory, such as a reload.
    pub fn note(&self, act: Act, asked: Asked<'_>) -> Recorded {
        self.note_in(&mut self.lock(), act, asked)
    }

    /// Nobody will ask any more how the inventory was before this revision.
    pub fn forget_before(&self, revision: u64) -> Result<(), StoreError> {
        self.lock().forget_before(revision)
    }

    /// Reads the store, between changes.
    pub fn read<Answer>(&self, read: impl FnOnce(&Store) -> Answer) -> Answer {
        read(&self.lock())
    }

    fn swap(&self, snapshot: Snapshot) -> Ended {
        let snapshot = Arc::new(snapshot);
        self.running.store(Arc::clone(&snapshot));
        (self.on_swap)(&snapshot)
    }

    fn note_in(&self, store: &mut Store, act: Act, asked: Asked<'_>) -> Recorded {
        let label = Arc::clone(&self.running.load().label);
        let kept = store.note(act, &label, asked).map_err(ChangeError::Store);
        kept.and_then(|()| self.hand_over(store)).map_or_else(waits, |()| Recorded::Yes)
    }

    /// Gives the audit the records that wait in the store.
    fn hand_over(&self, store: &mut Store) -> Result<(), ChangeError> {
        while let Some(Waiting { acts, last }) = store.waiting()? {
            for act in acts {
                self.acts.record(act).map_err(ChangeError::AuditUnavailable)?;
            }
            self.acts.flush().map_err(ChangeError::AuditUnavailable)?;
            store.forget_acts(last)?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        // A panic within a change rolled its transaction back; the store is as before.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

/// The record of a change that was not made.
fn refused(change: &Change, error: &ChangeError) -> Act {
    Act {
        action: change.action(),
        target: change.target(),
        reason: change.reason().cloned(),
        before: None,
        after: Some(describe::fields(vec![("error", error.code().into())])),
        succeeded: false,
    }
}

fn waits(why: ChangeError) -> Recorded {
    Recorded::Waits(if let ChangeError::AuditUnavailable(why) = why {
        why
    } else {
        AuditUnavailable(why.to_string())
    })
}
