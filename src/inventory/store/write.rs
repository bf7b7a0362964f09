//! The rows that a change writes, one function for each kind of write. An insert answers whether
//! the row is new, so that only the database says what exists.

use rusqlite::{Connection, Statement, params};

use super::read::{self, Resolve};
use crate::inventory::change::{GrantId, Line, PlanChoice, Terms};
use crate::inventory::error::StoreError;
use crate::model::client::{ClientKind, Credential, Status};
use crate::model::id::{ClientId, CredentialId, PlanName, ProfileName, Scope};
use crate::model::mcp::Presentation;
use crate::model::time::UnixMicros;

/// The tables, within one transaction.
pub struct Tables<'t> {
    pub(super) connection: &'t Connection,
    /// Of these an `inventory apply` may need many.
    insert_client: Statement<'t>,
    insert_profile: Statement<'t>,
    insert_grant: Statement<'t>,
    insert_credential: Statement<'t>,
    pub resolve: Resolve<'t>,
}

/// The columns of a client that an act may set.
pub struct ClientValues<'a> {
    pub owner: &'a str,
    pub purpose: &'a str,
    pub expires: Option<UnixMicros>,
}

/// The columns of a grant beside its key: until when, by whom, why.
pub struct GrantValues<'a> {
    pub until: Option<UnixMicros>,
    pub reason: Option<&'a Line>,
    pub actor: &'a str,
}

/// Whether an insert found its place free.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use]
pub enum Inserted {
    Yes,
    /// The row exists already and is as it was.
    Taken,
}

impl<'t> Tables<'t> {
    pub(super) fn new(connection: &'t Connection) -> Result<Self, StoreError> {
        Ok(Self {
            connection,
            insert_client: connection.prepare(
                "INSERT INTO client VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, NULL)
                 ON CONFLICT DO NOTHING",
            )?,
            insert_profile: connection.prepare(
                "INSERT INTO profile VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
            )?,
            insert_grant: connection.prepare(
                "INSERT INTO grant_ VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
            )?,
            insert_credential: connection.prepare(
                "INSERT INTO credential VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                 ON CONFLICT DO NOTHING",
            )?,
            resolve: Resolve::new(connection)?,
        })
    }

    pub fn insert_client(
        &mut self,
        id: &ClientId,
        kind: ClientKind,
        values: &ClientValues<'_>,
        created: UnixMicros,
    ) -> Result<Inserted, StoreError> {
        let ClientValues { owner, purpose, expires } = values;
        let (kind, status) = (kind.as_str(), Status::Active.as_str());
        let expires = expires.map(|t| t.0);
        let row = params![id.as_str(), kind, owner, purpose, status, expires, created.0];
        Ok(inserted(self.insert_client.execute(row)?))
    }

    pub fn insert_profile(
        &mut self,
        client: &ClientId,
        name: &ProfileName,
        terms: &Terms,
    ) -> Result<Inserted, StoreError> {
        let plan = terms.plan.as_ref().map(PlanName::as_str);
        let (status, scopes) = (Status::Active.as_str(), joined(&terms.scopes));
        let presentation = terms.presentation.map(Presentation::as_str);
        let row = params![client.as_str(), name.as_str(), status, plan, scopes, presentation];
        Ok(inserted(self.insert_profile.execute(row)?))
    }

    pub fn insert_grant(
        &mut self,
        grant: &GrantId,
        values: &GrantValues<'_>,
        created: UnixMicros,
    ) -> Result<Inserted, StoreError> {
        let GrantId { client, profile, product } = grant;
        let GrantValues { until, reason, actor } = values;
        let (until, reason) = (until.map(|t| t.0), reason.map(Line::as_str));
        let (client, profile, product) = (client.as_str(), profile.as_str(), product.as_str());
        let row = params![client, profile, product, until, reason, actor, created.0];
        Ok(inserted(self.insert_grant.execute(row)?))
    }

    pub fn insert_credential(
        &mut self,
        credential: &Credential,
        created: UnixMicros,
    ) -> Result<Inserted, StoreError> {
        let Credential { id, client, profile, secret_sha256, status, expires, holder, .. } =
            credential;
        Ok(inserted(self.insert_credential.execute(params![
            id.as_str(),
            client.as_str(),
            profile.as_str(),
            secret_sha256,
            status.as_str(),
            expires.map(|t| t.0),
            holder.as_deref(),
            created.0,
            credential.suspended_until.map(|t| t.0),
        ])?))
    }

    pub fn update_client(
        &mut self,
        id: &ClientId,
        values: &ClientValues<'_>,
    ) -> Result<(), StoreError> {
        let ClientValues { owner, purpose, expires } = values;
        self.connection.execute(
            "UPDATE client SET owner = ?2, purpose = ?3, expires = ?4 WHERE id = ?1",
            params![id.as_str(), owner, purpose, expires.map(|t| t.0)],
        )?;
        Ok(())
    }

    pub fn set_plan(
        &mut self,
        client: &ClientId,
        profile: &ProfileName,
        plan: &PlanChoice,
    ) -> Result<(), StoreError> {
        let plan = match plan {
            PlanChoice::Named(name) => Some(name.as_str()),
            PlanChoice::None => None,
        };
        self.connection.execute(
            "UPDATE profile SET plan = ?3 WHERE client = ?1 AND name = ?2",
            params![client.as_str(), profile.as_str(), plan],
        )?;
        Ok(())
    }

    /// None: as the config says.
    pub fn set_presentation(
        &mut self,
        client: &ClientId,
        profile: &ProfileName,
        presentation: Option<Presentation>,
    ) -> Result<(), StoreError> {
        self.connection.execute(
            "UPDATE profile SET presentation = ?3 WHERE client = ?1 AND name = ?2",
            params![client.as_str(), profile.as_str(), presentation.map(Presentation::as_str)],
        )?;
        Ok(())
    }

    pub fn set_scopes<'s>(
        &mut self,
        client: &ClientId,
        profile: &ProfileName,
        scopes: impl IntoIterator<Item = &'s Scope>,
    ) -> Result<(), StoreError> {
        self.connection.execute(
            "UPDATE profile SET scopes = ?3 WHERE client = ?1 AND name = ?2",
            params![client.as_str(), profile.as_str(), joined(scopes)],
        )?;
        Ok(())
    }

    pub fn delete_grant(&mut self, grant: &GrantId) -> Result<(), StoreError> {
        let GrantId { client, profile, product } = grant;
        self.connection.execute(
            "DELETE FROM grant_ WHERE client = ?1 AND profile = ?2 AND product = ?3",
            params![client.as_str(), profile.as_str(), product.as_str()],
        )?;
        Ok(())
    }

    pub fn revoke_client(&mut self, id: &ClientId) -> Result<(), StoreError> {
        self.connection.execute(
            "UPDATE client SET status = ?2 WHERE id = ?1",
            params![id.as_str(), Status::Revoked.as_str()],
        )?;
        Ok(())
    }

    pub fn revoke_profile(
        &mut self,
        client: &ClientId,
        name: &ProfileName,
    ) -> Result<(), StoreError> {
        self.connection.execute(
            "UPDATE profile SET status = ?3 WHERE client = ?1 AND name = ?2",
            params![client.as_str(), name.as_str(), Status::Revoked.as_str()],
        )?;
        Ok(())
    }

    pub fn revoke_credential(&mut self, id: CredentialId) -> Result<(), StoreError> {
        self.connection.execute(
            "UPDATE credential SET status = ?2 WHERE id = ?1",
            params![id.as_str(), Status::Revoked.as_str()],
        )?;
        Ok(())
    }

    pub fn suspend_client(
        &mut self,
        id: &ClientId,
        until: Option<UnixMicros>,
    ) -> Result<(), StoreError> {
        self.connection.execute(
            "UPDATE client SET suspended_until = ?2 WHERE id = ?1",
            params![id.as_str(), until.map(|t| t.0)],
        )?;
        Ok(())
    }

    pub fn suspend_credential(
        &mut self,
        id: CredentialId,
        until: Option<UnixMicros>,
    ) -> Result<(), StoreError> {
        self.connection.execute(
            "UPDATE credential SET suspended_until = ?2 WHERE id = ?1",
            params![id.as_str(), until.map(|t| t.0)],
        )?;
        Ok(())
    }

    pub fn count_credentials(&self, client: &ClientId) -> Result<u32, StoreError> {
        let sql = "SELECT count(*) FROM credential WHERE client = ?1";
        Ok(self.connection.query_row(sql, [client.as_str()], |row| row.get(0))?)
    }

    pub fn revision(&self) -> Result<u64, StoreError> {
        read::revision(self.connection)
    }

    /// Counts the change.
    pub fn next_revision(&mut self) -> Result<u64, StoreError> {
        self.connection.execute("UPDATE meta SET revision = revision + 1", [])?;
        self.revision()
    }
}

fn inserted(rows: usize) -> Inserted {
    if rows == 0 { Inserted::Taken } else { Inserted::Yes }
}

fn joined<'s>(scopes: impl IntoIterator<Item = &'s Scope>) -> String {
    scopes.into_iter().map(Scope::as_str).collect::<Vec<_>>().join(" ")
}
