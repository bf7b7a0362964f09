//! `[[plan]]`: the limits that a client gets. Bounds here keep the limiter's arithmetic exact and
//! within 64 bits. Read before the apis, and checked after them: only they know the operations.

use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;
use http::HeaderValue;

use super::super::diagnostic::Problems;
use super::super::names::Names;
use super::super::section::{Section, Text, Value};
use super::super::unit::Shown;
use super::brakes;
use super::files::Files;
use super::limits::{self, CALLS_MAX, Limits};
use super::quotas;
use crate::model::calendar::CalendarUnit;
use crate::model::id::{PlanName, shared};
use crate::model::plan::{Concurrency, CountedBy, Mode, Plan, QUOTAS_MAX, Quota, RATES_MAX, Rate};

const PLANS_MAX: usize = 1000;
/// The steady rate is at most a million a second: below 1,000 ns between two calls, rounding to
/// whole nanoseconds would show.
const INTERVAL_NS_MIN: u128 = 1000;
/// Longest time to refill a burst from nothing.
const REFILL_MAX: Duration = Duration::from_hours(366 * 24);
/// Shortest period of a rate.
pub(super) const PER_MIN: Duration = Duration::from_millis(100);

/// Plans as they were read.
pub(super) struct Plans<'s> {
    pub(super) list: AHashMap<PlanName, Arc<Plan>>,
    /// What their limits name; not known to exist.
    operations: Vec<Text<'s>>,
}

impl Plans<'_> {
    /// Reports operations that no api has.
    pub(super) fn check(&self, operations: &Names, problems: &Problems<'_>) {
        for operation in &self.operations {
            operations.refer(*operation, problems);
        }
    }
}

pub(super) fn plans<'s>(files: &mut Files<'s>) -> Plans<'s> {
    let mut names = files.names("plan");
    let sections = files.tables("plan", PLANS_MAX);
    let mut operations = Vec::new();
    let read = |section| plan(section, &mut names, &mut operations);
    let plans = sections.into_iter().filter_map(read);
    let list = plans.map(|plan| (plan.name.clone(), Arc::new(plan))).collect();
    Plans { list, operations }
}

fn plan<'s>(
    mut section: Section<'s>,
    names: &mut Names,
    operations: &mut Vec<Text<'s>>,
) -> Option<Plan> {
    let name = section.name("name");
    if let Some(name) = &name {
        names.declare(name.text.text, name.text.at, section.problems);
    }
    if ["quotas", "concurrency", "loop_brake"].iter().all(|key| section.lacks(key)) {
        section.need("rates", "rates = [{ limit = 50, per = \"1s\" }]");
    }
    let mut limits = Limits { names: Names::new("limit"), operations };
    let rates = section.list("rates", 1..=RATES_MAX).unwrap_or_default();
    let rates: Box<[Rate]> = rates.iter().filter_map(|value| rate(value, &mut limits)).collect();
    let quotas = section.list("quotas", 1..=QUOTAS_MAX).unwrap_or_default();
    let quota = |value| quotas::quota(value, &mut limits);
    let quotas: Box<[Quota]> = quotas.iter().filter_map(quota).collect();
    let concurrency = quotas::concurrency(&mut section, &mut limits);
    let brake = brakes::loop_brake(&mut section, &mut limits);
    section.finish();
    let policy_header = policy_header(&rates, &quotas, concurrency.as_ref());
    let plan = Plan::new(name?.name, rates, quotas, concurrency, policy_header);
    Some(plan.with_brake(brake))
}

fn rate<'s>(value: &Value<'s>, limits: &mut Limits<'_, 's>) -> Option<Rate> {
    let mut section = value.table()?;
    section.need("limit", "limit = 50");
    section.need("per", "per = \"1s\"");
    let limit = section.integer("limit", 1..=CALLS_MAX);
    let per = section.quantity("per", PER_MIN..=Duration::from_hours(24));
    let burst = section.integer("burst", 1..=CALLS_MAX);
    let by = [("client", CountedBy::Client), ("credential", CountedBy::Credential)];
    let by = section.choice("by", &by).unwrap_or(CountedBy::Client);
    let operations = limits.operations(&mut section);
    let mode = limits::mode(&mut section);
    let default = limit.zip(per).map(|(limit, per)| format!("{limit}-per-{}", Shown(per)));
    let name = limits.name(&mut section, &default.unwrap_or_default(), value.at);
    section.finish();

    let (name, limit, per) = (name?, limit?, per?);
    let rate = Rate { name, limit, per, burst: burst.unwrap_or(limit), by, operations, mode };
    check_arithmetic(&rate, value);
    Some(rate)
}

fn check_arithmetic(rate: &Rate, value: &Value<'_>) {
    if rate.per.as_nanos() < u128::from(rate.limit) * INTERVAL_NS_MIN {
        let message = "this rate is more than 1000000 calls a second";
        value.problems.error(value.at, message, "lower the limit, or leave the rate out");
    }
    if refill_ns(rate) > REFILL_MAX.as_nanos() {
        let message = format!(
            "at {} per {} a burst of {} takes more than {} to refill",
            rate.limit,
            Shown(rate.per),
            rate.burst,
            Shown(REFILL_MAX),
        );
        value.problems.error(value.at, message, "lower the burst");
    }
}

/// The `RateLimit-Policy` field of draft-ietf-httpapi-ratelimit-headers-11, of the limits that are
/// enforced. GCRA has no window; the nearest thing to say is the burst and the time it takes to
/// come back. Months have no one length.
pub(super) fn policy_header(
    rates: &[Rate],
    quotas: &[Quota],
    concurrency: Option<&Concurrency>,
) -> HeaderValue {
    let rates = rates.iter().filter(|rate| rate.mode == Mode::Enforced).map(|rate| {
        let window = refill_ns(rate).div_ceil(1_000_000_000).max(1);
        format!("\"{}\";q={};w={window}", rate.name, rate.burst)
    });
    let quotas = quotas.iter().filter(|quota| quota.mode == Mode::Enforced).map(|quota| {
        let window = match quota.terms.calendar.unit {
            CalendarUnit::Day => ";w=86400",
            CalendarUnit::Week => ";w=604800",
            CalendarUnit::Month => "",
        };
        format!("\"{}\";q={}{window}", quota.name, quota.terms.limit)
    });
    let concurrency = concurrency.filter(|concurrency| concurrency.mode == Mode::Enforced);
    let concurrency = concurrency.map(|concurrency| {
        format!("\"{}\";q={};qu=\"concurrent-requests\"", concurrency.name, concurrency.limit)
    });
    let items: Vec<_> = rates.chain(quotas).chain(concurrency).collect();
    // Names and numbers are visible ASCII.
    shared(HeaderValue::try_from(items.join(", ")).unwrap_or(HeaderValue::from_static("")))
}

/// Time from an empty bucket to a full one.
fn refill_ns(rate: &Rate) -> u128 {
    (u128::from(rate.burst) * rate.per.as_nanos()).div_ceil(u128::from(rate.limit.max(1)))
}
