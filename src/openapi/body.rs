//! The body of an operation: which of its media types a tool sends, and whether its members are arguments or
//! it is one.

use serde_json::{Map as Object, Value, json};

use crate::model::tool::{BodyForm, Need, Place};

use super::draft::{Draft, Unfit};
use super::media;
use super::names::{self, Tag};
use super::node::{Content, Map, Node};
use super::pointer;
use super::schema::keyword;
use super::schema::{Translator, any};
use super::text;

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
    let content = request.get("content").and_then(Node::as_map).map_or(&[][..], Map::entries);
    let Some((media, described)) =
        content.iter().min_by_key(|entry| rank(&entry.key)).map(|entry| (&entry.key, &entry.value))
    else {
        return Err(Unfit::because(translator, request, "its body has no content"));
    };
    let required = request.get("required").is_some_and(Node::is_true);
    let need = if required { Need::Required } else { Need::Optional };
    let whole = Whole { request, media, described, need };
    let object = Members::of(translator.root, described.get("schema"));
    match rank(media) {
        0..=2 => {
            let form =
                BodyForm::Json { content_type: media::content_type(media, "application/json") };
            match object.filter(|members| members.is_apart(translator, taken)) {
                Some(members) => members.read(translator, form),
                None => whole.read(translator, form),
            }
        }
        rank @ (3 | 4) => {
            let Some(members) = object else {
                let why = "its form is no plain object";
                return Err(Unfit::because(translator, described, why));
            };
            let files =
                if rank == 4 { members.files(translator, described) } else { Box::default() };
            let form = match rank {
                4 => BodyForm::Multipart { files },
                _ => BodyForm::Form,
            };
            members.read(translator, form)
        }
        5 => {
            let content_type = media::content_type(media, "text/plain");
            Ok(whole.text(BodyForm::Text { content_type }, json!({ "type": "string" })))
        }
        _ => {
            let content_type = media::content_type(media, "application/octet-stream");
            let schema = json!({ "type": "string", "contentEncoding": "base64" });
            Ok(whole.text(BodyForm::Binary { content_type }, schema))
        }
    }
}

/// Which of several is sent: the least.
fn rank(media: &str) -> u8 {
    match media::essence(media).as_str() {
        "application/json" => 0,
        "application/x-www-form-urlencoded" => 3,
        "multipart/form-data" => 4,
        "*/*" | "application/*" => 2,
        _ if media::is_json(media) => 1,
        essence if essence.starts_with("text/") => 5,
        _ => 6,
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
        members.add(root, members.schema, 0)?;
        let fits = (1..=MEMBERS_MAX).contains(&members.members.len());
        fits.then_some(members)
    }

    /// A plain object, or an `allOf` of such.
    fn add(&mut self, root: &'d Node, schema: &'d Node, depth: usize) -> Option<()> {
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
            self.add(root, part, depth + 1)?;
        }
        let properties = map.get("properties").and_then(Node::as_map).map_or(&[][..], Map::entries);
        for entry in properties {
            if self.members.iter().any(|(name, ..)| *name == &*entry.key) {
                return None;
            }
            self.members.push((&entry.key, &entry.value, Need::Optional));
        }
        let required = map.get("required").map(keyword::required).unwrap_or_default();
        for name in required.as_array().into_iter().flatten().filter_map(Value::as_str) {
            // Required, and not told: an argument of its own would be a guess.
            let member = self.members.iter_mut().find(|(member, ..)| *member == name);
            if let Some((.., need)) = member {
                *need = Need::Required;
            } else if map.get("allOf").is_none() && depth == 0 {
                return None;
            }
        }
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

    /// The members that are files: binary, or of a media type that says so.
    fn files(&self, translator: &Translator<'d>, described: &'d Node) -> Box<[Box<str>]> {
        let encoding = |name: &str| described.get("encoding")?.get(name)?.text("contentType");
        let is_file = |name: &str, node: &'d Node| {
            let Ok(node) = pointer::follow(translator.root, node) else { return false };
            let of_binary = |node: &Node| {
                node.text("format") == Some("binary")
                    || node.text("contentEncoding").is_none()
                        && node.get("contentMediaType").is_some()
            };
            let by_encoding = encoding(name).is_some_and(|media| rank(media) == 6);
            of_binary(node) || by_encoding && node.get("type").is_none()
        };
        let files = self.members.iter().filter(|(name, node, _)| is_file(name, node));
        files.map(|(name, ..)| (*name).into()).collect()
    }
}
