//! How commands answer: rows as aligned columns for people, or one JSON value per line.

use std::fmt;
use std::io::{self, ErrorKind, Write};

use serde::Serialize;

use super::Exit;
use crate::config::diagnostic::Diagnostics;

use crate::admin::parse::BadValue;
use crate::admin::wire;

/// Where answers go.
pub struct Output<'w> {
    pub format: Format,
    pub out: &'w mut dyn Write,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    Human,
    Json,
}

/// Why a command did not end well, and what to do about it.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    /// What is printed, whole.
    text: String,
}

impl Failure {
    /// One sentence on what is wrong, and nothing that would mend it.
    pub fn plain(exit: Exit, detail: impl fmt::Display) -> Self {
        Self { exit, text: format!("error: {detail}") }
    }

    pub fn not_done(detail: impl fmt::Display, fix: impl fmt::Display) -> Self {
        Self { exit: Exit::NotDone, text: format!("error: {detail}\n  {fix}") }
    }

    pub fn problem_found(detail: impl fmt::Display) -> Self {
        Self::plain(Exit::ProblemFound, detail)
    }

    /// What is wrong, to be told as part of something else.
    pub fn sentence(&self) -> &str {
        self.text.strip_prefix("error: ").unwrap_or(&self.text)
    }

    /// Problems of a config, which say by themselves where they are and that they are errors.
    pub fn config(problems: &Diagnostics) -> Self {
        Self { exit: Exit::ProblemFound, text: problems.to_string().trim_end().to_owned() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<wire::Problem> for Failure {
    fn from(problem: wire::Problem) -> Self {
        Self::not_done(problem.detail, problem.fix)
    }
}

impl From<BadValue> for Failure {
    fn from(error: BadValue) -> Self {
        Self::plain(Exit::Usage, error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        // Whoever read the answer has read enough.
        let exit = if error.kind() == ErrorKind::BrokenPipe { Exit::Done } else { Exit::NotDone };
        Self::plain(exit, format!("cannot write: {error}"))
    }
}

impl Output<'_> {
    /// One JSON value on one line.
    pub fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value).map_err(io::Error::from)?;
        Ok(writeln!(self.out, "{text}")?)
    }

    pub fn line(&mut self, text: &str) -> Result<(), Failure> {
        Ok(writeln!(self.out, "{text}")?)
    }

    /// Columns as wide as their widest cell; the last one is not filled up.
    pub fn table(
        &mut self,
        Head(titles): Head,
        rows: impl Iterator<Item = Vec<String>>,
    ) -> Result<(), Failure> {
        let head = titles.iter().map(|&title| title.to_owned()).collect();
        let rows: Vec<Vec<String>> = [head].into_iter().chain(rows).collect();
        let mut widths = vec![0; titles.len()];
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = cell.chars().count().max(*width);
            }
        }
        for row in &rows {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            writeln!(self.out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    /// Names and values, one pair on a line.
    pub fn fields(&mut self, fields: &[(&str, String)]) -> Result<(), Failure> {
        let width = fields.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        for (name, value) in fields {
            writeln!(self.out, "{name:width$}  {value}")?;
        }
        Ok(())
    }
}

/// The titles of a table's columns.
#[derive(Clone, Copy, Debug)]
pub struct Head(pub &'static [&'static str]);

impl fmt::Debug for Output<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("format", &self.format).finish_non_exhaustive()
    }
}
