//! The strict rules for a head that came parsed, as HTTP/2 frames bring it (RFC 9113, 8): the same
//! bounds and the same idea of a host as for HTTP/1, and what HTTP/2 forbids besides.
//!
//! The library below has refused some of it already; what it lets through is not relied upon.

use crate::model::denial::{Denial, Refusal};
use crate::model::policy::Bounds;

use super::{METHOD_BYTES_MAX, host_name, is_token, malformed};

/// The pseudo fields of a request.
#[derive(Clone, Copy, Debug)]
pub struct Pseudo<'a> {
    pub method: &'a str,
    pub scheme: Option<&'a str>,
    pub authority: Option<&'a [u8]>,
    /// With the query; None where the caller sent none.
    pub path: Option<&'a [u8]>,
}

/// Checks a head whole, and gives its host as the caller wrote it.
pub fn check<'a>(
    pseudo: Pseudo<'a>,
    fields: impl Iterator<Item = (&'a str, &'a [u8])>,
    bounds: &Bounds,
) -> Result<&'a [u8], Refusal> {
    let Pseudo { method, scheme, authority, path } = pseudo;
    if method.is_empty() || method.len() > METHOD_BYTES_MAX || !method.bytes().all(is_token) {
        return Err(malformed("The method is not a token of at most 32 characters."));
    }
    if method == "CONNECT" {
        return Err(Refusal::detailed(Denial::MethodNotAllowed, "The gate opens no tunnels."));
    }
    // Where there is no :authority, the library drops the scheme that it saw.
    if !matches!((scheme, authority), (Some("http" | "https"), _) | (None, None)) {
        return Err(malformed("The scheme must be http or https."));
    }
    let path = path.ok_or_else(|| malformed("The request has no path."))?;
    check_path(method, path, bounds)?;
    let mut seen = Seen::default();
    // The size as HTTP/1 would write it: a request line, and fields with their separators.
    let mut bytes = method.len() + path.len() + " HTTP/1.1\r\n\r\n".len() + 1;
    let mut count = usize::from(authority.is_some());
    bytes += authority.map_or(0, |authority| "host: \r\n".len() + authority.len());
    for (name, value) in fields {
        count += 1;
        bytes += name.len() + value.len() + ": \r\n".len();
        seen.read(name, value)?;
    }
    if count > bounds.head_fields_max {
        return Err(Refusal::detailed(Denial::HeadTooLarge, "The request has too many fields."));
    }
    if bytes > bounds.head_bytes_max {
        return Err(Refusal::new(Denial::HeadTooLarge, "the head is over its bound"));
    }
    seen.host(authority)
}

fn check_path(method: &str, path: &[u8], bounds: &Bounds) -> Result<(), Refusal> {
    if path.len() > bounds.uri_bytes_max {
        return Err(Refusal::new(Denial::UriTooLong, "the target is over its bound"));
    }
    let whole_server = method == "OPTIONS" && path == b"*";
    if path.first() != Some(&b'/') && !whole_server {
        return Err(malformed("The path must begin with '/'."));
    }
    if path.iter().any(|b| *b <= 0x20 || *b == 0x7f || *b == b'#') {
        return Err(malformed("The request target holds a space, a control character or a '#'."));
    }
    Ok(())
}

/// The fields that decide for whom a request is.
#[derive(Default)]
struct Seen<'a> {
    host: Option<&'a [u8]>,
    length: Option<&'a [u8]>,
}

impl<'a> Seen<'a> {
    fn read(&mut self, name: &str, value: &'a [u8]) -> Result<(), Refusal> {
        let lower = |b: u8| is_token(b) && !b.is_ascii_uppercase();
        if name.is_empty() || !name.bytes().all(lower) {
            return Err(malformed("A field name holds a character that is not allowed."));
        }
        if value.iter().any(|b| (*b < 0x20 && *b != b'\t') || *b == 0x7f) {
            return Err(malformed("A field value holds a control character."));
        }
        let is_blank = |b: Option<&u8>| matches!(b, Some(b' ' | b'\t'));
        if is_blank(value.first()) || is_blank(value.last()) {
            return Err(malformed("A field value begins or ends with a blank."));
        }
        match name {
            "host" => once(&mut self.host, value),
            "content-length" if value.is_empty() || !value.iter().all(u8::is_ascii_digit) => {
                Err(malformed("Content-Length is not one decimal number."))
            }
            "content-length" => once(&mut self.length, value),
            "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade" => {
                Err(malformed("HTTP/2 has no fields about the connection."))
            }
            "te" if value != b"trailers" => Err(malformed("HTTP/2 has no TE but trailers.")),
            _ => Ok(()),
        }
    }

    /// `:authority`, or `Host` where the caller translated from HTTP/1; both only when equal.
    fn host(&self, authority: Option<&'a [u8]>) -> Result<&'a [u8], Refusal> {
        let host = match (authority, self.host) {
            (Some(authority), Some(host)) if !authority.eq_ignore_ascii_case(host) => {
                return Err(malformed("The :authority differs from the Host field."));
            }
            (Some(host), _) | (None, Some(host)) => host,
            (None, None) => return Err(malformed("The request has no :authority.")),
        };
        match host_name(host) {
            Some(_) => Ok(host),
            None => Err(malformed("The :authority is not a host name with an optional port.")),
        }
    }
}

fn once<'a>(field: &mut Option<&'a [u8]>, value: &'a [u8]) -> Result<(), Refusal> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(malformed("Host and Content-Length may each stand only once.")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::BOUNDS;
    use super::*;

    type Row<'a> = (&'a str, &'a str, &'a str, &'a str);

    fn check(
        (method, scheme, authority, path): Row<'_>,
        fields: &[(&str, &str)],
        expected: Result<&str, Denial>,
    ) {
        fn some(text: &str) -> Option<&[u8]> {
            (text != "-").then_some(text.as_bytes())
        }
        let scheme = some(scheme).and_then(|scheme| std::str::from_utf8(scheme).ok());
        let pseudo = Pseudo { method, scheme, authority: some(authority), path: some(path) };
        let fields_read = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
        let judged = super::check(pseudo, fields_read, &BOUNDS);
        let judged = judged.map_err(|refusal| refusal.denial);
        assert_eq!(judged, expected.map(str::as_bytes), "{pseudo:?} {fields:?}");
    }

    #[test]
    fn heads_pass_or_are_refused() {
        use Denial::{HeadTooLarge, MalformedRequest, MethodNotAllowed, UriTooLong};
        let good = ("GET", "https", "a.test:443", "/x?y");
        let none: &[(&str, &str)] = &[];
        let pseudo = |row: Row<'_>, expected| check(row, none, expected);
        let fields = |fields: &[(&str, &str)], expected| check(good, fields, expected);
        let refused = Err(MalformedRequest);
        pseudo(good, Ok("a.test:443"));
        pseudo(("OPTIONS", "http", "a", "*"), Ok("a"));
        pseudo(("CONNECT", "-", "a:443", "-"), Err(MethodNotAllowed));
        pseudo(("G(T", "http", "a", "/"), refused);
        pseudo(("", "http", "a", "/"), refused);
        pseudo(("GET", "ftp", "a", "/"), refused);
        pseudo(("GET", "-", "a", "/"), refused);
        pseudo(("GET", "http", "-", "/"), refused);
        pseudo(("GET", "http", "u@a", "/"), refused);
        pseudo(("GET", "http", "a/b", "/"), refused);
        pseudo(("GET", "http", "", "/"), refused);
        pseudo(("GET", "http", "a", "-"), refused);
        pseudo(("GET", "http", "a", "x"), refused);
        pseudo(("GET", "http", "a", "*"), refused);
        pseudo(("GET", "http", "a", "/#x"), refused);
        pseudo(("GET", "http", "a", "/ x"), refused);
        pseudo(("GET", "http", "a", &format!("/{}", "x".repeat(64))), Err(UriTooLong));
        fields(&[("host", "A.TEST:443")], Ok("a.test:443"));
        fields(&[("host", "b")], refused);
        fields(&[("host", "a.test:443"), ("host", "a.test:443")], refused);
        check(("GET", "http", "-", "/"), &[("host", "a")], Ok("a"));
        fields(&[("te", "trailers"), ("content-length", "5"), ("x", "\u{7f}y")], refused);
        fields(&[("te", "trailers"), ("content-length", "5"), ("x", "a\tb")], Ok("a.test:443"));
        fields(&[("te", "gzip")], refused);
        fields(&[("connection", "close")], refused);
        fields(&[("keep-alive", "5")], refused);
        fields(&[("proxy-connection", "x")], refused);
        fields(&[("transfer-encoding", "chunked")], refused);
        fields(&[("upgrade", "websocket")], refused);
        fields(&[("X", "y")], refused);
        fields(&[("", "y")], refused);
        fields(&[("a b", "y")], refused);
        fields(&[("x", " y")], refused);
        fields(&[("x", "y\t")], refused);
        fields(&[("x", "a\nb")], refused);
        fields(&[("content-length", "5"), ("content-length", "5")], refused);
        fields(&[("content-length", "+5")], refused);
        fields(&[("content-length", "")], refused);
        // The authority is the fifth.
        fields(&[("a", ""); 4], Ok("a.test:443"));
        fields(&[("a", ""); 5], Err(HeadTooLarge));
        fields(&[("a", "x".repeat(4000).as_str())], Ok("a.test:443"));
        fields(&[("a", "x".repeat(4096).as_str())], Err(HeadTooLarge));
    }
}
