//! JSON written straight to the end of a byte buffer: the few shapes that a record's line needs.
//!
//! It builds no values, allocates next to nothing but the buffer's growth and cannot fail. Its output is
//! checked against serde_json by the tests below; reading is serde's.

use std::net::{IpAddr, SocketAddr};

use crate::model::time::UnixMicros;
use crate::model::upstream::Address;

/// One JSON object at the end of a buffer. Keys are written as they are given and in that order.
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Object<'a> {
    /// Opens the object with its first member.
    pub fn open(out: &'a mut Vec<u8>, key: &'static str, value: u64) -> Self {
        out.extend_from_slice(b"{\"");
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(b"\":");
        push_number(out, value);
        Self { out }
    }

    pub fn close(self) {
        self.out.push(b'}');
    }

    pub fn number(&mut self, key: &'static str, value: u64) {
        self.key(key);
        push_number(self.out, value);
    }

    pub fn text(&mut self, key: &'static str, value: &str) {
        self.key(key);
        push_text(self.out, value);
    }

    /// Writes nothing for the empty text: an absent fact is left out of a record.
    pub fn text_unless_empty(&mut self, key: &'static str, value: &str) {
        if !value.is_empty() {
            self.text(key, value);
        }
    }

    pub fn texts<'t>(&mut self, key: &'static str, values: impl Iterator<Item = &'t str>) {
        self.key(key);
        let mut before = b'[';
        for value in values {
            self.out.push(before);
            push_text(self.out, value);
            before = b',';
        }
        if before == b'[' {
            self.out.push(before);
        }
        self.out.push(b']');
    }

    /// For texts that their type keeps free of what needs an escape: names, ids, codes. It does
    /// not look.
    pub fn name(&mut self, key: &'static str, value: &str) {
        debug_assert!(!value.bytes().any(needs_escape), "{key} must be plain: {value:?}");
        self.key(key);
        self.out.push(b'"');
        self.out.extend_from_slice(value.as_bytes());
        self.out.push(b'"');
    }

    pub fn name_unless_empty(&mut self, key: &'static str, value: &str) {
        if !value.is_empty() {
            self.name(key, value);
        }
    }

    /// A time, as its second's text up to the point, and its microseconds.
    pub fn time(&mut self, key: &'static str, second: &str, micros: u64) {
        self.key(key);
        self.out.push(b'"');
        self.out.extend_from_slice(second.as_bytes());
        let digit = |unit: u64| b'0' + (micros / unit % 10) as u8;
        self.out.extend([100_000, 10_000, 1_000, 100, 10, 1].map(digit));
        self.out.extend_from_slice(b"Z\"");
    }

    pub fn address(&mut self, key: &'static str, value: IpAddr) {
        self.key(key);
        self.out.push(b'"');
        push_address(self.out, value);
        self.out.push(b'"');
    }

    pub fn endpoint(&mut self, key: &'static str, value: Endpoint<'_>) {
        let address = match value {
            Endpoint::Inet(address) => address,
            // A path may hold anything.
            Endpoint::Unix(path) => return self.text(key, &format!("unix:{path}")),
        };
        self.key(key);
        self.out.push(b'"');
        if address.is_ipv4() {
            push_address(self.out, address.ip());
            self.out.push(b':');
            push_number(self.out, u64::from(address.port()));
        } else {
            self.out.extend_from_slice(address.to_string().as_bytes());
        }
        self.out.push(b'"');
    }

    pub fn hex(&mut self, key: &'static str, bytes: [u8; 16]) {
        self.key(key);
        self.out.push(b'"');
        push_hex(self.out, bytes);
        self.out.push(b'"');
    }

    /// Members that are JSON already, with the comma before them.
    pub fn members(&mut self, written: &[u8]) {
        self.out.extend_from_slice(written);
    }

    /// One JSON value, already written by someone else. It must not break the line or the object:
    /// a raw line break can only be white space in JSON, and what is no JSON at all is kept as text.
    pub fn value(&mut self, key: &'static str, json: &str) {
        if serde_json::from_str::<serde::de::IgnoredAny>(json).is_err() {
            return self.text(key, json);
        }
        self.key(key);
        let one_line = |byte| if byte == b'\n' || byte == b'\r' { b' ' } else { byte };
        self.out.extend(json.bytes().map(one_line));
    }

    /// An object within; nothing where it gets no member.
    pub fn object(&mut self, key: &'static str, write: impl FnOnce(&mut Self)) {
        let before = self.out.len();
        self.key(key);
        let first = self.out.len();
        write(self);
        // Where a member has its comma the object begins.
        match self.out.get_mut(first) {
            Some(comma) => {
                *comma = b'{';
                self.out.push(b'}');
            }
            None => self.out.truncate(before),
        }
    }

    fn key(&mut self, key: &'static str) {
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }
}

/// Where the request was sent, as [`Address`] has it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Endpoint<'a> {
    Inet(SocketAddr),
    Unix(&'a str),
}

impl<'a> Endpoint<'a> {
    pub fn of(address: &'a Address) -> Self {
        match address {
            Address::Inet(address) => Self::Inet(*address),
            Address::Unix(path) => Self::Unix(path),
        }
    }
}

/// `2026-03-01T12:00:00.`: what the times within one second begin with.
pub fn second_text(seconds: i64) -> String {
    let mut text = UnixMicros::from_seconds(seconds).to_string();
    text.truncate(text.len() - "000000Z".len());
    text
}

/// Two or three times in nearly every record, and several times as fast as through fmt.
fn push_address(out: &mut Vec<u8>, address: IpAddr) {
    let IpAddr::V4(address) = address else {
        out.extend_from_slice(address.to_string().as_bytes());
        return;
    };
    let [a, b, c, d] = address.octets();
    push_octet(out, a);
    for octet in [b, c, d] {
        out.push(b'.');
        push_octet(out, octet);
    }
}

fn push_octet(out: &mut Vec<u8>, octet: u8) {
    if octet >= 100 {
        out.push(b'0' + octet / 100);
    }
    if octet >= 10 {
        out.push(b'0' + octet / 10 % 10);
    }
    out.push(b'0' + octet % 10);
}

pub fn push_number(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut unused = digits.len();
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        unused -= 1;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(digits.get(unused..).unwrap_or_default());
}

pub fn push_hex(out: &mut Vec<u8>, bytes: [u8; 16]) {
    out.extend_from_slice(bytes.map(hex_digits).as_flattened());
}

/// A text with its quotes.
pub fn push_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| needs_escape(*byte)) {
        let (plain, escaped) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((byte, after)) = escaped.split_first() else { break };
        push_escape(out, *byte);
        rest = after;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

/// What RFC 8259 demands, and DEL, so that a line in a terminal is only text.
const fn needs_escape(byte: u8) -> bool {
    matches!(byte, 0..0x20 | b'"' | b'\\' | 0x7f)
}

fn push_escape(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        _ => {
            out.extend_from_slice(b"\\u00");
            out.extend_from_slice(&hex_digits(byte));
        }
    }
}

fn hex_digits(byte: u8) -> [u8; 2] {
    let digit = |nibble: u8| nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
    [digit(byte >> 4), digit(byte & 0xf)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn written(write: impl FnOnce(&mut Object<'_>)) -> String {
        let mut out = Vec::new();
        let mut object = Object::open(&mut out, "v", 1);
        write(&mut object);
        object.close();
        String::from_utf8(out).expect("texts in, text out")
    }

    #[test]
    fn every_shape_is_written_as_json() {
        let check = |write: &dyn Fn(&mut Object<'_>), expected: &str| {
            assert_eq!(written(|object| write(object)), format!("{{\"v\":1{expected}}}"));
        };
        check(&|_| (), "");
        check(&|o| o.number("n", 0), r#","n":0"#);
        check(&|o| o.number("n", u64::MAX), r#","n":18446744073709551615"#);
        check(
            &|o| o.text("t", "a\"b\\c\n\r\t\0\u{7f}é"),
            ",\"t\":\"a\\\"b\\\\c\\n\\r\\t\\u0000\\u007fé\"",
        );
        check(&|o| o.text_unless_empty("t", ""), "");
        check(&|o| o.texts("t", [].into_iter()), r#","t":[]"#);
        check(&|o| o.texts("t", ["a", "b"].into_iter()), r#","t":["a","b"]"#);
        check(&|o| o.address("a", [10, 0, 255, 1].into()), r#","a":"10.0.255.1""#);
        check(&|o| o.address("a", IpAddr::from([0; 16])), r#","a":"::""#);
        let inet = |ip: IpAddr| Endpoint::Inet((ip, 80).into());
        check(&|o| o.endpoint("e", inet([10, 0, 99, 100].into())), r#","e":"10.0.99.100:80""#);
        check(&|o| o.endpoint("e", inet([0; 16].into())), r#","e":"[::]:80""#);
        check(&|o| o.endpoint("e", Endpoint::Unix("/a\"b")), r#","e":"unix:/a\"b""#);
        check(&|o| o.name("n", "a-b_c.d"), r#","n":"a-b_c.d""#);
        check(
            &|o| o.time("t", "2026-03-01T12:00:00.", 45),
            r#","t":"2026-03-01T12:00:00.000045Z""#,
        );
        check(&|o| o.hex("h", [0xa0; 16]), r#","h":"a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0""#);
        check(&|o| o.value("j", "{\"a\":\r\n[1]}"), ",\"j\":{\"a\":  [1]}");
        check(&|o| o.value("j", "1},{"), r#","j":"1},{""#);
        check(&|o| o.members(b",\"m\":2"), r#","m":2"#);
        check(&|o| o.object("o", |_| ()), "");
        check(
            &|o| {
                o.object("o", |o| {
                    o.number("n", 1);
                    o.text("t", "a");
                });
                o.number("m", 2);
            },
            r#","o":{"n":1,"t":"a"},"m":2"#,
        );
    }

    proptest! {
        #[test]
        fn texts_and_numbers_read_back_as_they_were(text in any::<String>(), n in any::<u64>()) {
            let line = written(|object| {
                object.text("text", &text);
                object.number("n", n);
            });
            prop_assert!(!line.bytes().any(|byte| byte < 0x20));
            let read: Value = serde_json::from_str(&line).expect("JSON");
            prop_assert_eq!(read, json!({ "v": 1, "text": text, "n": n }));
        }
    }
}
