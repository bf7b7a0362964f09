//! Quarantines: they only take away. One that is in force is replaced by one that takes at least as much for at
//! least as long, and by nothing else: to leave a client more, its quarantine is ended, which is an act of its own.

use std::sync::Arc;

use super::{Draft, at_most};
use crate::inventory::change::{EndQuarantine, NewQuarantine, Outcome};
use crate::inventory::describe;
use crate::inventory::error::{ChangeError, Thing, nearest};
use crate::inventory::store::QuarantineValues;
use crate::model::client::Client;
use crate::model::id::OperationId;
use crate::model::quarantine::{LONGEST, OPERATIONS_MAX, Restriction};
use crate::model::time::UnixMicros;

impl Draft<'_> {
    pub(super) fn quarantine(&mut self, new: &NewQuarantine) -> Result<Outcome, ChangeError> {
        let NewQuarantine { client: id, restrictions, until, reason } = new;
        self.in_future("the end of the quarantine", Some(*until))?;
        self.not_too_long(*until)?;
        let client = self.live_client(id)?;
        for restriction in restrictions {
            if let Restriction::Operation(operation) = restriction {
                self.known_operation(operation)?;
            }
            self.takes_no_less(client, restriction, *until)?;
        }
        let before = describe::quarantine(client, self.asked.at);
        self.tables.forget_quarantines(id, self.asked.at)?;
        let values = QuarantineValues { until: *until, reason, actor: self.asked.by.as_str() };
        for restriction in restrictions {
            self.tables.put_quarantine(id, restriction, &values, self.asked.at)?;
        }
        let now = self.resolve(id)?;
        let operations = now.quarantine.as_ref().map_or(0, |held| held.operations.len());
        at_most(Thing::Operation, OPERATIONS_MAX, operations, id)?;
        let after = describe::quarantine(&now, self.asked.at);
        let target = format!("client/{id}");
        self.act_because("client.quarantine", target, Some(reason), [Some(before), Some(after)]);
        Ok(Outcome::Limited(self.usable(&now, |_| true)?))
    }

    pub(super) fn end_quarantine(&mut self, end: &EndQuarantine) -> Result<Outcome, ChangeError> {
        let EndQuarantine { client: id, operations, reason } = end;
        let client = self.live_client(id)?;
        let held = client.quarantine.as_deref();
        let in_force: Vec<Restriction> = held
            .into_iter()
            .flat_map(|held| held.in_force(self.asked.at))
            .map(|(r, _)| r)
            .collect();
        let named = operations.iter().cloned().map(Restriction::Operation);
        let ended: Vec<Restriction> =
            if operations.is_empty() { in_force.clone() } else { named.collect() };
        let missing = ended.iter().find(|restriction| !in_force.contains(restriction));
        // A brake that has no quarantine, of what is no operation, is given back with all.
        let let_go = missing.is_none() && release(client, operations) == Released::Some;
        if missing.is_some() || (ended.is_empty() && !let_go) {
            let of = missing.map(ToString::to_string);
            return Err(ChangeError::NotQuarantined { client: id.clone(), of });
        }
        let before = describe::quarantine(client, self.asked.at);
        for restriction in &ended {
            self.tables.delete_quarantine(id, restriction)?;
        }
        let now = self.resolve(id)?;
        let after = describe::quarantine(&now, self.asked.at);
        let target = format!("client/{id}");
        self.act_because(
            "client.quarantine_end",
            target,
            Some(reason),
            [Some(before), Some(after)],
        );
        Ok(Outcome::Done)
    }

    fn not_too_long(&self, until: UnixMicros) -> Result<(), ChangeError> {
        let longest_us = i64::try_from(LONGEST.as_micros()).unwrap_or(i64::MAX);
        if until.0 <= self.asked.at.0.saturating_add(longest_us) {
            return Ok(());
        }
        let problem = "is more than 30 days away; for longer, remove grants or suspend the client";
        Err(ChangeError::BadValue { field: "the end of the quarantine", problem: problem.into() })
    }

    /// Whether a quarantine of the same kind that is in force may be replaced.
    fn takes_no_less(
        &self,
        client: &Arc<Client>,
        new: &Restriction,
        until: UnixMicros,
    ) -> Result<(), ChangeError> {
        let Some(held) = client.quarantine.as_deref() else { return Ok(()) };
        let Some(ends) = held.until(new).filter(|ends| *ends > self.asked.at) else {
            return Ok(());
        };
        let old = match (new, &held.rate) {
            (Restriction::Rate(new), Some(old)) if !new.is_within(old.rate) => {
                Some(Restriction::Rate(old.rate))
            }
            _ => (ends > until).then(|| new.clone()),
        };
        old.map_or(Ok(()), |old| {
            let (client, left) = (client.id.clone(), old.to_string());
            Err(ChangeError::Quarantined { client, left, until: ends })
        })
    }

    fn known_operation(&self, id: &OperationId) -> Result<(), ChangeError> {
        let operations = &self.snapshot.policy.operations;
        if operations.contains_key(id) {
            return Ok(());
        }
        let near = nearest(id.as_str(), operations.keys().map(OperationId::as_str));
        Err(ChangeError::NotFound { what: Thing::Operation, name: id.to_string(), near })
    }
}

/// Lets the loop brake of the client's plans go too, or it would refuse what is given back. Where the change is then
/// not made, the quarantine holds on.
fn release(client: &Client, operations: &[OperationId]) -> Released {
    let mut released = Released::Nothing;
    for profile in &client.profiles {
        let mut cells = profile.meter.lock();
        let Some(loops) = cells.loops_mut().filter(|loops| !loops.is_empty()) else { continue };
        released = Released::Some;
        match operations {
            [] => loops.release(None),
            some => some.iter().for_each(|operation| loops.release(Some(operation))),
        }
    }
    released
}

/// Whether a loop brake held anything.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Released {
    Nothing,
    Some,
}
