//! `[[api]]`: published operations behind one upstream.

use std::sync::Arc;

use super::super::diagnostic::Problems;
use super::super::names::Names;
use super::super::section::{self, Section};
use super::super::source::{Place, Sources};
use super::super::unit::Bytes;
use super::beside::Beside;
use super::files::Files;
use super::hosts::{self, Host};
use super::operations::{self, Asks, Draft};
use super::products::Products;
use super::tools::Told;
use super::{described, routes, shape};
use crate::model::api::{Access, Api, ApiFacts, BasePath, CredentialLocation, Operation};
use crate::model::id::{OperationId, UpstreamName, kind};
use crate::model::template::{Segment, Template, TemplateError};

const APIS_MAX: usize = 1000;
/// Longest base path, in bytes.
const BASE_PATH_BYTES_MAX: usize = 1024;
/// The gate's own operations are `mcp.tools/list` and the like.
const RESERVED: &str = "mcp";

/// An api with its operations and the hosts it is served under.
pub(super) struct Published {
    pub(super) api: Arc<Api>,
    pub(super) operations: Vec<(Arc<Operation>, Place)>,
    /// In the order of the operations.
    pub(super) tools: Vec<Told>,
    pub(super) hosts: Vec<Host>,
}

/// What an api refers to.
pub(super) struct Referred<'a, 's> {
    pub(super) upstreams: &'a Names,
    pub(super) products: &'a Products<'s>,
    /// For the documents among them.
    pub(super) sources: &'a Sources,
}

/// What an api refers to and adds to.
struct Known<'a, 's> {
    referred: Referred<'a, 's>,
    beside: Beside<'a>,
    operation_ids: &'a mut Names,
    /// Whether a product may list operations where nobody could read it.
    partial: bool,
}

/// In config order.
pub(super) fn apis(
    files: &mut Files<'_>,
    beside: Beside<'_>,
    referred: Referred<'_, '_>,
    operation_ids: &mut Names,
) -> Vec<Published> {
    let mut names = files.names("api");
    let sections = files.tables("api", APIS_MAX);
    let mut known = Known { referred, beside, operation_ids, partial: files.partial };
    let read = |section| api(section, &mut names, &mut known);
    sections.into_iter().filter_map(read).collect()
}

fn api(
    mut section: Section<'_>,
    names: &mut Names,
    known: &mut Known<'_, '_>,
) -> Option<Published> {
    let name = api_name(&mut section, names);
    let at = name.as_ref().map_or(section.at, |name| name.text.at);
    let name = name.map(|named| named.name);
    let hosts = hosts::hosts(&mut section, at);
    let root = Some(BasePath::new("/"));
    let base = base_path(&mut section, "base_path", root);
    let upstream_base = base_path(&mut section, "upstream_base_path", base.clone());
    let access = access(&mut section);
    let credential = credential(&mut section);
    let body_bytes_max = section.quantity("body_bytes_max", operations::BODY_BYTES);
    let body_bytes_max = body_bytes_max.unwrap_or(Bytes::mib(16)).0;
    let rules = shape::rules(&mut section).boxed();
    let shape = shape::of_api(&mut section).boxed();
    let mut described = described::described(&mut section, known.referred.sources, known.beside);
    let (document_at, withheld) = (described.at, described.withheld());
    let to = operations::Surroundings {
        api: name.as_ref(),
        beside: known.beside,
        ids: &mut *known.operation_ids,
    };
    let drafts = operations::operations(&mut section, described, to);
    let upstream = upstream(&mut section, known.referred.upstreams, &drafts);
    let problems = section.problems;
    section.finish();

    // An api that does not say its access is refused, after its paths were looked at too.
    let facts = ApiFacts { name: name?, access: access.unwrap_or(Access::Granted) };
    let facts = Arc::new(facts);
    if access == Some(Access::Public) {
        tell_unasked(&drafts, document_at, problems);
    }
    let needs_grant = access == Some(Access::Granted) && !known.partial;
    let mut ungranted = Vec::new();
    let (mut operations, mut tools) = (Vec::new(), Vec::new());
    for draft in drafts {
        let products = known.referred.products.containing(&draft.id);
        if needs_grant && products.is_none() {
            match document_at.filter(|_| draft.is_described()) {
                Some(_) => ungranted.push(draft.id.clone()),
                None => tell_ungranted(draft.at, &[&draft.id], problems),
            }
        }
        let at = draft.at;
        let (operation, told) =
            draft.into_operation(&facts, body_bytes_max, products.unwrap_or_default());
        operations.push((Arc::new(operation), at));
        tools.push(told);
    }
    if let Some(at) = document_at {
        tell_ungranted(at, &ungranted.iter().collect::<Vec<_>>(), problems);
    }
    let paths = routes::index(&operations, &withheld, problems);
    let api = Api {
        name: facts.name.clone(),
        access: access?,
        upstream: upstream?,
        base_path: base?,
        upstream_base_path: upstream_base?,
        credential,
        rules,
        shape,
        paths,
    };
    Some(Published { api: Arc::new(api), operations, tools, hosts })
}

/// New operations join no product by themselves. A document may have a thousand: they are told in one
/// warning.
fn tell_ungranted(at: Place, ids: &[&OperationId], problems: &Problems<'_>) {
    let message = match ids {
        [] => return,
        [id] => format!("\"{id}\" is in no product: every call of it is denied"),
        ids => format!(
            "{} operations are in no product, and every call of them is denied: {}",
            ids.len(),
            listed(ids)
        ),
    };
    let what = if ids.len() > 1 { "them" } else { "it" };
    problems.warning(at, message, format!("list {what} in the operations of a [[product]]"));
}

/// Nobody is asked for a scope where anyone may call: whoever wrote scopes thinks otherwise.
fn tell_unasked(drafts: &[Draft], document_at: Option<Place>, problems: &Problems<'_>) {
    let tell = |at, ids: &[&OperationId], fix| {
        let message = match ids {
            [] => return,
            [id] => format!("\"{id}\" asks for scopes, which nobody needs in a public api"),
            ids => format!(
                "{} operations ask for scopes, which nobody needs in a public api: {}",
                ids.len(),
                listed(ids)
            ),
        };
        problems.error(at, message, fix);
    };
    let mut described = Vec::new();
    for draft in drafts {
        match draft.asks() {
            Asks::ByConfig(at) => {
                tell(at, &[&draft.id], "write access = \"granted\", or take it out");
            }
            Asks::ByDocument => described.push(&draft.id),
            Asks::Nothing => {}
        }
    }
    if let Some(at) = document_at {
        let fix = "write access = \"granted\", or scopes = [] in an [[api.operation]] for each";
        tell(at, &described, fix);
    }
}

fn listed(ids: &[&OperationId]) -> String {
    let named: Vec<_> = ids.iter().take(NAMED_MAX).map(|id| id.as_str()).collect();
    let more = if ids.len() > named.len() { ", …" } else { "" };
    format!("{}{more}", named.join(", "))
}

/// Most operations that one message names.
const NAMED_MAX: usize = 3;

fn api_name<'s>(
    section: &mut Section<'s>,
    names: &mut Names,
) -> Option<section::Named<'s, kind::Api>> {
    let found: section::Named<'s, kind::Api> = section.name("name")?;
    let text = found.text;
    names.declare(text.text, text.at, section.problems);
    if text.text == RESERVED {
        let message = format!("the name \"{RESERVED}\" is kept for operations of the gate");
        section.problems.error(text.at, message, "choose another name");
    }
    Some(found)
}

/// The outer None: it is missing or bad; the inner: the gate answers every operation itself.
#[expect(clippy::option_option, reason = "a fault is not the same as none")]
fn upstream(
    section: &mut Section<'_>,
    known: &Names,
    drafts: &[Draft],
) -> Option<Option<UpstreamName>> {
    let text = section.text("upstream");
    if drafts.is_empty() || drafts.iter().any(|draft| draft.is_forwarded) {
        section.need("upstream", "upstream = \"…\", the name of an [[upstream]]");
    } else if section.lacks("upstream") {
        return Some(None);
    }
    known.refer(text?, section.problems);
    UpstreamName::parse(text?.text).ok().map(Some)
}

fn access(section: &mut Section<'_>) -> Option<Access> {
    // There is no default: who may call is never left unsaid.
    let example = "access = \"granted\" (clients with a grant) or access = \"public\" (anyone)";
    section.need("access", example);
    section.choice("access", &[("granted", Access::Granted), ("public", Access::Public)])
}

/// Where keys are looked for, in the order given.
fn credential(section: &mut Section<'_>) -> Box<[CredentialLocation]> {
    let choices = [
        ("authorization", CredentialLocation::Authorization),
        ("x-api-key", CredentialLocation::XApiKey),
    ];
    let Some(values) = section.list("credential", 1..=choices.len()) else {
        return choices.map(|(_, location)| location).into();
    };
    let mut locations = Vec::new();
    for value in values {
        let Some(location) = value.choice(&choices) else { continue };
        if locations.contains(&location) {
            section.problems.error(value.at, "this header is listed twice", "take one out");
        }
        locations.push(location);
    }
    locations.into()
}

/// A canonical path: a path template without parameters. None when it is there and bad.
fn base_path(
    section: &mut Section<'_>,
    key: &'static str,
    default: Option<BasePath>,
) -> Option<BasePath> {
    let text = section.text(key);
    if section.lacks(key) {
        return default;
    }
    let text = text?;
    let problem = match Template::parse(text.text) {
        Ok(template) => {
            let literal = |segment: &Segment| matches!(segment, Segment::Literal(_));
            let at = text.text.find('{').unwrap_or_default();
            let parameters = TemplateError { at, problem: "a base path has no parameters" };
            (!template.segments.iter().all(literal)).then_some(parameters)
        }
        Err(error) => Some(error),
    };
    let too_long = TemplateError { at: 0, problem: "a base path has at most 1024 bytes" };
    let problem = problem.or((text.text.len() > BASE_PATH_BYTES_MAX).then_some(too_long));
    if let Some(TemplateError { at, problem }) = problem {
        let at = section.problems.byte_of(text.text, text.at, at);
        section.problems.error(at, problem, format!("write {key} = \"/\" or \"/a/b\""));
        return None;
    }
    Some(BasePath::new(text.text))
}
