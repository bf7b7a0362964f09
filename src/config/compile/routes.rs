//! The index that finds the operations of a path. Templates are put into a tree of segments, and
//! the tree is written out as routes of the router, so that the router's answer is ours: literal
//! beats parameter beats tail, segment by segment from the left, whatever the rest of the path.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use matchit::{InsertError, Router};

use super::super::diagnostic::Problems;
use super::super::source::Place;
use super::operations::METHODS;
use crate::model::api::{Methods, Operation, PathEntry, PathIndex, Service};
use crate::model::template::{Segment, Template};
use crate::openapi::{Reach, Withheld};

/// The index over an api's operations and what is withheld among them. Two that answer the same method at the
/// same paths are an error.
pub(super) fn index(
    operations: &[(Arc<Operation>, Place)],
    withheld: &[(Withheld, Place)],
    problems: &Problems<'_>,
) -> PathIndex {
    let mut groups = Groups::default();
    for (operation, at) in operations {
        let Some(group) = groups.at(&operation.template) else { continue };
        let same =
            |(other, _): &&(&Arc<Operation>, Place)| other.methods.overlap(&operation.methods);
        if let Some((other, first)) = group.operations.iter().find(same) {
            let (id, other, first) = (&operation.id, &other.id, problems.locate(*first));
            let message = format!("\"{id}\" has the paths and a method of \"{other}\" ({first})");
            problems.error(*at, message, "change the path or the methods of one");
        }
        group.operations.push((operation, *at));
    }
    for (withheld, at) in withheld {
        let Some(group) = groups.at(&withheld.template) else { continue };
        tell_undecided(withheld, *at, group, problems);
        group.withhold(&withheld.methods);
    }
    let Groups { list, tree, .. } = groups;
    let mut router = Router::new();
    if let Err(error) = tree.write("", None, &mut router) {
        // Our routes fit the router, so this is a fault of ours; the config is refused with it.
        problems.error_in_main(&format!("a path cannot be routed: {error}"), "report this");
    }
    PathIndex { router, entries: list.into_iter().map(path_entry).collect() }
}

/// Whoever names path and method of what a document has, and cannot be used, takes its place. Where more is
/// withheld than the document's path, only who names the operation too can mean that.
fn tell_undecided(withheld: &Withheld, at: Place, group: &Group<'_>, problems: &Problems<'_>) {
    let Withheld { name, id, methods, .. } = withheld;
    if withheld.reach == Reach::Exact {
        return;
    }
    for (operation, own) in &group.operations {
        let Methods::Listed(listed) = &operation.methods else { continue };
        let joined = id.as_ref().map(|id| format!("{}.{id}", operation.api.name));
        let is_it = joined.is_some_and(|id| id == operation.id.as_str());
        if !is_it && listed.iter().any(|method| methods.contain(method)) {
            let message = format!(
                "\"{}\" has the requests of {name} ({}), which cannot be used",
                operation.id,
                problems.locate(at),
            );
            let fix = "mend the document, or give this the id of that operation";
            problems.error(*own, message, fix);
        }
    }
}

/// What has one shape.
struct Group<'t> {
    operations: Vec<(&'t Arc<Operation>, Place)>,
    withheld: Methods,
}

impl Group<'_> {
    /// But for what an operation here names.
    fn withhold(&mut self, methods: &Methods) {
        let is_named = |method: &str| {
            self.operations.iter().any(|(operation, _)| operation.methods.list(method))
        };
        self.withheld = match (&self.withheld, methods) {
            (Methods::Any, _) | (_, Methods::Any) => Methods::Any,
            (Methods::Listed(known), Methods::Listed(more)) => {
                let more = more.iter().filter(|method| !is_named(method));
                let all: BTreeSet<&Box<str>> = known.iter().chain(more).collect();
                Methods::Listed(all.into_iter().cloned().collect())
            }
        };
    }
}

/// By shape, in the order of their first.
#[derive(Default)]
struct Groups<'t> {
    shapes: BTreeMap<String, usize>,
    list: Vec<Group<'t>>,
    tree: Node<'t>,
}

impl<'t> Groups<'t> {
    fn at(&mut self, template: &'t Template) -> Option<&mut Group<'t>> {
        let entry = *self.shapes.entry(template.shape()).or_insert(self.list.len());
        if entry == self.list.len() {
            let withheld = Methods::Listed(Box::default());
            self.list.push(Group { operations: Vec::new(), withheld });
            self.tree.add(template, entry);
        }
        self.list.get_mut(entry)
    }
}

/// Templates by segment; the numbers are positions of entries.
#[derive(Default)]
struct Node<'t> {
    literals: BTreeMap<&'t str, Self>,
    parameter: Option<Box<Self>>,
    tail: Option<usize>,
    /// The entry whose template ends here.
    entry: Option<usize>,
}

impl<'t> Node<'t> {
    fn add(&mut self, template: &'t Template, entry: usize) {
        let mut node = self;
        for segment in &template.segments {
            match segment {
                Segment::Literal(text) => node = node.literals.entry(text).or_default(),
                Segment::Parameter(_) => node = node.parameter.get_or_insert_default(),
                Segment::Tail(_) => {
                    // A tail is last.
                    node.tail = Some(entry);
                    return;
                }
            }
        }
        node.entry = Some(entry);
    }

    /// Writes the routes of the paths that begin with `prefix`.
    ///
    /// The router refuses a tail beside a parameter, so there the tail moves below the parameter,
    /// again and again until there is none: `outer_tail` is one that came down so. Everywhere else
    /// the router goes back to the tail when the literals lead nowhere. A literal holds no brace,
    /// the only characters that mean something to the router.
    fn write(
        &self,
        prefix: &str,
        outer_tail: Option<usize>,
        router: &mut Router<usize>,
    ) -> Result<(), InsertError> {
        let tail = self.tail.or(outer_tail);
        // A tail may be empty, with or without the slash before it; the base path is "/".
        let here = if prefix.is_empty() { "/" } else { prefix };
        if let Some(entry) = self.entry.or(tail) {
            router.insert(here, entry)?;
        }
        if let Some(entry) = tail
            && !prefix.is_empty()
            && !self.literals.contains_key("")
        {
            router.insert(format!("{prefix}/"), entry)?;
        }
        for (literal, node) in &self.literals {
            node.write(&format!("{prefix}/{literal}"), None, router)?;
        }
        match (&self.parameter, tail) {
            (Some(node), _) => node.write(&format!("{prefix}/{{p}}"), tail, router),
            (None, Some(entry)) => router.insert(format!("{prefix}/{{*t}}"), entry),
            (None, None) => Ok(()),
        }
    }
}

fn path_entry(group: Group<'_>) -> PathEntry {
    let operations = group.operations.into_iter().map(|(operation, _)| Arc::clone(operation));
    let mut entry =
        PathEntry { operations: operations.collect(), withheld: group.withheld, allow: "".into() };
    let serves = |method: &&str| matches!(entry.service(method), Service::Operation(_));
    entry.allow = METHODS.into_iter().filter(serves).collect::<Vec<_>>().join(", ").into();
    entry
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn router(templates: &[Template]) -> Router<usize> {
        let mut tree = Node::default();
        for (entry, template) in templates.iter().enumerate() {
            tree.add(template, entry);
        }
        let mut router = Router::new();
        tree.write("", None, &mut router).expect("every set of templates fits the router");
        router
    }

    /// The slow reference: of all templates that match, the one whose segments are the strongest
    /// from the left.
    fn scan(templates: &[Template], path: &str) -> Option<usize> {
        let segments: Vec<&str> = path.split('/').skip(1).filter(|_| path != "/").collect();
        let matching = templates.iter().enumerate();
        let ranked = matching.filter_map(|(entry, t)| Some((ranks(t, &segments)?, entry)));
        ranked.min().map(|(_, entry)| entry)
    }

    fn ranks(template: &Template, path: &[&str]) -> Option<Vec<u8>> {
        let mut ranks = Vec::new();
        let mut path = path.iter();
        for segment in &template.segments {
            ranks.push(match segment {
                Segment::Literal(text) => (path.next() == Some(&&**text)).then_some(0)?,
                Segment::Parameter(_) => path.next().filter(|s| !s.is_empty()).map(|_| 1)?,
                Segment::Tail(_) => return Some([ranks, vec![2]].concat()),
            });
        }
        path.next().is_none().then_some(ranks)
    }

    #[test]
    fn literals_beat_parameters_beat_tails_from_the_left() {
        let check = |texts: &[&str], path: &str, expected: Option<&str>| {
            let templates: Vec<_> =
                texts.iter().map(|text| Template::parse(text).expect("a template")).collect();
            let found = router(&templates).at(path).ok().map(|found| texts[*found.value]);
            assert_eq!(found, expected, "{texts:?} {path}");
        };
        let files = &["/files/{rest...}", "/files/export", "/files/{id}"];
        check(files, "/files/export", Some("/files/export"));
        check(files, "/files/7", Some("/files/{id}"));
        check(files, "/files/export/x", Some("/files/{rest...}"));
        check(files, "/files", Some("/files/{rest...}"));
        check(files, "/files/", Some("/files/{rest...}"));
        check(files, "/filesystem", None);
        check(&["/files", "/files/{rest...}"], "/files", Some("/files"));
        check(&["/files/", "/files/{rest...}"], "/files/", Some("/files/"));
        check(&["/a/{rest...}", "/{x}/b"], "/a/b", Some("/a/{rest...}"));
        check(&["/{x}/b", "/{rest...}"], "/a/c", Some("/{rest...}"));
        check(&["/{x}/b", "/{rest...}"], "/", Some("/{rest...}"));
        check(&["/", "/{rest...}"], "/", Some("/"));
        check(&["/(a)*:x"], "/(a)*:x", Some("/(a)*:x"));
    }

    fn template() -> impl Strategy<Value = String> {
        let segment = prop::sample::select(vec!["/a", "/b", "/ab", "/{}"]);
        let end = prop::sample::select(vec!["", "", "/", "/{tail...}"]);
        (prop::collection::vec(segment, 0..5), end).prop_map(|(segments, end)| {
            let named = segments.iter().enumerate();
            let named = named.map(|(n, segment)| segment.replace("{}", &format!("{{p{n}}}")));
            let text = named.collect::<String>() + end;
            if text.is_empty() { "/".to_owned() } else { text }
        })
    }

    fn path() -> impl Strategy<Value = String> {
        let segment = prop::sample::select(vec!["/a", "/b", "/ab", "/abc", "/x"]);
        let end = prop::sample::select(vec!["", "", "/"]);
        (prop::collection::vec(segment, 0..6), end).prop_map(|(segments, end)| {
            let text = segments.concat() + end;
            if text.is_empty() { "/".to_owned() } else { text }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]

        #[test]
        fn the_router_agrees_with_a_linear_scan(
            texts in prop::collection::vec(template(), 0..10),
            paths in prop::collection::vec(path(), 1..20),
        ) {
            let mut templates: Vec<Template> = Vec::new();
            for template in texts.iter().map(|text| Template::parse(text).expect("a template")) {
                if templates.iter().all(|other| other.shape() != template.shape()) {
                    templates.push(template);
                }
            }
            let router = router(&templates);
            for path in &paths {
                let found = router.at(path).ok().map(|found| *found.value);
                prop_assert_eq!(found, scan(&templates, path), "{}", path);
            }
        }
    }
}
