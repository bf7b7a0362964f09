//! `conf/gateway.toml` says what the loader does: it names every key, with the default and the
//! bounds that hold, and no other.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::*;
use super::describe;

const REFERENCE: &str = include_str!("../../../conf/gateway.toml");

/// The reference with every key set: `# key = value` and `# e.g. key = value` without the mark.
pub(super) fn all_keys_set() -> String {
    uncommented(|mark| mark != Mark::Prose)
}

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    Default,
    Example,
    Prose,
}

/// What a line of the reference is, and what it sets when it is taken as a key.
fn mark(line: &str) -> (Mark, &str) {
    let key = |text: &str| {
        let name = text.split(" = ").next().unwrap_or_default();
        let known = |c: char| c.is_ascii_lowercase() || c == '_';
        text.contains(" = ") && !name.is_empty() && name.chars().all(known)
    };
    let comment = line.strip_prefix("# ").unwrap_or_default();
    match comment.strip_prefix("e.g. ") {
        Some(example) if key(example) => (Mark::Example, example),
        _ if key(comment) => (Mark::Default, comment),
        _ => (Mark::Prose, line),
    }
}

fn uncommented(wanted: impl Fn(Mark) -> bool) -> String {
    let line = |line| {
        let (mark, key) = mark(line);
        if wanted(mark) { format!("{key}\n") } else { format!("{line}\n") }
    };
    REFERENCE.lines().map(line).collect()
}

fn load_reference(text: &str) -> Loaded {
    load_text(Path::new("conf/gateway.toml"), text).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn every_config_of_conf_loads_without_a_warning() {
    for entry in std::fs::read_dir("conf").expect("tests run in the package's folder") {
        let path = entry.expect("the folder can be read").path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let loaded = load(&path).unwrap_or_else(|errors| panic!("{errors}"));
            assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
        }
    }
}

#[test]
fn the_reference_states_the_defaults() {
    let defaults = load_reference(REFERENCE).policy;
    let stated = load_reference(&uncommented(|mark| mark == Mark::Default)).policy;
    assert_eq!(describe(&stated), describe(&defaults));
}

#[test]
fn the_reference_names_every_key_with_its_bounds_and_its_test() {
    let keys = load_reference(&all_keys_set()).keys;
    let mut unnamed = keys.clone();
    for (path, comment) in documented() {
        // Headers stand for their sections: they are no keys of their own.
        let bounds = keys.get(&path).unwrap_or_else(|| panic!("nothing reads {path}"));
        assert!(comment.contains(bounds.as_str()), "{path}: {bounds}\n{comment}");
        assert!(comment.contains(" test: "), "{path} names no test\n{comment}");
        unnamed.remove(&path);
    }
    assert_eq!(unnamed, BTreeMap::new(), "keys that the reference does not name");
}

/// Every key with a comment of its own in the reference: its path, and the comment in one line.
fn documented() -> Vec<(String, String)> {
    let (mut section, mut comment, mut found) = (String::new(), String::new(), Vec::new());
    for line in REFERENCE.lines() {
        let (mark, text) = mark(line);
        let header = line.starts_with('[');
        if header {
            section = format!("{}.", line.trim_matches(['[', ']']));
        }
        if mark != Mark::Prose || (!line.starts_with('#') && !line.is_empty()) {
            // A header's comment speaks of the key that the section is.
            let name = text.split(" = ").next().unwrap_or_default();
            let path = if header {
                section.trim_end_matches('.').to_owned()
            } else {
                format!("{section}{name}")
            };
            if comment.contains(" test: ") || !header && !comment.is_empty() {
                found.push((path, comment));
            }
            comment = String::new();
        } else if line.is_empty() {
            comment = String::new();
        } else {
            comment.push_str(line.strip_prefix('#').unwrap_or_default());
        }
    }
    found
}
