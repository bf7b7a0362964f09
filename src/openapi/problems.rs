//! The problems of a document, as they are found: bounded in number and in length.

use std::ops::Range;

use super::{Problem, Severity};

/// Most problems that are kept.
const KEPT_MAX: usize = 1000;
/// Longest message, in characters.
const CHARS_MAX: usize = 400;

impl Problem {
    pub(super) fn error(at: Range<usize>, message: impl Into<String>, fix: &str) -> Self {
        Self { severity: Severity::Error, at, message: message.into(), fix: fix.into() }
    }

    pub(super) fn warning(at: &Range<usize>, message: impl Into<String>, fix: &str) -> Self {
        let message: String = message.into().chars().take(CHARS_MAX).collect();
        Self { severity: Severity::Warning, at: at.clone(), message, fix: fix.into() }
    }
}

#[derive(Debug, Default)]
pub struct Problems {
    kept: Vec<Problem>,
    left_out: usize,
}

impl Problems {
    pub fn push(&mut self, problem: Problem) {
        // One error is enough to refuse the document, and none may go unseen behind warnings.
        let most = match problem.severity {
            Severity::Warning => KEPT_MAX,
            Severity::Error => 2 * KEPT_MAX,
        };
        if self.kept.len() < most {
            self.kept.push(problem);
        } else {
            self.left_out += 1;
        }
    }

    /// In the order of the text.
    pub fn into_list(mut self) -> Vec<Problem> {
        self.kept.sort_by_key(|problem| problem.at.start);
        if self.left_out > 0 {
            let message = format!("{} more problems", self.left_out);
            self.kept.push(Problem::warning(&(0..0), message, "mend those above first"));
        }
        self.kept
    }
}
