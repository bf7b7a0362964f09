//! An argument before it has its name.

use serde_json::Value;

use crate::model::tool::{Argument, Need, Place};

use super::names::Tag;
use super::node::Node;
use super::schema::{TooLarge, Translator};
use super::text::quoted;

/// Longest `x-mcp-header`.
const MIRRORED_BYTES_MAX: usize = 64;

#[derive(Debug)]
pub struct Draft<'d> {
    pub tag: Tag,
    /// The name that the argument's is made of.
    pub name: &'d str,
    pub wire_name: Box<str>,
    pub place: Place,
    pub need: Need,
    pub schema: Value,
    pub mirrored: Option<Box<str>>,
}

/// Why an operation has no form.
#[derive(Debug)]
pub enum Unfit {
    TooLarge,
    /// A problem says it.
    Told,
}

impl From<TooLarge> for Unfit {
    fn from(_: TooLarge) -> Self {
        Self::TooLarge
    }
}

impl Unfit {
    pub fn because(translator: &mut Translator<'_>, node: &Node, why: &str) -> Self {
        let message = format!("it has no tool: {why}");
        translator.warn(node, &message, "describe it otherwise; REST callers can call it as it is");
        Self::Told
    }
}

impl<'d> Draft<'d> {
    pub fn new(tag: Tag, name: &'d str, place: Place, schema: Value) -> Self {
        let need = Need::Optional;
        Self { tag, name, wire_name: name.into(), place, need, schema, mirrored: None }
    }

    /// `x-mcp-header` of the parameter, else of its schema. It stays in the schema where it is valid.
    pub fn mirror(&mut self, translator: &mut Translator<'_>, own: Option<&Node>, node: &Node) {
        let mut schema = self.schema.as_object_mut();
        let of_schema = schema.as_mut().and_then(|schema| schema.remove("x-mcp-header"));
        drop_nested(&mut self.schema);
        let wanted = own.map(Node::to_json).or(of_schema);
        let Some(wanted) = wanted else { return };
        let name =
            wanted.as_str().filter(|name| is_token(name) && name.len() <= MIRRORED_BYTES_MAX);
        let kind = self.schema.get("type").and_then(Value::as_str);
        let fits = kind.is_some_and(|kind| matches!(kind, "string" | "integer" | "boolean"));
        let (Some(name), true) = (name, fits) else {
            let message = format!("`x-mcp-header` of {} is left out", quoted(self.name));
            translator.warn(node, &message, "write a token, on a string, an integer or a boolean");
            return;
        };
        if let Some(schema) = self.schema.as_object_mut() {
            schema.insert("x-mcp-header".into(), name.into());
        }
        self.mirrored = Some(name.into());
    }

    /// Takes `x-mcp-header` back: another argument has the name too.
    pub fn unmirror(&mut self) {
        self.mirrored = None;
        if let Some(schema) = self.schema.as_object_mut() {
            schema.remove("x-mcp-header");
        }
    }

    pub fn into_argument(self, name: String) -> (Box<str>, Argument) {
        let Self { wire_name, place, need, mirrored, .. } = self;
        (wire_name, Argument { name: name.into(), place, need, mirrored })
    }
}

/// Keywords whose members are names.
const NAMING: [&str; 4] = ["properties", "$defs", "patternProperties", "dependentSchemas"];

/// Only arguments themselves are mirrored. Members may be called so, keywords may not.
pub fn drop_nested(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            for (key, value) in members.iter_mut() {
                let names = NAMING.contains(&key.as_str());
                if let (true, Value::Object(schemas)) = (names, &mut *value) {
                    for schema in schemas.values_mut() {
                        drop_keyword(schema);
                    }
                } else if !matches!(key.as_str(), "default" | "const" | "enum" | "examples") {
                    drop_keyword(value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(drop_keyword),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn drop_keyword(schema: &mut Value) {
    if let Value::Object(members) = schema {
        members.remove("x-mcp-header");
    }
    drop_nested(schema);
}

/// RFC 9110, 5.6.2.
fn is_token(name: &str) -> bool {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty() && name.bytes().all(good)
}
