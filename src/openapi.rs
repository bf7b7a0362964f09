//! OpenAPI 3.0 and 3.1, pure: from the text of a document to the operations that it describes, each with
//! flat arguments. It reads no file, follows no remote reference, and knows neither config nor MCP.
//!
//! An operation that cannot be used is named with its place and left out; the others stay. Where it is, its
//! path and method are withheld: another operation that covers them has other scopes.

mod apart;
mod body;
mod document;
mod draft;
mod exploded;
mod form;
mod json;
mod media;
mod names;
mod node;
mod output;
mod parameters;
mod path;
mod pointer;
mod problems;
mod schema;
mod security;
mod text;
mod withheld;
mod yaml;

#[cfg(test)]
mod tests;

use std::ops::Range;

use http::Method;
use serde_json::Value;

use crate::model::api::Methods;
use crate::model::template::Template;
use crate::model::tool::{Argument, BodyForm};

/// Tags of one operation that are kept.
pub const TAGS_MAX: usize = 8;

/// What a document describes.
#[derive(Debug, Default)]
pub struct Document {
    /// In the document's order.
    pub operations: Vec<Described>,
    /// What was left out.
    pub withheld: Vec<Withheld>,
    /// In the document's order.
    pub problems: Vec<Problem>,
}

/// Where a document has an operation that cannot be used: whoever serves the others serves nothing there.
#[derive(Clone, Debug)]
pub struct Withheld {
    /// `GET /payments/{id}.json`
    pub name: Box<str>,
    /// The operation's, as [`Described::id`].
    pub id: Option<Box<str>>,
    /// In bytes of the text.
    pub at: Range<usize>,
    pub methods: Methods,
    pub template: Template,
    pub reach: Reach,
}

/// Which paths a withheld template matches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reach {
    /// Those of the document's path.
    Exact,
    /// More: that path can be no template.
    Wider,
}

/// Something of a document that cannot be used.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    pub severity: Severity,
    /// In bytes of the text.
    pub at: Range<usize>,
    /// What is wrong, naming the operation: `GET /payments: …`.
    pub message: String,
    /// What to do.
    pub fix: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Severity {
    /// Nothing of the document can be used.
    Error,
    /// What it names is left out.
    Warning,
}

/// One operation of a document.
#[derive(Debug)]
pub struct Described {
    /// The operation's name below its api, a checked `Name`: from `operationId`, else from method and path.
    pub id: Box<str>,
    /// In bytes of the text.
    pub at: Range<usize>,
    pub method: Method,
    /// Below the api's base path.
    pub template: Template,
    /// Every scope that any of its `security` alternatives names, without repetitions.
    pub scopes: Vec<Box<str>>,
    /// None: the operation can be called over REST, and its arguments cannot be told to a model (a problem
    /// says why).
    pub form: Option<Form>,
}

/// What a model is told of an operation, and where its arguments go.
#[derive(Debug)]
pub struct Form {
    pub title: Option<Box<str>>,
    /// Summary and description.
    pub description: Box<str>,
    /// At most [`TAGS_MAX`], each a title's length. Models are not told them; searches read them.
    pub tags: Box<[Box<str>]>,
    /// In order of their names. `PathPart`s are made by whoever knows the base path: parameters of the
    /// template have the argument whose place is `Path` and whose `wire_name` is theirs.
    pub arguments: Vec<NamedArgument>,
    pub body: Option<BodyForm>,
    /// The arguments: an object at its root, without a composition there; JSON Schema 2020-12.
    pub input: Value,
    /// Of a successful response: an object at its root, loosened; none when there is no JSON one.
    pub output: Option<Value>,
}

/// An argument with the parameter's name in the document.
#[derive(Debug)]
pub struct NamedArgument {
    pub wire_name: Box<str>,
    pub argument: Argument,
}

/// Reads a document, JSON or YAML, whichever it is.
pub fn read(text: &str) -> Document {
    // What begins so is JSON, and then JSON's stricter rules hold.
    let is_json = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']).starts_with('{');
    let root = if is_json { json::parse(text) } else { yaml::parse(text) };
    let document = root.and_then(|root| document::read(&root));
    document.unwrap_or_else(|problem| Document { problems: vec![problem], ..Document::default() })
}
