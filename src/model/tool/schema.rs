//! A tool's arguments against their JSON Schema (2020-12). The sentence that says what is wrong is read by a
//! model, which then tries again: it names arguments, and repeats next to nothing of what was sent.

use std::fmt::Write;
use std::sync::OnceLock;

use jsonschema::{Draft, PatternOptions, ValidationError, Validator};
use serde_json::Value;

/// A JSON Schema with its compiled form.
#[derive(Debug)]
pub struct Schema {
    pub value: Value,
    /// Made when it is first asked for: most tools of a large catalogue are never called.
    compiled: OnceLock<Result<Validator, Box<str>>>,
}

/// Most problems that one sentence names.
const PROBLEMS_MAX: usize = 5;
/// Longest name of an argument, and longest problem, in bytes.
const NAME_BYTES_MAX: usize = 100;
const PROBLEM_BYTES_MAX: usize = 200;
/// Of one compiled pattern.
const PATTERN_BYTES_MAX: usize = 1 << 20;

impl Schema {
    pub const fn new(value: Value) -> Self {
        Self { value, compiled: OnceLock::new() }
    }

    /// Why nothing can be checked against it; compiles it, and keeps nothing.
    pub fn fault(&self) -> Option<Box<str>> {
        compile(&self.value).err()
    }

    /// What is wrong with arguments, in a sentence for whoever made them.
    pub fn check(&self, arguments: &Value) -> Result<(), String> {
        let compiled = self.compiled.get_or_init(|| compile(&self.value));
        let validator =
            compiled.as_ref().map_err(|fault| format!("nothing can be checked: {fault}"))?;
        if validator.is_valid(arguments) {
            return Ok(());
        }
        let mut errors = validator.iter_errors(arguments);
        let mut told = String::new();
        for error in errors.by_ref().take(PROBLEMS_MAX) {
            let separator = if told.is_empty() { "" } else { "; " };
            told += separator;
            told += &problem(&error);
        }
        if errors.next().is_some() {
            told += "; and more";
        }
        Err(told)
    }
}

/// Patterns run in linear time, and nothing is fetched.
fn compile(value: &Value) -> Result<Validator, Box<str>> {
    let patterns = PatternOptions::regex().size_limit(PATTERN_BYTES_MAX);
    let options = jsonschema::options();
    let options = options.with_draft(Draft::Draft202012).with_pattern_options(patterns).offline();
    options
        .build(value)
        .map_err(|error| printable(&error.masked().to_string(), PROBLEM_BYTES_MAX).into())
}

fn problem(error: &ValidationError<'_>) -> String {
    let path = error.instance_path().to_string();
    let name = printable(&path.trim_start_matches('/').replace('/', "."), NAME_BYTES_MAX);
    // The masked text says "value" for what was sent.
    let said = printable(&error.masked().to_string(), PROBLEM_BYTES_MAX);
    match said.strip_prefix("value ") {
        Some(rest) if name.is_empty() => format!("the arguments: {rest}"),
        Some(rest) => format!("\"{name}\" {rest}"),
        None if name.is_empty() => said,
        None => format!("\"{name}\": {said}"),
    }
}

/// Cut, and without what could break a line.
fn printable(text: &str, bytes_max: usize) -> String {
    let end = text.floor_char_boundary(bytes_max);
    let cut = text.get(..end).unwrap_or(text);
    let mut printed: String =
        cut.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if end < text.len() {
        printed.write_char('…').ok();
    }
    printed
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn payment() -> Schema {
        Schema::new(json!({
            "type": "object",
            "properties": {
                "amount": { "type": "integer", "minimum": 1 },
                "currency": { "type": "string", "pattern": "^[A-Z]{3}$" },
                "lines": { "type": "array", "items": { "$ref": "#/$defs/line" } },
            },
            "required": ["amount"],
            "additionalProperties": false,
            "$defs": { "line": { "type": "object", "properties": { "n": { "type": "integer" } } } },
        }))
    }

    #[test]
    fn what_is_wrong_is_said_by_name() {
        let schema = payment();
        let check = |arguments: Value, expected: Result<(), &str>| {
            let found = schema.check(&arguments);
            assert_eq!(found, expected.map_err(str::to_owned), "{arguments}");
        };
        check(json!({ "amount": 1, "currency": "EUR" }), Ok(()));
        check(json!([]), Err("the arguments: is not of type \"object\""));
        check(json!({}), Err("\"amount\" is a required property"));
        check(json!({ "amount": "1" }), Err("\"amount\" is not of type \"integer\""));
        check(json!({ "amount": 0 }), Err("\"amount\" is less than the minimum of 1"));
        check(
            json!({ "amount": 1, "currency": "eur" }),
            Err("\"currency\" does not match \"^[A-Z]{3}$\""),
        );
        check(
            json!({ "amount": 1, "lines": [{ "n": 1 }, { "n": "x" }] }),
            Err("\"lines.1.n\" is not of type \"integer\""),
        );
        check(
            json!({ "amount": 1, "a\nb": 1 }),
            Err("Additional properties are not allowed ('a\u{fffd}b' was unexpected)"),
        );
    }

    #[test]
    fn little_of_what_was_sent_is_repeated() {
        let schema = payment();
        let secret = "s3cret".repeat(1000);
        let told = schema.check(&json!({ "amount": 1, "currency": secret })).expect_err("wrong");
        assert!(!told.contains("s3cret"), "{told}");
        let told = schema.check(&json!({ "amount": 1, secret: 1 })).expect_err("wrong");
        assert!(told.len() < 300, "{told}");
        let lines: Vec<_> = (0..1000).map(|_| json!({ "n": "x" })).collect();
        let told = schema.check(&json!({ "amount": 1, "lines": lines })).expect_err("wrong");
        assert!(told.ends_with("; and more") && told.len() < 2000, "{told}");
    }

    #[test]
    fn what_cannot_be_checked_is_known_before() {
        let check = |schema: Value, is_usable: bool| {
            let schema = Schema::new(schema);
            assert_eq!(schema.fault().is_none(), is_usable, "{}", schema.value);
            assert_eq!(schema.check(&json!({})).is_ok(), is_usable, "{}", schema.value);
        };
        check(json!({ "type": "object" }), true);
        check(json!({ "type": "objekt" }), false);
        check(json!({ "properties": { "a": { "pattern": "(?=a)b" } } }), false);
        check(json!({ "properties": { "a": { "$ref": "https://example.com/schema" } } }), false);
        check(json!({ "properties": { "a": { "$ref": "file:///etc/passwd" } } }), false);
        check(json!({ "$defs": { "a": { "$ref": "#/$defs/a" } } }), true);
    }
}
