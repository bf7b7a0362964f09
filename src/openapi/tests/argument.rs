//! Arguments: where each goes, what it is called, and what is never one.

use crate::model::tool::{BodyForm, Place, Style};

use super::*;

fn parameter(name: &str, place: &str, more: Value) -> Value {
    let mut parameter = json!({ "name": name, "in": place, "schema": { "type": "string" } });
    parameter.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    parameter
}

fn names(form: &Form) -> Vec<(&str, &str)> {
    form.arguments.iter().map(|a| (&*a.argument.name, &*a.wire_name)).collect()
}

#[test]
fn styles_are_those_of_openapi() {
    let check = |place: &str, more: Value, expected: Option<Style>| {
        let (form, problems) = form(
            "3.0.3",
            json!({ "parameters": [parameter("p", place, more.clone())] }),
            json!({}),
        );
        let style = form.arguments.first().map(|a| match &a.argument.place {
            Place::Query { style, .. } | Place::Header { style, .. } => *style,
            Place::Path | Place::Member { .. } | Place::Body | Place::AnyQuery => panic!("{a:?}"),
        });
        assert_eq!(
            (style, problems.len()),
            (expected, usize::from(expected.is_none())),
            "{place} {more}"
        );
    };
    let list = json!({ "type": "array", "items": { "type": "string" } });
    let object = json!({ "type": "object", "properties": { "a": { "type": "string" } } });
    check("query", json!({}), Some(Style::FormExploded));
    check("query", json!({ "schema": list, "explode": false }), Some(Style::Form));
    check(
        "query",
        json!({ "schema": list, "style": "spaceDelimited" }),
        Some(Style::SpaceDelimited),
    );
    check("query", json!({ "schema": list, "style": "pipeDelimited" }), Some(Style::PipeDelimited));
    check(
        "query",
        json!({ "schema": list, "style": "pipeDelimited", "explode": true }),
        Some(Style::FormExploded),
    );
    check("query", json!({ "schema": object, "style": "deepObject" }), Some(Style::DeepObject));
    check("query", json!({ "schema": object }), Some(Style::FormExploded));
    check("query", json!({ "schema": { "type": "object" } }), None);
    let shown = json!({ "properties": { "a": { "type": "string" } } });
    check("query", json!({ "schema": shown, "style": "deepObject" }), Some(Style::DeepObject));
    check(
        "query",
        json!({ "schema": null, "content": { "application/json": {} } }),
        Some(Style::Json),
    );
    check("query", json!({ "content": { "text/xml": {} } }), None);
    check("query", json!({ "style": "matrix" }), None);
    check("header", json!({}), Some(Style::Simple));
    check("header", json!({ "explode": true }), Some(Style::SimpleExploded));
    check("header", json!({ "style": "form" }), None);
    check("cookie", json!({}), None);
    check("body", json!({}), None);
}

#[test]
fn what_cannot_be_sent_costs_the_tool_only_where_it_must() {
    let check = |parameter: Value| {
        let text = post("3.0.3", json!({ "parameters": [parameter] }), json!({}));
        let (described, problems) = only(&text);
        assert!(described.form.is_none() && problems.len() == 1, "{parameter} {problems:?}");
        assert!(problems[0].message.starts_with("POST /a: "));
    };
    check(parameter("p", "query", json!({ "style": "matrix", "required": true })));
    check(parameter("p", "cookie", json!({ "required": true })));
    check(parameter("p q", "header", json!({ "required": true })));
    check(parameter("X-CSRF-Token", "header", json!({ "required": true })));
    check(parameter("Mcp-Method", "header", json!({ "required": true, "style": "form" })));
    check(json!({ "$ref": "#/components/parameters/none" }));
    check(json!({ "name": "p" }));
}

#[test]
fn names_are_told_apart_by_their_places() {
    let parameters = json!([
        parameter("id", "query", json!({})),
        parameter("id", "header", json!({})),
        parameter("filter[name]", "query", json!({})),
        parameter("filter.size", "query", json!({})),
        parameter("a b", "query", json!({})),
        parameter("a+b", "query", json!({})),
    ]);
    let (form, problems) = form("3.0.3", json!({ "parameters": parameters }), json!({}));
    assert_eq!(problems, []);
    let names = names(&form);
    let of =
        |wire: &str| names.iter().filter(|(_, w)| *w == wire).map(|(n, _)| *n).collect::<Vec<_>>();
    assert_eq!(of("id"), ["id", "id__header"]);
    assert_eq!((of("filter[name]"), of("filter.size")), (vec!["filter_name"], vec!["filter.size"]));
    assert!(of("a b")[0].starts_with("a_b__query_") && of("a+b")[0].starts_with("a_b__query_"));
}

#[test]
fn credentials_and_framing_are_never_arguments() {
    let hidden = [
        "authorization",
        "Cookie",
        "Host",
        "content_length",
        "Content-Type",
        "Accept",
        "Transfer-Encoding",
        "Connection",
        "Upgrade",
        "TE",
        "Trailer",
        "Keep-Alive",
        "Proxy-Authorization",
        "Forwarded",
        "X-Forwarded-For",
        "X_Forwarded_Host",
        "X-Real-IP",
        "X-Request-Id",
        "X-Onegate-Client",
        "X-API-Key",
        "x_api_key",
        "Via",
        "traceparent",
        "tracestate",
        "baggage",
        "Mcp-Method",
        "Mcp-Param-X",
        "Expect",
        "X-HTTP-Method-Override",
        "X-Original-URL",
        "My-Secret",
        "my_secret",
    ];
    // What nobody else fills costs the tool where it is required.
    let filled = ["Authorization", "Accept", "x_api_key", "X-Forwarded-For", "my_secret"];
    let hide = |name: &&str| {
        let more = json!({ "required": filled.contains(name), "style": "form" });
        parameter(name, "header", more)
    };
    let mut parameters: Vec<Value> = hidden.iter().map(hide).collect();
    parameters.push(parameter("key", "query", json!({ "required": true })));
    parameters.push(parameter("access_token", "query", json!({})));
    parameters.push(parameter("seen", "header", json!({})));
    let members = json!({ "type": "object", "properties": { "Key": {}, "other": { "type": "string" } },
        "additionalProperties": { "type": "string" } });
    parameters.push(parameter("members", "query", json!({ "schema": members })));
    let schemes = json!({ "securitySchemes": {
        "a": { "type": "apiKey", "in": "header", "name": "My-Secret" },
        "b": { "type": "apiKey", "in": "query", "name": "key" },
    } });
    let (form, problems) = form("3.0.3", json!({ "parameters": parameters }), schemes);
    assert_eq!(problems, []);
    assert_eq!(names(&form), [("members", "members"), ("seen", "seen")]);
    let members = &form.input["properties"]["members"];
    assert_eq!(members["properties"].as_object().unwrap().len(), 1, "{members}");
    assert_eq!(members["additionalProperties"], false);
}

#[test]
fn no_schema_lets_a_model_name_parameters() {
    let check = |schema: Value, expected: Option<Value>| {
        let operation = json!({ "parameters": [{ "name": "p", "in": "query", "schema": schema }] });
        let components = json!({
            "schemas": { "Open": {}, "Map": { "type": "object" }, "Text": { "type": "string" } },
            "securitySchemes": { "k": { "type": "apiKey", "in": "query", "name": "key" } },
        });
        let (form, _) = form("3.1.0", operation, components);
        let told = form.input["properties"].get("p");
        assert_eq!(told.is_some(), expected.is_some(), "{schema} {told:?}");
        for value in [json!({}), json!({ "key": "1" }), json!({ "other": "1" })] {
            let given = json!({ "p": value });
            let is_members = expected == Some(json!({})) && value == json!({});
            assert_eq!(jsonschema::is_valid(&form.input, &given), is_members, "{told:?} {value}");
        }
        if let Some(good) = expected.filter(|value| *value != json!({})) {
            assert!(jsonschema::is_valid(&form.input, &json!({ "p": good })), "{told:?} {good}");
        }
    };
    let reference = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
    check(json!({}), Some(json!("x")));
    check(json!(true), Some(json!("x")));
    check(Value::Null, Some(json!("x")));
    check(reference("None"), Some(json!("x")));
    check(reference("Open"), Some(json!(1)));
    check(reference("Map"), None);
    check(json!({ "description": "d" }), Some(json!(true)));
    check(json!({ "enum": ["x", 1] }), Some(json!("x")));
    check(json!({ "enum": ["x", { "key": 1 }] }), None);
    check(json!({ "allOf": [{ "description": "d" }, {}] }), Some(json!("x")));
    check(json!({ "allOf": [reference("Text"), {}] }), Some(json!("x")));
    check(json!({ "anyOf": [{ "minLength": 1 }, { "maxLength": 9 }] }), Some(json!("x")));
    check(json!({ "oneOf": [{ "type": "string" }, reference("Map")] }), None);
    check(json!({ "type": ["string", "object"] }), None);
    check(json!({ "not": { "type": "string" } }), Some(json!(1)));
    check(json!({ "if": { "type": "object" }, "then": {} }), Some(json!("x")));
    check(json!({ "properties": { "key": {}, "a": { "type": "string" } } }), Some(json!({})));
    check(json!({ "properties": { "key": {} } }), None);
}

#[test]
fn parameters_of_the_path_are_inherited_and_never_missing() {
    let text = "openapi: 3.0.3\npaths:\n  /a/{id}/{user.name}/{none}:\n    parameters:\n    \
        - {name: id, in: path, required: true, schema: {type: integer}}\n    \
        - {name: user.name, in: path, required: true, schema: {type: string}}\n    \
        - {name: q, in: query, schema: {type: integer}}\n    \
        - {name: stray, in: path, required: true, schema: {type: string}}\n    \
        get:\n      parameters:\n      - {name: q, in: query, required: true, description: \"own\\u200b\", schema: {type: string}}\n      \
        - {name: Q, in: query, schema: {type: string}}\n";
    let (described, problems) = only(text);
    let form = described.form.unwrap();
    let expected =
        [("Q", "Q"), ("id", "id"), ("none", "none"), ("q", "q"), ("user.name", "user_name")];
    assert_eq!(names(&form), expected);
    assert_eq!(described.template.to_string(), "/a/{id}/{user_name}/{none}");
    assert_eq!(form.input["required"], json!(["id", "none", "q", "user.name"]));
    assert_eq!(form.input["properties"]["q"], json!({ "type": "string", "description": "own" }));
    assert_eq!(problems.len(), 2, "{problems:#?}");
}

fn body(media: &str, schema: Value, more: Value) -> Value {
    json!({ "requestBody": { "content": { media: { "schema": schema } }, "required": true }, "parameters": more })
}

/// A body of `media` by `schema` beside `parameters` comes to the form and to the arguments, each with the name that
/// the upstream knows.
fn check_body(
    (media, schema, parameters): (&str, Value, Value),
    form_of: Option<BodyForm>,
    expected: &[(&str, &str)],
) {
    let (form, problems) = form("3.0.3", body(media, schema.clone(), parameters), json!({}));
    let found = (names(&form), problems.as_slice());
    assert_eq!(found, (expected.to_vec(), &[][..]), "{media} {schema}");
    assert_eq!(form.body, form_of, "{media} {schema}");
}

/// An object of two members, and `more` beside them.
fn plain_with(more: Value) -> Value {
    let mut schema = json!({ "type": "object", "properties": { "a": { "type": "string" }, "b": { "type": "integer" } } });
    schema.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    schema
}

const FLAT: [(&str, &str); 2] = [("a", "a"), ("b", "b")];
const NESTED: [(&str, &str); 1] = [("body", "body")];

#[test]
fn bodies_are_flat_where_their_members_tell_them() {
    let json_of = |content_type: &str| Some(BodyForm::Json { content_type: content_type.into() });
    let json = "application/json";
    let check = |schema: Value, parameters: Value, expected: &[(&str, &str)]| {
        check_body((json, schema, parameters), json_of(json), expected);
    };
    let plain = plain_with(json!({}));
    check(plain.clone(), json!([]), &FLAT);
    let patch = "application/merge-patch+json";
    check_body((patch, plain.clone(), json!([])), json_of(patch), &FLAT);
    check_body(("*/*", plain.clone(), json!([])), json_of(json), &FLAT);
    check(plain_with(json!({ "additionalProperties": true })), json!([]), &FLAT);
    let of_texts = json!({ "additionalProperties": { "type": "string" } });
    check(plain_with(of_texts), json!([]), &NESTED);
    check(plain_with(json!({ "oneOf": [{ "required": ["a"] }] })), json!([]), &NESTED);
    let merged = json!({ "allOf": [plain, { "properties": { "c": {} } }] });
    check(merged, json!([]), &[("a", "a"), ("b", "b"), ("c", "c")]);
    let parts = json!([{ "required": ["c"] }, { "properties": { "c": {} } }]);
    check(json!({ "allOf": parts }), json!([]), &[("c", "c")]);
    check(json!({ "type": "array", "items": {} }), json!([]), &NESTED);
    check(json!({ "type": "object" }), json!([]), &NESTED);
    let taken = |name: &str| json!([parameter(name, "query", json!({}))]);
    check(plain, taken("a"), &[("a", "a"), ("body", "body")]);
    let text = json!({ "type": "string" });
    check(text, taken("body"), &[("body", "body"), ("body__body", "body")]);
}

#[test]
fn other_bodies_are_members_or_one_text() {
    let form = "application/x-www-form-urlencoded";
    let plain = plain_with(json!({}));
    check_body((form, plain.clone(), json!([])), Some(BodyForm::Form), &FLAT);
    let taken = json!([parameter("a", "query", json!({}))]);
    let apart = [("a", "a"), ("a__body", "a"), ("b", "b")];
    check_body((form, plain, taken), Some(BodyForm::Form), &apart);
    let file = json!({ "f": { "type": "string", "format": "binary" }, "t": { "type": "string" } });
    let file = plain_with(json!({ "properties": file }));
    let multipart = BodyForm::Multipart { files: ["f".into()].into() };
    let parts = [("f", "f"), ("t", "t")];
    check_body(("multipart/form-data", file, json!([])), Some(multipart), &parts);
    let text = BodyForm::Text { content_type: "text/csv".into() };
    check_body(("text/csv", json!({}), json!([])), Some(text), &NESTED);
    let xml = BodyForm::Text { content_type: "application/xml".into() };
    check_body(("application/xml", json!({ "type": "object" }), json!([])), Some(xml), &NESTED);
    check_body((form, json!({ "type": "object", "properties": {} }), json!([])), None, &[]);
    check_body(("multipart/form-data", json!({}), json!([])), None, &[]);
    let binary = BodyForm::Binary { content_type: "application/octet-stream".into() };
    check_body(("image/*", json!({}), json!([])), Some(binary), &NESTED);
}

#[test]
fn members_that_no_form_can_hold_are_left_out() {
    let check = |media: &str, schema: Value, required: Value, left: Option<&[(&str, &str)]>| {
        let schema = json!({ "type": "object", "required": required,
            "properties": { "m": schema, "t": { "type": "string" } } });
        let encoding = json!({ "m": { "style": "deepObject", "explode": true } });
        let encoding = if media == "multipart/form-data" { json!({}) } else { encoding };
        let content = json!({ media: { "schema": schema, "encoding": encoding } });
        let operation = json!({ "requestBody": { "content": content } });
        let (described, problems) = only(&post("3.0.3", operation, json!({})));
        let found = described.form.as_ref().map(names);
        assert_eq!(found.as_deref(), left, "{media} {schema} {problems:?}");
        let is_whole = left == Some(&[("m", "m"), ("t", "t")]);
        assert_eq!(problems.len(), usize::from(!is_whole), "{media} {schema} {problems:?}");
    };
    let form = "application/x-www-form-urlencoded";
    let map = json!({ "type": "object", "additionalProperties": { "type": "string" } });
    check(form, map.clone(), json!([]), Some(&[("t", "t")]));
    check(form, map, json!(["m"]), None);
    check(form, json!({ "type": "integer" }), json!([]), Some(&[("m", "m"), ("t", "t")]));
    let file = json!({ "type": "string", "format": "binary" });
    let files = json!({ "type": "array", "items": file });
    check("multipart/form-data", files.clone(), json!([]), Some(&[("t", "t")]));
    check("multipart/form-data", files, json!(["m"]), None);
    check("multipart/form-data", file, json!(["m"]), Some(&[("m", "m"), ("t", "t")]));
}

#[test]
fn of_several_bodies_the_plainest_is_sent() {
    let check = |medias: &[&str], expected: &str| {
        let content: Value = medias.iter().map(|media| ((*media).to_owned(), json!({}))).collect();
        let (form, _) = form("3.0.3", json!({ "requestBody": { "content": content } }), json!({}));
        let found = format!("{:?}", form.body.unwrap());
        assert!(found.contains(expected), "{medias:?} {found}");
    };
    check(&["application/json-patch+json", "application/merge-patch+json"], "merge-patch");
    check(&["application/json-patch+json", "application/json"], "application/json\"");
    check(&["text/xml", "application/json-patch+json"], "json-patch");
    check(&["application/pdf", "application/soap+xml"], "Text");
}

#[test]
fn what_is_read_only_is_no_argument() {
    let schema = json!({ "type": "object", "required": ["id", "name"], "properties": {
        "id": { "type": "string", "readOnly": true }, "name": { "type": "string" },
        "secret": { "$ref": "#/components/schemas/Secret" } } });
    let components = json!({ "schemas": { "Secret": { "type": "string", "writeOnly": true } } });
    let mut operation = body("application/json", schema.clone(), json!([]));
    operation["responses"] =
        json!({ "201": { "content": { "application/json": { "schema": schema } } } });
    let (form, _) = form("3.0.3", operation, components);
    assert_eq!(names(&form), [("name", "name"), ("secret", "secret")]);
    assert_eq!(form.input["required"], json!(["name"]));
    let output = form.output.unwrap();
    let names: Vec<&String> = output["properties"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["id", "name"]);
}

#[test]
fn mirrored_arguments_are_named_once_and_simple() {
    let check = |parameters: Value, expected: &[Option<&str>], problems_expected: usize| {
        let (form, problems) = form("3.1.0", json!({ "parameters": parameters }), json!({}));
        let mirrored: Vec<_> =
            form.arguments.iter().map(|a| a.argument.mirrored.as_deref()).collect();
        assert_eq!(
            (mirrored.as_slice(), problems.len()),
            (expected, problems_expected),
            "{problems:?}"
        );
        for argument in &form.arguments {
            let kept = form.input["properties"][&*argument.argument.name].get("x-mcp-header");
            assert_eq!(kept.and_then(Value::as_str), argument.argument.mirrored.as_deref());
        }
    };
    let of = |name: &str, kind: &str, header: &str| {
        parameter(name, "query", json!({ "schema": { "type": kind, "x-mcp-header": header } }))
    };
    check(json!([of("a", "string", "Region")]), &[Some("Region")], 0);
    check(json!([parameter("a", "query", json!({ "x-mcp-header": "R" }))]), &[Some("R")], 0);
    check(json!([of("a", "integer", "A"), of("b", "boolean", "B")]), &[Some("A"), Some("B")], 0);
    check(json!([of("a", "number", "A")]), &[None], 1);
    check(json!([of("a", "string", "a b")]), &[None], 1);
    check(json!([of("a", "string", "R"), of("b", "string", "r")]), &[None, None], 1);
}
