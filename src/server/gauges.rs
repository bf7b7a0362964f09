//! What gauges show when they are scraped: read from the live parts, off the worker threads.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock;
use crate::edge::Shared;
use crate::metrics::serve::Gauges;
use crate::metrics::{self, Metrics, Reading};
use crate::model::client::Client;
use crate::model::id::ClientId;
use crate::model::snapshot::Snapshot;
use crate::model::time::{Now, UnixMicros};
use crate::request::limit::usage;

/// The running gate, as its metrics listener sees it.
#[derive(Debug)]
pub struct LiveGauges {
    pub shared: Arc<Shared>,
    pub metrics: Arc<Metrics>,
}

impl Gauges for LiveGauges {
    fn scrape(&self) -> Vec<u8> {
        let text = self.metrics.render(&self.read());
        text.unwrap_or_else(|error| {
            log::error!("a scrape failed: {error}");
            Vec::new()
        })
    }

    fn is_ready(&self) -> bool {
        !self.shared.flights.is_leaving()
    }
}

impl LiveGauges {
    fn read(&self) -> Reading {
        let snapshot = self.shared.snapshot.load_full();
        let clients_max = snapshot.policy.metrics.clients_max;
        let audit = &self.shared.audit;
        Reading {
            in_flight: self.in_flight(&snapshot, clients_max),
            limit_used: limits_used(&snapshot, clients_max, clock::now()),
            quarantined: quarantined(&snapshot, clients_max, clock::wall()),
            connections: self.shared.flights.connections_by_listener(),
            upstream_endpoints: self.upstream_endpoints(),
            certificate_expiry: certificate_expiry(self.shared.doors.expiries(), clock::wall()),
            audit_records: audit.records_written(),
            audit_queue_bytes: audit.queued_bytes_estimate(),
            audit_unsynced: [audit.exposure().last(), audit.exposure().max()],
            audit_failing: audit.is_failing(),
            audit_unrecorded: audit.unrecorded_ever(),
            audit_checkpoints_failed: audit.checkpoints_failed(),
            audit_disk_seconds_left: audit.disk_seconds_left(),
            revision: snapshot.inventory.revision,
        }
    }

    fn upstream_endpoints(&self) -> Vec<(String, &'static str, u64)> {
        let counts = self.shared.upstreams.count().into_iter();
        counts.map(|(upstream, state, count)| (upstream, state.as_str(), count)).collect()
    }

    /// By client, for as many as have series of their own: the busiest; the rest are one.
    fn in_flight(&self, snapshot: &Snapshot, most: usize) -> Vec<(String, u64)> {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        self.shared.flights.live_calls(|call| {
            let credential = call.credential.and_then(|id| snapshot.inventory.credentials.get(&id));
            let client = credential.map_or(ClientId::ANONYMOUS, |c| c.client.as_str());
            *counts.entry(client.to_owned()).or_default() += 1;
        });
        let anonymous = counts.remove_entry(ClientId::ANONYMOUS);
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| Reverse(*count));
        let rest: u64 = counts.drain(most.min(counts.len())..).map(|(_, count)| count).sum();
        counts.extend(anonymous);
        counts.extend((rest > 0).then(|| (metrics::OTHER.to_owned(), rest)));
        counts
    }
}

/// By name. Of several with one name, the one that ends first counts.
fn certificate_expiry(all: Vec<(String, UnixMicros)>, now: UnixMicros) -> Vec<(String, i64)> {
    let mut by_name: BTreeMap<String, i64> = BTreeMap::new();
    for (name, end) in all {
        let left = end.seconds() - now.seconds();
        by_name.entry(name).and_modify(|least| *least = left.min(*least)).or_insert(left);
    }
    by_name.into_iter().collect()
}

/// Clients in quarantine, for as many as have series of their own; the rest are one.
fn quarantined(snapshot: &Snapshot, most: usize, now: UnixMicros) -> Vec<(String, u64)> {
    let is_held = |client: &&Arc<Client>| {
        let held = client.quarantine.as_ref();
        held.is_some_and(|held| held.in_force(now).next().is_some())
    };
    let mut held = snapshot.inventory.clients.values().filter(is_held);
    let mut counts: Vec<_> =
        held.by_ref().take(most).map(|client| (client.id.to_string(), 1)).collect();
    let rest = held.count() as u64;
    counts.extend((rest > 0).then(|| (metrics::OTHER.to_owned(), rest)));
    counts
}

/// Limits that are in use now; those at rest are left out.
fn limits_used(snapshot: &Snapshot, most: usize, now: Now) -> Vec<(String, String, f64)> {
    let clients = snapshot.inventory.clients.values();
    clients.flat_map(|client| limits_of(snapshot, client, now)).take(most).collect()
}

fn limits_of(snapshot: &Snapshot, client: &Client, now: Now) -> Vec<(String, String, f64)> {
    let mut used: BTreeMap<String, f64> = BTreeMap::new();
    for profile in &client.profiles {
        let plan = profile.plan.as_ref().and_then(|name| snapshot.policy.plans.get(name));
        let Some(plan) = plan else { continue };
        let of_plan = usage::used(plan, &profile.meter, now);
        used.extend(
            of_plan.into_iter().map(|(limit, ratio)| (format!("{}/{limit}", plan.name), ratio)),
        );
    }
    used.into_iter().map(|(limit, ratio)| (client.id.to_string(), limit, ratio)).collect()
}
