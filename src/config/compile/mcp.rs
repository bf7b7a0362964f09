//! `[mcp]`: the endpoint for agents, which is on unless it is switched off. It takes one path from the
//! apis, and that is told.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use super::super::section::{Section, Text};
use super::super::source::Place;
use super::super::unit::Bytes;
use super::apis::Published;
use super::hosts::is_dns_name;
use super::shape;
use crate::model::api::{BasePath, Operation};
use crate::model::id::ProductName;
use crate::model::mcp::{Entrance, Mcp, McpBounds, Presentation};
use crate::model::template::{Segment, Template};
use crate::model::tool::Catalogue;

/// Longest path, in bytes.
const PATH_BYTES_MAX: usize = 1024;
const HOSTS_MAX: usize = 256;
const ORIGINS_MAX: usize = 256;
const DEFAULT_PATH: &str = "/mcp";

#[derive(Clone, Copy, Eq, PartialEq)]
enum Switched {
    On,
    Off,
}

/// None: it is switched off.
pub(super) fn mcp(
    mut section: Section<'_>,
    (apis, products): (&[Published], &[ProductName]),
    catalogue: Catalogue,
) -> Option<Mcp> {
    let switched = section.choice("endpoint", &[("on", Switched::On), ("off", Switched::Off)]);
    let hosts = section.texts("hosts", 0..=HOSTS_MAX).unwrap_or_default();
    let hosts = hosts.into_iter().filter_map(|text| host(text, &section)).collect();
    let origins = section.texts("origins", 0..=ORIGINS_MAX).unwrap_or_default();
    let origins = origins.into_iter().filter_map(|text| origin(text, &section)).collect();
    let entrance = Entrance { path: path(&mut section), hosts, origins };
    let bounds = bounds(&mut section);
    let shown = Presentation::ALL.map(|presentation| (presentation.as_str(), presentation));
    let presentation = section.choice("presentation", &shown).unwrap_or_default();
    let is_on = switched != Some(Switched::Off);
    if is_on {
        tell_taken(&entrance, (apis, products), &section);
    }
    section.finish();
    is_on.then(|| Mcp::new(entrance, bounds, presentation, catalogue))
}

fn bounds(section: &mut Section<'_>) -> McpBounds {
    let size = |size: Bytes| usize::try_from(size.0).unwrap_or(usize::MAX);
    McpBounds {
        message_bytes_max: section
            .quantity("message_bytes_max", Bytes::kib(1)..=Bytes::mib(16))
            .map_or(1 << 20, size),
        result_bytes_max: section
            .quantity("result_bytes_max", Bytes::kib(1)..=Bytes::mib(16))
            .map_or(48 << 10, size),
        stream_after: section
            .quantity("stream_after", Duration::ZERO..=Duration::from_mins(10))
            .unwrap_or(Duration::from_secs(5)),
        keep_alive: section
            .quantity("keep_alive", SECOND..=Duration::from_mins(1))
            .unwrap_or(Duration::from_secs(15)),
        collect_for: section
            .quantity("collect_for", Duration::from_millis(100)..=Duration::from_mins(10))
            .unwrap_or(Duration::from_secs(10)),
        listeners_max: section.integer("listeners_max", 0..=1000).unwrap_or(16),
        listen_for: section
            .quantity("listen_for", SECOND..=Duration::from_hours(24))
            .unwrap_or(Duration::from_hours(1)),
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// A canonical path that is not the root; the default when it is bad, which was reported.
fn path(section: &mut Section<'_>) -> Box<str> {
    let Some(text) = section.text("path") else { return DEFAULT_PATH.into() };
    let literal = |segment: &Segment| matches!(segment, Segment::Literal(text) if !text.is_empty());
    let problem = match Template::parse(text.text) {
        Err(error) => Some((error.at, error.problem)),
        Ok(_) if text.text.len() > PATH_BYTES_MAX => Some((0, "a path has at most 1024 bytes")),
        Ok(template) if template.segments.is_empty() => {
            Some((0, "the endpoint has a path of its own, not the root"))
        }
        Ok(template) if !template.segments.iter().all(literal) => {
            Some((0, "this path has no parameters and no slash at its end"))
        }
        Ok(_) => return text.text.into(),
    };
    if let Some((at, problem)) = problem {
        let at = section.problems.byte_of(text.text, text.at, at);
        section.problems.error(at, problem, "write path = \"/mcp\" or \"/a/mcp\"");
    }
    DEFAULT_PATH.into()
}

fn host(text: Text<'_>, section: &Section<'_>) -> Option<Box<str>> {
    let host = text.text.to_ascii_lowercase();
    if is_dns_name(&host) || host.parse::<Ipv4Addr>().is_ok() {
        return Some(host.into());
    }
    let message = format!("\"{}\" is not a host name", text.text);
    let fix = "write \"mcp.example.com\", without a port and without '*'";
    section.problems.error(text.at, message, fix);
    None
}

fn origin(text: Text<'_>, section: &Section<'_>) -> Option<Box<str>> {
    if text.text == "*" {
        let message = "no page calls the endpoint but those that are listed";
        section.problems.error(text.at, message, "write \"https://app.example.com\"");
        return None;
    }
    shape::origin(text, section)
}

/// The endpoint is asked before the apis are. Nobody can want an operation that is at its very path, or at the name of
/// a product right below; one that covers these among others is worth a word to those who never wrote `[mcp]`.
fn tell_taken(
    entrance: &Entrance,
    (apis, products): (&[Published], &[ProductName]),
    section: &Section<'_>,
) {
    let path = &entrance.path;
    for published in apis.iter().filter(|published| shares_a_host(published, &entrance.hosts)) {
        let base = &published.api.base_path;
        let is_literal = |operation: &Operation| {
            let mut segments = operation.template.segments.iter();
            segments.all(|segment| matches!(segment, Segment::Literal(_)))
        };
        let taken =
            published.operations.iter().filter(|(of, _)| is_taken(path, products, base, of));
        let taken: Vec<&(Arc<Operation>, Place)> = taken.collect();
        let worst = taken.iter().find(|(operation, _)| is_literal(operation)).or(taken.first());
        let Some((operation, at)) = worst else { continue };
        let id = &operation.id;
        if is_literal(operation) {
            let message =
                format!("\"{id}\" has a path of the MCP endpoint, {path} or {path}/PRODUCT");
            let fix = "give the endpoint another path in [mcp], or write endpoint = \"off\" there";
            section.problems.error(*at, message, fix);
        } else if !section.is_there() {
            let message = format!(
                "the MCP endpoint takes {path} and {path}/PRODUCT, which \"{id}\" covers too"
            );
            let fix = "write [mcp] to say that it shall, with another path, or endpoint = \"off\"";
            section.problems.warning(*at, message, fix);
        }
    }
}

/// Whether some request for an operation is one for the endpoint, at its path or one segment below that is the name of
/// a product.
fn is_taken(path: &str, products: &[ProductName], base: &BasePath, operation: &Operation) -> bool {
    let base = base.as_prefix().split('/').skip(1).map(Piece::Literal);
    let template = operation.template.segments.iter().map(Piece::of);
    let mut pieces = base.chain(template);
    for segment in path.split('/').skip(1) {
        match pieces.next() {
            Some(Piece::Literal(text)) if text == segment => {}
            Some(Piece::Any) => {}
            Some(Piece::Rest) => return true,
            Some(Piece::Literal(_)) | None => return false,
        }
    }
    match (pieces.next(), pieces.next()) {
        (None, _) => true,
        (Some(Piece::Literal(text)), None) => products.iter().any(|name| name.as_str() == text),
        (Some(Piece::Any | Piece::Rest), None) => !products.is_empty(),
        (Some(_), Some(_)) => false,
    }
}

/// A segment of an operation's whole path.
#[derive(Clone, Copy)]
enum Piece<'p> {
    Literal(&'p str),
    Any,
    Rest,
}

impl<'p> Piece<'p> {
    fn of(segment: &'p Segment) -> Self {
        match segment {
            Segment::Literal(text) => Self::Literal(text),
            Segment::Parameter(_) => Self::Any,
            Segment::Tail(_) => Self::Rest,
        }
    }
}

/// Whether both are under some host.
fn shares_a_host(published: &Published, hosts: &[Box<str>]) -> bool {
    let mut patterns = published.hosts.iter();
    hosts.is_empty() || patterns.any(|pattern| hosts.iter().any(|host| pattern.matches(host)))
}
