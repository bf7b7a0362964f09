//! Suspending and resuming: a client or credential keeps all it has, and the gate refuses it until
//! a time or until it is resumed. The end needs no act: it is a time that requests compare.

use std::sync::Arc;

use super::Draft;
use super::revoke::can_call;
use crate::inventory::change::{Line, Outcome, Suspendable};
use crate::inventory::describe;
use crate::inventory::error::{ChangeError, Thing};
use crate::model::client::Credential;
use crate::model::id::{ClientId, CredentialId};
use crate::model::time::UnixMicros;

impl Draft<'_> {
    pub(super) fn suspend(
        &mut self,
        target: &Suspendable,
        until: UnixMicros,
        reason: &Line,
    ) -> Result<Outcome, ChangeError> {
        self.in_future("the end of the suspension", Some(until))?;
        let before = self.suspended_until(target)?;
        // It only takes away: who is suspended for longer stays so.
        if before.is_some_and(|before| before > until) {
            return Err(ChangeError::Suspended { target: target.clone(), until: before });
        }
        let stopped = match target {
            Suspendable::Client(id) => {
                let client = self.live_client(id)?;
                self.usable(client, |_| true)?
            }
            Suspendable::Credential(id) => {
                let credential = self.live_credential(*id)?;
                let client = self.snapshot.inventory.clients.get(&credential.client);
                let usable =
                    client.is_some_and(|client| can_call(credential, client, self.asked.at));
                usable.then_some(*id).into_iter().collect()
            }
        };
        self.set(target, before, Some(until))?;
        let action = match target {
            Suspendable::Client(_) => "client.suspend",
            Suspendable::Credential(_) => "credential.suspend",
        };
        let values = [before, Some(until)].map(|until| Some(describe::suspension(until)));
        self.act_because(action, target.to_string(), Some(reason), values);
        Ok(Outcome::Stopped(stopped))
    }

    pub(super) fn resume(
        &mut self,
        target: &Suspendable,
        reason: Option<&Line>,
    ) -> Result<Outcome, ChangeError> {
        let before = self.suspended_until(target)?;
        if before.is_none() {
            return Err(ChangeError::NotSuspended { target: target.clone() });
        }
        self.set(target, before, None)?;
        let action = match target {
            Suspendable::Client(_) => "client.resume",
            Suspendable::Credential(_) => "credential.resume",
        };
        let values = [before, None].map(|until| Some(describe::suspension(until)));
        self.act_because(action, target.to_string(), reason, values);
        Ok(Outcome::Done)
    }

    /// The end of the suspension that is in force.
    fn suspended_until(&self, target: &Suspendable) -> Result<Option<UnixMicros>, ChangeError> {
        let until = match target {
            Suspendable::Client(id) => self.live_client(id)?.suspended_until,
            Suspendable::Credential(id) => self.live_credential(*id)?.suspended_until,
        };
        Ok(until.filter(|until| *until > self.asked.at))
    }

    fn set(
        &mut self,
        target: &Suspendable,
        before: Option<UnixMicros>,
        until: Option<UnixMicros>,
    ) -> Result<(), ChangeError> {
        if before == until {
            return Ok(());
        }
        match target {
            Suspendable::Client(id) => self.set_client(id, until),
            Suspendable::Credential(id) => self.set_credential(*id, until),
        }
    }

    fn set_client(&mut self, id: &ClientId, until: Option<UnixMicros>) -> Result<(), ChangeError> {
        self.tables.suspend_client(id, until)?;
        self.resolve(id)?;
        Ok(())
    }

    fn set_credential(
        &mut self,
        id: CredentialId,
        until: Option<UnixMicros>,
    ) -> Result<(), ChangeError> {
        let old = self.live_credential(id)?;
        self.tables.suspend_credential(id, until)?;
        self.credentials
            .push(Arc::new(Credential { suspended_until: until, ..Credential::copy_of(old) }));
        Ok(())
    }
}

impl Suspendable {
    /// What it is, and its name, for people.
    pub fn told(&self) -> (Thing, String) {
        match self {
            Self::Client(id) => (Thing::Client, id.to_string()),
            Self::Credential(id) => (Thing::Credential, id.to_string()),
        }
    }
}
