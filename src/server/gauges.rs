//! What gauges show when they are scraped: read from the live parts, off the worker threads.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::clock;
use crate::edge::Shared;
use crate::metrics::serve::Gauges;
use crate::metrics::{Metrics, Reading};
use crate::model::client::Client;
use crate::model::id::ClientId;
use crate::model::snapshot::Snapshot;
use crate::model::time::{MonoNs, UnixMicros};
use crate::request::limit::gcra;

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
        !self.shared.flights.is_draining()
    }
}

impl LiveGauges {
    fn read(&self) -> Reading {
        let snapshot = self.shared.snapshot.load_full();
        let clients_max = snapshot.policy.metrics.clients_max;
        let audit = &self.shared.audit;
        Reading {
            in_flight: self.in_flight(&snapshot),
            limit_used: limits_used(&snapshot, clients_max, clock::mono()),
            connections: self.shared.flights.connections_by_listener(),
            certificate_expiry: certificate_expiry(self.shared.doors.expiries(), clock::wall()),
            audit_records: audit.records_written(),
            audit_queue_bytes: audit.queued_bytes_estimate(),
            revision: snapshot.inventory.revision,
        }
    }

    fn in_flight(&self, snapshot: &Snapshot) -> Vec<(String, u64)> {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        self.shared.flights.live_calls(|call| {
            let credential = call.credential.and_then(|id| snapshot.inventory.credentials.get(&id));
            let client = credential.map_or(ClientId::ANONYMOUS, |c| c.client.as_str());
            *counts.entry(client.to_owned()).or_default() += 1;
        });
        counts.into_iter().collect()
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

/// Limits that are in use now; those at rest are left out.
fn limits_used(snapshot: &Snapshot, most: usize, now: MonoNs) -> Vec<(String, String, f64)> {
    let clients = snapshot.inventory.clients.values();
    clients.flat_map(|client| limits_of(snapshot, client, now)).take(most).collect()
}

fn limits_of(snapshot: &Snapshot, client: &Client, now: MonoNs) -> Vec<(String, String, f64)> {
    let mut used: BTreeMap<String, f64> = BTreeMap::new();
    for profile in &client.profiles {
        let plan = profile.plan.as_ref().and_then(|name| snapshot.policy.plans.get(name));
        let Some(plan) = plan else { continue };
        let cells = *profile.meter.lock();
        for (rate, cell) in plan.rates.iter().zip(cells).filter(|(_, cell)| *cell > now) {
            let left = f64::from(gcra::standing(cell, gcra::Pace::of(rate), now).remaining);
            let ratio = 1.0 - left / f64::from(rate.burst.max(1));
            used.insert(format!("{}/{}", plan.name, rate.name), ratio);
        }
    }
    used.into_iter().map(|(limit, ratio)| (client.id.to_string(), limit, ratio)).collect()
}
