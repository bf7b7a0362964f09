//! From the sections of all files to one [`Policy`]. Each section has a file of its own below;
//! all of them report into one list and go on, so this function never stops half-way.

use std::sync::Arc;

use super::diagnostic::Problems;
use super::keys::Keys;
use super::source::Sources;
use crate::model::policy::Policy;
pub(super) use beside::Beside;
pub(super) use files::Complete;
use files::Files;
use trust::TrustFiles;

mod access_log;
mod apis;
mod audit;
mod balancing;
mod beside;
mod brakes;
mod certificates;
mod described;
mod files;
mod hosts;
mod limits;
mod listeners;
mod mcp;
mod operations;
mod plans;
mod products;
mod quotas;
mod routes;
mod server;
mod shape;
mod syntax;
mod tools;
mod transport;
mod trust;
mod upstreams;

/// The policy that the files describe; None when a problem was an error.
pub(super) fn policy(
    sources: &Sources,
    complete: Complete,
    beside: Beside<'_>,
    problems: &Problems<'_>,
    keys: &Keys,
) -> Option<Policy> {
    let documents = syntax::parse(sources, problems);
    let mut files = Files::open(&documents, complete, problems, keys);

    let server = server::server(files.section("server"), sources.folder());
    let (audit, checkpoints, archive) =
        audit::audit(files.section("audit"), &server, sources.folder());
    let access_log = access_log::access_log(files.section("access_log"), sources.folder());
    let metrics = server::metrics(files.section("metrics"));
    let listeners = listeners::listeners(&mut files, metrics.address, beside);
    let anonymous = limits::anonymous(files.section("limits"));
    let plans = plans::plans(&mut files);

    let trust = TrustFiles::new(beside);
    let mut upstream_names = files.names("upstream");
    let mut operation_ids = files.names("operation");
    let upstreams = upstreams::upstreams(&mut files, &mut upstream_names, &trust);
    let products = products::products(&mut files);
    let referred = apis::Referred { upstreams: &upstream_names, products: &products, sources };
    let mut apis = apis::apis(&mut files, beside, referred, &mut operation_ids);
    products.check(&operation_ids, problems);
    plans.check(&operation_ids, problems);
    let hosts = hosts::index(&apis, problems);
    let catalogue = tools::catalogue(&mut apis, problems);
    let mcp = mcp::mcp(files.section("mcp"), (&apis, &products.names()), catalogue);
    files.finish();

    if problems.have_errors() {
        return None;
    }
    let operations = apis.iter().flat_map(|published| &published.operations);
    let operations = operations.map(|(operation, _)| (operation.id.clone(), Arc::clone(operation)));
    let operations = operations.collect();
    Some(Policy {
        digest: sources.digest(),
        server: server.server,
        listeners,
        bounds: server.bounds,
        trusted_proxies: server.trusted_proxies,
        audit,
        checkpoints,
        archive,
        access_log,
        metrics,
        hosts,
        apis: apis.into_iter().map(|published| published.api).collect(),
        products: products.into_list(&operations),
        operations,
        plans: plans.list,
        anonymous,
        mcp,
        upstreams,
    })
}
