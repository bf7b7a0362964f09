//! What is wrong with a config, told so that it can be mended without opening the manual: where,
//! the line, carets under the fault, and a fix. Everything is collected; nothing stops at the first
//! problem.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::excerpt;
use super::source::{Place, Sources};

/// Most errors, and most warnings, that are kept; the rest are only counted.
const KEPT_MAX: usize = 1000;
/// Longest message and longest fix, in bytes: both may quote the config.
const SAID_BYTES_MAX: usize = 500;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Severity {
    /// The config is refused.
    Error,
    /// The config works, but perhaps not as meant.
    Warning,
}

impl Severity {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
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

impl Diagnostic {
    /// A problem of a file as a whole.
    fn of_file(severity: Severity, file: &Path, message: &str, fix: &str) -> Self {
        let said = |text: &str| {
            let end = text.floor_char_boundary(SAID_BYTES_MAX);
            excerpt::printable(text.get(..end).unwrap_or(text))
        };
        let (message, fix, file) = (said(message), said(fix), file.display().to_string().into());
        Self { severity, file, spot: None, message, fix, order: (0, 0) }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = self.severity.as_str();
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
    /// One error, of a file as a whole.
    pub(super) fn of_file(file: &Path, message: &str, fix: &str) -> Self {
        Self { list: vec![Diagnostic::of_file(Severity::Error, file, message, fix)], more: 0 }
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
    errors: Cell<usize>,
    warnings: Cell<usize>,
}

impl<'s> Problems<'s> {
    pub(super) fn new(sources: &'s Sources) -> Self {
        let (list, errors, warnings) = Default::default();
        Self { sources, list, errors, warnings }
    }

    /// Takes in what was found before all sources were read.
    pub(super) fn take(&self, found: Diagnostics) {
        found.list.into_iter().for_each(|diagnostic| self.keep(diagnostic));
    }

    pub(super) fn error(&self, at: Place, message: impl AsRef<str>, fix: impl AsRef<str>) {
        self.add(Severity::Error, at, message.as_ref(), fix.as_ref());
    }

    pub(super) fn warning(&self, at: Place, message: impl AsRef<str>, fix: impl AsRef<str>) {
        self.add(Severity::Warning, at, message.as_ref(), fix.as_ref());
    }

    /// An error of the config as a whole, which is said of its main file.
    pub(super) fn error_in_main(&self, message: &str, fix: &str) {
        let file = &self.sources.main.path;
        self.keep(Diagnostic::of_file(Severity::Error, file, message, fix));
    }

    pub(super) fn have_errors(&self) -> bool {
        self.errors.get() > 0
    }

    /// `file:line:column`, for messages that name a second place.
    pub(super) fn locate(&self, place: Place) -> String {
        let source = self.sources.of(place);
        let line = source.line(place);
        format!("{}:{}:{}", source.path.display(), line.number, line.column())
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
        let more = self.errors.get() + self.warnings.get() - list.len();
        Diagnostics { list, more }
    }

    fn add(&self, severity: Severity, at: Place, message: &str, fix: &str) {
        let source = self.sources.of(at);
        let line = source.line(at);
        let (excerpt, carets) = excerpt::excerpt(&line);
        let spot = Some(Spot { line: line.number, column: line.column(), excerpt, carets });
        let whole = Diagnostic::of_file(severity, &source.path, message, fix);
        self.keep(Diagnostic { spot, order: (at.file, at.start), ..whole });
    }

    /// Errors and warnings are counted apart, so that warnings cannot crowd out an error.
    fn keep(&self, diagnostic: Diagnostic) {
        let count = match diagnostic.severity {
            Severity::Error => &self.errors,
            Severity::Warning => &self.warnings,
        };
        count.set(count.get() + 1);
        if count.get() <= KEPT_MAX {
            self.list.borrow_mut().push(diagnostic);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::super::source::Source;
    use super::*;

    #[test]
    fn what_is_past_the_most_is_counted_and_hides_no_error() {
        let main = Source::from_bytes(PathBuf::from("f"), b"x");
        let sources = Sources::new(main);
        let problems = Problems::new(&sources);
        for _ in 0..KEPT_MAX + 7 {
            problems.warning(Place::new(0, 0..1), "w", "x");
        }
        problems.error(Place::new(0, 0..1), "e", "x");
        let shown = problems.finish().to_string();
        assert!(shown.ends_with("f:1:1: error: e\nx\n^\n  fix: x\nand 7 more\n"), "{shown}");
    }
}
