//! Stage 4, permit to admission: all limits of the plan are charged, or none. The only maker of
//! [`Admitted`]. Plans of nothing but plain rates are charged here; `whole` does the others.

pub mod gcra;
pub mod quota;
pub mod usage;
mod whole;

use std::sync::Arc;

use ahash::AHashMap;

use crate::model::api::{Api, Operation};
use crate::model::denial::{Advice, Denial, Refusal};
use crate::model::id::{LimitName, PlanName, ProductName};
use crate::model::meter::{Meter, Seat};
use crate::model::plan::{LimitAt, Pace, Plan, RATES_MAX};
use crate::model::time::{MonoNs, Now};

use self::gcra::Charge;
use super::authorize::Permit;
use super::identify::Known;
use super::quarantine::Charged;
use super::{Call, Seen, Unadmitted, quarantine};

/// Proof that the request may be forwarded: permitted, and charged to its plan.
///
/// Nothing else can make one:
/// ```compile_fail,E0423
/// fn forge(permit: onegate::request::authorize::Permit) -> onegate::request::limit::Admitted {
///     onegate::request::limit::Admitted(permit)
/// }
/// ```
/// nor does it come from nowhere, or twice:
/// ```compile_fail,E0277
/// fn needs<T: Default>() {}
/// needs::<onegate::request::limit::Admitted>();
/// ```
/// ```compile_fail,E0277
/// fn needs<T: Clone>() {}
/// needs::<onegate::request::limit::Admitted>();
/// ```
#[derive(Debug)]
pub struct Admitted(Permit, Option<Seat>);

impl Admitted {
    pub fn api(&self) -> &Arc<Api> {
        self.0.api()
    }

    pub fn operation(&self) -> &Arc<Operation> {
        self.0.operation()
    }

    pub fn product(&self) -> Option<&ProductName> {
        self.0.product()
    }

    pub fn known(&self) -> Option<&Known> {
        self.0.known()
    }

    /// Whether it counts among the calls that its client may have at once, for as long as it lives.
    pub const fn is_seated(&self) -> bool {
        self.1.is_some()
    }

    /// What is needed to judge the call again while it runs.
    pub fn call(&self) -> Call {
        Call {
            credential: self.known().map(|known| known.credential.id),
            operation: self.operation().id.clone(),
            effect: self.0.effect(),
            source_ip: self.0.source_ip(),
        }
    }
}

/// How a caller stands with its plan.
#[derive(Clone, Debug)]
pub struct Standing {
    pub plan: Arc<Plan>,
    pub limits: Limits,
}

#[derive(Clone, Debug)]
pub enum Limits {
    /// Of a plan of plain rates, in the plan's order.
    Rates([RateStanding; RATES_MAX]),
    All(AllStanding),
}

impl Standing {
    /// Of a plan of plain rates.
    pub const fn rates(&self) -> Option<&[RateStanding; RATES_MAX]> {
        match &self.limits {
            Limits::Rates(rates) => Some(rates),
            Limits::All(_) => None,
        }
    }

    /// Of every other plan.
    pub const fn all(&self) -> Option<&AllStanding> {
        match &self.limits {
            Limits::Rates(_) => None,
            Limits::All(all) => Some(all),
        }
    }
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RateStanding {
    /// Calls that would be admitted now.
    pub remaining: u32,
    /// Until there is one more, rounded up, at least 1.
    pub more_after_seconds: u64,
}

/// Of a plan that has more than plain rates.
#[derive(Clone, Debug, Default)]
pub struct AllStanding {
    /// The enforced limits that count this call.
    pub limits: Vec<LimitStanding>,
    /// The limit that would have refused the call, had it been enforced.
    pub shadow: Option<LimitName>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LimitStanding {
    pub limit: LimitAt,
    pub remaining: u64,
    /// None: nobody knows when a call under way ends.
    pub more_after_seconds: Option<u64>,
}

/// The plan that a caller's calls are charged to.
#[derive(Clone, Copy, Debug)]
pub enum PlanOf<'p> {
    /// Nobody is known, or has no plan.
    None,
    /// The config lacks it.
    Missing,
    Is(&'p Arc<Plan>),
}

/// Looks the plan up, once for all that ask it.
pub fn plan_of<'p>(known: Option<&Known>, plans: &'p AHashMap<PlanName, Arc<Plan>>) -> PlanOf<'p> {
    match known.and_then(|known| known.profile.plan.as_ref()) {
        None => PlanOf::None,
        Some(name) => plans.get(name).map_or(PlanOf::Missing, PlanOf::Is),
    }
}

/// Charges the client's plan, and the rate of its quarantine. A caller without either, or none at all, is not
/// limited here.
pub fn limit(
    permit: Permit,
    plan: PlanOf<'_>,
    now: Now,
    seen: &mut Seen,
) -> Result<Admitted, Unadmitted> {
    // None of nearly every client; of the others a handle, because the permit goes on while the charge is held.
    let held = permit.known().map(|known| &known.client);
    let held = held.filter(|client| client.quarantine.is_some()).map(Arc::clone);
    let charged = match &held {
        None => Charged::NOTHING,
        Some(client) => quarantine::charge(client, now)?,
    };
    let admitted = charge_plan(permit, plan, now, seen);
    if admitted.is_err() {
        charged.give_back();
    }
    admitted
}

fn charge_plan(
    permit: Permit,
    plan: PlanOf<'_>,
    now: Now,
    seen: &mut Seen,
) -> Result<Admitted, Unadmitted> {
    let plan = match plan {
        PlanOf::None => return Ok(Admitted(permit, None)),
        PlanOf::Missing => return Err(without_plan().into()),
        PlanOf::Is(plan) => plan,
    };
    let Some(meter) = permit.known().map(|known| &known.profile.meter) else {
        return Ok(Admitted(permit, None));
    };
    if !plan.is_plain() {
        let seat = whole::limit(&permit, plan, meter, now, seen)?;
        return Ok(Admitted(permit, seat));
    }
    let mut rates = Default::default();
    let refused_by = charge(plan, meter, now.mono, &mut rates);
    seen.standing = Some(Standing { plan: Arc::clone(plan), limits: Limits::Rates(rates) });
    match refused_by {
        None => Ok(Admitted(permit, None)),
        Some((index, after_seconds)) => {
            let limit = plan.rates.get(index).map(|rate| rate.name.clone());
            let advice = Advice::Retry { after_seconds, limit };
            Err(Refusal::advising(Denial::RateLimited, advice, "the plan's rate is used up").into())
        }
    }
}

/// A plan that the config lacks is no licence to call without limits.
pub fn without_plan() -> Refusal {
    Refusal::new(Denial::NotGranted, "the profile's plan is not in the config")
}

/// Charges every rate of a plan of plain ones, or none. Some: the rate that makes the caller wait longest, and how long in
/// seconds.
pub fn charge(
    plan: &Plan,
    meter: &Meter,
    now: MonoNs,
    standing: &mut [RateStanding; RATES_MAX],
) -> Option<(usize, u64)> {
    let cells = &mut meter.lock().rates;
    let mut paces = [Pace::default(); RATES_MAX];
    let mut charges = [Charge::default(); RATES_MAX];
    let mut refused_by: Option<(usize, u64)> = None;
    for (index, (_, of_rate)) in plan.paced().enumerate() {
        let slots = (cells.get_mut(index), charges.get_mut(index), paces.get_mut(index));
        let (Some(cell), Some(charge), Some(pace)) = slots else { break };
        *pace = of_rate;
        *cell = gcra::settle(*cell, *pace, now);
        *charge = gcra::charge(*cell, *pace, now);
        if let Some(wait) = charge.wait_ns
            && refused_by.is_none_or(|(_, longest)| wait > longest)
        {
            refused_by = Some((index, wait));
        }
    }
    let states = cells.iter_mut().zip(charges).zip(paces).zip(standing);
    for (((cell, charge), pace), standing) in states.take(plan.rates.len()) {
        if refused_by.is_none() {
            *cell = charge.next;
        }
        *standing = gcra::standing(*cell, pace, now);
    }
    refused_by.map(|(index, wait_ns)| (index, gcra::seconds_up(wait_ns)))
}

#[cfg(test)]
mod tests;
