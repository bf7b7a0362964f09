//! Carries out one change within a transaction: what may be done, what is written, what the audit
//! is told. It decides against the running snapshot, which is the store's content while the
//! registry's lock is held, and reads back what it wrote, so that what is in force is what is
//! stored.

mod client;
mod compare;
mod credential;
mod grant;
mod quarantine;
mod revoke;
mod suspend;

use std::sync::Arc;

use super::change::{Act, Applied, Change, Line, NewClient, Outcome};
use super::describe;
use super::error::{ChangeError, StoreError, Thing, nearest};
use super::store::{Asked, Tables};
use crate::model::client::{Client, Credential, Profile, Status};
use crate::model::id::{ClientId, CredentialId, PlanName, ProductName, ProfileName};
use crate::model::record::JsonText;
use crate::model::snapshot::Snapshot;
use crate::model::time::UnixMicros;

/// Bounds on what one client has. A request looks through a profile's grants and scopes, so these
/// are part of what a request may cost.
pub const PROFILES_MAX: usize = 32;
pub const GRANTS_MAX: usize = 128;
pub const SCOPES_MAX: usize = 64;
pub const CREDENTIALS_MAX: usize = 100_000;

/// Makes the change or nothing: on an error the caller drops the transaction.
pub fn apply(
    tables: Tables<'_>,
    change: &Change,
    snapshot: &Snapshot,
    asked: Asked<'_>,
) -> Result<Applied, ChangeError> {
    let mut draft =
        Draft { tables, snapshot, asked, clients: vec![], credentials: vec![], acts: vec![] };
    let outcome = match change {
        Change::AddClient(new) => Outcome::Issued(draft.add_client(new)?),
        Change::ChangeClient(change) => draft.change_client(change)?,
        Change::AddProfile { client, profile } => draft.add_profile(client, profile)?,
        Change::AddGrant(new) => draft.add_grant(new)?,
        Change::RemoveGrant { grant, reason } => draft.remove_grant(grant, reason)?,
        Change::AddCredential { client, credential } => {
            Outcome::Issued(draft.add_credential(client, credential)?.into_iter().collect())
        }
        Change::Revoke { target, reason } => draft.revoke(target, reason)?,
        Change::Suspend { target, until, reason } => draft.suspend(target, *until, reason)?,
        Change::Resume { target, reason } => draft.resume(target, reason.as_ref())?,
        Change::Quarantine(new) => draft.quarantine(new)?,
        Change::EndQuarantine(end) => draft.end_quarantine(end)?,
        Change::Apply(clients) => draft.apply_clients(clients)?,
    };
    Ok(draft.finish(outcome)?)
}

/// A change in the making.
struct Draft<'a> {
    tables: Tables<'a>,
    snapshot: &'a Snapshot,
    asked: Asked<'a>,
    clients: Vec<Arc<Client>>,
    credentials: Vec<Arc<Credential>>,
    acts: Vec<Act>,
}

impl<'a> Draft<'a> {
    fn finish(mut self, outcome: Outcome) -> Result<Applied, StoreError> {
        let changed = !self.clients.is_empty() || !self.credentials.is_empty();
        let revision =
            if changed { self.tables.next_revision()? } else { self.tables.revision()? };
        let Self { clients, credentials, acts, .. } = self;
        Ok(Applied { revision, clients, credentials, acts, outcome })
    }

    /// Reads a client back after its rows changed.
    fn resolve(&mut self, id: &ClientId) -> Result<Arc<Client>, StoreError> {
        let old = self.snapshot.inventory.clients.get(id).map(|old| &**old);
        let client = self.tables.resolve.client(id, old)?;
        self.clients.push(Arc::clone(&client));
        Ok(client)
    }

    fn act(
        &mut self,
        action: &'static str,
        target: String,
        before: Option<JsonText>,
        after: Option<JsonText>,
    ) {
        self.acts.push(Act { action, target, reason: None, before, after, succeeded: true });
    }

    fn act_because(
        &mut self,
        action: &'static str,
        target: String,
        reason: Option<&Line>,
        [before, after]: [Option<JsonText>; 2],
    ) {
        let reason = reason.cloned();
        self.acts.push(Act { action, target, reason, before, after, succeeded: true });
    }

    fn apply_clients(&mut self, clients: &[NewClient]) -> Result<Outcome, ChangeError> {
        let known = &self.snapshot.inventory.clients;
        let (old, new): (Vec<_>, Vec<_>) = clients.iter().partition(|c| known.get(&c.id).is_some());
        let mut differences = Vec::new();
        for wanted in &old {
            differences.extend(self.difference(wanted)?);
        }
        if !differences.is_empty() {
            return Err(ChangeError::Differs(differences));
        }
        let (added, unchanged) = (new.len(), old.len());
        let mut keys = Vec::new();
        for client in new {
            keys.extend(self.add_client(client)?);
        }
        let counts = vec![("added", added.into()), ("unchanged", unchanged.into())];
        self.act("inventory.apply", "inventory".into(), None, Some(describe::fields(counts)));
        Ok(Outcome::Applied { added, unchanged, keys })
    }

    /// A client that may still be changed.
    fn live_client(&self, id: &ClientId) -> Result<&'a Arc<Client>, ChangeError> {
        let clients = &self.snapshot.inventory.clients;
        let Some(client) = clients.get(id) else {
            let near = nearest(id.as_str(), clients.values().map(|client| client.id.as_str()));
            return Err(ChangeError::NotFound { what: Thing::Client, name: id.to_string(), near });
        };
        match client.status {
            Status::Active => Ok(client),
            Status::Revoked => {
                Err(ChangeError::Revoked { what: Thing::Client, name: id.to_string() })
            }
        }
    }

    /// A credential that may still be changed.
    fn live_credential(&self, id: CredentialId) -> Result<&'a Arc<Credential>, ChangeError> {
        let (what, name) = (Thing::Credential, id.to_string());
        match self.snapshot.inventory.credentials.get(&id) {
            None => Err(ChangeError::NotFound { what, name, near: None }),
            Some(old) if old.status == Status::Revoked => Err(ChangeError::Revoked { what, name }),
            Some(old) => Ok(old),
        }
    }

    /// A profile that may still be changed.
    fn live_profile<'c>(
        client: &'c Client,
        name: &ProfileName,
    ) -> Result<&'c Arc<Profile>, ChangeError> {
        let told = || format!("{}/{name}", client.id);
        let Some(profile) = client.profile(name.as_str()) else {
            let near = nearest(name.as_str(), client.profiles.iter().map(|p| p.name.as_str()));
            return Err(ChangeError::NotFound { what: Thing::Profile, name: told(), near });
        };
        match profile.status {
            Status::Active => Ok(profile),
            Status::Revoked => Err(ChangeError::Revoked { what: Thing::Profile, name: told() }),
        }
    }

    fn known_product(&self, name: &ProductName) -> Result<(), ChangeError> {
        let products = &self.snapshot.policy.products;
        if products.iter().any(|product| product.name == *name) {
            return Ok(());
        }
        let near = nearest(name.as_str(), products.iter().map(|product| product.name.as_str()));
        Err(ChangeError::NotFound { what: Thing::Product, name: name.to_string(), near })
    }

    fn known_plan(&self, name: &PlanName) -> Result<(), ChangeError> {
        let plans = &self.snapshot.policy.plans;
        if plans.contains_key(name) {
            return Ok(());
        }
        let near = nearest(name.as_str(), plans.keys().map(PlanName::as_str));
        Err(ChangeError::NotFound { what: Thing::Plan, name: name.to_string(), near })
    }

    fn in_future(&self, field: &'static str, time: Option<UnixMicros>) -> Result<(), ChangeError> {
        match time {
            Some(time) if time <= self.asked.at => Err(ChangeError::BadValue {
                field,
                problem: format!("is in the past: {time}").into(),
            }),
            _ => Ok(()),
        }
    }
}

fn at_most(what: Thing, max: usize, count: usize, of: impl ToString) -> Result<(), ChangeError> {
    if count <= max {
        return Ok(());
    }
    Err(ChangeError::TooMany { what, of: of.to_string(), max })
}
