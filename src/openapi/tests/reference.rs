//! Every shape of `$ref`: followed within the document, cut where it recurs, never followed out of it.

use super::*;

const SHAPES: &str = "
openapi: 3.1.0
paths:
  /ok/{id}:
    parameters: [{$ref: '#/components/parameters/Id'}]
    post:
      parameters: [{$ref: '#/components/parameters/Twice'}]
      requestBody: {$ref: '#/components/requestBodies/Pet'}
      responses:
        '200': {$ref: '#/components/responses/Pet'}
  /item: {$ref: '#/components/pathItems/Item'}
  /pointer: {$ref: '#/paths/~1ok~1%7Bid%7D'}
  /self: {$ref: '#/paths/~1self'}
components:
  parameters:
    Id: {name: id, in: path, required: true, schema: {$ref: '#/components/schemas/a~1b~0c'}}
    Twice: {$ref: '#/components/parameters/Once'}
    Once: {name: q, in: query, schema: {$ref: '#/components/schemas/Chain', description: beside}}
  requestBodies:
    Pet: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/Pet'}}}}
  responses:
    Pet: {description: d, content: {application/json: {schema: {$ref: '#/components/schemas/Pet'}}}}
  pathItems:
    Item: {get: {responses: {'200': {description: d}}}}
  schemas:
    a/b~c: {type: integer}
    Chain: {$ref: '#/components/schemas/Chain2'}
    Chain2: {type: string}
    Pet:
      type: object
      required: [name]
      properties:
        name: {type: string}
        parent: {$ref: '#/components/schemas/Pet'}
        children: {type: array, items: {$ref: '#/components/schemas/Pet'}}
        even: {$ref: '#/components/schemas/Even'}
        loop: {$ref: '#/components/schemas/Loop'}
        remote: {$ref: 'https://example.com/x.json#/a'}
        file: {$ref: './x.yaml'}
        gone: {$ref: '#/components/schemas/Gone'}
        broken: {$ref: '#/components/schemas/%zz'}
        tilde: {$ref: '#/components/schemas/~2'}
        number: {$ref: 1}
        whole: {$ref: '#'}
        member: {$ref: '#/components/schemas/Pet/properties/name'}
        item: {$ref: '#/components/schemas/All/allOf/1'}
        all: {$ref: '#/components/schemas/All'}
        dynamic: {$dynamicRef: '#x'}
        defs: {$ref: '#/components/schemas/Defs'}
        narrowed: {$ref: '#/components/schemas/Chain', type: string, maxLength: 3}
    Even: {type: object, properties: {odd: {$ref: '#/components/schemas/Odd'}}}
    Odd: {type: object, properties: {even: {$ref: '#/components/schemas/Even'}}}
    Loop: {$ref: '#/components/schemas/Loop2'}
    Loop2: {$ref: '#/components/schemas/Loop'}
    All: {allOf: [{$ref: '#/components/schemas/All'}, {type: object}]}
    Defs: {$ref: '#/$defs/inner', $defs: {inner: {$anchor: here, type: boolean}}}
";

#[test]
fn every_shape_of_reference_ends() {
    let document = document(SHAPES);
    let names: Vec<&str> = document.operations.iter().map(|o| &*o.id).collect();
    assert_eq!(names, ["post_ok_id", "get_item", "post_pointer"]);
    let form = document.operations[0].form.as_ref().unwrap();
    let of = |name: &str| &form.input["properties"][name];
    assert_eq!(of("id"), &json!({ "type": "integer" }));
    assert_eq!(of("q"), &json!({ "type": "string", "description": "beside" }));
    assert_eq!(of("parent")["properties"]["name"], json!({ "type": "string" }));
    assert_eq!(of("parent")["properties"]["parent"]["type"], "object");
    assert_eq!(of("parent")["properties"]["parent"].get("properties"), None);
    assert_eq!(of("children")["items"]["properties"]["name"], json!({ "type": "string" }));
    assert_eq!(of("even")["properties"]["odd"]["properties"]["even"].get("properties"), None);
    assert_eq!(of("member"), &json!({ "type": "string" }));
    assert_eq!(of("item"), &json!({ "type": "object" }));
    assert!(of("narrowed")["maxLength"] == 3 || of("narrowed")["allOf"][1]["maxLength"] == 3);
    let said = |what: &str| document.problems.iter().filter(|p| p.message.contains(what)).count();
    assert!(said("https://example.com") > 0 && said("./x.yaml") > 0 && said("Gone") > 0);
    assert!(said("/self") > 0 && said("dynamic") > 0);
}

#[test]
fn references_of_3_0_stand_alone() {
    let schemas = json!({ "schemas": { "A": { "type": "string" } } });
    let schema = json!({ "$ref": "#/components/schemas/A", "maxLength": 1 });
    assert_eq!(
        argument_schema("3.0.0", schema.clone(), schemas.clone()),
        json!({ "type": "string" })
    );
    assert_eq!(
        argument_schema("3.1.0", schema, schemas),
        json!({ "type": "string", "maxLength": 1 })
    );
}

#[test]
fn schemas_that_grow_without_end_are_told_less_deeply() {
    // Each refers twice to the next: in full it would be a million schemas.
    let mut schemas = serde_json::Map::new();
    for level in 0..20 {
        let next = json!({ "$ref": format!("#/components/schemas/S{}", level + 1) });
        let schema = json!({ "type": "object", "properties": { "a": next, "b": next } });
        schemas.insert(format!("S{level}"), schema);
    }
    schemas.insert("S20".into(), json!({ "type": "string" }));
    let schema = argument_schema(
        "3.0.0",
        json!({ "$ref": "#/components/schemas/S0" }),
        json!({ "schemas": schemas }),
    );
    let text = schema.to_string();
    assert!(text.len() < 256 * 1024 && text.contains("nested too deeply"), "{}", text.len());
}

#[test]
fn what_is_too_large_has_no_tool() {
    let values: Vec<String> = (0..40_000).map(|n| format!("value {n}")).collect();
    let parameter =
        json!({ "name": "x", "in": "query", "schema": { "type": "string", "enum": values } });
    let (described, problems) =
        only(&post("3.0.0", json!({ "parameters": [parameter] }), json!({})));
    assert!(described.form.is_none());
    assert!(problems[0].message.contains("too large"), "{problems:?}");
}
