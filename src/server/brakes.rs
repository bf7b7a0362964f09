//! Makes acts of loop brakes that came on: the operation is taken from its client for a while, as an operator would
//! do it, so that on-call sees it, a restart keeps it, lists of tools follow it, and it can be ended. What is no
//! operation of an api, and what only watches, is recorded.

use std::sync::Arc;
use std::time::Duration;

use crate::clock;
use crate::edge::Shared;
use crate::inventory::Registry;
use crate::inventory::actor::Actor;
use crate::inventory::change::{Act, Change, Line, NewQuarantine};
use crate::inventory::store::Asked;
use crate::model::id::{ClientId, OperationId};
use crate::model::loops::{Called, Looping};
use crate::model::plan::Mode;
use crate::model::quarantine::{OPERATIONS_MAX, Restriction};
use crate::model::time::UnixMicros;
use crate::request::brake::Braked;

use super::StartError;
use super::ticker::Ticker;

/// How long a brake waits for its act, at most; its client is refused meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Until dropped. Changes wait for the disk, so they have a thread of their own.
pub fn start(shared: &Arc<Shared>, registry: &Arc<Registry>) -> Result<Ticker, StartError> {
    let (shared, registry) = (Arc::clone(shared), Arc::clone(registry));
    let look = move || {
        for braked in shared.brakes.take() {
            make_act(&registry, braked);
        }
    };
    Ticker::start("onegate-brakes", LOOK_EVERY, look).map_err(StartError::Thread)
}

fn make_act(registry: &Registry, braked: Braked) {
    let Braked { client, called, looping, brake } = braked;
    let asked = Asked { by: &Actor::loop_brake(), at: clock::wall() };
    let told = match looping {
        Looping::Failed(times) => format!("{times} calls failed in a row"),
        Looping::TooFast(times) => format!("{times} calls came over the limits"),
    };
    let Ok(reason) = Line::parse(&told) else { return };
    let of = match (called, brake.mode) {
        (Called::Operation(id), Mode::Enforced)
            if is_of_an_api(registry, &id) && has_room(registry, &client, asked.at) =>
        {
            let micros = i64::try_from(brake.quarantine.as_micros()).unwrap_or(i64::MAX);
            let until = UnixMicros(asked.at.0.saturating_add(micros));
            let restrictions = vec![Restriction::Operation(id)];
            let new = NewQuarantine { client, restrictions, until, reason };
            if let Err(error) = registry.change(&Change::Quarantine(new), asked) {
                log::warn!(
                    "the loop brake refuses calls, and could not make a quarantine: {error}"
                );
            }
            return;
        }
        (Called::Operation(id), _) => id.to_string(),
        (Called::NothingOf(api), _) => format!("paths of {api} that are no operation"),
        (Called::NoTool, _) => "tools that there are not".to_owned(),
        (Called::NoMessage, _) => "what is no message of MCP".to_owned(),
    };
    registry.note(Act::loop_brake(&client, &of, brake.mode, reason), asked);
}

/// A client must not use up, by failing, the room that on-call needs.
fn has_room(registry: &Registry, client: &ClientId, now: UnixMicros) -> bool {
    let running = registry.running().load();
    let held = running.inventory.clients.get(client).and_then(|client| client.quarantine.as_ref());
    held.is_none_or(|held| held.in_force(now).count() < OPERATIONS_MAX / 2)
}

/// The gate's own are nobody's to take away for longer than the brake holds.
fn is_of_an_api(registry: &Registry, id: &OperationId) -> bool {
    registry.running().load().policy.operations.contains_key(id)
}
