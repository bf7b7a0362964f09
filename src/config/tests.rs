//! The loader from outside: files in; a policy or rendered problems out.
//!
//! Each `tests/config/NAME.toml` (or `NAME/main.toml`, for configs of several files) has its outcome
//! beside it as `NAME.txt` (or `NAME/main.txt`). `UPDATE=1 cargo test --lib config` writes the
//! outcomes anew; read the difference before you commit it.
#![expect(clippy::let_underscore_must_use, reason = "writing to a String cannot fail")]

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::model::api::{Api, HostIndex, Methods, Operation};

mod certificates;
mod kept;
mod mcp;
mod openapi;
mod reference;
mod staged;

/// The only way from a config to its outcome as text.
fn outcome(path: &Path) -> String {
    match load(path) {
        Ok(loaded) => format!("{}{}", loaded.warnings, describe(&loaded.policy)),
        Err(diagnostics) => diagnostics.to_string(),
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "UPDATE is for the person at the test, not the gate")]
fn broken_configs_are_told_in_full() {
    let cases = cases();
    assert!(cases.len() >= 25, "{} cases", cases.len());
    let mut wrong = String::new();
    for case in cases {
        let (actual, beside) = (outcome(&case), case.with_extension("txt"));
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&beside, &actual).expect("outcomes can be written");
        }
        let expected = fs::read_to_string(&beside).unwrap_or_default();
        if actual != expected {
            let _ = write!(wrong, "{}\nexpected:\n{expected}\nfound:\n{actual}\n", case.display());
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn cases() -> Vec<PathBuf> {
    let entries = fs::read_dir("tests/config").expect("tests run in the package's folder");
    let case = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.expect("the folder can be read").path();
        let path = if path.is_dir() { path.join("main.toml") } else { path };
        path.extension().is_some_and(|extension| extension == "toml").then_some(path)
    };
    let mut cases: Vec<_> = entries.filter_map(case).collect();
    cases.sort();
    cases
}

#[test]
fn included_files_make_one_config() {
    let loaded = load(Path::new("tests/config/included/main.toml")).expect("it has no errors");
    let shown: Vec<_> = loaded.files.iter().map(|file| file.display().to_string()).collect();
    let folder = "tests/config/included";
    let expected = ["main.toml", "conf.d/10-upstreams.toml", "conf.d/20-apis.toml", "plans.toml"];
    assert_eq!(shown, expected.map(|file| format!("{folder}/{file}")));
    assert_eq!(loaded.policy.server.data_dir, Path::new(folder).join("state"));
}

#[test]
fn a_config_that_cannot_be_read_says_so() {
    let diagnostics = load(Path::new("tests/config/nowhere.toml")).expect_err("no such file");
    let expected = "tests/config/nowhere.toml: error: cannot be read: No such file or directory \
                    (os error 2)\n  fix: check the path, and that this user may read the file\n";
    assert_eq!(diagnostics.to_string(), expected);
}

#[test]
fn a_file_past_the_bound_is_refused() {
    let folder = std::env::temp_dir().join(format!("onegate-config-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder can be made");
    let path = folder.join("large.toml");
    let past = usize::try_from(source::FILE_BYTES_MAX).expect("it fits a file in memory") + 1;
    fs::write(&path, "#".repeat(past)).expect("it can be written");
    let shown = load(&path).expect_err("it is too large").to_string();
    fs::remove_dir_all(&folder).expect("the folder can be removed");
    assert!(shown.contains("it is larger than 4 MiB"), "{shown}");
}

#[test]
fn a_reload_names_what_needs_a_restart() {
    let policy = |text: &str| load_text(Path::new("gateway.toml"), text).expect(text).policy;
    let old = policy("[[listener]]\nname = 'a'\naddress = '127.0.0.1:1'\n");
    let check = |text: &str, expected: &[&str]| {
        assert_eq!(restart_needed(&old, &policy(text)), expected, "{text}");
    };
    let same = "[[listener]]\nname = 'a'\naddress = '127.0.0.1:1'\n";
    check(same, &[]);
    check(&format!("[server]\ndrain_deadline = '1s'\n{same}"), &[]);
    check(&format!("[server]\nthreads = 1\n{same}"), &["server.threads"]);
    check(&format!("[server]\ndata_dir = 'x'\n{same}"), &["server.data_dir"]);
    let queue = "[audit]\nqueue_records_max = 20000\n";
    check(&format!("{queue}{same}"), &["audit.queue_records_max"]);
    check(&format!("[audit]\nflush_interval = '1ms'\n{same}"), &["audit.flush_interval"]);
    check(&format!("[audit]\nsegment_bytes_max = '1MiB'\n{same}"), &["audit.segment_bytes_max"]);
    check(&format!("[metrics]\naddress = '127.0.0.1:2'\n{same}"), &["metrics.address"]);
    check(&format!("[metrics]\nclients_max = 1\n{same}"), &["metrics.clients_max"]);
    check("[[listener]]\nname = 'a'\naddress = '127.0.0.1:3'\n", &["listener \"a\""]);
    check(
        "[[listener]]\nname = 'b'\naddress = '127.0.0.1:1'\n",
        &["listener \"a\"", "listener \"b\""],
    );
}

#[test]
fn the_digest_is_what_sha256sum_says() {
    // printf '[[listener]]\nname = "a"\naddress = "127.0.0.1:0"\n' | sha256sum | cut -c -16
    let text = "[[listener]]\nname = \"a\"\naddress = \"127.0.0.1:0\"\n";
    let loaded = load_text(Path::new("x"), text).expect("it has no errors");
    assert_eq!(&*loaded.policy.digest, "5ad743fda7a2baed");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text_is_judged_without_a_panic(text in any_text()) {
        judge_twice(&text);
    }
}

#[test]
fn a_changed_reference_is_judged_alike_twice() {
    // Once, and fewer cases than of small texts: the reference is long.
    let pair = certificates::Pair::new();
    let text = reference::all_keys_set(&pair);
    let cut = any::<prop::sample::Index>();
    let put = "[a-z0-9\"'=\\[\\]{},. \n*/-]{0,12}";
    proptest!(ProptestConfig::with_cases(256), |(cut in cut, length in 0_usize..40, put in put)| {
        let from = text.floor_char_boundary(cut.index(text.len()));
        let to = text.floor_char_boundary(from + length);
        judge_twice(&format!("{}{put}{}", text.split_at(from).0, text.split_at(to).1));
    });
}

/// Lines that look like a config now and then.
fn any_text() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        "\\PC{0,30}",
        "[a-z_]{1,8} = [\\[\\]{}\"'a-z0-9=., ]{0,20}",
        "\\[{1,2}[a-z.]{1,10}\\]{1,2}",
        prop::sample::select(vec![
            "[[listener]]",
            "[[upstream]]",
            "[[api]]",
            "[[api.operation]]",
            "[[product]]",
            "[[plan]]",
            "[server]",
            "[audit]",
            "name = \"a\"",
            "address = \"127.0.0.1:0\"",
            "id = \"b\"",
            "access = \"public\"",
            "upstream = \"a\"",
            "endpoints = [\"a:1\"]",
            "protocol = \"http2\"",
            "tls = {}",
            "methods = [\"*\"]",
            "path = \"/{x}/{y...}\"",
            "operations = [\"a.b\"]",
            "rates = [{ limit = 1, per = \"1s\" }]",
            "quotas = [{ limit = 1, per = \"day\" }]",
            "concurrency = 1",
            "[limits.anonymous]",
            "openapi = \"tests/config/openapi/payments.yaml\"",
            "id = \"refund\"",
            "tool = { name = \"a\" }",
            "[mcp]",
            "endpoint = \"off\"",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(line, 0..24).prop_map(|lines| lines.join("\n"))
}

/// Loading is a function of the text: the same policy, or the same problems.
fn judge_twice(text: &str) {
    let outcome = || match load_text(Path::new("any.toml"), text) {
        Ok(loaded) => format!("{}{}", loaded.warnings, describe(&loaded.policy)),
        Err(diagnostics) => {
            assert!(!diagnostics.is_empty(), "refused without a reason");
            diagnostics.to_string()
        }
    };
    assert_eq!(outcome(), outcome());
}

/// A policy as text, all of it but its digest, in an order of its own.
fn describe(policy: &Policy) -> String {
    let mut out = String::new();
    let Policy { digest: _, server, listeners, bounds, trusted_proxies, .. } = policy;
    let Policy { audit, metrics, hosts, apis, operations, products, plans, upstreams, .. } = policy;
    let anonymous = policy.anonymous.as_ref();
    for part in [
        format!("{server:?}"),
        format!("{bounds:?}"),
        format!("trusted_proxies {trusted_proxies:?}"),
        format!("{audit:?}"),
        format!("{metrics:?}"),
        format!("listeners {listeners:?}"),
        mcp::describe(policy.mcp.as_ref()),
    ] {
        let _ = writeln!(out, "{part}");
    }
    let mut upstreams: Vec<_> = upstreams.values().collect();
    upstreams.sort_by_key(|upstream| upstream.name.clone());
    for upstream in upstreams {
        let _ = writeln!(out, "{upstream:?}");
    }
    describe_hosts(hosts, &mut out);
    for api in apis {
        describe_api(api, &mut out);
    }
    assert_eq!(operations.len(), apis.iter().map(|api| operations_of(api).count()).sum::<usize>());
    for product in products {
        let _ = writeln!(out, "{product:?}");
    }
    let mut plans: Vec<_> = plans.values().collect();
    plans.sort_by_key(|plan| plan.name.clone());
    for plan in plans {
        let _ = writeln!(out, "{plan:?}");
    }
    if let Some(anonymous) = anonymous {
        let _ = writeln!(out, "{anonymous:?}");
    }
    out
}

fn describe_hosts(hosts: &HostIndex, out: &mut String) {
    let names = |apis: &[Arc<Api>]| {
        let shown = apis.iter().map(|api| format!("{} at {}", api.name, api.base_path));
        shown.collect::<Vec<_>>().join(", ")
    };
    let mut exact: Vec<_> = hosts.exact.iter().collect();
    exact.sort_by_key(|(host, _)| (*host).clone());
    for (host, apis) in exact {
        let _ = writeln!(out, "host {host}: {}", names(apis));
    }
    for (suffix, apis) in &hosts.wildcard {
        let _ = writeln!(out, "host *{suffix}: {}", names(apis));
    }
    let _ = writeln!(out, "any host: {}", names(&hosts.any));
}

fn describe_api(api: &Api, out: &mut String) {
    let Api { name, access, upstream, base_path, upstream_base_path, .. } = api;
    let Api { credential, rules, shape, .. } = api;
    let upstream = upstream.as_ref().map_or("-", |name| name.as_str());
    let _ = writeln!(
        out,
        "api {name} {access:?} {base_path} -> {upstream} {upstream_base_path} {credential:?}"
    );
    if let Some(rules) = rules {
        let _ = writeln!(out, "  {rules:?}");
    }
    if let Some(shape) = shape {
        let _ = writeln!(out, "  {shape:?}");
    }
    for entry in &api.paths.entries {
        let _ = writeln!(out, "  Allow: {}", entry.allow);
        if entry.withheld != Methods::Listed(Box::default()) {
            let _ = writeln!(out, "    withheld {:?}", entry.withheld);
        }
        for operation in &entry.operations {
            let methods = match &operation.methods {
                Methods::Any => "*".to_owned(),
                Methods::Listed(methods) => methods.join(" "),
            };
            let (id, template) = (&operation.id, &operation.template);
            let (scopes, products) = (&operation.scopes, &operation.products);
            let bytes = operation.body_bytes_max;
            let _ = writeln!(out, "    {id} {methods} {template} {scopes:?} {products:?} {bytes}B");
            if let Some(shape) = &operation.shape {
                let _ = writeln!(out, "      {shape:?}");
            }
        }
    }
}

fn operations_of(api: &Api) -> impl Iterator<Item = &Arc<Operation>> {
    api.paths.entries.iter().flat_map(|entry| &entry.operations)
}
