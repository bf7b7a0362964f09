//! Arguments as a request's body. JSON goes out as the text it came in as; in the other forms each value
//! is encoded so that it stays one.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::mcp::json::push_text;
use crate::mcp::json::read::Raw;
use crate::model::hex;
use crate::model::tool::{Argument, BodyForm, Place, Style};

use super::given::Given;
use super::style::{Query, scalar};
use super::{BadArguments, bad};

/// A body and its type; no type where there is no body.
#[derive(Debug, Default)]
pub(super) struct Built {
    pub content_type: Option<String>,
    pub bytes: Bytes,
}

pub(super) fn build(form: &BodyForm, given: &Given<'_>) -> Result<Built, BadArguments> {
    let (content_type, bytes) = match form {
        BodyForm::Json { content_type } => (content_type.to_string(), json(given)),
        BodyForm::Form => ("application/x-www-form-urlencoded".into(), urlencoded(given)?),
        BodyForm::Multipart { files } => return multipart(files, given),
        BodyForm::Text { content_type } => (content_type.to_string(), text(given)?),
        BodyForm::Binary { content_type } => (content_type.to_string(), binary(given)?),
    };
    // No argument is of the body, or the one that is the body is not there.
    let Some(bytes) = bytes else { return Ok(Built::default()) };
    Ok(Built { content_type: Some(content_type), bytes: bytes.into() })
}

/// The argument that is the body.
fn whole<'a>(given: &Given<'a>) -> Option<(&'a Argument, Option<Raw<'a>>)> {
    let argument = given.tool().arguments.iter().find(|argument| argument.place == Place::Body)?;
    Some((argument, given.raw(argument)))
}

/// A member of the body: the argument that it is of, its name for the upstream, its value.
type Member<'a> = (&'a Argument, String, Raw<'a>);

/// The members of the body: arguments of their own, or the members of the argument that is the body. None
/// where there is no body.
fn members<'a>(given: &Given<'a>) -> Result<Option<Vec<Member<'a>>>, BadArguments> {
    if let Some((argument, raw)) = whole(given) {
        return match raw {
            None => Ok(None),
            Some(raw) if raw.is_object() => {
                let members = raw.members().unwrap_or_default().into_iter();
                Ok(Some(members.map(|(name, raw)| (argument, name.into(), raw)).collect()))
            }
            Some(_) => Err(bad(format!("The argument `{}` must be an object.", argument.name))),
        };
    }
    let mut is_declared = false;
    let mut members = Vec::new();
    for argument in &given.tool().arguments {
        if let Place::Member { name } = &argument.place {
            is_declared = true;
            members.extend(given.raw(argument).map(|raw| (argument, name.to_string(), raw)));
        }
    }
    Ok(is_declared.then_some(members))
}

fn json(given: &Given<'_>) -> Option<Vec<u8>> {
    if let Some((_, raw)) = whole(given) {
        return raw.map(|raw| raw.get().into());
    }
    let members = members(given).ok().flatten()?;
    let mut out = String::from("{");
    for (at, (_, name, raw)) in members.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        push_text(&mut out, name);
        out.push(':');
        out.push_str(raw.get());
    }
    out.push('}');
    Some(out.into())
}

fn urlencoded(given: &Given<'_>) -> Result<Option<Vec<u8>>, BadArguments> {
    let Some(members) = members(given)? else { return Ok(None) };
    let mut out = String::new();
    let mut pairs = Query::form(&mut out);
    for (argument, name, raw) in members.into_iter().filter(|(.., raw)| !raw.is_null()) {
        let style = if raw.is_object() { Style::Json } else { Style::FormExploded };
        pairs.push(argument, &name, style, raw)?;
    }
    Ok(Some(out.into()))
}

fn text(given: &Given<'_>) -> Result<Option<Vec<u8>>, BadArguments> {
    let Some((argument, Some(raw))) = whole(given) else { return Ok(None) };
    let text = raw.text();
    let text =
        text.ok_or_else(|| bad(format!("The argument `{}` must be a string.", argument.name)))?;
    Ok(Some(text.into_owned().into()))
}

fn binary(given: &Given<'_>) -> Result<Option<Vec<u8>>, BadArguments> {
    let Some((argument, Some(raw))) = whole(given) else { return Ok(None) };
    file(argument, raw).map(Some)
}

fn file(argument: &Argument, raw: Raw<'_>) -> Result<Vec<u8>, BadArguments> {
    let bytes = raw.text().and_then(|text| BASE64_STANDARD.decode(text.as_bytes()).ok());
    bytes.ok_or_else(|| {
        let name = &argument.name;
        bad(format!("The argument `{name}` must be a string of base64, padded and in one line."))
    })
}

fn multipart(files: &[Box<str>], given: &Given<'_>) -> Result<Built, BadArguments> {
    let Some(members) = members(given)? else { return Ok(Built::default()) };
    let mut parts = Vec::new();
    for (argument, name, raw) in members.into_iter().filter(|(.., raw)| !raw.is_null()) {
        let mut head = String::from("Content-Disposition: form-data; name=\"");
        push_quoted(&mut head, &name);
        head.push('"');
        let content = if files.iter().any(|file| **file == *name) {
            head.push_str("; filename=\"");
            push_quoted(&mut head, &name);
            head.push_str("\"\r\nContent-Type: application/octet-stream");
            file(argument, raw)?
        } else if raw.get().starts_with(['{', '[']) {
            head.push_str("\r\nContent-Type: application/json");
            raw.get().into()
        } else {
            scalar(argument, raw)?.into_owned().into()
        };
        parts.push((head, content));
    }
    let boundary = boundary(&parts);
    let mut bytes = Vec::new();
    for (head, content) in &parts {
        bytes.extend_from_slice(format!("--{boundary}\r\n{head}\r\n\r\n").as_bytes());
        bytes.extend_from_slice(content);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    let content_type = format!("multipart/form-data; boundary={boundary}");
    Ok(Built { content_type: Some(content_type), bytes: bytes.into() })
}

/// A text that is in no part: the digest of them all, which whoever writes a part cannot write into it.
fn boundary(parts: &[(String, Vec<u8>)]) -> String {
    let mut hash = Sha256::new();
    for (head, content) in parts {
        hash.update(head.as_bytes());
        hash.update((content.len() as u64).to_be_bytes());
        hash.update(content);
    }
    let mut digits = [0; 32];
    hex::write(&hash.finalize(), &mut digits);
    format!("onegate-{}", String::from_utf8_lossy(&digits))
}

/// A name between quotation marks, as browsers write it.
fn push_quoted(out: &mut String, name: &str) {
    for c in name.chars() {
        match c {
            '"' => out.push_str("%22"),
            '\r' => out.push_str("%0D"),
            '\n' => out.push_str("%0A"),
            _ => out.push(c),
        }
    }
}
