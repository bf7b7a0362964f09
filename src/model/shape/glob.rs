//! Patterns of paths, `/**/.git/**`: `**` is any number of whole segments, none included; `*` is any
//! part of one segment. Matched in time that is at most the product of both lengths.

use std::fmt;

/// A pattern of canonical paths. The case of ASCII letters does not count: some servers behind the
/// gate do not tell `/.GIT` from `/.git`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Glob(Box<[Segment]>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Segment {
    /// `**`
    Any,
    /// What stands between the stars of one segment.
    Parts(Box<[Box<str>]>),
}

impl Glob {
    /// Takes a pattern that starts with `/`; the rest of its form is the config's to check.
    pub fn new(pattern: &str) -> Self {
        let segment = |text: &str| match text {
            "**" => Segment::Any,
            text => Segment::Parts(text.split('*').map(Into::into).collect()),
        };
        Self(pattern.split('/').skip(1).map(segment).collect())
    }

    /// Whether it holds the whole of a canonical path.
    pub fn holds(&self, path: &str) -> bool {
        // The one `**` that may still take more is the last one that was passed: giving it one more
        // segment than before covers every way the earlier ones could have ended.
        let mut rest = path.split('/').skip(1);
        let mut wanted = self.0.iter();
        let mut again: Option<(std::slice::Iter<'_, Segment>, _)> = None;
        loop {
            match wanted.clone().next() {
                Some(Segment::Any) => {
                    wanted.next();
                    again = Some((wanted.clone(), rest.clone()));
                    continue;
                }
                Some(Segment::Parts(parts)) => {
                    let mut after = rest.clone();
                    if after.next().is_some_and(|segment| is_segment(parts, segment)) {
                        wanted.next();
                        rest = after;
                        continue;
                    }
                }
                None if rest.clone().next().is_none() => return true,
                None => {}
            }
            let Some((pattern, mut from)) = again.take() else { return false };
            if from.next().is_none() {
                return false;
            }
            (wanted, rest) = (pattern.clone(), from.clone());
            again = Some((pattern, from));
        }
    }
}

/// A segment as it stands, or without what some servers cut off: `/.git;x/` is `/.git/` to them.
fn is_segment(parts: &[Box<str>], segment: &str) -> bool {
    let name = segment.split(';').next().unwrap_or_default();
    matches(parts, segment.as_bytes()) || (name != segment && matches(parts, name.as_bytes()))
}

/// Parts in order: the first at the start, the last at the end, the others as early as they fit.
fn matches(parts: &[Box<str>], text: &[u8]) -> bool {
    let Some((first, others)) = parts.split_first() else { return text.is_empty() };
    let Some(mut rest) = strip(text, first) else { return false };
    let Some((last, between)) = others.split_last() else { return rest.is_empty() };
    for part in between {
        let found = (0..=rest.len()).find_map(|at| strip(rest.get(at..)?, part));
        let Some(after) = found else { return false };
        rest = after;
    }
    let end = rest.len().checked_sub(last.len()).and_then(|at| rest.get(at..));
    end.is_some_and(|end| end.eq_ignore_ascii_case(last.as_bytes()))
}

fn strip<'t>(text: &'t [u8], prefix: &str) -> Option<&'t [u8]> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix.as_bytes()).then_some(rest)
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for segment in &self.0 {
            match segment {
                Segment::Any => f.write_str("/**")?,
                Segment::Parts(parts) => write!(f, "/{}", parts.join("*"))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_hold_whole_paths() {
        let check = |pattern: &str, path: &str, expected: bool| {
            let glob = Glob::new(pattern);
            assert_eq!(glob.holds(path), expected, "{pattern} {path}");
            assert_eq!(glob.to_string(), pattern);
        };
        check("/**/.git/**", "/.git", true);
        check("/**/.git/**", "/a/.git/config", true);
        check("/**/.git/**", "/a/b/.GIT", true);
        check("/**/.git/**", "/a/.git;x/config", true);
        check("/**/.git/**", "/a/.github/config", false);
        check("/**/.git/**", "/", false);
        check("/**/*.php", "/a/index.php", true);
        check("/**/*.php", "/.php", true);
        check("/**/*.php", "/index.php/x", false);
        check("/**/*.php", "/index.php;a=b", true);
        check("/admin", "/admin", true);
        check("/admin", "/admin/", false);
        check("/admin/**", "/admin/", true);
        check("/admin/**", "/admin", true);
        check("/admin/**", "/administrator", false);
        check("/admin*/**", "/administrator/x", true);
        check("/a*b*c", "/aXbYbZc", true);
        check("/a*b*c", "/acb", false);
        check("/a*a", "/a", false);
        check("/*", "/", true);
        check("/*", "/a/b", false);
        check("/**", "/", true);
        check("/**", "/a/b/c", true);
        check("/a/**/b/**/c", "/a/x/b/y/b/c", true);
        check("/a/**/b/**/c", "/a/c/b", false);
        check("/**/a/b", "/a/a/a/b", true);
        check("/", "/", true);
    }

    /// The slow reference: every way to share out the segments.
    fn slow(pattern: &[Segment], path: &[&str]) -> bool {
        match (pattern.split_first(), path.split_first()) {
            (None, rest) => rest.is_none(),
            (Some((Segment::Any, after)), _) => {
                (0..=path.len()).any(|taken| slow(after, &path[taken..]))
            }
            (Some((Segment::Parts(_), _)), None) => false,
            (Some((Segment::Parts(parts), after)), Some((segment, rest))) => {
                let parts: Vec<&str> = parts.iter().map(|part| &**part).collect();
                slow_segment(parts.join("*").as_bytes(), segment.as_bytes()) && slow(after, rest)
            }
        }
    }

    fn slow_segment(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', after)) => (0..=text.len()).any(|at| slow_segment(after, &text[at..])),
            Some((c, after)) => text.first() == Some(c) && slow_segment(after, &text[1..]),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]

        #[test]
        fn the_matcher_agrees_with_a_slow_one(
            pattern in "(/([ab*]{0,4}|\\*\\*)){1,5}",
            path in "(/[ab]{0,4}){1,6}",
        ) {
            let glob = Glob::new(&pattern);
            let segments: Vec<&str> = path.split('/').skip(1).collect();
            prop_assert_eq!(glob.holds(&path), slow(&glob.0, &segments), "{} {}", pattern, path);
        }
    }
}
