//! L1, the decision: from a request head to an [`Admitted`], or to the refusal that says why not.
//!
//! Pure: no I/O, no clock (time is an argument), no await, no Pingora. The stages hand over tokens
//! by move, and each token has one maker, so a stage that is skipped does not compile.

pub mod authorize;
pub mod brake;
pub mod classify;
pub mod endpoint;
pub mod explain;
pub mod head;
pub mod identify;
pub mod limit;
pub mod listing;
pub mod policy;
pub mod quarantine;
pub mod replay;
pub mod target;

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;

use crate::model::api::{Api, Effect, Operation};
use crate::model::denial::{Denial, Refusal};
use crate::model::id::{CredentialId, OperationId, ProductName};
use crate::model::meter::Wanted;
use crate::model::record::Caller;
use crate::model::snapshot::Snapshot;
use crate::model::time::Now;

use self::brake::Watch;
use self::identify::{Identified, Presented};
use self::limit::{Admitted, Standing};

/// What is asked, as every surface asks it.
#[derive(Debug)]
pub struct Ask<'a> {
    pub method: &'a str,
    /// Lower-case, without a port.
    pub host: &'a str,
    /// Canonical, without the query.
    pub path: &'a str,
    pub presented: Presented<'a>,
    /// The body's announced length; none when it is chunked.
    pub body_bytes: Option<u64>,
    /// A body may come that no field announces, as HTTP/2 has them.
    pub body_may_follow: bool,
    /// The caller's address, as far as it is believed.
    pub source_ip: Option<IpAddr>,
    pub fields: &'a HeaderMap,
}

/// What the stages learned on the way, for the record and the response. It observes; no stage
/// reads it.
#[derive(Debug, Default)]
pub struct Seen {
    pub api: Option<Arc<Api>>,
    pub operation: Option<Arc<Operation>>,
    pub caller: Option<Caller>,
    pub product: Option<ProductName>,
    /// How the caller stands with its plan after this request.
    pub standing: Option<Standing>,
    /// Units of quotas to ask for before they are needed, of a request that was admitted.
    pub wanted: Option<Box<Wanted>>,
    /// To be told how the call ends; none under a plan without a loop brake.
    pub watch: Option<Box<Watch>>,
}

/// Why a request is not admitted, or not yet. Nothing was charged.
#[derive(Debug)]
pub enum Unadmitted {
    /// The answer.
    Refused(Refusal),
    /// The ledger must say whether there are units of these quotas; then it is decided once more.
    Awaits(Box<Wanted>),
}

impl From<Refusal> for Unadmitted {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// The path of a request: every check, in order. On an error nothing was charged.
///
/// classify comes first because the api says where credentials may sit; identify comes before the
/// operation is looked at, so that only identified callers learn what exists; the loop brake comes before
/// whatever a repeated call is refused for; the api's rules come between, because they hold for every caller;
/// limit comes last, so that only what is permitted is charged.
pub fn decide(
    snapshot: &Snapshot,
    ask: &Ask<'_>,
    now: Now,
    seen: &mut Seen,
) -> Result<Admitted, Unadmitted> {
    let found = classify::classify(&snapshot.policy.hosts, ask)?;
    seen.api = Some(Arc::clone(&found.api));
    seen.operation = found.operation.as_ref().ok().cloned();

    let identified = identify::identify(snapshot, &found.api, &ask.presented, now, seen);

    let known = identified.as_ref().ok().and_then(Identified::known);
    let plan = limit::plan_of(known, &snapshot.policy.plans);
    brake::check(known, plan, || brake::called(&found), now, seen)?;

    let cleared = policy::clear(identified, &found.api, ask)?;

    let effect = Effect::of(ask.method);
    let permit = authorize::authorize(cleared, &found.api, &found.operation?, effect, now)?;
    seen.product = permit.product().cloned();
    fits(permit.operation(), ask.body_bytes)?;

    limit::limit(permit, plan, now, seen)
}

/// An announced body over the operation's bound is refused before anything is charged. One that
/// announces nothing is counted while it is forwarded.
fn fits(operation: &Operation, body_bytes: Option<u64>) -> Result<(), Refusal> {
    if body_bytes.is_some_and(|bytes| bytes > operation.body_bytes_max) {
        return Err(Refusal::new(Denial::BodyTooLarge, "Content-Length is over the bound"));
    }
    Ok(())
}

/// A call that was admitted and is still running: enough to judge it again.
#[derive(Clone, Debug)]
pub struct Call {
    pub credential: Option<CredentialId>,
    pub operation: OperationId,
    pub effect: Effect,
    pub source_ip: Option<IpAddr>,
}

/// Whether a running call would be permitted under `snapshot`: the same identify, rules and authorize,
/// from the credential's id instead of its secret. Limits are not charged twice.
pub fn still_permitted(snapshot: &Snapshot, call: &Call, now: Now) -> Result<(), Refusal> {
    let gone = || Refusal::new(Denial::NotFound, "the operation is no longer published");
    let (api, operation) = snapshot.policy.find(&call.operation).ok_or_else(gone)?;
    let identified = identify::again(snapshot, api, call.credential, now)?;
    let cleared = policy::again(identified, api, call.source_ip)?;
    authorize::authorize(cleared, api, operation, call.effect, now).map(drop)
}
