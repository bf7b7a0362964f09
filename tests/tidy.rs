//! The rules of the house that the compiler does not know: who may import whom, how long a file may
//! be, what must be written down. Each rule says what to do instead.
//!
//! A lesson becomes a row here, or a ban in clippy.toml. A rule about a part that is not built yet
//! passes.
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test stops at a surprise")]

#[path = "tidy/source.rs"]
mod source;

use std::collections::BTreeSet;

use source::Tree;

/// What each layer may import of ours, besides itself.
const LAYERS: [(&str, &[&str]); 15] = [
    ("model", &[]),
    ("clock", &["model"]),
    ("request", &["model"]),
    ("openapi", &["model"]),
    ("catalogue", &["model", "openapi"]),
    ("config", &["model", "clock", "request::target", "openapi", "catalogue"]),
    ("inventory", &["model", "clock"]),
    ("counters", &["model", "clock"]),
    ("audit", &["model", "clock"]),
    ("access_log", &["audit::json", "audit::tests", "model", "clock"]),
    ("metrics", &["audit::tests", "model", "clock"]),
    ("admin", &["inventory", "audit", "metrics", "config", "model", "clock"]),
    ("mcp", &["model", "request::target"]),
    ("parity", &["config", "inventory", "audit", "mcp", "request", "model", "clock"]),
    ("edge", &["mcp", "request", "audit", "counters", "metrics", "model", "clock"]),
];

/// The top, which knows everything.
const TOP: [&str; 5] = ["lib", "main", "cli", "demo", "server"];

/// Where a library may be named, by the start of the path.
const LIBRARIES: [(&str, &[&str]); 8] = [
    ("pingora", &["src/edge", "src/server", "loadtest/"]),
    ("jsonschema", &["src/model/tool", "src/openapi"]),
    ("toml", &["src/config", "src/cli"]),
    ("saphyr_parser", &["src/openapi"]),
    ("rusqlite", &["src/inventory", "src/counters"]),
    ("axum", &["src/admin", "src/metrics", "src/demo"]),
    ("hyper", &["src/admin", "src/cli/gate", "src/metrics", "src/demo", "src/parity"]),
    ("hyper_util", &["src/admin", "src/cli/gate", "src/metrics", "src/demo", "src/parity"]),
];

/// Where a type may be serialisable, by the start of the path.
const BORDERS: [&str; 4] =
    ["src/admin/wire", "src/audit/line", "src/audit/proof/lines", "loadtest/"];

/// Files that may hold `unsafe`: memory that outlasts the process.
const UNSAFE: [&str; 1] = ["src/audit/journal/slots.rs"];

/// Where a test may sleep: between two looks at a fact, until a deadline.
const POLL: &str = "tests/gateway/harness/poll.rs";

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;

#[test]
fn imports_point_downwards() {
    let mut rule = Rule::new(
        "Imports point downwards, so that a layer can be read and tested without those above it. \
         Hand the value in from above, or move the shared word down to `model`. A new layer gets a \
         row in LAYERS.",
    );
    for file in &Tree::read().rust {
        let Some(layer) = file.layer().filter(|layer| !TOP.contains(layer)) else { continue };
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == layer) else {
            rule.broken(&file.path, &format!("`{layer}` has no row"));
            continue;
        };
        for at in file.find(&["crate", ":", ":"]) {
            for path in file.paths_from(at) {
                let path = path[1..].join("::");
                let below = |home: &str| format!("{path}::").starts_with(&format!("{home}::"));
                if !below(layer) && !allowed.iter().any(|home| below(home)) {
                    let problem = format!("`{layer}` names `{path}`; it may name {allowed:?}");
                    rule.broken(&file.place(at), &problem);
                }
            }
        }
        for at in file.supers_out_of_the_layer() {
            rule.broken(&file.place(at), "`super` climbs out unseen: write `crate::…`");
        }
    }
    rule.check();
}

#[test]
fn libraries_stay_in_their_layer() {
    let mut rule = Rule::new(
        "A library is named in its own layer only, behind that layer's types, so that changing the \
         library changes one layer. LIBRARIES says where.",
    );
    for file in Tree::read().rust.iter().filter(|file| !file.path.starts_with("tests/")) {
        for (library, homes) in LIBRARIES {
            if !file.is_in(homes) {
                let names = file.find(&[library, ":", ":"]);
                let of_library = |at: &usize| *at == 0 || file.text_at(at - 1) != ":";
                for at in names.into_iter().filter(of_library) {
                    if !file.tokens[at].in_test {
                        rule.broken(&file.place(at), &format!("`{library}` belongs in {homes:?}"));
                    }
                }
            }
        }
    }
    rule.check();
}

#[test]
fn only_borders_serialise() {
    let mut rule = Rule::new(
        "A serialisable type is a promise to someone outside. Turn the value into a type of a \
         border file (BORDERS) there, so that a change inside breaks no one.",
    );
    for file in Tree::read().rust.iter().filter(|file| !file.is_in(&BORDERS)) {
        for at in file.find(&["derive", "("]) {
            for derived in file.words_in_group(at + 1) {
                if matches!(derived, "Serialize" | "Deserialize") {
                    rule.broken(&file.place(at), derived);
                }
            }
        }
    }
    rule.check();
}

#[test]
fn files_and_functions_fit_in_a_head() {
    let mut rule = Rule::new(
        "A file opens with `//!` (what it is for, what it must not do) and has at most 400 lines; a \
         function has at most 70. Split by thing, not by size: control flow stays with the caller, \
         pure parts move out. A module is `foo.rs` beside `foo/`, so that every tab has its name.",
    );
    for file in &Tree::read().rust {
        let lines = file.text.lines().count();
        if lines > FILE_LINES_MAX {
            rule.broken(&file.path, &format!("{lines} lines"));
        }
        if !file.text.starts_with("//!") {
            rule.broken(&file.path, "does not open with `//!`");
        }
        if file.path.ends_with("/mod.rs") {
            rule.broken(&file.path, "is a `mod.rs`");
        }
        for (name, at, lines) in file.functions() {
            if lines > FUNCTION_LINES_MAX {
                rule.broken(&file.place(at), &format!("`{name}` has {lines} lines"));
            }
        }
    }
    rule.check();
}

#[test]
fn nothing_is_left_for_later() {
    let mut rule = Rule::new(
        "What may not be merged: notes to finish something (finish it, or open an issue), tests \
         that do not run, tests that any panic satisfies (assert on the value), `unsafe` outside \
         the files in UNSAFE.",
    );
    let left: [&[&str]; 5] = [
        &["todo", "!"],
        &["unimplemented", "!"],
        &["dbg", "!"],
        &["#", "[", "ignore"],
        &["#", "[", "should_panic"],
    ];
    for file in &Tree::read().rust {
        for (number, line) in (1..).zip(file.text.lines()) {
            if [concat!("FIX", "ME"), concat!("XX", "X")].iter().any(|note| line.contains(note)) {
                rule.broken(&format!("{}:{number}", file.path), line.trim());
            }
        }
        for tokens in left {
            for at in file.find(tokens) {
                rule.broken(&file.place(at), &tokens.concat());
            }
        }
        for at in file.find(&["unsafe"]).into_iter().filter(|_| !file.is_in(&UNSAFE)) {
            rule.broken(&file.place(at), "unsafe");
        }
    }
    rule.check();
}

#[test]
fn tests_wait_for_facts() {
    let mut rule = Rule::new(
        "A test that sleeps is slow on a fast machine and wrong on a slow one. Wait for the fact \
         with `poll::until`, or for the other side's answer.",
    );
    for file in Tree::read().rust.iter().filter(|file| file.path != POLL) {
        let sleeps =
            ["thread", "time"].into_iter().flat_map(|of| file.find(&[of, ":", ":", "sleep"]));
        for at in sleeps.filter(|at| file.tokens[*at].in_test) {
            rule.broken(&file.place(at), "sleeps");
        }
    }
    rule.check();
}

#[test]
fn every_metric_is_documented() {
    let mut rule = Rule::new(
        "Dashboards and people rely on metrics: each name stands in README.md or docs/metrics.md, \
         with what it counts.",
    );
    let tree = Tree::read();
    let Some(readme) = tree.text("README.md") else { return };
    let docs = [readme, tree.text("docs/metrics.md").unwrap_or_default()].concat();
    let documented = words(&docs);
    for file in tree.rust.iter().filter(|file| file.layer() == Some("metrics")) {
        for (at, token) in file.tokens.iter().enumerate() {
            let name = token.text.trim_matches('"');
            let is_name = token.text.starts_with("\"onegate_") && words(name).len() == 1;
            if is_name && !documented.contains(name) {
                rule.broken(&file.place(at), name);
            }
        }
    }
    rule.check();
}

#[test]
fn every_setting_names_its_test() {
    let mut rule = Rule::new(
        "conf/gateway.toml is the reference: `# test: FILE: NAME` at a key names a test that shows \
         its effect. (That every key the loader asks for stands there is a test of `config`.)",
    );
    let tree = Tree::read();
    let Some(reference) = tree.text("conf/gateway.toml") else { return };
    for (number, line) in (1..).zip(reference.lines()) {
        let Some((_, test)) = line.split_once("# test: ") else { continue };
        let (path, name) = test.split_once(": ").unwrap_or((test, ""));
        let mut files = tree.rust.iter().filter(|file| file.path == path);
        if !files.any(|file| file.functions().any(|(function, ..)| function == name)) {
            rule.broken(&format!("conf/gateway.toml:{number}"), &format!("no test {test}"));
        }
    }
    rule.check();
}

#[test]
fn every_dependency_has_its_reason() {
    let mut rule = Rule::new(
        "A dependency is someone else's code in the gate: ARCHITECTURE.md names each, in backticks, \
         with what we would have to write without it.",
    );
    let tree = Tree::read();
    let Some(reasons) = tree.text("ARCHITECTURE.md") else { return };
    let mut section = "";
    for line in tree.text("Cargo.toml").unwrap_or_default().lines() {
        section = line.strip_prefix('[').map_or(section, |name| name.trim_end_matches(']'));
        let dependency = line.split_once(" = ").filter(|_| section.ends_with("dependencies"));
        if let Some((name, _)) =
            dependency.filter(|(name, _)| !reasons.contains(&format!("`{name}`")))
        {
            rule.broken("ARCHITECTURE.md", &format!("no reason for `{name}`"));
        }
    }
    rule.check();
}

#[test]
fn the_tree_can_live_anywhere() {
    let mut rule = Rule::new(
        "The tree names no path of the machine it was written on, takes its crates from crates.io, \
         and carries its licence.",
    );
    let tree = Tree::read();
    let machine = [concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/tmp/bash", "_jobs")];
    for file in &tree.files {
        for (number, line) in (1..).zip(file.text.lines()) {
            let place = format!("{}:{number}", file.path);
            if machine.iter().any(|path| line.contains(path)) {
                rule.broken(&place, line.trim());
            }
            let source =
                line.strip_prefix("source = ").filter(|_| file.path.ends_with("Cargo.lock"));
            if source.is_some_and(|source| !source.ends_with("/crates.io-index\"")) {
                rule.broken(&place, line);
            }
        }
    }
    if !tree.text("LICENSE").is_some_and(|text| text.contains("Apache License")) {
        rule.broken("LICENSE", "is missing");
    }
    rule.check();
}

/// A rule, and where it is broken.
struct Rule {
    text: &'static str,
    broken: Vec<String>,
}

impl Rule {
    const fn new(text: &'static str) -> Self {
        Self { text, broken: Vec::new() }
    }

    fn broken(&mut self, place: &str, problem: &str) {
        self.broken.push(format!("  {place}: {problem}"));
    }

    fn check(self) {
        assert!(self.broken.is_empty(), "\n{}\n\n{}\n", self.text, self.broken.join("\n"));
    }
}

/// The words of a text that could be a name.
fn words(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    text.split(|c| !is_part(c)).filter(|word| !word.is_empty()).collect()
}
