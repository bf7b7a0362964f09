//! Clients, profiles and credentials as one request sees them: the inventory's rows, resolved.

use std::sync::{Arc, OnceLock};

use http::HeaderValue;

use super::facts::{Fact, Facts};
use super::id::{ClientId, CredentialId, PlanName, ProductName, ProfileName, Scope};
use super::mcp::Presentation;
use super::meter::Meter;
use super::proof::Proof;
use super::quarantine::Quarantine;
use super::time::UnixMicros;

/// Who calls.
#[derive(Debug)]
pub struct Client {
    pub id: ClientId,
    /// The id as upstreams are told it.
    pub id_value: HeaderValue,
    pub kind: ClientKind,
    pub owner: Box<str>,
    pub purpose: Box<str>,
    pub status: Status,
    pub expires: Option<UnixMicros>,
    /// Until then it may not call; `FOREVER` is until it is resumed.
    pub suspended_until: Option<UnixMicros>,
    /// None of nearly every client.
    pub quarantine: Option<Box<Quarantine>>,
    /// At least one, named `default`.
    pub profiles: Box<[Arc<Profile>]>,
}

impl Client {
    pub fn profile(&self, name: &str) -> Option<&Arc<Profile>> {
        self.profiles.iter().find(|profile| profile.name.as_str() == name)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ClientKind {
    App,
    Partner,
    Service,
    Agent,
}

impl ClientKind {
    pub const ALL: [Self; 4] = [Self::App, Self::Partner, Self::Service, Self::Agent];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Partner => "partner",
            Self::Service => "service",
            Self::Agent => "agent",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    Active,
    /// Final.
    Revoked,
}

impl Status {
    pub const ALL: [Self; 2] = [Self::Active, Self::Revoked];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Revoked => "revoked",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

/// Under which terms a credential calls.
#[derive(Debug)]
pub struct Profile {
    pub name: ProfileName,
    /// The name as upstreams are told it.
    pub name_value: HeaderValue,
    pub status: Status,
    /// None: no plan, no rates.
    pub plan: Option<PlanName>,
    /// How agents are shown their tools; None: as the config says.
    pub presentation: Option<Presentation>,
    /// The client's meter for that plan; shared by its profiles under the same plan.
    pub meter: Arc<Meter>,
    /// Sorted.
    pub scopes: Box<[Scope]>,
    pub grants: Box<[Grant]>,
}

/// One product to one profile.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Grant {
    pub product: ProductName,
    pub until: Option<UnixMicros>,
}

/// An API key as the gate knows it: by the SHA-256 of its secret.
#[derive(Debug)]
pub struct Credential {
    pub id: CredentialId,
    pub client: ClientId,
    pub profile: ProfileName,
    pub secret_sha256: [u8; 32],
    /// That a request had the secret.
    pub proof: Proof,
    pub status: Status,
    pub expires: Option<UnixMicros>,
    /// Until then it may not be used; `FOREVER` is until it is resumed.
    pub suspended_until: Option<UnixMicros>,
    /// The person who has it.
    pub holder: Option<Box<str>>,
    /// Made when it is first used: there may be a million that are not.
    pub facts: OnceLock<Facts>,
}

impl Credential {
    /// Client, profile, id and holder, as records have them.
    pub fn facts(&self) -> &Facts {
        self.facts.get_or_init(|| {
            Facts::of(&[
                (Fact::Client, self.client.as_str()),
                (Fact::Profile, self.profile.as_str()),
                (Fact::Credential, self.id.as_str()),
                (Fact::Holder, self.holder.as_deref().unwrap_or_default()),
            ])
        })
    }

    /// As it is, but that its next request hashes its secret again.
    pub fn copy_of(old: &Self) -> Self {
        Self {
            id: old.id,
            client: old.client.clone(),
            profile: old.profile.clone(),
            secret_sha256: old.secret_sha256,
            proof: Proof::default(),
            status: old.status,
            expires: old.expires,
            suspended_until: old.suspended_until,
            holder: old.holder.clone(),
            facts: OnceLock::new(),
        }
    }
}
