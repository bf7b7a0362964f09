//! `[[plan.quotas]]` and `[plan.concurrency]`.

use jiff::tz::TimeZone;

use super::super::section::{NumberOrTable, Section, Text, Value};
use super::limits::{self, Limits};
use crate::model::calendar::{Calendar, CalendarUnit, Zone};
use crate::model::id::LimitName;
use crate::model::plan::{Concurrency, Mode, Quota, QuotaTerms};

/// Most calls of one period.
const CALLS_MAX: u64 = 1_000_000_000_000;
const AT_ONCE_MAX: u32 = 1_000_000;

pub(super) fn quota<'s>(value: &Value<'s>, limits: &mut Limits<'_, 's>) -> Option<Quota> {
    let mut section = value.table()?;
    section.need("limit", "limit = 100000");
    section.need("per", "per = \"month\"");
    let limit = section.integer("limit", 1..=CALLS_MAX);
    let units = CalendarUnit::ALL.map(|unit| (unit.as_str(), unit));
    let unit = section.choice("per", &units);
    let zone = zone(&mut section);
    let operations = limits.operations(&mut section);
    let mode = limits::mode(&mut section);
    // Not with the limit in it: usage is kept under the name, and a limit may change.
    let default = unit.map_or(String::new(), |unit| format!("per-{}", unit.as_str()));
    let name = limits.name(&mut section, &default, value.at);
    section.finish();
    let terms = QuotaTerms { limit: limit?, calendar: Calendar { unit: unit?, zone: zone? } };
    Some(Quota { name: name?, terms, operations, mode })
}

/// None: not a zone, and reported.
fn zone(section: &mut Section<'_>) -> Option<Zone> {
    let Some(Text { text, at }) = section.text("timezone") else {
        let is_bad = section.place("timezone").is_some();
        return (!is_bad).then(|| Zone::new("UTC", TimeZone::UTC));
    };
    if text == "UTC" {
        return Some(Zone::new(text, TimeZone::UTC));
    }
    let rules = TimeZone::get(text).ok();
    if rules.is_none() {
        let message = format!("\"{text}\" is not a time zone of this system");
        let fix = "write an IANA name such as \"Europe/Berlin\", or \"UTC\"; the names come from \
                   the system's tzdata";
        section.problems.error(at, message, fix);
    }
    rules.map(|rules| Zone::new(text, rules))
}

pub(super) fn concurrency<'s>(
    section: &mut Section<'s>,
    limits: &mut Limits<'_, 's>,
) -> Option<Concurrency> {
    let at = section.place("concurrency");
    let given = section.integer_or_table("concurrency", 1..=AT_ONCE_MAX);
    let (limit, mode) = match given? {
        NumberOrTable::Number(limit) => (limit, Mode::Enforced),
        NumberOrTable::Table(mut table) => {
            table.need("limit", "limit = 20");
            let limit = table.integer("limit", 1..=AT_ONCE_MAX);
            let mode = limits::mode(&mut table);
            table.finish();
            (limit, mode)
        }
    };
    let name = LimitName::parse(Concurrency::NAME).ok()?;
    if let Some(at) = at {
        limits.declare(&name, at, section.problems);
    }
    Some(Concurrency { name, limit: limit?, mode })
}
