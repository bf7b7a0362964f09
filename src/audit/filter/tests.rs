//! Each condition by itself, and all of them against a slow reference over whole records.

use proptest::prelude::*;

use super::*;
use crate::audit::line::Encoder;
use crate::audit::tests::{Entry, act, bare, full};
use crate::model::denial::{Denial, Failure};
use crate::model::record::{Caller, Outcome, RequestRecord};
use crate::model::time::UnixMicros;

fn matches(filter: &Filter, entry: &Entry) -> bool {
    let mut text = Vec::new();
    entry.encode(&mut Encoder::for_boot("node-1", UnixMicros(0), 7), &mut text, 1);
    filter.matches(&Line::parse(&text).expect("a line"))
}

fn request(record: RequestRecord) -> Entry {
    Entry::Request(Box::new(record))
}

fn parsed<T: FromStr>(text: &str) -> Option<T> {
    let condition = text.parse().ok();
    assert!(condition.is_some(), "{text} is a condition");
    condition
}

#[test]
fn each_condition_holds_for_what_it_names_only() {
    let check = |filter: Filter, expected: [bool; 3]| {
        let entries =
            [request(full(1)), request(bare(2)), Entry::Act(Box::new(act(3, "client.change")))];
        assert_eq!(entries.map(|entry| matches(&filter, &entry)), expected, "{filter:?}");
    };
    let any = Filter::default;
    check(any(), [true, true, true]);
    check(Filter { client: parsed("mobile-app"), ..any() }, [true, false, false]);
    check(Filter { client: parsed("mobile"), ..any() }, [false, false, false]);
    check(Filter { client: parsed("_anonymous"), ..any() }, [false, true, false]);
    let credential = parse_credential("4fTq0aZ81kLm").ok();
    check(Filter { credential, ..any() }, [true, false, false]);
    let operation = Some("payments.get_payment".into());
    check(Filter { operation, ..any() }, [true, false, false]);
    check(Filter { api: ApiName::parse("payments").ok(), ..any() }, [true, false, false]);
    check(Filter { path: parsed("/api/payments"), ..any() }, [true, false, false]);
    check(Filter { path: parsed("/"), ..any() }, [true, false, false]);
    check(Filter { surface: parse_surface("rest").ok(), ..any() }, [true, true, false]);
    check(Filter { surface: parse_surface("admin").ok(), ..any() }, [false, false, true]);
    check(Filter { decision: parsed("allowed"), ..any() }, [true, false, true]);
    check(Filter { decision: parsed("denied"), ..any() }, [false, true, false]);
    check(Filter { denial: parsed("malformed_request"), ..any() }, [false, true, false]);
    check(Filter { status: parsed("200"), ..any() }, [true, false, false]);
    check(Filter { status: parsed("4xx"), ..any() }, [false, true, false]);
    check(Filter { upstream: UpstreamName::parse("payments").ok(), ..any() }, [true, false, false]);
    check(Filter { ip: parsed("203.0.113.7"), ..any() }, [true, false, false]);
    check(Filter { ip: parsed("10.0.0.0/8"), ..any() }, [true, false, false]);
    check(
        Filter { id: parsed("019CA945-0A00-7000-8000-000000000003"), ..any() },
        [false, false, true],
    );
    let decision = parsed("allowed");
    check(Filter { decision, status: parsed("4xx"), ..any() }, [false, false, false]);
}

#[test]
fn a_surface_is_found_by_its_word() {
    for surface in Surface::ALL {
        let filter = Filter { surface: parse_surface(surface.as_str()).ok(), ..Filter::default() };
        let of = |surface| request(RequestRecord { surface, ..full(1) });
        let found = Surface::ALL.map(|other| matches(&filter, &of(other)));
        assert_eq!(found, Surface::ALL.map(|other| other == surface), "{surface:?}");
    }
    let error = parse_surface("soap").expect_err("no surface");
    assert!(error.contains("mcp"), "{error}");
}

#[test]
fn a_path_holds_whole_segments() {
    let check = |filter: &str, path: &str, expected: bool| {
        let filter = Filter { path: parsed(filter), ..Filter::default() };
        let record = RequestRecord { path: path.into(), ..full(1) };
        assert_eq!(matches(&filter, &request(record)), expected, "{path}");
    };
    check("/api/payments", "/api/payments", true);
    check("/api/payments", "/api/payments/7", true);
    check("/api/payments/", "/api/payments", true);
    check("/api/payments", "/api/payments-archive", false);
    check("/api/payments", "/api", false);
    check("/api/payments", "/v2/api/payments", false);
}

#[test]
fn an_address_is_the_peers_or_the_sources_in_any_form() {
    let check = |filter: &str, peer: &str, source: &str, expected: bool| {
        let filter = Filter { ip: parsed(filter), ..Filter::default() };
        let record =
            RequestRecord { peer_ip: peer.parse().ok(), source_ip: source.parse().ok(), ..bare(1) };
        assert_eq!(matches(&filter, &request(record)), expected, "{peer} {source}");
    };
    check("10.0.0.1", "10.0.0.1", "203.0.113.7", true);
    check("203.0.113.7", "10.0.0.1", "203.0.113.7", true);
    check("203.0.113.7/24", "10.0.0.1", "203.0.113.99", true);
    check("203.0.113.0/24", "10.0.0.1", "203.0.114.1", false);
    check("10.0.0.1", "::ffff:10.0.0.1", "-", true);
    check("::ffff:10.0.0.1", "10.0.0.1", "-", true);
    check("2001:db8::/32", "2001:db8:7::1", "-", true);
    check("2001:db8::/32", "10.0.0.1", "-", false);
    check("0.0.0.0/0", "-", "-", false);
}

#[test]
fn a_failure_is_found_by_its_code() {
    let record = RequestRecord { outcome: Outcome::Failed(Failure::UpstreamTimeout), ..full(1) };
    let filter = |code| Filter { denial: parsed(code), ..Filter::default() };
    let entry = request(record);
    assert!(matches(&filter("upstream_timeout"), &entry));
    assert!(!matches(&filter("deadline"), &entry));
}

/// Values that differ in every fact a filter may ask for, from a few each, so that they meet.
fn any_record() -> impl Strategy<Value = RequestRecord> {
    let paths = ["/api", "/api/a", "/api/ab", "/api/a/b", ""];
    let outcomes = [
        Outcome::Allowed,
        Outcome::Denied(Denial::RateLimited),
        Outcome::Denied(Denial::NotFound),
        Outcome::Failed(Failure::Deadline),
    ];
    let facts =
        (0..5_u64, 0..3_i64, 0..3_usize, 0..paths.len(), 0..outcomes.len(), 0..3_u16, 0..4_u8);
    facts.prop_map(move |(n, seconds, client, path, outcome, class, ip)| {
        let whole = if client == 0 { bare(n) } else { full(n) };
        let credential = crate::audit::tests::credential(["", "one", "two"][client].max("none"));
        let caller = match client {
            0 => Caller::Anonymous { claimed: None },
            _ => Caller::Known(credential),
        };
        RequestRecord {
            time: UnixMicros::from_seconds(seconds),
            caller,
            path: paths[path].into(),
            outcome: outcomes[outcome],
            status: [0, 204, 404][usize::from(class)],
            peer_ip: (ip > 0).then(|| [10, 0, 0, ip].into()),
            source_ip: (ip > 2).then(|| [10, 1, 0, ip].into()),
            ..whole
        }
    })
}

type Asked = (
    (Option<i64>, Option<i64>),
    (Option<&'static str>, Option<&'static str>, Option<&'static str>),
    (Option<&'static str>, Option<&'static str>, Option<&'static str>),
);

fn any_question() -> impl Strategy<Value = Asked> {
    let one_of =
        |words: &'static [&'static str]| prop::option::weighted(0.4, prop::sample::select(words));
    let time = || prop::option::weighted(0.3, 0..4_i64);
    (
        (time(), time()),
        (
            one_of(&["one", "two", "_anonymous"]),
            one_of(&["/api", "/api/a", "/"]),
            one_of(&["allowed", "denied"]),
        ),
        (
            one_of(&["rate_limited", "not_found", "deadline"]),
            one_of(&["204", "4xx", "404", "5xx"]),
            one_of(&["10.0.0.1", "10.1.0.0/16", "10.0.0.0/30"]),
        ),
    )
}

fn filter(asked: &Asked) -> Filter {
    let ((from, to), (client, path, decision), (denial, status, ip)) = *asked;
    let seconds = |time: Option<i64>| time.map(UnixMicros::from_seconds);
    Filter {
        period: Period { from: seconds(from), to: seconds(to) },
        client: client.and_then(parsed),
        path: path.and_then(parsed),
        decision: decision.and_then(parsed),
        denial: denial.and_then(parsed),
        status: status.and_then(parsed),
        ip: ip.and_then(parsed),
        ..Filter::default()
    }
}

/// The same question asked of the value, in words as plain as they can be.
fn reference(asked: &Asked, record: &RequestRecord) -> bool {
    let ((from, to), (client, path, decision), (denial, status, ip)) = *asked;
    let code = match record.outcome {
        Outcome::Allowed => "",
        Outcome::Denied(denial) => denial.code(),
        Outcome::Failed(failure) => failure.code(),
    };
    let caller = record.caller.client().map_or("_anonymous", |id| id.as_str());
    let segments = |text: &str| -> Vec<String> {
        text.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect()
    };
    let addresses = [record.peer_ip, record.source_ip].map(|ip| ip.map(|ip| ip.to_string()));
    let within = |address: &String| match ip {
        Some("10.0.0.1") => address == "10.0.0.1",
        Some("10.1.0.0/16") => address.starts_with("10.1."),
        _ => ["10.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3"].contains(&address.as_str()),
    };
    from.is_none_or(|from| record.time.seconds() >= from)
        && to.is_none_or(|to| record.time.seconds() < to)
        && client.is_none_or(|client| client == caller)
        && path.is_none_or(|path| {
            !record.path.is_empty() && segments(&record.path).starts_with(&segments(path))
        })
        && decision.is_none_or(|decision| decision == record.outcome.decision())
        && denial.is_none_or(|denial| denial == code)
        && status.is_none_or(|status| match status.strip_suffix("xx") {
            Some(class) => record.status.to_string().starts_with(class),
            None => record.status.to_string() == status,
        })
        && (ip.is_none() || addresses.iter().flatten().any(within))
}

proptest! {
    #[test]
    fn a_filter_means_what_the_reference_means(record in any_record(), asked in any_question()) {
        let expected = reference(&asked, &record);
        prop_assert_eq!(matches(&filter(&asked), &request(record)), expected);
    }
}

/// What `query`'s tests scan for.
pub fn any_records() -> impl Strategy<Value = (Vec<RequestRecord>, Asked)> {
    (prop::collection::vec(any_record(), 0..60), any_question())
}

pub fn asked_filter(asked: &Asked) -> Filter {
    filter(asked)
}

pub fn expected(asked: &Asked, record: &RequestRecord) -> bool {
    reference(asked, record)
}
