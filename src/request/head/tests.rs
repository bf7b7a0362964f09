//! Rows for the strict head: what passes, what is refused, and as what.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

pub(super) const BOUNDS: Bounds = Bounds {
    idle_timeout: Duration::from_mins(1),
    head_deadline: Duration::from_secs(10),
    handshake_deadline: Duration::from_secs(10),
    body_timeout: Duration::from_secs(30),
    body_rate_min: 1024,
    body_rate_window: Duration::from_mins(1),
    head_bytes_max: 4096,
    head_fields_max: 5,
    uri_bytes_max: 64,
    connections_max: 10,
    requests_max: 10,
    http2_streams_max: 10,
};

fn check(raw: &str, expected: Result<Framing, Denial>) {
    let mut scanner = Scanner::default();
    let judged = match scanner.scan(raw.as_bytes()) {
        Ok(Scan::Complete(end)) => {
            super::check(&raw.as_bytes()[..end], &scanner, &BOUNDS).map(|head| head.framing)
        }
        Ok(Scan::Incomplete) => panic!("incomplete: {raw:?}"),
        Err(refusal) => Err(refusal),
    };
    assert_eq!(judged.map_err(|refusal| refusal.denial), expected, "{raw:?}");
}

#[test]
fn heads_pass_or_are_refused() {
    use Denial::{HeadTooLarge, MalformedRequest, MethodNotAllowed, UriTooLong};
    let none = Ok(Framing::Length(0));
    let refused = Err(MalformedRequest);
    check("GET / HTTP/1.1\r\nHost: a\r\n\r\n", none);
    check("GET / HTTP/1.0\r\nHost: a.b:80\r\n\r\n", none);
    check("BREW / HTTP/1.1\r\nhOST:a\r\n\r\n", none);
    check("GET http://a/x HTTP/1.1\r\nHost: A\r\n\r\n", none);
    check("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 12 \r\n\r\n", Ok(Framing::Length(12)));
    check("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n", Ok(Framing::Chunked));
    check("GET / HTTP/1.1\r\n\r\n", refused);
    check("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", refused);
    check("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", refused);
    check("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", refused);
    check("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", refused);
    check("GET / HTTP/1.1\r\nHost:\r\n\r\n", refused);
    check("GET http://b/x HTTP/1.1\r\nHost: a\r\n\r\n", refused);
    check("GET / HTTP/1.1\nHost: a\n\n", refused);
    check("GET / HTTP/1.1\r\nHost: a\n\r\n", refused);
    check("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", refused);
    check("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", refused);
    check("GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", refused);
    check("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", refused);
    check("GET /\r HTTP/1.1\r\nHost: a\r\n\r\n", refused);
    check("GET / HTTP/2.0\r\nHost: a\r\n\r\n", refused);
    check("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", refused);
    check("GET /\r\nHost: a\r\n\r\n", refused);
    check("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", refused);
    check("GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n", refused);
    check("GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", refused);
    check("GET / HTTP/1.1\r\nHost: a\r\n: y\r\n\r\n", refused);
    check("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", refused);
    check("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", refused);
    check("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", refused);
    for length in ["", "+5", "-1", "5, 5", "0x5", "5 5", "99999999999999999999"] {
        check(&format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n"), refused);
    }
    check("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", refused);
    for coding in ["cow, chunked", "gzip, chunked", "chunked, chunked", ",chunked", "identity", ""]
    {
        let head = format!("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {coding}\r\n\r\n");
        check(&head, refused);
    }
    let both = "Content-Length: 5\r\nTransfer-Encoding: chunked";
    check(&format!("PUT / HTTP/1.1\r\nHost: a\r\n{both}\r\n\r\n"), refused);
    check("PUT / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", refused);
    check("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", Err(MethodNotAllowed));
    let fields = "X: y\r\n".repeat(5);
    check(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"), Err(HeadTooLarge));
    let long = "a".repeat(65);
    check(&format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), Err(UriTooLong));
}

#[test]
fn hosts_are_normalised() {
    let check = |raw: &str, expected: Option<&str>| {
        assert_eq!(parse_host(raw.as_bytes()).as_deref(), expected, "{raw:?}");
    };
    check("API.Example.com", Some("api.example.com"));
    check("api.example.com.:8080", Some("api.example.com"));
    check("127.0.0.1:80", Some("127.0.0.1"));
    check("[::1]:80", Some("[::1]"));
    check("[::1]", Some("[::1]"));
    check("a:", Some("a"));
    for raw in
        ["", ":80", "a:99999", "a:8o", "a b", "a,b", "a#", "a/b", "[::1", "[x]", "[::1]x", "."]
    {
        check(raw, None);
    }
}

#[test]
fn a_head_is_found_however_it_arrives() {
    let raw = b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\nrest";
    let mut scanner = Scanner::default();
    for len in 0..=raw.len() {
        match scanner.scan(&raw[..len]).expect("valid") {
            Scan::Incomplete => {}
            Scan::Complete(end) => {
                assert_eq!((end, len), (raw.len() - 4, raw.len() - 4));
                let lines: Vec<&[u8]> = scanner.lines(&raw[..end]).collect();
                assert_eq!(lines, [&b"GET / HTTP/1.1"[..], b"Host: a", b"X: y"]);
                return;
            }
        }
    }
    panic!("never complete");
}

proptest! {
    #[test]
    fn every_control_character_is_found(value in proptest::collection::vec(any::<u8>(), 0..40)) {
        let is_bad = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
        prop_assert_eq!(has_control(&value), value.iter().any(is_bad));
        let ascii: Vec<u8> = value.iter().map(|byte| byte & 0x7f).collect();
        prop_assert_eq!(has_control(&ascii), ascii.iter().any(is_bad));
    }

    #[test]
    fn no_bytes_panic(raw in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut scanner = Scanner::default();
        drop(scanner.scan(&raw));
        drop(super::check(&raw, &scanner, &BOUNDS));
        drop(parse_host(&raw));
    }
}
