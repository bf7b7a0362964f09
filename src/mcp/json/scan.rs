//! One pass over a JSON text: whether it is one (RFC 8259), and what parsers may not agree on in it. No value
//! is made of it; whoever wants the text in another form is told where it changes.
//!
//! Strings are most of a text, so they are looked at eight bytes at once.

/// Where a text changes when it becomes another's part, in order. Nothing, where only the form is asked for.
pub(in crate::mcp) trait Sink {
    /// A quotation mark or a backslash.
    fn mark(&mut self, at: usize);
    /// So many bytes that say nothing: a blank between tokens, a control character in a string.
    fn nothing(&mut self, at: usize, count: usize);
}

impl Sink for () {
    fn mark(&mut self, _: usize) {}
    fn nothing(&mut self, _: usize, _: usize) {}
}

/// What was found in a text that is one JSON value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::mcp) struct Scanned {
    /// Blanks before and between tokens, and after the last.
    pub blanks: usize,
    pub agreed: Agreed,
}

/// Whether all parsers take a text that the grammar takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::mcp) enum Agreed {
    ByAll,
    /// A number beyond all bounds, or half of a character.
    BySome,
}

/// Deepest value: callers' parsers have a bound too.
pub(in crate::mcp) const DEPTH_MAX: u32 = 100;

/// None: the text is no JSON, or deeper than is taken.
pub(in crate::mcp) fn scan(text: &str, sink: &mut impl Sink) -> Option<Scanned> {
    let mut scan = Scan::new(text, sink);
    scan.value()?;
    while let Some(byte) = scan.bytes.get(scan.at) {
        scan.blank(*byte)?;
    }
    Some(Scanned { blanks: scan.blanks, agreed: scan.agreed })
}

struct Scan<'t, 's, S> {
    bytes: &'t [u8],
    at: usize,
    sink: &'s mut S,
    /// What is open: a bit each, set for an object. The lowest one is the innermost.
    open: u128,
    depth: u32,
    blanks: usize,
    agreed: Agreed,
}

impl<'t, 's, S: Sink> Scan<'t, 's, S> {
    fn new(text: &'t str, sink: &'s mut S) -> Self {
        let bytes = text.as_bytes();
        Self { bytes, at: 0, sink, open: 0, depth: 0, blanks: 0, agreed: Agreed::ByAll }
    }

    /// One value, whatever is in it.
    fn value(&mut self) -> Option<()> {
        let mut of = Token::Value;
        loop {
            let first = self.token()?;
            match (first, of) {
                (b'"', Token::Value) => self.string()?,
                (b'"', Token::Key) => {
                    self.string()?;
                    if self.token()? != b':' {
                        return None;
                    }
                    of = Token::Value;
                    continue;
                }
                (_, Token::Key) => return None,
                (b'-' | b'0'..=b'9', _) => self.number(first)?,
                (b'{' | b'[', _) => {
                    self.begin(first)?;
                    // Right after it, its end may stand.
                    if self.token()? != first + 2 {
                        self.at -= 1;
                        of = self.inside();
                        continue;
                    }
                    self.end();
                }
                (b't', _) => self.word(b"true")?,
                (b'f', _) => self.word(b"false")?,
                (b'n', _) => self.word(b"null")?,
                _ => return None,
            }
            loop {
                if self.depth == 0 {
                    return Some(());
                }
                of = self.inside();
                match (self.token()?, of) {
                    (b',', _) => break,
                    (b']', Token::Value) | (b'}', Token::Key) => self.end(),
                    _ => return None,
                }
            }
        }
    }

    /// What stands first in the innermost of what is open, and after its commas.
    const fn inside(&self) -> Token {
        if self.open & 1 == 0 { Token::Value } else { Token::Key }
    }

    fn begin(&mut self, byte: u8) -> Option<()> {
        self.depth += 1;
        self.open = self.open << 1 | u128::from(byte == b'{');
        (self.depth <= DEPTH_MAX).then_some(())
    }

    const fn end(&mut self) {
        self.depth -= 1;
        self.open >>= 1;
    }

    /// The first byte of the next token.
    fn token(&mut self) -> Option<u8> {
        loop {
            let byte = *self.bytes.get(self.at)?;
            if byte > b' ' {
                self.at += 1;
                return Some(byte);
            }
            self.blank(byte)?;
        }
    }

    fn blank(&mut self, byte: u8) -> Option<()> {
        self.sink.nothing(self.at, 1);
        self.at += 1;
        self.blanks += 1;
        matches!(byte, b' ' | b'\n' | b'\r' | b'\t').then_some(())
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        let start = self.at - 1;
        let found = self.bytes.get(start..)?.starts_with(word);
        self.at = start + word.len();
        found.then_some(())
    }

    fn number(&mut self, first: u8) -> Option<()> {
        let start = self.at - 1;
        let first = if first == b'-' { self.byte()? } else { first };
        match first {
            b'0' => {}
            b'1'..=b'9' => self.digits(),
            _ => return None,
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        let has_exponent = matches!(self.bytes.get(self.at), Some(b'e' | b'E'));
        if has_exponent {
            self.at += 1;
            if matches!(self.bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits()?;
        }
        let text = self.bytes.get(start..self.at)?;
        if has_exponent || text.len() > FINITE_DIGITS {
            let number: f64 = str::from_utf8(text).ok()?.parse().ok()?;
            if number.is_infinite() {
                self.agreed = Agreed::BySome;
            }
        }
        Some(())
    }

    fn digits(&mut self) {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        self.at += rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    }

    fn some_digits(&mut self) -> Option<()> {
        let start = self.at;
        self.digits();
        (self.at > start).then_some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let byte = *self.bytes.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// A string, from after the quotation mark that begins it.
    fn string(&mut self) -> Option<()> {
        self.sink.mark(self.at - 1);
        loop {
            if let Some(chunk) = self.bytes.get(self.at..)?.first_chunk::<8>() {
                let plain = plain(*chunk);
                self.at += plain;
                if plain == 8 {
                    continue;
                }
            }
            match self.byte()? {
                b'"' => {
                    self.sink.mark(self.at - 1);
                    return Some(());
                }
                b'\\' => self.escape()?,
                0..b' ' => return None,
                byte @ 0x7f.. => self.beyond(byte),
                _ => {}
            }
        }
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Option<()> {
        self.sink.mark(self.at - 1);
        match self.byte()? {
            b'"' | b'\\' => self.sink.mark(self.at - 1),
            b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
            b'u' => {
                let unit = self.unit()?;
                match unit {
                    0xd800..0xdc00 => self.second_half()?,
                    0xdc00..0xe000 => self.agreed = Agreed::BySome,
                    _ => {}
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// The second half of a character that is written as two.
    fn second_half(&mut self) -> Option<()> {
        if self.bytes.get(self.at..)?.starts_with(b"\\u") {
            self.sink.mark(self.at);
            self.at += 2;
            if matches!(self.unit()?, 0xdc00..0xe000) {
                return Some(());
            }
        }
        self.agreed = Agreed::BySome;
        Some(())
    }

    /// Four hex digits.
    fn unit(&mut self) -> Option<u32> {
        let mut unit = 0;
        for _ in 0..4 {
            unit = unit << 4 | char::from(self.byte()?).to_digit(16)?;
        }
        Some(unit)
    }

    /// Characters beyond ASCII, and the control characters that the grammar lets pass.
    fn beyond(&mut self, first: u8) {
        let mut byte = first;
        loop {
            let next = self.bytes.get(self.at).copied().unwrap_or_default();
            match byte {
                0x7f => self.sink.nothing(self.at - 1, 1),
                0xc2 if next < 0xa0 => {
                    self.sink.nothing(self.at - 1, 2);
                    self.at += 1;
                }
                _ => {}
            }
            match self.bytes.get(self.at) {
                Some(more @ 0x7f..) => byte = *more,
                _ => return,
            }
            self.at += 1;
        }
    }
}

/// What may come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Token {
    Key,
    Value,
}

/// Digits that are no number beyond all bounds, without an exponent.
const FINITE_DIGITS: usize = 300;

/// How many bytes from the first on are neither a quotation mark nor a backslash, no control characters and
/// within ASCII. A borrow or a carry goes to later bytes only, which no longer matter then.
const fn plain(chunk: [u8; 8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let word = u64::from_le_bytes(chunk);
    let quote = (word ^ (ONES * b'"' as u64)).wrapping_sub(ONES);
    let backslash = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    let control = word.wrapping_sub(ONES * b' ' as u64);
    let beyond = word | word.wrapping_add(ONES);
    let stops = (quote | backslash | control | beyond) & HIGH;
    (stops.trailing_zeros() / 8) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn is_agreed(text: &str) -> bool {
        scan(text, &mut ()).is_some_and(|scanned| scanned.agreed == Agreed::ByAll)
    }

    fn is_serdes(text: &str) -> bool {
        serde_json::from_str::<Value>(text).is_ok()
    }

    #[test]
    fn the_grammar_is_serdes() {
        let texts = [
            "",
            " ",
            "7",
            " 7\n",
            "-",
            "-0",
            "01",
            "-01",
            "0.",
            "0.5",
            ".5",
            "1e5",
            "1E+5",
            "1e",
            "1e+",
            "1.e5",
            "+1",
            "1e999",
            "-1e999",
            "0e999",
            "1e-999",
            "0x1",
            "1 2",
            "true",
            "tru",
            "truex",
            "nul",
            "null ",
            "false",
            "{}",
            "{ }",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{\"a\":1 ,\"b\":[]}",
            "{1:2}",
            "[",
            "[]",
            "[ ]",
            "[,]",
            "[1,]",
            "[1 2]",
            "[1}",
            "{\"a\":1]",
            "]",
            "}",
            "[[],{}]",
            "\"",
            "\"a",
            "\"a\"",
            "\"\\\"",
            "\"\\\\\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"\\u00e9\"",
            "\"\\ud800\"",
            "\"\\ud83d\\ude00\"",
            "\"\\ud83d\\u0041\"",
            "\"\\ud83dx\"",
            "\"\\udc00\"",
            "\"\\ud83d\\n\"",
            "\"\\ud800\\ud83d\\ude00\"",
            "\"\n\"",
            "\"\t\"",
            "\"\u{7f}\u{80}\u{9f}\u{a0}é😀\"",
            "\u{feff}1",
            "\u{a0}1",
            "\"12345678\"",
            "\"1234567\"",
            "\"123456789\\n\"",
            "'a'",
            "{\"a\":1}{}",
            "NaN",
            "\u{b}1",
            "\u{c}1",
        ];
        for text in texts {
            assert_eq!(is_agreed(text), is_serdes(text), "{text:?}");
        }
        let zeros = |count: usize| format!("1{}", "0".repeat(count));
        assert!(is_agreed(&zeros(308)) && is_serdes(&zeros(308)));
        assert!(!is_agreed(&zeros(310)) && !is_serdes(&zeros(310)));
        assert_eq!(scan("\"\\ud800\"", &mut ()).map(|s| s.agreed), Some(Agreed::BySome));
        assert_eq!(scan(" [ 1 ] ", &mut ()).map(|s| s.blanks), Some(4));
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| format!("{}1{}", "[{\"a\":".repeat(depth), "}]".repeat(depth));
        assert!(is_agreed(&nested(50)));
        assert!(!is_agreed(&nested(51)));
        assert!(!is_agreed(&"[".repeat(100_000)));
        assert!(is_agreed(&format!("[{}1]", "[[]],".repeat(1_000))));
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[a-z\"\\\\\u{7f}-\u{a1}\n]{0,20}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 5, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                proptest::collection::vec((any::<String>(), inner), 0..5)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_json_is_taken(value in json()) {
            prop_assert!(is_agreed(&value.to_string()));
            prop_assert!(is_agreed(&serde_json::to_string_pretty(&value).expect("valid")));
        }

        /// A text near to JSON is taken just where serde takes it.
        #[test]
        fn changed_json_is_taken_where_serde_takes_it(
            value in json(),
            changes in proptest::collection::vec(
                (any::<proptest::sample::Index>(), 0..2_usize, prop_oneof![
                    Just(""), Just("\""), Just("\\"), Just("{"), Just("}"), Just("["), Just("]"), Just(","),
                    Just(":"), Just("-"), Just("0"), Just("1"), Just("."), Just("e"), Just("+"), Just(" "),
                    Just("\n"), Just("\t"), Just("\0"), Just("\\u"), Just("\\ud800"), Just("\\udc00"), Just("null"),
                    Just("e999"), Just("é"), Just("\u{85}"), Just("\u{7f}"),
                ]),
                0..4,
            ),
        ) {
            let mut text: Vec<char> = value.to_string().chars().collect();
            for (at, gone, new) in changes {
                let at = at.index(text.len() + 1);
                let end = (at + gone).min(text.len());
                text.splice(at..end, new.chars());
            }
            let text: String = text.into_iter().collect();
            prop_assert_eq!(is_agreed(&text), is_serdes(&text), "{}", text);
        }
    }
}
