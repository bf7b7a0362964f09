//! Quarantines, from text: one kind each, and rates as people write them.

use std::time::Duration;

use super::{BadValue, bad, line, name, time};
use crate::admin::wire;
use crate::config::duration;
use crate::inventory::change::{EndQuarantine, NewQuarantine};
use crate::model::id::OperationId;
use crate::model::quarantine::{CALLS_MAX, CallRate, Restriction};

pub(super) fn quarantine(new: &wire::NewQuarantine) -> Result<NewQuarantine, BadValue> {
    let wire::NewQuarantine { client, reads_only, rate, operations, until, reason } = new;
    let restrictions = match (reads_only, rate, operations.is_empty()) {
        (true, None, true) => vec![Restriction::ReadsOnly],
        (false, Some(text), true) => vec![Restriction::Rate(call_rate(text)?)],
        (false, None, false) => ids(operations)?.into_iter().map(Restriction::Operation).collect(),
        _ => {
            let why = "a quarantine leaves one of: reads only, a rate, all but some operations";
            return Err(BadValue(why.into()));
        }
    };
    Ok(NewQuarantine {
        client: name("client", client)?,
        restrictions,
        until: time("until", until)?,
        reason: line("reason", reason)?,
    })
}

pub(super) fn end(end: &wire::EndQuarantine) -> Result<EndQuarantine, BadValue> {
    let wire::EndQuarantine { client, operations, reason } = end;
    Ok(EndQuarantine {
        client: name("client", client)?,
        operations: ids(operations)?,
        reason: line("reason", reason)?,
    })
}

fn ids(operations: &[String]) -> Result<Vec<OperationId>, BadValue> {
    let parse =
        |text: &String| OperationId::parse_joined(text).map_err(|why| bad("operation", text, why));
    operations.iter().map(parse).collect()
}

/// `N` calls a second, or `N/TIME`.
fn call_rate(text: &str) -> Result<CallRate, BadValue> {
    let (calls, per) = text.split_once('/').unwrap_or((text, "1s"));
    let limit = calls.parse().ok().filter(|calls| (1..=CALLS_MAX).contains(calls));
    // Whole seconds: what is shown is what holds.
    let whole = |per: &Duration| per.subsec_nanos() == 0 && (PER_MIN..=PER_MAX).contains(per);
    match (limit, duration(per).filter(whole)) {
        (Some(limit), Some(per)) => Ok(CallRate { limit, per }),
        _ => Err(bad(
            "rate",
            text,
            "is not N or N/TIME: 1 to 1000000 calls in 1s to 24h, such as 5 or 5/1m",
        )),
    }
}

const PER_MIN: Duration = Duration::from_secs(1);
const PER_MAX: Duration = Duration::from_hours(24);
