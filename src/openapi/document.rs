//! The walk over a document: its version, its paths, and each method of each path. What is broken is named
//! and left out; only a document that is none is refused.

use std::collections::BTreeMap;

use http::Method;

use crate::model::template::Template;

use super::form::Told;
use super::names;
use super::node::{Content, Entry, Map, Node};
use super::parameters::{self, Parameter};
use super::problems::Problems;
use super::schema::{Patterns, Version};
use super::security::{self, Hidden};
use super::text::quoted;
use super::{Described, Document, Problem, pointer};

/// Bytes of schemas that one document may make, attempts included.
const WORK_MAX: usize = 256 * 1024 * 1024;

const METHODS: [(&str, Method); 8] = [
    ("get", Method::GET),
    ("put", Method::PUT),
    ("post", Method::POST),
    ("delete", Method::DELETE),
    ("options", Method::OPTIONS),
    ("head", Method::HEAD),
    ("patch", Method::PATCH),
    ("trace", Method::TRACE),
];

pub fn read(root: &Node) -> Result<Document, Problem> {
    let mut walk = Walk {
        root,
        version: version(root)?,
        hidden: Hidden::of(root),
        problems: Problems::default(),
        work_left: WORK_MAX,
        patterns: Patterns::default(),
        found: Vec::new(),
    };
    walk.paths();
    walk.name_apart();
    let operations = walk.found.into_iter().map(|found| found.described).collect();
    Ok(Document { operations, problems: walk.problems.into_list() })
}

fn version(root: &Node) -> Result<Version, Problem> {
    let refused =
        |at: &Node, message: String, fix| Err(Problem::error(at.at.clone(), message, fix));
    if root.as_map().is_none() {
        let message = format!("an OpenAPI document is an object, and this is {}", root.what());
        return refused(root, message, "name an OpenAPI file");
    }
    let Some(node) = root.get("openapi") else {
        let Some(node) = root.get("swagger") else {
            let message = "`openapi` is missing: this is no OpenAPI document".into();
            return refused(root, message, "name an OpenAPI file, of version 3.0 or 3.1");
        };
        return refused(node, "Swagger 2.0 is not read".into(), "convert the file to OpenAPI 3");
    };
    let patch =
        |version: &str, of| version.strip_prefix(of).is_some_and(|rest| rest.starts_with('.'));
    match node.as_text() {
        Some(version) if patch(version, "3.0") => Ok(Version::V30),
        Some(version) if patch(version, "3.1") => Ok(Version::V31),
        Some(version) => {
            let message = format!("OpenAPI {} is not read", quoted(version));
            refused(node, message, "convert the file to 3.1")
        }
        None => refused(node, format!("`openapi` is {}", node.what()), "quote it: \"3.1.0\""),
    }
}

struct Walk<'d> {
    root: &'d Node,
    version: Version,
    hidden: Hidden,
    problems: Problems,
    work_left: usize,
    patterns: Patterns,
    found: Vec<Found<'d>>,
}

struct Found<'d> {
    described: Described,
    /// `GET /payments`
    name: String,
    operation_id: Option<&'d str>,
    path: &'d str,
}

/// A path of the document: what it is below the api's base path.
struct Path<'d> {
    text: &'d str,
    template: Template,
    /// The parameters' names in the document and in the template.
    parameters: Vec<(&'d str, String)>,
}

impl<'d> Walk<'d> {
    fn paths(&mut self) {
        let Some(paths) = self.root.get("paths") else {
            return self.warn(self.root, "the document has no `paths`", "describe some");
        };
        let Some(map) = paths.as_map() else {
            return self.warn(paths, &format!("`paths` is {}", paths.what()), "write an object");
        };
        let mut shapes = BTreeMap::new();
        for entry in map.entries().iter().filter(|entry| !entry.key.starts_with("x-")) {
            let path = match Path::parse(&entry.key) {
                Ok(path) => path,
                Err(problem) => {
                    let message = format!("{}: {problem}", quoted(&entry.key));
                    let fix = "mend it, or write the operation in the config: it is left out";
                    self.problems.push(Problem::warning(&entry.key_at, message, fix));
                    continue;
                }
            };
            if let Some(other) = shapes.insert(path.template.shape(), &entry.key) {
                let message =
                    format!("{}: it matches what {} matches", quoted(&entry.key), quoted(other));
                self.problems.push(Problem::warning(
                    &entry.key_at,
                    message,
                    "keep one: this one is left out",
                ));
                shapes.insert(path.template.shape(), other);
                continue;
            }
            self.path(&path, &entry.value);
        }
    }

    fn path(&mut self, path: &Path<'d>, item: &'d Node) {
        let target = match pointer::follow(self.root, item) {
            Ok(target) => target,
            Err(dangling) => {
                let message = format!("{}: its `$ref` {}", quoted(path.text), dangling.as_str());
                return self.problems.push(Problem::warning(&item.at, message, dangling.fix()));
            }
        };
        // What stands beside a `$ref` adds to what it leads to.
        let own =
            item.as_map().filter(|_| !std::ptr::eq(item, target)).map_or(&[][..], Map::entries);
        let Some(shared) = target.as_map().map(Map::entries) else {
            let message = format!("{}: it is {}", quoted(path.text), target.what());
            return self.problems.push(Problem::warning(&item.at, message, "write an object"));
        };
        let inherited = item.get("parameters").or_else(|| target.get("parameters"));
        let beside = shared.iter().filter(|entry| !own.iter().any(|known| known.key == entry.key));
        for entry in own.iter().chain(beside) {
            if let Some((_, method)) = METHODS.iter().find(|(name, _)| *name == &*entry.key) {
                self.operation(path, method, entry, inherited);
            }
        }
    }

    fn operation(
        &mut self,
        path: &Path<'d>,
        method: &Method,
        entry: &'d Entry,
        inherited: Option<&'d Node>,
    ) {
        let (name, node) = (format!("{method} {}", path.text), &entry.value);
        if !matches!(node.content, Content::Map(_)) {
            return self.left_out(&name, node, &format!("it is {}", node.what()));
        }
        let security = node.get("security").or_else(|| self.root.get("security"));
        let Some(scopes) = security::scopes(security) else {
            return self.left_out(&name, security.unwrap_or(node), "its `security` cannot be read");
        };
        let mut told_of = Vec::new();
        let lists = [node.get("parameters"), inherited];
        let mut parameters = parameters::collect(self.root, lists, &mut told_of);
        let is_whole = told_of.is_empty();
        for (node, message) in told_of {
            let message = format!("{name}: it has no tool: {message}");
            self.problems.push(Problem::warning(
                &node.at,
                message,
                "mend it; REST callers can call it as it is",
            ));
        }
        self.check_path(path, &name, entry, &mut parameters);
        let undeclared: Vec<&str> = path.undeclared(&parameters).map(|(wire, _)| *wire).collect();
        let told = Told {
            root: self.root,
            version: self.version,
            name: &name,
            node,
            parameters: &parameters,
            undeclared: &undeclared,
            hidden: &self.hidden,
            patterns: &self.patterns,
            takes_body: !matches!(*method, Method::GET | Method::HEAD | Method::TRACE),
        };
        let mut problems = Vec::new();
        let mut form = None;
        if is_whole {
            form = told.form(&mut problems, &mut self.work_left);
        }
        for problem in problems {
            self.problems.push(problem);
        }
        let operation_id = node.text("operationId");
        let id = names::operation(operation_id, method.as_str(), path.text).into();
        let (at, template) = (entry.key_at.clone(), path.template.clone());
        let described = Described { id, at, method: method.clone(), template, scopes, form };
        self.found.push(Found { described, name, operation_id, path: path.text });
    }

    /// Parameters that the template lacks are none; those that nobody declared are told of.
    fn check_path(
        &mut self,
        path: &Path<'d>,
        name: &str,
        entry: &Entry,
        parameters: &mut Vec<Parameter<'d>>,
    ) {
        let in_template = |wire: &str| path.parameters.iter().any(|(known, _)| *known == wire);
        parameters.retain(|parameter| {
            let fits = parameter.place != "path" || in_template(parameter.name);
            if !fits {
                let message = format!("{name}: the path has no {{{}}}", parameter.name);
                self.problems.push(Problem::warning(
                    &parameter.node.at,
                    message,
                    "leave the parameter out",
                ));
            }
            fits
        });
        for (wire, _) in path.undeclared(parameters) {
            let message = format!("{name}: {{{wire}}} is not declared, and taken for a string");
            self.problems.push(Problem::warning(&entry.key_at, message, "declare it"));
        }
    }

    /// Operations that come to one name all get a mark of their own.
    fn name_apart(&mut self) {
        let mut by_id: BTreeMap<Box<str>, Vec<usize>> = BTreeMap::new();
        for (at, found) in self.found.iter().enumerate() {
            by_id.entry(found.described.id.clone()).or_default().push(at);
        }
        for (id, alike) in by_id.into_iter().filter(|(_, alike)| alike.len() > 1) {
            let of = |at: &usize| self.found.get(*at).map(|found| found.name.clone());
            let names: Vec<String> = alike.iter().filter_map(of).take(5).collect();
            for found in alike.iter().filter_map(|at| self.found.get(*at)) {
                let message = format!("{} would all be {id:?}: each gets a mark", names.join(", "));
                self.problems.push(Problem::warning(
                    &found.described.at,
                    message,
                    "give each an `operationId` of its own",
                ));
            }
            for at in alike {
                let Some(found) = self.found.get_mut(at) else { continue };
                let method = found.described.method.as_str();
                let apart = names::operation_apart(&id, found.operation_id, method, found.path);
                found.described.id = apart.into();
            }
        }
        self.drop_still_alike();
    }

    /// A name may still be another's: by a hash that is alike, or by an id that looks like one.
    fn drop_still_alike(&mut self) {
        let mut known: BTreeMap<Box<str>, usize> = BTreeMap::new();
        for found in &self.found {
            *known.entry(found.described.id.clone()).or_default() += 1;
        }
        let problems = &mut self.problems;
        self.found.retain(|found| {
            let alone = known.get(&found.described.id) == Some(&1);
            if !alone {
                let message =
                    format!("{}: its name {:?} is another's too", found.name, found.described.id);
                problems.push(Problem::warning(
                    &found.described.at,
                    message,
                    "give it an `operationId` of its own: it is left out",
                ));
            }
            alone
        });
    }

    fn left_out(&mut self, name: &str, node: &Node, message: &str) {
        let message = format!("{name}: {message}");
        self.problems.push(Problem::warning(
            &node.at,
            message,
            "mend it: until then the operation is left out",
        ));
    }

    fn warn(&mut self, node: &Node, message: &str, fix: &str) {
        self.problems.push(Problem::warning(&node.at, message, fix));
    }
}

impl<'d> Path<'d> {
    fn parse(text: &'d str) -> Result<Self, String> {
        if text.len() > 2000 {
            return Err("the path is longer than 2000 bytes".into());
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err("a path starts with '/'".into());
        };
        let mut parameters = Vec::new();
        let segments = rest.split('/').map(|segment| {
            let name = segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}'));
            match name.filter(|name| !name.is_empty() && !name.contains(['{', '}'])) {
                Some(wire) => {
                    let name = names::path_parameter(wire);
                    parameters.push((wire, name.clone()));
                    Ok(format!("/{{{name}}}"))
                }
                None if segment.contains(['{', '}']) => Err(format!(
                    "a parameter fills a whole segment, and {} is none",
                    quoted(segment)
                )),
                None => Ok(format!("/{segment}")),
            }
        });
        let text_of_template = segments.collect::<Result<String, String>>()?;
        let template =
            Template::parse(&text_of_template).map_err(|error| error.problem.to_string())?;
        Ok(Self { text, template, parameters })
    }

    fn undeclared<'p>(
        &'p self,
        declared: &'p [Parameter<'d>],
    ) -> impl Iterator<Item = &'p (&'d str, String)> {
        let is_declared = |wire: &str| declared.iter().any(|p| p.place == "path" && p.name == wire);
        self.parameters.iter().filter(move |(wire, _)| !is_declared(wire))
    }
}
