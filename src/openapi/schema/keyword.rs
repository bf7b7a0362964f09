//! One schema's keywords, each by its own rule. Unknown ones and those with values that JSON Schema does not
//! allow are left out: they constrain nothing.

use serde_json::{Map as Object, Value, json};

use crate::openapi::node::{Content, Map, Node};
use crate::openapi::text::{self, quoted};

use super::{TooLarge, Translator, Version};

pub const TYPES: [&str; 7] = ["string", "number", "integer", "boolean", "object", "array", "null"];

/// Nesting of a literal: what is deeper is left out.
pub const LITERAL_DEPTH_MAX: usize = 12;

const LITERALS: [&str; 5] = ["default", "const", "enum", "example", "examples"];

/// What stays outside when a schema is wrapped.
const ANNOTATIONS: [&str; 5] = ["title", "description", "default", "examples", "deprecated"];

impl<'d> Translator<'d> {
    pub(super) fn keywords(&mut self, map: &'d Map, depth: usize) -> Result<Value, TooLarge> {
        let mut out = Object::new();
        let nullable = map.get("nullable").is_some_and(Node::is_true);
        let depth = depth + usize::from(nullable) * 2;
        for entry in map.entries() {
            if let Some((key, value)) = self.keyword(map, &entry.key, &entry.value, depth)? {
                self.spend(key.len() + 6)?;
                out.insert(key.into(), value);
            }
        }
        exclusive(&mut out, map, "minimum", "exclusiveMinimum");
        exclusive(&mut out, map, "maximum", "exclusiveMaximum");
        if let Some(encoded @ ("byte" | "binary" | "base64")) =
            map.get("format").and_then(Node::as_text)
        {
            let is_text = map.get("type").is_none_or(|kind| kind.as_text() == Some("string"));
            if is_text && (encoded != "base64" || self.version == Version::V30) {
                out.remove("format");
                out.insert("contentEncoding".into(), "base64".into());
            }
        }
        self.drop_of_other_direction(&mut out, map);
        types(&mut out, map);
        if out.is_empty() {
            return Ok(super::any());
        }
        Ok(if nullable { or_null(out) } else { Value::Object(out) })
    }

    fn keyword(
        &mut self,
        map: &'d Map,
        key: &'d str,
        value: &'d Node,
        depth: usize,
    ) -> Result<Option<(&'d str, Value)>, TooLarge> {
        if LITERALS.contains(&key) && is_deep(value, LITERAL_DEPTH_MAX) {
            return Ok(None);
        }
        let value = match key {
            "title" => self.words(value, text::TITLE_CHARS_MAX)?,
            "description" => self.words(value, text::PART_CHARS_MAX)?,
            "format" | "contentEncoding" | "contentMediaType" => self.words(value, 100)?,
            "default" | "const" => Some(self.literal(value)?),
            "example" if map.get("examples").is_none() => {
                let example = text::clean_value(self.literal(value)?);
                return Ok(Some(("examples", json!([example]))));
            }
            "examples" if value.as_list().is_some() => {
                Some(text::clean_value(self.literal(value)?))
            }
            "enum" if value.as_list().is_some_and(|list| !list.is_empty()) => {
                Some(self.literal(value)?)
            }
            "deprecated" | "readOnly" | "writeOnly" | "uniqueItems" => {
                value.is_true().then_some(Value::Bool(true))
            }
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => {
                value.as_number().map(|number| Value::Number(number.clone()))
            }
            "multipleOf" => {
                let positive = value.as_number().filter(|n| n.as_f64().is_some_and(|n| n > 0.0));
                positive.map(|number| Value::Number(number.clone()))
            }
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties"
            | "maxProperties" | "minContains" | "maxContains" => {
                value.as_number().and_then(serde_json::Number::as_u64).map(Value::from)
            }
            "pattern" => self.pattern(value)?,
            "required" => Some(required(value)).filter(|names| names != &json!([])),
            "dependentRequired" => dependents(value),
            "items" if value.as_list().is_some() => {
                return Ok(self.list(value, depth)?.map(|items| ("prefixItems", items)));
            }
            "items"
            | "additionalProperties"
            | "not"
            | "if"
            | "then"
            | "else"
            | "contains"
            | "propertyNames"
            | "unevaluatedItems"
            | "unevaluatedProperties"
            | "contentSchema" => Some(self.nested(value, depth)?),
            "allOf" | "anyOf" | "oneOf" | "prefixItems" => self.list(value, depth)?,
            "properties" | "dependentSchemas" => self.schemas(value, depth)?,
            "patternProperties" => self.pattern_properties(value, depth)?,
            "$anchor" => self.anchor(value),
            "$dynamicRef" | "$recursiveRef" => self.dynamic(value),
            "x-mcp-header" => value.as_text().map(Value::from),
            _ => None,
        };
        Ok(value.map(|value| (key, value)))
    }

    fn dynamic(&mut self, value: &Node) -> Option<Value> {
        self.warn(value, "a dynamic reference is not followed", "use `$ref`");
        None
    }

    fn words(&mut self, value: &Node, chars_max: usize) -> Result<Option<Value>, TooLarge> {
        let words = value.as_text().map(|words| text::clean(words, chars_max));
        let words = words.filter(|words| !words.is_empty());
        self.spend(words.as_ref().map_or(0, String::len))?;
        Ok(words.map(Value::from))
    }

    fn literal(&mut self, value: &Node) -> Result<Value, TooLarge> {
        // What stands in the text is about as long in the result.
        self.spend(value.at.len().min(self.bytes_left + 1))?;
        let value = value.to_json();
        Ok(value)
    }

    /// `true` and `false` stay what they are here.
    fn nested(&mut self, value: &'d Node, depth: usize) -> Result<Value, TooLarge> {
        match value.content {
            Content::Bool(value) => Ok(Value::Bool(value)),
            Content::Null
            | Content::Number(_)
            | Content::Text(_)
            | Content::List(_)
            | Content::Map(_) => self.schema(value, depth + self.step()),
        }
    }

    fn list(&mut self, value: &'d Node, depth: usize) -> Result<Option<Value>, TooLarge> {
        let Some(list) = value.as_list().filter(|list| !list.is_empty()) else { return Ok(None) };
        let schemas = list.iter().map(|schema| self.schema(schema, depth + self.step()));
        schemas.collect::<Result<Value, _>>().map(Some)
    }

    fn pattern(&mut self, value: &Node) -> Result<Option<Value>, TooLarge> {
        let Some(pattern) = value.as_text() else { return Ok(None) };
        self.spend(pattern.len())?;
        if !self.compiles(pattern) {
            let message = format!("the pattern {} is no regular expression", quoted(pattern));
            self.warn(value, &message, "mend it: until then it is left out");
            return Ok(None);
        }
        Ok(Some(pattern.into()))
    }

    fn pattern_properties(
        &mut self,
        value: &'d Node,
        depth: usize,
    ) -> Result<Option<Value>, TooLarge> {
        let keys = value.as_map().map_or(&[][..], Map::entries);
        if !keys.iter().all(|entry| self.compiles(&entry.key)) {
            self.warn(value, "a pattern is no regular expression", "mend it");
            return Ok(None);
        }
        self.schemas(value, depth)
    }

    fn compiles(&self, pattern: &str) -> bool {
        let Some(tried) = self.patterns else { return compiles(pattern) };
        let known = tried.borrow().get(pattern).copied();
        known.unwrap_or_else(|| {
            let good = compiles(pattern);
            tried.borrow_mut().insert(pattern.into(), good);
            good
        })
    }

    /// Names of places are kept only where what they name is there once.
    fn anchor(&self, value: &Node) -> Option<Value> {
        let kept = self.kept.filter(|_| self.within.is_empty())?;
        let name = value.as_text().filter(|name| is_anchor(name))?;
        super::anchored(kept, &format!("#{name}")).ok().map(|_| name.into())
    }

    fn drop_of_other_direction(&self, out: &mut Object<String, Value>, map: &'d Map) {
        let properties = map.get("properties").and_then(Node::as_map).map_or(&[][..], Map::entries);
        for entry in properties.iter().filter(|entry| !self.goes(&entry.value)) {
            if let Some(properties) = out.get_mut("properties").and_then(Value::as_object_mut) {
                properties.remove(&*entry.key);
            }
            if let Some(required) = out.get_mut("required").and_then(Value::as_array_mut) {
                required.retain(|name| name.as_str() != Some(&entry.key));
            }
        }
    }
}

/// Whether the validator can compile it: one that it cannot would cost the whole tool.
fn compiles(pattern: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"^$-_ ".contains(&b);
    pattern.bytes().all(plain)
        || pattern.len() <= 1000
            && jsonschema::validator_for(&json!({ "pattern": pattern })).is_ok()
}

/// Whether lists and objects nest deeper than that.
pub fn is_deep(value: &Node, depth_max: usize) -> bool {
    let Some(below) = depth_max.checked_sub(1) else {
        return matches!(value.content, Content::List(_) | Content::Map(_));
    };
    match &value.content {
        Content::List(items) => items.iter().any(|item| is_deep(item, below)),
        Content::Map(map) => map.entries().iter().any(|entry| is_deep(&entry.value, below)),
        Content::Null | Content::Bool(_) | Content::Number(_) | Content::Text(_) => false,
    }
}

fn is_anchor(name: &str) -> bool {
    let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    begins && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// Strings of a list, each once.
pub fn required(value: &Node) -> Value {
    let mut names: Vec<&str> = Vec::new();
    for name in value.as_list().unwrap_or_default().iter().filter_map(Node::as_text) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    json!(names)
}

fn dependents(value: &Node) -> Option<Value> {
    let entries = value.as_map()?.entries().iter();
    Some(entries.map(|entry| (entry.key.to_string(), required(&entry.value))).collect())
}

/// 3.0: `exclusiveMinimum: true` beside `minimum`.
fn exclusive(out: &mut Object<String, Value>, map: &Map, bound: &str, flag: &str) {
    if map.get(flag).is_some_and(Node::is_true)
        && let Some(number) = out.remove(bound)
    {
        out.insert(flag.into(), number);
    }
}

/// One type is a string; several are a union, for hosts that take no lists of types.
fn types(out: &mut Object<String, Value>, map: &Map) {
    let Some(node) = map.get("type") else { return };
    let mut types: Vec<&str> = Vec::new();
    let list = node.as_list().unwrap_or(std::slice::from_ref(node));
    for kind in list.iter().filter_map(Node::as_text).filter(|kind| TYPES.contains(kind)) {
        if !types.contains(&kind) {
            types.push(kind);
        }
    }
    match types.as_slice() {
        [] => {}
        [kind] => {
            out.insert("type".into(), (*kind).into());
        }
        several if out.contains_key("anyOf") => {
            out.insert("type".into(), json!(several));
        }
        several => {
            let union = several.iter().map(|kind| json!({ "type": kind }));
            out.insert("anyOf".into(), union.collect());
        }
    }
}

/// 3.0: `nullable`. It means nothing where there is neither a type nor a composition.
fn or_null(mut out: Object<String, Value>) -> Value {
    if !["type", "allOf", "anyOf", "oneOf"].iter().any(|key| out.contains_key(*key)) {
        return Value::Object(out);
    }
    let mut outer = Object::new();
    for key in ANNOTATIONS {
        if let Some(value) = out.remove(key) {
            outer.insert(key.into(), value);
        }
    }
    outer.insert("anyOf".into(), json!([out, { "type": "null" }]));
    Value::Object(outer)
}
