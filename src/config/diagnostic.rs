//! What is wrong with a config, told so that it can be mended without opening the manual: where,
//! the line, a caret under the fault, and a fix. Everything is collected; nothing stops at the
//! first problem.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::source::{Line, Place, Sources};

/// Most diagnostics that are kept; the rest are only counted.
const KEPT_MAX: usize = 1000;
/// Longest message and longest fix, in bytes.
const SAID_BYTES_MAX: usize = 500;
/// Longest part of a line that is shown, in bytes, and how much of it stands before the fault.
const SHOWN_BYTES_MAX: usize = 200;
const SHOWN_BEFORE: usize = 100;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Severity {
    /// The config is refused.
    Error,
    /// The config works, but perhaps not as meant.
    Warning,
}

/// One problem of a config.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Diagnostic {
    pub severity: Severity,
    pub file: Arc<str>,
    /// None: the file as a whole.
    pub spot: Option<Spot>,
    pub message: Box<str>,
    /// What to write instead.
    pub fix: Box<str>,
    /// File and byte: diagnostics are shown in this order.
    order: (usize, usize),
}

/// A place in a file as a person sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Spot {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// The line, cut when long.
    pub excerpt: Box<str>,
    /// What to print below the excerpt: blanks, then carets.
    pub carets: Box<str>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let (file, message) = (&self.file, &self.message);
        match &self.spot {
            None => writeln!(f, "{file}: {severity}: {message}")?,
            Some(Spot { line, column, excerpt, carets }) => {
                writeln!(f, "{file}:{line}:{column}: {severity}: {message}")?;
                writeln!(f, "{excerpt}\n{carets}")?;
            }
        }
        writeln!(f, "  fix: {}", self.fix)
    }
}

/// All problems of one config, in the order of its files and lines. Shown as text for people.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
    /// Problems beyond the most that are kept.
    more: usize,
}

impl Diagnostics {
    /// One problem of a file as a whole.
    pub(super) fn of_file(path: &Path, message: String, fix: &str) -> Self {
        let found = Found { severity: Severity::Error, message, fix: fix.to_owned() };
        Self { list: vec![found.in_file(path, 0)], more: 0 }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for diagnostic in &self.list {
            diagnostic.fmt(f)?;
        }
        if self.more > 0 {
            writeln!(f, "and {} more", self.more)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// Takes in problems while a config is read. Shared by all readers, hence the cells; a load runs
/// in one thread.
pub(super) struct Problems<'s> {
    sources: &'s Sources,
    list: RefCell<Vec<Diagnostic>>,
    more: Cell<usize>,
    errors: Cell<usize>,
}

/// A problem before it has its place.
struct Found {
    severity: Severity,
    message: String,
    fix: String,
}

impl<'s> Problems<'s> {
    /// Goes on with what was `found` before there were all sources.
    pub(super) fn new(sources: &'s Sources, found: Diagnostics) -> Self {
        let is_error = |known: &&Diagnostic| known.severity == Severity::Error;
        let errors = Cell::new(found.iter().filter(is_error).count());
        Self { sources, list: RefCell::new(found.list), more: Cell::new(found.more), errors }
    }

    pub(super) fn error(&self, at: Place, message: impl Into<String>, fix: impl Into<String>) {
        self.errors.set(self.errors.get() + 1);
        let (message, fix) = (message.into(), fix.into());
        self.add(at, Found { severity: Severity::Error, message, fix });
    }

    pub(super) fn warning(&self, at: Place, message: impl Into<String>, fix: impl Into<String>) {
        let (message, fix) = (message.into(), fix.into());
        self.add(at, Found { severity: Severity::Warning, message, fix });
    }

    /// An error of the main file as a whole.
    pub(super) fn error_in_main(&self, message: &str, fix: &str) {
        self.errors.set(self.errors.get() + 1);
        let (message, fix) = (message.to_owned(), fix.to_owned());
        let found = Found { severity: Severity::Error, message, fix };
        if let Some(main) = self.sources.iter().next() {
            self.keep(found.in_file(&main.path, 0));
        }
    }

    pub(super) fn have_errors(&self) -> bool {
        self.errors.get() > 0
    }

    /// `file:line:column`, for messages that name a second place.
    pub(super) fn locate(&self, place: Place) -> String {
        let Some(source) = self.sources.of(place) else { return String::new() };
        let line = source.line(place);
        format!("{}:{}:{}", source.path.display(), line.number, column(&line))
    }

    /// What the file says at a place.
    pub(super) fn text(&self, place: Place) -> &'s str {
        self.sources.text(place)
    }

    /// The place of one byte of a quoted text; the whole text where escapes hide the byte.
    pub(super) fn byte_of(&self, text: &str, at: Place, byte: usize) -> Place {
        let plain = self.text(at).get(1..).is_some_and(|raw| raw.starts_with(text));
        let start = at.start + 1 + byte;
        if plain { Place { start, end: start + 1, ..at } } else { at }
    }

    pub(super) fn finish(self) -> Diagnostics {
        let mut list = self.list.into_inner();
        list.sort_by_key(|diagnostic| diagnostic.order);
        Diagnostics { list, more: self.more.get() }
    }

    fn add(&self, at: Place, found: Found) {
        let Some(source) = self.sources.of(at) else { return };
        let line = source.line(at);
        let (excerpt, carets) = excerpt(&line);
        let spot = Spot { line: line.number, column: column(&line), excerpt, carets };
        let whole = found.in_file(&source.path, at.file);
        self.keep(Diagnostic { spot: Some(spot), order: (at.file, at.start), ..whole });
    }

    fn keep(&self, diagnostic: Diagnostic) {
        let mut list = self.list.borrow_mut();
        if list.len() < KEPT_MAX {
            list.push(diagnostic);
        } else {
            self.more.set(self.more.get() + 1);
        }
    }
}

impl Found {
    fn in_file(self, path: &Path, file: usize) -> Diagnostic {
        let (message, fix) = (printable(cut(&self.message)), printable(cut(&self.fix)));
        let (severity, file_name) = (self.severity, path.display().to_string().into());
        Diagnostic { severity, file: file_name, spot: None, message, fix, order: (file, 0) }
    }
}

/// What a person will read of a text that quotes the config.
fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(SAID_BYTES_MAX)).unwrap_or(text)
}

fn column(line: &Line<'_>) -> usize {
    line.text.get(..line.from).map_or(1, |before| before.chars().count() + 1)
}

/// A line as it may be printed, and the carets below it.
fn excerpt(line: &Line<'_>) -> (Box<str>, Box<str>) {
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
    let blank = |c: char| if c == '\t' { "\t" } else { BLANKS.get(..cells(c)).unwrap_or_default() };
    let mut carets = String::from(if before { " " } else { "" });
    carets.extend(part(start, line.from).chars().map(blank));
    let under: usize = part(line.from, line.to).chars().map(cells).sum();
    carets.push_str(&"^".repeat(under.max(1)));
    (printable(&excerpt), carets.into())
}

const BLANKS: &str = "  ";

/// How many cells of a terminal a character takes: two for East Asian wide ones and pictures,
/// none for marks that join the character before. The blocks that matter; a terminal may differ.
fn cells(c: char) -> usize {
    match u32::from(c) {
        0x0300..=0x036f | 0x200b..=0x200f | 0xfe00..=0xfe0f | 0xfeff => 0,
        0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff => 2,
        0xfe30..=0xfe6f | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1faff => 2,
        0x20000..=0x3fffd => 2,
        _ => 1,
    }
}

/// Without control characters, which could drive the terminal of the reader.
fn printable(text: &str) -> Box<str> {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::source::Source;
    use super::*;

    fn check(text: &str, start: usize, end: usize, expected: &str) {
        let sources = Sources::new(Source::from_bytes(PathBuf::from("f"), text.as_bytes()));
        let problems = Problems::new(&sources, Diagnostics::default());
        problems.error(Place { file: 0, start, end }, "m", "x");
        assert_eq!(problems.finish().to_string(), expected);
    }

    #[test]
    fn a_caret_stands_under_the_fault() {
        check("a = 1", 4, 5, "f:1:5: error: m\na = 1\n    ^\n  fix: x\n");
        check("a\nbc = 12\nd", 7, 9, "f:2:6: error: m\nbc = 12\n     ^^\n  fix: x\n");
        check("\tä = 1\r\n", 6, 7, "f:1:6: error: m\n\tä = 1\n\t    ^\n  fix: x\n");
        check(
            "k = '漢字' = 1",
            14,
            15,
            "f:1:11: error: m\nk = '漢字' = 1\n            ^\n  fix: x\n",
        );
        check("e\u{301} = 1", 6, 7, "f:1:6: error: m\ne\u{301} = 1\n    ^\n  fix: x\n");
        check("a = [\n1]", 4, 8, "f:1:5: error: m\na = [\n    ^\n  fix: x\n");
        check("a\n", 2, 2, "f:2:1: error: m\n\n^\n  fix: x\n");
        check("", 0, 0, "f:1:1: error: m\n\n^\n  fix: x\n");
        check("a\u{1b}[2J", 0, 1, "f:1:1: error: m\na\u{fffd}[2J\n^\n  fix: x\n");
    }

    #[test]
    fn long_lines_are_cut_around_the_fault() {
        let text = format!("{}!{}", "a".repeat(500), "b".repeat(500));
        let (a, b, blank) = ("a".repeat(100), "b".repeat(99), " ".repeat(101));
        check(&text, 500, 501, &format!("f:1:501: error: m\n…{a}!{b}…\n{blank}^\n  fix: x\n"));
    }

    #[test]
    fn what_is_past_the_most_is_counted() {
        let sources = Sources::new(Source::from_bytes(PathBuf::from("f"), b"x"));
        let problems = Problems::new(&sources, Diagnostics::default());
        for _ in 0..KEPT_MAX + 7 {
            problems.error(Place { file: 0, start: 0, end: 1 }, "m", "x");
        }
        let shown = problems.finish().to_string();
        assert!(shown.ends_with("  fix: x\nand 7 more\n"), "{shown}");
    }
}
