//! Credentials: a key is made here or known by its hash. A secret leaves only in the outcome.

use std::sync::{Arc, OnceLock};

use super::{CREDENTIALS_MAX, Draft, at_most};
use crate::inventory::change::{IssuedKey, KeySource, Line, NewCredential};
use crate::inventory::describe;
use crate::inventory::error::{ChangeError, Thing};
use crate::inventory::store::Inserted;
use crate::model::client::{Client, Credential, Status};
use crate::model::id::ClientId;
use crate::model::key::NewKey;
use crate::model::proof::Proof;

impl Draft<'_> {
    pub(super) fn add_credential(
        &mut self,
        client: &ClientId,
        new: &NewCredential,
    ) -> Result<Option<IssuedKey>, ChangeError> {
        let client = self.live_client(client)?;
        Self::live_profile(client, &new.profile)?;
        let count = self.tables.count_credentials(&client.id)? as usize + 1;
        at_most(Thing::Credential, CREDENTIALS_MAX, count, &client.id)?;
        self.insert_credential(client, new)
    }

    /// The row of a credential, for a client that is there.
    pub(super) fn insert_credential(
        &mut self,
        client: &Client,
        new: &NewCredential,
    ) -> Result<Option<IssuedKey>, ChangeError> {
        let profile = Self::live_profile(client, &new.profile)?;
        self.in_future("expires", new.expires)?;
        let (key, id, secret_sha256) = match &new.key {
            KeySource::Issued(environment) => {
                let key = NewKey::from_random(environment, rand::random(), rand::random());
                let (id, secret_sha256) = (key.id, key.secret_sha256);
                (Some(key), id, secret_sha256)
            }
            KeySource::Known { id, secret_sha256 } => (None, *id, *secret_sha256),
        };
        let credential = Arc::new(Credential {
            id,
            client: client.id.clone(),
            profile: profile.name.clone(),
            secret_sha256,
            proof: Proof::default(),
            status: Status::Active,
            expires: new.expires,
            suspended_until: None,
            holder: new.holder.as_ref().map(|holder| Line::as_str(holder).into()),
            facts: OnceLock::new(),
        });
        if self.tables.insert_credential(&credential, self.asked.at)? == Inserted::Taken {
            let (what, name) = (Thing::Credential, id.to_string());
            return Err(ChangeError::AlreadyExists { what, name });
        }
        let after = describe::credential(&credential);
        self.act("credential.add", format!("credential/{id}"), None, Some(after));
        self.credentials.push(Arc::clone(&credential));
        Ok(key.map(|key| IssuedKey { key, credential }))
    }
}
