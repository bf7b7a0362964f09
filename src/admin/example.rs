//! A call that a new key may make, to be pasted into a terminal.

use std::sync::Arc;

use crate::model::api::{Api, Operation};
use crate::model::client::{Credential, Profile};
use crate::model::policy::Policy;
use crate::model::snapshot::Snapshot;
use crate::model::template::Segment;

/// The URL of the first GET without parameters that the credential's grants name; None when there is
/// none, or nothing listens.
pub fn url(snapshot: &Snapshot, credential: &Credential) -> Option<String> {
    let policy = &snapshot.policy;
    let listener = policy.listeners.first()?;
    let (address, scheme) = (listener.reachable(), listener.scheme().as_str());
    let client = snapshot.inventory.clients.get(&credential.client)?;
    let profile = client.profile(credential.profile.as_str())?;
    let (api, operation) = granted(policy, profile)?;
    let literals = operation.template.segments.iter().filter_map(|segment| match segment {
        Segment::Literal(literal) => Some(format!("/{literal}")),
        Segment::Parameter(_) | Segment::Tail(_) => None,
    });
    let path: String = literals.collect();
    let path = if path == "/" { String::new() } else { path };
    let base = api.base_path.as_prefix();
    let path = if base.is_empty() && path.is_empty() { "/" } else { &path };
    Some(match host(policy, api) {
        Some(host) => format!("{scheme}://{host}:{}{base}{path}", address.port()),
        None => format!("{scheme}://{address}{base}{path}"),
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
        // The rest of a path may be empty.
        let needs_nothing = |segment: &Segment| !matches!(segment, Segment::Parameter(_));
        operation.methods.contain("GET") && operation.template.segments.iter().all(needs_nothing)
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

#[cfg(test)]
mod tests {
    use ahash::AHashMap;

    use super::*;
    use crate::inventory::change::Change;
    use crate::inventory::testing::{self, TempDir, name};
    use crate::model::api::{Access, ApiFacts, BasePath, Durability, Metering, Methods, PathIndex};
    use crate::model::id::OperationId;
    use crate::model::policy::{Listener, Product};
    use crate::model::template::Template;
    use std::sync::OnceLock;

    fn operation(id: &str, methods: Methods, path: &str) -> (OperationId, Arc<Operation>) {
        let api = Arc::new(ApiFacts { name: name("payments"), access: Access::Granted });
        let template = Template::parse(path).unwrap();
        let (scopes, products) = ([].into(), [name("payments-all")].into());
        let id: OperationId = name(id);
        (
            id.clone(),
            Arc::new(Operation {
                id,
                api,
                methods,
                template,
                scopes,
                body_bytes_max: 1,
                durability: Durability::Standard,
                metering: Metering::All,
                shape: None,
                products,
                facts: OnceLock::new(),
            }),
        )
    }

    fn api(base_path: &str) -> Arc<Api> {
        Arc::new(Api {
            name: name("payments"),
            access: Access::Granted,
            upstream: Some(name("payments")),
            base_path: BasePath::new(base_path),
            upstream_base_path: BasePath::new(base_path),
            credential: [].into(),
            rules: None,
            shape: None,
            paths: PathIndex::default(),
        })
    }

    #[test]
    fn a_new_key_comes_with_something_to_call() {
        let dir = TempDir::default();
        let (registry, _) = testing::registry(&dir);
        let add = Change::AddClient(testing::new_client("a"));
        let credential = testing::issued(testing::make(&registry, &add).unwrap()).credential;
        let inventory = registry.running().load().inventory.clone();
        let check_any =
            |address: &str, host: Option<&str>, base: &str, path: &str, expected: Option<&str>| {
                let mut policy = Arc::into_inner(testing::policy(&[], &[])).unwrap();
                let address = address.parse().unwrap();
                policy.listeners = [Listener {
                    name: name("main"),
                    address,
                    http2: false,
                    health_path: None,
                    tls: None,
                }]
                .into();
                let api = api(base);
                policy.apis = [Arc::clone(&api)].into();
                match host {
                    Some(host) => drop(policy.hosts.exact.insert(host.into(), vec![api])),
                    None => policy.hosts.any.push(api),
                }
                let get = Methods::Listed(["GET".into()].into());
                let post = Methods::Listed(["POST".into()].into());
                policy.operations = AHashMap::from_iter([
                    operation("payments.create", post, path),
                    operation("payments.one", get.clone(), "/x/{id}"),
                    operation("payments.list", get, path),
                ]);
                let operations =
                    ["payments.create", "payments.one", "payments.list"].map(name).into();
                policy.products = [Product { name: name("payments-all"), operations }].into();
                let snapshot = Snapshot::new(Arc::new(policy), inventory.clone());
                assert_eq!(url(&snapshot, &credential).as_deref(), expected);
            };
        let check = |address: &str, host: Option<&str>, base: &str, path: &str, expected: &str| {
            check_any(address, host, base, path, Some(expected));
        };
        let local = "127.0.0.1:8080";
        check(local, None, "/api", "/payments", "http://127.0.0.1:8080/api/payments");
        check("0.0.0.0:80", None, "/api", "/", "http://127.0.0.1:80/api");
        check("[::]:80", None, "/", "/", "http://[::1]:80/");
        check(local, Some("pay.example"), "/", "/payments", "http://pay.example:8080/payments");
        check(local, None, "/api", "/{rest...}", "http://127.0.0.1:8080/api");
        check(local, None, "/api", "/files/{rest...}", "http://127.0.0.1:8080/api/files");
        check_any(local, None, "/api", "/{id}", None);
        assert_eq!(url(&registry.running().load(), &credential), None, "nothing listens");
    }
}
