//! `redirect` and `respond` of an operation: answers that need no upstream.

use std::fs::File;
use std::io::Read;

use bytes::Bytes;
use http::HeaderValue;

use super::super::super::section::{Section, Text};
use super::super::beside::Beside;
use crate::model::shape::answer::Answered;
use crate::model::shape::location::{Location, Query};
use crate::model::template::Template;

/// Longest location in bytes.
const LOCATION_BYTES_MAX: usize = 2048;
/// Largest body, in the config or in a file of its own.
const BODY_BYTES_MAX: u64 = 1 << 20;
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// None: the upstream answers.
pub(super) fn answer(
    section: &mut Section<'_>,
    template: Option<&Template>,
    beside: Beside<'_>,
) -> Option<Answered> {
    let (redirect_at, respond_at) = (section.place("redirect"), section.place("respond"));
    if let (Some(_), Some(at)) = (redirect_at, respond_at) {
        section.problems.error(at, "the operation has a redirect as well", "take one out");
    }
    let redirect = redirect(section.table("redirect"), template);
    let respond = respond(section.table("respond"), beside);
    redirect.filter(|_| redirect_at.is_some()).or(respond.filter(|_| respond_at.is_some()))
}

fn redirect(mut section: Section<'_>, template: Option<&Template>) -> Option<Answered> {
    section.need("status", "status = 308 (301, 302, 303 and 307 are others)");
    let status = section.integer("status", 301..=308_u16);
    if status.is_some_and(|status| matches!(status, 304..=306))
        && let Some(at) = section.place("status")
    {
        section.problems.error(at, "this status is no redirect", "write 301, 302, 303, 307 or 308");
    }
    section.need("location", "location = \"/new/{id}\" or \"https://www.example.com/\"");
    let query = section.either("keep_query", [Query::Kept, Query::Dropped]);
    let query = query.unwrap_or(Query::Dropped);
    let text = section.text("location");
    let location = text.and_then(|text| location(text, template?, query, &section));
    section.finish();
    Some(Answered::Redirect { status: status?, location: location? })
}

fn location(
    text: Text<'_>,
    template: &Template,
    query: Query,
    section: &Section<'_>,
) -> Option<Location> {
    if text.text.len() > LOCATION_BYTES_MAX {
        let message = "a location has at most 2048 bytes";
        section.problems.error(text.at, message, "write a shorter one");
        return None;
    }
    match Location::parse(text.text, template, query) {
        Ok(location) => Some(location),
        Err(error) => {
            let at = section.problems.byte_of(text.text, text.at, error.at);
            let fix = "write \"/new/{id}\" or \"https://www.example.com/{rest...}\", with \
                       parameters of the operation's path";
            section.problems.error(at, error.problem, fix);
            None
        }
    }
}

fn respond(mut section: Section<'_>, beside: Beside<'_>) -> Option<Answered> {
    section.need("status", "status = 200");
    let status = section.integer("status", 200..=599_u16);
    let body = section.text("body");
    let file = section.text("file");
    let content_type = section.text("content_type");
    let given = content_type.and_then(|text| media_type(text, &section));
    let (body, default) = match (body, file) {
        (Some(_), Some(file)) => {
            let message = "the response has a body as well";
            section.problems.error(file.at, message, "take one out");
            (None, None)
        }
        (Some(body), None) => (Some(Bytes::copy_from_slice(body.text.as_bytes())), Some(TEXT)),
        (None, Some(file)) => {
            if section.place("content_type").is_none() {
                let message = "a file does not say what it holds";
                section.problems.error(file.at, message, "add content_type = \"text/html\"");
            }
            (read(file, &section, beside), None)
        }
        (None, None) => (Some(Bytes::new()), None),
    };
    check_status(status, body.as_ref(), &section);
    section.finish();
    Some(Answered::Fixed { status: status?, content_type: given.or(default), body: body? })
}

fn check_status(status: Option<u16>, body: Option<&Bytes>, section: &Section<'_>) {
    let Some(at) = section.place("status") else { return };
    let has_body = body.is_some_and(|body| !body.is_empty());
    match status {
        Some(300..=399) => {
            let fix = "write redirect = { status = …, location = \"…\" }";
            section.problems.error(at, "a fixed response does not redirect", fix);
        }
        Some(204 | 205) if has_body => {
            section.problems.error(at, "a response with this status has no body", "write 200");
        }
        _ => {}
    }
}

fn media_type(text: Text<'_>, section: &Section<'_>) -> Option<HeaderValue> {
    let plain = text.text.bytes().all(|b| matches!(b, b' '..=b'~')) && text.text.contains('/');
    let value = HeaderValue::from_str(text.text).ok().filter(|_| plain && text.text.len() <= 256);
    if value.is_none() {
        let message = format!("\"{}\" is not a media type", text.text);
        section.problems.error(text.at, message, "write \"text/html; charset=utf-8\"");
    }
    value
}

/// A file's bytes, relative to the folder of the main file. They are read when the config is, and
/// stay as they were until the next reload.
fn read(text: Text<'_>, section: &Section<'_>, beside: Beside<'_>) -> Option<Bytes> {
    // What an answer holds decides nothing.
    let Some(path) = beside.path(text.text) else { return Some(Bytes::new()) };
    let bytes = match path.metadata() {
        // A device or a pipe might never end.
        Ok(facts) if !facts.is_file() => Err("it is not a file".to_owned()),
        Ok(_) => File::open(&path).map_err(|error| error.to_string()).and_then(|file| {
            let mut bytes = Vec::new();
            let read = file.take(BODY_BYTES_MAX + 1).read_to_end(&mut bytes);
            read.map(|_| bytes).map_err(|error| error.to_string())
        }),
        Err(error) => Err(error.to_string()),
    };
    let bytes = bytes.and_then(|bytes| {
        let fits = bytes.len() as u64 <= BODY_BYTES_MAX;
        if fits { Ok(bytes) } else { Err("it is larger than 1 MiB".to_owned()) }
    });
    match bytes {
        Ok(bytes) => Some(bytes.into()),
        Err(problem) => {
            let message = format!("\"{}\" cannot be used: {problem}", text.text);
            section.problems.error(text.at, message, "name a file of at most 1 MiB");
            None
        }
    }
}
