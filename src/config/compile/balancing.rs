//! The part of `[[upstream]]` that spreads requests and leaves endpoints out: balance, health checks,
//! ejection, panic and the retry budget. Keys that would undo each other are refused here.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::HeaderName;

use super::super::section::{Section, Text};
use super::super::suggest;
use super::super::unit::Shown;
use super::hosts::is_dns_name;
use crate::model::balance::{Balance, CheckKind, Ejection, HashBy, HealthCheck, RetryBudget};

/// Longest path of a check, in bytes.
const PATH_BYTES_MAX: usize = 1024;

/// `balance = "round_robin"`; the words with `hash:` name what is hashed.
pub(super) fn balance(section: &mut Section<'_>) -> Balance {
    let Some(text) = section.text("balance") else { return Balance::RoundRobin };
    let header = text.text.strip_prefix("hash:header:").map(HeaderName::try_from);
    let known = WORDS.iter().find(|(word, _)| *word == text.text);
    match (header, known) {
        (Some(Ok(header)), _) => return Balance::Hash(HashBy::Header(header)),
        (Some(Err(_)), _) => {
            let message = format!("\"{}\" names no header", text.text);
            section.problems.error(text.at, message, "write \"hash:header:x-tenant\"");
        }
        (None, Some((_, balance))) => return balance.clone(),
        (None, None) => {
            let message = format!("\"{}\" is not a value of \"upstream.balance\"", text.text);
            let words = WORDS.iter().map(|(word, _)| *word).chain(["hash:header:NAME"]);
            section.problems.error(text.at, message, suggest::fix(text.text, words));
        }
    }
    Balance::RoundRobin
}

const WORDS: [(&str, Balance); 6] = [
    ("round_robin", Balance::RoundRobin),
    ("least_requests", Balance::LeastRequests),
    ("two_choices", Balance::TwoChoices),
    ("hash:client", Balance::Hash(HashBy::Client)),
    ("hash:source_ip", Balance::Hash(HashBy::SourceIp)),
    ("hash:path", Balance::Hash(HashBy::Path)),
];

/// `[upstream.health]`: no section, no checks.
pub(super) fn health(mut section: Section<'_>) -> Option<HealthCheck> {
    section.need("check", "check = \"http\"");
    let kind = section.choice("check", &[("http", Ask::Http), ("tcp", Ask::Tcp)]);
    let path = section.text("path").and_then(|text| path(text, &section));
    let host = section.text("host").and_then(|text| host(text, &section));
    let expect = section.text("expect").and_then(|text| statuses(text, &section));
    if let Some(Ask::Tcp) = kind {
        for key in ["path", "host", "expect"] {
            if let Some(at) = section.place(key) {
                let message = format!("\"upstream.health.{key}\" means nothing to a TCP check");
                section.problems.error(at, message, "take it out, or write check = \"http\"");
            }
        }
    }
    let interval = section.quantity("interval", SHORTEST..=HOUR).unwrap_or(TEN_SECONDS);
    let timeout = section.quantity("timeout", Duration::from_millis(10)..=MINUTE);
    let timeout = timeout.unwrap_or_else(|| Duration::from_secs(2).min(interval));
    if timeout > interval {
        let at = section.place("timeout").unwrap_or(section.at);
        let message = format!("checks every {} cannot take {}", Shown(interval), Shown(timeout));
        section.problems.error(at, message, "lower the timeout, or raise the interval");
    }
    let healthy_after = section.integer("healthy_after", 1..=100).unwrap_or(2);
    let unhealthy_after = section.integer("unhealthy_after", 1..=100).unwrap_or(3);
    section.finish();
    let kind = match kind? {
        Ask::Tcp => CheckKind::Tcp,
        Ask::Http => CheckKind::Http {
            path: path.unwrap_or_else(|| "/".into()),
            host,
            expect: expect.unwrap_or(200..=299),
        },
    };
    Some(HealthCheck { kind, interval, timeout, healthy_after, unhealthy_after })
}

/// What a check asks, before its other keys are read.
#[derive(Clone, Copy)]
enum Ask {
    Http,
    Tcp,
}

fn path(text: Text<'_>, section: &Section<'_>) -> Option<Box<str>> {
    let visible = text.text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
    if text.text.starts_with('/') && visible && text.text.len() <= PATH_BYTES_MAX {
        return Some(text.text.into());
    }
    let message = format!("\"{}\" is no path of a request", text.text);
    let fix = format!("write a path such as \"/health\", of at most {PATH_BYTES_MAX} bytes");
    section.problems.error(text.at, message, fix);
    None
}

/// A host as a `Host` field has it, perhaps with a port.
fn host(text: Text<'_>, section: &Section<'_>) -> Option<Box<str>> {
    let (name, port) = match text.text.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
        _ => (text.text, None),
    };
    let inner = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_host = match inner {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => name.parse::<std::net::Ipv4Addr>().is_ok() || is_dns_name(name),
    };
    if is_host && port.is_none_or(|port| port.parse::<u16>().is_ok()) {
        return Some(text.text.to_ascii_lowercase().into());
    }
    let message = format!("\"{}\" is no host", text.text);
    section.problems.error(text.at, message, "write a host name, without a scheme and a path");
    None
}

/// `"204"` or `"200-299"`.
fn statuses(text: Text<'_>, section: &Section<'_>) -> Option<RangeInclusive<u16>> {
    let status = |text: &str| text.parse().ok().filter(|status| (200..=599).contains(status));
    let (first, last) = text.text.split_once('-').unwrap_or((text.text, text.text));
    match (status(first), status(last)) {
        (Some(first), Some(last)) if first <= last => Some(first..=last),
        _ => {
            let message = format!("\"{}\" is no range of statuses", text.text);
            let fix = "write a status or a range within 200 to 599, such as \"200-299\"";
            section.problems.error(text.at, message, fix);
            None
        }
    }
}

/// `[upstream.ejection]`.
pub(super) fn ejection(mut section: Section<'_>) -> Ejection {
    let failures = section.integer("failures", 0..=1000).unwrap_or(5);
    let first = section.quantity("first", SHORTEST..=HOUR);
    let longest = section.quantity("longest", SHORTEST..=DAY);
    let share_max = section.integer("share_max", 1..=100).unwrap_or(50);
    let longest_or = longest.unwrap_or(FIVE_MINUTES);
    let first_or = first.unwrap_or_else(|| TEN_SECONDS.min(longest_or));
    if first_or > longest_or {
        let at = section.place("first").unwrap_or(section.at);
        let (shown, most) = (Shown(first_or), Shown(longest_or));
        let message = format!("the first ejection ({shown}) is longer than the longest ({most})");
        section.problems.error(at, message, "lower \"first\", or raise \"longest\"");
    }
    for key in ["first", "longest", "share_max"] {
        if failures == 0
            && let Some(at) = section.place(key)
        {
            let message = format!("with failures = 0, \"upstream.ejection.{key}\" means nothing");
            section.problems.error(at, message, "take it out, or raise \"failures\"");
        }
    }
    section.finish();
    Ejection { failures, first: first_or, longest: longest_or, share_max }
}

/// `[upstream.retry_budget]`.
pub(super) fn retry_budget(mut section: Section<'_>) -> RetryBudget {
    let percent = section.integer("percent", 0..=100).unwrap_or(20);
    let at_least = section.integer("at_least", 0..=10_000).unwrap_or(10);
    if percent == 0 && at_least == 0 {
        let at = section.place("percent").unwrap_or(section.at);
        section.problems.error(at, "this budget allows no retry", "write retries = 0 instead");
    }
    section.finish();
    RetryBudget { percent, at_least }
}

const SHORTEST: Duration = Duration::from_millis(100);
const TEN_SECONDS: Duration = Duration::from_secs(10);
const MINUTE: Duration = Duration::from_mins(1);
const FIVE_MINUTES: Duration = Duration::from_mins(5);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
