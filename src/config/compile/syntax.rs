//! From text to TOML tables. Syntax errors are told with a fix; a file that has one is left out of
//! everything after, so that one missing quote does not make a page of follow-up errors.

use toml::de::{DeTable, Error};

use super::super::diagnostic::Problems;
use super::super::source::{Place, Source, Sources};

/// Every file's table; None for a file that cannot be read as TOML.
pub(super) fn parse<'s>(sources: &'s Sources, problems: &Problems<'_>) -> Vec<Option<DeTable<'s>>> {
    let parse = |(file, source)| parse_one(file, source, problems);
    sources.tomls().enumerate().map(parse).collect()
}

fn parse_one<'s>(file: usize, source: &'s Source, problems: &Problems<'_>) -> Option<DeTable<'s>> {
    if let Some(start) = source.bad_utf8_at {
        let at = Place { file, start, end: start + 1 };
        problems.error(at, "the file is not UTF-8 from here on", "save the file as UTF-8");
        return None;
    }
    let (document, mut errors) = DeTable::parse_recoverable(&source.text);
    let place = |error: &Error| {
        let span = error.span().unwrap_or_default();
        Place { file, start: span.start, end: span.end }
    };
    errors.sort_by_key(|error| place(error).start);
    // One slip makes several errors in its line; the first of them is where it is.
    errors.dedup_by_key(|error| source.line(place(error)).number);
    for error in &errors {
        problems.error(place(error), error.message(), fix(error.message()));
    }
    errors.is_empty().then(|| document.into_inner())
}

/// What to do about the parser's message, by how it begins.
fn fix(message: &str) -> &'static str {
    let known = FIXES.iter().find(|(begins, _)| message.starts_with(begins));
    known.map_or("see https://toml.io/en/v1.1.0", |(_, fix)| fix)
}

const FIXES: [(&str, &str); 9] = [
    ("string values must be quoted", "put the value in double quotes"),
    ("invalid boolean", "write true or false, or put a text in double quotes"),
    ("invalid basic string", "close the string with a double quote"),
    ("invalid unquoted key", "put the key in double quotes"),
    ("duplicate key", "merge it with the one above, or write [[…]] for one more of a kind"),
    ("missing comma", "put a comma between the two"),
    ("extra", "take it out"),
    ("key with no value", "write key = value"),
    ("unclosed", "add the closing bracket"),
];
