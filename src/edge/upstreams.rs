//! Upstreams as they are now: which instances there are, who gets the next request, who is left
//! out. Names are resolved and checks are made in the background.
//!
//! A request never waits for a name or a check: it goes where something is known to be, or nowhere.

pub mod checks;
pub mod instance;
pub mod names;
pub mod pick;
pub mod pool;
#[cfg(test)]
mod testing;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use ahash::AHashMap;
use arc_swap::ArcSwap;
use prometheus::IntCounterVec;

use crate::model::id::UpstreamName;
use crate::model::upstream::Upstream;

use self::instance::State;
use self::names::{Names, Tell};
use self::pool::Pool;

/// How often names are resolved again.
pub const RESOLVE_EVERY: Duration = Duration::from_secs(10);

/// How long a start and a reload wait for names; the rest follow when they are found.
const RESOLVE_PATIENCE: Duration = Duration::from_secs(5);

/// The pools of the running config, and of the one before: a request that began under it may still
/// be on its way.
#[derive(Debug)]
pub struct Upstreams {
    pools: ArcSwap<Generations>,
    /// Counts the changes of `pools`.
    revision: AtomicU64,
    names: Arc<Names>,
    /// `onegate_upstream_retries_total`, by upstream.
    retries: IntCounterVec,
}

/// The pool that a connection's last request went to, and the revision of which it is. It does not keep it:
/// connections may be idle for long.
#[derive(Debug, Default)]
pub struct LastPool(Mutex<Option<(u64, Weak<Pool>)>>);

#[derive(Debug, Default)]
struct Generations {
    current: AHashMap<UpstreamName, Arc<Pool>>,
    previous: AHashMap<UpstreamName, Arc<Pool>>,
}

impl Upstreams {
    pub fn new(retries: IntCounterVec, names: Names) -> Self {
        Self {
            pools: ArcSwap::default(),
            revision: AtomicU64::new(0),
            names: Arc::new(names),
            retries,
        }
    }

    /// Takes on the upstreams of a new config. What is unchanged keeps its addresses, its health
    /// and its counts.
    pub fn adopt(&self, upstreams: &AHashMap<UpstreamName, Arc<Upstream>>) {
        let old = self.pools.load_full();
        let pools = upstreams.iter().map(|(name, upstream)| {
            // The one before last comes back when a reload is refused.
            let pool = match old.current.get(name).or_else(|| old.previous.get(name)) {
                Some(pool) if pool.upstream == *upstream => Arc::clone(pool),
                before => {
                    let retries = self.retries.with_label_values(&[name.as_str()]);
                    Arc::new(Pool::new(upstream, retries, before.map(AsRef::as_ref)))
                }
            };
            (name.clone(), pool)
        });
        let (current, previous) = (pools.collect(), old.current.clone());
        self.pools.store(Arc::new(Generations { current, previous }));
        self.revision.fetch_add(1, Ordering::Release);
    }

    pub fn pool(&self, name: &UpstreamName) -> Option<Arc<Pool>> {
        let pools = self.pools.load();
        pools.current.get(name).or_else(|| pools.previous.get(name)).cloned()
    }

    /// The same, where it is mostly the one of the time before.
    pub fn pool_as_before(&self, name: &UpstreamName, before: &LastPool) -> Option<Arc<Pool>> {
        let revision = self.revision.load(Ordering::Acquire);
        let mut last = before.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, pool)) = &*last
            && *of == revision
            && let Some(pool) = pool.upgrade()
            && pool.upstream.name == *name
        {
            return Some(pool);
        }
        let pool = self.pool(name)?;
        *last = Some((revision, Arc::downgrade(&pool)));
        Some(pool)
    }

    /// The pools of the running config.
    pub fn current(&self) -> Vec<Arc<Pool>> {
        self.pools.load().current.values().cloned().collect()
    }

    /// Has every name resolved, on threads of its own.
    pub fn resolve(self: &Arc<Self>) {
        let pools = self.current();
        let names = pools.iter().flat_map(|pool| pool.names());
        let names = names.map(|(name, port)| (name.into(), port)).collect();
        let upstreams = Arc::clone(self);
        let tell: Arc<Tell> = Arc::new(move |host: &str, port: u16, found: &[_]| {
            for pool in upstreams.current() {
                pool.learn(host, port, found);
            }
        });
        self.names.begin(names, &tell);
    }

    /// The same, and waits a while for what is found.
    pub fn resolve_and_wait(self: &Arc<Self>) {
        self.resolve();
        self.names.wait(RESOLVE_PATIENCE);
    }

    /// How many instances of each upstream are in each state.
    pub fn count(&self) -> Vec<(String, State, u64)> {
        let of = |pool: &Arc<Pool>| {
            pool.count().map(|(state, count)| (pool.upstream.name.to_string(), state, count))
        };
        self.current().iter().flat_map(of).collect()
    }
}

#[cfg(test)]
mod tests;
