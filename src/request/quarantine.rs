//! What a quarantine takes from its client: calls that do not read and calls of an operation are part of what
//! `authorize` asks, calls over a rate part of what `limit` charges. It holds wherever the client is known, in
//! public apis too; what the gate answers itself reads.

use crate::model::api::{Effect, Operation};
use crate::model::client::Client;
use crate::model::denial::{Advice, Denial, Refusal, Taken, Withheld};
use crate::model::quarantine::{Quarantine, Slowed};
use crate::model::time::{Now, UnixMicros};

use super::limit::gcra;

/// Refuses a call that is taken away, whatever limits say.
pub(super) fn permits(
    held: &Quarantine,
    operation: &Operation,
    effect: Effect,
    now: Now,
) -> Result<(), Refusal> {
    if let Some(until) = held.of_operation(&operation.id).filter(|until| now.wall < *until) {
        return Err(refusal(
            Taken::Operation,
            until,
            now,
            "the client is in quarantine for the operation",
        ));
    }
    match (effect, held.reads_only.filter(|until| now.wall < *until)) {
        (Effect::Writes, Some(until)) => {
            Err(refusal(Taken::Writes, until, now, "the client is in quarantine: it may only read"))
        }
        (Effect::Reads, _) | (Effect::Writes, None) => Ok(()),
    }
}

/// The rate that is left to the client, while it is in force.
pub fn rate(client: &Client, now: UnixMicros) -> Option<&Slowed> {
    let slowed = client.quarantine.as_ref()?.rate.as_ref()?;
    (now < slowed.until).then_some(slowed)
}

/// A call that was charged to the rate of a quarantine, until it is known what the plan says. Dropped, it stays
/// charged.
#[derive(Debug)]
#[must_use]
pub(super) struct Charged<'a>(Option<&'a Slowed>);

impl Charged<'_> {
    /// The plan refused: nothing is charged.
    pub(super) fn give_back(self) {
        if let Some(slowed) = self.0 {
            slowed.cell.give_back(slowed.rate.pace());
        }
    }
}

impl<'a> Charged<'a> {
    /// Of a client in no quarantine.
    pub(super) const NOTHING: Charged<'a> = Charged(None);
}

/// Charges the rate of a quarantine, if the client is in one.
pub(super) fn charge(client: &Client, now: Now) -> Result<Charged<'_>, Refusal> {
    let Some(slowed) = rate(client, now.wall) else {
        return Ok(Charged(None));
    };
    let pace = slowed.rate.pace();
    let mut wait_ns = None;
    slowed.cell.advance(|cell| {
        let charge = gcra::charge(gcra::settle(cell, pace, now.mono), pace, now.mono);
        wait_ns = charge.wait_ns;
        wait_ns.is_none().then_some(charge.next)
    });
    let Some(wait_ns) = wait_ns else { return Ok(Charged(Some(slowed))) };
    let withheld = Withheld {
        taken: Taken::Over(slowed.rate),
        until: slowed.until,
        after_seconds: gcra::seconds_up(wait_ns),
    };
    let advice = Advice::Quarantine(Box::new(withheld));
    let reason = "the client is in quarantine, and the rate that it is left is used up";
    Err(Refusal::advising(Denial::Quarantined, advice, reason))
}

fn refusal(taken: Taken, until: UnixMicros, now: Now, reason: &'static str) -> Refusal {
    let left_us = u64::try_from(until.0.saturating_sub(now.wall.0)).unwrap_or(0);
    let after_seconds = gcra::seconds_up(left_us.saturating_mul(1000));
    let withheld = Withheld { taken, until, after_seconds };
    Refusal::advising(Denial::Quarantined, Advice::Quarantine(Box::new(withheld)), reason)
}
