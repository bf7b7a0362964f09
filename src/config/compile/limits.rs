//! `[limits.anonymous]`, and what limits of all kinds have in common: a name of their own in the
//! plan, the operations whose calls they count, and whether they only watch.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::diagnostic::Problems;
use super::super::names::Names;
use super::super::section::{Section, Text};
use super::super::source::Place;
use super::plans;
use crate::model::id::{LimitName, OperationId, PlanName};
use crate::model::plan::{AnonymousLimit, CountedBy, Mode, Operations, Plan, Rate};

/// Most calls of one rate, and of its burst.
pub(super) const CALLS_MAX: u32 = 1_000_000_000;
/// Most operations that one limit names.
const OPERATIONS_MAX: usize = 10_000;

/// What the limits of one plan refer to and add to.
pub(super) struct Limits<'a, 's> {
    pub(super) names: Names,
    /// Ids that are not known to exist yet.
    pub(super) operations: &'a mut Vec<Text<'s>>,
}

impl<'s> Limits<'_, 's> {
    /// The limit's name: the given one, or the default. None: the given one was bad.
    pub(super) fn name(
        &mut self,
        section: &mut Section<'s>,
        default: &str,
        at: Place,
    ) -> Option<LimitName> {
        let given = section.text("name");
        let name = match given.map(|text| text.name(section.problems)) {
            Some(given) => given?.name,
            None => LimitName::parse(default).ok()?,
        };
        self.declare(&name, given.map_or(at, |text| text.at), section.problems);
        Some(name)
    }

    pub(super) fn declare(&mut self, name: &LimitName, at: Place, problems: &Problems<'_>) {
        self.names.declare(name.as_str(), at, problems);
    }

    /// The operations that the limit names; all when it names none.
    pub(super) fn operations(&mut self, section: &mut Section<'s>) -> Operations {
        let Some(texts) = section.texts("operations", 1..=OPERATIONS_MAX) else {
            return Operations::default();
        };
        let mut seen = BTreeSet::new();
        for text in texts.iter().filter(|text| !seen.insert(text.text)) {
            let message = format!("\"{}\" is listed twice", text.text);
            section.problems.error(text.at, message, "take one out");
        }
        // What is not the id of an operation is reported with those that no api has.
        let ids = texts.iter().filter_map(|text| OperationId::parse_joined(text.text).ok());
        let ids = ids.collect();
        self.operations.extend(texts);
        Operations::only(ids)
    }
}

pub(super) fn mode(section: &mut Section<'_>) -> Mode {
    if section.flag("shadow").unwrap_or(false) { Mode::Shadow } else { Mode::Enforced }
}

/// Off when no file has the section.
pub(super) fn anonymous(mut section: Section<'_>) -> Option<Box<AnonymousLimit>> {
    let is_there = section.place("anonymous").is_some();
    let mut anonymous = section.table("anonymous");
    section.finish();
    anonymous.need("limit", "limit = 100");
    anonymous.need("per", "per = \"1s\"");
    let limit = anonymous.integer("limit", 1..=CALLS_MAX);
    let per = anonymous.quantity("per", plans::PER_MIN..=Duration::from_hours(1));
    anonymous.finish();
    let (limit, per) = (limit?, per?);
    let name = LimitName::parse("anonymous").ok()?;
    let (operations, by) = (Operations::default(), CountedBy::Client);
    let rate = Rate { name, limit, per, burst: limit, by, operations, mode: Mode::Enforced };
    let rates: Box<[Rate]> = Box::new([rate]);
    let header = plans::policy_header(&rates, &[], None);
    let plan = Plan::new(PlanName::parse("anonymous").ok()?, rates, Box::default(), None, header);
    is_there.then(|| Box::new(AnonymousLimit { plan: Arc::new(plan), limit, per }))
}
