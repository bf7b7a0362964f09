//! Media types (RFC 9110, 8.3.1) as config lists them: one, or all of a main type.

use std::fmt;

/// `application/json`, or `text/*`. Lower-case.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MediaRange(Box<str>);

impl MediaRange {
    /// None: not a media type, or one with parameters.
    pub fn parse(text: &str) -> Option<Self> {
        let good = |b: u8| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b);
        let name = |name: &str| (1..=127).contains(&name.len()) && name.bytes().all(good);
        let (main, sub) = text.split_once('/')?;
        (name(main) && (sub == "*" || name(sub))).then(|| Self(text.to_ascii_lowercase().into()))
    }

    /// Whether it holds the media type of a `Content-Type` value, whatever its parameters and case.
    pub fn holds(&self, content_type: &[u8]) -> bool {
        let essence = essence(content_type);
        match self.0.strip_suffix('*') {
            Some(main) => essence
                .split_at_checked(main.len())
                .is_some_and(|(start, _)| start.eq_ignore_ascii_case(main.as_bytes())),
            None => essence.eq_ignore_ascii_case(self.0.as_bytes()),
        }
    }
}

/// The media type without its parameters.
pub fn essence(content_type: &[u8]) -> &[u8] {
    content_type.split(|b| *b == b';').next().unwrap_or_default().trim_ascii()
}

impl fmt::Display for MediaRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_types_whatever_their_parameters_and_case() {
        let check = |range: &str, content_type: &str, expected: bool| {
            let range = MediaRange::parse(range).expect("a media type");
            assert_eq!(range.holds(content_type.as_bytes()), expected, "{range} {content_type}");
        };
        check("application/json", "application/json", true);
        check("application/json", "Application/JSON ; charset=utf-8", true);
        check("application/json", "application/json2", false);
        check("application/json", "text/plain; x=application/json", false);
        check("application/json", "", false);
        check("text/*", "TEXT/html;x", true);
        check("text/*", "textual/html", false);
        for bad in ["json", "a/", "/b", "*/*", "a/b;c=d", "a/b c", "a/b*"] {
            assert_eq!(MediaRange::parse(bad), None, "{bad}");
        }
    }
}
