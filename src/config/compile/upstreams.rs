//! `[[upstream]]`: services behind the gate. Names of endpoints are checked here and looked up by
//! the edge.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;

use super::super::names::Names;
use super::super::section::{Section, Text, TextOrTable, Value};
use super::balancing;
use super::files::Files;
use super::hosts::is_dns_name;
use super::transport;
use super::trust::TrustFiles;
use crate::model::id::UpstreamName;
use crate::model::upstream::{Endpoint, Location, Timeouts, Upstream};

/// Most upstreams, and most endpoints of one.
const UPSTREAMS_MAX: usize = 1000;
const ENDPOINTS_MAX: usize = 256;

pub(super) fn upstreams(
    files: &mut Files<'_>,
    names: &mut Names,
    certificates: &TrustFiles<'_>,
) -> AHashMap<UpstreamName, Arc<Upstream>> {
    let sections = files.tables("upstream", UPSTREAMS_MAX);
    let read = |section| upstream(section, names, certificates);
    let upstreams = sections.into_iter().filter_map(read);
    upstreams.map(|upstream| (upstream.name.clone(), Arc::new(upstream))).collect()
}

fn upstream(
    mut section: Section<'_>,
    names: &mut Names,
    certificates: &TrustFiles<'_>,
) -> Option<Upstream> {
    let name = section.name("name");
    match &name {
        Some(name) => names.declare(name.text.text, name.text.at, section.problems),
        None => names.allow_unknown(),
    }
    let endpoints = endpoints(&mut section);
    let timeouts = timeouts(section.table("timeouts"));
    let retries = section.integer("retries", 0..=5).unwrap_or(2);
    let keepalive = section.quantity("keepalive", Duration::ZERO..=HOUR);
    let transport = transport::transport(&mut section, endpoints.as_deref(), certificates);
    let retry_budget = balancing::retry_budget(section.table("retry_budget"));
    let balance = balancing::balance(&mut section);
    let connections_max = section.integer("connections_max", 1..=1_000_000);
    let check = balancing::health(section.table("health"));
    let ejection = balancing::ejection(section.table("ejection"));
    let panic_threshold = section.integer("panic_threshold", 0..=100).unwrap_or(50);
    if retries == 0
        && let Some(at) = section.place("retry_budget")
    {
        let message = "without retries a budget for them means nothing";
        section.problems.error(at, message, "take it out, or raise \"retries\"");
    }
    if check.is_none()
        && ejection.failures == 0
        && let Some(at) = section.place("panic_threshold")
    {
        let message = "without checks and ejection every endpoint is healthy";
        section.problems.error(at, message, "take it out, or add [upstream.health]");
    }
    section.finish();
    Some(Upstream {
        name: name?.name,
        endpoints: endpoints?,
        timeouts,
        retries,
        retry_budget,
        keepalive: keepalive.unwrap_or(Duration::from_secs(55)),
        transport: transport?,
        balance,
        connections_max,
        check,
        ejection,
        panic_threshold,
    })
}

fn timeouts(mut section: Section<'_>) -> Timeouts {
    let timeouts = Timeouts {
        connect: section.quantity("connect", SHORTEST..=MINUTE).unwrap_or(Duration::from_secs(5)),
        first_byte: section.quantity("first_byte", SHORTEST..=HOUR).unwrap_or(MINUTE),
        idle: section.quantity("idle", SHORTEST..=DAY).unwrap_or(MINUTE),
        total: section.quantity("total", SHORTEST..=DAY).unwrap_or(HOUR),
    };
    section.finish();
    timeouts
}

fn endpoints(section: &mut Section<'_>) -> Option<Box<[Endpoint]>> {
    section.need("endpoints", "endpoints = [\"10.0.0.1:8080\"]");
    let values = section.list("endpoints", 1..=ENDPOINTS_MAX)?;
    let mut seen = BTreeSet::new();
    let mut endpoints = Vec::new();
    for value in &values {
        let Some(endpoint) = endpoint(value) else { continue };
        if !seen.insert(endpoint.location.clone()) {
            let fix = "take one out, or give the first a weight";
            section.problems.error(value.at, "this endpoint is listed twice", fix);
        }
        endpoints.push(endpoint);
    }
    Some(endpoints.into())
}

fn endpoint(value: &Value<'_>) -> Option<Endpoint> {
    match value.text_or_table("\"10.0.0.1:8080\" or { address = \"10.0.0.1:8080\", weight = 3 }")? {
        TextOrTable::Text(text) => Some(Endpoint { location: location(text, value)?, weight: 1 }),
        TextOrTable::Table(mut section) => {
            section.need("address", "address = \"10.0.0.1:8080\"");
            let location = section.text("address").and_then(|text| location(text, value));
            let weight = section.integer("weight", 1..=100).unwrap_or(1);
            section.finish();
            Some(Endpoint { location: location?, weight })
        }
    }
}

/// Reads `host:port`, or `unix:` and a path.
fn location(text: Text<'_>, value: &Value<'_>) -> Option<Location> {
    if let Some(path) = text.text.strip_prefix("unix:") {
        return transport::unix_socket(path, text.at, value.problems);
    }
    let refuse = |problem: &str, fix: String| {
        value.problems.error(text.at, format!("\"{}\" {problem}", text.text), fix);
        None
    };
    if let Some((_, rest)) = text.text.split_once("://") {
        let rest = rest.trim_end_matches('/');
        return refuse("is a URL, not a host and port", format!("write \"{rest}\""));
    }
    if text.text.parse::<Ipv6Addr>().is_ok() {
        return refuse("has no port", format!("write \"[{}]:8080\"", text.text));
    }
    let after_host = |(_, port): &(&str, &str)| !port.ends_with(']');
    let Some((host, port)) = text.text.rsplit_once(':').filter(after_host) else {
        return refuse("has no port", format!("write \"{}:8080\"", text.text));
    };
    let Some(port) = port.parse().ok().filter(|port| *port != 0) else {
        return refuse("has no valid port", format!("write \"{host}:8080\""));
    };
    match host_of(host) {
        Some(name) => Some(Location::Host { name, port }),
        None => refuse(
            "has no valid host",
            "write an IPv4 address, an IPv6 address in [brackets], or a DNS name".to_owned(),
        ),
    }
}

/// A host in the form of the model: lower-case, an IPv6 address without brackets.
fn host_of(text: &str) -> Option<Box<str>> {
    if let Some(inner) = text.strip_prefix('[') {
        let ip: Ipv6Addr = inner.strip_suffix(']')?.parse().ok()?;
        return Some(IpAddr::V6(ip).to_string().into());
    }
    // A dot at the end keeps the resolver from trying its search domains.
    let name = text.strip_suffix('.').unwrap_or(text);
    let is_host = text.parse::<Ipv4Addr>().is_ok() || is_dns_name(name);
    is_host.then(|| text.to_ascii_lowercase().into())
}

const SHORTEST: Duration = Duration::from_millis(10);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
