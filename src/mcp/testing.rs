//! Tools for the tests of this layer.

use std::sync::{Arc, OnceLock};

use http::Method;
use serde_json::Value;

use crate::model::api::{Access, ApiFacts, Durability, Metering, Methods, Operation};
use crate::model::id::{ApiName, OperationId};
use crate::model::template::Template;
use crate::model::tool::{
    Argument, BodyForm, Catalogue, Need, Output, PathPart, Place, Schema, Tool, Words,
};

/// A tool that takes what it is given.
pub(super) fn tool(name: &str, path: &[PathPart], arguments: Vec<Argument>) -> Tool {
    let api = ApiName::parse("api").expect("a name");
    let operation = Operation {
        id: OperationId::join(&api, "operation").expect("a name"),
        api: Arc::new(ApiFacts { name: api, access: Access::Granted }),
        methods: Methods::Any,
        template: Template::parse("/").expect("valid"),
        scopes: Box::default(),
        body_bytes_max: 1 << 20,
        durability: Durability::Standard,
        metering: Metering::All,
        shape: None,
        products: Box::default(),
        facts: OnceLock::new(),
    };
    let mut arguments = arguments;
    arguments.sort_by(|a, b| a.name.cmp(&b.name));
    Tool {
        name: name.into(),
        operation: Arc::new(operation),
        host: None,
        method: Method::GET,
        path: path.into(),
        arguments: arguments.into(),
        body: None,
        input: Schema::new(Value::Bool(true)),
        output: Output::Untold,
        words: Words::default(),
        definition: format!(r#"{{"name":"{name}"}}"#).into(),
        digest: "0".repeat(64).into(),
    }
}

/// The same with a body.
pub(super) fn posting(mut tool: Tool, body: BodyForm) -> Tool {
    tool.method = Method::POST;
    tool.body = Some(body);
    tool
}

pub(super) fn argument(name: &str, place: Place) -> Argument {
    Argument { name: name.into(), place, need: Need::Optional, mirrored: None }
}

pub(super) fn catalogue(tools: Vec<Tool>) -> Catalogue {
    Catalogue::new(tools.into_iter().map(Arc::new).collect(), "0123456789abcdef".into())
}
