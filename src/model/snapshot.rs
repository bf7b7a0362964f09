//! The immutable policy that one request sees from start to end: config and inventory together.
//!
//! A change of the inventory makes a new snapshot that shares all but the changed parts.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ahash::{AHashMap, RandomState};
use arc_swap::{ArcSwap, Guard};

use super::client::{Client, Credential};
use super::id::{ClientId, CredentialId};
use super::policy::Policy;

/// Config and inventory at one moment.
#[derive(Debug)]
pub struct Snapshot {
    pub policy: Arc<Policy>,
    pub inventory: Inventory,
    /// The record's `policy`: config digest and inventory revision.
    pub label: Arc<str>,
}

impl Snapshot {
    pub fn new(policy: Arc<Policy>, inventory: Inventory) -> Self {
        let label = Self::label(&policy, inventory.revision);
        Self { policy, inventory, label }
    }

    /// How records name a snapshot, also one that is about to be.
    pub fn label(policy: &Policy, revision: u64) -> Arc<str> {
        format!("{}+{revision}", policy.digest).into()
    }
}

/// What a record's `policy` says, taken apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Label<'a> {
    /// Of the config.
    pub digest: &'a str,
    /// Of the inventory.
    pub revision: u64,
}

impl<'a> Label<'a> {
    pub fn parse(text: &'a str) -> Option<Self> {
        let (digest, revision) = text.split_once('+')?;
        Some(Self { digest, revision: revision.parse().ok()? })
    }
}

/// The snapshot that runs. Requests load it; one registry stores it.
#[derive(Debug)]
pub struct Current {
    snapshot: ArcSwap<Snapshot>,
    changes: AtomicU64,
}

impl Current {
    pub fn new(snapshot: Snapshot) -> Self {
        Self { snapshot: ArcSwap::from_pointee(snapshot), changes: AtomicU64::new(0) }
    }

    pub fn load(&self) -> Guard<Arc<Snapshot>> {
        self.snapshot.load()
    }

    pub fn load_full(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    pub fn store(&self, snapshot: Arc<Snapshot>) {
        self.snapshot.store(snapshot);
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Counts what was stored. Whoever reads it, then loads, and later reads the same number, still has what
    /// runs, and need not load again.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }
}

/// All clients and credentials, by id.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// Counts changes; the store's, so it survives restarts.
    pub revision: u64,
    pub clients: SharedMap<ClientId, Arc<Client>>,
    pub credentials: SharedMap<CredentialId, Arc<Credential>>,
}

/// Shards of a [`SharedMap`]: a change copies one of them, so it costs 1/1024 of a rebuild.
const SHARDS: usize = 1024;

/// A map whose changed copy shares what did not change.
#[derive(Clone, Debug)]
pub struct SharedMap<K, V> {
    hasher: RandomState,
    shards: Arc<[Arc<AHashMap<K, V>>]>,
    len: usize,
}

#[expect(clippy::indexing_slicing, reason = "`shard_of` stays below the number of shards")]
impl<K: Clone + Eq + Hash, V: Clone> SharedMap<K, V> {
    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.shards[shard_of(&self.hasher, key)].get(key)
    }

    /// This map with one entry put in or replaced.
    pub fn with(&self, key: K, value: V) -> Self {
        self.with_all([(key, value)])
    }

    /// This map with entries put in or replaced; a shard is copied once, however many it takes.
    pub fn with_all(&self, entries: impl IntoIterator<Item = (K, V)>) -> Self {
        let mut shards = self.shards.to_vec();
        let mut len = self.len;
        for (key, value) in entries {
            let at = shard_of(&self.hasher, &key);
            len += usize::from(Arc::make_mut(&mut shards[at]).insert(key, value).is_none());
        }
        Self { hasher: self.hasher.clone(), shards: shards.into(), len }
    }

    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.shards.iter().flat_map(|shard| shard.values())
    }

    pub const fn len(&self) -> usize {
        self.len
    }

    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[expect(clippy::indexing_slicing, reason = "`shard_of` stays below the number of shards")]
impl<K: Clone + Eq + Hash, V: Clone> FromIterator<(K, V)> for SharedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let hasher = RandomState::new();
        let mut shards: Vec<AHashMap<K, V>> = (0..SHARDS).map(|_| AHashMap::new()).collect();
        let mut len = 0;
        for (key, value) in entries {
            let at = shard_of(&hasher, &key);
            len += usize::from(shards[at].insert(key, value).is_none());
        }
        Self { hasher, shards: shards.into_iter().map(Arc::new).collect(), len }
    }
}

impl<K: Clone + Eq + Hash, V: Clone> Default for SharedMap<K, V> {
    fn default() -> Self {
        Self::from_iter([])
    }
}

/// By the low bits of the hash: a shard's own map spreads by the high ones.
#[expect(clippy::cast_possible_truncation, reason = "only the low bits are wanted")]
fn shard_of<Q: Hash + ?Sized>(hasher: &RandomState, key: &Q) -> usize {
    hasher.hash_one(key) as usize % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_leaves_the_old_map_as_it_was() {
        let old: SharedMap<u32, u32> = (0..5000).map(|n| (n, n)).collect();
        let new = old.with(7, 70).with(9000, 1);
        assert_eq!((old.get(&7), old.get(&9000), old.len()), (Some(&7), None, 5000));
        assert_eq!((new.get(&7), new.get(&9000), new.len()), (Some(&70), Some(&1), 5001));
        assert_eq!(new.values().count(), 5001);
        let shared = old.shards.iter().zip(new.shards.iter()).filter(|(a, b)| Arc::ptr_eq(a, b));
        assert!(shared.count() >= SHARDS - 2);
    }
}
