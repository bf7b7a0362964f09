//! Clients and profiles: made, and given other terms.

use serde_json::Value;

use super::{CREDENTIALS_MAX, Draft, PROFILES_MAX, SCOPES_MAX, at_most};
use crate::inventory::change::{
    ClientChange, Expires, GrantId, IssuedKey, Line, NewClient, NewGrant, NewProfile, Outcome,
    PlanChoice, PresentationChoice, Terms, TermsChange,
};
use crate::inventory::describe;
use crate::inventory::error::{ChangeError, Thing};
use crate::inventory::store::{ClientValues, Inserted};
use crate::model::client::{Client, ClientKind};
use crate::model::id::{ClientId, ProfileName};
use crate::model::time::UnixMicros;

/// An agent that is told no expiry ends after this time: 90 days.
const AGENT_LIFETIME_SECONDS: i64 = 90 * 86_400;

impl Draft<'_> {
    /// Makes a client with its profiles, grants and credentials.
    pub(super) fn add_client(&mut self, new: &NewClient) -> Result<Vec<IssuedKey>, ChangeError> {
        let NewClient { id, kind, owner, purpose, expires, terms, profiles, credentials } = new;
        at_most(Thing::Profile, PROFILES_MAX, profiles.len() + 1, id)?;
        at_most(Thing::Credential, CREDENTIALS_MAX, credentials.len(), id)?;
        let values = ClientValues {
            owner: owner.as_str(),
            purpose: purpose.as_str(),
            expires: self.first_expiry(*kind, *expires)?,
        };
        let created = self.asked.at;
        if self.tables.insert_client(id, *kind, &values, created)? == Inserted::Taken {
            return Err(exists(Thing::Client, id));
        }
        self.insert_profile(id, &ProfileName::default(), terms)?;
        for NewProfile { name, terms } in profiles {
            self.insert_profile(id, name, terms)?;
        }
        let client = self.resolve(id)?;
        let after = describe::client(&client);
        self.act("client.add", format!("client/{id}"), None, Some(after));
        let mut keys = Vec::new();
        for new in credentials {
            keys.extend(self.insert_credential(&client, new)?);
        }
        Ok(keys)
    }

    pub(super) fn change_client(&mut self, change: &ClientChange) -> Result<Outcome, ChangeError> {
        let ClientChange { id, owner, purpose, expires, terms } = change;
        let client = self.live_client(id)?;
        let mut changed = Changed::default();
        changed.line("owner", &client.owner, owner.as_ref());
        changed.line("purpose", &client.purpose, purpose.as_ref());
        let new_expires = match expires {
            None => client.expires,
            Some(Expires::Never) => None,
            Some(Expires::At(time)) => Some(*time),
        };
        if expires.is_some() {
            self.in_future("expires", new_expires)?;
            let (before, after) = (describe::time(client.expires), describe::time(new_expires));
            changed.value("expires", before, after);
        }
        let values = ClientValues {
            owner: owner.as_ref().map_or(&*client.owner, Line::as_str),
            purpose: purpose.as_ref().map_or(&*client.purpose, Line::as_str),
            expires: new_expires,
        };
        self.tables.update_client(id, &values)?;
        if let Some(terms) = terms {
            self.change_terms(client, terms, &mut changed)?;
        }
        self.resolve(id)?;
        let (before, after) = (describe::fields(changed.before), describe::fields(changed.after));
        self.act("client.change", format!("client/{id}"), Some(before), Some(after));
        Ok(Outcome::Done)
    }

    fn change_terms(
        &mut self,
        client: &Client,
        change: &TermsChange,
        changed: &mut Changed,
    ) -> Result<(), ChangeError> {
        let TermsChange { profile: name, plan, presentation, scopes } = change;
        let profile = Self::live_profile(client, name)?;
        changed.value("profile", name.as_str().into(), name.as_str().into());
        if let Some(plan) = plan {
            let after = match plan {
                PlanChoice::Named(plan) => Some(plan),
                PlanChoice::None => None,
            };
            after.map_or(Ok(()), |plan| self.known_plan(plan))?;
            self.tables.set_plan(&client.id, name, plan)?;
            let before = describe::plan(profile.plan.as_ref());
            changed.value("plan", before, describe::plan(after));
        }
        if let Some(choice) = presentation {
            let after = match choice {
                PresentationChoice::Own(presentation) => Some(*presentation),
                PresentationChoice::OfConfig => None,
            };
            self.tables.set_presentation(&client.id, name, after)?;
            let before = describe::presentation(profile.presentation);
            changed.value("presentation", before, describe::presentation(after));
        }
        if let Some(scopes) = scopes {
            at_most(Thing::Scope, SCOPES_MAX, scopes.len(), &client.id)?;
            self.tables.set_scopes(&client.id, name, scopes)?;
            let before = describe::scopes(&profile.scopes);
            changed.value("scopes", before, describe::scopes(scopes));
        }
        Ok(())
    }

    pub(super) fn add_profile(
        &mut self,
        id: &ClientId,
        NewProfile { name, terms }: &NewProfile,
    ) -> Result<Outcome, ChangeError> {
        let client = self.live_client(id)?;
        at_most(Thing::Profile, PROFILES_MAX, client.profiles.len() + 1, id)?;
        self.insert_profile(id, name, terms)?;
        let client = self.resolve(id)?;
        let after = client.profile(name.as_str()).map(|profile| describe::profile(profile));
        self.act("profile.add", format!("profile/{id}/{name}"), None, after);
        Ok(Outcome::Done)
    }

    fn insert_profile(
        &mut self,
        client: &ClientId,
        name: &ProfileName,
        terms: &Terms,
    ) -> Result<(), ChangeError> {
        let Terms { products, scopes, plan, .. } = terms;
        at_most(Thing::Scope, SCOPES_MAX, scopes.len(), client)?;
        plan.as_ref().map_or(Ok(()), |plan| self.known_plan(plan))?;
        if self.tables.insert_profile(client, name, terms)? == Inserted::Taken {
            return Err(exists(Thing::Profile, format_args!("{client}/{name}")));
        }
        super::grant::within_bound(products.len(), client)?;
        for product in products {
            let grant =
                GrantId { client: client.clone(), profile: name.clone(), product: product.clone() };
            self.insert_grant(&NewGrant { grant, until: None, reason: None })?;
        }
        Ok(())
    }

    fn first_expiry(
        &self,
        kind: ClientKind,
        expires: Option<Expires>,
    ) -> Result<Option<UnixMicros>, ChangeError> {
        let default = match kind {
            ClientKind::Agent => {
                Some(UnixMicros::from_seconds(self.asked.at.seconds() + AGENT_LIFETIME_SECONDS))
            }
            ClientKind::App | ClientKind::Partner | ClientKind::Service => None,
        };
        let expires = match expires {
            None => default,
            Some(Expires::Never) => None,
            Some(Expires::At(time)) => Some(time),
        };
        self.in_future("expires", expires)?;
        Ok(expires)
    }
}

/// The values that a change touches, before and after.
#[derive(Default)]
struct Changed {
    before: Vec<(&'static str, Value)>,
    after: Vec<(&'static str, Value)>,
}

impl Changed {
    fn value(&mut self, name: &'static str, before: Value, after: Value) {
        self.before.push((name, before));
        self.after.push((name, after));
    }

    fn line(&mut self, name: &'static str, before: &str, after: Option<&Line>) {
        if let Some(after) = after {
            self.value(name, before.into(), after.as_str().into());
        }
    }
}

fn exists(what: Thing, name: impl ToString) -> ChangeError {
    ChangeError::AlreadyExists { what, name: name.to_string() }
}
