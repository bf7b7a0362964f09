//! `conf/gateway.toml` says what the loader does: it names every key, with the default and the
//! bounds that hold, and no other.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::*;
use super::certificates::Pair;
use super::describe;

const REFERENCE: &str = include_str!("../../../conf/gateway.toml");

/// What a line of the reference is.
enum Line<'t> {
    Blank,
    Comment(&'t str),
    /// `[[api.operation]]`, without the brackets.
    Header(&'t str),
    /// `# [listener.tls]`, a section that may be left out: with its brackets.
    ExampleHeader(&'t str),
    /// `key = value`, without what marks it.
    Key(Mark, &'t str),
}

#[derive(Clone, Copy, PartialEq)]
enum Mark {
    /// `key = value`: it has no default.
    Set,
    /// `# key = value`: the default.
    Default,
    /// `# e.g. key = value`: it may be left out and has no fixed default.
    Example,
}

impl<'t> Line<'t> {
    fn parse(line: &'t str) -> Self {
        let is_key = |text: &str| {
            let name = text.split_once(" = ").map_or("", |(name, _)| name);
            !name.is_empty() && name.chars().all(|c| matches!(c, 'a'..='z' | '0'..='9' | '_'))
        };
        let Some(comment) = line.strip_prefix('#') else {
            return match line {
                "" => Self::Blank,
                _ if is_key(line) => Self::Key(Mark::Set, line),
                _ => Self::Header(line.trim_matches(['[', ']'])),
            };
        };
        if let Some(header) = comment.strip_prefix(' ').filter(|text| text.starts_with('[')) {
            return Self::ExampleHeader(header);
        }
        let (default, example) = (comment.strip_prefix(' '), comment.strip_prefix(" e.g. "));
        match (default.filter(|text| is_key(text)), example.filter(|text| is_key(text))) {
            (Some(key), _) => Self::Key(Mark::Default, key),
            (None, Some(key)) => Self::Key(Mark::Example, key),
            (None, None) => Self::Comment(comment),
        }
    }
}

/// The reference with every key set: `# key = value` and `# e.g. key = value` without the mark, and
/// files where it names some.
pub(super) fn all_keys_set(pair: &Pair) -> String {
    let text = uncommented(&[Mark::Default, Mark::Example]);
    let (cert, key) = (pair.cert_quoted(), pair.key_quoted());
    let quoted = |name: &str| format!("\"{name}\"");
    let certs = ["tls.crt", "gate.crt", "ledger-ca.crt"];
    let text = certs.iter().fold(text, |text, name| text.replace(&quoted(name), &cert));
    ["tls.key", "gate.key"].iter().fold(text, |text, name| text.replace(&quoted(name), &key))
}

fn uncommented(wanted: &[Mark]) -> String {
    let line = |line| match Line::parse(line) {
        Line::Key(mark, key) if wanted.contains(&mark) => format!("{key}\n"),
        Line::ExampleHeader(header) if wanted.contains(&Mark::Example) => format!("{header}\n"),
        Line::ExampleHeader(_)
        | Line::Key(..)
        | Line::Comment(_)
        | Line::Header(_)
        | Line::Blank => format!("{line}\n"),
    };
    REFERENCE.lines().map(line).collect()
}

/// The comment above each key that has one, in one line, by the key's path. The comment above a
/// header speaks of the key that the section is the value of, if it names a test.
fn comments() -> Vec<(String, String)> {
    let (mut section, mut comment, mut found) = (String::new(), String::new(), Vec::new());
    for line in REFERENCE.lines() {
        match Line::parse(line) {
            Line::Comment(text) => {
                comment.push_str(text);
                continue;
            }
            Line::Header(path) | Line::ExampleHeader(path) => {
                section = path.trim_matches(['[', ']']).to_owned();
                if comment.contains(" test: ") {
                    found.push((section.clone(), comment));
                }
            }
            Line::Key(_, key) if !comment.is_empty() => {
                let name = key.split(" = ").next().unwrap_or_default();
                let dot = if section.is_empty() { "" } else { "." };
                found.push((format!("{section}{dot}{name}"), comment));
            }
            Line::Key(..) | Line::Blank => {}
        }
        comment = String::new();
    }
    found
}

fn load_reference(text: &str) -> Loaded {
    load_text(Path::new("conf/gateway.toml"), text).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn every_config_of_conf_loads_without_a_warning() {
    let entries =
        |folder: &str| std::fs::read_dir(folder).expect("tests run in the package's folder");
    for entry in entries("conf").chain(entries("conf/demo")) {
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
    let stated = load_reference(&uncommented(&[Mark::Default])).policy;
    assert_eq!(describe(&stated), describe(&defaults));
}

#[test]
fn the_reference_names_every_key_with_its_bounds_and_its_test() {
    let keys = load_reference(&all_keys_set(&Pair::new())).keys;
    let mut unnamed = keys.clone();
    for (path, comment) in comments() {
        let bounds = keys.get(&path).unwrap_or_else(|| panic!("nothing reads {path}"));
        assert!(comment.contains(bounds.as_str()), "{path}: {bounds}\n{comment}");
        assert!(comment.contains(" test: "), "{path} names no test\n{comment}");
        unnamed.remove(&path);
    }
    assert_eq!(unnamed, BTreeMap::new(), "keys that the reference does not name");
}
