//! What a person writes in one line, so that showing it does nothing else.

use std::fmt;

/// One line a person wrote: an owner, a purpose, a holder, a reason. Not empty, bounded, and
/// without control characters, so that showing it in a terminal or a log does nothing else.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Line(Box<str>);

/// Longest [`Line`], in bytes.
pub const LINE_BYTES_MAX: usize = 500;

impl Line {
    /// Takes off the space around the text.
    pub fn parse(text: &str) -> Result<Self, LineError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(LineError::Empty);
        }
        if text.len() > LINE_BYTES_MAX {
            return Err(LineError::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(LineError::Control);
        }
        Ok(Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is not a [`Line`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LineError {
    Empty,
    TooLong,
    Control,
}

impl fmt::Display for LineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "is empty",
            Self::TooLong => "is longer than 500 bytes",
            Self::Control => "holds a control character",
        })
    }
}
