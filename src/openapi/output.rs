//! What a successful response is: an object at its root, and loosened so far that what a server plausibly
//! sends is never refused. Hosts throw results away that do not fit.

use serde_json::{Map as Object, Value, json};

use super::media;
use super::node::{Map, Node};
use super::pointer;
use super::schema::{TooLarge, Translator};

/// Keywords that only say what is or what may be there.
const KEPT: [&str; 5] = ["title", "description", "type", "examples", "contentEncoding"];

/// The schema of the first successful response in JSON; others with JSON loosen it further. None when some
/// response may be an object or none: nobody could say which of the two a result is told as.
pub fn read<'d>(
    translator: &mut Translator<'d>,
    responses: &'d Node,
) -> Result<Option<Value>, TooLarge> {
    let mut codes: Vec<(&str, &'d Node)> = responses
        .as_map()
        .map_or(&[][..], Map::entries)
        .iter()
        .filter(|entry| entry.key.len() == 3 && entry.key.starts_with('2'))
        .map(|entry| (&*entry.key, &entry.value))
        .collect();
    codes.sort_by_key(|(code, _)| *code);
    let mut output: Option<Root> = None;
    for (_, response) in codes {
        let Ok(response) = pointer::follow(translator.root, response) else { continue };
        let content = response.get("content").and_then(Node::as_map).map_or(&[][..], Map::entries);
        let json = content.iter().filter(|entry| media::is_json_result(&entry.key));
        for entry in json {
            let Some(schema) = entry.value.get("schema") else { return Ok(None) };
            let schema = loose(translator.translate(schema)?);
            output = match (output, root(schema)) {
                (None, root) => root,
                (Some(Root::Object(first)), Some(Root::Object(next))) if first != next => {
                    Some(Root::Object(either(first, next)))
                }
                (Some(Root::Other(first)), Some(Root::Other(next))) if first != next => {
                    Some(Root::Other(super::schema::any()))
                }
                (Some(Root::Object(first)), Some(Root::Object(_))) => Some(Root::Object(first)),
                (Some(Root::Other(first)), Some(Root::Other(_))) => Some(Root::Other(first)),
                _ => None,
            };
            if output.is_none() {
                return Ok(None);
            }
        }
    }
    Ok(output.map(Root::told))
}

/// What a response is, null aside.
enum Root {
    Object(Value),
    /// A list or a scalar.
    Other(Value),
}

impl Root {
    /// What is no object is told as the member `result` of one.
    fn told(self) -> Value {
        match self {
            Self::Object(schema) => schema,
            Self::Other(schema) => {
                json!({ "type": "object", "properties": { "result": or_null(schema) } })
            }
        }
    }
}

fn root(schema: Value) -> Option<Root> {
    if is_object(&schema) {
        return Some(Root::Object(flat(schema)));
    }
    is_other(&schema).then_some(Root::Other(schema))
}

/// A schema without what could refuse a value. Null is taken everywhere: servers send it undeclared.
fn loose(schema: Value) -> Value {
    let Value::Object(members) = schema else { return super::schema::any() };
    let mut out = Object::new();
    for (key, value) in members {
        match (key.as_str(), value) {
            ("properties", Value::Object(schemas)) => {
                let schemas =
                    schemas.into_iter().map(|(name, schema)| (name, or_null(loose(schema))));
                out.insert(key, schemas.collect());
            }
            ("items" | "additionalProperties", schema @ Value::Object(_)) => {
                out.insert(key, or_null(loose(schema)));
            }
            ("anyOf" | "oneOf", Value::Array(schemas)) => {
                out.insert("anyOf".into(), schemas.into_iter().map(loose).collect());
            }
            ("allOf", Value::Array(schemas)) => {
                out.insert(key, schemas.into_iter().map(loose).collect());
            }
            (kept, value) if KEPT.contains(&kept) => {
                out.insert(key, value);
            }
            _ => {}
        }
    }
    if out.is_empty() { super::schema::any() } else { Value::Object(out) }
}

fn or_null(schema: Value) -> Value {
    let is_narrow = ["type", "anyOf", "allOf"].iter().any(|key| schema.get(key).is_some());
    let has_null =
        schema.get("anyOf").and_then(Value::as_array).is_some_and(|any| any.iter().any(is_null));
    if !is_narrow || has_null && schema.get("type").is_none() {
        return schema;
    }
    json!({ "anyOf": [schema, { "type": "null" }] })
}

/// An object without a composition at its root: what its parts tell of members is told by itself.
fn flat(schema: Value) -> Value {
    let Value::Object(mut root) = schema else { return json!({ "type": "object" }) };
    let any = super::schema::any();
    let mut parts = Vec::new();
    for key in ["allOf", "anyOf"] {
        if let Some(Value::Array(of_key)) = root.remove(key) {
            parts.extend(of_key);
        }
    }
    root.insert("type".into(), "object".into());
    let objects = parts.into_iter().filter(|part| !is_null(part) && *part != any).map(flat);
    objects.fold(Value::Object(root), either)
}

/// Whether every value that fits is an object, null aside.
fn is_object(schema: &Value) -> bool {
    if let Some(kind) = schema.get("type") {
        return kind == "object";
    }
    let parts = |key| schema.get(key).and_then(Value::as_array);
    let of_any = parts("anyOf").is_some_and(|parts| {
        parts.iter().all(|part| is_null(part) || is_object(part)) && !parts.iter().all(is_null)
    });
    let of_all = parts("allOf").is_some_and(|parts| parts.iter().any(is_object));
    of_any || of_all || schema.get("properties").is_some()
}

/// Whether no value that fits is an object.
fn is_other(schema: &Value) -> bool {
    if let Some(kind) = schema.get("type") {
        let kinds = kind.as_array().map_or(std::slice::from_ref(kind), Vec::as_slice);
        return !kinds.iter().any(|kind| kind == "object");
    }
    let parts = |key| schema.get(key).and_then(Value::as_array);
    parts("anyOf").is_some_and(|parts| parts.iter().all(is_other))
        || parts("allOf").is_some_and(|parts| parts.iter().any(is_other))
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").is_some_and(|kind| kind == "null")
}

/// An object that takes what either takes: a member that both tell differently may be anything.
fn either(first: Value, second: Value) -> Value {
    let mut properties = Object::new();
    let mut root = Object::new();
    root.insert("type".into(), "object".into());
    if let Some(words) = first.get("description").or_else(|| second.get("description")) {
        root.insert("description".into(), words.clone());
    }
    for schema in [&first, &second] {
        for (name, member) in
            schema.get("properties").and_then(Value::as_object).into_iter().flatten()
        {
            match properties.get(name) {
                Some(known) if known != member => {
                    properties.insert(name.clone(), super::schema::any())
                }
                _ => properties.insert(name.clone(), member.clone()),
            };
        }
    }
    if !properties.is_empty() {
        root.insert("properties".into(), properties.into());
    }
    Value::Object(root)
}
