//! One pass over a JSON text: whether it is one (RFC 8259), and what parsers may not agree on in it. No value
//! is made of it; whoever wants the text in another form is told where it changes.
//!
use super::plain::{long_run, plain_of};

/// Where a text changes when it becomes another's part, in order. Nothing, where only the form is asked for.
pub(in crate::mcp) trait Sink {
    /// A quotation mark or a backslash.
    fn mark(&mut self, at: usize);
    /// A blank between tokens.
    fn blank(&mut self, at: usize);
}

impl Sink for () {
    fn mark(&mut self, _: usize) {}
    fn blank(&mut self, _: usize) {}
}

impl<S: Sink> Sink for &mut S {
    fn mark(&mut self, at: usize) {
        S::mark(self, at);
    }

    fn blank(&mut self, at: usize) {
        S::blank(self, at);
    }
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

/// Deepest value of a result: callers' parsers have a bound too.
pub(in crate::mcp) const DEPTH_MAX: u32 = 100;

/// None: the text is no JSON, or deeper than is taken.
pub(in crate::mcp) fn scan(text: &str, sink: impl Sink) -> Option<Scanned> {
    let mut scan = Scan::new(text, sink, DEPTH_MAX);
    scan.value()?;
    scan.rest()?;
    Some(Scanned { blanks: scan.blanks, agreed: scan.agreed })
}

pub(super) struct Scan<'t, S> {
    bytes: &'t [u8],
    /// Up to where it has been read.
    pub at: usize,
    sink: S,
    /// What is open: a bit each, set for an object. The lowest one is the innermost.
    open: u128,
    /// The same further out, where it is deep.
    outer: Vec<u128>,
    depth: u32,
    depth_max: u32,
    blanks: usize,
    agreed: Agreed,
    /// Whether a backslash was met; for whoever sets it back.
    pub has_escapes: bool,
}

impl<'t, S: Sink> Scan<'t, S> {
    pub const fn new(text: &'t str, sink: S, depth_max: u32) -> Self {
        Self {
            bytes: text.as_bytes(),
            at: 0,
            sink,
            open: 0,
            outer: Vec::new(),
            depth: 0,
            depth_max,
            blanks: 0,
            agreed: Agreed::ByAll,
            has_escapes: false,
        }
    }

    /// What may follow a text's value: blanks.
    pub fn rest(&mut self) -> Option<()> {
        while let Some(byte) = self.bytes.get(self.at) {
            self.blank(*byte)?;
        }
        Some(())
    }

    /// One value, whatever is in it.
    pub fn value(&mut self) -> Option<()> {
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
        if self.depth > 0 && self.depth.is_multiple_of(u128::BITS) {
            self.outer.push(self.open);
        }
        self.depth += 1;
        self.open = self.open << 1 | u128::from(byte == b'{');
        (self.depth <= self.depth_max).then_some(())
    }

    fn end(&mut self) {
        self.depth -= 1;
        self.open >>= 1;
        if self.depth > 0 && self.depth.is_multiple_of(u128::BITS) {
            self.open = self.outer.pop().unwrap_or_default();
        }
    }

    /// The first byte of the next token.
    pub fn token(&mut self) -> Option<u8> {
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
        self.sink.blank(self.at);
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
    pub fn string(&mut self) -> Option<()> {
        self.sink.mark(self.at - 1);
        let mut at = self.at;
        loop {
            let mut chunks = 0;
            while let Some((chunk, rest)) = self.bytes.get(at..)?.split_first_chunk::<8>() {
                let plain = plain_of(*chunk);
                at += plain;
                if plain < 8 {
                    break;
                }
                chunks += 1;
                if chunks == SHORT {
                    at += long_run(rest);
                    break;
                }
            }
            let byte = *self.bytes.get(at)?;
            at += 1;
            match byte {
                b'"' => {
                    self.sink.mark(at - 1);
                    self.at = at;
                    return Some(());
                }
                b'\\' => {
                    self.at = at;
                    self.escape()?;
                    at = self.at;
                }
                0..b' ' => return None,
                _ => {}
            }
        }
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Option<()> {
        self.has_escapes = true;
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
}

/// What may come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Token {
    Key,
    Value,
}

/// Most strings are shorter than so many chunks.
const SHORT: u32 = 4;

/// Digits that are no number beyond all bounds, without an exponent.
const FINITE_DIGITS: usize = 300;

#[cfg(test)]
mod tests;
