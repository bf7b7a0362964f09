//! The reader as a whole: documents in, operations and problems out. Every schema that comes out, in any of
//! these tests, is held against the meta-schema and compiled.

mod argument;
mod hostile;
mod operation;
mod reference;
mod schema;
mod syntax;

use serde_json::{Value, json};

use super::*;

/// Reads a document, and checks what holds for all.
fn document(text: &str) -> Document {
    let document = read(text);
    for problem in &document.problems {
        assert!(text.get(problem.at.clone()).is_some(), "{problem:?} has no place");
        assert!(!problem.message.is_empty() && !problem.fix.is_empty(), "{problem:?}");
    }
    let mut ids: Vec<&str> = Vec::new();
    for operation in &document.operations {
        let id = crate::model::id::PlanName::parse(&operation.id);
        assert!(id.is_ok(), "{operation:?}");
        assert!(!ids.contains(&&*operation.id), "{operation:?}");
        ids.push(&operation.id);
        if let Some(form) = &operation.form {
            sound(form);
        }
    }
    document
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or_default(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
    }
}

fn sound(form: &Form) {
    for schema in [Some(&form.input), form.output.as_ref()].into_iter().flatten() {
        if let Err(error) = jsonschema::meta::validate(schema) {
            panic!("{error}: {schema:#}");
        }
        if let Err(error) = jsonschema::validator_for(schema) {
            panic!("{error}: {schema:#}");
        }
        assert_eq!(schema["type"], "object", "{schema:#}");
        // Four more are around it in a list of tools.
        assert!(depth(schema) <= 90, "{}", depth(schema));
        for word in ["oneOf", "anyOf", "allOf", "not", "if", "$ref", "enum"] {
            assert!(schema.get(word).is_none(), "{word}: {schema:#}");
        }
    }
    assert_eq!(form.input["additionalProperties"], false);
    let properties = form.input["properties"].as_object().unwrap();
    let names: Vec<&str> = form.arguments.iter().map(|a| &*a.argument.name).collect();
    assert!(names.is_sorted(), "{names:?}");
    assert_eq!(properties.len(), names.len());
    for name in names {
        assert!(properties.contains_key(name), "{name}");
        let good = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        assert!((1..=64).contains(&name.len()) && name.bytes().all(good), "{name}");
    }
}

/// The only operation of a document.
fn only(text: &str) -> (Described, Vec<Problem>) {
    let Document { mut operations, problems, .. } = document(text);
    assert_eq!(operations.len(), 1, "{problems:#?}");
    (operations.remove(0), problems)
}

/// A document with one `POST /a`, whose members these are.
fn post(version: &str, operation: Value, components: Value) -> String {
    let responses = json!({ "200": { "description": "Done." } });
    let mut operation = operation;
    operation.as_object_mut().unwrap().entry("responses").or_insert(responses);
    let document = json!({
        "openapi": version,
        "info": { "title": "T", "version": "1" },
        "paths": { "/a": { "post": operation } },
        "components": components,
    });
    document.to_string()
}

/// The form of such an operation, and what was told.
fn form(version: &str, operation: Value, components: Value) -> (Form, Vec<Problem>) {
    let (described, problems) = only(&post(version, operation, components));
    (described.form.unwrap_or_else(|| panic!("{problems:#?}")), problems)
}

/// The schema of one argument `x`.
fn argument_schema(version: &str, schema: Value, components: Value) -> Value {
    let parameter = json!({ "name": "x", "in": "query", "content": { "application/json": { "schema": schema } } });
    let (form, _) = form(version, json!({ "parameters": [parameter] }), components);
    form.input["properties"]["x"].clone()
}
