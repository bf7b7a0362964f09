//! A JSON text as the inside of a string, which results have beside the value: checked and escaped in one pass.

use super::compact::compact;
use super::push_escaped;
use super::scan::{Scanned, Sink, scan};

/// Appends a JSON text without the blanks between its tokens and without control characters. None, and nothing
/// appended, where it is no JSON or too deep.
pub(in crate::mcp) fn push_json(out: &mut Vec<u8>, text: &str) -> Option<Scanned> {
    if memchr::memchr2(DELETE, C1, text.as_bytes()).is_some() {
        // There may be control characters that JSON lets pass.
        let scanned = scan(text, ())?;
        push_escaped(out, &compact(text, scanned));
        return Some(scanned);
    }
    let before = out.len();
    out.reserve(text.len() + text.len() / 4);
    let mut inside = Inside { text: text.as_bytes(), copied: 0, out, room: [0; ROOM], len: 0 };
    let scanned = scan(text, &mut inside);
    if scanned.is_some() {
        inside.copy_long(text.len());
    } else {
        out.truncate(before);
    }
    scanned
}

/// A control character that JSON lets pass, and the byte that those beyond ASCII begin with, among others.
const DELETE: u8 = 0x7f;
const C1: u8 = 0xc2;

/// Bytes that are copied at once, though fewer may be meant.
const STEP: usize = 32;
/// What is gathered before it is appended.
const ROOM: usize = 512;

struct Inside<'t, 'o> {
    text: &'t [u8],
    copied: usize,
    out: &'o mut Vec<u8>,
    room: [u8; ROOM],
    len: usize,
}

impl Inside<'_, '_> {
    /// Copies what stands for itself, few bytes mostly, and makes sure that there is room for one more.
    #[inline]
    fn copy(&mut self, to: usize) {
        let count = to - self.copied;
        let from = self.text.get(self.copied..).and_then(<[u8]>::first_chunk::<STEP>);
        let into = self.room.get_mut(self.len..self.len + STEP);
        match (from, into) {
            (Some(from), Some(into)) if count < STEP => {
                into.copy_from_slice(from);
                self.len += count;
                self.copied = to;
            }
            _ => self.copy_long(to),
        }
    }

    #[inline(never)]
    fn copy_long(&mut self, to: usize) {
        self.out.extend_from_slice(self.room.get(..self.len).unwrap_or_default());
        self.len = 0;
        self.out.extend_from_slice(self.text.get(self.copied..to).unwrap_or_default());
        self.copied = to;
    }
}

impl Sink for Inside<'_, '_> {
    #[inline]
    fn mark(&mut self, at: usize) {
        self.copy(at);
        if let Some(into) = self.room.get_mut(self.len) {
            *into = b'\\';
            self.len += 1;
        }
    }

    fn blank(&mut self, at: usize) {
        self.copy(at);
        self.copied = at + 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use crate::mcp::json::push_escaped;

    use super::*;

    fn written(text: &str) -> Option<String> {
        let mut out = b"before".to_vec();
        let scanned = push_json(&mut out, text);
        let out = String::from_utf8(out).expect("UTF-8");
        assert!(scanned.is_some() || out == "before", "{out}");
        scanned.map(|_| out.trim_start_matches("before").to_owned())
    }

    #[test]
    fn json_is_escaped_and_compact() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(written(text).as_deref(), expected, "{text}");
        };
        check("[1, 2]\n", Some("[1,2]"));
        check(r#"{"a":"b\n\"\\\u00e9"}"#, Some(r#"{\"a\":\"b\\n\\\"\\\\\\u00e9\"}"#));
        check("\"\u{7f}\u{85}\u{a0}é😀\u{9f}\"", Some("\\\"\u{a0}é😀\\\""));
        check(&"\"".repeat(99), None);
        check("{\"a\":", None);
        check("", None);
    }

    proptest! {
        #[test]
        fn it_is_what_escaping_would_make(keys in proptest::collection::vec(any::<String>(), 0..6), number in any::<f64>()) {
            let value: Value = keys.iter().map(|key| (key.clone(), serde_json::json!([key, number, null]))).collect();
            let compact = value.to_string();
            let mut escaped = Vec::new();
            push_escaped(&mut escaped, &compact);
            let escaped = String::from_utf8(escaped).expect("UTF-8");
            prop_assert_eq!(written(&compact), Some(escaped.clone()));
            prop_assert_eq!(written(&serde_json::to_string_pretty(&value).expect("valid")), Some(escaped));
        }
    }
}
