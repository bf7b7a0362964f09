//! The strict rules for a request head (RFC 9110, 9112), on its raw bytes: Pingora corrects some
//! faults and passes others on, so what breaks a rule is refused before Pingora sees it.
//!
//! Framing is the point: after this check the gate and the upstream cannot differ on where a
//! request ends.

use std::net::Ipv6Addr;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use smallvec::SmallVec;

use crate::model::denial::{Denial, Refusal};
use crate::model::policy::Bounds;

use super::target;

pub mod parsed;

/// What the connection must know of a head that passed.
#[derive(Debug, Eq, PartialEq)]
pub struct Head<'a> {
    pub method: &'a str,
    /// The origin form, raw.
    pub target: &'a [u8],
    pub framing: Framing,
    /// The caller wants to leave HTTP: what follows the head is not ours to frame.
    pub upgrade: bool,
}

/// How the request's body ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Framing {
    Length(u64),
    Chunked,
}

/// What scanning for a head's end found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scan {
    /// The head ends before this byte.
    Complete(usize),
    /// More is needed.
    Incomplete,
}

/// Looks for the empty line that ends a head, and remembers where each line ends.
#[derive(Debug, Default)]
pub struct Scanner {
    /// Where the LF of each line stands.
    ends: SmallVec<[u32; 16]>,
    /// Where the line begins whose end is still to come.
    begun_at: usize,
}

impl Scanner {
    pub const fn has_lines(&self) -> bool {
        self.begun_at > 0
    }

    /// Scans on, in the same head with perhaps more bytes. A line that ends without CR is refused at
    /// once: waiting for the proper end would wait for ever.
    pub fn scan(&mut self, buffer: &[u8]) -> Result<Scan, Refusal> {
        let rest = |at| buffer.get(at..).and_then(|rest| memchr::memchr(b'\n', rest));
        while let Some(found) = rest(self.begun_at) {
            let newline = self.begun_at + found;
            if newline == 0 || buffer.get(newline - 1) != Some(&b'\r') {
                return Err(malformed("Lines of a request head must end with CR LF."));
            }
            self.ends.push(u32::try_from(newline).unwrap_or(u32::MAX));
            if self.begun_at > 0 && found == 1 {
                return Ok(Scan::Complete(newline + 1));
            }
            self.begun_at = newline + 1;
        }
        Ok(Scan::Incomplete)
    }

    /// Where the LF of the first line stands.
    pub fn first_end(&self) -> Option<usize> {
        self.ends.first().map(|end| *end as usize)
    }

    /// The lines of the head that was scanned, without their ends; stops at the empty one.
    fn lines<'a>(&self, raw: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let mut begins_at = 0;
        self.ends.iter().map_while(move |end| {
            let end = *end as usize;
            let line = raw.get(begins_at..end.checked_sub(1)?)?;
            begins_at = end + 1;
            (!line.is_empty()).then_some(line)
        })
    }
}

/// Checks a complete head, its last empty line included, that was scanned.
pub fn check<'a>(raw: &'a [u8], scanner: &Scanner, bounds: &Bounds) -> Result<Head<'a>, Refusal> {
    let mut lines = scanner.lines(raw);
    let line = lines.next().unwrap_or_default();
    let (method, raw_target, version) = request_line(line)?;
    let mut fields = Fields::default();
    let mut count = 0_usize;
    for line in lines {
        count += 1;
        fields.read(line)?;
    }
    if count > bounds.head_fields_max {
        return Err(Refusal::detailed(Denial::HeadTooLarge, "The request has too many fields."));
    }
    if raw_target.len() > bounds.uri_bytes_max.min(target::TARGET_BYTES_MAX) {
        return Err(Refusal::new(Denial::UriTooLong, "the target is over its bound"));
    }
    let Some(host) = fields.host else {
        return Err(malformed("The request has no Host field."));
    };
    if host_name(host).is_none() {
        return Err(malformed("The Host field is not a host name with an optional port."));
    }
    let target = match target::split_absolute(raw_target) {
        None => raw_target,
        Some((authority, origin)) if authority.eq_ignore_ascii_case(host) => origin,
        Some(_) => return Err(malformed("The target's host differs from the Host field.")),
    };
    if method == "CONNECT" {
        return Err(Refusal::detailed(Denial::MethodNotAllowed, "The gate opens no tunnels."));
    }
    let framing = fields.framing(version)?;
    Ok(Head { method, target, framing, upgrade: fields.upgrade })
}

/// The method and the host of a head that passed, for those who must know them before the request
/// is decided on. Few do, so no other head pays for it.
pub fn method_and_host(raw: &[u8]) -> Option<(&str, &[u8])> {
    let mut scanner = Scanner::default();
    scanner.scan(raw).ok()?;
    let mut lines = scanner.lines(raw);
    let (method, _, _) = request_line(lines.next()?).ok()?;
    let mut fields = Fields::default();
    lines.try_for_each(|line| fields.read(line)).ok()?;
    Some((method, fields.host?))
}

/// The fields of a head that passed, read anew.
pub fn fields_again(raw: &[u8]) -> HeaderMap {
    let mut scanner = Scanner::default();
    let mut fields = HeaderMap::new();
    if scanner.scan(raw).is_ok() {
        for line in scanner.lines(raw).skip(1) {
            let (name, value) = line.split_at(line.iter().position(|b| *b == b':').unwrap_or(0));
            let value = value.strip_prefix(b":").unwrap_or_default().trim_ascii();
            let field = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value));
            if let (Ok(name), Ok(value)) = field {
                fields.append(name, value);
            }
        }
    }
    fields
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Version {
    Http10,
    Http11,
}

fn request_line(line: &[u8]) -> Result<(&str, &[u8], Version), Refusal> {
    let broken = || malformed("The request line must be METHOD SP TARGET SP HTTP/1.1.");
    let (rest, version) = match line.split_last_chunk() {
        Some((rest, b" HTTP/1.1")) => (rest, Version::Http11),
        Some((rest, b" HTTP/1.0")) => (rest, Version::Http10),
        _ => return Err(broken()),
    };
    let (method, rest) = rest.split_at(rest.iter().position(|b| *b == b' ').ok_or_else(broken)?);
    let target = rest.get(1..).unwrap_or_default();
    if method.is_empty() || method.len() > METHOD_BYTES_MAX || !method.iter().all(|b| is_token(*b))
    {
        return Err(malformed("The method is not a token of at most 32 characters."));
    }
    // A fragment is refused here because Pingora cuts it off.
    if target.is_empty() || target.iter().any(|b| *b <= 0x20 || *b == 0x7f || *b == b'#') {
        return Err(malformed("The request target holds a space, a control character or a '#'."));
    }
    Ok((std::str::from_utf8(method).map_err(|_| broken())?, target, version))
}

/// The longest method of the IANA registry has 17 characters.
const METHOD_BYTES_MAX: usize = 32;

/// The fields that decide where a request ends and whom it is for.
#[derive(Default)]
struct Fields<'a> {
    host: Option<&'a [u8]>,
    length: Option<&'a [u8]>,
    encoding: Option<&'a [u8]>,
    upgrade: bool,
}

impl<'a> Fields<'a> {
    fn read(&mut self, line: &'a [u8]) -> Result<(), Refusal> {
        if line.first().is_some_and(|b| *b == b' ' || *b == b'\t') {
            return Err(malformed("A field goes on over more than one line."));
        }
        let no_colon = || malformed("A line of the head is no field: it has no colon.");
        let colon = line.iter().position(|b| !is_token(*b)).ok_or_else(no_colon)?;
        let (name, rest) = line.split_at(colon);
        let (&[b':', ref value @ ..], false) = (rest, name.is_empty()) else {
            return Err(malformed("A field name holds a character that is not allowed."));
        };
        if has_control(value) {
            return Err(malformed("A field value holds a control character."));
        }
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => once(&mut self.host, value),
            7 if name.eq_ignore_ascii_case(b"upgrade") => {
                self.upgrade = true;
                Ok(())
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => once(&mut self.length, value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                once(&mut self.encoding, value)
            }
            _ => Ok(()),
        }
    }

    fn framing(&self, version: Version) -> Result<Framing, Refusal> {
        match (self.encoding, self.length) {
            (None, None) => Ok(Framing::Length(0)),
            (None, Some(length)) => {
                let digits = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
                let text = std::str::from_utf8(length).ok().filter(|_| digits);
                let number = text.and_then(|text| text.parse().ok());
                number
                    .map(Framing::Length)
                    .ok_or_else(|| malformed("Content-Length is not one decimal number."))
            }
            (Some(_), Some(_)) => {
                Err(malformed("A request may not have both Content-Length and Transfer-Encoding."))
            }
            (Some(_), None) if version == Version::Http10 => {
                Err(malformed("HTTP/1.0 has no Transfer-Encoding."))
            }
            (Some(encoding), None) if encoding.eq_ignore_ascii_case(b"chunked") => {
                Ok(Framing::Chunked)
            }
            (Some(_), None) => {
                Err(malformed("The only Transfer-Encoding of a request is chunked."))
            }
        }
    }
}

/// Whether a field's value holds a control character but the tab (RFC 9110, 5.5).
fn has_control(value: &[u8]) -> bool {
    let (chunks, rest) = value.as_chunks::<8>();
    let is_bad = |byte: &u8| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f;
    let is_odd = |chunk: &[u8; 8]| may_hold_control(u64::from_ne_bytes(*chunk));
    (chunks.iter().any(is_odd) && value.iter().any(is_bad)) || rest.iter().any(is_bad)
}

/// Whether some byte of eight may be below 0x20 or 0x7f: never false when one is.
const fn may_hold_control(eight: u64) -> bool {
    const ONES: u64 = u64::MAX / 0xff;
    let as_del = eight ^ (0x7f * ONES);
    let below = eight.wrapping_sub(0x20 * ONES) & !eight;
    let del = as_del.wrapping_sub(ONES) & !as_del;
    (below | del) & (0x80 * ONES) != 0
}

fn once<'a>(field: &mut Option<&'a [u8]>, value: &'a [u8]) -> Result<(), Refusal> {
    match field.replace(value.trim_ascii()) {
        None => Ok(()),
        Some(_) => {
            Err(malformed("Host, Content-Length and Transfer-Encoding may each stand only once."))
        }
    }
}

/// The name of a `Host` field or `:authority` (RFC 9110, 7.2): lower-case, without port and without
/// a dot at its end. None when it is not a host.
pub fn parse_host(raw: &[u8]) -> Option<Box<str>> {
    let mut name: Box<str> = std::str::from_utf8(host_name(raw)?).ok()?.into();
    name.make_ascii_lowercase();
    Some(name)
}

fn host_name(raw: &[u8]) -> Option<&[u8]> {
    let (host, port) = match raw.first()? {
        b'[' => {
            let end = memchr::memchr(b']', raw)?;
            std::str::from_utf8(raw.get(1..end)?).ok()?.parse::<Ipv6Addr>().ok()?;
            (raw.get(..=end)?, raw.get(end + 1..)?)
        }
        // What ends the name must be a port, or nothing.
        _ => raw.split_at(raw.iter().position(|b| !is_host_byte(*b)).unwrap_or(raw.len())),
    };
    let name = host.strip_suffix(b".").unwrap_or(host);
    let fits = (1..=HOST_BYTES_MAX).contains(&name.len());
    (fits && is_port(port)).then_some(name)
}

/// The longest name that DNS has.
const HOST_BYTES_MAX: usize = 255;

/// Nothing, or a colon and a number that is a port or nothing.
fn is_port(text: &[u8]) -> bool {
    let Some((colon, digits)) = text.split_first() else { return true };
    let add = |port: u32, digit: &u8| match digit {
        b'0'..=b'9' => Some(port * 10 + u32::from(digit - b'0')).filter(|port| *port <= 65_535),
        _ => None,
    };
    *colon == b':' && digits.iter().try_fold(0, add).is_some()
}

/// Whether two names of fields are one to servers that take `_` for `-`.
pub fn are_alike(a: &str, b: &str) -> bool {
    let dashed = |b: u8| if b == b'_' { b'-' } else { b };
    a.len() == b.len() && a.bytes().map(dashed).eq(b.bytes().map(dashed))
}

/// What the `Connection` fields of a head name: fields for this hop only (RFC 9110, 7.6.1).
pub fn connection_options(fields: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let values = fields.get_all(header::CONNECTION).iter();
    values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

/// RFC 9110, 5.6.2.
#[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
const fn is_token(byte: u8) -> bool {
    const TABLE: [bool; 256] = alphanumeric_and(b"!#$%&'*+-.^_`|~");
    TABLE[byte as usize]
}

#[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
const fn is_host_byte(byte: u8) -> bool {
    const TABLE: [bool; 256] = alphanumeric_and(b"-._~");
    TABLE[byte as usize]
}

#[expect(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "bounded, and const")]
const fn alphanumeric_and(marks: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut at = 0;
    while at < 256 {
        table[at] = (at as u8).is_ascii_alphanumeric();
        at += 1;
    }
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    table
}

const fn malformed(detail: &'static str) -> Refusal {
    Refusal::detailed(Denial::MalformedRequest, detail)
}

#[cfg(test)]
mod tests;
