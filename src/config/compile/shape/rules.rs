//! `ip`, `blocked_paths`, `required_headers`, `forbidden_headers` and `content_types` of an api.

use http::{HeaderName, header};
use ipnet::IpNet;

use super::super::super::section::{Section, Text};
use super::super::server::network;
use super::{compression, names};
use crate::model::shape::glob::Glob;
use crate::model::shape::media::MediaRange;
use crate::model::shape::rules::{Addresses, Rules};

const NETWORKS_MAX: usize = 256;
const PATTERNS_MAX: usize = 32;
/// Longest pattern, in bytes. With the bound on targets it bounds the work for one request.
const PATTERN_BYTES_MAX: usize = 128;
const NAMES_MAX: usize = 32;
const TYPES_MAX: usize = 64;

pub(super) fn rules(section: &mut Section<'_>) -> Rules {
    Rules {
        addresses: addresses(section.table("ip")),
        blocked_paths: blocked_paths(section),
        required_headers: named(section, "required_headers"),
        forbidden_headers: named(section, "forbidden_headers"),
        content_types: content_types(section),
    }
}

fn addresses(mut section: Section<'_>) -> Addresses {
    let mut networks = |key| -> Box<[IpNet]> {
        let texts = section.texts(key, 0..=NETWORKS_MAX).unwrap_or_default();
        texts.into_iter().filter_map(|text| network(text, &section)).collect()
    };
    let (allow, deny) = (networks("allow"), networks("deny"));
    section.finish();
    Addresses { allow, deny }
}

fn blocked_paths(section: &mut Section<'_>) -> Box<[Glob]> {
    let texts = section.texts("blocked_paths", 0..=PATTERNS_MAX).unwrap_or_default();
    texts.into_iter().filter_map(|text| pattern(text, section)).collect()
}

fn pattern(text: Text<'_>, section: &Section<'_>) -> Option<Glob> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%".contains(&b);
    let mut segments = text.text.split('/').skip(1);
    let last = text.text.rsplit('/').next().unwrap_or_default();
    let misplaced = |segment: &str| segment.contains("**") && segment != "**";
    let empty = text.text.contains("//");
    let dots = segments.clone().any(|segment| segment == "." || segment == "..");
    let problem = if !text.text.starts_with('/') {
        Some(("a pattern starts with '/'", "write \"/**/.git/**\""))
    } else if text.text.len() > PATTERN_BYTES_MAX {
        Some(("a pattern has at most 128 bytes", "write a shorter one"))
    } else if empty || dots {
        Some(("no path has an empty or a dot segment", "take the segment out"))
    } else if segments.any(misplaced) || misplaced(last) {
        Some(("\"**\" is a whole segment", "write \"/**/\", or \"*\" for part of a segment"))
    } else if !text.text.split('/').all(|segment| segment.bytes().all(good)) {
        let fix = "write unreserved characters and !$&'()*+,;=:@, others as %XX";
        Some(("a pattern holds only characters of paths", fix))
    } else {
        None
    };
    if let Some((problem, fix)) = problem {
        section.problems.error(text.at, problem, fix);
        return None;
    }
    Some(Glob::new(text.text))
}

fn named(section: &mut Section<'_>, key: &'static str) -> Box<[HeaderName]> {
    let names = names::names(section, key, NAMES_MAX).unwrap_or_default();
    for (name, text) in &names {
        if *name == header::HOST {
            let message = "every request has a Host";
            section.problems.error(text.at, message, "take it out");
        }
    }
    names.into_iter().map(|(name, _)| name).collect()
}

fn content_types(section: &mut Section<'_>) -> Box<[MediaRange]> {
    let texts = section.texts("content_types", 0..=TYPES_MAX).unwrap_or_default();
    texts.into_iter().filter_map(|text| compression::media_range(text, section)).collect()
}
