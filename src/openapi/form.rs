//! What a model is told of an operation: its arguments with their names, in one flat object.

use serde_json::{Map as Object, Value, json};

use crate::model::tool::Need;

use super::body::{self, Body};
use super::draft::{Draft, Unfit};
use super::names;
use super::node::Node;
use super::parameters::{self, Parameter};
use super::schema::{Direction, Patterns, Translator, Version};
use super::security::Hidden;
use super::{Form, NamedArgument, Problem, TAGS_MAX, output, text};

/// Bytes of the schema of one tool's arguments.
const INPUT_BYTES_MAX: usize = 256 * 1024;
/// References within references that are put in place, and bytes that may come of it: what is tried, one
/// after the other. Models pay for every byte, so only what is shallow may be long.
const INPUT: [(usize, usize); 4] =
    [(16, 12 * 1024), (4, 16 * 1024), (2, 32 * 1024), (1, INPUT_BYTES_MAX)];
const OUTPUT: [(usize, usize); 3] = [(6, 6 * 1024), (2, 12 * 1024), (1, 64 * 1024)];

/// An operation as the document has it.
#[derive(Debug)]
pub struct Told<'d> {
    pub root: &'d Node,
    pub version: Version,
    /// `GET /payments`
    pub name: &'d str,
    pub node: &'d Node,
    pub parameters: &'d [Parameter<'d>],
    /// Parameters of the path that nobody declared.
    pub undeclared: &'d [&'d str],
    pub hidden: &'d Hidden,
    pub patterns: &'d Patterns,
    /// Whether a request of this method carries a body.
    pub takes_body: bool,
}

impl Told<'_> {
    /// None when it cannot be told; `problems` say why. `work_left` is what all operations share.
    pub fn form(&self, problems: &mut Vec<Problem>, work_left: &mut usize) -> Option<Form> {
        let mut form = self.largest(&INPUT, problems, work_left, |told, refs, bytes| {
            let mut translator = told.translator(Direction::Request, refs, bytes);
            let form = told.arguments(&mut translator);
            (form, translator)
        })?;
        if let Some(responses) = self.node.get("responses") {
            // A result that is not told costs nothing but the telling.
            let output = self.largest(&OUTPUT, &mut Vec::new(), work_left, |told, refs, bytes| {
                let mut translator = told.translator(Direction::Response, refs, bytes);
                let output = output::read(&mut translator, responses).map_err(Unfit::from);
                (output, translator)
            });
            form.output = output.flatten();
        }
        Some(form)
    }

    /// The first of the attempts, each less deep than the one before, that is within its bound.
    fn largest<'t, T>(
        &'t self,
        attempts: &[(usize, usize)],
        problems: &mut Vec<Problem>,
        work_left: &mut usize,
        attempt: impl Fn(&'t Self, usize, usize) -> (Result<T, Unfit>, Translator<'t>),
    ) -> Option<T> {
        for (refs, bytes_max) in attempts {
            let bytes = *bytes_max.min(work_left);
            let (made, translator) = attempt(self, *refs, bytes);
            *work_left = work_left.saturating_sub(bytes - translator.bytes_left.min(bytes));
            match made {
                Ok(made) => {
                    problems.extend(translator.problems);
                    return Some(made);
                }
                Err(Unfit::Told) => {
                    problems.extend(translator.problems);
                    return None;
                }
                Err(Unfit::TooLarge) => {}
            }
        }
        let message = format!("{}: it has no tool: its schemas are too large", self.name);
        problems.push(Problem::warning(
            &self.node.at,
            message,
            "describe less; REST callers can call it as it is",
        ));
        None
    }

    fn translator(&self, direction: Direction, refs: usize, bytes: usize) -> Translator<'_> {
        let mut translator = Translator::new(self.root, self.version, direction, self.name);
        (translator.refs_max, translator.bytes_left) = (refs, bytes);
        translator.patterns = Some(self.patterns);
        translator
    }

    fn arguments<'t>(&'t self, translator: &mut Translator<'t>) -> Result<Form, Unfit> {
        let mut drafts = parameters::drafts(translator, self.parameters, self.hidden)?;
        drafts.extend(self.undeclared.iter().map(|wire| parameters::undeclared(wire)));
        let taken: Vec<String> = drafts.iter().map(|draft| names::argument(draft.name)).collect();
        let mut body = Body::default();
        if let Some(request) = self.node.get("requestBody") {
            if self.takes_body {
                body = body::read(translator, request, &taken)?;
            } else if body::is_empty(self.root, request) {
                // Some generators write an empty form everywhere.
            } else if request.get("required").is_some_and(Node::is_true) {
                return Err(Unfit::because(
                    translator,
                    request,
                    "a body has no meaning with its method",
                ));
            } else {
                translator.warn(request, "a body has no meaning with its method", "leave it out");
            }
        }
        drafts.append(&mut body.drafts);
        mirror_once(translator, &mut drafts, self.node);
        let wires: Vec<_> = drafts.iter().map(|draft| (draft.tag, draft.name)).collect();
        let Some(names) = names::arguments(&wires) else {
            return Err(Unfit::because(
                translator,
                self.node,
                "its arguments' names cannot be told apart",
            ));
        };
        let input = input(body.root, &names, &drafts);
        if input.to_string().len() > INPUT_BYTES_MAX {
            return Err(Unfit::TooLarge);
        }
        let arguments = names.into_iter().zip(drafts).map(|(name, draft)| {
            let (wire_name, argument) = draft.into_argument(name);
            NamedArgument { wire_name, argument }
        });
        let mut arguments: Vec<NamedArgument> = arguments.collect();
        arguments.sort_by(|a, b| a.argument.name.cmp(&b.argument.name));
        let (title, description) = self.words();
        let (tags, body) = (self.tags(), body.form);
        Ok(Form { title, description, tags, arguments, body, input, output: None })
    }

    /// Title and description.
    fn words(&self) -> (Option<Box<str>>, Box<str>) {
        let cleaned = |key, max| {
            let words = self.node.text(key).map(|words| text::clean(words, max));
            words.filter(|words| !words.is_empty())
        };
        let title = cleaned("summary", text::TITLE_CHARS_MAX).map(|title| title.replace('\n', " "));
        let summary = cleaned("summary", text::WHOLE_CHARS_MAX);
        let description = match (summary, cleaned("description", text::WHOLE_CHARS_MAX)) {
            (Some(summary), Some(more)) if more.starts_with(&summary) => more,
            (Some(summary), Some(more)) => {
                text::clean(&format!("{summary}\n\n{more}"), text::WHOLE_CHARS_MAX)
            }
            (Some(words), None) | (None, Some(words)) => words,
            (None, None) => text::clean(self.name, text::WHOLE_CHARS_MAX),
        };
        let is_deprecated = self.node.get("deprecated").is_some_and(Node::is_true);
        let description =
            if is_deprecated { format!("Deprecated. {description}") } else { description };
        (title.map(Into::into), description.into())
    }

    fn tags(&self) -> Box<[Box<str>]> {
        let tags = self.node.get("tags").and_then(Node::as_list).unwrap_or_default();
        let tags = tags.iter().filter_map(Node::as_text);
        let tags = tags.map(|tag| text::clean(tag, text::TITLE_CHARS_MAX).into_boxed_str());
        tags.filter(|tag| !tag.is_empty()).take(TAGS_MAX).collect()
    }
}

/// Names of fields are the same in any case: an argument whose name another has too is not mirrored, and
/// neither is the other.
fn mirror_once(translator: &mut Translator<'_>, drafts: &mut [Draft<'_>], node: &Node) {
    let mirrored = drafts.iter().filter_map(|draft| draft.mirrored.as_ref());
    let lower: Vec<String> = mirrored.map(|name| name.to_ascii_lowercase()).collect();
    let twice =
        |name: &str| lower.iter().filter(|known| known.eq_ignore_ascii_case(name)).count() > 1;
    let mut dropped = false;
    for draft in
        drafts.iter_mut().filter(|draft| draft.mirrored.as_ref().is_some_and(|name| twice(name)))
    {
        draft.unmirror();
        dropped = true;
    }
    if dropped {
        translator.warn(node, "two arguments have one `x-mcp-header`", "keep one of the two");
    }
}

fn input(mut root: Object<String, Value>, names: &[String], drafts: &[Draft<'_>]) -> Value {
    let pairs = || names.iter().zip(drafts);
    let properties: Object<String, Value> =
        pairs().map(|(name, draft)| (name.clone(), draft.schema.clone())).collect();
    let required = pairs().filter(|(_, draft)| draft.need == Need::Required);
    let mut required: Vec<&str> = required.map(|(name, _)| name.as_str()).collect();
    required.sort_unstable();
    root.insert("type".into(), "object".into());
    root.insert("properties".into(), properties.into());
    if !required.is_empty() {
        root.insert("required".into(), json!(required));
    }
    root.insert("additionalProperties".into(), false.into());
    Value::Object(root)
}
