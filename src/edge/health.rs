//! Health checks on a traffic listener (`health_path`), for load balancers that reach no other port.
//!
//! They are answered by the connection, before there is a request: no credential, no record, no
//! count. So they say one word and nothing else.

use super::Shared;
use super::answer::Answer;

/// How it was asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Asked {
    Get,
    /// The answer has no body.
    Head,
}

/// Whether a head, which passed the rules, asks for the health path.
pub fn asked(head: &[u8], path: &str) -> Option<Asked> {
    let (asked, rest) = match head.strip_prefix(b"GET ") {
        Some(rest) => (Asked::Get, rest),
        None => (Asked::Head, head.strip_prefix(b"HEAD ")?),
    };
    let after = rest.strip_prefix(path.as_bytes())?;
    after.starts_with(b" HTTP/1.").then_some(asked)
}

/// 200 while the gate takes requests, 503 once it said that it will stop.
pub fn answer(shared: &Shared, asked: Asked) -> Answer {
    let (status, word) =
        if shared.flights.is_leaving() { (503, "draining\n") } else { (200, "ok\n") };
    Answer::word(status, word, asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_path_is_meant() {
        let check = |line: &str, expected: Option<Asked>| {
            let head = format!("{line}\r\nHost: a\r\n\r\n");
            assert_eq!(asked(head.as_bytes(), "/healthz"), expected, "{line}");
        };
        check("GET /healthz HTTP/1.1", Some(Asked::Get));
        check("GET /healthz HTTP/1.0", Some(Asked::Get));
        check("HEAD /healthz HTTP/1.1", Some(Asked::Head));
        check("POST /healthz HTTP/1.1", None);
        check("GET /healthz/ HTTP/1.1", None);
        check("GET /healthz?x HTTP/1.1", None);
        check("GET /health HTTP/1.1", None);
        check("GET http://a/healthz HTTP/1.1", None);
    }
}
