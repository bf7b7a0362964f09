//! `compression` of an api.

use super::super::super::section::{Section, Text};
use super::super::super::unit::Bytes;
use crate::model::shape::compression::{Coding, Compression, DEFAULT_TYPES};
use crate::model::shape::media::{self, MediaRange};

const TYPES_MAX: usize = 64;

pub(super) fn compression(section: &mut Section<'_>) -> Option<Compression> {
    let is_there = section.place("compression").is_some();
    let mut section = section.table("compression");
    let codings = codings(&mut section);
    let bytes_min = section.quantity("bytes_min", Bytes(1)..=Bytes::mib(1));
    let bytes_min = bytes_min.unwrap_or(Bytes::kib(1)).0;
    let types = match section.texts("types", 1..=TYPES_MAX) {
        Some(texts) => texts.into_iter().filter_map(|text| range(text, &section)).collect(),
        None => DEFAULT_TYPES.iter().filter_map(|text| MediaRange::parse(text)).collect(),
    };
    section.finish();
    is_there.then_some(Compression { codings, bytes_min, types })
}

fn codings(section: &mut Section<'_>) -> Box<[Coding]> {
    let all = [Coding::Zstd, Coding::Brotli, Coding::Gzip];
    let choices = all.map(|coding| (coding.as_str(), coding));
    let Some(values) = section.list("algorithms", 1..=all.len()) else { return all.into() };
    let mut codings = Vec::new();
    for value in values {
        let Some(coding) = value.choice(&choices) else { continue };
        if codings.contains(&coding) {
            section.problems.error(value.at, "this algorithm is listed twice", "take one out");
        }
        codings.push(coding);
    }
    codings.into()
}

fn range(text: Text<'_>, section: &Section<'_>) -> Option<MediaRange> {
    let event_stream =
        media::essence(text.text.as_bytes()).eq_ignore_ascii_case(b"text/event-stream");
    if event_stream {
        let message = "event streams are never compressed";
        section.problems.error(text.at, message, "take it out");
        return None;
    }
    media_range(text, section)
}

/// A media type without parameters, or all of a main type.
pub(super) fn media_range(text: Text<'_>, section: &Section<'_>) -> Option<MediaRange> {
    let range = MediaRange::parse(text.text);
    if range.is_none() {
        let message = format!("\"{}\" is not a media type", text.text);
        let fix = "write \"application/json\" or \"text/*\", without parameters";
        section.problems.error(text.at, message, fix);
    }
    range
}
