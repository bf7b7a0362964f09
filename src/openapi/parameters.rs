//! Parameters of an operation as drafts of arguments: which there are, how each is written, and which no
//! model may set.

use http::HeaderName;
use serde_json::{Value, json};

use crate::model::tool::{Need, Place, Style};

use super::draft::{Draft, Unfit};
use super::exploded;
use super::names::{self, Tag};
use super::node::{Map, Node};
use super::pointer;
use super::schema::{TooLarge, Translator, any, keyword};
use super::security::Hidden;
use super::text::{self, quoted};

/// A parameter of an operation, its reference followed.
#[derive(Clone, Copy, Debug)]
pub struct Parameter<'d> {
    pub node: &'d Node,
    pub name: &'d str,
    pub place: &'d str,
}

impl Parameter<'_> {
    fn is(&self, other: &Self) -> bool {
        let same = match self.place {
            "header" => self.name.eq_ignore_ascii_case(other.name),
            _ => self.name == other.name,
        };
        same && self.place == other.place
    }
}

/// The parameters of a path item and of its operation, the latter first where both have one. What cannot be
/// read goes to `problems`.
pub fn collect<'d>(
    root: &'d Node,
    lists: [Option<&'d Node>; 2],
    problems: &mut Vec<(&'d Node, String)>,
) -> Vec<Parameter<'d>> {
    let mut parameters: Vec<Parameter<'d>> = Vec::new();
    for list in lists.into_iter().flatten() {
        let from = parameters.len();
        let Some(list) = list.as_list() else {
            problems.push((list, format!("`parameters` is {}", list.what())));
            continue;
        };
        for node in list {
            let parameter = match pointer::follow(root, node) {
                Ok(target) => read(target),
                Err(dangling) => {
                    problems.push((node, format!("the parameter's `$ref` {}", dangling.as_str())));
                    continue;
                }
            };
            let Some(parameter) = parameter else {
                problems.push((node, "a parameter lacks its `name` or its `in`".into()));
                continue;
            };
            let (outer, own) = parameters.split_at(from);
            if own.iter().any(|known| known.is(&parameter)) {
                problems
                    .push((node, format!("the parameter {} stands twice", quoted(parameter.name))));
            } else if !outer.iter().any(|known| known.is(&parameter)) {
                parameters.push(parameter);
            }
        }
    }
    parameters
}

fn read(node: &Node) -> Option<Parameter<'_>> {
    Some(Parameter { node, name: node.text("name")?, place: node.text("in")? })
}

/// What becomes of one parameter.
enum Fate<'d> {
    Drafted(Draft<'d>),
    /// The gate's or the credential's to set.
    Hidden,
    /// No argument can be made of it.
    Unsupported(&'static str),
}

/// An argument for each parameter that can have one. A required one that cannot leaves the operation
/// without a form.
pub fn drafts<'d>(
    translator: &mut Translator<'d>,
    parameters: &[Parameter<'d>],
    hidden: &Hidden,
) -> Result<Vec<Draft<'d>>, Unfit> {
    let mut drafts = Vec::new();
    for parameter in parameters {
        let required = parameter.node.get("required").is_some_and(Node::is_true);
        match fate(translator, parameter, hidden)? {
            Fate::Drafted(mut draft) => {
                if required || draft.place == Place::Path {
                    draft.need = Need::Required;
                }
                drafts.push(draft);
            }
            Fate::Hidden => {}
            Fate::Unsupported(why) => {
                let named =
                    format!("the {} parameter {} {why}", parameter.place, quoted(parameter.name));
                if required || parameter.place == "path" {
                    return Err(Unfit::because(translator, parameter.node, &named));
                }
                translator.warn(
                    parameter.node,
                    &named,
                    "describe it otherwise: until then it is left out",
                );
            }
        }
    }
    Ok(drafts)
}

fn fate<'d>(
    translator: &mut Translator<'d>,
    parameter: &Parameter<'d>,
    hidden: &Hidden,
) -> Result<Fate<'d>, TooLarge> {
    let Parameter { node, name, place } = *parameter;
    let is_required = node.get("required").is_some_and(Node::is_true);
    match place {
        "query" if hidden.has_query(name) => return Ok(Fate::Hidden),
        "header" if hidden.has_field(name) && is_required && !hidden.is_filled(name) => {
            return Ok(Fate::Unsupported("is not a model's to set, and nobody else sets it"));
        }
        "header" if hidden.has_field(name) => return Ok(Fate::Hidden),
        _ => {}
    }
    let style = match style(translator, parameter) {
        Ok(style) => style,
        Err(why) => return Ok(Fate::Unsupported(why)),
    };
    let (tag, place) = match place {
        "path" => (Tag::Path, Place::Path),
        "query" => (Tag::Query, Place::Query { name: name.into(), style }),
        "header" => match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) => (Tag::Header, Place::Header { name, style }),
            Err(_) => return Ok(Fate::Unsupported("has a name that no field may have")),
        },
        "cookie" => return Ok(Fate::Unsupported("is a cookie's")),
        _ => return Ok(Fate::Unsupported("has a place that is not known")),
    };
    let mut schema = match schema_node(parameter) {
        Some(schema) => translator.translate(schema)?,
        None => any(),
    };
    if tag == Tag::Query && style == Style::FormExploded && !exploded::close(&mut schema, hidden) {
        return Ok(Fate::Unsupported("is an object whose members are not told, each a parameter"));
    }
    describe(&mut schema, node);
    let mut draft = Draft::new(tag, name, place, schema);
    if tag == Tag::Path {
        draft.wire_name = names::path_parameter(name).into();
    }
    draft.mirror(translator, node.get("x-mcp-header"), node);
    Ok(Fate::Drafted(draft))
}

fn schema_node<'d>(parameter: &Parameter<'d>) -> Option<&'d Node> {
    match parameter.node.get("content") {
        Some(content) => content.as_map()?.entries().first()?.value.get("schema"),
        None => parameter.node.get("schema"),
    }
}

/// How a parameter is written (OpenAPI 3.1, 4.8.12).
fn style(translator: &Translator<'_>, parameter: &Parameter<'_>) -> Result<Style, &'static str> {
    let kind = kind(translator, parameter);
    let is_scalar = !matches!(kind, Some("array" | "object"));
    if let Some(content) = parameter.node.get("content") {
        let media = content.as_map().map_or(&[][..], Map::entries).first();
        let is_json = media.is_some_and(|media| super::media::is_json(&media.key));
        return match (is_json, parameter.place) {
            (true, "query" | "header") => Ok(Style::Json),
            _ => Err("has content that is not JSON, or is no query's or field's"),
        };
    }
    let default = if matches!(parameter.place, "query" | "cookie") { "form" } else { "simple" };
    let style = parameter.node.get("style").map_or(Some(default), Node::as_text);
    let explode = parameter.node.get("explode").map_or(style == Some("form"), Node::is_true);
    match (parameter.place, style.unwrap_or_default()) {
        ("path", "simple") if is_scalar => Ok(Style::Simple),
        ("path", "simple") => Err("is a list or an object in a path"),
        ("header", "simple") if explode => Ok(Style::SimpleExploded),
        ("header", "simple") => Ok(Style::Simple),
        ("query", "form") if explode => Ok(Style::FormExploded),
        ("query", "form") => Ok(Style::Form),
        // Of lists, the same as exploded forms; of values alone there is nothing to delimit.
        ("query", "spaceDelimited" | "pipeDelimited") if explode || is_scalar => {
            Ok(Style::FormExploded)
        }
        ("query", "spaceDelimited") => Ok(Style::SpaceDelimited),
        ("query", "pipeDelimited") => Ok(Style::PipeDelimited),
        ("query", "deepObject") if kind == Some("object") => Ok(Style::DeepObject),
        ("cookie", _) => Err("is a cookie's"),
        _ => Err("is written in a style that is not supported here"),
    }
}

/// The type that the schema names, or that its keywords show.
fn kind<'d>(translator: &Translator<'d>, parameter: &Parameter<'d>) -> Option<&'d str> {
    let schema = pointer::follow(translator.root, schema_node(parameter)?).ok()?;
    let Some(kinds) = schema.get("type") else {
        return schema.get("properties").map(|_| "object");
    };
    let listed = || kinds.as_list()?.iter().filter_map(Node::as_text).find(|kind| *kind != "null");
    kinds.as_text().or_else(listed)
}

/// The parameter's own words come before its schema's.
fn describe(schema: &mut Value, node: &Node) {
    let Some(schema) = schema.as_object_mut() else { return };
    if let Some(words) = node.text("description") {
        let words = text::clean(words, text::PART_CHARS_MAX);
        if !words.is_empty() {
            schema.insert("description".into(), words.into());
        }
    }
    if node.get("deprecated").is_some_and(Node::is_true) {
        schema.insert("deprecated".into(), true.into());
    }
    let example = node.get("example").filter(|_| schema.get("examples").is_none());
    if let Some(example) =
        example.filter(|example| !keyword::is_deep(example, keyword::LITERAL_DEPTH_MAX))
    {
        let example = text::clean_value(example.to_json());
        if example.to_string().len() <= text::PART_CHARS_MAX {
            schema.insert("examples".into(), json!([example]));
        }
    }
}

/// The argument of a parameter of the path that nobody declared.
pub fn undeclared(wire: &str) -> Draft<'_> {
    let mut draft = Draft::new(Tag::Path, wire, Place::Path, json!({ "type": "string" }));
    draft.wire_name = names::path_parameter(wire).into();
    draft.need = Need::Required;
    draft
}
