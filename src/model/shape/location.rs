//! Where a redirect leads: a fixed place whose path may hold parameters of the operation's path. No
//! caller can lead it to another host.

use std::fmt;

use crate::model::template::{Segment, Template, TemplateError};

/// A parsed location.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Location {
    /// Up to and with the path.
    pieces: Box<[Piece]>,
    /// The fixed query, without `?`.
    query: Box<str>,
    callers_query: Query,
}

/// What becomes of the caller's query.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Query {
    Kept,
    Dropped,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Piece {
    Literal(Box<str>),
    /// The segment of the path that stands at this position.
    Segment {
        at: usize,
        name: Box<str>,
    },
    /// The path from this position on.
    Tail {
        at: usize,
        name: Box<str>,
    },
}

impl Location {
    /// Parses a location: a path, or `https://HOST/PATH`, with parameters of `template` in its path.
    pub fn parse(text: &str, template: &Template, query: Query) -> Result<Self, TemplateError> {
        let error = |at: usize, problem: &'static str| Err(TemplateError { at, problem });
        let bad = |b: u8| !matches!(b, b'!'..=b'~') || b"\"<>\\^`|".contains(&b);
        if let Some(at) = text.bytes().position(bad) {
            return error(at, "a location holds only characters of URLs");
        }
        if let Some(at) = text.find('#') {
            return error(at, "a location has no fragment");
        }
        let (place, fixed_query) = text.split_once('?').unwrap_or((text, ""));
        if let Some(at) = fixed_query.find(['{', '}']) {
            return error(place.len() + 1 + at, "parameters stand only in a location's path");
        }
        let path_at = path_start(place)?;
        let (origin, path) = place.split_at(path_at);
        check_path(path).map_err(|(at, problem)| TemplateError { at: path_at + at, problem })?;
        let mut pieces = vec![Piece::Literal(origin.into())];
        parse_path(path, template, &mut pieces)
            .map_err(|(at, problem)| TemplateError { at: path_at + at, problem })?;
        Ok(Self { pieces: pieces.into(), query: fixed_query.into(), callers_query: query })
    }

    /// The location for a request: `below` is its canonical path below the base path, which the
    /// operation's template has matched; `query` begins with `?` or is empty.
    pub fn render(&self, below: &str, query: &str) -> String {
        let mut text = String::with_capacity(64 + below.len() + query.len());
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Segment { at, .. } => {
                    text.push_str(below.split('/').skip(1).nth(*at).unwrap_or_default());
                }
                Piece::Tail { at, .. } => text.push_str(from_segment(below, *at)),
            }
        }
        let kept = match self.callers_query {
            Query::Kept => query.strip_prefix('?').unwrap_or_default(),
            Query::Dropped => "",
        };
        for (mark, part) in [('?', &*self.query), (self.joint(), kept)] {
            if !part.is_empty() {
                text.push(mark);
                text.push_str(part);
            }
        }
        text
    }

    /// What stands before the caller's query.
    fn joint(&self) -> char {
        if self.query.is_empty() { '?' } else { '&' }
    }
}

type Problem = (usize, &'static str);

/// Where the path begins: at once, or after a scheme and a host that no parameter is part of.
fn path_start(place: &str) -> Result<usize, TemplateError> {
    if place.starts_with('/') && !place.starts_with("//") {
        return Ok(0);
    }
    let host_at = ["https://", "http://"]
        .into_iter()
        .find_map(|scheme| place.starts_with(scheme).then_some(scheme.len()));
    let Some(host_at) = host_at else {
        return Err(TemplateError { at: 0, problem: "a location starts with '/' or 'https://'" });
    };
    let host = place.get(host_at..).unwrap_or_default();
    let host = host.split('/').next().unwrap_or_default();
    let good = |b: u8| b.is_ascii_alphanumeric() || b"-.:[]".contains(&b);
    if host.is_empty() || !host.bytes().all(good) {
        let problem = "a location's host is fixed: a name and perhaps a port";
        return Err(TemplateError { at: host_at, problem });
    }
    Ok(host_at + host.len())
}

/// Nothing in the fixed part may turn a path into something else, whatever the parameters are.
fn check_path(path: &str) -> Result<(), Problem> {
    let mut at = 1;
    let segments = path.split('/').skip(1);
    let count = segments.clone().count();
    for (number, segment) in segments.enumerate() {
        let problem = match segment {
            "." | ".." => Some("a location has no dot segments"),
            "" if number + 1 < count => Some("a location's path has no empty segments"),
            _ => None,
        };
        if let Some(problem) = problem {
            return Err((at, problem));
        }
        at += segment.len() + 1;
    }
    Ok(())
}

fn parse_path(path: &str, template: &Template, pieces: &mut Vec<Piece>) -> Result<(), Problem> {
    let (mut rest, mut at) = (path, 0);
    while let Some(open) = rest.find(['{', '}']) {
        let (literal, from) = rest.split_at(open);
        at += open;
        pieces.push(Piece::Literal(literal.into()));
        let inner = from.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let (name, after) = inner.ok_or((at, "a parameter is written '{name}'"))?;
        let piece = parameter(name, template).ok_or((at, "the operation's path has no such"))?;
        let is_tail = matches!(piece, Piece::Tail { .. });
        if is_tail && !(literal.ends_with('/') && after.is_empty()) {
            return Err((at, "a rest '{name...}' is the whole end of a location"));
        }
        pieces.push(piece);
        at += name.len() + 2;
        rest = after;
    }
    pieces.push(Piece::Literal(rest.into()));
    Ok(())
}

fn parameter(name: &str, template: &Template) -> Option<Piece> {
    template.segments.iter().enumerate().find_map(|(at, segment)| match segment {
        Segment::Parameter(known) if **known == *name => {
            Some(Piece::Segment { at, name: known.clone() })
        }
        Segment::Tail(known) if name.strip_suffix("...") == Some(known) => {
            Some(Piece::Tail { at, name: known.clone() })
        }
        Segment::Literal(_) | Segment::Parameter(_) | Segment::Tail(_) => None,
    })
}

/// The path from a segment on, without the slash before it.
fn from_segment(below: &str, at: usize) -> &str {
    let starts = below.match_indices('/').nth(at);
    starts.and_then(|(slash, _)| below.get(slash + 1..)).unwrap_or_default()
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) => f.write_str(literal)?,
                Piece::Segment { name, .. } => write!(f, "{{{name}}}")?,
                Piece::Tail { name, .. } => write!(f, "{{{name}...}}")?,
            }
        }
        if !self.query.is_empty() {
            write!(f, "?{}", self.query)?;
        }
        match self.callers_query {
            Query::Kept => f.write_str(" with the caller's query"),
            Query::Dropped => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn template(text: &str) -> Template {
        Template::parse(text).expect("a template")
    }

    #[test]
    fn locations_are_made_of_the_path() {
        let check = |path: &str, text: &str, below: &str, query: &str, expected: &str| {
            let location = Location::parse(text, &template(path), Query::Kept);
            let location = location.unwrap_or_else(|error| panic!("{text}: {}", error.problem));
            assert_eq!(location.render(below, query), expected, "{text}");
        };
        check("/old", "/new", "/old", "", "/new");
        check("/old/{id}", "/new/{id}", "/old/7", "?x=1", "/new/7?x=1");
        check("/{a}/{b}", "/{b}-{a}/x", "/1/2", "", "/2-1/x");
        check(
            "/{rest...}",
            "https://a.example:8443/{rest...}",
            "/x/y/",
            "?q",
            "https://a.example:8443/x/y/?q",
        );
        check("/{rest...}", "/v2/{rest...}", "/", "", "/v2/");
        check("/v1/{rest...}", "/v2/{rest...}", "/v1", "", "/v2/");
        check("/x", "/y?a=1", "/x", "?b=2", "/y?a=1&b=2");
        check("/x", "https://a.example", "/x", "", "https://a.example");
        let dropped = Location::parse("/y?a=1", &template("/x"), Query::Dropped).expect("valid");
        assert_eq!(dropped.render("/x", "?b=2"), "/y?a=1");
    }

    #[test]
    fn a_location_that_could_lead_elsewhere_is_refused() {
        let check = |text: &str, at: usize| {
            let parsed = Location::parse(text, &template("/a/{id}/{rest...}"), Query::Kept);
            assert_eq!(parsed.map_err(|error| error.at), Err(at), "{text}");
        };
        check("//evil.example/", 0);
        check("evil", 0);
        check("javascript:alert(1)", 0);
        check("https://{id}/", 8);
        check("https://a.example{id}/", 8);
        check("https://user@a.example/", 8);
        check("https:///x", 8);
        check("/x?next={id}", 8);
        check("/x#{id}", 2);
        check("/x\\y", 2);
        check("/x y", 2);
        check("/{other}", 1);
        check("/{id", 1);
        check("/id}", 3);
        check("/{rest...}/x", 1);
        check("/x{rest...}", 2);
        check("/{rest}", 1);
        check("/a//b", 3);
        check("/../b", 1);
    }

    proptest! {
        /// Whatever the path is, the browser stays on the place that the config names.
        #[test]
        fn no_path_leads_elsewhere(below in "(/[a-z0-9%.;:@~-]{1,8}){2,4}/?", query in "(\\?[a-z/:=]{0,8})?") {
            prop_assume!(below.split('/').all(|segment| segment != "." && segment != ".."));
            let template = template("/{a}/{rest...}");
            for (text, start) in [("/{rest...}", "/"), ("/{a}/{rest...}", "/"), ("https://a.example/{a}", "https://a.example/")] {
                let shown = Location::parse(text, &template, Query::Kept).expect("valid").render(&below, &query);
                prop_assert!(shown.starts_with(start) && !shown.starts_with("//"), "{}", shown);
            }
        }
    }
}
