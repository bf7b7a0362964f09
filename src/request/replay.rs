//! A recorded call, judged again by what was in force then: the stages of `decide` in its order, with
//! the credential that the record names in place of its secret.
//!
//! What no record holds is not guessed: where the decision comes to depend on it, the replay stops and
//! says on what. Limits are not asked: how much of them was used then, nobody knows.

mod own;
mod verdict;

pub use verdict::{Verdict, beyond_replay, compare};

use std::sync::Arc;

use crate::model::api::{Access, Api, Effect, Operation};
use crate::model::denial::{Denial, Refusal};
use crate::model::id::{CredentialId, ProductName};
use crate::model::snapshot::Snapshot;
use crate::model::time::Now;

use super::explain::Teller;
use super::identify::{self, Identified, Known};
use super::{Ask, authorize, classify, limit, policy, quarantine};

/// A call as its record has it.
#[derive(Debug)]
pub struct Recorded<'a> {
    /// Without a credential, fields and a body.
    pub ask: Ask<'a>,
    pub caller: Recalled,
    pub outcome: Outcome,
    pub api: Option<&'a str>,
    pub operation: Option<&'a str>,
    pub product: Option<&'a str>,
    pub asked: Asked,
}

/// Of whom it was asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Asked {
    /// Of an api, over whichever surface.
    Api,
    /// Of the gate itself: a message to the MCP endpoint that is no operation of an api.
    Gate,
}

/// Whom the record names.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Recalled {
    /// The secret of this credential had been proved.
    Proved(CredentialId),
    /// What was sent proved nothing. The id is what it claimed.
    Unproved(Option<CredentialId>),
    /// Nothing was sent where the api looks.
    Nobody,
}

impl Recalled {
    /// From what the record says of its caller, and became of it.
    pub fn of(client: Option<&str>, credential: Option<CredentialId>, outcome: Outcome) -> Self {
        match (client, credential) {
            (Some(_), Some(id)) => Self::Proved(id),
            (None, Some(id)) => Self::Unproved(Some(id)),
            (_, None) if is_of_credentials(outcome) => Self::Unproved(None),
            (_, None) => Self::Nobody,
        }
    }
}

/// Whether it was denied before anybody was known, for what was sent as a credential or was not.
const fn is_of_credentials(outcome: Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Denied(
            Denial::CredentialMissing
                | Denial::CredentialInvalid
                | Denial::CredentialConflict
                | Denial::TooManyUnauthenticated
        )
    )
}

/// What the record says became of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// Let in, whatever came of it behind the gate.
    Allowed,
    /// Let in, and ended when a later change took the permission away.
    Withdrawn,
    Denied(Denial),
    /// It ended, perhaps before it was decided on.
    Broken,
    /// A word that this program does not know.
    Unknown,
}

/// How far the replay came.
#[derive(Debug)]
pub enum Replayed {
    /// Up to the limits nothing refuses it.
    Permitted {
        api: Arc<Api>,
        operation: Arc<Operation>,
        product: Option<ProductName>,
    },
    /// The same for what the gate answers itself.
    Own,
    Refused(Refusal),
    /// The rest depends on this, which no record holds.
    Stuck(&'static str),
}

impl From<Refusal> for Replayed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Judges a recorded call under the snapshot of its time, and tells each stage.
pub fn replay(snapshot: &Snapshot, call: &Recorded<'_>, now: Now, teller: &mut Teller) -> Replayed {
    let (Ok(ended) | Err(ended)) = match call.asked {
        Asked::Api => stages(snapshot, call, now, teller),
        Asked::Gate => own::stages(snapshot, call, now, teller),
    };
    match &ended {
        Replayed::Permitted { .. } | Replayed::Own => {}
        Replayed::Refused(refusal) => {
            let reason = refusal.reason.as_log_text();
            teller.tell_here(format!("refused: {}: {reason}", refusal.denial));
        }
        Replayed::Stuck(what) => {
            teller.tell_here(format!("not replayed from here on: it depends on {what}"));
        }
    }
    ended
}

fn stages(
    snapshot: &Snapshot,
    call: &Recorded<'_>,
    now: Now,
    teller: &mut Teller,
) -> Result<Replayed, Replayed> {
    let Recorded { ask, caller, outcome, .. } = call;

    teller.enter("classify");
    let found = classify::classify(&snapshot.policy.hosts, ask)?;
    let api = &found.api;
    teller.api(api);

    if is_preflight(call, api) {
        teller.enter("policy");
        policy::admits(api, ask.source_ip)?;
        let what = "whether it was a browser's preflight, which its header fields say";
        return Err(Replayed::Stuck(what));
    }

    teller.enter("identify");
    let identified = identity(snapshot, api, *caller, now);
    if let Ok(identified) = &identified {
        teller.identified(identified, now);
    } else if matches!(caller, Recalled::Unproved(_)) && api.access != Access::Public {
        teller.tell_here("nobody was known, and the api is not public".to_owned());
    }

    // Judged before what the credential says counts.
    teller.enter("policy");
    policy::admits(api, ask.source_ip)?;

    teller.enter("identify");
    let identified = identified?;

    teller.enter("policy");
    let cleared = policy::recalled(identified, api, ask)?;
    if *outcome == Outcome::Denied(Denial::PolicyRefused) {
        return Err(Replayed::Stuck("the header fields (the address and the path are admitted)"));
    }
    if let Some(rules) = &api.rules {
        teller.recalled_rules(rules);
    }

    teller.enter("classify");
    let operation = found.operation?;
    teller.operation(&operation);

    teller.enter("authorize");
    teller.needed(&operation, cleared.identified());
    let effect = Effect::of(ask.method);
    let permit = authorize::authorize(cleared, api, &operation, effect, now)?;
    teller.permitted(&permit);
    slowed(permit.known(), *outcome, now)?;
    if *outcome == Outcome::Denied(Denial::BodyTooLarge) {
        return Err(Replayed::Stuck("the length of the body"));
    }

    teller.enter("limit");
    let plan = permit.known().and_then(|known| known.profile.plan.as_ref());
    let plan = plan.map(|name| snapshot.policy.plans.get(name).ok_or_else(limit::without_plan));
    teller.plan(plan.transpose()?.map(|plan| &**plan), &operation);
    let product = permit.product().cloned();
    Ok(Replayed::Permitted { api: Arc::clone(api), operation, product })
}

/// How much of it was used then, nobody knows.
fn slowed(known: Option<&Known>, outcome: Outcome, now: Now) -> Result<(), Replayed> {
    let slowed = known.and_then(|known| quarantine::rate(&known.client, now.wall));
    if outcome == Outcome::Denied(Denial::Quarantined) && slowed.is_some() {
        return Err(Replayed::Stuck("how many calls it had made at the rate of its quarantine"));
    }
    Ok(())
}

fn identity(
    snapshot: &Snapshot,
    api: &Api,
    caller: Recalled,
    now: Now,
) -> Result<Identified, Replayed> {
    match caller {
        Recalled::Nobody => Ok(identify::again(snapshot, api, None, now)?),
        Recalled::Proved(_) | Recalled::Unproved(_) => known(snapshot, caller, now),
    }
}

/// Where an api that is public makes no difference.
fn known(snapshot: &Snapshot, caller: Recalled, now: Now) -> Result<Identified, Replayed> {
    match caller {
        Recalled::Proved(id) => Ok(identify::proved(snapshot, id, now)?),
        Recalled::Nobody | Recalled::Unproved(None) => {
            Err(Replayed::Stuck("what was sent as a credential, if anything"))
        }
        Recalled::Unproved(Some(id)) => {
            identify::claimed(snapshot, id)?;
            Err(Replayed::Stuck("the secret that was sent (there was a key with the id)"))
        }
    }
}

/// Allowed and refused ones alike have no operation.
fn is_preflight(call: &Recorded<'_>, api: &Api) -> bool {
    let is_answered =
        matches!(call.outcome, Outcome::Allowed | Outcome::Denied(Denial::PolicyRefused));
    let has_cors = api.shape.as_ref().is_some_and(|shape| shape.cors.is_some());
    call.ask.method == "OPTIONS" && call.operation.is_none() && is_answered && has_cors
}
