//! Arguments of an operation that only the config describes: the parameters of its path, any query, and
//! any JSON body where its method has one.

use http::Method;
use serde_json::{Map, Value, json};

use super::Said;
use crate::model::api::BasePath;
use crate::model::template::{Segment, Template};
use crate::model::tool::{Argument, BodyForm, Need, Place};

pub(super) fn said(method: &Method, base: &BasePath, template: &Template) -> Said {
    let parameter = |segment: &Segment| match segment {
        Segment::Parameter(name) => Some(name.clone()),
        Segment::Literal(_) | Segment::Tail(_) => None,
    };
    let parameters: Vec<Box<str>> = template.segments.iter().filter_map(parameter).collect();
    let mut properties = Map::new();
    let mut arguments = Vec::new();
    for name in &parameters {
        let description = format!("The part {{{name}}} of the path.");
        let schema = json!({ "type": "string", "minLength": 1, "description": description });
        properties.insert(name.to_string(), schema);
        arguments.push((name.clone(), argument(name.clone(), Place::Path, Need::Required)));
    }
    let mut add = |name: &str, place, schema: Value| {
        let name = free_name(name, &parameters);
        properties.insert(name.to_string(), schema);
        arguments.push((name.clone(), argument(name, place, Need::Optional)));
    };
    add("query", Place::AnyQuery, query_schema());
    let has_body = matches!(*method, Method::POST | Method::PUT | Method::PATCH);
    if has_body {
        add("body", Place::Body, body_schema());
    }
    let input = json!({
        "type": "object",
        "properties": properties,
        "required": parameters,
        "additionalProperties": false,
    });
    let path = if template.segments.is_empty() { String::new() } else { template.to_string() };
    let prefix = base.as_prefix();
    let root = if path.is_empty() && prefix.is_empty() { "/" } else { "" };
    Said {
        title: None,
        description: format!("{method} {prefix}{path}{root}").into(),
        tags: Box::default(),
        arguments,
        body: has_body.then(|| BodyForm::Json { content_type: "application/json".into() }),
        input,
        output: None,
    }
}

fn argument(name: Box<str>, place: Place, need: Need) -> Argument {
    Argument { name, place, need, mirrored: None }
}

/// A path's parameter keeps its name; whatever else has it is named after its place.
fn free_name(name: &str, taken: &[Box<str>]) -> Box<str> {
    let mut free = name.to_owned();
    while taken.iter().any(|taken| **taken == *free) {
        free = format!("{free}_{name}");
    }
    free.into()
}

fn query_schema() -> Value {
    json!({
        "type": "object",
        "description": "Parameters of the query, by their names.",
        "additionalProperties": {
            "anyOf": [{ "type": "string" }, { "type": "number" }, { "type": "boolean" }],
        },
    })
}

fn body_schema() -> Value {
    json!({
        "description": "The body of the request, as JSON.",
        "anyOf": [{ "type": "object" }, { "type": "array" }],
    })
}
