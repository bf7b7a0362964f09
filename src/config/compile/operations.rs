//! `[[api.operation]]`: the things to do that an api publishes.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::{Arc, OnceLock};

use super::super::names::Names;
use super::super::section::{Named, Section, Text};
use super::super::source::Place;
use super::super::suggest;
use super::super::unit::Bytes;
use super::beside::Beside;
use super::shape;
use crate::model::api::{ApiFacts, Durability, Metering, Methods, Operation};
use crate::model::id::{ApiName, OperationId, ProductName, Scope, kind};
use crate::model::shape::OperationShape;
use crate::model::template::{Segment, Template};

/// Most operations of one api, and scopes of one operation.
const OPERATIONS_MAX: usize = 10_000;
const SCOPES_MAX: usize = 32;
/// Longest path template in bytes, and most parameters in one. The router holds 25.
const TEMPLATE_BYTES_MAX: usize = 1024;
const PARAMETERS_MAX: usize = 16;
/// Of a request body.
pub(super) const BODY_BYTES: RangeInclusive<Bytes> = Bytes(0)..=Bytes::tib(1);
/// The methods that `"*"` stands for in an `Allow` header.
pub(super) const METHODS: [&str; 7] = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];

const DURABILITIES: [(&str, Durability); 2] =
    [("standard", Durability::Standard), ("write-ahead", Durability::WriteAhead)];

/// An operation that does not know its api yet.
pub(super) struct Draft {
    pub(super) id: OperationId,
    pub(super) at: Place,
    methods: Methods,
    template: Template,
    scopes: Box<[Scope]>,
    /// None: the api's.
    body_bytes_max: Option<u64>,
    durability: Durability,
    shape: Option<Box<OperationShape>>,
    /// Not answered by the gate itself, were it with a fault.
    pub(super) is_forwarded: bool,
}

impl Draft {
    pub(super) fn into_operation(
        self,
        api: &Arc<ApiFacts>,
        body_bytes_max: u64,
        products: &[ProductName],
    ) -> Operation {
        Operation {
            id: self.id,
            api: Arc::clone(api),
            methods: self.methods,
            template: self.template,
            scopes: self.scopes,
            body_bytes_max: self.body_bytes_max.unwrap_or(body_bytes_max),
            durability: self.durability,
            metering: Metering::All,
            shape: self.shape,
            products: products.into(),
            facts: OnceLock::new(),
        }
    }
}

/// The operations of an api; without the api's name they are only checked.
pub(super) fn operations(
    section: &mut Section<'_>,
    api: Option<&ApiName>,
    beside: Beside<'_>,
    ids: &mut Names,
) -> Vec<Draft> {
    if api.is_none() {
        ids.allow_unknown();
    }
    let sections = section.tables("operation");
    if let Some(extra) = sections.get(OPERATIONS_MAX) {
        let message = format!("more than {OPERATIONS_MAX} operations in one api");
        section.problems.error(extra.at, message, "split the api by base path");
    }
    if sections.is_empty() && section.lacks("operation") {
        let fix = "add [[api.operation]] with an id, methods and a path";
        section.problems.error(section.at, "the api has no operations", fix);
    }
    sections.into_iter().filter_map(|section| operation(section, api, beside, ids)).collect()
}

fn operation(
    mut section: Section<'_>,
    api: Option<&ApiName>,
    beside: Beside<'_>,
    ids: &mut Names,
) -> Option<Draft> {
    let named: Option<Named<'_, kind::Operation>> = section.name("id");
    let at = named.as_ref().map_or(section.at, |named| named.text.at);
    let id = named.zip(api).and_then(|(named, api)| OperationId::join(api, named.text.text).ok());
    match &id {
        Some(id) => ids.declare(id.as_str(), at, section.problems),
        None => ids.allow_unknown(),
    }
    let methods = methods(&mut section);
    let template = template(&mut section);
    let scopes = scopes(&mut section);
    let body_bytes_max = section.quantity("body_bytes_max", BODY_BYTES);
    let body_bytes_max = body_bytes_max.map(|bytes| bytes.0);
    let durability = section.choice("audit", &DURABILITIES).unwrap_or_default();
    let is_forwarded = section.place("redirect").or(section.place("respond")).is_none();
    let shape = shape::of_operation(&mut section, template.as_ref(), beside).boxed();
    section.finish();
    Some(Draft {
        id: id?,
        at,
        methods: methods?,
        template: template?,
        scopes,
        body_bytes_max,
        durability,
        shape,
        is_forwarded,
    })
}

fn methods(section: &mut Section<'_>) -> Option<Methods> {
    section.need("methods", "methods = [\"GET\"], or [\"*\"] for all");
    let texts = section.texts("methods", 1..=METHODS.len())?;
    if let [only] = texts.as_slice()
        && only.text == "*"
    {
        return Some(Methods::Any);
    }
    let mut seen = BTreeSet::new();
    for text in &texts {
        let problem = method_problem(text.text, &mut seen);
        if let Some((problem, fix)) = problem {
            section.problems.error(text.at, format!("\"{}\" {problem}", text.text), fix);
        }
    }
    Some(Methods::Listed(texts.iter().map(|text| text.text.into()).collect()))
}

fn method_problem<'s>(
    method: &'s str,
    seen: &mut BTreeSet<&'s str>,
) -> Option<(&'static str, String)> {
    let upper = method.to_ascii_uppercase();
    match upper.as_str() {
        "*" => Some(("stands for all methods", "write methods = [\"*\"]".to_owned())),
        "CONNECT" | "TRACE" => Some(("is never forwarded", "take it out".to_owned())),
        known if METHODS.contains(&known) => {
            if known != method {
                Some(("is not upper-case", format!("write \"{known}\"")))
            } else if !seen.insert(method) {
                Some(("is listed twice", "take one out".to_owned()))
            } else {
                None
            }
        }
        other => Some(("is not a known method", suggest::fix(other, METHODS.into_iter()))),
    }
}

fn template(section: &mut Section<'_>) -> Option<Template> {
    section.need("path", "path = \"/…\", below the api's base path");
    let text = section.text("path")?;
    let refuse = |at: Place, problem: &str, fix: &str| {
        section.problems.error(at, problem, fix);
        None
    };
    if text.text.len() > TEMPLATE_BYTES_MAX {
        return refuse(text.at, "a path has at most 1024 bytes", "write a shorter one");
    }
    let template = match Template::parse(text.text) {
        Ok(template) => template,
        Err(error) => {
            let at = section.problems.byte_of(text.text, text.at, error.at);
            return refuse(at, error.problem, TEMPLATE_FIX);
        }
    };
    let literal = |segment: &&Segment| matches!(segment, Segment::Literal(_));
    let literals = template.segments.iter().filter(literal).count();
    if template.segments.len() - literals > PARAMETERS_MAX {
        return refuse(text.at, "a path has at most 16 parameters", "take some out");
    }
    Some(template)
}

const TEMPLATE_FIX: &str = "write a path like \"/payments/{id}\" or \"/files/{rest...}\"";

fn scopes(section: &mut Section<'_>) -> Box<[Scope]> {
    let texts = section.texts("scopes", 0..=SCOPES_MAX).unwrap_or_default();
    let mut seen = BTreeSet::new();
    let scope = |text: Text<'_>| {
        let Some(scope) = Scope::parse(text.text) else {
            let message = format!("\"{}\" is not a scope", text.text);
            let fix = "write 1 to 128 printable ASCII characters without space, '\"' and '\\'";
            section.problems.error(text.at, message, fix);
            return None;
        };
        if !seen.insert(scope.clone()) {
            let message = format!("\"{scope}\" is listed twice");
            section.problems.error(text.at, message, "take one out");
        }
        Some(scope)
    };
    texts.into_iter().filter_map(scope).collect()
}
