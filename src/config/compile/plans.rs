//! `[[plan]]`: the limits that a client gets. Bounds here keep the limiter's arithmetic exact and
//! within 64 bits.

use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;
use http::HeaderValue;

use super::super::names::Names;
use super::super::section::{Section, Value};
use super::super::unit::Shown;
use super::files::Files;
use crate::model::id::{LimitName, PlanName};
use crate::model::plan::{Plan, RATES_MAX, Rate};

const PLANS_MAX: usize = 1000;
/// Most calls of one rate, and of its burst.
const CALLS_MAX: u32 = 1_000_000_000;
/// The steady rate is at most a million a second: below 1,000 ns between two calls, rounding to
/// whole nanoseconds would show.
const INTERVAL_NS_MIN: u128 = 1000;
/// Longest time to refill a burst from nothing.
const REFILL_MAX: Duration = Duration::from_hours(366 * 24);

pub(super) fn plans(files: &mut Files<'_>) -> AHashMap<PlanName, Arc<Plan>> {
    let mut names = files.names("plan");
    let sections = files.tables("plan", PLANS_MAX);
    let plans = sections.into_iter().filter_map(|section| plan(section, &mut names));
    plans.map(|plan| (plan.name.clone(), Arc::new(plan))).collect()
}

fn plan(mut section: Section<'_>, names: &mut Names) -> Option<Plan> {
    let name = section.name("name");
    if let Some(name) = &name {
        names.declare(name.text.text, name.text.at, section.problems);
    }
    section.need("rates", "rates = [{ limit = 50, per = \"1s\" }]");
    let values = section.list("rates", 1..=RATES_MAX).unwrap_or_default();
    let mut limit_names = Names::new("rate");
    let rates = values.iter().filter_map(|value| rate(value, &mut limit_names));
    let rates: Box<[Rate]> = rates.collect();
    section.finish();
    let policy_header = policy_header(&rates);
    Some(Plan { name: name?.name, rates, policy_header })
}

fn rate(value: &Value<'_>, names: &mut Names) -> Option<Rate> {
    let mut section = value.table()?;
    section.need("limit", "limit = 50");
    section.need("per", "per = \"1s\"");
    let limit = section.integer("limit", 1..=CALLS_MAX);
    let per = section.quantity("per", Duration::from_millis(100)..=Duration::from_hours(24));
    let burst = section.integer("burst", 1..=CALLS_MAX);
    let given = section.text("name");
    let given_name = given.map(|text| text.name(section.problems));
    section.finish();

    let (limit, per) = (limit?, per?);
    let name = match given_name {
        Some(given) => given?.name,
        None => LimitName::parse(&format!("{limit}-per-{}", Shown(per))).ok()?,
    };
    names.declare(name.as_str(), given.map_or(value.at, |text| text.at), value.problems);
    let rate = Rate { name, limit, per, burst: burst.unwrap_or(limit) };
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

/// The `RateLimit-Policy` field of draft-ietf-httpapi-ratelimit-headers-11. GCRA has no window;
/// the nearest thing to say is the burst and the time it takes to come back.
fn policy_header(rates: &[Rate]) -> HeaderValue {
    let item = |rate: &Rate| {
        let window = refill_ns(rate).div_ceil(1_000_000_000).max(1);
        format!("\"{}\";q={};w={window}", rate.name, rate.burst)
    };
    let text = rates.iter().map(item).collect::<Vec<_>>().join(", ");
    // Names and numbers are visible ASCII.
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}

/// Time from an empty bucket to a full one.
fn refill_ns(rate: &Rate) -> u128 {
    (u128::from(rate.burst) * rate.per.as_nanos()).div_ceil(u128::from(rate.limit.max(1)))
}
