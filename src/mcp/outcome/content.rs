//! The body of a response that succeeded, as content.

use std::borrow::Cow;

use base64::prelude::{BASE64_STANDARD, Engine as _};

use crate::mcp::json::scan::{Agreed, Scanned};

use super::media::{Kind, Media};
use super::{Response, Rest, To, Whole, Written};

pub(super) fn of(to: To<'_>, media: &Media, response: &Response) -> Vec<u8> {
    let body = &response.body;
    match media.kind() {
        Kind::Json => json(to, response),
        Kind::Text => text(to, response, &readable(response)),
        Kind::Unknown => match str::from_utf8(body) {
            Ok(readable) if !readable.contains('\0') => text(to, response, readable),
            Ok(_) | Err(_) => bytes(to, media, response),
        },
        Kind::Image | Kind::Audio | Kind::Binary => bytes(to, media, response),
    }
}

/// What a response's text ends with where it is not whole.
const fn rest_of(whole: Whole) -> Rest<'static> {
    match whole {
        Whole::Yes | Whole::Cut { .. } | Whole::Collected => Rest::Fine,
        // Nobody knows whether it was all.
        Whole::Broken => Rest::Failed,
    }
}

fn marker(whole: Whole) -> Cow<'static, str> {
    match whole {
        Whole::Yes => Cow::Borrowed(""),
        Whole::Cut { bytes_max } => Cow::Owned(format!(
            "\n[cut after {bytes_max} bytes: ask for less, for instance with the operation's paging or \
             filter arguments]"
        )),
        Whole::Collected => {
            Cow::Borrowed("\n[the stream goes on: this is what came while it was read]")
        }
        Whole::Broken => Cow::Borrowed("\n[the answer broke off here: it is not whole]"),
    }
}

fn text(to: To<'_>, response: &Response, readable: &str) -> Vec<u8> {
    let mut result = Written::open(to, readable.len() + readable.len() / 8);
    result.text_and(readable, &marker(response.whole));
    result.close(rest_of(response.whole))
}

/// A body as text. What is cut may be cut within a character.
fn readable(response: &Response) -> Cow<'_, str> {
    match str::from_utf8(&response.body) {
        Ok(text) => Cow::Borrowed(text),
        Err(error) if error.error_len().is_none() && response.whole != Whole::Yes => {
            let whole = response.body.get(..error.valid_up_to()).unwrap_or_default();
            String::from_utf8_lossy(whole)
        }
        Err(_) => String::from_utf8_lossy(&response.body),
    }
}

fn json(to: To<'_>, response: &Response) -> Vec<u8> {
    let body = readable(response);
    let body = body.trim_start_matches('\u{feff}');
    if response.whole != Whole::Yes {
        return text(to, response, body);
    }
    let json = body.trim_matches(|c| matches!(c, ' ' | '\n' | '\r' | '\t'));
    let mut result = Written::open(to, 3 * json.len() + json.len() / 4);
    let Some(scanned) = result.json(json) else { return text(to, response, body) };
    let compact = compact(json, scanned);
    result.close(match (scanned.agreed, compact.as_bytes().first()) {
        // Callers' parsers would refuse all of the result.
        (Agreed::BySome, _) => Rest::Fine,
        (Agreed::ByAll, Some(b'{')) => Rest::Structured(&compact),
        (Agreed::ByAll, Some(_) | None) => Rest::Wrapped(&compact),
    })
}

/// JSON without the blanks between its tokens.
pub(super) fn compact(json: &str, scanned: Scanned) -> Cow<'_, str> {
    if scanned.blanks == 0 {
        return Cow::Borrowed(json);
    }
    let bytes = json.as_bytes();
    let mut out = String::with_capacity(json.len());
    // Up to where all was copied; a run ends where blanks begin.
    let (mut at, mut run) = (0, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = string_end(bytes, at + 1),
            b' ' | b'\n' | b'\r' | b'\t' => {
                out.push_str(json.get(run..at).unwrap_or_default());
                run = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    out.push_str(json.get(run..).unwrap_or_default());
    Cow::Owned(out)
}

/// Where the quotation mark is that ends a string.
fn string_end(bytes: &[u8], mut at: usize) -> usize {
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        match rest.iter().position(|byte| matches!(byte, b'"' | b'\\')) {
            Some(more) if rest.get(more) == Some(&b'"') => return at + more,
            // A backslash takes the next one with it.
            Some(more) => at += more + 2,
            None => return bytes.len(),
        }
    }
}

fn bytes(to: To<'_>, media: &Media, response: &Response) -> Vec<u8> {
    let (mime, count) = (media.mime(), response.body.len());
    if response.whole != Whole::Yes {
        let mut result = Written::open(to, 0);
        let marker = match response.whole {
            Whole::Cut { bytes_max } => {
                format!("{mime} of more than {bytes_max} bytes: too large for a result")
            }
            whole @ (Whole::Yes | Whole::Collected | Whole::Broken) => {
                format!("{mime}, of which {count} bytes came{}", marker(whole))
            }
        };
        result.text(&format!("[{marker}]"));
        return result.close(rest_of(response.whole));
    }
    let base64 = BASE64_STANDARD.encode(&response.body);
    let mut result = Written::open(to, base64.len());
    match media.kind() {
        Kind::Image => result.media("image", mime, &base64),
        Kind::Audio => result.media("audio", mime, &base64),
        Kind::Json | Kind::Text | Kind::Binary | Kind::Unknown => {
            let uri = format!("onegate://result/{}", to.request_id);
            result.resource(&uri, Some(mime), "blob", &base64);
        }
    }
    result.close(Rest::Fine)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use crate::mcp::json::scan::scan;

    use super::*;

    #[test]
    fn blanks_between_tokens_go() {
        let check = |json: &str, expected: &str| {
            let scanned = scan(json, &mut ()).expect("JSON");
            assert_eq!(compact(json, scanned), expected, "{json}");
        };
        check("7", "7");
        check(" 7\n", "7");
        check("{}", "{}");
        check("{ \"a b\" : [ 1 , { } ] }\r\n", r#"{"a b":[1,{}]}"#);
        check(r#" "a \" { [ b" "#, r#""a \" { [ b""#);
        check("[\t\"\\\\\" , \" \"]", r#"["\\"," "]"#);
    }

    proptest! {
        #[test]
        fn compact_json_is_the_same(text in any::<String>(), number in any::<i64>()) {
            let value = serde_json::json!({ "a": [text, number], (text): { "b": [] } });
            let pretty = serde_json::to_string_pretty(&value).expect("valid");
            let compact = compact(&pretty, scan(&pretty, &mut ()).expect("JSON"));
            prop_assert_eq!(&*compact, value.to_string());
            prop_assert_eq!(serde_json::from_str::<Value>(&compact).expect("valid"), value);
        }
    }
}
