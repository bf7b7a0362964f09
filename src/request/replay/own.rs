//! The replay of a message that the gate answered itself: who sent it, and that this is all that it takes. The
//! endpoint forwards nothing, so there is no operation to find and no grant to look for.

use crate::model::snapshot::Snapshot;
use crate::model::time::Now;

use super::{Recorded, Replayed, Teller, known, limit};

pub(super) fn stages(
    snapshot: &Snapshot,
    call: &Recorded<'_>,
    now: Now,
    teller: &mut Teller,
) -> Result<Replayed, Replayed> {
    teller.enter("classify");
    let operation = call.operation.unwrap_or("no operation");
    teller.tell_here(format!(
        "the MCP endpoint at {}: {operation}, of the gate itself",
        call.ask.path
    ));

    teller.enter("identify");
    let identified = known(snapshot, call.caller, now)?;
    teller.identified(&identified);

    teller.enter("authorize");
    teller.tell_here("no grant is needed: any client may ask this of the gate".to_owned());

    teller.enter("limit");
    let plan = identified.known().and_then(|known| known.profile.plan.as_ref());
    match plan {
        None => teller.tell_here("no plan: not limited".to_owned()),
        Some(name) => {
            let plan = snapshot.policy.plans.get(name).ok_or_else(limit::without_plan)?;
            let name = &plan.name;
            teller.tell_here(format!("plan {name}: its rates hold here too, its quotas do not"));
        }
    }
    Ok(Replayed::Own)
}
