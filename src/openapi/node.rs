//! The tree that both syntaxes become: values with their places in the text. It knows neither syntax and
//! nothing of OpenAPI.

use std::ops::Range;

use ahash::AHashMap;
use serde_json::{Number, Value};

use super::Problem;

/// Nesting of values in a document. Every walk over the tree relies on it.
const DEPTH_MAX: usize = 128;
/// Values of a document, those that YAML's aliases repeat included.
const NODES_MAX: usize = 2_000_000;
/// Objects with more members than this are searched by an index.
const INDEXED_FROM: usize = 16;

/// A value, and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    pub content: Content,
    /// In bytes of the text.
    pub at: Range<usize>,
}

#[derive(Clone, Debug)]
pub enum Content {
    Null,
    Bool(bool),
    Number(Number),
    Text(Box<str>),
    List(Box<[Node]>),
    Map(Map),
}

/// An object: members in the text's order, each key once.
#[derive(Clone, Debug, Default)]
pub struct Map {
    entries: Vec<Entry>,
    index: AHashMap<Box<str>, usize>,
}

#[derive(Clone, Debug)]
pub struct Entry {
    pub key: Box<str>,
    pub key_at: Range<usize>,
    pub value: Node,
}

impl Node {
    pub fn as_map(&self) -> Option<&Map> {
        match &self.content {
            Content::Map(map) => Some(map),
            Content::Null
            | Content::Bool(_)
            | Content::Number(_)
            | Content::Text(_)
            | Content::List(_) => None,
        }
    }

    pub fn as_list(&self) -> Option<&[Self]> {
        match &self.content {
            Content::List(list) => Some(list),
            Content::Null
            | Content::Bool(_)
            | Content::Number(_)
            | Content::Text(_)
            | Content::Map(_) => None,
        }
    }

    pub fn as_text(&self) -> Option<&str> {
        match &self.content {
            Content::Text(text) => Some(text),
            Content::Null
            | Content::Bool(_)
            | Content::Number(_)
            | Content::List(_)
            | Content::Map(_) => None,
        }
    }

    pub fn as_number(&self) -> Option<&Number> {
        match &self.content {
            Content::Number(number) => Some(number),
            Content::Null
            | Content::Bool(_)
            | Content::Text(_)
            | Content::List(_)
            | Content::Map(_) => None,
        }
    }

    pub fn is_true(&self) -> bool {
        matches!(self.content, Content::Bool(true))
    }

    /// The member of an object. None of anything else.
    pub fn get(&self, key: &str) -> Option<&Self> {
        self.as_map()?.get(key)
    }

    /// The text of a member.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.as_text()
    }

    /// What it is, in a message.
    pub const fn what(&self) -> &'static str {
        match self.content {
            Content::Null => "null",
            Content::Bool(_) => "a boolean",
            Content::Number(_) => "a number",
            Content::Text(_) => "a string",
            Content::List(_) => "a list",
            Content::Map(_) => "an object",
        }
    }

    pub fn to_json(&self) -> Value {
        match &self.content {
            Content::Null => Value::Null,
            Content::Bool(value) => Value::Bool(*value),
            Content::Number(number) => Value::Number(number.clone()),
            Content::Text(text) => Value::String(text.as_ref().to_owned()),
            Content::List(list) => list.iter().map(Self::to_json).collect(),
            Content::Map(map) => {
                let members = map.entries().iter();
                members.map(|entry| (entry.key.to_string(), entry.value.to_json())).collect()
            }
        }
    }
}

impl Map {
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub fn get(&self, key: &str) -> Option<&Node> {
        self.position(key).and_then(|at| self.entries.get(at)).map(|entry| &entry.value)
    }

    /// Adds a member. A key that is there already is a problem: readers of the text would differ.
    pub fn insert(&mut self, entry: Entry) -> Result<(), Problem> {
        if self.position(&entry.key).is_some() {
            let message = format!("the key {:?} stands twice in one object", brief(&entry.key));
            return Err(Problem::error(entry.key_at, message, "keep one of the two"));
        }
        self.entries.push(entry);
        if self.entries.len() == INDEXED_FROM {
            let keys = self.entries.iter().enumerate();
            self.index = keys.map(|(at, entry)| (entry.key.clone(), at)).collect();
        } else if let Some(last) = self.entries.last().filter(|_| self.entries.len() > INDEXED_FROM)
        {
            self.index.insert(last.key.clone(), self.entries.len() - 1);
        }
        Ok(())
    }

    fn position(&self, key: &str) -> Option<usize> {
        if self.entries.len() < INDEXED_FROM {
            return self.entries.iter().position(|entry| &*entry.key == key);
        }
        self.index.get(key).copied()
    }
}

/// What is left of a document's bounds.
#[derive(Debug)]
pub struct Bounds {
    nodes_left: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { nodes_left: NODES_MAX }
    }
}

impl Bounds {
    /// Counts `nodes` values that reach down to `depth`.
    pub fn take(&mut self, nodes: usize, depth: usize, at: &Range<usize>) -> Result<(), Problem> {
        if depth > DEPTH_MAX {
            let message = format!("values nest deeper than {DEPTH_MAX} levels");
            return Err(Problem::error(at.clone(), message, "nest less deeply"));
        }
        let Some(left) = self.nodes_left.checked_sub(nodes) else {
            let message =
                format!("more than {NODES_MAX} values, those that aliases repeat included");
            return Err(Problem::error(at.clone(), message, "split the document"));
        };
        self.nodes_left = left;
        Ok(())
    }
}

fn brief(key: &str) -> String {
    key.chars().take(80).collect()
}
