//! Texts of a document that models and people will read: bounded, and without characters that show nothing
//! or show something else, in which instructions can be hidden.

use serde_json::Value;

/// A description of a schema or a parameter, in characters.
pub const PART_CHARS_MAX: usize = 1000;
/// The description of an operation.
pub const WHOLE_CHARS_MAX: usize = 2000;
/// A title.
pub const TITLE_CHARS_MAX: usize = 100;
/// What a message quotes of the document.
const QUOTED_CHARS_MAX: usize = 80;

/// The text as it may be shown: line breaks stay, other controls become blanks, what is invisible goes.
pub fn clean(text: &str, chars_max: usize) -> String {
    let mut chars = text.trim().chars().filter_map(shown).filter(|c| !is_invisible(*c));
    let mut cleaned: String = chars.by_ref().take(chars_max).collect();
    if chars.next().is_some() {
        cleaned.pop();
        cleaned.push('…');
    }
    cleaned.truncate(cleaned.trim_end().len());
    cleaned
}

/// In quotes, for a message.
pub fn quoted(text: &str) -> String {
    format!("{:?}", clean(text, QUOTED_CHARS_MAX))
}

/// Every string of a value, for examples.
pub fn clean_value(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(clean(&text, PART_CHARS_MAX)),
        Value::Array(items) => items.into_iter().map(clean_value).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(key, value)| (key, clean_value(value))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value,
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a step of an iterator")]
fn shown(c: char) -> Option<char> {
    Some(match c {
        '\n' | '\u{2028}' | '\u{2029}' => '\n',
        c if c.is_control() => ' ',
        c => c,
    })
}

/// Formatting characters, fillers, variation selectors, tags, private use and noncharacters.
fn is_invisible(c: char) -> bool {
    let noncharacter = u32::from(c) & 0xfffe == 0xfffe;
    noncharacter
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fdd0}'..='\u{fdef}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e000}'..='\u{f8ff}'
            | '\u{e0000}'..='\u{e0fff}' | '\u{f0000}'..='\u{10ffff}')
}
