//! Results that an upstream has made itself. REST has one body of one type, a result may be a text, an image
//! and a file together: an operation of a trusted upstream that wants this answers with the type
//! `application/vnd.onegate.tool-result+json` and
//! `{"content": […], "structuredContent": {…}?, "isError": true?}`.
//!
//! Each block is read and written anew, member by member, so that nothing goes on but what is known here:
//! `text`, `image`, `audio` and embedded `resource`. What is not of this form is shown as the JSON it is.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Map, Value};

use crate::mcp::json::compact::compact;
use crate::mcp::json::read::Raw;
use crate::mcp::json::scan::{Agreed, scan};

use super::{Rest, To, Written};

/// Most blocks of one result.
const BLOCKS_MAX: usize = 64;

/// None where the body is not of the form.
pub(super) fn of(to: To<'_>, body: &[u8]) -> Option<Vec<u8>> {
    let members = Raw::parse(str::from_utf8(body).ok()?)?.members()?;
    let member = |key: &str| members.iter().find(|(name, _)| name == key).map(|(_, raw)| *raw);
    let blocks: Vec<Map<String, Value>> = serde_json::from_str(member("content")?.get()).ok()?;
    if blocks.len() > BLOCKS_MAX {
        return None;
    }
    let mut result = Written::open(to, body.len());
    for block in &blocks {
        push(&mut result, block)?;
    }
    // As it came, since numbers would not survive being read.
    let structured = match member("structuredContent") {
        None => None,
        Some(structured) if structured.is_object() => {
            let scanned = scan(structured.get(), ())?;
            if scanned.agreed == Agreed::BySome {
                return None;
            }
            Some(compact(structured.get(), scanned))
        }
        Some(_) => return None,
    };
    let rest = match (member("isError").map(Raw::get), &structured) {
        (Some("true"), _) => Rest::Failed,
        (None | Some("false"), None) => Rest::Fine,
        (None | Some("false"), Some(json)) => Rest::Structured(json),
        (Some(_), _) => return None,
    };
    Some(result.close(rest))
}

fn push(result: &mut Written<'_>, block: &Map<String, Value>) -> Option<()> {
    let text =
        |members: &Map<String, Value>, key: &str| members.get(key)?.as_str().map(str::to_owned);
    let kind = text(block, "type")?;
    match &*kind {
        "text" => result.text(&text(block, "text")?),
        "image" | "audio" => {
            let (mime, data) = (text(block, "mimeType")?, text(block, "data")?);
            result.media(&kind, &mime, is_base64(&data).then_some(&data)?);
        }
        "resource" => {
            let resource = block.get("resource")?.as_object()?;
            let (uri, mime) = (text(resource, "uri")?, text(resource, "mimeType"));
            match (text(resource, "text"), text(resource, "blob")) {
                (Some(value), None) => result.resource(&uri, mime.as_deref(), "text", &value),
                (None, Some(blob)) if is_base64(&blob) => {
                    result.resource(&uri, mime.as_deref(), "blob", &blob);
                }
                (None | Some(_), None | Some(_)) => return None,
            }
        }
        _ => return None,
    }
    Some(())
}

fn is_base64(text: &str) -> bool {
    BASE64_STANDARD.decode(text).is_ok()
}
