//! The walk over a document: its version, its paths, and each method of each path. What is broken is named,
//! left out and withheld. A document is refused that is none, or that does not say what an operation needs.

use http::Method;

use crate::model::api::Methods;

use super::form::Told;
use super::names;
use super::node::{Content, Entry, Map, Node};
use super::parameters::{self, Parameter};
use super::path::{Path, Unusable};
use super::problems::Problems;
use super::schema::{Patterns, Version};
use super::security::{self, Hidden, Needs};
use super::text::quoted;
use super::{Described, Document, Problem, Reach, Withheld, pointer};
use super::{apart, withheld};

/// Bytes of schemas that one document may make, attempts included.
const WORK_MAX: usize = 256 * 1024 * 1024;

/// TRACE is none: it is never forwarded.
const METHODS: [(&str, Method); 7] = [
    ("get", Method::GET),
    ("put", Method::PUT),
    ("post", Method::POST),
    ("delete", Method::DELETE),
    ("options", Method::OPTIONS),
    ("head", Method::HEAD),
    ("patch", Method::PATCH),
];
/// What else a path item may have.
const OF_ITEMS: [&str; 5] = ["$ref", "parameters", "summary", "description", "servers"];

pub fn read(root: &Node) -> Result<Document, Problem> {
    let mut walk = Walk {
        root,
        version: version(root)?,
        hidden: Hidden::of(root),
        problems: Problems::default(),
        work_left: WORK_MAX,
        patterns: Patterns::default(),
        found: Vec::new(),
        withheld: Vec::new(),
    };
    walk.security();
    walk.paths();
    let Walk { mut found, mut withheld, mut problems, .. } = walk;
    apart::name(&mut found, &mut withheld, &mut problems);
    withheld::settle(&mut found, &mut withheld, &mut problems);
    let operations = found.into_iter().map(|found| found.described).collect();
    Ok(Document { operations, withheld, problems: problems.into_list() })
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
        Some(version @ ("3.0" | "3.1")) => {
            let message = format!("`openapi` is {}, without a patch version", quoted(version));
            refused(node, message, "write \"3.0.3\" or \"3.1.0\", as it is")
        }
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
    withheld: Vec<Withheld>,
}

#[derive(Debug)]
pub struct Found<'d> {
    pub described: Described,
    /// `GET /payments`
    pub name: String,
    pub operation_id: Option<&'d str>,
    pub path: &'d str,
}

impl<'d> Walk<'d> {
    fn paths(&mut self) {
        let Some(paths) = self.root.get("paths") else {
            return self.warn(self.root, "the document has no `paths`", "describe some");
        };
        let Some(map) = paths.as_map() else {
            return self.warn(paths, &format!("`paths` is {}", paths.what()), "write an object");
        };
        for entry in map.entries().iter().filter(|entry| !entry.key.starts_with("x-")) {
            match Path::parse(&entry.key) {
                Ok(path) => self.path(&path, &entry.value),
                Err(unusable) => self.unusable(entry, unusable),
            }
        }
    }

    /// What stands in the document's own `security`, which operations without theirs have.
    fn security(&mut self) {
        let Some(security) = self.root.get("security") else { return };
        let needs = security::needs(security);
        self.tell("the document", security, needs.as_ref());
    }

    fn tell(&mut self, name: &str, security: &Node, needs: Option<&Needs>) {
        match needs {
            None => self.problems.push(unreadable(name, security)),
            Some(needs) if needs.differ => self.problems.push(all_needed(name, security)),
            Some(_) => {}
        }
    }

    /// A path that can be no template: all that it could match is withheld.
    fn unusable(&mut self, entry: &'d Entry, unusable: Unusable) {
        let Unusable { problem, cover } = unusable;
        let message = format!("{}: {problem}", quoted(&entry.key));
        let fix = "mend it: until then its operations are left out";
        self.problems.push(Problem::warning(&entry.key_at, message, fix));
        let Some(template) = cover else { return };
        let item = pointer::follow(self.root, &entry.value).ok();
        let members = item.and_then(Node::as_map).map(Map::entries);
        let own = entry.value.get("$ref").and(entry.value.as_map()).map_or(&[][..], Map::entries);
        let withheld = |methods, id| {
            let (name, at) = (named(&methods, &entry.key), entry.key_at.clone());
            Withheld { name, id, at, methods, template: template.clone(), reach: Reach::Wider }
        };
        let Some(members) = members else {
            return self.withheld.push(withheld(Methods::Any, None));
        };
        for member in own.iter().chain(members) {
            if let Some(method) = method_like(&member.key) {
                let id = id(&member.value, method.as_str(), &entry.key);
                self.withheld.push(withheld(listed(method), Some(id)));
            }
        }
    }

    fn path(&mut self, path: &Path<'d>, item: &'d Node) {
        let target = match pointer::follow(self.root, item) {
            Ok(target) => target,
            Err(dangling) => {
                let message = format!("{}: its `$ref` {}", quoted(path.text), dangling.as_str());
                self.problems.push(Problem::warning(&item.at, message, dangling.fix()));
                return self.withhold(path, Methods::Any, item, None);
            }
        };
        // What stands beside a `$ref` adds to what it leads to.
        let own =
            item.as_map().filter(|_| !std::ptr::eq(item, target)).map_or(&[][..], Map::entries);
        let Some(shared) = target.as_map().map(Map::entries) else {
            let message = format!("{}: it is {}", quoted(path.text), target.what());
            self.problems.push(Problem::warning(&item.at, message, "write an object"));
            return self.withhold(path, Methods::Any, item, None);
        };
        let inherited = item.get("parameters").or_else(|| target.get("parameters"));
        let beside = shared.iter().filter(|entry| !own.iter().any(|known| known.key == entry.key));
        for entry in own.iter().chain(beside) {
            match METHODS.iter().find(|(name, _)| *name == &*entry.key) {
                Some((_, method)) => self.operation(path, method, entry, inherited),
                None => self.member(path, entry),
            }
        }
    }

    /// A member of a path item that is no operation.
    fn member(&mut self, path: &Path<'d>, entry: &'d Entry) {
        let (key, name) = (&*entry.key, quoted(path.text));
        let (message, fix) = match key {
            "servers" => (format!("{name}: {SERVERS}"), SERVERS_FIX),
            "trace" => (format!("{name}: TRACE is never forwarded"), "take it out"),
            _ if key.starts_with("x-") || OF_ITEMS.contains(&key) => return,
            _ => {
                if let Some(method) = method_like(key) {
                    let id = Some(id(&entry.value, method.as_str(), path.text));
                    self.withhold(path, listed(method), &entry.value, id);
                }
                let message = format!("{name}: {} is no method that is known", quoted(key));
                (message, "write a method, in lower case; it is left out")
            }
        };
        self.problems.push(Problem::warning(&entry.key_at, message, fix));
    }

    fn withhold(&mut self, path: &Path<'d>, methods: Methods, at: &Node, id: Option<Box<str>>) {
        let name = named(&methods, path.text);
        let (at, template) = (at.at.clone(), path.template.clone());
        self.withheld.push(Withheld { name, id, at, methods, template, reach: Reach::Exact });
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
            self.left_out(&name, node, &format!("it is {}", node.what()));
            return self.withhold(path, listed(method), node, None);
        }
        let scopes = self.scopes(&name, node);
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
            takes_body: !matches!(*method, Method::GET | Method::HEAD),
        };
        let mut problems = Vec::new();
        let mut form = None;
        if is_whole {
            form = told.form(&mut problems, &mut self.work_left);
        }
        for problem in problems {
            self.problems.push(problem);
        }
        if let Some(servers) = node.get("servers") {
            self.warn(servers, &format!("{name}: {SERVERS}"), SERVERS_FIX);
        }
        let operation_id = node.text("operationId");
        let id = id(node, method.as_str(), path.text);
        let (at, template) = (entry.key_at.clone(), path.template.clone());
        let described = Described { id, at, method: method.clone(), template, scopes, form };
        self.found.push(Found { described, name, operation_id, path: path.text });
    }

    /// What the operation needs. That it cannot be read is an error: nobody may take it for nothing.
    fn scopes(&mut self, name: &str, node: &'d Node) -> Vec<Box<str>> {
        let own = node.get("security");
        let Some(security) = own.or_else(|| self.root.get("security")) else { return Vec::new() };
        let needs = security::needs(security);
        // The document's own is told of once.
        if own.is_some() {
            self.tell(name, security, needs.as_ref());
        }
        needs.unwrap_or_default().scopes
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

impl Found<'_> {
    /// In its stead.
    pub fn withheld(&self) -> Withheld {
        let Described { id, at, method, template, .. } = &self.described;
        Withheld {
            name: self.name.as_str().into(),
            id: Some(id.clone()),
            at: at.clone(),
            methods: listed(method),
            template: template.clone(),
            reach: Reach::Exact,
        }
    }
}

const SERVERS: &str = "its `servers` are not used";
const SERVERS_FIX: &str =
    "the api's upstream serves it: take them out, or publish it in another api";

fn listed(method: &Method) -> Methods {
    Methods::Listed(Box::new([method.as_str().into()]))
}

/// `GET /payments`
fn named(methods: &Methods, path: &str) -> Box<str> {
    match methods {
        Methods::Any => path.into(),
        Methods::Listed(methods) => format!("{} {path}", methods.join(", ")).into(),
    }
}

fn id(node: &Node, method: &str, path: &str) -> Box<str> {
    names::operation(node.text("operationId"), method, path).into()
}

/// The method that a key means, were it with another case.
fn method_like(key: &str) -> Option<&'static Method> {
    let found = METHODS.iter().find(|(name, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, method)| method)
}

fn unreadable(name: &str, security: &Node) -> Problem {
    let message = format!("{name}: its `security` cannot be read, so nobody knows what it needs");
    Problem::error(security.at.clone(), message, "write a list of objects of lists of scopes")
}

fn all_needed(name: &str, security: &Node) -> Problem {
    let message =
        format!("{name}: alternatives of `security` differ in scopes, and all are needed");
    let fix = "write scopes = […] for it in an [[api.operation]], if fewer shall do";
    Problem::warning(&security.at, message, fix)
}
