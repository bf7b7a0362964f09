//! What the inventory needs of the config. A config without it would take access from clients that
//! nobody decided about, so a reload asks here first.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use super::error::Thing;
use crate::model::client::{Grant, Status};
use crate::model::id::{ClientId, ProfileName};
use crate::model::policy::Policy;
use crate::model::snapshot::Inventory;
use crate::model::time::UnixMicros;

/// A product or plan that a config lacks though it is in use.
#[derive(Debug, Eq, PartialEq)]
pub struct InUse {
    pub what: Thing,
    pub name: Box<str>,
    /// The first by name, at most ten.
    pub users: Vec<(ClientId, ProfileName)>,
    /// How many there are.
    pub count: usize,
}

const USERS_SHOWN_MAX: usize = 10;

/// What a policy lacks: products of grants that are not over, and plans, of clients and profiles
/// that are not revoked.
pub fn missing(policy: &Policy, inventory: &Inventory, now: UnixMicros) -> Vec<InUse> {
    let products: HashSet<&str> = policy.products.iter().map(|p| p.name.as_str()).collect();
    let mut missing: BTreeMap<(Thing, &str), Vec<(ClientId, ProfileName)>> = BTreeMap::new();
    for client in inventory.clients.values().filter(|client| client.status == Status::Active) {
        for profile in client.profiles.iter().filter(|p| p.status == Status::Active) {
            let plan = profile.plan.as_ref().filter(|plan| !policy.plans.contains_key(*plan));
            let lasts = |grant: &&Grant| grant.until.is_none_or(|until| until > now);
            let granted = profile.grants.iter().filter(lasts).map(|grant| grant.product.as_str());
            let gone = granted.filter(|product| !products.contains(product));
            let plan = plan.map(|plan| (Thing::Plan, plan.as_str()));
            for key in gone.map(|product| (Thing::Product, product)).chain(plan) {
                let user = (client.id.clone(), profile.name.clone());
                missing.entry(key).or_default().push(user);
            }
        }
    }
    missing.into_iter().map(|((what, name), users)| in_use(what, name, users)).collect()
}

fn in_use(what: Thing, name: &str, mut users: Vec<(ClientId, ProfileName)>) -> InUse {
    let count = users.len();
    users.sort();
    users.truncate(USERS_SHOWN_MAX);
    InUse { what, name: name.into(), users, count }
}

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} '{}' is in use by ", self.what.as_str(), self.name)?;
        for (at, (client, profile)) in self.users.iter().enumerate() {
            write!(f, "{}{client}/{profile}", if at == 0 { "" } else { ", " })?;
        }
        match self.count.saturating_sub(self.users.len()) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
