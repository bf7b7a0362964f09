//! What it costs to read an OpenAPI document of 1,000 operations, in either syntax, and to load a config that names
//! it, tools and all: a start or a reload waits for it. It is to be below a second.

use std::fs;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use onegate::{config, openapi};
use serde_json::{Value, json};

const OPERATIONS: usize = 1000;

/// Each operation has parameters, a body and a result, with references into 200 schemas that refer on.
fn document() -> Value {
    let reference = |n: usize| json!({ "$ref": format!("#/components/schemas/S{}", n % 200) });
    let mut paths = serde_json::Map::new();
    for n in 0..OPERATIONS / 2 {
        let content = json!({ "application/json": { "schema": reference(n) } });
        let parameters = json!([
            { "name": "limit", "in": "query", "schema": { "type": "integer", "minimum": 1 } },
            { "name": "filter[name]", "in": "query", "schema": { "type": "string", "pattern": "^[a-z]+$" } },
        ]);
        let item = json!({
            "parameters": [{ "name": "id", "in": "path", "required": true, "schema": { "type": "string" } }],
            "get": { "operationId": format!("getThing{n}"), "summary": "Gets a thing.", "parameters": parameters,
                "responses": { "200": { "description": "It.", "content": content } } },
            "post": { "operationId": format!("makeThing{n}"), "summary": "Makes a thing.",
                "requestBody": { "required": true, "content": content },
                "responses": { "201": { "description": "It.", "content": content } } },
        });
        paths.insert(format!("/things{n}/{{id}}"), item);
    }
    let mut schemas = serde_json::Map::new();
    for n in 0..200 {
        let properties = json!({
            "name": { "type": "string", "description": "What it is called.", "maxLength": 100 },
            "count": { "type": "integer", "nullable": true },
            "next": reference(n * 7 + 1),
            "others": { "type": "array", "items": reference(n * 3 + 2) },
        });
        let schema = json!({ "type": "object", "required": ["name"], "properties": properties });
        schemas.insert(format!("S{n}"), schema);
    }
    json!({ "openapi": "3.0.3", "info": { "title": "Things", "version": "1" }, "paths": paths,
        "components": { "schemas": schemas } })
}

/// The same as block YAML, as people write it.
fn yaml(value: &Value, indent: usize, out: &mut String) {
    let blanks = " ".repeat(indent);
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (key, value) in members {
                out.push_str(&format!("\n{blanks}{}:", json!(key)));
                yaml(value, indent + 2, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                out.push_str(&format!("\n{blanks}-"));
                yaml(item, indent + 2, out);
            }
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => out.push_str(&format!(" {value}")),
    }
}

fn reading(criterion: &mut Criterion) {
    let document = document();
    let mut block = String::new();
    yaml(&document, 0, &mut block);
    let mut group = criterion.benchmark_group("openapi");
    group.sample_size(10);
    for (syntax, text) in [("json", document.to_string()), ("yaml", block)] {
        let read = openapi::read(&text);
        let told = read.operations.iter().filter(|operation| operation.form.is_some()).count();
        assert_eq!((told, read.problems.len()), (OPERATIONS, 0), "{syntax}");
        group.bench_function(format!("1000_operations_{syntax}"), |b| {
            b.iter(|| openapi::read(&text));
        });
    }
    group.finish();
}

/// A config whose api is all that there is in the document.
const CONFIG: &str = r#"
[[listener]]
name = "public"
address = "127.0.0.1:0"

[[upstream]]
name = "things"
endpoints = ["127.0.0.1:1"]

[[api]]
name = "things"
base_path = "/"
upstream = "things"
access = "public"
openapi = "bench-openapi.json"
"#;

fn loading(criterion: &mut Criterion) {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = directory.join("bench-openapi.toml");
    let written = fs::write(&path, CONFIG)
        .and_then(|()| fs::write(directory.join("bench-openapi.json"), document().to_string()));
    let loaded = config::load(&path).ok().and_then(|loaded| loaded.policy.mcp);
    let tools = loaded.map(|mcp| mcp.catalogue.tools().len());
    assert_eq!((written.is_ok(), tools), (true, Some(OPERATIONS)));
    let mut group = criterion.benchmark_group("openapi");
    group.sample_size(10);
    group.bench_function("1000_operations_to_tools", |b| b.iter(|| config::load(&path)));
    group.finish();
}

criterion_group!(benches, reading, loading);
criterion_main!(benches);
