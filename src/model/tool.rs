//! Tools: what MCP lists of an operation, and how flat arguments become the operation's REST request.
//! Values only: config makes them (from OpenAPI or from TOML), `mcp` reads them.

use std::sync::Arc;

use ahash::AHashMap;
use http::{HeaderName, Method};

use super::api::{Effect, Operation};

mod changes;
mod schema;
pub mod search;

pub use changes::{Changes, Version};
pub use schema::Schema;
use search::{Document, Index};

/// All tools of one policy, in order of their names.
#[derive(Debug, Default)]
pub struct Catalogue {
    tools: Box<[Arc<Tool>]>,
    by_name: AHashMap<Box<str>, usize>,
    index: Index,
    /// The first 16 hex digits of the SHA-256 over all digests: which catalogue a cursor is of.
    pub digest: Box<str>,
}

impl Catalogue {
    /// `tools` have different names.
    pub fn new(mut tools: Vec<Arc<Tool>>, digest: Box<str>) -> Self {
        tools.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let by_name = tools.iter().enumerate().map(|(at, tool)| (tool.name.clone(), at)).collect();
        let paths: Vec<String> = tools.iter().map(|tool| tool.path_template()).collect();
        let documents = tools.iter().zip(&paths).map(|(tool, path)| tool.document(path));
        let index = Index::new(documents);
        Self { tools: tools.into(), by_name, index, digest }
    }

    pub fn tools(&self) -> &[Arc<Tool>] {
        &self.tools
    }

    pub fn get(&self, name: &str) -> Option<&Arc<Tool>> {
        self.tools.get(*self.by_name.get(name)?)
    }

    /// For searches: a hit's position is that of [`Self::tools`].
    pub const fn index(&self) -> &Index {
        &self.index
    }
}

/// One operation as a tool. Who may call it is the operation's to say.
#[derive(Debug)]
pub struct Tool {
    /// 1 to 64 of `a-z`, `0-9`, `_` and `-`.
    pub name: Box<str>,
    pub operation: Arc<Operation>,
    /// A host under which the operation is served; none: under any, so the caller's own.
    pub host: Option<Box<str>>,
    pub method: Method,
    /// The api's base path and the operation's template, in order.
    pub path: Box<[PathPart]>,
    /// In order of their names.
    pub arguments: Box<[Argument]>,
    /// None: the operation takes no body.
    pub body: Option<BodyForm>,
    /// The arguments' JSON Schema.
    pub input: Schema,
    /// Whether the definition says what results look like.
    pub output: Output,
    pub words: Words,
    /// The entry of `tools/list`, whole: one JSON object without line breaks, the same in every era.
    pub definition: Box<str>,
    /// The SHA-256 of the definition and of where a call goes, 64 hex digits.
    pub digest: Arc<str>,
}

/// What is said of a tool, plainly: what searches read and their answers quote.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Words {
    /// The summary, of its document.
    pub title: Option<Box<str>>,
    pub description: Box<str>,
    /// Of its document.
    pub tags: Box<[Box<str>]>,
}

impl Tool {
    fn document<'a>(&'a self, path: &'a str) -> Document<'a> {
        Document {
            tool: &self.name,
            operation: self.operation.id.as_str(),
            method: self.method.as_str(),
            path,
            summary: self.words.title.as_deref().unwrap_or_default(),
            description: &self.words.description,
            tags: &self.words.tags,
        }
    }

    /// What a call does, as its method promises.
    pub fn effect(&self) -> Effect {
        Effect::of(self.method.as_str())
    }

    /// `/payments/{id}`
    pub fn path_template(&self) -> String {
        let part = |part: &PathPart| match part {
            PathPart::Literal(text) => text.to_string(),
            PathPart::Argument(at) => {
                let name = self.arguments.get(*at).map_or("", |argument| &argument.name);
                format!("{{{name}}}")
            }
        };
        self.path.iter().map(part).collect()
    }
}

/// Whether a tool has an `outputSchema`. Clients then take no result without `structuredContent`, errors
/// aside.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Output {
    Told,
    Untold,
}

/// A piece of the path of a tool's request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PathPart {
    /// Canonical, with its slashes.
    Literal(Box<str>),
    /// The value of the argument at this position of [`Tool::arguments`], as one segment.
    Argument(usize),
}

/// One argument of a tool: a member of the flat object that a model sends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Argument {
    /// As models know it: 1 to 64 of `A-Z`, `a-z`, `0-9`, `_`, `.` and `-`.
    pub name: Box<str>,
    pub place: Place,
    pub need: Need,
    /// `Mcp-Param-NAME`: modern callers mirror the value in this field.
    pub mirrored: Option<Box<str>>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Need {
    Required,
    Optional,
}

/// Where an argument goes in the REST request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// A segment of the path.
    Path,
    /// A parameter of the query, by the name that the upstream knows.
    Query { name: Box<str>, style: Style },
    /// A field of the head. Never one that frames, routes or authenticates.
    Header { name: HeaderName, style: Style },
    /// A member of the body, by the name that the upstream knows.
    Member { name: Box<str> },
    /// The body itself.
    Body,
    /// Parameters of the query by their names, of an operation that describes none: an object whose
    /// members are strings, numbers or booleans.
    AnyQuery,
}

/// How arrays and objects are written in a query or a field (OpenAPI 3.1, 4.8.12).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Style {
    /// `a=1&a=2`; objects `x=1&y=2`.
    FormExploded,
    /// `a=1,2`; objects `a=x,1,y,2`.
    Form,
    /// `a=1 2`.
    SpaceDelimited,
    /// `a=1|2`.
    PipeDelimited,
    /// `a[x]=1&a[y]=2`.
    DeepObject,
    /// Of fields: `1,2`; objects `x,1,y,2`.
    Simple,
    /// Of fields: objects `x=1,y=2`.
    SimpleExploded,
    /// The value's JSON text.
    Json,
}

/// How a body is written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum BodyForm {
    /// JSON: of the members, or of the argument that is the body.
    Json { content_type: Box<str> },
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `multipart/form-data`: the members named here are base64 and sent as files.
    Multipart { files: Box<[Box<str>]> },
    /// The argument is a string and sent as it is.
    Text { content_type: Box<str> },
    /// The argument is base64, and its bytes are sent.
    Binary { content_type: Box<str> },
}
