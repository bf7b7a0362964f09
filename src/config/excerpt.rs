//! A line of a config as it may be printed, with carets under the fault. It knows no problems, only
//! text: tabs, wide letters, long lines, bytes that could drive a terminal.

use super::source::Line;

/// Longest part of a line that is shown, in bytes, and how much of it stands before the fault.
const SHOWN_BYTES_MAX: usize = 200;
const SHOWN_BEFORE: usize = 100;

/// The line, cut when it is long, and what to print below it.
pub(super) fn excerpt(line: &Line<'_>) -> (Box<str>, Box<str>) {
    let start = match line.text.len() {
        ..=SHOWN_BYTES_MAX => 0,
        _ => line.text.floor_char_boundary(line.from.saturating_sub(SHOWN_BEFORE)),
    };
    let end = line.text.floor_char_boundary(start + SHOWN_BYTES_MAX);
    let part = |from: usize, to: usize| line.text.get(from..to.min(end)).unwrap_or_default();
    let (before, after) = (start > 0, end < line.text.len());
    let dots = |cut| if cut { "…" } else { "" };

    let excerpt = format!("{}{}{}", dots(before), part(start, end), dots(after));
    // A tab stays a tab, so that it is as wide as the one above.
    let blank = |c: char| match (c, cells(c)) {
        ('\t', _) => "\t",
        (_, 0) => "",
        (_, 1) => " ",
        _ => "  ",
    };
    let mut carets = String::from(if before { " " } else { "" });
    carets.extend(part(start, line.from).chars().map(blank));
    let under: usize = part(line.from, line.to).chars().map(cells).sum();
    carets.push_str(&"^".repeat(under.max(1)));
    (printable(&excerpt), carets.into())
}

/// Without control characters, which could drive the terminal of the reader.
pub(super) fn printable(text: &str) -> Box<str> {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

/// How many cells of a terminal a character takes: two for East Asian wide ones and pictures,
/// none for marks that join the character before. The blocks that matter; a terminal may differ.
fn cells(c: char) -> usize {
    match u32::from(c) {
        0x0300..=0x036f | 0x200b..=0x200f | 0xfe00..=0xfe0f | 0xfeff => 0,
        0x1100..=0x115f
        | 0x2e80..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::source::{Place, Source};
    use super::*;

    fn check(text: &str, span: std::ops::Range<usize>, column: usize, expected: &str) {
        let source = Source::from_bytes(PathBuf::from("f"), text.as_bytes());
        let line = source.line(Place::new(0, span));
        let (excerpt, carets) = excerpt(&line);
        assert_eq!(format!("{excerpt}\n{carets}"), expected);
        assert_eq!(line.column(), column, "{expected}");
    }

    #[test]
    fn carets_stand_under_the_fault() {
        check("a = 1", 4..5, 5, "a = 1\n    ^");
        check("a\nbc = 12\nd", 7..9, 6, "bc = 12\n     ^^");
        check("\tä = 1\r\n", 6..7, 6, "\tä = 1\n\t    ^");
        check("k = '漢字' = 1", 14..15, 11, "k = '漢字' = 1\n            ^");
        check("e\u{301} = 1", 6..7, 6, "e\u{301} = 1\n    ^");
        check("a = [\n1]", 4..8, 5, "a = [\n    ^");
        check("a\n", 2..2, 1, "\n^");
        check("", 0..0, 1, "\n^");
        check("a\u{1b}[2J", 0..1, 1, "a\u{fffd}[2J\n^");
    }

    #[test]
    fn long_lines_are_cut_around_the_fault() {
        let text = format!("{}!{}", "a".repeat(500), "b".repeat(500));
        let (a, b, blank) = ("a".repeat(100), "b".repeat(99), " ".repeat(101));
        check(&text, 500..501, 501, &format!("…{a}!{b}…\n{blank}^"));
    }
}
