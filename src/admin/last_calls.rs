//! The last calls of what was stopped, for the receipt: read from the end of the audit, when
//! somebody revokes or suspends, so that no request pays for it.

use std::path::Path;

use super::wire;
use crate::audit;
use crate::audit::filter::{ClientFilter, Filter};
use crate::audit::recent::{self, Recent};
use crate::inventory::change::{Change, NewQuarantine, Suspendable, Target};
use crate::model::id::{ClientId, CredentialId};

/// How many of them, newest first; none of a change that stops nothing. The audit that cannot be
/// read is told to the log: the change is made.
pub fn of(change: &Change, data_dir: &Path) -> Vec<wire::LastCall> {
    let (filter, id) = match change {
        Change::Revoke {
            target: Target::Client(id) | Target::Profile { client: id, .. }, ..
        }
        | Change::Suspend { target: Suspendable::Client(id), .. }
        | Change::Quarantine(NewQuarantine { client: id, .. }) => of_client(id),
        Change::Revoke { target: Target::Credential(id), .. }
        | Change::Suspend { target: Suspendable::Credential(id), .. } => of_credential(*id),
        Change::AddClient(_)
        | Change::ChangeClient(_)
        | Change::AddProfile { .. }
        | Change::AddGrant(_)
        | Change::RemoveGrant { .. }
        | Change::AddCredential { .. }
        | Change::Resume { .. }
        | Change::EndQuarantine(_)
        | Change::Apply(_) => return Vec::new(),
    };
    let found = recent::requests(&audit::directory(data_dir), &filter, &id, ROWS_MAX);
    let found = found.unwrap_or_else(|error| {
        log::warn!("the last calls are not known: {error}");
        Vec::new()
    });
    found.into_iter().map(show).collect()
}

const ROWS_MAX: usize = 5;

fn of_client(id: &ClientId) -> (Filter, String) {
    (Filter { client: Some(ClientFilter::Is(id.clone())), ..Filter::default() }, id.to_string())
}

fn of_credential(id: CredentialId) -> (Filter, String) {
    (Filter { credential: Some(id), ..Filter::default() }, id.to_string())
}

fn show(Recent { time, operation, status, source_ip }: Recent) -> wire::LastCall {
    wire::LastCall {
        time: time.to_string(),
        operation,
        status,
        source: source_ip.map(|ip| ip.to_string()),
    }
}
