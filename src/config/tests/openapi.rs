//! `openapi`: a document is a file of its config, and what it describes are operations like any other.

use std::fs;
use std::path::Path;

use super::super::*;
use crate::config::kept::Texts;
use crate::model::api::{Durability, Methods, Operation, Service};
use crate::model::id::Scope;
use crate::model::policy::Policy;

const CONFIG: &str = "tests/config/openapi/main.toml";

fn loaded() -> Loaded {
    load(Path::new(CONFIG)).unwrap_or_else(|problems| panic!("{problems}"))
}

fn operation<'p>(policy: &'p Policy, id: &str) -> &'p Operation {
    policy.operations.get(id).unwrap_or_else(|| panic!("{id} is not there"))
}

#[test]
fn what_a_document_describes_are_operations() {
    let policy = loaded().policy;
    let mut ids: Vec<_> = policy.operations.keys().map(ToString::to_string).collect();
    ids.sort_unstable();
    let expected = ["payments.create", "payments.list", "payments.refund", "payments.status"];
    assert_eq!(ids, expected);
    let check = |id: &str, method: &str, path: &str, scopes: &[&str], body: u64| {
        let operation = operation(&policy, id);
        assert_eq!(operation.methods, Methods::Listed(Box::new([method.into()])), "{id}");
        assert_eq!(operation.template.to_string(), path, "{id}");
        let found: Vec<_> = operation.scopes.iter().map(Scope::as_str).collect();
        assert_eq!((found.as_slice(), operation.body_bytes_max), (scopes, body), "{id}");
    };
    check("payments.list", "GET", "/payments", &["payments:read"], 1 << 20);
    check("payments.create", "POST", "/payments", &["payments:write"], 1 << 20);
    let refunds = "/payments/{id}/refunds";
    check("payments.refund", "POST", refunds, &["payments:refund"], 1 << 10);
    check("payments.status", "GET", "/status", &[], 1 << 20);
    assert_eq!(operation(&policy, "payments.refund").durability, Durability::WriteAhead);
    let tools: Vec<_> = policy.catalogue().tools().iter().map(|tool| &*tool.name).collect();
    assert_eq!(tools, ["give_back", "payments_create", "payments_list", "payments_status"]);
}

#[test]
fn new_operations_are_told_in_one_warning_and_denied() {
    let loaded = loaded();
    let warnings: Vec<_> = loaded.warnings.iter().map(|warning| &*warning.message).collect();
    let told = "2 operations are in no product, and every call of them is denied: \
                payments.create, payments.refund";
    assert_eq!(warnings, [told]);
    assert!(operation(&loaded.policy, "payments.create").products.is_empty());
}

#[test]
fn a_document_is_a_file_of_the_config() {
    let folder = std::env::temp_dir().join(format!("onegate-openapi-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder can be made");
    let [config, document] = ["main.toml", "payments.yaml"].map(|name| folder.join(name));
    for (from, to) in [(CONFIG, &config), ("tests/config/openapi/payments.yaml", &document)] {
        fs::copy(from, to).expect("they can be copied");
    }
    let first = load(&config).expect("it has no errors");
    assert_eq!(first.files, [config.clone(), document.clone()]);
    assert_eq!(first.policy.digest, loaded().policy.digest, "the digest is of the texts");
    // Judged by without the document beside it.
    let texts = Texts::read(&config).expect("it is there");
    let changed = fs::read_to_string(&document).expect("a text").replace("List", "Show");
    fs::write(&document, changed).expect("it can be written");
    let second = load(&config).expect("it has no errors");
    assert_ne!(second.policy.digest, first.policy.digest);
    fs::remove_dir_all(&folder).expect("the folder can be removed");
    let judged = texts.to_judge_by().unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(judged.digest, first.policy.digest);
    assert_eq!(judged.catalogue().digest, first.policy.catalogue().digest);
    let differs = second.policy.catalogue().changes(first.policy.catalogue());
    let changed: Vec<_> = differs.changed.iter().map(|(before, _)| &*before.name).collect();
    assert_eq!((changed, differs.added.len()), (vec!["payments_list"], 0));
}

#[test]
fn what_a_document_cannot_tell_is_served_by_nobody() {
    let loaded = load(Path::new("tests/config/openapi_withheld/main.toml"));
    let policy = loaded.unwrap_or_else(|problems| panic!("{problems}")).policy;
    let api = policy.hosts.any.first().expect("it has no hosts");
    let check = |method: &str, path: &str, expected: &str| {
        let entry = api.paths.router.at(path).expect("each path has an entry");
        let found = match api.paths.entries[*entry.value].service(method) {
            Service::Operation(operation) => operation.id.as_str(),
            Service::Withheld => "withheld",
            Service::Nothing => "nothing",
        };
        assert_eq!(found, expected, "{method} {path}");
    };
    check("GET", "/payments/1", "payments.get");
    check("HEAD", "/payments/1", "withheld");
    check("PUT", "/payments/1", "nothing");
    check("GET", "/payments/export", "withheld");
    check("HEAD", "/payments/export", "withheld");
    check("POST", "/payments/export", "payments.export");
    check("GET", "/every", "withheld");
    check("POST", "/every", "payments.every");
    check("GET", "/broken", "withheld");
    check("PUT", "/broken", "payments.named");
    check("GET", "/files/1.json", "payments.file");
    check("HEAD", "/files/1.json", "payments.file");
    check("GET", "/reports/1.pdf", "withheld");
    check("PUT", "/reports/1.pdf", "withheld");
    check("GET", "/elsewhere", "payments.rest");
    check("TRACE", "/elsewhere", "nothing");
}
