//! How much of a plan's limits is used, for those who look on: gauges and `explain`. It charges
//! nothing.

use crate::model::api::Operation;
use crate::model::id::LimitName;
use crate::model::meter::{Cells, Meter, RateCells};
use crate::model::plan::{Concurrency, CountedBy, Mode, Operations, Plan, Quota, Rate};
use crate::model::time::{MonoNs, Now};

use super::gcra;
use super::quota;

/// Limits in use and how much of each is: 1 when the next call would be refused. Of a rate by
/// credential, that of the credential that has used most.
pub fn used(plan: &Plan, meter: &Meter, now: Now) -> Vec<(LimitName, f64)> {
    let cells = meter.lock();
    let mut used = Vec::new();
    for (at, (rate, pace)) in plan.paced().enumerate() {
        let cell = fullest(&cells, at, rate);
        if cell > now.mono {
            let left = gcra::standing(cell, pace, now.mono).remaining;
            used.push((rate.name.clone(), 1.0 - f64::from(left) / f64::from(rate.burst.max(1))));
        }
    }
    for quota in &plan.quotas {
        if let Some(left) = left_of(&cells, quota, now).filter(|left| *left < quota.terms.limit) {
            used.push((quota.name.clone(), 1.0 - real(left) / real(quota.terms.limit)));
        }
    }
    let taken = meter.seats_taken();
    if let Some(concurrency) = plan.concurrency.as_ref().filter(|_| taken > 0) {
        let ratio = f64::from(taken) / f64::from(concurrency.limit);
        used.push((concurrency.name.clone(), ratio));
    }
    used
}

/// The limits of a plan that count calls of an operation, told one by one. How much of each is used
/// is the running gate's to know.
pub fn describe(plan: &Plan, operation: &Operation) -> Vec<String> {
    let counts = |operations: &Operations| operations.contain(&operation.id);
    let mut told = Vec::new();
    for rate in plan.rates.iter().filter(|rate| counts(&rate.operations)) {
        let by = match rate.by {
            CountedBy::Client => "",
            CountedBy::Credential => " for each credential",
        };
        let (name, burst, mode) = (&rate.name, rate.burst, word(rate.mode));
        told.push(format!("rate {name}: burst {burst}{by}{mode}"));
    }
    for quota in plan.quotas.iter().filter(|quota| counts(&quota.operations)) {
        let (limit, calendar) = (quota.terms.limit, &quota.terms.calendar);
        told.push(format!(
            "quota {}: {limit} in each {} of {}{}",
            quota.name,
            calendar.unit.as_str(),
            calendar.zone.name(),
            word(quota.mode),
        ));
    }
    if let Some(Concurrency { limit, mode, .. }) = &plan.concurrency {
        told.push(format!("concurrency: {limit} at once{}", word(*mode)));
    }
    if let Some(brake) = plan.brake() {
        let (failures, calls) = (brake.failures, brake.calls);
        told.push(format!(
            "loop brake: after {failures} failures in a row, or {calls} calls over the limits in {} s{}",
            brake.window.as_secs(),
            word(brake.mode),
        ));
    }
    told
}

const fn word(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforced => "",
        Mode::Shadow => " (shadow: not enforced)",
    }
}

/// The cell of a rate, or the fullest of its cells.
fn fullest(cells: &Cells, at: usize, rate: &Rate) -> MonoNs {
    let of = |cells: &RateCells| cells.get(at).copied().unwrap_or_default();
    match rate.by {
        CountedBy::Client => of(&cells.rates),
        CountedBy::Credential => {
            let of_credentials = cells.more.iter().flat_map(|more| more.credentials.values());
            of_credentials.map(of).max().unwrap_or_default()
        }
    }
}

/// Calls that the period has left; None when nobody has asked in this period.
fn left_of(cells: &Cells, quota: &Quota, now: Now) -> Option<u64> {
    let lease = cells.lease_of(&quota.name)?;
    lease.is_of(quota, now.wall).then(|| quota::remaining(lease, quota.terms.limit))
}

#[expect(clippy::cast_precision_loss, reason = "quotas are below 2^53")]
const fn real(count: u64) -> f64 {
    count as f64
}
