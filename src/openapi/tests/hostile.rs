//! Hostile documents: whatever the text, the reader ends, panics nowhere, and what it tells is sound.

use proptest::prelude::*;

use super::*;

/// Keys and values that mean something, so that trees of them get far.
const WORDS: [&str; 48] = [
    "openapi",
    "paths",
    "/a",
    "/a/{id}",
    "get",
    "post",
    "parameters",
    "name",
    "in",
    "query",
    "path",
    "header",
    "schema",
    "type",
    "object",
    "array",
    "string",
    "null",
    "properties",
    "items",
    "$ref",
    "#/components/schemas/A",
    "#/paths/~1a",
    "#",
    "components",
    "schemas",
    "A",
    "requestBody",
    "content",
    "application/json",
    "multipart/form-data",
    "responses",
    "200",
    "allOf",
    "anyOf",
    "oneOf",
    "required",
    "enum",
    "nullable",
    "security",
    "operationId",
    "style",
    "deepObject",
    "additionalProperties",
    "x-mcp-header",
    "$defs",
    "pattern",
    "default",
];

fn tree() -> impl Strategy<Value = Value> {
    let word = || prop::sample::select(&WORDS[..]).prop_map(String::from);
    let leaf = prop_oneof![
        3 => word().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i32>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(word(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_text_is_read(text in "\\PC{0,200}") {
        document(&text);
    }

    #[test]
    fn any_yaml_is_read(text in "[a-c:\\-\\[\\]{},&*!|>'\"#%@?<~ \n\t0-9é]{0,120}") {
        document(&format!("openapi: 3.1.0\npaths:\n{text}"));
        document(&text);
    }

    #[test]
    fn any_schema_is_told(schema in tree(), version in prop::sample::select(&["3.0.3", "3.1.0"][..])) {
        let schemas = json!({ "schemas": { "A": schema } });
        let a = json!({ "$ref": "#/components/schemas/A" });
        let operation = json!({
            "parameters": [{ "name": "x", "in": "query", "schema": a }, schema],
            "requestBody": { "content": { "application/json": { "schema": schema } } },
            "responses": { "200": { "content": { "application/json": { "schema": a } } } },
        });
        document(&post(version, operation, schemas));
    }

    #[test]
    fn any_operation_is_read(operation in tree(), item in tree(), components in tree()) {
        let text = json!({ "openapi": "3.1.0", "paths": { "/a": { "post": operation }, "/b/{c}": item }, "components": components });
        document(&text.to_string());
    }

    #[test]
    fn a_mutated_document_is_read(at in 0..4000usize, put in "[\\PC\n]{0,6}", cut in 0..20usize) {
        let text: Vec<char> = include_str!("reference.rs").split('"').nth(1).unwrap().chars().collect();
        let at = at.min(text.len());
        let end = (at + cut).min(text.len());
        let mutated: String = text[..at].iter().copied().chain(put.chars()).chain(text[end..].iter().copied()).collect();
        document(&mutated);
    }
}
