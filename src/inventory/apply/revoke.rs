//! Revoking: final. A client's or a profile's credentials keep their rows; the gate refuses them
//! because what they belong to is revoked.

use std::sync::Arc;

use super::Draft;
use crate::inventory::change::{Line, Outcome, Target};
use crate::inventory::describe;
use crate::inventory::error::ChangeError;
use crate::model::client::{Client, Credential, Status};
use crate::model::id::{ClientId, CredentialId, ProfileName};
use crate::model::time::UnixMicros;

impl Draft<'_> {
    pub(super) fn revoke(
        &mut self,
        target: &Target,
        reason: &Line,
    ) -> Result<Outcome, ChangeError> {
        let (action, stopped) = match target {
            Target::Client(id) => ("client.revoke", self.revoke_client(id)?),
            Target::Profile { client, profile } => {
                ("profile.revoke", self.revoke_profile(client, profile)?)
            }
            Target::Credential(id) => ("credential.revoke", self.revoke_credential(*id)?),
        };
        let values = [Status::Active, Status::Revoked].map(|s| Some(describe::status(s)));
        self.act_because(action, target.to_string(), Some(reason), values);
        Ok(Outcome::Stopped(stopped))
    }

    fn revoke_client(&mut self, id: &ClientId) -> Result<Vec<CredentialId>, ChangeError> {
        let client = self.live_client(id)?;
        let stopped = self.usable(client, |_| true)?;
        self.tables.revoke_client(id)?;
        self.resolve(id)?;
        Ok(stopped)
    }

    fn revoke_profile(
        &mut self,
        client: &ClientId,
        name: &ProfileName,
    ) -> Result<Vec<CredentialId>, ChangeError> {
        let client = self.live_client(client)?;
        Self::live_profile(client, name)?;
        let stopped = self.usable(client, |credential| credential.profile == *name)?;
        self.tables.revoke_profile(&client.id, name)?;
        self.resolve(&client.id)?;
        Ok(stopped)
    }

    fn revoke_credential(&mut self, id: CredentialId) -> Result<Vec<CredentialId>, ChangeError> {
        let old = self.live_credential(id)?;
        let client = self.snapshot.inventory.clients.get(&old.client);
        let usable = client.is_some_and(|client| can_call(old, client, self.asked.at));
        self.tables.revoke_credential(id)?;
        self.credentials
            .push(Arc::new(Credential { status: Status::Revoked, ..Credential::copy_of(old) }));
        Ok(usable.then_some(id).into_iter().collect())
    }

    /// Those of a client's credentials that can be used until now.
    pub(super) fn usable(
        &mut self,
        client: &Client,
        wanted: impl Fn(&Credential) -> bool,
    ) -> Result<Vec<CredentialId>, ChangeError> {
        let now = self.asked.at;
        let all = self.tables.resolve.credentials_of(client)?.into_iter();
        let usable = all.filter(|c| wanted(c) && can_call(c, client, now));
        Ok(usable.map(|credential| credential.id).collect())
    }
}

/// Whether the gate would take it for its client's, whatever it may then call.
pub(super) fn can_call(credential: &Credential, client: &Client, now: UnixMicros) -> bool {
    let suspended = |until: Option<UnixMicros>| until.is_some_and(|until| now < until);
    let lasts = |expires: Option<UnixMicros>| expires.is_none_or(|expires| expires > now);
    let profile = client.profile(credential.profile.as_str());
    credential.status == Status::Active
        && client.status == Status::Active
        && profile.is_some_and(|profile| profile.status == Status::Active)
        && lasts(credential.expires)
        && lasts(client.expires)
        && !suspended(credential.suspended_until)
        && !suspended(client.suspended_until)
}
