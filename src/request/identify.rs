//! Stage 2, credential to identity: from the credential alone, by no other header.
//!
//! The caller learns one thing, valid or not; the true reason goes to the record. Only this file
//! makes an [`Identified`].

use std::sync::{Arc, OnceLock};

use crate::model::api::{Access, Api, CredentialLocation};
use crate::model::client::{Client, Credential, Profile, Status};
use crate::model::denial::{Denial, Refusal};
use crate::model::id::{ClientId, CredentialId};
use crate::model::key::ClaimedKey;
use crate::model::proof::{Proof, Verdict};
use crate::model::record::Caller;
use crate::model::snapshot::Snapshot;
use crate::model::time::{Now, UnixMicros};

use super::Seen;

/// The values of every header that may carry a credential, as sent. Bounded; more is a conflict.
#[derive(Debug, Default)]
pub struct Presented<'a> {
    values: [Option<(CredentialLocation, &'a [u8])>; PRESENTED_MAX],
    overflow: bool,
    /// In place of all values.
    proven: Option<&'a Proven>,
}

/// Header fields that may carry a credential, in one request.
const PRESENTED_MAX: usize = 4;

impl<'a> Presented<'a> {
    /// A credential that was verified for the message that this request is made for.
    pub fn proven(proven: &'a Proven) -> Self {
        Self { proven: Some(proven), ..Self::default() }
    }

    pub fn push(&mut self, location: CredentialLocation, value: &'a [u8]) {
        match self.values.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => *slot = Some((location, value)),
            None => self.overflow = true,
        }
    }

    /// Whether what came is what people write where a program should put the key.
    pub fn is_placeholder(&self) -> bool {
        let unfilled = |value: &[u8]| {
            let token = bearer(value).unwrap_or(value).trim_ascii();
            let wrapped =
                |open: &[u8], close: &[u8]| token.starts_with(open) && token.ends_with(close);
            token.windows(2).any(|pair| pair == b"${" || pair == b"{{")
                || wrapped(b"<", b">")
                || wrapped(b"%", b"%")
                || token.starts_with(b"$")
        };
        self.values.iter().flatten().any(|(_, value)| unfilled(value))
    }

    /// The credentials at the places where `api` looks, without their scheme.
    fn at<'s>(&'s self, api: &'s Api) -> impl Iterator<Item = &'a [u8]> + 's {
        let looked_at = |value: &(CredentialLocation, &'a [u8])| api.credential.contains(&value.0);
        self.values.iter().flatten().copied().filter(looked_at).filter_map(|(location, value)| {
            match location {
                CredentialLocation::XApiKey => Some(value.trim_ascii()),
                CredentialLocation::Authorization => bearer(value),
            }
        })
    }
}

/// The token of `Bearer TOKEN` (RFC 6750, 2.1; the scheme in any case).
pub fn bearer(value: &[u8]) -> Option<&[u8]> {
    // Nearly every value that is looked at is none, by its first byte.
    let (b'b' | b'B') = value.first()? else { return None };
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// Whether a value is meant as a gate credential: ours start with `og_`. Other tokens belong to
/// the application behind the gate.
pub fn is_ours(token: &[u8]) -> bool {
    token.starts_with(b"og_")
}

/// Proof that the caller was identified as far as its api demands.
#[derive(Debug)]
pub struct Identified(Identity);

/// Proof that a message came with this credential, for the one request that is made of it: whether the
/// credential is in force is looked at again.
///
/// It comes from an identified caller and from nowhere else, and serves one request:
/// ```compile_fail,E0423
/// use onegate::model::id::CredentialId;
/// fn forge(id: CredentialId) -> onegate::request::identify::Proven {
///     onegate::request::identify::Proven(id)
/// }
/// ```
/// ```compile_fail,E0277
/// fn needs<T: Clone>() {}
/// needs::<onegate::request::identify::Proven>();
/// ```
#[derive(Debug)]
pub struct Proven(CredentialId);

#[derive(Debug)]
enum Identity {
    /// Only where the api is public.
    Anonymous,
    Known(Known),
}

/// A client, by a credential that may be used now.
#[derive(Debug)]
pub struct Known {
    pub client: Arc<Client>,
    pub profile: Arc<Profile>,
    pub credential: Arc<Credential>,
}

impl Identified {
    /// For the request that is made on the caller's behalf. None of strangers.
    pub(super) fn into_proven(self) -> Option<Proven> {
        self.known().map(|known| Proven(known.credential.id))
    }

    pub fn known(&self) -> Option<&Known> {
        match &self.0 {
            Identity::Anonymous => None,
            Identity::Known(known) => Some(known),
        }
    }
}

/// Identifies the caller by the credentials it presented.
pub fn identify(
    snapshot: &Snapshot,
    api: &Api,
    presented: &Presented<'_>,
    now: Now,
    seen: &mut Seen,
) -> Result<Identified, Refusal> {
    if let Some(Proven(id)) = presented.proven {
        let credential = snapshot.inventory.credentials.get(id).cloned().ok_or_else(gone)?;
        seen.caller = Some(Caller::Known(Arc::clone(&credential)));
        return admissible(snapshot, credential, now);
    }
    if presented.overflow {
        return Err(Refusal::new(Denial::CredentialConflict, "too many credential headers"));
    }
    let mut found: Option<Arc<Credential>> = None;
    let mut foreign = false;
    for token in presented.at(api) {
        if !is_ours(token) {
            foreign = true;
            continue;
        }
        let credential = verify(snapshot, token, seen)?;
        match &found {
            Some(first) if first.client != credential.client => {
                return Err(Refusal::new(Denial::CredentialConflict, "keys of two clients"));
            }
            Some(_) => {}
            None => found = Some(credential),
        }
    }
    match (found, api.access) {
        (Some(credential), _) => {
            seen.caller = Some(Caller::Known(Arc::clone(&credential)));
            admissible(snapshot, credential, now)
        }
        (None, Access::Public) => Ok(Identified(Identity::Anonymous)),
        (None, Access::Granted | Access::Identified) if foreign => {
            Err(Refusal::new(Denial::CredentialInvalid, "the credential is not a key of the gate"))
        }
        (None, Access::Granted | Access::Identified) => {
            Err(Refusal::new(Denial::CredentialMissing, "no credential where the api looks"))
        }
    }
}

/// Identifies a caller again that had proved its secret when its call began.
pub(super) fn again(
    snapshot: &Snapshot,
    api: &Api,
    credential: Option<CredentialId>,
    now: Now,
) -> Result<Identified, Refusal> {
    match (credential, api.access) {
        (Some(id), _) => proved(snapshot, id, now),
        (None, Access::Public) => Ok(Identified(Identity::Anonymous)),
        (None, Access::Granted | Access::Identified) => {
            Err(Refusal::new(Denial::CredentialMissing, "the api is no longer public"))
        }
    }
}

/// The client of a credential whose secret was proved before, wherever that was.
pub(super) fn proved(
    snapshot: &Snapshot,
    id: CredentialId,
    now: Now,
) -> Result<Identified, Refusal> {
    let credential = snapshot.inventory.credentials.get(&id).cloned().ok_or_else(gone)?;
    admissible(snapshot, credential, now)
}

const fn gone() -> Refusal {
    Refusal::new(Denial::CredentialInvalid, "the key no longer exists")
}

/// Holds what is left of a credential that proved nothing against the inventory: an id that is not
/// there was refused whatever came with it. Whether a secret was right is in no record.
pub fn claimed(snapshot: &Snapshot, id: CredentialId) -> Result<(), Refusal> {
    let is_there = snapshot.inventory.credentials.get(&id).is_some();
    is_there.then_some(()).ok_or_else(|| Refusal::new(Denial::CredentialInvalid, NO_SUCH_KEY))
}

const NO_SUCH_KEY: &str = "no such key";

/// Takes a client's word for its profile, for `explain` only: no request comes by here.
pub fn assumed(
    snapshot: &Snapshot,
    client: &ClientId,
    profile: &str,
    now: Now,
) -> Result<Identified, Refusal> {
    let unknown = |what| Refusal::new(Denial::CredentialInvalid, what);
    let client = snapshot.inventory.clients.get(client).cloned();
    let client = client.ok_or_else(|| unknown("the client is not in the inventory"))?;
    let credential = Credential {
        id: CredentialId::ZERO,
        client: client.id.clone(),
        profile: match client.profile(profile) {
            Some(profile) => profile.name.clone(),
            None => return Err(unknown("the client has no such profile")),
        },
        secret_sha256: [0; 32],
        proof: Proof::default(),
        status: Status::Active,
        expires: None,
        suspended_until: None,
        holder: None,
        facts: OnceLock::new(),
    };
    admissible(snapshot, Arc::new(credential), now)
}

/// The credential whose secret the token holds. Unknown ids cost the same hashes and comparisons as
/// wrong secrets.
fn verify(snapshot: &Snapshot, token: &[u8], seen: &mut Seen) -> Result<Arc<Credential>, Refusal> {
    let invalid = |reason| Refusal::new(Denial::CredentialInvalid, reason);
    let malformed = || invalid("the key is malformed: its check digits do not fit");
    let key = ClaimedKey::parse(token).ok_or_else(malformed)?;
    let credential = snapshot.inventory.credentials.get(&key.id);
    let nobody = (Proof::default(), [0; 32]);
    let (proof, expected) = match credential {
        Some(credential) => (&credential.proof, &credential.secret_sha256),
        None => (&nobody.0, &nobody.1),
    };
    match (credential, proof.judge(&key, expected)) {
        (Some(credential), Verdict::Right) => Ok(Arc::clone(credential)),
        (_, Verdict::Malformed) => Err(malformed()),
        (known, Verdict::Right | Verdict::Wrong) => {
            seen.caller = Some(Caller::Anonymous { claimed: Some(key.id) });
            Err(invalid(if known.is_some() { "the key's secret is wrong" } else { NO_SUCH_KEY }))
        }
    }
}

/// The client behind a proven credential, when both may be used now.
///
/// A suspended credential is told apart from a revoked one, since its holder has proved the secret
/// and shall keep the key: it will be good again.
fn admissible(
    snapshot: &Snapshot,
    credential: Arc<Credential>,
    now: Now,
) -> Result<Identified, Refusal> {
    let invalid = |reason| Refusal::new(Denial::CredentialInvalid, reason);
    let past = |expires: Option<UnixMicros>| expires.is_some_and(|at| at <= now.wall);
    let lasts = |until: Option<UnixMicros>| until.is_some_and(|until| now.wall < until);
    if credential.status == Status::Revoked {
        return Err(invalid("the key is revoked"));
    }
    if past(credential.expires) {
        return Err(invalid("the key has expired"));
    }
    let client = snapshot.inventory.clients.get(&credential.client);
    let client = client.ok_or_else(|| invalid("the key's client does not exist"))?;
    if client.status == Status::Revoked {
        return Err(invalid("the client is revoked"));
    }
    if past(client.expires) {
        return Err(Refusal::new(Denial::ClientSuspended, "the client has expired"));
    }
    if lasts(client.suspended_until) {
        return Err(Refusal::new(Denial::ClientSuspended, "the client is suspended"));
    }
    if lasts(credential.suspended_until) {
        return Err(Refusal::new(Denial::ClientSuspended, "the key is suspended"));
    }
    let profile = client.profile(credential.profile.as_str());
    let profile = profile.ok_or_else(|| invalid("the key's profile does not exist"))?;
    if profile.status == Status::Revoked {
        return Err(invalid("the profile is revoked"));
    }
    let (client, profile) = (Arc::clone(client), Arc::clone(profile));
    Ok(Identified(Identity::Known(Known { client, profile, credential })))
}
