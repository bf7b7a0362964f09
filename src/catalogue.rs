//! From operations to the tools that agents are shown, pure: which operations can be tools, their names,
//! their arguments where no document describes them, and the entry of `tools/list`, written once. It
//! knows no config file, and nobody who calls.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::Method;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::model::api::{BasePath, Methods, Operation};
use crate::model::hex;
use crate::model::shape::answer::Answered;
use crate::model::template::{Segment, Template};
use crate::model::tool::{
    Argument, BodyForm, Catalogue, Output, PathPart, Place, Schema, Tool, Words,
};
use crate::openapi::Form;

mod definition;
mod names;
mod plain;

pub use names::NAME_BYTES_MAX;

/// An operation that shall be a tool, with what is said of it.
#[derive(Debug)]
pub struct Offer {
    pub operation: Arc<Operation>,
    pub base_path: BasePath,
    /// None: any, so the caller's own.
    pub host: Option<Box<str>>,
    pub source: Source,
    /// What the config's `tool` says.
    pub name: Option<Box<str>>,
    pub description: Option<Box<str>>,
}

/// Where an operation's arguments are known from.
#[derive(Debug)]
pub enum Source {
    /// From its document; none where the document cannot tell them.
    Document(Option<Form>),
    /// From method and path.
    Config,
}

/// Why an operation is no tool.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoTool {
    SeveralMethods,
    /// OPTIONS, which asks about a path and does nothing.
    Options,
    /// Its path has a tail, which no argument can be.
    Tail,
    /// The gate answers with a redirect, which is not followed.
    Redirect,
    /// Its document does not tell its arguments.
    NotDescribed,
}

impl NoTool {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SeveralMethods => "it has more than one method",
            Self::Options => "OPTIONS only asks about a path",
            Self::Tail => "its path has a tail",
            Self::Redirect => "it is a redirect",
            Self::NotDescribed => "its document does not tell its arguments",
        }
    }
}

impl Offer {
    /// Why it can be none, whatever it is called.
    pub fn refused(&self) -> Option<NoTool> {
        self.method().err()
    }

    fn method(&self) -> Result<Method, NoTool> {
        let Operation { methods, template, shape, .. } = &*self.operation;
        let Methods::Listed(listed) = methods else { return Err(NoTool::SeveralMethods) };
        let [method] = &**listed else { return Err(NoTool::SeveralMethods) };
        if &**method == "OPTIONS" {
            return Err(NoTool::Options);
        }
        if template.segments.iter().any(|segment| matches!(segment, Segment::Tail(_))) {
            return Err(NoTool::Tail);
        }
        let answer = shape.as_ref().and_then(|shape| shape.answer.as_ref());
        if matches!(answer, Some(Answered::Redirect { .. })) {
            return Err(NoTool::Redirect);
        }
        if matches!(self.source, Source::Document(None)) {
            return Err(NoTool::NotDescribed);
        }
        Method::from_bytes(method.as_bytes()).map_err(|_| NoTool::SeveralMethods)
    }
}

/// What is said of a tool, from whichever source.
struct Said {
    title: Option<Box<str>>,
    description: Box<str>,
    tags: Box<[Box<str>]>,
    arguments: Vec<(Box<str>, Argument)>,
    body: Option<BodyForm>,
    input: Value,
    output: Option<Value>,
}

/// The tools of all offers that can be tools. Names do not depend on the order of the offers.
pub fn catalogue(offers: Vec<Offer>) -> Catalogue {
    let offers = offers.into_iter().filter_map(|offer| Some((offer.method().ok()?, offer)));
    let offers: Vec<_> = offers.collect();
    let named = |(_, offer): &(Method, Offer)| names::Wanted {
        operation: offer.operation.id.clone(),
        name: offer.name.clone(),
    };
    let assigned = names::assign(&offers.iter().map(named).collect::<Vec<_>>());
    let mut tools: BTreeMap<Box<str>, Arc<Tool>> = BTreeMap::new();
    for ((method, offer), name) in offers.into_iter().zip(assigned) {
        if let Some(tool) = tool(method, offer, name) {
            tools.entry(tool.name.clone()).or_insert_with(|| Arc::new(tool));
        }
    }
    let mut hash = Sha256::new();
    for tool in tools.values() {
        hash.update(tool.digest.as_bytes());
        // What searches are told of names it.
        hash.update(tool.operation.api.name.as_str());
    }
    let digest = hex(&hash.finalize(), 8);
    Catalogue::new(tools.into_values().collect(), digest.into())
}

/// None: the path has a parameter that no argument is for.
fn tool(method: Method, offer: Offer, name: Box<str>) -> Option<Tool> {
    let Offer { operation, base_path, host, source, description, .. } = offer;
    let mut said = match source {
        Source::Document(form) => of_form(form?),
        Source::Config => plain::said(&method, &base_path, &operation.template),
    };
    said.description = description.unwrap_or(said.description);
    said.arguments.sort_by(|(_, a), (_, b)| a.name.cmp(&b.name));
    let path = path(&base_path, &operation.template, &said.arguments)?;
    let definition = definition::definition(&name, &method, &said);
    let mapping = mapping(&method, &operation.template, &base_path, &said);
    let digest = Sha256::new().chain_update(&definition).chain_update(mapping).finalize();
    let digest = hex(&digest, 32);
    let Said { title, description, tags, arguments, body, input, output } = said;
    Some(Tool {
        name,
        operation,
        host,
        method,
        path,
        arguments: arguments.into_iter().map(|(_, argument)| argument).collect(),
        body,
        input: Schema::new(input),
        output: if output.is_some() { Output::Told } else { Output::Untold },
        words: Words { title, description, tags },
        definition: definition.into(),
        digest: digest.into(),
    })
}

/// Where a call goes, as text. A client is not shown it, and what it agreed to is another thing with another
/// one. No name holds a line break.
fn mapping(method: &Method, template: &Template, base: &BasePath, said: &Said) -> String {
    let mut text = format!("\n{method} {}{template}", base.as_prefix());
    for (wire_name, Argument { name, place, mirrored, .. }) in &said.arguments {
        let place = match place {
            Place::Path => format!("path {wire_name:?}"),
            Place::Query { name, style } => format!("query {name:?} {style:?}"),
            Place::Header { name, style } => format!("header {name} {style:?}"),
            Place::Member { name } => format!("member {name:?}"),
            Place::Body => "body".to_owned(),
            Place::AnyQuery => "any query".to_owned(),
        };
        text += &format!("\n{name} {place} {}", mirrored.as_deref().unwrap_or_default());
    }
    let body = match &said.body {
        None => String::new(),
        Some(BodyForm::Json { content_type }) => format!("json {content_type}"),
        Some(BodyForm::Form) => "form".to_owned(),
        Some(BodyForm::Multipart { files }) => format!("multipart {files:?}"),
        Some(BodyForm::Text { content_type }) => format!("text {content_type}"),
        Some(BodyForm::Binary { content_type }) => format!("binary {content_type}"),
    };
    text + "\n" + &body
}

fn of_form(form: Form) -> Said {
    let Form { title, description, tags, arguments, body, input, output } = form;
    let arguments = arguments.into_iter().map(|named| (named.wire_name, named.argument)).collect();
    Said { title, description, tags, arguments, body, input, output }
}

fn path(
    base: &BasePath,
    template: &Template,
    arguments: &[(Box<str>, Argument)],
) -> Option<Box<[PathPart]>> {
    let mut parts = Vec::new();
    let mut literal = base.as_prefix().to_owned();
    for segment in &template.segments {
        literal.push('/');
        match segment {
            Segment::Literal(text) => literal.push_str(text),
            Segment::Parameter(name) => {
                let is_it = |(wire_name, argument): &(Box<str>, Argument)| {
                    argument.place == Place::Path && wire_name == name
                };
                let at = arguments.iter().position(is_it)?;
                parts.push(PathPart::Literal(std::mem::take(&mut literal).into()));
                parts.push(PathPart::Argument(at));
            }
            Segment::Tail(_) => return None,
        }
    }
    if parts.is_empty() && literal.is_empty() {
        literal.push('/');
    }
    if !literal.is_empty() {
        parts.push(PathPart::Literal(literal.into()));
    }
    Some(parts.into())
}

/// The first bytes of a hash, as digits.
fn hex(bytes: &[u8], count: usize) -> String {
    let mut digits = vec![0; count * 2];
    hex::write(bytes, &mut digits);
    String::from_utf8(digits).unwrap_or_default()
}

#[cfg(test)]
mod tests;
