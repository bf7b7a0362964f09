//! The body of a response that succeeded, as content.

use std::borrow::Cow;

use base64::prelude::{BASE64_STANDARD, Engine as _};

use crate::mcp::json::compact::compact;
use crate::mcp::json::scan::Agreed;

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
