//! Head fields that mirror the body: their values decoded and compared. They are compared only so that
//! nobody between caller and gate was told something else; what is decided, is decided on the body.

use std::borrow::Cow;

use base64::prelude::{BASE64_STANDARD, Engine as _};

use crate::mcp::json::read::Raw;
use crate::model::tool::Tool;

use super::Mirror;

/// Why a field does not mirror its value.
type Problem = &'static str;

/// The value of a field, without the blanks around it.
pub(super) fn trimmed(value: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !blank(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    value.get(start..end).unwrap_or_default()
}

/// `Mcp-Method`, which is never encoded.
pub(super) fn check_method(field: Mirror<'_>, method: &str) -> Result<(), Problem> {
    match field {
        Mirror::Absent => Err("Mcp-Method is missing; it must be the body's method"),
        Mirror::Repeated => Err("Mcp-Method is there more than once"),
        Mirror::Once(value) if trimmed(value) == method.as_bytes() => Ok(()),
        Mirror::Once(_) => Err("Mcp-Method is not the body's method"),
    }
}

/// `Mcp-Name`, where the body has a name.
pub(super) fn check_name(field: Mirror<'_>, name: Option<&str>) -> Result<(), Problem> {
    match (field, name) {
        (Mirror::Absent, _) => Err("Mcp-Name is missing; it must be the body's params.name"),
        (Mirror::Repeated, _) => Err("Mcp-Name is there more than once"),
        // As it is, nearly always.
        (Mirror::Once(value), Some(name)) if is_word(name) && value == name.as_bytes() => Ok(()),
        (Mirror::Once(value), Some(name)) if decoded(value)? == name => Ok(()),
        // That the name is missing is said where the params are read.
        (Mirror::Once(_), None) => Ok(()),
        (Mirror::Once(_), Some(_)) => Err("Mcp-Name is not the body's params.name"),
    }
}

/// Whether a name means itself in a field.
fn is_word(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

/// `Mcp-Param-*` of the arguments that a tool has mirrored. Fields that mirror nothing are ignored.
pub(super) fn check_params(
    fields: &[(&str, &[u8])],
    tool: &Tool,
    arguments: Option<Raw<'_>>,
) -> Result<(), Problem> {
    let mut mirrored = tool
        .arguments
        .iter()
        .filter_map(|argument| Some((&*argument.name, argument.mirrored.as_deref()?)))
        .peekable();
    if mirrored.peek().is_none() {
        return Ok(());
    }
    let values = arguments.and_then(Raw::members).unwrap_or_default();
    for (argument, name) in mirrored {
        let value = values.iter().rev().find(|(key, _)| key == argument).map(|(_, value)| *value);
        let mut of_name = fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name));
        let (field, more) = (of_name.next(), of_name.next());
        match (field, value.filter(|value| !value.is_null())) {
            _ if more.is_some() => return Err("an Mcp-Param field is there more than once"),
            (Some(_), None) => {
                return Err("an Mcp-Param field mirrors an argument that is not there");
            }
            (None, Some(value)) if is_scalar(value) => {
                return Err("an Mcp-Param field is missing; tools/list says for which arguments");
            }
            (Some((_, field)), Some(value)) if is_scalar(value) => {
                if !is_same(&decoded(field)?, value) {
                    return Err("an Mcp-Param field is not its argument's value");
                }
            }
            // Nothing to mirror; or of the wrong type, which is said where arguments are checked.
            (None, None) | (_, Some(_)) => {}
        }
    }
    Ok(())
}

fn is_scalar(value: Raw<'_>) -> bool {
    !value.get().starts_with(['{', '['])
}

/// Whether a field's text is a scalar's value. Integers are compared as numbers.
fn is_same(field: &str, value: Raw<'_>) -> bool {
    if let Some(text) = value.text() {
        return text == field;
    }
    let integer = |text: &str| {
        let number: f64 = serde_json::from_str(text).ok()?;
        (number.abs() <= MIRRORED_INTEGER_MAX).then_some(number)
    };
    field == value.get()
        || integer(field).is_some_and(|number| integer(value.get()) == Some(number))
}

/// Up to here each integer is a number of its own: 2^53 - 1.
const MIRRORED_INTEGER_MAX: f64 = 9_007_199_254_740_991.0;

/// The text that a field holds: plain, or base64 between marks. Strict, since whoever is lenient here
/// reads something else than the next one.
fn decoded(value: &[u8]) -> Result<Cow<'_, str>, Problem> {
    let value = trimmed(value);
    if !value.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) {
        return Err(
            "a mirrored field holds a character that is not visible ASCII; encode it as =?base64?…?=",
        );
    }
    let text = str::from_utf8(value).unwrap_or_default();
    match text.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        None => Ok(Cow::Borrowed(text)),
        Some(coded) => {
            let bytes = BASE64_STANDARD.decode(coded).ok();
            bytes
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .map(Cow::Owned)
                .ok_or("a mirrored field is not =?base64?…?= of UTF-8, padded and without blanks")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_decoded_strictly() {
        let check = |value: &[u8], expected: Option<&str>| {
            let decoded = decoded(value).ok();
            assert_eq!(decoded.as_deref(), expected, "{}", value.escape_ascii());
        };
        check(b"plain", Some("plain"));
        check(b" \tpl ain\t ", Some("pl ain"));
        check(b"", Some(""));
        check(b"=?base64?aMOp?=", Some("hé"));
        check(b"=?base64?aA==?=", Some("h"));
        check(b"=?base64??=", Some(""));
        check(b"=?base64?aA=?=", None);
        check(b"=?base64?aA?=", None);
        check(b"=?base64?aB==?=", None);
        check(b"=?base64?a A==?=", None);
        check(b"=?base64?aA-_?=", None);
        check(b"=?base64?/w==?=", None);
        check(b"=?BASE64?aA==?=", Some("=?BASE64?aA==?="));
        check(b"=?base64?aA==", Some("=?base64?aA=="));
        check(b"aA==?=", Some("aA==?="));
        check("é".as_bytes(), None);
        check(b"a\x01b", None);
    }

    #[test]
    fn scalars_are_compared_by_value() {
        let check = |field: &str, value: &str, expected: bool| {
            let raw = Raw::parse(value).expect("JSON");
            assert_eq!(is_same(field, raw), expected, "{field} {value}");
        };
        check("42", "42", true);
        check("42.0", "42", true);
        check("42", "42.0", true);
        check("42", "4.2e1", true);
        check("43", "42", false);
        check("9007199254740993", "9007199254740992", false);
        check("9007199254740993", "9007199254740993", true);
        check("inf", "1e999", false);
        check("true", "true", true);
        check("True", "true", false);
        check("false", "true", false);
        check("a", r#""a""#, true);
        check("A", r#""a""#, false);
        check("a", r#""\u0061""#, true);
        check("42", r#""42.0""#, false);
    }
}
