//! Arguments for a tool, made from its schema: the least that fits, and the same in every run. They need not
//! mean anything; they must be taken on every surface.

use serde_json::{Map, Value, json};

use crate::model::tool::{Schema, Tool};

/// Which arguments a call has.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Given {
    Required,
    /// Those that may be left out, too.
    All,
}

impl Given {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required arguments",
            Self::All => "all arguments",
        }
    }
}

/// Deepest value. What a schema wants deeper than that is left out.
const DEPTH_MAX: u32 = 12;
/// Longest text and list, whatever a schema asks for.
const LENGTH_MAX: u64 = 4_096;
/// Longest text that is tried against a pattern, and what it is made of.
const PATTERN_LENGTH_MAX: usize = 40;
const LETTERS: [&str; 4] = ["a", "A", "1", "a1"];

/// The object of arguments; None where none was found that its schema takes.
pub fn made(tool: &Tool, given: Given) -> Option<Value> {
    let root = &tool.input.value;
    let maker = Maker { root };
    let mut made = Map::new();
    let required = names(root);
    for (name, schema) in root.get("properties").and_then(Value::as_object).into_iter().flatten() {
        if given == Given::All || required.contains(&name.as_str()) {
            made.insert(name.clone(), maker.value(schema, 0));
        }
    }
    let made = Value::Object(made);
    tool.input.check(&made).is_ok().then_some(made)
}

fn names(schema: &Value) -> Vec<&str> {
    let required = schema.get("required").and_then(Value::as_array);
    required.into_iter().flatten().filter_map(Value::as_str).collect()
}

struct Maker<'s> {
    root: &'s Value,
}

impl Maker<'_> {
    fn value(&self, schema: &Value, depth: u32) -> Value {
        let schema = self.whole(schema, depth);
        let get = |name: &str| schema.get(name);
        let first = |name: &str| get(name)?.as_array()?.iter().find(|value| !value.is_null());
        let said = get("const").or_else(|| first("enum")).or_else(|| get("default"));
        if let Some(value) = said.or_else(|| first("examples")) {
            return value.clone();
        }
        match kind(&schema) {
            "object" => self.object(&schema, depth),
            "array" => self.array(&schema, depth),
            "integer" | "number" => number(&schema),
            "boolean" => json!(true),
            "null" => Value::Null,
            _ => text(&schema).into(),
        }
    }

    /// A schema with what it refers to, what it is made of, and the first of what it may be.
    fn whole(&self, schema: &Value, depth: u32) -> Map<String, Value> {
        let Value::Object(schema) = schema else { return Map::new() };
        let mut whole = schema.clone();
        if depth >= DEPTH_MAX {
            return whole;
        }
        let refers = whole.remove("$ref").and_then(|to| self.find(to.as_str()?));
        let all = list(whole.remove("allOf"));
        let mut choices = list(whole.remove("anyOf"));
        choices.extend(list(whole.remove("oneOf")));
        let choice = choices.into_iter().find(|choice| kind_of(choice) != Some("null"));
        for part in refers.into_iter().chain(all).chain(choice) {
            join(&mut whole, self.whole(&part, depth + 1));
        }
        whole
    }

    fn find(&self, reference: &str) -> Option<Value> {
        self.root.pointer(reference.strip_prefix('#')?).cloned()
    }

    fn object(&self, schema: &Map<String, Value>, depth: u32) -> Value {
        let mut made = Map::new();
        if depth < DEPTH_MAX {
            let properties = schema.get("properties").and_then(Value::as_object);
            let holder = Value::Object(schema.clone());
            for name in names(&holder) {
                let of_name = properties.and_then(|properties| properties.get(name));
                made.insert(name.to_owned(), self.value(of_name.unwrap_or(&json!({})), depth + 1));
            }
        }
        Value::Object(made)
    }

    fn array(&self, schema: &Map<String, Value>, depth: u32) -> Value {
        let fewest = bound(schema, "minItems").unwrap_or_default().min(LENGTH_MAX);
        let item = schema.get("items").cloned().unwrap_or_else(|| json!({}));
        // An empty list leaves no trace in a query.
        let count = if depth == 0 { fewest.max(1) } else { fewest };
        (0..count).map(|_| self.value(&item, depth + 1)).collect()
    }
}

fn list(value: Option<Value>) -> Vec<Value> {
    if let Some(Value::Array(list)) = value { list } else { Vec::new() }
}

/// What both say: properties of both, and all that either requires.
fn join(whole: &mut Map<String, Value>, part: Map<String, Value>) {
    for (name, value) in part {
        match (whole.get_mut(&name), value) {
            (Some(Value::Object(before)), Value::Object(more)) => {
                for (key, value) in more {
                    before.entry(key).or_insert(value);
                }
            }
            (Some(Value::Array(before)), Value::Array(more)) if name == "required" => {
                before.extend(more);
            }
            (Some(_), _) => {}
            (None, value) => {
                whole.insert(name, value);
            }
        }
    }
}

fn kind_of(schema: &Value) -> Option<&str> {
    schema.get("type")?.as_str()
}

fn kind(schema: &Map<String, Value>) -> &str {
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => {
            let mut kinds = kinds.iter().filter_map(Value::as_str);
            kinds.find(|kind| *kind != "null").unwrap_or("null")
        }
        _ if schema.contains_key("properties") => "object",
        _ if schema.contains_key("items") => "array",
        _ => "string",
    }
}

fn bound(schema: &Map<String, Value>, name: &str) -> Option<u64> {
    schema.get(name)?.as_u64()
}

#[expect(clippy::cast_possible_truncation, reason = "a bound of a schema is no large number")]
fn number(schema: &Map<String, Value>) -> Value {
    let get = |name: &str| schema.get(name).and_then(Value::as_f64);
    let least = get("minimum").or_else(|| get("exclusiveMinimum").map(|least| least + 1.0));
    let most = get("maximum").or_else(|| get("exclusiveMaximum").map(|most| most - 1.0));
    let wanted = least.unwrap_or(1.0);
    let wanted = most.map_or(wanted, |most| wanted.min(most));
    let step = get("multipleOf").filter(|step| *step > 0.0);
    let wanted = step.map_or(wanted, |step| (wanted / step).ceil() * step);
    if wanted.fract() == 0.0 { json!(wanted as i64) } else { json!(wanted) }
}

fn text(schema: &Map<String, Value>) -> String {
    let shortest = bound(schema, "minLength").unwrap_or_default().clamp(1, LENGTH_MAX);
    let shortest = usize::try_from(shortest).unwrap_or(1);
    if schema.contains_key("pattern") {
        let mut bare = schema.clone();
        bare.insert("type".into(), "string".into());
        let fits = Schema::new(Value::Object(bare));
        let lengths = 1..=PATTERN_LENGTH_MAX;
        let tried =
            lengths.flat_map(|length| LETTERS.into_iter().map(move |letter| letter.repeat(length)));
        let mut tried = tried.filter(|text| fits.check(&json!(text)).is_ok());
        return tried.next().unwrap_or_default();
    }
    if schema.get("contentEncoding").is_some_and(|encoding| encoding == "base64") {
        return "YQ==".to_owned();
    }
    let of_format = match schema.get("format").and_then(Value::as_str) {
        Some("uuid") => "00000000-0000-4000-8000-000000000000",
        Some("date-time") => "2026-01-01T00:00:00Z",
        Some("date") => "2026-01-01",
        Some("time") => "00:00:00Z",
        Some("email") => "a@example.com",
        Some("uri" | "url") => "https://example.com",
        Some("hostname") => "example.com",
        Some("ipv4") => "192.0.2.1",
        Some("ipv6") => "2001:db8::1",
        _ => return "a".repeat(shortest),
    };
    of_format.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fit_what_they_are_made_for() {
        let check = |schema: Value, expected: Value| {
            let made = Maker { root: &schema }.value(&schema, 1);
            assert_eq!(made, expected, "{schema}");
            assert_eq!(Schema::new(schema.clone()).check(&made), Ok(()), "{schema}");
        };
        check(json!({ "type": "string", "minLength": 3 }), json!("aaa"));
        check(json!({ "type": "string", "pattern": "^[A-Z]{3}$" }), json!("AAA"));
        check(json!({ "type": ["null", "integer"], "minimum": 5, "multipleOf": 4 }), json!(8));
        check(json!({ "type": "number", "exclusiveMaximum": 0 }), json!(-1));
        check(json!({ "enum": [null, "b"] }), json!("b"));
        check(json!({ "anyOf": [{ "type": "null" }, { "type": "boolean" }] }), json!(true));
        check(
            json!({
                "allOf": [{ "$ref": "#/$defs/a" }, { "required": ["c"] }],
                "properties": { "c": { "const": 7 } },
                "$defs": { "a": {
                    "type": "object",
                    "properties": { "b": { "type": "array", "items": {}, "minItems": 2 } },
                    "required": ["b"],
                } },
            }),
            json!({ "b": ["a", "a"], "c": 7 }),
        );
        let endless =
            json!({ "type": "object", "required": ["a"], "properties": { "a": { "$ref": "#" } } });
        assert!(Maker { root: &endless }.value(&endless, 0).is_object());
    }
}
