//! Grants: one product to one profile, given and taken.

use super::{Draft, GRANTS_MAX, at_most};
use crate::inventory::change::{GrantId, Line, NewGrant, Outcome};
use crate::inventory::describe;
use crate::inventory::error::{ChangeError, Thing, nearest};
use crate::inventory::store::{GrantValues, Inserted};
use crate::model::client::{Grant, Profile};
use crate::model::id::ClientId;

impl Draft<'_> {
    /// A grant whose time is over may be given again: the old one stays in the record.
    pub(super) fn add_grant(&mut self, new: &NewGrant) -> Result<Outcome, ChangeError> {
        let NewGrant { grant, until, reason } = new;
        let client = self.live_client(&grant.client)?;
        let profile = Self::live_profile(client, &grant.profile)?;
        let old = find(profile, grant);
        let over = |old: &Grant| old.until.is_some_and(|until| until <= self.asked.at);
        if old.is_some_and(over) {
            self.tables.delete_grant(grant)?;
        } else {
            within_bound(profile.grants.len() + 1, &grant.client)?;
        }
        self.in_future("until", *until)?;
        self.insert_grant(new)?;
        self.resolve(&grant.client)?;
        let values = [old.map(describe::grant), Some(describe::new_grant(new))];
        self.act_because("grant.add", format!("grant/{grant}"), reason.as_ref(), values);
        Ok(Outcome::Done)
    }

    pub(super) fn remove_grant(
        &mut self,
        grant: &GrantId,
        reason: &Line,
    ) -> Result<Outcome, ChangeError> {
        let client = self.live_client(&grant.client)?;
        let profile = Self::live_profile(client, &grant.profile)?;
        let Some(old) = find(profile, grant) else {
            let granted = profile.grants.iter().map(|grant| grant.product.as_str());
            let near = nearest(grant.product.as_str(), granted);
            return Err(ChangeError::NotFound {
                what: Thing::Grant,
                name: grant.to_string(),
                near,
            });
        };
        self.tables.delete_grant(grant)?;
        self.resolve(&grant.client)?;
        let values = [Some(describe::grant(old)), None];
        self.act_because("grant.remove", format!("grant/{grant}"), Some(reason), values);
        Ok(Outcome::Done)
    }

    /// The row of a grant, to a profile that is there.
    pub(super) fn insert_grant(&mut self, new: &NewGrant) -> Result<(), ChangeError> {
        let NewGrant { grant, until, reason } = new;
        self.known_product(&grant.product)?;
        let actor = self.asked.by.as_str();
        let values = GrantValues { until: *until, reason: reason.as_ref(), actor };
        match self.tables.insert_grant(grant, &values, self.asked.at)? {
            Inserted::Yes => Ok(()),
            Inserted::Taken => {
                Err(ChangeError::AlreadyExists { what: Thing::Grant, name: grant.to_string() })
            }
        }
    }
}

pub(super) fn within_bound(count: usize, client: &ClientId) -> Result<(), ChangeError> {
    at_most(Thing::Grant, GRANTS_MAX, count, client)
}

fn find<'p>(profile: &'p Profile, grant: &GrantId) -> Option<&'p Grant> {
    profile.grants.iter().find(|old| old.product == grant.product)
}
