//! Two calls of one thing, held against each other.

use super::facts::{Facts, RECORDS, TIMES};
use crate::model::denial::Denial;

/// A fact that two surfaces do not share. None: one of them does not have it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Differs {
    pub fact: String,
    pub rest: Option<String>,
    pub other: Option<String>,
}

/// Whether the message was read before its sender was refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Message {
    Read,
    Unread,
}

/// Seconds that may pass between the same call on two surfaces.
const SECONDS_BETWEEN: u64 = 900;
/// What nobody can know of a call whose message was not read: for which operation it came, how long it was, and
/// what a set-up of an agent is told beside.
const OF_THE_OPERATION: [&str; 9] = [
    "record: method",
    "record: path",
    "record: api",
    "record: operation",
    "record: product",
    "record: scopes_required",
    "record: request_bytes",
    "record: response_bytes",
    "told: detail",
];

/// Why a caller is refused: an api may refuse its address before its credential is looked at, and the endpoint knows no
/// api before it knows the caller. Refused it is on both.
const OF_THE_REASON: [&str; 5] =
    ["told", "told: code", "record: denial", "record: reason", "record: status"];

const BY_ADDRESS: &str = Denial::AddressNotAllowed.code();

/// What is not alike.
pub fn compare(rest: &Facts, other: &Facts, message: Message) -> Vec<Differs> {
    let names = rest.keys().chain(other.keys().filter(|name| !rest.contains_key(*name)));
    let by_address = rest.get("record: denial").is_some_and(|denial| denial == BY_ADDRESS);
    let is_compared = |name: &&String| match message {
        Message::Read => true,
        Message::Unread => {
            let by_address = by_address && OF_THE_REASON.contains(&name.as_str());
            !by_address && !OF_THE_OPERATION.contains(&name.as_str())
        }
    };
    let differs = |name: &String| {
        let (of_rest, of_other) = (rest.get(name), other.get(name));
        // A body that a result may hold otherwise is not told of REST.
        let is_alike = match (of_rest, of_other) {
            (None, Some(_)) if name == "told: body" => true,
            // None, or two, is wrong on both.
            (one, two) if name == RECORDS => one == two && one.is_some_and(|count| count == "1"),
            (Some(one), Some(two)) if is_time(name) => is_soon_after(one, two),
            (one, two) => one == two,
        };
        let (rest, other) = (of_rest.cloned(), of_other.cloned());
        (!is_alike).then(|| Differs { fact: name.clone(), rest, other })
    };
    names.filter(is_compared).filter_map(differs).collect()
}

fn is_time(name: &str) -> bool {
    TIMES.iter().any(|time| name.ends_with(time))
}

fn is_soon_after(one: &str, two: &str) -> bool {
    match (one.parse::<u64>(), two.parse::<u64>()) {
        (Ok(one), Ok(two)) => one.abs_diff(two) <= SECONDS_BETWEEN,
        _ => one == two,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(facts: &[(&str, &str)]) -> Facts {
        facts.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn facts_that_are_not_alike_are_named() {
        let check = |rest: &[(&str, &str)], other: &[(&str, &str)], message, expected: &[&str]| {
            let found = compare(&facts(rest), &facts(other), message);
            let found: Vec<_> = found.iter().map(|differs| &*differs.fact).collect();
            assert_eq!(found, expected, "{rest:?} {other:?}");
        };
        let read = Message::Read;
        check(&[("told", "done")], &[("told", "done")], read, &[]);
        check(&[("told", "done")], &[("told", "403 not_granted")], read, &["told"]);
        check(&[("limit a: left", "3")], &[("limit a: left", "2")], read, &["limit a: left"]);
        check(&[], &[("upstream: field x-leak", "a")], read, &["upstream: field x-leak"]);
        check(&[("record: client", "a")], &[], read, &["record: client"]);
        check(&[("records", "1")], &[("records", "1")], read, &[]);
        check(&[("records", "0")], &[("records", "0")], read, &["records"]);
        // Time goes on.
        let time = "limit a: resets in";
        check(&[(time, "86400")], &[(time, "86390")], read, &[]);
        check(&[(time, "86400")], &[(time, "1")], read, &[time]);
        check(&[(time, "86400")], &[], read, &[time]);
        check(&[("told: retry after", "60")], &[("told: retry after", "59")], read, &[]);
        // What was never read.
        let path = [("record: path", "/api")];
        check(&path, &[("record: path", "/mcp")], Message::Unread, &[]);
        check(&path, &[("record: path", "/mcp")], read, &["record: path"]);
        check(&[("record: client", "a")], &[], Message::Unread, &["record: client"]);
        let by = |denial| [("record: decision", "denied"), ("record: denial", denial)];
        let suspended = by("client_suspended");
        check(&by("address_not_allowed"), &suspended, Message::Unread, &[]);
        check(&by("address_not_allowed"), &suspended, read, &["record: denial"]);
        check(&by("not_granted"), &suspended, Message::Unread, &["record: denial"]);
    }
}
