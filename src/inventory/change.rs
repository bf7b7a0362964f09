//! What can be done to the inventory: a closed set of acts, each already parsed, and what comes of
//! one. Values only; `apply` carries them out.

mod act;
mod line;

pub use act::Act;
pub use line::{LINE_BYTES_MAX, Line, LineError};

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use crate::model::client::{Client, ClientKind, Credential};
use crate::model::id::{
    ClientId, CredentialId, OperationId, PlanName, ProductName, ProfileName, Scope,
};
use crate::model::key::{Environment, NewKey};
use crate::model::mcp::Presentation;
use crate::model::quarantine::Restriction;
use crate::model::time::UnixMicros;

mod client;

pub use client::{ClientChange, PlanChoice, PresentationChoice, TermsChange};

/// One act. It happens whole or not at all.
#[derive(Debug)]
pub enum Change {
    AddClient(NewClient),
    ChangeClient(ClientChange),
    AddProfile {
        client: ClientId,
        profile: NewProfile,
    },
    AddGrant(NewGrant),
    RemoveGrant {
        grant: GrantId,
        reason: Line,
    },
    AddCredential {
        client: ClientId,
        credential: NewCredential,
    },
    Revoke {
        target: Target,
        reason: Line,
    },
    /// For a while, or until it is resumed.
    Suspend {
        target: Suspendable,
        until: UnixMicros,
        reason: Line,
    },
    Resume {
        target: Suspendable,
        reason: Option<Line>,
    },
    /// Take a part of its calls from a client for a while.
    Quarantine(NewQuarantine),
    EndQuarantine(EndQuarantine),
    /// Clients that shall exist, all or none. One that exists must be as told here; it is left
    /// alone.
    Apply(Vec<NewClient>),
}

impl Change {
    /// Whether the act can only take access away. Such an act is never held up by an audit that
    /// cannot write; its record waits in the store.
    pub const fn only_takes_away(&self) -> bool {
        match self {
            Self::RemoveGrant { .. }
            | Self::Revoke { .. }
            | Self::Suspend { .. }
            | Self::Quarantine(_) => true,
            Self::AddClient(_)
            | Self::ChangeClient(_)
            | Self::AddProfile { .. }
            | Self::AddGrant(_)
            | Self::AddCredential { .. }
            | Self::Resume { .. }
            | Self::EndQuarantine(_)
            | Self::Apply(_) => false,
        }
    }

    /// The record's `action`.
    pub const fn action(&self) -> &'static str {
        match self {
            Self::AddClient(_) => "client.add",
            Self::ChangeClient(_) => "client.change",
            Self::AddProfile { .. } => "profile.add",
            Self::AddGrant(_) => "grant.add",
            Self::RemoveGrant { .. } => "grant.remove",
            Self::AddCredential { .. } => "credential.add",
            Self::Revoke { target: Target::Client(_), .. } => "client.revoke",
            Self::Revoke { target: Target::Profile { .. }, .. } => "profile.revoke",
            Self::Revoke { target: Target::Credential(_), .. } => "credential.revoke",
            Self::Suspend { target: Suspendable::Client(_), .. } => "client.suspend",
            Self::Suspend { target: Suspendable::Credential(_), .. } => "credential.suspend",
            Self::Resume { target: Suspendable::Client(_), .. } => "client.resume",
            Self::Resume { target: Suspendable::Credential(_), .. } => "credential.resume",
            Self::Quarantine(_) => "client.quarantine",
            Self::EndQuarantine(_) => "client.quarantine_end",
            Self::Apply(_) => "inventory.apply",
        }
    }

    /// The record's `target`. A new credential has no id yet: its client stands for it.
    pub fn target(&self) -> String {
        match self {
            Self::AddClient(NewClient { id, .. })
            | Self::ChangeClient(ClientChange { id, .. })
            | Self::Quarantine(NewQuarantine { client: id, .. })
            | Self::EndQuarantine(EndQuarantine { client: id, .. })
            | Self::AddCredential { client: id, .. } => format!("client/{id}"),
            Self::AddProfile { client, profile } => format!("profile/{client}/{}", profile.name),
            Self::AddGrant(NewGrant { grant, .. }) | Self::RemoveGrant { grant, .. } => {
                format!("grant/{grant}")
            }
            Self::Revoke { target, .. } => target.to_string(),
            Self::Suspend { target, .. } | Self::Resume { target, .. } => target.to_string(),
            Self::Apply(_) => "inventory".into(),
        }
    }

    /// The record's `reason_given`.
    pub const fn reason(&self) -> Option<&Line> {
        match self {
            Self::AddGrant(NewGrant { reason, .. }) | Self::Resume { reason, .. } => {
                reason.as_ref()
            }
            Self::RemoveGrant { reason, .. }
            | Self::Revoke { reason, .. }
            | Self::Suspend { reason, .. }
            | Self::Quarantine(NewQuarantine { reason, .. })
            | Self::EndQuarantine(EndQuarantine { reason, .. }) => Some(reason),
            Self::AddClient(_)
            | Self::ChangeClient(_)
            | Self::AddProfile { .. }
            | Self::AddCredential { .. }
            | Self::Apply(_) => None,
        }
    }
}

/// A client that shall exist.
#[derive(Debug)]
pub struct NewClient {
    pub id: ClientId,
    pub kind: ClientKind,
    pub owner: Line,
    pub purpose: Line,
    /// None: as its kind says; 90 days for an agent, never for the others.
    pub expires: Option<Expires>,
    /// Of the profile `default`.
    pub terms: Terms,
    /// Beside `default`.
    pub profiles: Vec<NewProfile>,
    pub credentials: Vec<NewCredential>,
}

/// When something ends by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expires {
    At(UnixMicros),
    Never,
}

#[derive(Debug)]
pub struct NewProfile {
    pub name: ProfileName,
    pub terms: Terms,
}

/// Under which a profile's credentials call.
#[derive(Debug, Default)]
pub struct Terms {
    /// Granted without end.
    pub products: BTreeSet<ProductName>,
    pub scopes: BTreeSet<Scope>,
    pub plan: Option<PlanName>,
    /// None: as the config says.
    pub presentation: Option<Presentation>,
}

#[derive(Debug)]
pub struct NewCredential {
    pub profile: ProfileName,
    /// The person who will have it.
    pub holder: Option<Line>,
    pub expires: Option<UnixMicros>,
    pub key: KeySource,
}

/// Where a credential's key comes from.
#[derive(Debug)]
pub enum KeySource {
    /// Made here, shown once.
    Issued(Environment),
    /// Made elsewhere; only its hash is known.
    Known { id: CredentialId, secret_sha256: [u8; 32] },
}

#[derive(Debug)]
pub struct NewGrant {
    pub grant: GrantId,
    pub until: Option<UnixMicros>,
    pub reason: Option<Line>,
}

/// Which product to which profile.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct GrantId {
    pub client: ClientId,
    pub profile: ProfileName,
    pub product: ProductName,
}

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.client, self.profile, self.product)
    }
}

/// What to revoke.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    Client(ClientId),
    Profile { client: ClientId, profile: ProfileName },
    Credential(CredentialId),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(id) => write!(f, "client/{id}"),
            Self::Profile { client, profile } => write!(f, "profile/{client}/{profile}"),
            Self::Credential(id) => write!(f, "credential/{id}"),
        }
    }
}

/// What can be suspended, and resumed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Suspendable {
    Client(ClientId),
    Credential(CredentialId),
}

impl fmt::Display for Suspendable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(id) => write!(f, "client/{id}"),
            Self::Credential(id) => write!(f, "credential/{id}"),
        }
    }
}

/// What is taken from a client for a while.
#[derive(Debug)]
pub struct NewQuarantine {
    pub client: ClientId,
    /// What is left of its calls; of operations there may be several.
    pub restrictions: Vec<Restriction>,
    pub until: UnixMicros,
    pub reason: Line,
}

/// What is given back before its time.
#[derive(Debug)]
pub struct EndQuarantine {
    pub client: ClientId,
    /// Only those of these operations; none named: everything.
    pub operations: Vec<OperationId>,
    pub reason: Line,
}

/// What one change did: the whole of it, ready to be put in force and recorded.
#[derive(Debug)]
pub struct Applied {
    pub revision: u64,
    /// Only those that changed, resolved.
    pub clients: Vec<Arc<Client>>,
    /// Only those that changed, resolved.
    pub credentials: Vec<Arc<Credential>>,
    pub acts: Vec<Act>,
    pub outcome: Outcome,
}

/// What the one who asked is told.
#[derive(Debug)]
pub enum Outcome {
    Done,
    Issued(Vec<IssuedKey>),
    /// The credentials that could be used before and cannot be used now.
    Stopped(Vec<CredentialId>),
    /// The credentials that a quarantine holds for.
    Limited(Vec<CredentialId>),
    Applied {
        added: usize,
        unchanged: usize,
        keys: Vec<IssuedKey>,
    },
}

/// A key on its way to its holder. The only place where its secret is.
#[derive(Debug)]
pub struct IssuedKey {
    pub key: NewKey,
    pub credential: Arc<Credential>,
}
