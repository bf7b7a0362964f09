//! `cors` of an api.

use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::super::super::section::{Section, Text};
use super::super::hosts::is_dns_name;
use super::super::operations::METHODS;
use super::names;
use crate::model::shape::cors::{Cors, Credentials, Fields, Origins};

const ORIGINS_MAX: usize = 256;
const NAMES_MAX: usize = 64;
/// What calls with a key need beyond what browsers send without asking.
const DEFAULT_HEADERS: [&str; 3] = ["authorization", "content-type", "x-api-key"];
const DAY: Duration = Duration::from_hours(24);

/// None: the api has none, or its origins are bad.
pub(super) fn cors(section: &mut Section<'_>) -> Option<Cors> {
    let is_there = section.place("cors").is_some();
    let mut section = section.table("cors");
    let origins = origins(&mut section);
    let credentials = section.either("credentials", [Credentials::Included, Credentials::Omitted]);
    let credentials = credentials.unwrap_or(Credentials::Omitted);
    let place = section.place("credentials");
    if let (Some(Origins::Any), Credentials::Included, Some(at)) = (&origins, credentials, place) {
        let message = "with credentials, browsers do not take \"*\" for every origin";
        section.problems.error(at, message, "list the origins, or write credentials = false");
    }
    let methods = methods(&mut section);
    let headers = named(&mut section, "headers");
    let headers = headers.unwrap_or_else(|| DEFAULT_HEADERS.map(HeaderName::from_static).into());
    let expose = named(&mut section, "expose").unwrap_or_default();
    let max_age = section.quantity("max_age", Duration::ZERO..=DAY);
    let max_age = max_age.unwrap_or(Duration::from_mins(10));
    section.finish();
    let fields = Fields {
        methods: joined(methods.iter().map(|method| &**method)),
        headers: joined(headers.iter().map(HeaderName::as_str)),
        expose: (!expose.is_empty()).then(|| joined(expose.iter().map(HeaderName::as_str))),
        max_age: HeaderValue::from(max_age.as_secs()),
    };
    let origins = origins.filter(|_| is_there)?;
    Some(Cors { origins, credentials, methods, headers: headers.into(), fields })
}

fn origins(section: &mut Section<'_>) -> Option<Origins> {
    section.need("origins", "origins = [\"https://app.example.com\"], or [\"*\"] for all");
    let texts = section.texts("origins", 1..=ORIGINS_MAX)?;
    if let [only] = texts.as_slice()
        && only.text == "*"
    {
        return Some(Origins::Any);
    }
    let listed = texts.into_iter().filter_map(|text| origin(text, section));
    Some(Origins::Listed(listed.collect()))
}

/// As browsers send it: nothing after the port, and no port that the scheme has by itself.
pub(in crate::config::compile) fn origin(
    text: Text<'_>,
    section: &Section<'_>,
) -> Option<Box<str>> {
    let secure = text.text.strip_prefix("https://").map(|rest| (rest, ":443"));
    let rest = secure.or_else(|| text.text.strip_prefix("http://").map(|rest| (rest, ":80")));
    let good = rest.is_some_and(|(rest, usual_port)| {
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && !rest.ends_with(']') => (host, Some(port)),
            _ => (rest, None),
        };
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host_is_good = match bracketed {
            Some(ip) => ip.parse::<std::net::Ipv6Addr>().is_ok(),
            None => is_dns_name(host) || host.parse::<std::net::Ipv4Addr>().is_ok(),
        };
        let port_is_good = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        let lower = !rest.bytes().any(|b| b.is_ascii_uppercase());
        host_is_good && port_is_good && lower && !rest.ends_with(usual_port)
    });
    if !good {
        let message = format!("\"{}\" is not an origin", text.text);
        let fix = match text.text {
            "*" => "write origins = [\"*\"] alone",
            "null" => "take it out: every sandboxed page has this origin",
            _ => "write \"https://app.example.com\": no path, lower-case, a port only if unusual",
        };
        section.problems.error(text.at, message, fix);
    }
    good.then(|| text.text.into())
}

fn methods(section: &mut Section<'_>) -> Box<[Box<str>]> {
    let choices = METHODS.map(|method| (method, method));
    let Some(values) = section.list("methods", 1..=METHODS.len()) else {
        return METHODS.map(Into::into).into();
    };
    values.iter().filter_map(|value| value.choice(&choices)).map(Into::into).collect()
}

fn named(section: &mut Section<'_>, key: &'static str) -> Option<Vec<HeaderName>> {
    let names = names::names(section, key, NAMES_MAX)?;
    Some(names.into_iter().map(|(name, _)| name).collect())
}

/// Names and methods have no character that a value cannot have.
fn joined<'t>(parts: impl Iterator<Item = &'t str>) -> HeaderValue {
    let text = parts.collect::<Vec<_>>().join(", ");
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
}
