//! The path index against a linear scan over templates.

use std::path::Path;
use std::sync::Arc;

use onegate::config;
use onegate::model::api::{Api, Operation};
use onegate::model::template::{Segment, Template};
use onegate::request::classify;
use proptest::prelude::*;

/// A small alphabet, so that templates and paths meet often.
fn template() -> impl Strategy<Value = String> {
    let segment = prop_oneof![Just("a"), Just("b"), Just("{x}"), Just("{y}"), Just("c.d")];
    let tail = prop_oneof![3 => Just(""), 1 => Just("/{rest...}"), 1 => Just("/")];
    (proptest::collection::vec(segment, 0..4), tail).prop_map(|(segments, tail)| {
        let mut named = 0;
        let mut text = String::new();
        for segment in segments {
            named += 1;
            text.push('/');
            text.push_str(&segment.replace(['x', 'y'], &format!("p{named}")));
        }
        text.push_str(tail);
        if text.is_empty() { "/".to_owned() } else { text }
    })
}

/// How a template matches a path, as an order of preference by segment; smaller is better.
fn preference(template: &Template, path: &str) -> Option<Vec<u8>> {
    let rest = path.strip_prefix('/')?;
    let mut parts = rest.split('/').filter(|_| !rest.is_empty()).peekable();
    let mut preference = Vec::new();
    for segment in &template.segments {
        match segment {
            Segment::Literal(text) => {
                (parts.next()? == &**text).then_some(())?;
                preference.push(0);
            }
            Segment::Parameter(_) => {
                (!parts.next()?.is_empty()).then_some(())?;
                preference.push(1);
            }
            Segment::Tail(_) => {
                preference.push(2);
                return Some(preference);
            }
        }
    }
    parts.peek().is_none().then_some(preference)
}

proptest! {
    /// The index finds what a linear scan finds: the template that matches and is most literal,
    /// segment by segment from the left.
    #[test]
    fn the_matcher_agrees_with_a_linear_scan(
        templates in proptest::collection::btree_set(template(), 1..12),
        paths in proptest::collection::vec("(/(a|b|c\\.d|z)){0,4}/?", 1..20),
    ) {
        let mut shapes = std::collections::BTreeSet::new();
        let templates: Vec<String> = templates
            .into_iter()
            .filter(|text| shapes.insert(Template::parse(text).expect("valid").shape()))
            .collect();
        let operations: Vec<Arc<Operation>> = load(&templates);
        let api = Arc::clone(&operations_api(&templates));
        for path in paths.iter().map(|path| if path.is_empty() { "/" } else { path }) {
            let scanned = operations
                .iter()
                .filter_map(|operation| Some((preference(&operation.template, path)?, operation)))
                .min_by(|(a, _), (b, _)| a.cmp(b))
                .map(|(_, operation)| operation.id.clone());
            let indexed = classify::operation_at(&api.paths, path, "GET").ok();
            let indexed = indexed.map(|operation| operation.id.clone());
            prop_assert_eq!(indexed, scanned, "{} among {:?}", path, templates);
        }
    }
}

fn operations_api(templates: &[String]) -> Arc<Api> {
    let mut text = String::from(
        "[[listener]]\nname = \"edge\"\naddress = \"127.0.0.1:8080\"\n\
         [[upstream]]\nname = \"service\"\nendpoints = [\"127.0.0.1:9000\"]\n\
         [[api]]\nname = \"api\"\nupstream = \"service\"\naccess = \"public\"\n",
    );
    for (at, template) in templates.iter().enumerate() {
        text.push_str(&format!(
            "[[api.operation]]\nid = \"op{at}\"\nmethods = [\"GET\"]\npath = \"{template}\"\n"
        ));
    }
    let loaded = config::load_text(Path::new("test.toml"), &text);
    let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}"));
    Arc::clone(&loaded.policy.apis[0])
}

fn load(templates: &[String]) -> Vec<Arc<Operation>> {
    let api = operations_api(templates);
    let entries = api.paths.entries.iter();
    entries.flat_map(|entry| entry.operations.iter().cloned()).collect()
}
