//! Path templates, `/payments/{id}` and `/files/{rest...}`: parsed once, then matched by the
//! operation index (`request::classify`) and told in words.

use std::fmt;

/// Longest template in bytes, and most parameters in one, wherever templates come from. The router holds 25.
pub const TEMPLATE_BYTES_MAX: usize = 1024;
pub const PARAMETERS_MAX: usize = 16;

/// A parsed path template, below its api's base path. Literal segments are in canonical form.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Template {
    pub segments: Box<[Segment]>,
}

#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Segment {
    /// Matches itself. Empty only as the last one: the path ends with a slash.
    Literal(Box<str>),
    /// `{name}`: any one non-empty segment.
    Parameter(Box<str>),
    /// `{name...}`: the rest of the path, which may be empty. Last only.
    Tail(Box<str>),
}

/// Why a text is not a template; `at` is the byte where it goes wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TemplateError {
    pub at: usize,
    pub problem: &'static str,
}

impl Template {
    /// Parses a template. It starts with `/`; parameters fill whole segments; a tail is last.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(TemplateError { at: 0, problem: "a path template starts with '/'" });
        };
        let mut segments: Vec<Segment> = Vec::new();
        let mut at = 1;
        // A template of "/" alone is the base path itself: no segments.
        for part in rest.split('/').filter(|_| !rest.is_empty()) {
            let last = at + part.len() == text.len();
            if matches!(segments.last(), Some(Segment::Tail(_))) {
                return Err(TemplateError { at, problem: "a tail '{name...}' must be last" });
            }
            if part.is_empty() && !last {
                return Err(TemplateError { at, problem: "an empty segment can never match" });
            }
            let segment = parse_segment(part).map_err(|problem| TemplateError { at, problem })?;
            let known = |name| segments.iter().any(|old| old.parameter() == Some(name));
            if segment.parameter().is_some_and(known) {
                return Err(TemplateError { at, problem: "a parameter name is used twice" });
            }
            segments.push(segment);
            at += part.len() + 1;
        }
        Ok(Self { segments: segments.into() })
    }

    /// The template with parameter names taken out: two templates with one shape match the same
    /// paths.
    pub fn shape(&self) -> String {
        let mut shape = String::new();
        for segment in &self.segments {
            shape.push('/');
            match segment {
                Segment::Literal(text) => shape.push_str(text),
                Segment::Parameter(_) => shape.push_str("{}"),
                Segment::Tail(_) => shape.push_str("{...}"),
            }
        }
        if shape.is_empty() { "/".into() } else { shape }
    }
}

impl Segment {
    fn parameter(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::Parameter(name) | Self::Tail(name) => Some(name),
        }
    }
}

fn parse_segment(part: &str) -> Result<Segment, &'static str> {
    let Some(inner) = part.strip_prefix('{') else {
        return parse_literal(part);
    };
    let Some(inner) = inner.strip_suffix('}') else {
        return Err("a parameter fills a whole segment: '{name}' or '{name...}'");
    };
    let (name, tail) = match inner.strip_suffix("...") {
        Some(name) => (name, true),
        None => (inner, false),
    };
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if name.is_empty() || name.len() > 64 || !name.bytes().all(good) {
        return Err("a parameter name is 1 to 64 of A-Z, a-z, 0-9, '_' and '-'");
    }
    Ok(if tail { Segment::Tail(name.into()) } else { Segment::Parameter(name.into()) })
}

fn parse_literal(part: &str) -> Result<Segment, &'static str> {
    if part == "." || part == ".." {
        return Err("a dot segment can never match: paths are canonical");
    }
    let good = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&b);
    if !part.bytes().all(good) {
        return Err("a literal segment may hold only unreserved characters and !$&'()*+,;=:@");
    }
    Ok(Segment::Literal(part.into()))
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.segments.is_empty() {
            return f.write_str("/");
        }
        for segment in &self.segments {
            match segment {
                Segment::Literal(text) => write!(f, "/{text}")?,
                Segment::Parameter(name) => write!(f, "/{{{name}}}")?,
                Segment::Tail(name) => write!(f, "/{{{name}...}}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_parse_or_say_where_they_are_wrong() {
        let check = |text: &str, expected: Result<&str, usize>| {
            let parsed = Template::parse(text);
            match expected {
                Ok(shape) => assert_eq!(parsed.map(|t| t.shape()), Ok(shape.to_owned()), "{text}"),
                Err(at) => assert_eq!(parsed.map_err(|e| e.at), Err(at), "{text}"),
            }
        };
        check("/", Ok("/"));
        check("/payments/{id}", Ok("/payments/{}"));
        check("/files/{rest...}", Ok("/files/{...}"));
        check("payments", Err(0));
        check("/a//b", Err(3));
        check("/a/", Ok("/a/"));
        check("/a/{x...}/b", Err(10));
        check("/a/{x}y", Err(3));
        check("/a/{}", Err(3));
        check("/a/../b", Err(3));
        check("/a/{x}/{x}", Err(7));
        check("/a b", Err(1));
    }
}
