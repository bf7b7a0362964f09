//! What lists of tools cost: how many tools the agents of a client see, and how much of a model's context their
//! definitions take.

use std::sync::Arc;

use super::output::{Failure, Output};
use crate::admin::wire::ToolsSeen;
use crate::clock;
use crate::inventory::store::Store;
use crate::model::id::ClientId;
use crate::model::snapshot::Snapshot;
use crate::request::listing;
use crate::server::Source;

/// What [`ToolsSeen`] counts as a token.
const TOKEN_BYTES: usize = 4;
/// Beyond these, models choose worse and some clients show no more.
const CHOSEN_WELL_MAX: usize = 40;
/// What several clients and APIs take at most.
const TAKEN_MAX: usize = 128;

/// What each profile of a client sees. None where there is no endpoint, or no config to tell it by.
pub fn seen(
    source: &Source,
    client: &str,
    profiles: impl Iterator<Item = String>,
) -> Result<Option<Vec<ToolsSeen>>, Failure> {
    let (Ok(loaded), Ok(client)) = (source.load(), ClientId::parse(client)) else {
        return Ok(None);
    };
    let inventory = Store::peek(&loaded.policy.server.data_dir);
    let inventory = inventory.map_err(|error| Failure::not_done(&error, error.fix()))?;
    let snapshot = Snapshot::new(Arc::new(loaded.policy), inventory);
    let Some(mcp) = &snapshot.policy.mcp else { return Ok(None) };
    let now = clock::now();
    let of = |profile: String| {
        let tools = listing::of_profile(&snapshot, &mcp.catalogue, (&client, &profile), now);
        let bytes: usize = tools.iter().map(|tool| tool.definition.len()).sum();
        ToolsSeen { profile, tools: tools.len(), tokens: bytes.div_ceil(TOKEN_BYTES) }
    };
    Ok(Some(profiles.map(of).collect()))
}

/// In words, with what there is to fear.
pub fn tell(seen: &[ToolsSeen], output: &mut Output<'_>) -> Result<(), Failure> {
    for ToolsSeen { profile, tools, tokens } in seen {
        output.line(&format!(
            "over MCP, profile {profile}: {tools} tools, about {tokens} tokens of a model's context"
        ))?;
        if *tools > TAKEN_MAX {
            output.line(&format!(
                "  more than {TAKEN_MAX}: some clients refuse such a list or leave out its end. Grant less, or \
                 make clients of their own for tasks of their own."
            ))?;
        } else if *tools > CHOSEN_WELL_MAX {
            output.line(&format!(
                "  more than {CHOSEN_WELL_MAX}: models choose worse among so many, and Cursor may not show all."
            ))?;
        }
    }
    Ok(())
}
