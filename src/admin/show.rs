//! From values to what the admin socket says.

use super::{example, wire};
use crate::inventory::change::{IssuedKey, Outcome};
use crate::inventory::store::{
    ClientDetail, ClientRow, CredentialRow, GrantRow, Page, ProfileRow, QuarantineRow,
};
use crate::inventory::{Done, Recorded};
use crate::model::id::{CredentialId, Scope};
use crate::model::quarantine::Restriction;
use crate::model::snapshot::Snapshot;
use crate::model::time::UnixMicros;

/// What a change did; `now` is the snapshot that it led to.
pub fn done(done: Done, now: &Snapshot, last_calls: Vec<wire::LastCall>) -> wire::Made {
    let Done { revision, outcome, ended, enforced, recorded } = done;
    let receipt = |credentials: &[CredentialId]| wire::Receipt {
        credentials: credentials.iter().map(ToString::to_string).collect(),
        requests_ended: ended.requests,
        streams_ended: ended.streams,
        enforced_us: u64::try_from(enforced.as_micros()).unwrap_or(u64::MAX),
        last_calls,
    };
    let outcome = match outcome {
        Outcome::Done => wire::Outcome::Done,
        Outcome::Issued(keys) => wire::Outcome::Issued(issued(keys, now)),
        Outcome::Stopped(credentials) => wire::Outcome::Stopped(receipt(&credentials)),
        Outcome::Limited(credentials) => wire::Outcome::Limited(receipt(&credentials)),
        Outcome::Applied { added, unchanged, keys } => {
            wire::Outcome::Applied { added, unchanged, keys: issued(keys, now) }
        }
    };
    wire::Made { revision, outcome, warning: warning(recorded) }
}

/// What to say when the audit does not have the record yet.
pub fn warning(recorded: Recorded) -> Option<String> {
    match recorded {
        Recorded::Yes => None,
        Recorded::Waits(why) => Some(format!(
            "the change is made, but the audit could not record it: {}. Its record waits in the \
             inventory; until it is written, nothing more can be allowed.",
            why.0
        )),
    }
}

fn issued(keys: Vec<IssuedKey>, now: &Snapshot) -> Vec<wire::IssuedKey> {
    let show = |IssuedKey { key, credential }: IssuedKey| wire::IssuedKey {
        client: credential.client.to_string(),
        profile: credential.profile.to_string(),
        credential: credential.id.to_string(),
        key: wire::ShownOnce(key.reveal().to_owned()),
        holder: credential.holder.as_deref().map(str::to_owned),
        expires: time(credential.expires),
        url: example::url(now, &credential),
    };
    keys.into_iter().map(show).collect()
}

pub fn status(snapshot: &Snapshot) -> wire::Status {
    wire::Status {
        version: env!("CARGO_PKG_VERSION").into(),
        policy: snapshot.label.to_string(),
        revision: snapshot.inventory.revision,
        clients: snapshot.inventory.clients.len(),
        credentials: snapshot.inventory.credentials.len(),
    }
}

pub fn clients(page: Page<ClientRow>) -> wire::Page<wire::Client> {
    let next = next(&page, |row| row.id.to_string());
    wire::Page { rows: page.rows.into_iter().map(client).collect(), next }
}

pub fn grants(page: Page<GrantRow>) -> wire::Page<wire::Grant> {
    let next = next(&page, |row| format!("{}/{}/{}", row.client, row.profile, row.product));
    wire::Page { rows: page.rows.into_iter().map(grant).collect(), next }
}

pub fn credentials(page: Page<CredentialRow>) -> wire::Page<wire::Credential> {
    let next = next(&page, |row| row.id.to_string());
    wire::Page { rows: page.rows.into_iter().map(credential).collect(), next }
}

pub fn client_detail(detail: ClientDetail) -> wire::ClientDetail {
    wire::ClientDetail {
        client: client(detail.client),
        profiles: detail.profiles.into_iter().map(profile).collect(),
        grants: detail.grants.into_iter().map(grant).collect(),
        quarantines: detail.quarantines.into_iter().map(quarantine).collect(),
    }
}

fn quarantine(row: QuarantineRow) -> wire::Quarantine {
    let (rate, operation) = match &row.restriction {
        Restriction::ReadsOnly => (None, None),
        Restriction::Rate(rate) => (Some(rate.to_string()), None),
        Restriction::Operation(id) => (None, Some(id.to_string())),
    };
    wire::Quarantine {
        kind: row.restriction.kind().into(),
        rate,
        operation,
        until: row.until.to_string(),
        reason: row.reason,
        actor: row.actor,
        created: row.created.to_string(),
    }
}

fn next<Row>(page: &Page<Row>, cursor: impl Fn(&Row) -> String) -> Option<String> {
    page.rows.last().filter(|_| page.more).map(cursor)
}

fn client(row: ClientRow) -> wire::Client {
    wire::Client {
        id: row.id.to_string(),
        kind: row.kind.as_str().into(),
        owner: row.owner,
        purpose: row.purpose,
        status: row.status.as_str().into(),
        expires: time(row.expires),
        suspended_until: suspension(row.suspended_until),
        quarantined_until: time(row.quarantined_until),
        created: row.created.to_string(),
        profiles: row.profiles,
        grants: row.grants,
        credentials: row.credentials,
    }
}

fn profile(row: ProfileRow) -> wire::Profile {
    wire::Profile {
        name: row.name.to_string(),
        status: row.status.as_str().into(),
        plan: row.plan.map(|plan| plan.to_string()),
        presentation: row.presentation.map(|presentation| presentation.as_str().into()),
        scopes: row.scopes.iter().map(Scope::to_string).collect(),
    }
}

fn grant(row: GrantRow) -> wire::Grant {
    wire::Grant {
        client: row.client.to_string(),
        profile: row.profile.to_string(),
        product: row.product.to_string(),
        until: time(row.until),
        reason: row.reason,
        actor: row.actor,
        created: row.created.to_string(),
    }
}

fn credential(row: CredentialRow) -> wire::Credential {
    wire::Credential {
        id: row.id.to_string(),
        client: row.client.to_string(),
        profile: row.profile.to_string(),
        status: row.status.as_str().into(),
        expires: time(row.expires),
        suspended_until: suspension(row.suspended_until),
        holder: row.holder,
        created: row.created.to_string(),
    }
}

fn suspension(until: Option<UnixMicros>) -> Option<String> {
    match until {
        Some(UnixMicros::FOREVER) => Some(UNTIL_RESUMED.to_owned()),
        until => time(until),
    }
}

/// What stands for the end of a suspension that has none. It sorts after every time.
pub const UNTIL_RESUMED: &str = "until it is resumed";

fn time(time: Option<UnixMicros>) -> Option<String> {
    time.map(|time| time.to_string())
}
