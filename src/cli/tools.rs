//! What lists of tools cost: how many tools the agents of a client see, and how much of a model's context their
//! definitions take.

use std::sync::Arc;

use super::output::{Failure, Output};
use crate::admin::wire::ToolsSeen;
use crate::clock;
use crate::inventory::store::Store;
use crate::mcp::meta;
use crate::model::id::ClientId;
use crate::model::mcp::{CHOSEN_WELL_MAX, Shown, TOKEN_BYTES};
use crate::model::snapshot::Snapshot;
use crate::request::listing::Sight;
use crate::server::Source;

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
        let sight = Sight::of_profile(&snapshot, (&client, &profile), now);
        let tools = sight.as_ref().map(|sight| sight.tools(&mcp.catalogue)).unwrap_or_default();
        let presentation = sight.as_ref().map_or(mcp.presentation, |sight| sight.presentation(mcp));
        let (listed, bytes) = match sight.map(|sight| sight.shown(mcp, &tools)) {
            Some(Shown::Search) => meta::size(tools.iter().map(|tool| &***tool)),
            Some(Shown::Each) | None => {
                (tools.len(), tools.iter().map(|tool| tool.definition.len()).sum())
            }
        };
        ToolsSeen {
            profile,
            presentation: presentation.as_str().into(),
            operations: tools.len(),
            tools: listed,
            tokens: bytes.div_ceil(TOKEN_BYTES),
        }
    };
    Ok(Some(profiles.map(of).collect()))
}

/// In words, with what there is to fear.
pub fn tell(client: &str, seen: &[ToolsSeen], output: &mut Output<'_>) -> Result<(), Failure> {
    for ToolsSeen { profile, presentation, operations, tools, tokens } in seen {
        output.line(&format!(
            "over MCP, profile {profile}, shown {presentation}: {operations} operations in {tools} tools, about \
             {tokens} tokens of a model's context"
        ))?;
        if *tools > TAKEN_MAX {
            output.line(&format!(
                "  more than {TAKEN_MAX} tools: some clients refuse such a list or leave out its end. Show them by \
                 search (client change {client} --profile {profile} --presentation search), or grant less."
            ))?;
        } else if *tools > CHOSEN_WELL_MAX {
            output.line(&format!(
                "  more than {CHOSEN_WELL_MAX} tools: models choose worse among so many, and Cursor may not show \
                 all. With --presentation auto they are shown by search."
            ))?;
        }
    }
    Ok(())
}
