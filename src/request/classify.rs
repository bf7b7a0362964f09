//! Stage 1, head to operation: the api by host and base path, then the operation by path and
//! method, each once. It says what was asked, never who may.

use std::sync::Arc;

use crate::model::api::{Api, HostIndex, Operation, PathIndex, Service};
use crate::model::denial::{Advice, Denial, Refusal};

use super::Ask;

/// An api that serves the host and path. Whether it has the operation is held back until the
/// caller is identified.
#[derive(Debug)]
pub struct Found {
    pub api: Arc<Api>,
    pub operation: Result<Arc<Operation>, Refusal>,
}

/// Finds the api, most exact host first, longest base path first within it.
pub fn classify(hosts: &HostIndex, ask: &Ask<'_>) -> Result<Found, Refusal> {
    let mut host_known = false;
    for apis in apis_of(hosts, ask.host) {
        host_known = true;
        for api in apis {
            if let Some(below) = api.base_path.strip(ask.path) {
                let operation = operation_at(&api.paths, below, ask.method);
                return Ok(Found { api: Arc::clone(api), operation });
            }
        }
    }
    Err(if host_known {
        Refusal::new(Denial::NotFound, "no api has this base path")
    } else {
        Refusal::new(Denial::Misdirected, "no api has this host")
    })
}

/// Whether some api is served under the host.
pub fn has_host(hosts: &HostIndex, host: &str) -> bool {
    apis_at(hosts, host).next().is_some()
}

/// Whether a path under a host is below some api's base path.
pub fn has_api(hosts: &HostIndex, host: &str, path: &str) -> bool {
    apis_at(hosts, host).any(|api| api.base_path.strip(path).is_some())
}

/// Every api under the host.
pub fn apis_at<'h>(hosts: &'h HostIndex, host: &'h str) -> impl Iterator<Item = &'h Arc<Api>> {
    apis_of(hosts, host).flatten()
}

fn apis_of<'h>(hosts: &'h HostIndex, host: &'h str) -> impl Iterator<Item = &'h Vec<Arc<Api>>> {
    let wildcard = hosts
        .wildcard
        .iter()
        .filter(|(suffix, _)| host.len() > suffix.len() && host.ends_with(&**suffix))
        .map(|(_, apis)| apis);
    let any = Some(&hosts.any).filter(|apis| !apis.is_empty());
    hosts.exact.get(host).into_iter().chain(wildcard).chain(any)
}

/// The operation at a path below its api's base path.
pub fn operation_at(
    paths: &PathIndex,
    below: &str,
    method: &str,
) -> Result<Arc<Operation>, Refusal> {
    let below = if below.is_empty() { "/" } else { below };
    let unknown = || Refusal::new(Denial::NotFound, "the api has no operation at this path");
    let matched = paths.router.at(below).map_err(|_| unknown())?;
    let entry = paths.entries.get(*matched.value).ok_or_else(unknown)?;
    match entry.service(method) {
        Service::Operation(operation) => Ok(Arc::clone(operation)),
        Service::Withheld => Err(Refusal::new(
            Denial::NotFound,
            "the document's operation at this path cannot be used",
        )),
        Service::Nothing => Err(Refusal::advising(
            Denial::MethodNotAllowed,
            Advice::Allow(entry.allow.clone()),
            "the path has no operation with this method",
        )),
    }
}
