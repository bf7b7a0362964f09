//! The replay of a message that the gate answered itself: who sent it, and that this is all that it takes. The
//! endpoint forwards nothing, so there is no operation to find and no grant to look for.

use crate::model::denial::{Denial, Refusal};
use crate::model::snapshot::Snapshot;
use crate::model::time::Now;

use super::super::endpoint;
use super::super::listing::Narrowing;
use super::{Recorded, Replayed, Teller, known};

pub(super) fn stages(
    snapshot: &Snapshot,
    call: &Recorded<'_>,
    now: Now,
    teller: &mut Teller,
) -> Result<Replayed, Replayed> {
    teller.enter("classify");
    let Some(mcp) = endpoint::at(snapshot, call.ask.host, call.ask.path) else {
        let reason = "there was no MCP endpoint at this host and path";
        return Err(Refusal::new(Denial::NotFound, reason).into());
    };
    let operation = call.operation.unwrap_or("no operation");
    teller.tell_here(format!(
        "the MCP endpoint at {}: {operation}, of the gate itself",
        call.ask.path
    ));

    teller.enter("identify");
    let identified = known(snapshot, call.caller, now)?;
    teller.identified(&identified, now);
    Narrowing::of(&snapshot.policy, mcp, call.ask.path, "")?;
    super::slowed(identified.known(), call.outcome, now)?;

    teller.enter("authorize");
    let plan = identified.known().and_then(|known| known.profile.plan.as_ref());
    teller.own(plan, snapshot)?;
    Ok(Replayed::Own)
}
