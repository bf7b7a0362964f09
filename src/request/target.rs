//! The request target (RFC 9112, 3.2) in its one canonical form: what is matched, authorised,
//! recorded and forwarded is the same text, so no two readers can take it for different paths.
//!
//! Canonical: origin form; unreserved characters bare, everything else that needs it
//! percent-encoded in upper case. Refused rather than guessed at: dot segments, empty segments,
//! encoded slashes and backslashes, control characters, broken percent-encoding.

use std::borrow::Cow;

use crate::model::denial::{Denial, Refusal};

/// A canonical path and the query as sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Target {
    text: Box<str>,
    path_len: usize,
}

impl Target {
    /// Parses a raw target in origin form.
    pub fn parse(raw: &[u8], bytes_max: usize) -> Result<Self, Refusal> {
        if raw.len() > bytes_max {
            return Err(too_long());
        }
        if raw.first() != Some(&b'/') {
            return Err(malformed("The request target must be a path that starts with '/'."));
        }
        // Nearly every path is canonical as it comes, and then the text is not shrunk to fit.
        let (plain, rest) = raw.split_at(plain_bytes(raw));
        let mut text = String::with_capacity(raw.len());
        // Plain bytes are ASCII.
        text.push_str(std::str::from_utf8(plain).unwrap_or_default());
        let end = rest.iter().position(|byte| *byte == b'?').unwrap_or(rest.len());
        let (unlike, query) = rest.split_at(end);
        if !unlike.is_empty() {
            push_path(&mut text, unlike)?;
            check_segments(&text)?;
        }
        let path_len = text.len();
        if let Some(query) = query.strip_prefix(b"?") {
            text.push('?');
            push_query(&mut text, query)?;
        }
        Ok(Self { text: text.into(), path_len })
    }

    /// The same, if a tighter bound takes it too.
    pub fn within(self, bytes_max: usize) -> Result<Self, Refusal> {
        if self.text.len() > bytes_max { Err(too_long()) } else { Ok(self) }
    }

    /// Canonical: the path and, after a `?`, the query.
    pub const fn as_str(&self) -> &str {
        &self.text
    }

    /// Canonical, without the query.
    pub fn path(&self) -> &str {
        self.text.get(..self.path_len).unwrap_or_default()
    }

    /// The path alone, for good.
    pub fn into_path(self) -> Box<str> {
        let mut text = self.text.into_string();
        text.truncate(self.path_len);
        text.into()
    }

    /// `?` and the query, or nothing.
    pub fn query_suffix(&self) -> &str {
        self.text.get(self.path_len..).unwrap_or_default()
    }

    /// The target to forward when `base` of the path is replaced by `replacement`.
    pub fn rebased(&self, base: &str, replacement: &str) -> Cow<'_, str> {
        match self.text.strip_prefix(base) {
            _ if base == replacement => Cow::Borrowed(&self.text),
            None => Cow::Borrowed(&self.text),
            Some(rest) if rest.starts_with('/') => Cow::Owned(format!("{replacement}{rest}")),
            // The base path itself, perhaps with a query.
            Some(rest) if replacement.is_empty() => Cow::Owned(format!("/{rest}")),
            Some(rest) => Cow::Owned(format!("{replacement}{rest}")),
        }
    }
}

/// A raw target in absolute form (RFC 9112, 3.2.2) as its authority and its origin form.
pub fn split_absolute(raw: &[u8]) -> Option<(&[u8], &[u8])> {
    let after = |scheme: &[u8]| {
        let (start, rest) = raw.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    };
    let rest = after(b"http://").or_else(|| after(b"https://"))?;
    let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
    let (authority, target) = rest.split_at(end);
    Some((authority, if target.is_empty() { b"/" } else { target }))
}

/// The longest target that URI parsers take, whatever config allows.
pub const TARGET_BYTES_MAX: usize = 65_534;

/// Whether a target that passed the strict head may go to a URI parser as it is: the bytes that this
/// file percent-encodes are refused by some.
pub fn is_wire_safe(raw: &[u8]) -> bool {
    raw.iter().all(|byte| class(*byte) != Class::Encode)
}

/// The same target in origin form with those bytes percent-encoded. Its canonical form is the same.
pub fn to_wire(raw: &[u8]) -> Vec<u8> {
    let mut text = String::with_capacity(raw.len() + 16);
    if raw.first() != Some(&b'/') && raw != b"*" {
        // RFC 9112, 3.2.1: an absolute form may leave an empty path out before its query.
        text.push('/');
    }
    let (path, query) = match raw.iter().position(|byte| *byte == b'?') {
        Some(at) => raw.split_at(at),
        None => (raw, &[][..]),
    };
    for &byte in path {
        match class(byte) {
            Class::Encode => push_encoded(&mut text, byte),
            Class::Plain | Class::Percent | Class::Refuse => text.push(char::from(byte)),
        }
    }
    for &byte in query {
        push_query_byte(&mut text, byte);
    }
    text.into_bytes()
}

/// What a byte of a path is.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Class {
    /// Stands for itself.
    Plain,
    /// Allowed, but not bare in a URI: written percent-encoded.
    Encode,
    Percent,
    Refuse,
}

const CLASSES: [Class; 256] = classes();

#[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
const fn class(byte: u8) -> Class {
    CLASSES[byte as usize]
}

#[expect(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "bounded, and const")]
const fn classes() -> [Class; 256] {
    let mut table = [Class::Refuse; 256];
    let mut byte = 0;
    while byte < 256 {
        let b = byte as u8;
        table[byte] = match b {
            b'%' => Class::Percent,
            b'#' | b'?' | b'\\' | 0..=0x20 | 0x7f => Class::Refuse,
            b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}' | b'[' | b']' | 0x80..=0xff => {
                Class::Encode
            }
            _ => Class::Plain,
        };
        byte += 1;
    }
    table
}

/// How many bytes of a path stand for themselves, in segments that nobody could take for others: all of
/// them, nearly always.
fn plain_bytes(path: &[u8]) -> usize {
    let mut before = 0;
    let is_odd = |byte: &u8| {
        let begins_oddly = before == b'/' && matches!(*byte, b'/' | b'.' | b';');
        before = *byte;
        begins_oddly || class(*byte) != Class::Plain
    };
    path.iter().position(is_odd).unwrap_or(path.len())
}

fn push_path(text: &mut String, path: &[u8]) -> Result<(), Refusal> {
    let mut rest = path;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match class(byte) {
            Class::Plain => text.push(char::from(byte)),
            Class::Encode => push_encoded(text, byte),
            Class::Percent => {
                let (byte, after) = percent(rest)?;
                rest = after;
                push_decoded(text, byte)?;
            }
            Class::Refuse => {
                return Err(malformed("The path holds a character that a path may not hold."));
            }
        }
    }
    Ok(())
}

/// One percent-encoded byte of a path: bare when it never needed encoding.
fn push_decoded(text: &mut String, byte: u8) -> Result<(), Refusal> {
    match byte {
        b'/' | b'\\' => Err(malformed("The path holds an encoded slash or backslash.")),
        0..=0x1f | 0x7f => Err(malformed("The path holds an encoded control character.")),
        _ if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => {
            text.push(char::from(byte));
            Ok(())
        }
        _ => {
            push_encoded(text, byte);
            Ok(())
        }
    }
}

/// Queries are passed on as sent, but for bytes that no URI may hold: those are percent-encoded.
fn push_query(text: &mut String, query: &[u8]) -> Result<(), Refusal> {
    for &byte in query {
        match byte {
            0..=0x20 | 0x7f | b'#' => {
                return Err(malformed("The query holds a character that a query may not hold."));
            }
            _ => push_query_byte(text, byte),
        }
    }
    Ok(())
}

fn push_query_byte(text: &mut String, byte: u8) {
    match byte {
        b'"' | b'<' | b'>' | b'`' | 0x80..=0xff => push_encoded(text, byte),
        _ => text.push(char::from(byte)),
    }
}

/// Refuses segments that a server behind the gate might resolve away. `/..;x/` and `/;x/` count:
/// some servers cut parameters off segments first.
fn check_segments(path: &str) -> Result<(), Refusal> {
    if path.contains("//") {
        return Err(malformed("The path holds an empty segment ('//')."));
    }
    for segment in path.split('/') {
        let name = segment.split(';').next().unwrap_or_default();
        if name.is_empty() && !segment.is_empty() {
            return Err(malformed("The path holds a segment of parameters alone ('/;')."));
        }
        if name == "." || name == ".." {
            return Err(malformed("The path holds a dot segment ('.' or '..')."));
        }
    }
    Ok(())
}

fn percent(rest: &[u8]) -> Result<(u8, &[u8]), Refusal> {
    let broken = || malformed("The path holds a '%' without two hexadecimal digits after it.");
    let (&[high, low], after) = rest.split_first_chunk::<2>().ok_or_else(broken)?;
    let digit = |b: u8| match b {
        b'0'..=b'9' => Ok(b - b'0'),
        b'a'..=b'f' => Ok(b - b'a' + 10),
        b'A'..=b'F' => Ok(b - b'A' + 10),
        _ => Err(broken()),
    };
    Ok((digit(high)? << 4 | digit(low)?, after))
}

fn push_encoded(text: &mut String, byte: u8) {
    let digit = |nibble: u8| match nibble {
        0..=9 => char::from(b'0' + nibble),
        _ => char::from(b'A' + nibble - 10),
    };
    text.extend(['%', digit(byte >> 4), digit(byte & 15)]);
}

const fn too_long() -> Refusal {
    Refusal::new(Denial::UriTooLong, "the target is over its bound")
}

const fn malformed(detail: &'static str) -> Refusal {
    Refusal::detailed(Denial::MalformedRequest, detail)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(raw: &str, expected: Result<&str, Denial>) {
        let parsed = Target::parse(raw.as_bytes(), 100);
        let shown = parsed.map(|t| format!("{}{}", t.path(), t.query_suffix()));
        assert_eq!(
            shown.as_deref().map_err(|r| r.denial),
            expected.as_ref().map(|t| *t).map_err(|d| *d),
            "{raw:?}"
        );
    }

    #[test]
    fn targets_have_one_form_or_are_refused() {
        use Denial::{MalformedRequest, UriTooLong};
        check("/", Ok("/"));
        check("/payments/7?x=1&y=%2F../", Ok("/payments/7?x=1&y=%2F../"));
        check("/%41%7e%2d", Ok("/A~-"));
        check("/caf\u{e9}", Ok("/caf%C3%A9"));
        check("/caf%c3%a9", Ok("/caf%C3%A9"));
        check("/a|b{c}", Ok("/a%7Cb%7Bc%7D"));
        check("/a%7cb", Ok("/a%7Cb"));
        check("/.well-known/x", Ok("/.well-known/x"));
        check("/...", Ok("/..."));
        check("/a/", Ok("/a/"));
        check("/a;b/c;d=e", Ok("/a;b/c;d=e"));
        check("/a/;/b", Err(MalformedRequest));
        check("/a/;x=y/b", Err(MalformedRequest));
        check("/;", Err(MalformedRequest));
        check("/a?q=\"<>`", Ok("/a?q=%22%3C%3E%60"));
        check("/%252e%252e", Ok("/%252e%252e"));
        for raw in [
            "",
            "a",
            "*",
            "host:80",
            "/a b",
            "/a\0",
            "/a\r",
            "/a#b",
            "/a?b#c",
            "/a?b c",
            "/a\\b",
            "/../a",
            "/a/..",
            "/a/./b",
            "/a/%2e%2e/b",
            "/%2E",
            "/..;x/a",
            "/%2e%2e;/a",
            "//",
            "/a//b",
            "/%2f",
            "/%2F",
            "/%5c",
            "/%00",
            "/%0a",
            "/%7f",
            "/%",
            "/%4",
            "/%zz",
            "/%u002e",
        ] {
            check(raw, Err(MalformedRequest));
        }
        check(&format!("/{}", "a".repeat(100)), Err(UriTooLong));
    }

    #[test]
    fn absolute_form_is_split() {
        let check = |raw: &str, expected: Option<(&str, &str)>| {
            let expected = expected.map(|(a, t)| (a.as_bytes(), t.as_bytes()));
            assert_eq!(split_absolute(raw.as_bytes()), expected, "{raw}");
        };
        check("http://a.b:80/x?y", Some(("a.b:80", "/x?y")));
        check("HTTPS://a", Some(("a", "/")));
        check("http://a?x", Some(("a", "?x")));
        check("/x", None);
        check("ftp://a/", None);
    }

    #[test]
    fn a_base_path_is_replaced() {
        let check = |raw: &str, base: &str, with: &str, expected: &str| {
            let target = Target::parse(raw.as_bytes(), 100).expect("valid");
            assert_eq!(target.rebased(base, with), expected, "{raw} {base} {with}");
        };
        check("/api/x?y", "/api", "/api", "/api/x?y");
        check("/api/x?y", "/api", "", "/x?y");
        check("/api?y", "/api", "", "/?y");
        check("/api", "/api", "/v2", "/v2");
        check("/api/x", "/api", "/v2", "/v2/x");
        check("/x", "", "/v2", "/v2/x");
    }

    proptest! {
        /// Canonical is a fixed point: reading the result again changes nothing, so no later
        /// reader can see another path. And what goes to Pingora has the same one.
        #[test]
        fn canonical_form_is_a_fixed_point(raw in "(/[a-zA-Z0-9%./;:|é\\\\?# {}<>`\"^-]{0,12}){1,4}") {
            if let Ok(once) = Target::parse(raw.as_bytes(), 1000) {
                let text = format!("{}{}", once.path(), once.query_suffix());
                prop_assert_eq!(Target::parse(&to_wire(raw.as_bytes()), 1000), Ok(once.clone()));
                prop_assert_eq!(Target::parse(text.as_bytes(), 1000), Ok(once));
            }
        }

        #[test]
        fn no_bytes_panic(raw in proptest::collection::vec(any::<u8>(), 0..64)) {
            drop(Target::parse(&raw, 1000));
        }
    }
}
