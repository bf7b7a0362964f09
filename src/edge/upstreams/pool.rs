//! One upstream as it is now: its instances, what requests and checks say of them, and its retries.
//!
//! Requests only choose and count. Whatever changes who may be chosen is rare, and says so in the
//! log once.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use prometheus::IntCounter;

use crate::model::time::MonoNs;
use crate::model::upstream::{Address, Endpoint, Location, Upstream};

use crate::edge::profile::Profile;

use super::instance::{Attempt, Instance, Passed, State};
use super::pick::{Again, Ask, Member, Members, NoPick};

/// Most addresses of one name that are used, and most instances of one upstream.
const ADDRESSES_MAX: usize = 64;
const INSTANCES_MAX: usize = 1024;

/// One upstream and its instances.
#[derive(Debug)]
pub struct Pool {
    pub upstream: Arc<Upstream>,
    pub profile: Profile,
    members: ArcSwap<Members>,
    turn: AtomicUsize,
    /// By endpoint; none while its name is not resolved.
    addresses: Mutex<Vec<Vec<Address>>>,
    tally: Arc<Tally>,
    retries: IntCounter,
}

/// What an upstream keeps when its config changes.
#[derive(Debug, Default)]
pub struct Tally {
    /// Requests in the air that are not at their first endpoint.
    retrying: AtomicU32,
    /// One at a time, so that together they do not pass the share that may be out.
    ejecting: Mutex<()>,
}

/// A request that takes from the budget, until dropped.
#[derive(Debug)]
pub struct Retrying(Arc<Tally>);

impl Drop for Retrying {
    fn drop(&mut self) {
        self.0.retrying.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Pool {
    pub fn new(upstream: &Arc<Upstream>, retries: IntCounter, before: Option<&Self>) -> Self {
        let known = |endpoint: &Endpoint| before.and_then(|before| before.addresses_of(endpoint));
        let addresses = upstream.endpoints.iter().map(|endpoint| match literal(endpoint) {
            Some(address) => vec![address],
            None => known(endpoint).unwrap_or_default(),
        });
        let addresses: Vec<Vec<Address>> = addresses.collect();
        let old = before.map(|before| before.members.load_full()).unwrap_or_default();
        let members = members(upstream, &addresses, &old);
        if upstream.check.is_none() {
            members.list.iter().for_each(|member| member.instance.forget_checks());
        }
        Self {
            upstream: Arc::clone(upstream),
            profile: Profile::new(upstream),
            members: ArcSwap::from_pointee(members),
            turn: AtomicUsize::new(0),
            addresses: Mutex::new(addresses),
            tally: before.map(|before| Arc::clone(&before.tally)).unwrap_or_default(),
            retries,
        }
    }

    fn addresses_of(&self, endpoint: &Endpoint) -> Option<Vec<Address>> {
        let same = |old: &Endpoint| old.location == endpoint.location;
        let at = self.upstream.endpoints.iter().position(same)?;
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).get(at).cloned()
    }

    /// Chooses an instance for a request.
    pub fn pick(&self, key: Option<u64>) -> Result<Attempt, NoPick> {
        let Self { upstream, turn, .. } = self;
        self.members.load().pick(&Ask { upstream, turn, key, tried: &[], again: Again::Never })
    }

    /// Chooses another for a request that failed where it was, if the budget allows. A request
    /// that has `taken` from the budget does not take twice.
    pub fn pick_again(
        &self,
        key: Option<u64>,
        tried: &[Arc<Instance>],
        again: Again,
        taken: Option<Retrying>,
    ) -> Option<(Attempt, Retrying)> {
        let members = self.members.load();
        let taken = taken.or_else(|| self.take(members.in_flight()))?;
        let Self { upstream, turn, .. } = self;
        let attempt = members.pick(&Ask { upstream, turn, key, tried, again }).ok()?;
        self.retries.inc();
        Some((attempt, taken))
    }

    /// Takes a place of the budget, while `live` requests are in the air.
    fn take(&self, live: u64) -> Option<Retrying> {
        let budget = self.upstream.retry_budget;
        let most = u64::from(budget.at_least) + live * u64::from(budget.percent) / 100;
        let before = self.tally.retrying.fetch_add(1, Ordering::Relaxed);
        let taken = Retrying(Arc::clone(&self.tally));
        (u64::from(before) < most).then_some(taken)
    }

    /// A request failed at an instance, and it was not the request's fault.
    pub fn failed(&self, instance: &Instance, why: &str, now: MonoNs) {
        let rules = self.upstream.ejection;
        if !instance.failed(rules) || instance.is_ejected() {
            return;
        }
        let _one_at_a_time = self.tally.ejecting.lock().unwrap_or_else(PoisonError::into_inner);
        let members = self.members.load();
        let out = members.list.iter().filter(|member| member.instance.is_ejected()).count();
        if (out + 1) * 100 > members.list.len() * usize::from(rules.share_max) {
            return;
        }
        if let Some(time) = instance.eject(rules, now) {
            let (upstream, address) = (&self.upstream.name, &instance.address);
            log::warn!("upstream {upstream}: {address} is ejected for {time:?}: {why}");
        }
    }

    /// Lets those have requests again whose ejection is over.
    pub fn end_ejections(&self, now: MonoNs) {
        for member in &self.members.load().list {
            if member.instance.end_ejection(self.upstream.ejection, now) {
                let (upstream, address) = (&self.upstream.name, &member.instance.address);
                log::info!("upstream {upstream}: {address} is no longer ejected");
            }
        }
    }

    /// Begins the checks that are due. `spread` lengthens a pause by at most a tenth.
    pub fn due_checks(
        &self,
        now: MonoNs,
        spread: impl Fn(Duration) -> Duration,
    ) -> Vec<Arc<Instance>> {
        let Some(check) = &self.upstream.check else { return Vec::new() };
        let members = self.members.load();
        let instances = members.list.iter().map(|member| &member.instance);
        let due = instances.filter(|one| one.begin_check(now, spread(check.interval)));
        due.cloned().collect()
    }

    /// Takes in a check's result.
    pub fn checked(&self, instance: &Instance, result: Result<(), String>) {
        let Some(check) = &self.upstream.check else { return };
        let passed = if result.is_ok() { Passed::Yes } else { Passed::No };
        let (upstream, address) = (&self.upstream.name, &instance.address);
        match (instance.end_check(check, passed), result) {
            (None, _) => {}
            (Some(_), Ok(())) => log::info!("upstream {upstream}: {address} is healthy"),
            (Some(_), Err(why)) => log::warn!("upstream {upstream}: {address} is unhealthy: {why}"),
        }
    }

    /// How many instances are in each state.
    pub fn count(&self) -> [(State, u64); 3] {
        let members = self.members.load();
        State::ALL.map(|state| {
            let of = members.list.iter().filter(|member| member.instance.state() == state);
            (state, of.count() as u64)
        })
    }

    /// The names among the endpoints, with their ports.
    pub fn names(&self) -> impl Iterator<Item = (&str, u16)> {
        let nameless = |endpoint: &&Endpoint| literal(endpoint).is_none();
        self.upstream.endpoints.iter().filter(nameless).filter_map(|endpoint| {
            match &endpoint.location {
                Location::Host { name, port } => Some((&**name, *port)),
                Location::Unix(_) => None,
            }
        })
    }

    /// Takes in what a name resolves to. New addresses join; those that are gone get no more
    /// requests, and what is in the air there goes on.
    pub fn learn(&self, host: &str, port: u16, found: &[SocketAddr]) {
        let mut found = found.to_vec();
        // Resolvers shuffle; the order of the instances shall mean something.
        found.sort_unstable();
        found.dedup();
        found.truncate(ADDRESSES_MAX);
        let found: Vec<Address> = found.into_iter().map(Address::Inet).collect();
        let location = Location::Host { name: host.into(), port };
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        let endpoints = self.upstream.endpoints.iter().zip(addresses.iter_mut());
        let mut changed = false;
        for (endpoint, known) in endpoints {
            if endpoint.location == location && *known != found {
                let shown = found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                log::info!("upstream {}: {host} is now {shown}", self.upstream.name);
                known.clone_from(&found);
                changed = true;
            }
        }
        if changed {
            let members = members(&self.upstream, &addresses, &self.members.load());
            self.members.store(Arc::new(members));
        }
    }
}

/// Instances for all addresses; those that were there before stay what they are.
fn members(upstream: &Upstream, addresses: &[Vec<Address>], old: &Members) -> Members {
    let all = upstream.endpoints.iter().zip(addresses);
    let all = all.flat_map(|(endpoint, addresses)| addresses.iter().map(move |at| (endpoint, at)));
    let member = |(endpoint, address): (&Endpoint, &Address)| {
        let known = old.find(&endpoint.location, address).cloned();
        let instance = known.unwrap_or_else(|| Arc::new(Instance::new(endpoint, address)));
        Member { instance, weight: endpoint.weight }
    };
    Members::new(all.take(INSTANCES_MAX).map(member).collect())
}

/// The address of an endpoint that needs no looking up.
pub fn literal(endpoint: &Endpoint) -> Option<Address> {
    match &endpoint.location {
        Location::Host { name, port } => {
            let ip: IpAddr = name.parse().ok()?;
            Some(Address::Inet(SocketAddr::new(ip, *port)))
        }
        Location::Unix(path) => Some(Address::Unix(Arc::clone(path))),
    }
}

#[cfg(test)]
mod tests;
