//! The hosts of apis, and the index that finds an api by host and base path.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::sync::Arc;

use super::super::diagnostic::Problems;
use super::super::section::{Section, Text};
use super::super::source::Place;
use super::apis::Published;
use crate::model::api::{Api, HostIndex};

/// Most hosts of one api.
const HOSTS_MAX: usize = 256;

/// A host that an api is served under.
pub(super) struct Host {
    pattern: Pattern,
    at: Place,
}

impl Host {
    /// Whether it stands for a host in lower case.
    pub(super) fn matches(&self, host: &str) -> bool {
        match &self.pattern {
            Pattern::Any => true,
            Pattern::Exact(exact) => **exact == *host,
            Pattern::Below(suffix) => host.len() > suffix.len() && host.ends_with(&**suffix),
        }
    }

    /// The one host that it stands for.
    pub(super) fn exact(&self) -> Option<&str> {
        match &self.pattern {
            Pattern::Exact(exact) => Some(exact),
            Pattern::Any | Pattern::Below(_) => None,
        }
    }
}

#[derive(Eq, Ord, PartialEq, PartialOrd)]
enum Pattern {
    /// No `hosts`: every one.
    Any,
    Exact(Box<str>),
    /// With the dot, without the `*`.
    Below(Box<str>),
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any host"),
            Self::Exact(host) => write!(f, "host \"{host}\""),
            Self::Below(suffix) => write!(f, "host \"*{suffix}\""),
        }
    }
}

/// The hosts of an api; one that stands for any when the key is left out.
pub(super) fn hosts(section: &mut Section<'_>, api: Place) -> Vec<Host> {
    let texts = section.texts("hosts", 1..=HOSTS_MAX).unwrap_or_default();
    if section.lacks("hosts") {
        return vec![Host { pattern: Pattern::Any, at: api }];
    }
    let pattern = |text: Text<'_>| Some(Host { pattern: pattern(text, section)?, at: text.at });
    texts.into_iter().filter_map(pattern).collect()
}

/// Puts every api under its hosts; two that answer for the same are an error.
pub(super) fn index(apis: &[Published], problems: &Problems<'_>) -> HostIndex {
    let mut taken: BTreeMap<(&Pattern, &str), (Place, &Arc<Api>)> = BTreeMap::new();
    let mut by_pattern: BTreeMap<&Pattern, Vec<Arc<Api>>> = BTreeMap::new();
    for Published { api, hosts, .. } in apis {
        for Host { pattern, at } in hosts {
            let key = (pattern, api.base_path.as_prefix());
            match taken.get(&key) {
                None => {
                    taken.insert(key, (*at, api));
                    by_pattern.entry(pattern).or_default().push(Arc::clone(api));
                }
                Some((_, other)) if Arc::ptr_eq(other, api) => {
                    problems.error(*at, "this host is listed twice", "take one out");
                }
                Some((first, other)) => {
                    let (path, first) = (&api.base_path, problems.locate(*first));
                    let message = format!(
                        "{pattern} with base path {path} leads to api \"{}\" already ({first})",
                        other.name
                    );
                    problems.error(*at, message, "change the host or the base path of one");
                }
            }
        }
    }
    let mut index = HostIndex::default();
    for (pattern, mut apis) in by_pattern {
        // Of two base paths that hold a path, one holds the other: the longer is meant.
        apis.sort_by_key(|api| std::cmp::Reverse(api.base_path.as_prefix().len()));
        match pattern {
            Pattern::Any => index.any = apis,
            Pattern::Exact(host) => {
                index.exact.insert(host.clone(), apis);
            }
            Pattern::Below(suffix) => index.wildcard.push((suffix.clone(), apis)),
        }
    }
    index.wildcard.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
    index
}

/// A name that DNS can hold, in any case: 253 bytes, labels of 63. A name that ends in a number
/// is none, because resolvers read it as an address.
pub(super) fn is_dns_name(text: &str) -> bool {
    let label = |label: &str| {
        let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        let fits = (1..=63).contains(&label.len());
        fits && label.bytes().all(good) && !label.starts_with('-') && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    let number = last.bytes().all(|b| b.is_ascii_digit());
    text.len() <= 253 && text.split('.').all(label) && !number
}

fn pattern(text: Text<'_>, section: &Section<'_>) -> Option<Pattern> {
    let host = text.text.to_ascii_lowercase();
    if let Some(name) = host.strip_prefix("*.").filter(|name| is_dns_name(name)) {
        return Some(Pattern::Below(format!(".{name}").into()));
    }
    if is_dns_name(&host) || host.parse::<Ipv4Addr>().is_ok() {
        return Some(Pattern::Exact(host.into()));
    }
    let without_port = host.rsplit_once(':').filter(|(name, _)| is_dns_name(name));
    let fix = match without_port {
        Some((name, _)) => format!("write \"{name}\": a host has no port"),
        None if host == "*" => "leave hosts out: the api is then served under any".to_owned(),
        None if !host.is_ascii() => "write the name in its ASCII form (xn--…)".to_owned(),
        None => "write \"api.example.com\" or \"*.example.com\"".to_owned(),
    };
    let message = format!("\"{}\" is not a host name", text.text);
    section.problems.error(text.at, message, fix);
    None
}
