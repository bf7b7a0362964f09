//! Whether an existing client is as `inventory apply` is told. Its profiles and grants must be
//! exactly those of the file. Its credentials come and go: a known key of the file must be there
//! as told, and a key that the file asks for must have been issued once.

use std::collections::{BTreeMap, HashMap};

use super::Draft;
use crate::inventory::change::{Expires, KeySource, Line, NewClient, NewCredential, Terms};
use crate::inventory::error::{ChangeError, Difference};
use crate::model::client::{Client, Credential, Profile, Status};
use crate::model::id::ProfileName;

impl Draft<'_> {
    /// How the client of that id differs, if it is there and does.
    pub(super) fn difference(
        &mut self,
        new: &NewClient,
    ) -> Result<Option<Difference>, ChangeError> {
        let Some(client) = self.snapshot.inventory.clients.get(&new.id) else { return Ok(None) };
        let credentials = self.tables.resolve.credentials_of(client)?;
        let how = client_differs(new, client)
            .or_else(|| profiles_differ(new, client))
            .or_else(|| credentials_differ(&new.credentials, &credentials));
        Ok(how.map(|how| Difference { client: new.id.clone(), how }))
    }
}

fn client_differs(new: &NewClient, old: &Client) -> Option<String> {
    let expires = match new.expires {
        // The default was counted from the day it was made.
        None => old.expires,
        Some(Expires::Never) => None,
        Some(Expires::At(time)) => Some(time),
    };
    let what = if old.status == Status::Revoked {
        "revoked"
    } else if new.kind != old.kind {
        "kind"
    } else if new.owner.as_str() != &*old.owner {
        "owner"
    } else if new.purpose.as_str() != &*old.purpose {
        "purpose"
    } else if expires != old.expires {
        "expires"
    } else {
        return None;
    };
    Some(what.into())
}

fn profiles_differ(new: &NewClient, old: &Client) -> Option<String> {
    let default = ProfileName::default();
    let others = new.profiles.iter().map(|profile| (&profile.name, &profile.terms));
    let wanted: BTreeMap<_, _> = others.chain([(&default, &new.terms)]).collect();
    let extra = old.profiles.iter().find(|profile| !wanted.contains_key(&profile.name));
    if let Some(profile) = extra {
        return Some(format!("has profile {}", profile.name));
    }
    wanted.into_iter().find_map(|(name, terms)| match old.profile(name.as_str()) {
        None => Some(format!("has no profile {name}")),
        Some(profile) => terms_differ(terms, profile).map(|what| format!("{what} of {name}")),
    })
}

fn terms_differ(new: &Terms, old: &Profile) -> Option<&'static str> {
    let granted = old.grants.iter().map(|grant| (&grant.product, grant.until));
    if old.status == Status::Revoked {
        Some("status")
    } else if new.plan != old.plan {
        Some("plan")
    } else if new.presentation != old.presentation {
        Some("presentation")
    } else if !new.scopes.iter().eq(&*old.scopes) {
        Some("scopes")
    } else if !new.products.iter().map(|product| (product, None)).eq(granted) {
        Some("products")
    } else {
        None
    }
}

fn credentials_differ(new: &[NewCredential], old: &[Credential]) -> Option<String> {
    let mut issued: HashMap<_, usize> = HashMap::new();
    for credential in old {
        *issued.entry((&credential.profile, credential.holder.as_deref())).or_default() += 1;
    }
    // Known keys first: each of them accounts for one credential.
    let (known, asked): (Vec<_>, Vec<_>) =
        new.iter().partition(|credential| matches!(credential.key, KeySource::Known { .. }));
    for wanted in known.into_iter().chain(asked) {
        let place = (&wanted.profile, wanted.holder.as_ref().map(Line::as_str));
        let left = issued.get_mut(&place).filter(|left| **left > 0);
        let found = match &wanted.key {
            KeySource::Issued(_) => left.is_some(),
            KeySource::Known { id, secret_sha256 } => old.iter().any(|credential| {
                credential.id == *id
                    && credential.secret_sha256 == *secret_sha256
                    && credential.status == Status::Active
                    && credential.expires == wanted.expires
                    && (&credential.profile, credential.holder.as_deref()) == place
            }),
        };
        match left {
            Some(left) if found => *left -= 1,
            _ => return Some(credential_differs(wanted)),
        }
    }
    None
}

fn credential_differs(wanted: &NewCredential) -> String {
    match &wanted.key {
        KeySource::Known { id, .. } => format!("credential {id}"),
        KeySource::Issued(_) => match &wanted.holder {
            Some(holder) => format!("no key of {} for {}", wanted.profile, holder.as_str()),
            None => format!("no key of {}", wanted.profile),
        },
    }
}
