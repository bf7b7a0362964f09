//! The loop brake: a client that repeats what fails, or what its limits refuse, is told to stop, and refused that
//! operation for a while. A check of `decide` and of the MCP endpoint; how a call ended is told when its record is
//! complete. It knows no surface and no arguments.

use std::mem;
use std::sync::Arc;

use crate::model::api::Operation;
use crate::model::denial::{Advice, Denial, Failure, Refusal, Repeated};
use crate::model::id::{ClientId, LimitName, PlanName};
use crate::model::loops::{Called, Ended, LoopBrake, Looping, When};
use crate::model::meter::Meter;
use crate::model::plan::{Mode, Plan};
use crate::model::record::Outcome;
use crate::model::time::{MonoNs, Now};

use super::Seen;
use super::classify::Found;
use super::identify::Known;
use super::limit::PlanOf;
use super::limit::gcra::seconds_up;

/// A call whose end is told to the brake of its plan.
#[derive(Debug)]
pub struct Watch {
    client: ClientId,
    plan: Arc<Plan>,
    meter: Arc<Meter>,
    called: Called,
    /// When the call came.
    came: MonoNs,
    verdict: Verdict,
    told: Told,
}

/// Whether the brake knows how the call ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Told {
    NotYet,
    Already,
}

/// What the brake said when the call came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Passes,
    /// It would have been refused, if the brake did more than watch.
    WouldRefuse,
}

/// A brake that came on.
#[derive(Clone, Debug)]
pub struct Braked {
    pub client: ClientId,
    pub called: Called,
    pub looping: Looping,
    pub brake: LoopBrake,
}

/// Refuses a call of what is braked; every other one is watched. Nothing of clients whose plan has no brake.
pub(super) fn check(
    known: Option<&Known>,
    plan: PlanOf<'_>,
    called: impl FnOnce() -> Called,
    now: Now,
    seen: &mut Seen,
) -> Result<(), Refusal> {
    let (Some(known), PlanOf::Is(plan)) = (known, plan) else { return Ok(()) };
    let Some(brake) = plan.brake() else { return Ok(()) };
    let (called, meter) = (called(), &known.profile.meter);
    let braked = meter.lock().loops().and_then(|loops| loops.braked(&called, now.mono));
    let verdict = match (braked, brake.mode) {
        (Some((looping, until)), Mode::Enforced) => {
            let after_seconds = seconds_up(until.0.saturating_sub(now.mono.0));
            let limit = brake.name.clone();
            let advice = Advice::Loop(Box::new(Repeated { looping, after_seconds, limit }));
            let reason = match looping {
                Looping::Failed(_) => "the loop brake holds: calls of this failed in a row",
                Looping::TooFast(_) => "the loop brake holds: calls of this came over the limits",
            };
            return Err(Refusal::advising(Denial::RepeatedCall, advice, reason));
        }
        (Some(_), Mode::Shadow) => Verdict::WouldRefuse,
        (None, _) => Verdict::Passes,
    };
    seen.watch = Some(Box::new(Watch {
        client: known.client.id.clone(),
        plan: Arc::clone(plan),
        meter: Arc::clone(meter),
        called,
        came: now.mono,
        verdict,
        told: Told::NotYet,
    }));
    Ok(())
}

/// What a request is for: paths that are no operation count together, or every guess would be the first.
pub(super) fn called(found: &Found) -> Called {
    match &found.operation {
        Ok(operation) => called_operation(operation),
        Err(_) => Called::NothingOf(found.api.name.clone()),
    }
}

pub(super) fn called_operation(operation: &Operation) -> Called {
    Called::Operation(operation.id.clone())
}

impl Watch {
    /// Tells the brake how the call ended, once: what is known first stays. Some: it came on by that.
    pub fn tell(&mut self, ended: Ended, now: Now) -> Option<Braked> {
        if mem::replace(&mut self.told, Told::Already) == Told::Already {
            return None;
        }
        let brake = self.plan.brake()?;
        let when = When { came: self.came, ended: now.mono };
        let mut cells = self.meter.lock();
        let looping = match ended {
            Ended::Aside => None,
            // Most calls: nothing is remembered of them, and nothing made.
            Ended::Well => cells.loops_mut()?.tell(&self.called, ended, brake, when),
            Ended::Badly | Ended::OverLimit => {
                cells.loops_or_new().tell(&self.called, ended, brake, when)
            }
        }?;
        drop(cells);
        let (client, called) = (self.client.clone(), self.called.clone());
        Some(Braked { client, called, looping, brake: brake.clone() })
    }

    /// The brake, and its plan, where it would have refused the call and only watches.
    pub fn would_refuse(&self) -> Option<(&PlanName, &LimitName)> {
        let brake = self.plan.brake().filter(|_| self.verdict == Verdict::WouldRefuse)?;
        Some((&self.plan.name, &brake.name))
    }
}

/// How a call ended, for the brake. Refusals that come of the gate's own state, or of the brake, say nothing of what
/// the caller does; nor does one that left before it was answered.
pub const fn ended(outcome: Outcome, status: u16) -> Ended {
    match outcome {
        Outcome::Denied(denial) => denied(denial),
        // The gate's own trouble, or its end.
        Outcome::Failed(Failure::InternalError | Failure::Deadline) => Ended::Aside,
        Outcome::Failed(
            Failure::UpstreamUnreachable | Failure::UpstreamProtocol | Failure::UpstreamTimeout,
        ) => Ended::Badly,
        Outcome::Allowed => match status {
            0 => Ended::Aside,
            1..=399 => Ended::Well,
            400.. => Ended::Badly,
        },
    }
}

const fn denied(denial: Denial) -> Ended {
    match denial {
        Denial::RateLimited | Denial::QuotaExhausted | Denial::ConcurrencyLimited => {
            Ended::OverLimit
        }
        Denial::Quarantined
        | Denial::RepeatedCall
        | Denial::CredentialMissing
        | Denial::CredentialInvalid
        | Denial::CredentialConflict
        | Denial::ClientSuspended
        | Denial::TooManyUnauthenticated
        // Whoever has a key that is held to other addresses could take its owner's calls away.
        | Denial::AddressNotAllowed
        | Denial::AuditUnavailable
        | Denial::Overloaded => Ended::Aside,
        Denial::MalformedRequest
        | Denial::UriTooLong
        | Denial::HeadTooLarge
        | Denial::BodyTooLarge
        | Denial::RequestTimeout
        | Denial::Misdirected
        | Denial::NotFound
        | Denial::MethodNotAllowed
        | Denial::PolicyRefused
        | Denial::NotGranted
        | Denial::InsufficientScope => Ended::Badly,
    }
}
