//! Endpoints as they are now: names resolved in the background, and whose turn it is.
//!
//! A request never waits for a name: it gets an address that is known, or the next endpoint.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ahash::AHashMap;
use arc_swap::ArcSwap;

use crate::model::id::UpstreamName;
use crate::model::policy::Policy;
use crate::model::upstream::{Endpoint, Upstream};

/// How often names are resolved again.
pub const RESOLVE_EVERY: Duration = Duration::from_secs(10);

/// The pools of the running config, and of the one before: a request that began under it may still
/// be on its way.
#[derive(Debug, Default)]
pub struct Upstreams {
    pools: ArcSwap<Generations>,
}

#[derive(Debug, Default)]
struct Generations {
    current: AHashMap<UpstreamName, Arc<Pool>>,
    previous: AHashMap<UpstreamName, Arc<Pool>>,
}

/// One upstream and its endpoints' addresses.
#[derive(Debug)]
pub struct Pool {
    pub upstream: Arc<Upstream>,
    /// Endpoint positions, each as often as its weight, interleaved.
    schedule: Box<[u16]>,
    next: AtomicUsize,
    /// By endpoint; empty while its name is not resolved.
    addresses: Box<[ArcSwap<Vec<SocketAddr>>]>,
}

impl Upstreams {
    /// Takes on the upstreams of a new config; unchanged endpoints keep their addresses.
    pub fn adopt(&self, policy: &Policy) {
        let old = self.pools.load_full();
        let pools = policy.upstreams.iter().map(|(name, upstream)| {
            let pool = match old.current.get(name) {
                Some(pool) if pool.upstream == *upstream => Arc::clone(pool),
                before => Arc::new(Pool::new(upstream, before.map(AsRef::as_ref))),
            };
            (name.clone(), pool)
        });
        let (current, previous) = (pools.collect(), old.current.clone());
        self.pools.store(Arc::new(Generations { current, previous }));
    }

    pub fn pool(&self, name: &UpstreamName) -> Option<Arc<Pool>> {
        let pools = self.pools.load();
        pools.current.get(name).or_else(|| pools.previous.get(name)).cloned()
    }

    /// Resolves every name once, by the system's resolver; it may wait for the network. A name that
    /// fails keeps the addresses it had.
    pub fn resolve(&self) {
        for pool in self.pools.load_full().current.values() {
            for (endpoint, addresses) in pool.upstream.endpoints.iter().zip(&pool.addresses) {
                if literal(endpoint).is_some() {
                    continue;
                }
                match (&*endpoint.host, endpoint.port).to_socket_addrs() {
                    Ok(found) => addresses.store(Arc::new(found.collect())),
                    Err(error) => {
                        log::warn!(
                            "upstream {}: {} does not resolve: {error}",
                            pool.upstream.name,
                            endpoint.host,
                        );
                    }
                }
            }
        }
    }
}

impl Pool {
    fn new(upstream: &Arc<Upstream>, before: Option<&Self>) -> Self {
        let known = |endpoint: &Endpoint| {
            let before = before?;
            let same = |old: &Endpoint| old.host == endpoint.host && old.port == endpoint.port;
            let at = before.upstream.endpoints.iter().position(same)?;
            before.addresses.get(at).map(ArcSwap::load_full)
        };
        let addresses = upstream.endpoints.iter().map(|endpoint| {
            let literal = literal(endpoint).map(|address| Arc::new(vec![address]));
            ArcSwap::new(literal.or_else(|| known(endpoint)).unwrap_or_default())
        });
        Self {
            upstream: Arc::clone(upstream),
            schedule: schedule(&upstream.endpoints),
            next: AtomicUsize::new(0),
            addresses: addresses.collect(),
        }
    }

    /// The next address in turn; endpoints without one are passed over. None: no endpoint has any.
    pub fn pick(&self) -> Option<SocketAddr> {
        for _ in 0..self.schedule.len() {
            let turn = self.next.fetch_add(1, Ordering::Relaxed);
            let at = usize::from(*self.schedule.get(turn % self.schedule.len())?);
            let addresses = self.addresses.get(at)?.load();
            if !addresses.is_empty() {
                let round = turn / self.schedule.len();
                return addresses.get(round % addresses.len()).copied();
            }
        }
        None
    }
}

fn literal(endpoint: &Endpoint) -> Option<SocketAddr> {
    let ip: IpAddr = endpoint.host.parse().ok()?;
    Some(SocketAddr::new(ip, endpoint.port))
}

/// Smooth weighted round robin, laid out once: heavy endpoints come often, but not in a row.
fn schedule(endpoints: &[Endpoint]) -> Box<[u16]> {
    let total: i64 = endpoints.iter().map(|endpoint| i64::from(endpoint.weight)).sum();
    let mut credits: Vec<(u16, i64)> = (0..).zip(endpoints.iter().map(|_| 0)).collect();
    let turns = (0..total).filter_map(|_| {
        for ((_, credit), endpoint) in credits.iter_mut().zip(endpoints) {
            *credit += i64::from(endpoint.weight);
        }
        // The first of those with the most.
        let (at, credit) = credits.iter_mut().rev().max_by_key(|(_, credit)| *credit)?;
        *credit -= total;
        Some(*at)
    });
    turns.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(host: &str, weight: u16) -> Endpoint {
        Endpoint { host: host.into(), port: 80, weight }
    }

    #[test]
    fn turns_follow_the_weights() {
        let check = |weights: &[u16], expected: &[u16]| {
            let endpoints: Vec<Endpoint> = weights.iter().map(|w| endpoint("h", *w)).collect();
            assert_eq!(&*schedule(&endpoints), expected, "{weights:?}");
        };
        check(&[1], &[0]);
        check(&[1, 1], &[0, 1]);
        check(&[5, 1, 1], &[0, 0, 1, 0, 2, 0, 0]);
    }
}
