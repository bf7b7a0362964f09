//! Schemas as JSON Schema 2020-12, and results that are loosened.

use super::*;

#[test]
fn keywords_become_those_of_2020_12() {
    let check = |version: &str, schema: Value, expected: Value| {
        assert_eq!(argument_schema(version, schema.clone(), json!({})), expected, "{schema}");
    };
    let any = json!({ "description": "Any JSON value." });
    check(
        "3.0.3",
        json!({ "type": "string", "nullable": true, "description": "d" }),
        json!({ "description": "d", "anyOf": [{ "type": "string" }, { "type": "null" }] }),
    );
    check("3.0.3", json!({ "nullable": true }), any.clone());
    check(
        "3.0.3",
        json!({ "type": "number", "minimum": 1, "exclusiveMinimum": true, "maximum": 2, "exclusiveMaximum": false }),
        json!({ "type": "number", "exclusiveMinimum": 1, "maximum": 2 }),
    );
    check(
        "3.0.3",
        json!({ "type": "string", "example": "e", "xml": {}, "externalDocs": {}, "discriminator": {} }),
        json!({ "type": "string", "examples": ["e"] }),
    );
    check(
        "3.0.3",
        json!({ "type": "string", "format": "byte" }),
        json!({ "type": "string", "contentEncoding": "base64" }),
    );
    check(
        "3.0.3",
        json!({ "type": "string", "format": "date" }),
        json!({ "type": "string", "format": "date" }),
    );
    check("3.0.3", json!({}), any.clone());
    check("3.1.0", json!(true), any.clone());
    check("3.1.0", json!(1), any);
    check(
        "3.1.0",
        json!({ "type": ["string", "null"], "maxLength": 5 }),
        json!({ "anyOf": [{ "type": "string" }, { "type": "null" }], "maxLength": 5 }),
    );
    check("3.1.0", json!({ "type": ["string"] }), json!({ "type": "string" }));
    check("3.1.0", json!({ "type": "file", "title": "t" }), json!({ "title": "t" }));
    check(
        "3.1.0",
        json!({ "type": "object", "required": "x", "minProperties": -1, "maxProperties": 1.5, "additionalProperties": false }),
        json!({ "type": "object", "additionalProperties": false }),
    );
    check("3.1.0", json!({ "type": "string", "pattern": "(" }), json!({ "type": "string" }));
    check(
        "3.1.0",
        json!({ "type": "string", "pattern": "^a(b|c)+$" }),
        json!({ "type": "string", "pattern": "^a(b|c)+$" }),
    );
    check(
        "3.1.0",
        json!({ "if": { "type": "string" }, "then": { "minLength": 1 }, "else": false, "oneOf": [] }),
        json!({ "if": { "type": "string" }, "then": { "minLength": 1 }, "else": false }),
    );
    check(
        "3.1.0",
        json!({ "type": "string", "description": "a\u{202e}b\u{0}c\u{e0041}" }),
        json!({ "type": "string", "description": "ab c" }),
    );
}

#[test]
fn definitions_of_a_flat_body_stay_at_its_root() {
    let schema = json!({ "$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object",
        "$defs": { "address": { "$anchor": "addressDef", "type": "object", "properties": { "street": { "type": "string" } } } },
        "properties": { "name": { "type": "string" }, "address": { "$ref": "#/$defs/address" }, "b": { "$ref": "#addressDef" } },
        "additionalProperties": false });
    let operation =
        json!({ "requestBody": { "content": { "application/json": { "schema": schema } } } });
    let (form, problems) = form("3.1.0", operation, json!({}));
    assert_eq!(problems, []);
    let mut expected = schema;
    expected["additionalProperties"] = false.into();
    assert_eq!(form.input, expected);
}

#[test]
fn results_take_what_servers_send() {
    let check = |schema: Value, expected: Value, taken: &[Value]| {
        let operation = json!({ "responses": { "default": {}, "404": { "content": { "application/json": { "schema": {} } } },
            "201": { "content": { "text/plain": {}, "application/hal+json": { "schema": schema } } } } });
        let (form, _) = form("3.0.3", operation, json!({}));
        let output = form.output.unwrap();
        assert_eq!(output, expected, "{schema}");
        for value in taken {
            assert!(jsonschema::is_valid(&output, value), "{output} {value}");
        }
    };
    check(
        json!({ "type": "object", "required": ["a"], "additionalProperties": false,
            "properties": { "a": { "type": "string", "enum": ["x"], "format": "date", "maxLength": 1 } } }),
        json!({ "type": "object", "properties": { "a": { "anyOf": [{ "type": "string" }, { "type": "null" }] } } }),
        &[json!({}), json!({ "a": "long", "b": 1 }), json!({ "a": null })],
    );
    check(
        json!({ "type": "array", "items": { "type": "integer" } }),
        json!({ "type": "object", "properties": { "result": { "anyOf": [
            { "type": "array", "items": { "anyOf": [{ "type": "integer" }, { "type": "null" }] } }, { "type": "null" }] } } }),
        &[json!({ "result": [1, null] })],
    );
    check(
        json!({ "oneOf": [{ "type": "object", "properties": { "a": { "type": "string" }, "k": { "type": "string" } } },
            { "type": "object", "properties": { "a": { "type": "integer" }, "k": { "type": "string" } } }] }),
        json!({ "type": "object", "properties": { "a": { "description": "Any JSON value." },
            "k": { "anyOf": [{ "type": "string" }, { "type": "null" }] } } }),
        &[json!({ "a": 1, "k": "" }), json!({ "a": "1" })],
    );
    let member = json!({ "a": { "type": "string" } });
    check(
        json!({ "allOf": [{ "type": "object", "properties": member }, { "required": ["a"] }, { "description": "d" }] }),
        json!({ "type": "object", "description": "d", "properties": { "a": { "anyOf": [{ "type": "string" }, { "type": "null" }] } } }),
        &[json!({ "a": "" })],
    );
    check(
        json!({ "type": "object", "properties": { "a": {} }, "anyOf": [{ "required": ["a"] }, { "required": ["b"] }] }),
        json!({ "type": "object", "properties": { "a": { "description": "Any JSON value." } } }),
        &[json!({ "b": 1 })],
    );
}

#[test]
fn results_that_may_be_objects_or_not_are_not_told() {
    let check = |schemas: &[Value]| {
        let responses = schemas.iter().enumerate().map(|(at, schema)| {
            let content = json!({ "application/json": { "schema": schema } });
            (format!("20{at}"), json!({ "content": content }))
        });
        let responses = Value::Object(responses.collect());
        let (form, _) = form("3.0.3", json!({ "responses": responses }), json!({}));
        assert_eq!(form.output, None, "{schemas:?}");
    };
    let object = json!({ "type": "object", "properties": { "a": {} } });
    let list = json!({ "type": "array", "items": {} });
    check(&[json!({})]);
    check(&[json!({ "oneOf": [object, list] })]);
    check(&[json!({ "oneOf": [object, {}] })]);
    check(&[object.clone(), list]);
    check(&[object, json!({})]);
    let media = "application/vnd.onegate.tool-result+json";
    let responses = json!({ "200": { "content": { media: { "schema": { "type": "object" } } } } });
    assert_eq!(form("3.0.3", json!({ "responses": responses }), json!({})).0.output, None);
}

#[test]
fn schemas_nest_as_deeply_as_hosts_read() {
    let mut schema = json!({ "type": "string" });
    for _ in 0..28 {
        schema = json!({ "type": "object", "nullable": true, "properties": { "a": schema } });
    }
    let mut literal = json!(1);
    for _ in 0..40 {
        literal = json!([literal]);
    }
    let deep =
        json!({ "type": "object", "properties": { "s": schema, "l": { "default": literal } } });
    let mut operation =
        json!({ "requestBody": { "content": { "application/json": { "schema": deep } } } });
    operation["responses"] =
        json!({ "200": { "content": { "application/json": { "schema": schema } } } });
    // The depth is held against its bound as that of all forms is.
    let (form, _) = form("3.0.3", operation, json!({}));
    assert!(form.input.to_string().contains("nested too deeply"));
    assert!(form.input["properties"]["l"].get("default").is_none());
    assert!(form.output.is_some());
}
