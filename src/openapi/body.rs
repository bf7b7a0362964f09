//! The body of an operation: which of its media types a tool sends, and whether its members are arguments or
//! it is one.

use serde_json::{Map as Object, Value, json};

use crate::model::tool::{BodyForm, Need, Place};

use super::draft::{Draft, Unfit};
use super::media;
use super::names::{self, Tag};
use super::node::{Content, Map, Node};
use super::pointer;
use super::schema::{Translator, any};
use super::text::{self, quoted};

/// Members that become arguments.
const MEMBERS_MAX: usize = 256;
/// Keywords at a body's root that members alone cannot keep.
const OF_THE_WHOLE: [&str; 15] = [
    "$ref",
    "$dynamicRef",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "patternProperties",
    "dependentSchemas",
    "propertyNames",
    "unevaluatedProperties",
    "enum",
    "const",
];

#[derive(Debug, Default)]
pub struct Body<'d> {
    pub form: Option<BodyForm>,
    pub drafts: Vec<Draft<'d>>,
    /// `$schema` and `$defs`, which stay at the root.
    pub root: Object<String, Value>,
}

/// `taken`: the names of arguments that are no body's.
pub fn read<'d>(
    translator: &mut Translator<'d>,
    request: &'d Node,
    taken: &[String],
) -> Result<Body<'d>, Unfit> {
    let request = match pointer::follow(translator.root, request) {
        Ok(request) => request,
        Err(dangling) => {
            let why = format!("its body's `$ref` {}", dangling.as_str());
            return Err(Unfit::because(translator, request, &why));
        }
    };
    let Some((media, described)) = chosen(request) else {
        return Err(Unfit::because(translator, request, "its body has no content"));
    };
    let required = request.get("required").is_some_and(Node::is_true);
    let need = if required { Need::Required } else { Need::Optional };
    let whole = Whole { request, media, described, need };
    let object = Members::of(translator.root, described.get("schema"));
    match Sort::of(media) {
        Sort::Json | Sort::OtherJson | Sort::Any | Sort::JsonPatch => {
            let form =
                BodyForm::Json { content_type: media::content_type(media, "application/json") };
            match object.filter(|members| members.is_apart(translator, taken)) {
                Some(members) => members.read(translator, form),
                None => whole.read(translator, form),
            }
        }
        sort @ (Sort::Form | Sort::Multipart) => {
            if is_memberless(translator.root, described.get("schema")) {
                return Ok(Body::default());
            }
            let Some(mut members) = object else {
                let why = "its form is no plain object";
                return Err(Unfit::because(translator, described, why));
            };
            members.leave_out(translator, described, sort)?;
            let form = if sort == Sort::Multipart {
                BodyForm::Multipart { files: members.files(translator, described) }
            } else {
                BodyForm::Form
            };
            members.read(translator, form)
        }
        Sort::Text => {
            let content_type = media::content_type(media, "text/plain");
            Ok(whole.text(BodyForm::Text { content_type }, json!({ "type": "string" })))
        }
        Sort::Binary => {
            let content_type = media::content_type(media, "application/octet-stream");
            let schema = json!({ "type": "string", "contentEncoding": "base64" });
            Ok(whole.text(BodyForm::Binary { content_type }, schema))
        }
    }
}

/// Whether a request's body is a form without members, which is none.
pub fn is_empty(root: &Node, request: &Node) -> bool {
    let chosen = pointer::follow(root, request).ok().and_then(chosen);
    chosen.is_some_and(|(media, described)| {
        matches!(Sort::of(media), Sort::Form | Sort::Multipart)
            && is_memberless(root, described.get("schema"))
    })
}

fn is_memberless(root: &Node, schema: Option<&Node>) -> bool {
    let Some(schema) = schema else { return true };
    let Some(map) = pointer::follow(root, schema).ok().and_then(Node::as_map) else { return false };
    let has_none = map.get("properties").is_none_or(|properties| {
        properties.as_map().is_none_or(|properties| properties.entries().is_empty())
    });
    let is_map = map.get("additionalProperties").is_some_and(|node| node.as_map().is_some());
    let is_object = map.get("type").is_none_or(|kind| kind.as_text() == Some("object"));
    has_none && is_object && !is_map && !OF_THE_WHOLE.iter().any(|word| map.get(word).is_some())
}

/// The media type that is sent, and what is said of it.
fn chosen(request: &Node) -> Option<(&str, &Node)> {
    let content = request.get("content").and_then(Node::as_map).map_or(&[][..], Map::entries);
    let least = content.iter().min_by_key(|entry| Sort::of(&entry.key));
    least.map(|entry| (&*entry.key, &entry.value))
}

/// What bodies are by their media types. Of several the least is sent.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Sort {
    Json,
    OtherJson,
    /// A range that JSON is of.
    Any,
    /// A list of changes, which is harder to write than what they come to.
    JsonPatch,
    Form,
    Multipart,
    Text,
    Binary,
}

impl Sort {
    fn of(media: &str) -> Self {
        match media::essence(media).as_str() {
            "application/json" => Self::Json,
            "application/x-www-form-urlencoded" => Self::Form,
            "multipart/form-data" => Self::Multipart,
            "*/*" | "application/*" => Self::Any,
            "application/json-patch+json" => Self::JsonPatch,
            _ if media::is_json(media) => Self::OtherJson,
            "application/xml" => Self::Text,
            essence if essence.starts_with("text/") || essence.ends_with("+xml") => Self::Text,
            _ => Self::Binary,
        }
    }
}

/// A body that is one argument.
struct Whole<'d> {
    request: &'d Node,
    media: &'d str,
    described: &'d Node,
    need: Need,
}

impl<'d> Whole<'d> {
    fn read(&self, translator: &mut Translator<'d>, form: BodyForm) -> Result<Body<'d>, Unfit> {
        let schema = self.described.get("schema").map(|schema| translator.translate(schema));
        let mut body = self.text(form, schema.transpose()?.unwrap_or_else(any));
        for draft in &mut body.drafts {
            draft.mirror(translator, None, self.request);
        }
        Ok(body)
    }

    fn text(&self, form: BodyForm, mut schema: Value) -> Body<'d> {
        let words = self.request.text("description");
        let words = words.map(|words| text::clean(words, text::PART_CHARS_MAX)).unwrap_or_default();
        if let Some(schema) = schema.as_object_mut() {
            if !words.is_empty() {
                schema.insert("description".into(), words.into());
            } else if schema.get("description").is_none() {
                let words = format!("The body, {}.", text::clean(self.media, 100));
                schema.insert("description".into(), words.into());
            }
        }
        let mut draft = Draft::new(Tag::Body, "body", Place::Body, schema);
        draft.need = self.need;
        Body { form: Some(form), drafts: vec![draft], root: Object::new() }
    }
}

/// A body whose members are arguments.
struct Members<'d> {
    schema: &'d Node,
    /// Name, schema, and whether it is required.
    members: Vec<(&'d str, &'d Node, Need)>,
}

impl<'d> Members<'d> {
    /// None when the schema is not an object that its members tell in full.
    fn of(root: &'d Node, schema: Option<&'d Node>) -> Option<Self> {
        let mut members = Self { schema: schema?, members: Vec::new() };
        members.schema = pointer::follow(root, members.schema).ok()?;
        let mut required = Vec::new();
        members.add(root, members.schema, 0, &mut required)?;
        let is_merged = members.schema.get("allOf").is_some();
        for name in required {
            let member = members.members.iter_mut().find(|(member, ..)| *member == name);
            match member {
                Some((.., need)) => *need = Need::Required,
                // Required, and not told: an argument of its own would be a guess.
                None if !is_merged => return None,
                None => {}
            }
        }
        let fits = (1..=MEMBERS_MAX).contains(&members.members.len());
        fits.then_some(members)
    }

    /// A plain object, or an `allOf` of such.
    fn add(
        &mut self,
        root: &'d Node,
        schema: &'d Node,
        depth: usize,
        required: &mut Vec<&'d str>,
    ) -> Option<()> {
        let schema = pointer::follow(root, schema).ok()?;
        let map = schema.as_map().filter(|_| depth < 8)?;
        let composed = |word: &str| word != "allOf" && map.get(word).is_some();
        let is_object = map.get("type").is_none_or(|kind| kind.as_text() == Some("object"));
        let is_map = map.get("additionalProperties").is_some_and(|node| node.as_map().is_some());
        let nullable = map.get("nullable").is_some_and(Node::is_true);
        if OF_THE_WHOLE.iter().any(|word| composed(word)) || !is_object || is_map || nullable {
            return None;
        }
        for part in map.get("allOf").map_or(Some(&[][..]), Node::as_list)? {
            self.add(root, part, depth + 1, required)?;
        }
        let properties = map.get("properties").and_then(Node::as_map).map_or(&[][..], Map::entries);
        for entry in properties {
            if self.members.iter().any(|(name, ..)| *name == &*entry.key) {
                return None;
            }
            self.members.push((&entry.key, &entry.value, Need::Optional));
        }
        // Of another part's members too: whose they are is asked when all are there.
        let names = map.get("required").and_then(Node::as_list).unwrap_or_default();
        required.extend(names.iter().filter_map(Node::as_text));
        Some(())
    }

    /// Whether every member can have its own name.
    fn is_apart(&self, translator: &Translator<'d>, taken: &[String]) -> bool {
        let mut names: Vec<String> =
            self.going(translator).map(|(name, ..)| names::argument(name)).collect();
        let all = names.len();
        let free = !names.iter().any(|name| taken.contains(name));
        names.sort_unstable();
        names.dedup();
        free && names.len() == all && all > 0
    }

    fn going(
        &self,
        translator: &Translator<'d>,
    ) -> impl Iterator<Item = &(&'d str, &'d Node, Need)> {
        self.members.iter().filter(|(_, node, _)| translator.goes(node))
    }

    fn read(self, translator: &mut Translator<'d>, form: BodyForm) -> Result<Body<'d>, Unfit> {
        let root = translator.keep(self.schema)?;
        let going: Vec<_> = self.going(translator).copied().collect();
        let mut drafts = Vec::with_capacity(going.len());
        for (name, node, need) in going {
            let schema = match node.content {
                Content::Bool(_) => any(),
                Content::Null
                | Content::Number(_)
                | Content::Text(_)
                | Content::List(_)
                | Content::Map(_) => translator.translate(node)?,
            };
            let mut draft =
                Draft::new(Tag::Body, name, Place::Member { name: name.into() }, schema);
            draft.need = need;
            draft.mirror(translator, None, node);
            drafts.push(draft);
        }
        Ok(Body { form: Some(form), drafts, root })
    }

    /// Takes out what no form can be written of.
    fn leave_out(
        &mut self,
        translator: &mut Translator<'d>,
        described: &'d Node,
        sort: Sort,
    ) -> Result<(), Unfit> {
        let mut left_out = Vec::new();
        for (name, node, need) in &self.members {
            if !translator.goes(node) || is_written(translator.root, described, name, node, sort) {
                continue;
            }
            let why = format!("the member {} of its form cannot be written", quoted(name));
            if *need == Need::Required {
                return Err(Unfit::because(translator, node, &why));
            }
            left_out.push(*name);
        }
        if !left_out.is_empty() {
            let named: Vec<_> = left_out.iter().take(5).map(|name| quoted(name)).collect();
            let more = if left_out.len() > named.len() { ", …" } else { "" };
            let message =
                format!("members of its form cannot be written: {}{more}", named.join(", "));
            let fix = "describe them without deepObject, and files one by one; they are left out";
            translator.warn(described, &message, fix);
        }
        self.members.retain(|(name, ..)| !left_out.contains(name));
        Ok(())
    }

    /// The members that are files: binary, or of a media type that says so.
    fn files(&self, translator: &Translator<'d>, described: &'d Node) -> Box<[Box<str>]> {
        let encoding = |name: &str| described.get("encoding")?.get(name)?.text("contentType");
        let is_file = |name: &str, node: &'d Node| {
            let Ok(node) = pointer::follow(translator.root, node) else { return false };
            let by_encoding = encoding(name).is_some_and(|media| Sort::of(media) == Sort::Binary);
            is_binary(node) || by_encoding && node.get("type").is_none()
        };
        let files = self.members.iter().filter(|(name, node, _)| is_file(name, node));
        files.map(|(name, ..)| (*name).into()).collect()
    }
}

/// Lists and objects of `deepObject` are not written, and no lists of files.
fn is_written(root: &Node, described: &Node, name: &str, node: &Node, sort: Sort) -> bool {
    let Ok(node) = pointer::follow(root, node) else { return true };
    let kind = node.text("type");
    let encoding = described.get("encoding").and_then(|encodings| encodings.get(name));
    let style = encoding.and_then(|encoding| encoding.text("style"));
    let is_scalar = matches!(kind, Some("string" | "number" | "integer" | "boolean"));
    if style == Some("deepObject") && !is_scalar {
        return false;
    }
    let items = node.get("items").and_then(|items| pointer::follow(root, items).ok());
    sort != Sort::Multipart || kind != Some("array") || !items.is_some_and(is_binary)
}

fn is_binary(node: &Node) -> bool {
    node.text("format") == Some("binary")
        || node.text("contentEncoding").is_none() && node.get("contentMediaType").is_some()
}
