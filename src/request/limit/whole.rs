//! A plan with everything: rates by client and by credential, quotas, calls at once, limits that name
//! operations, limits that only watch. First every limit is asked, then all are charged or none.

use std::sync::Arc;

use crate::model::api::Metering;
use crate::model::denial::{Advice, Denial, Refusal};
use crate::model::id::{CredentialId, LimitName, OperationId};
use crate::model::meter::{Cells, LeaseAt, Meter, Seat, Wanted};
use crate::model::plan::{
    Concurrency, CountedBy, Mode, Pace, Plan, QUOTAS_MAX, Quota, RATES_MAX, Rate,
};
use crate::model::time::{MonoNs, Now};
use crate::request::authorize::Permit;
use crate::request::{Seen, Unadmitted};

use super::gcra::{self, Charge};
use super::quota::{self, Renewal, Stock};
use super::{AllStanding, LimitStanding, Limits, Standing};

/// Charges all limits of the plan that count this call. Some: the seat that the call takes.
pub(super) fn limit(
    permit: &Permit,
    plan: &Arc<Plan>,
    meter: &Arc<Meter>,
    now: Now,
    seen: &mut Seen,
) -> Result<Option<Seat>, Unadmitted> {
    let Some(known) = permit.known() else { return Ok(None) };
    let (operation, credential) = (permit.operation(), known.credential.id);
    let (id, metering) = (&operation.id, operation.metering);
    let call = Call { plan, operation: id, metering, credential, now };
    let mut cells = meter.lock();
    let mut asked = Asked::default();
    call.ask_all(&mut cells, meter, &mut asked);
    let (refused, unknown) = (asked.refused.take(), asked.unknown);
    let wanted = |quotas: u8| {
        let (client, plan) = (known.client.id.clone(), Arc::clone(plan));
        Box::new(Wanted { client, plan, meter: Arc::clone(meter), quotas, at: now.wall })
    };
    if refused.is_none() && unknown != 0 {
        return Err(Unadmitted::Awaits(wanted(unknown)));
    }
    let mut seat = None;
    if refused.is_none() {
        let due = call.charge_all(&mut cells, &asked);
        seen.wanted = (due != 0).then(|| wanted(due));
        seat = call.concurrency().map(|_| meter.take_seat(&cells));
    }
    let limits = call.standing(&mut cells, meter, &asked);
    drop(cells);
    let shadow = asked.shadow.take().filter(|_| refused.is_none()).map(|shadow| shadow.limit);
    let limits = Limits::All(AllStanding { limits, shadow });
    seen.standing = Some(Standing { plan: Arc::clone(plan), limits });
    match refused {
        None => Ok(seat),
        Some(refused) => Err(refused.into_refusal().into()),
    }
}

/// One call, as its limits see it.
struct Call<'a> {
    plan: &'a Plan,
    operation: &'a OperationId,
    metering: Metering,
    credential: CredentialId,
    now: Now,
}

/// What the limits said.
#[derive(Default)]
struct Asked {
    /// Of each rate that counts the call.
    rates: [Option<Charge>; RATES_MAX],
    /// Of each quota that does: its lease of this moment.
    leases: [Option<LeaseAt>; QUOTAS_MAX],
    /// The enforced limit that makes the caller wait longest.
    refused: Option<Refused>,
    /// The same of those that only watch.
    shadow: Option<Refused>,
    /// Enforced quotas of which the ledger must say whether there are units; a bit each.
    unknown: u8,
}

struct Refused {
    why: Why,
    limit: LimitName,
    wait_ns: u64,
}

/// A denial, and its reason for the record.
type Why = (Denial, &'static str);

const RATE: Why = (Denial::RateLimited, "the plan's rate is used up");
const QUOTA: Why = (Denial::QuotaExhausted, "the plan's quota is used up");
const SEATS: Why =
    (Denial::ConcurrencyLimited, "the client has as many calls under way as its plan allows");

impl Refused {
    fn into_refusal(self) -> Refusal {
        let after_seconds = gcra::seconds_up(self.wait_ns);
        let advice = Advice::Retry { after_seconds, limit: Some(self.limit) };
        let (denial, reason) = self.why;
        Refusal::advising(denial, advice, reason)
    }
}

impl Asked {
    fn lease_of(&self, quota_at: usize) -> Option<LeaseAt> {
        self.leases.get(quota_at).copied().flatten()
    }

    fn refuse(&mut self, mode: Mode, why: Why, limit: &LimitName, wait_ns: u64) {
        let longest = match mode {
            Mode::Enforced => &mut self.refused,
            Mode::Shadow => &mut self.shadow,
        };
        if longest.as_ref().is_none_or(|longest| wait_ns > longest.wait_ns) {
            *longest = Some(Refused { why, limit: limit.clone(), wait_ns });
        }
    }
}

impl Call<'_> {
    fn rates(&self) -> impl Iterator<Item = (usize, &Rate, Pace)> {
        let rates = self.plan.paced().enumerate().map(|(at, (rate, pace))| (at, rate, pace));
        rates.filter(|(_, rate, _)| rate.operations.contain(self.operation))
    }

    fn quotas(&self) -> impl Iterator<Item = (usize, &Quota)> {
        let all = self.metering == Metering::All;
        let counts =
            move |(_, quota): &(usize, &Quota)| all && quota.operations.contain(self.operation);
        self.plan.quotas.iter().enumerate().filter(counts)
    }

    fn concurrency(&self) -> Option<&Concurrency> {
        self.plan.concurrency.as_ref().filter(|_| self.metering == Metering::All)
    }

    fn cell<'c>(&self, cells: &'c mut Cells, at: usize, rate: &Rate) -> Option<&'c mut MonoNs> {
        match rate.by {
            CountedBy::Client => cells.rates.get_mut(at),
            CountedBy::Credential => cell_of(self.credential, cells, at),
        }
    }

    /// Asks every limit; charges nothing.
    fn ask_all(&self, cells: &mut Cells, meter: &Meter, asked: &mut Asked) {
        for (at, rate, pace) in self.rates() {
            let Some(cell) = self.cell(cells, at, rate) else { continue };
            *cell = gcra::settle(*cell, pace, self.now.mono);
            let charge = gcra::charge(*cell, pace, self.now.mono);
            if let Some(wait_ns) = charge.wait_ns {
                asked.refuse(rate.mode, RATE, &rate.name, wait_ns);
            }
            if let Some(slot) = asked.rates.get_mut(at) {
                *slot = Some(charge);
            }
        }
        for (at, quota) in self.quotas() {
            let found = cells.find_lease(quota, self.now.wall);
            if let Some(slot) = asked.leases.get_mut(at) {
                *slot = found;
            }
            let lease = found.and_then(|found| cells.lease(found));
            match (quota::stock(lease, quota, self.now.wall), quota.mode) {
                (Stock::UsedUp { wait_ns }, mode) => {
                    asked.refuse(mode, QUOTA, &quota.name, wait_ns);
                }
                (Stock::Unknown, Mode::Enforced) => asked.unknown |= 1 << at,
                (Stock::Unknown, Mode::Shadow) | (Stock::Available, _) => {}
            }
        }
        if let Some(concurrency) = self.concurrency()
            && meter.seats_taken() >= concurrency.limit
        {
            // When one is given back is unknown: the shortest wait that can be said.
            asked.refuse(concurrency.mode, SEATS, &concurrency.name, 1);
        }
    }

    /// Charges every limit, but for shadows that would have refused: those charge no call that they
    /// refuse either. The quotas for which units are due, a bit each.
    fn charge_all(&self, cells: &mut Cells, asked: &Asked) -> u8 {
        for ((at, rate), judged) in self.plan.rates.iter().enumerate().zip(&asked.rates) {
            if let Some(Charge { next, wait_ns: None }) = judged
                && let Some(cell) = self.cell(cells, at, rate)
            {
                *cell = *next;
            }
        }
        let mut due = 0;
        for (at, quota) in self.quotas() {
            let Some(lease) = asked.lease_of(at).and_then(|lease| cells.lease_at(lease)) else {
                // A shadow waits for no lease: the few calls until it comes are not counted.
                due |= 1 << at;
                continue;
            };
            if lease.left == 0 && lease.spent() >= quota.terms.limit {
                continue;
            }
            if quota::spend(lease, quota) == Renewal::Due {
                due |= 1 << at;
            }
        }
        due
    }

    /// What the caller is told: shadows are nobody's business.
    fn standing(&self, cells: &mut Cells, meter: &Meter, asked: &Asked) -> Vec<LimitStanding> {
        let plan = self.plan;
        let mut limits = Vec::with_capacity(plan.rates.len() + plan.quotas.len() + 1);
        for (at, rate, pace) in self.rates().filter(|(_, rate, _)| rate.mode == Mode::Enforced) {
            if let Some(cell) = self.cell(cells, at, rate) {
                let standing = gcra::standing(*cell, pace, self.now.mono);
                limits.push(LimitStanding {
                    limit: Plan::rate_at(at),
                    remaining: u64::from(standing.remaining),
                    more_after_seconds: Some(standing.more_after_seconds),
                });
            }
        }
        for (at, quota) in self.quotas().filter(|(_, quota)| quota.mode == Mode::Enforced) {
            if let Some(lease) = asked.lease_of(at).and_then(|lease| cells.lease(lease)) {
                limits.push(LimitStanding {
                    limit: plan.quota_at(at),
                    remaining: quota::remaining(lease, quota.terms.limit),
                    more_after_seconds: Some(gcra::seconds_up(lease.period.left_ns(self.now.wall))),
                });
            }
        }
        let enforced = |concurrency: &&Concurrency| concurrency.mode == Mode::Enforced;
        if let Some(concurrency) = self.concurrency().filter(enforced) {
            limits.push(LimitStanding {
                limit: plan.concurrency_at(),
                remaining: u64::from(concurrency.limit.saturating_sub(meter.seats_taken())),
                more_after_seconds: None,
            });
        }
        limits
    }
}

/// Apart, so that the cells of clients are found on the way.
fn cell_of(credential: CredentialId, cells: &mut Cells, at: usize) -> Option<&mut MonoNs> {
    let of_credentials = &mut cells.more.get_or_insert_default().credentials;
    of_credentials.entry(credential).or_default().get_mut(at)
}
