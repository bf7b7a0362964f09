//! JSON as the protocol layer writes and reads it, piece by piece: texts with their escapes, values
//! as texts. Values as values are serde_json's.

pub(super) mod compact;
pub(super) mod inside;
mod plain;
pub mod read;
pub(super) mod scan;

/// Appends a text as a JSON string. Control characters other than line breaks and tabs are left out: they
/// say nothing to a model, and move the cursor of the terminal that someone reads its log in.
pub(super) fn push_text(out: &mut String, text: &str) {
    let mut escaped = Vec::with_capacity(text.len() + text.len() / 8 + 2);
    escaped.push(b'"');
    push_escaped(&mut escaped, text);
    escaped.push(b'"');
    out.push_str(&String::from_utf8_lossy(&escaped));
}

/// The same without the quotes around it, to bytes: there are results of many kilobytes. Sixteen bytes that stand
/// for themselves are looked at and copied at once.
pub(super) fn push_escaped(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + text.len() / 4);
    let mut rest = text.as_bytes();
    while let Some((chunk, after)) = rest.split_first_chunk::<16>() {
        if chunk.iter().fold(true, |all, byte| all & is_plain(*byte)) {
            out.extend_from_slice(chunk);
            rest = after;
        } else {
            rest = push_each(out, rest, 16);
        }
    }
    push_each(out, rest, usize::MAX);
}

/// Escapes at least so many bytes, as far as there are any; gives what is left.
fn push_each<'b>(out: &mut Vec<u8>, bytes: &'b [u8], most: usize) -> &'b [u8] {
    let mut taken = 0;
    while let Some(&byte) = bytes.get(taken).filter(|_| taken < most) {
        taken += 1;
        match escape(byte) {
            ODD if byte < 0x80 => {}
            // The two bytes of a control character beyond ASCII; or of something else.
            ODD if bytes.get(taken).is_some_and(|next| *next < 0xa0) => taken += 1,
            PLAIN | ODD => out.push(byte),
            letter => out.extend_from_slice(&[b'\\', letter]),
        }
    }
    bytes.get(taken..).unwrap_or_default()
}

/// What [`escape`] says of nearly every byte, for many at once.
const fn is_plain(byte: u8) -> bool {
    byte >= 0x20 && byte != b'"' && byte != b'\\' && byte != 0x7f && byte != 0xc2
}

/// A byte that stands for itself.
const PLAIN: u8 = 0;
/// A control character, or the byte that begins those beyond ASCII among others.
const ODD: u8 = 1;

/// What a byte is, or the letter that stands for it after a backslash.
#[expect(clippy::indexing_slicing, reason = "a byte is below 256")]
const fn escape(byte: u8) -> u8 {
    const ESCAPES: [u8; 256] = escapes();
    ESCAPES[byte as usize]
}

#[expect(clippy::indexing_slicing, reason = "bounded, and const")]
const fn escapes() -> [u8; 256] {
    let mut table = [PLAIN; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = ODD;
        byte += 1;
    }
    table[0x7f] = ODD;
    table[0xc2] = ODD;
    table[b'\n' as usize] = b'n';
    table[b'\t' as usize] = b't';
    table[b'"' as usize] = b'"';
    table[b'\\' as usize] = b'\\';
    table
}

/// A text from outside as a word of ours: no control character, nothing invisible, nothing that turns the
/// direction of writing, and cut to a length.
pub(super) fn plain_word(text: &str, bytes_max: usize) -> String {
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return first_bytes(text, bytes_max).into();
    }
    let mut word = String::new();
    for c in text.chars().filter(|c| !c.is_control() && !is_invisible(*c)) {
        if word.len() + c.len_utf8() > bytes_max {
            break;
        }
        word.push(c);
    }
    word
}

/// The beginning of a text, of whole characters.
pub fn first_bytes(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or(text)
}

const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_escaped_and_control_characters_left_out() {
        let check = |text: &str, expected: &str| {
            let mut out = String::new();
            push_text(&mut out, text);
            assert_eq!(out, expected, "{text:?}");
        };
        check("", r#""""#);
        check("a \"b\" \\ c", r#""a \"b\" \\ c""#);
        check("one\ntwo\tthree\r\0\u{1b}[31m", r#""one\ntwo\tthree[31m""#);
        check("\u{7f}\u{85}\u{a0}é\u{9f}", "\"\u{a0}é\"");
    }

    #[test]
    fn words_are_printable_and_short() {
        let check = |text: &str, expected: &str| {
            assert_eq!(plain_word(text, 8), expected, "{text:?}");
        };
        check("cursor", "cursor");
        check("a\u{202e}b\u{200b}c\r\n", "abc");
        check("123456789", "12345678");
        check("1234567é", "1234567");
    }

    proptest! {
        #[test]
        fn serde_reads_what_is_written(text in any::<String>()) {
            let mut out = String::new();
            push_text(&mut out, &text);
            let kept: String =
                text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
            prop_assert_eq!(serde_json::from_str::<String>(&out).expect("valid"), kept);
        }
    }
}
