//! `headers` of an api or an operation: fields to set, add and remove.

use http::HeaderName;

use super::super::super::section::{Section, Text as Written};
use super::super::super::suggest;
use super::names;
use crate::model::shape::edits::{Edits, Text, TextError, Variable};

/// Most fields of one kind of change, and the longest value in bytes.
const FIELDS_MAX: usize = 32;
const VALUE_BYTES_MAX: usize = 1024;

/// Why a field may not be changed; None: it may.
type Kept = fn(&HeaderName) -> Option<&'static str>;

/// Of requests and of responses.
pub(super) fn edits(section: &mut Section<'_>) -> (Edits, Edits) {
    let mut headers = section.table("headers");
    let request = one_way(headers.table("request"), names::kept_of_request);
    let response = one_way(headers.table("response"), names::kept_of_response);
    headers.finish();
    (request, response)
}

fn one_way(mut section: Section<'_>, kept: Kept) -> Edits {
    let set = fields(&mut section, "set", kept);
    let add = fields(&mut section, "add", kept);
    let remove = names::names(&mut section, "remove", FIELDS_MAX).unwrap_or_default();
    let free = |(name, text): &(HeaderName, Written<'_>)| is_free(name, *text, &section, kept);
    let remove: Vec<_> = remove.into_iter().filter(free).collect();
    for (name, text) in &remove {
        if set.iter().any(|(other, _)| other == name) {
            let message = format!("\"{name}\" is set as well");
            section.problems.error(text.at, message, "take it out: what is set replaces");
        }
    }
    section.finish();
    let remove = remove.into_iter().map(|(name, _)| name).collect();
    Edits { remove, set: set.into(), add: add.into() }
}

fn fields(section: &mut Section<'_>, key: &'static str, kept: Kept) -> Vec<(HeaderName, Text)> {
    let pairs = section.pairs(key, 0..=FIELDS_MAX);
    let mut fields: Vec<(HeaderName, Text)> = Vec::new();
    for (written, value) in pairs {
        let Some(name) = names::name(written, section) else { continue };
        if !is_free(&name, written, section, kept) {
            continue;
        }
        if fields.iter().any(|(other, _)| *other == name) {
            let message = format!("\"{name}\" is named twice, in two cases");
            section.problems.error(written.at, message, "take one out");
        }
        fields.extend(text(value, section).map(|text| (name, text)));
    }
    fields
}

fn is_free(name: &HeaderName, at: Written<'_>, section: &Section<'_>, kept: Kept) -> bool {
    let reason = kept(name);
    if let Some(reason) = reason {
        let message = format!("\"{name}\" cannot be changed here: {reason}");
        section.problems.error(at.at, message, "take it out");
    }
    reason.is_none()
}

fn text(value: Written<'_>, section: &Section<'_>) -> Option<Text> {
    let refuse = |message: &str, fix: String| {
        section.problems.error(value.at, message, fix);
        None
    };
    if value.text.len() > VALUE_BYTES_MAX {
        return refuse("a value has at most 1024 bytes", "write a shorter one".to_owned());
    }
    match Text::parse(value.text) {
        Ok(text) => Some(text),
        Err(TextError::Character) => {
            let fix = "write printable ASCII characters, no blank at either end".to_owned();
            refuse("this is not the value of a header field", fix)
        }
        Err(TextError::OpenBrace | TextError::CloseBrace) => {
            refuse("a brace has no partner", "write {{ and }} for braces".to_owned())
        }
        Err(TextError::Unknown(name)) => {
            let known = Variable::ALL.iter().map(|(known, _)| *known);
            refuse(&format!("\"{{{name}}}\" is not a variable"), suggest::fix(name, known))
        }
    }
}
