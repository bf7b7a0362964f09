//! A call that a new key may make, to be pasted into a terminal.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use crate::model::api::{Api, Operation};
use crate::model::client::{Credential, Profile};
use crate::model::policy::Policy;
use crate::model::snapshot::Snapshot;
use crate::model::template::Segment;

/// The URL of the first GET without parameters that the credential's grants name, else that of the
/// gate; None when nothing listens.
pub fn url(snapshot: &Snapshot, credential: &Credential) -> Option<String> {
    let policy = &snapshot.policy;
    let address = reachable(policy.listeners.first()?.address);
    let client = snapshot.inventory.clients.get(&credential.client)?;
    let profile = client.profile(credential.profile.as_str())?;
    let Some((api, operation)) = granted(policy, profile) else {
        return Some(format!("http://{address}/"));
    };
    let path = match operation.template.to_string() {
        root if root == "/" => String::new(),
        path => path,
    };
    let base = api.base_path.as_prefix();
    let path = if base.is_empty() && path.is_empty() { "/" } else { &path };
    Some(match host(policy, api) {
        Some(host) => format!("http://{host}:{}{base}{path}", address.port()),
        None => format!("http://{address}{base}{path}"),
    })
}

fn granted<'p>(
    policy: &'p Policy,
    profile: &Profile,
) -> Option<(&'p Arc<Api>, &'p Arc<Operation>)> {
    let granted = |name| profile.grants.iter().any(|grant| grant.product == name);
    let products = policy.products.iter().filter(|product| granted(product.name.clone()));
    let operations = products.flat_map(|product| &product.operations);
    let mut simple = operations.filter_map(|id| policy.operations.get(id)).filter(|operation| {
        let literal = |segment: &Segment| matches!(segment, Segment::Literal(_));
        operation.methods.contain("GET") && operation.template.segments.iter().all(literal)
    });
    let operation = simple.next()?;
    let api = policy.apis.iter().find(|api| api.name == operation.api.name)?;
    Some((api, operation))
}

/// The name that the api is served under, unless it is served under any.
fn host<'p>(policy: &'p Policy, api: &Arc<Api>) -> Option<&'p str> {
    let here = |apis: &[Arc<Api>]| apis.iter().any(|other| Arc::ptr_eq(other, api));
    if here(&policy.hosts.any) {
        return None;
    }
    policy.hosts.exact.iter().find(|(_, apis)| here(apis)).map(|(host, _)| &**host)
}

/// Where a listener is reached from its own machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}
