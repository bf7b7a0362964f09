//! Schemas of OpenAPI 3.0 and 3.1 as JSON Schema 2020-12: only keywords whose values are valid, local
//! references put in their place, recursion cut. The result never refers to what is not in it.

pub mod keyword;

use std::cell::RefCell;

use ahash::AHashMap;
use serde_json::{Map as Object, Value, json};

use super::Problem;
use super::node::{Content, Map, Node};
use super::pointer::{self, Dangling};
use super::text::{self, quoted};

/// Nesting of JSON in a result, above literals: hosts read a hundred levels or so, a list of tools included.
const DEPTH_MAX: usize = 56;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Version {
    V30,
    V31,
}

/// Which way the values go: what is read only is no request's, what is written only no response's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    Request,
    Response,
}

/// Whether patterns compile, which is slow to find out.
pub type Patterns = RefCell<AHashMap<Box<str>, bool>>;

/// The result would be over its bound.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TooLarge;

/// Translates the schemas of one operation in one direction.
#[derive(Debug)]
pub struct Translator<'d> {
    pub root: &'d Node,
    pub version: Version,
    pub direction: Direction,
    /// Names the operation, in problems.
    pub operation: &'d str,
    /// Bytes that the results may still have, roughly.
    pub bytes_left: usize,
    /// References within references that are put in place.
    pub refs_max: usize,
    pub problems: Vec<Problem>,
    /// Patterns of the document that were tried.
    pub patterns: Option<&'d Patterns>,
    /// What is being put in place at the moment, outermost first.
    within: Vec<&'d Node>,
    /// The schema whose `$defs` stay at the root of the result.
    kept: Option<&'d Node>,
}

impl<'d> Translator<'d> {
    pub fn new(root: &'d Node, version: Version, direction: Direction, operation: &'d str) -> Self {
        Self {
            root,
            version,
            direction,
            operation,
            bytes_left: 0,
            refs_max: 0,
            problems: Vec::new(),
            patterns: None,
            within: Vec::new(),
            kept: None,
        }
    }

    /// A schema on its own.
    pub fn translate(&mut self, node: &'d Node) -> Result<Value, TooLarge> {
        self.schema(node, 0)
    }

    /// `$schema` and `$defs` of an object whose members become arguments: they stay at the root, and what
    /// refers to them stays as it is.
    pub fn keep(&mut self, node: &'d Node) -> Result<Object<String, Value>, TooLarge> {
        let mut root = Object::new();
        let Some(map) = node.as_map().filter(|map| map.get("$id").is_none()) else {
            return Ok(root);
        };
        let dialect = node.text("$schema").filter(|_| self.version == Version::V31);
        if let Some(dialect @ "https://json-schema.org/draft/2020-12/schema") = dialect {
            root.insert("$schema".into(), dialect.into());
        }
        if let Some(definitions) = map.get("$defs").filter(|_| self.version == Version::V31) {
            self.kept = Some(node);
            if let Some(definitions) = self.schemas(definitions, 0)? {
                root.insert("$defs".into(), definitions);
            }
        }
        Ok(root)
    }

    /// Members of the object that go this way, whose schemas follow references.
    pub fn goes(&self, property: &Node) -> bool {
        let keyword = match self.direction {
            Direction::Request => "readOnly",
            Direction::Response => "writeOnly",
        };
        let target = pointer::follow(self.root, property);
        let says = |node: &Node| node.get(keyword).is_some_and(Node::is_true);
        !says(property) && !target.is_ok_and(says)
    }

    pub fn warn(&mut self, node: &Node, message: &str, fix: &str) {
        let message = format!("{}: {message}", self.operation);
        self.problems.push(Problem::warning(&node.at, message, fix));
    }

    fn spend(&mut self, bytes: usize) -> Result<(), TooLarge> {
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or(TooLarge)?;
        Ok(())
    }

    fn schema(&mut self, node: &'d Node, depth: usize) -> Result<Value, TooLarge> {
        self.spend(8)?;
        if depth > DEPTH_MAX {
            return Ok(cut(node));
        }
        match &node.content {
            Content::Map(map) => match map.get("$ref") {
                Some(reference) => self.reference(node, map, reference, depth),
                None => self.keywords(map, depth),
            },
            Content::Bool(false) if self.version == Version::V31 => Ok(Value::Bool(false)),
            Content::Bool(true) if self.version == Version::V31 => Ok(any()),
            Content::Null
            | Content::Bool(_)
            | Content::Number(_)
            | Content::Text(_)
            | Content::List(_) => {
                self.warn(node, &format!("a schema is {}", node.what()), "write an object");
                Ok(any())
            }
        }
    }

    fn reference(
        &mut self,
        node: &'d Node,
        map: &'d Map,
        reference: &'d Node,
        depth: usize,
    ) -> Result<Value, TooLarge> {
        let text = reference.as_text().unwrap_or_default();
        if let Some(kept) = self.kept_reference(text) {
            self.spend(text.len() + 16)?;
            return self.beside(map, json!({ "$ref": kept }), depth);
        }
        let target = match self.target(text) {
            Ok(target) => target,
            Err(dangling) => {
                let message = format!("`$ref` {} {}", quoted(text), dangling.as_str());
                self.warn(node, &message, dangling.fix());
                return self.beside(map, any(), depth);
            }
        };
        let wrapped = usize::from(map.entries().len() > 1) * 2;
        let recursive = self.within.iter().any(|outer| std::ptr::eq(*outer, target));
        let value = if recursive || self.within.len() >= self.refs_max {
            self.spend(64)?;
            cut(target)
        } else {
            self.within.push(target);
            let value = self.schema(target, depth + wrapped);
            self.within.pop();
            value?
        };
        self.beside(map, value, depth)
    }

    /// Where a reference leads: in the document, else in the schema that it stands in.
    fn target(&self, text: &str) -> Result<&'d Node, Dangling> {
        let local = pointer::resolve(self.root, text);
        let outer = || self.within.last().copied().or(self.kept).ok_or(Dangling::Missing);
        match local {
            Err(Dangling::Missing) if text.starts_with("#/$defs/") => {
                pointer::resolve(outer()?, text)
            }
            Err(Dangling::Missing) => outer().and_then(|outer| anchored(outer, text)),
            found => found,
        }
    }

    /// A reference into `$defs` that stay.
    fn kept_reference(&self, text: &'d str) -> Option<&'d str> {
        let kept = self.kept.filter(|_| self.within.is_empty())?;
        if pointer::resolve(self.root, text).is_ok() {
            return None;
        }
        let name = text.strip_prefix("#/$defs/");
        let whole = name.is_some_and(|name| !name.contains(['/', '%']));
        let found = whole && pointer::resolve(kept, text).is_ok();
        (found || anchored(kept, text).is_ok()).then_some(text)
    }

    /// Keywords beside a `$ref`: 3.1 has them apply too, 3.0 has them ignored.
    fn beside(&mut self, map: &'d Map, value: Value, depth: usize) -> Result<Value, TooLarge> {
        if self.version == Version::V30 || map.entries().len() == 1 {
            return Ok(value);
        }
        let Value::Object(beside) = self.keywords(map, depth + 2)? else { return Ok(value) };
        let Value::Object(mut target) = value else { return Ok(value) };
        let words = ["title", "description", "default", "examples", "deprecated", "x-mcp-header"];
        let annotates = |key: &String| words.contains(&key.as_str());
        if beside.keys().all(|key| annotates(key) || !target.contains_key(key)) {
            target.extend(beside);
            return Ok(Value::Object(target));
        }
        let parts = vec![Value::Object(target), Value::Object(beside)];
        Ok(json!({ "allOf": parts }))
    }

    /// An object of schemas by name. None when it is something else.
    fn schemas(&mut self, node: &'d Node, depth: usize) -> Result<Option<Value>, TooLarge> {
        let Some(map) = node.as_map() else { return Ok(None) };
        let mut schemas = Object::new();
        for entry in map.entries() {
            self.spend(entry.key.len() + 4)?;
            schemas
                .insert(entry.key.clone().into(), self.schema(&entry.value, depth + self.step())?);
        }
        Ok(Some(Value::Object(schemas)))
    }

    /// Levels from a schema to the ones in it; results get unions with null on their way.
    const fn step(&self) -> usize {
        match self.direction {
            Direction::Request => 2,
            Direction::Response => 4,
        }
    }
}

/// A schema that takes everything, without being empty: some hosts mind that.
pub fn any() -> Value {
    json!({ "description": "Any JSON value." })
}

/// What stands for a schema that is not told in full.
fn cut(node: &Node) -> Value {
    let title = node.text("title").map(|title| text::clean(title, text::TITLE_CHARS_MAX));
    let name =
        title.filter(|title| !title.is_empty()).map_or("Described".into(), |title| title + ",");
    let description =
        format!("{name} in the API's documentation: nested too deeply to be told here.");
    let properties = node.get("properties").map(|_| "object");
    match node.text("type").filter(|kind| keyword::TYPES.contains(kind)).or(properties) {
        Some(kind) if !node.get("nullable").is_some_and(Node::is_true) => {
            json!({ "type": kind, "description": description })
        }
        _ => json!({ "description": description }),
    }
}

/// The definition of a schema that has this `$anchor`.
fn anchored<'d>(schema: &'d Node, text: &str) -> Result<&'d Node, Dangling> {
    let name = text.strip_prefix('#').ok_or(Dangling::Remote)?;
    let entries = schema.get("$defs").and_then(Node::as_map).map_or(&[][..], Map::entries);
    let mut definitions = entries.iter().map(|entry| &entry.value);
    definitions.find(|node| node.text("$anchor") == Some(name)).ok_or(Dangling::Missing)
}
