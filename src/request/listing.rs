//! What a caller's permit would allow, for lists of tools. It tells and forwards nothing: a call of what
//! stands in a list is decided like any other.

use std::sync::Arc;

use ahash::AHashSet;

use crate::model::api::Api;
use crate::model::id::{ApiName, ClientId};
use crate::model::snapshot::Snapshot;
use crate::model::time::Now;
use crate::model::tool::{Catalogue, Tool};

use super::{Call, authorize, classify, identify, policy};

/// The tools that a client's profile may call now, under any host and from any address: none where no credential of it
/// would be taken.
pub fn of_profile<'c>(
    snapshot: &Snapshot,
    catalogue: &'c Catalogue,
    (client, profile): (&ClientId, &str),
    now: Now,
) -> Vec<&'c Arc<Tool>> {
    let Ok(identified) = identify::assumed(snapshot, client, profile, now) else {
        return Vec::new();
    };
    let may = |tool: &&Arc<Tool>| authorize::may(identified.known(), &tool.operation, now).is_ok();
    catalogue.tools().iter().filter(may).collect()
}

/// The tools that a caller may call now under this host, in order of their names. Its limits are not asked.
pub fn tools<'c>(
    snapshot: &Snapshot,
    catalogue: &'c Catalogue,
    mcp: &Api,
    (caller, host): (&Call, &str),
    now: Now,
) -> Vec<&'c Arc<Tool>> {
    let Ok(identified) = identify::again(snapshot, mcp, caller.credential, now) else {
        return Vec::new();
    };
    let admits = |api: &&Arc<Api>| policy::admits(api, caller.source_ip).is_ok();
    let apis = snapshot.policy.apis.iter().filter(admits).map(|api| &api.name);
    let apis: AHashSet<&ApiName> = apis.collect();
    let here = classify::apis_at(&snapshot.policy.hosts, host).map(|api| &api.name);
    let here: AHashSet<&ApiName> = here.collect();
    let may = |tool: &&Arc<Tool>| {
        let api = &tool.operation.api.name;
        apis.contains(api)
            && (tool.host.is_some() || here.contains(api))
            && authorize::may(identified.known(), &tool.operation, now).is_ok()
    };
    catalogue.tools().iter().filter(may).collect()
}
