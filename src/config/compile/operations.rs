//! `[[api.operation]]`: the things to do that an api publishes.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::{Arc, OnceLock};

use super::super::diagnostic::Problems;
use super::super::names::Names;
use super::super::section::{Named, Section, Text};
use super::super::source::Place;
use super::super::suggest;
use super::super::unit::Bytes;
use super::beside::Beside;
use super::described::Document;
use super::shape;
use super::tools::{self, Told, ToolKey};
use crate::catalogue::Source;
use crate::model::api::{ApiFacts, Durability, Metering, Methods, Operation};
use crate::model::id::{ApiName, OperationId, ProductName, Scope, kind};
use crate::model::shape::OperationShape;
use crate::model::template::{PARAMETERS_MAX, Segment, TEMPLATE_BYTES_MAX, Template};
use crate::openapi::Described;

/// Most operations of one api, and scopes of one operation.
const OPERATIONS_MAX: usize = 10_000;
const SCOPES_MAX: usize = 32;
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
    /// None: they are its document's, or there are none.
    scopes_at: Option<Place>,
    /// None: the api's.
    body_bytes_max: Option<u64>,
    durability: Durability,
    shape: Option<Box<OperationShape>>,
    /// Not answered by the gate itself, were it with a fault.
    pub(super) is_forwarded: bool,
    told: Told,
}

impl Draft {
    /// Whether a document has it.
    pub(super) const fn is_described(&self) -> bool {
        matches!(self.told.source, Source::Document(_))
    }

    pub(super) fn asks(&self) -> Asks {
        match self.scopes_at {
            _ if self.scopes.is_empty() => Asks::Nothing,
            Some(at) => Asks::ByConfig(at),
            None => Asks::ByDocument,
        }
    }

    pub(super) fn into_operation(
        self,
        api: &Arc<ApiFacts>,
        body_bytes_max: u64,
        products: &[ProductName],
    ) -> (Operation, Told) {
        let operation = Operation {
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
        };
        (operation, self.told)
    }
}

/// Who says which scopes an operation asks for.
pub(super) enum Asks {
    Nothing,
    /// Where.
    ByConfig(Place),
    ByDocument,
}

/// What operations are read for and add to.
pub(super) struct Surroundings<'a> {
    /// None: it was bad, and its operations are only checked.
    pub(super) api: Option<&'a ApiName>,
    pub(super) beside: Beside<'a>,
    pub(super) ids: &'a mut Names,
}

/// The operations of an api: those of its document in its order, refined by what the config says of
/// them, then those that only the config has.
pub(super) fn operations(
    section: &mut Section<'_>,
    mut document: Document,
    mut to: Surroundings<'_>,
) -> Vec<Draft> {
    if to.api.is_none() || document.partial {
        to.ids.allow_unknown();
    }
    let sections = section.tables("operation");
    check_count(section, &sections, &document);
    let (mut described, mut own) = (Vec::new(), Vec::new());
    for section in sections {
        match operation(section, &mut document, &mut to) {
            (Some(position), Some(draft)) => described.push((position, draft)),
            (None, Some(draft)) => own.push(draft),
            (_, None) => {}
        }
    }
    for (position, operation) in document.rest() {
        let at = document.place(&operation);
        let draft = described_draft(operation, at, &mut to, section.problems);
        described.extend(draft.map(|draft| (position, draft)));
    }
    described.sort_by_key(|(position, _)| *position);
    described.into_iter().map(|(_, draft)| draft).chain(own).collect()
}

fn check_count(section: &Section<'_>, sections: &[Section<'_>], document: &Document) {
    let most = OPERATIONS_MAX.saturating_sub(document.len());
    let extra = sections.get(most).map(|extra| extra.at);
    let extra = extra.or(document.at.filter(|_| document.len() > OPERATIONS_MAX));
    if let Some(at) = extra {
        let message = format!("more than {OPERATIONS_MAX} operations in one api");
        section.problems.error(at, message, "split the api by base path");
    }
    if sections.is_empty() && section.lacks("operation") && section.lacks("openapi") {
        let fix = "add [[api.operation]] with an id, methods and a path, or openapi = \"…\"";
        section.problems.error(section.at, "the api has no operations", fix);
    }
}

/// With its position in the document, if that has it.
fn operation(
    mut section: Section<'_>,
    document: &mut Document,
    to: &mut Surroundings<'_>,
) -> (Option<usize>, Option<Draft>) {
    let named: Option<Named<'_, kind::Operation>> = section.name("id");
    let at = named.as_ref().map_or(section.at, |named| named.text.at);
    let described = named.as_ref().and_then(|named| document.take(named.text.text));
    let (position, described) = described.unzip();
    let is_described = named.as_ref().is_some_and(|named| document.has(named.text.text));
    let is_repeated = is_described && described.is_none();
    let id = named.zip(to.api);
    let id = id.and_then(|(named, api)| OperationId::join(api, named.text.text).ok());
    match &id {
        Some(id) => to.ids.declare(id.as_str(), at, section.problems),
        None => to.ids.allow_unknown(),
    }
    let (methods, template) = match &described {
        None if is_repeated => {
            // It was told as defined twice; these keys are known all the same.
            section.value("methods");
            section.value("path");
            (None, None)
        }
        None => (methods(&mut section), template(&mut section)),
        Some(described) => refined(&mut section, described),
    };
    let scopes_at = section.place("scopes");
    let scopes = match &described {
        Some(described) if scopes_at.is_none() => {
            described_scopes(described, document.place(described), section.problems)
        }
        Some(_) | None => scopes(&mut section),
    };
    let body_bytes_max = section.quantity("body_bytes_max", BODY_BYTES);
    let body_bytes_max = body_bytes_max.map(|bytes| bytes.0);
    let durability = section.choice("audit", &DURABILITIES).unwrap_or_default();
    let key = tools::tool(&mut section);
    let is_forwarded = section.place("redirect").or(section.place("respond")).is_none();
    let shape = shape::of_operation(&mut section, template.as_ref(), to.beside).boxed();
    section.finish();
    let source = described.map_or(Source::Config, |described| Source::Document(described.form));
    let told = Told { key, source };
    let draft = id.zip(methods).zip(template).map(|((id, methods), template)| Draft {
        id,
        at,
        methods,
        template,
        scopes,
        scopes_at,
        body_bytes_max,
        durability,
        shape,
        is_forwarded,
        told,
    });
    (position, draft)
}

/// What nobody refined.
fn described_draft(
    described: Described,
    at: Place,
    to: &mut Surroundings<'_>,
    problems: &Problems<'_>,
) -> Option<Draft> {
    let scopes = described_scopes(&described, at, problems);
    let id = OperationId::join(to.api?, &described.id).ok()?;
    to.ids.declare(id.as_str(), at, problems);
    Some(Draft {
        id,
        at,
        methods: methods_of(&described),
        template: described.template,
        scopes,
        scopes_at: None,
        body_bytes_max: None,
        durability: Durability::default(),
        shape: None,
        is_forwarded: true,
        told: Told { key: ToolKey::default(), source: Source::Document(described.form) },
    })
}

fn methods_of(described: &Described) -> Methods {
    Methods::Listed(Box::new([described.method.as_str().into()]))
}

/// The document's methods and path: the config may say them too, for whoever reads it.
fn refined(
    section: &mut Section<'_>,
    described: &Described,
) -> (Option<Methods>, Option<Template>) {
    let told = [
        ("methods", section.lacks("methods") || methods(section) == Some(methods_of(described))),
        ("path", section.lacks("path") || template(section).as_ref() == Some(&described.template)),
    ];
    for (key, is_same) in told {
        // Asked for: it is known, be it there or not.
        if let Some(value) = section.value(key).filter(|_| !is_same) {
            let (method, path) = (&described.method, &described.template);
            let message = format!("the document has {method} {path} for this operation");
            section.problems.error(value.at, message, format!("take \"{key}\" out"));
        }
    }
    (Some(methods_of(described)), Some(described.template.clone()))
}

/// Whoever cannot hold a scope that the document asks for is told before anyone is denied.
fn described_scopes(described: &Described, at: Place, problems: &Problems<'_>) -> Box<[Scope]> {
    let scopes = described.scopes.iter().filter_map(|text| {
        let scope = Scope::parse(text);
        if scope.is_none() {
            let message = format!("\"{text}\" is not a scope");
            problems.error(at, message, "write \"scopes\" for it in an [[api.operation]]");
        }
        scope
    });
    let scopes: Box<[Scope]> = scopes.collect();
    if scopes.len() > SCOPES_MAX {
        let message =
            format!("the document asks for {} scopes, and {SCOPES_MAX} are the most", scopes.len());
        problems.error(at, message, "write \"scopes\" for it in an [[api.operation]]");
    }
    scopes
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
