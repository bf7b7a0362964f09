//! Why a measurement could not be made. A figure above its limit is not an error: it is a
//! [`Verdict`].

use std::fmt;
use std::io;

/// What a measurement came to; the exit code says it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// Exit 0: measured, and within the limit if there was one.
    Good,
    /// Exit 1: measured, and above the limit.
    AboveLimit,
}

/// Exit 3: there is no figure.
#[derive(Debug)]
pub enum Error {
    /// SIGINT or SIGTERM came; what was started has been stopped.
    Interrupted,
    /// The machine did not do what was asked.
    System { doing: String, source: io::Error },
    /// A child process ended, or did not get ready in time. `log` is the end of its output.
    Child { name: String, problem: String, log: String },
    /// Something answered or printed what we do not understand.
    Unexpected { who: String, what: String },
    /// The repeats disagree, so their mean means nothing.
    Unsteady { what: String },
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// For `map_err`: what was being done when the system refused.
    pub fn while_doing(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        |source| Self::System { doing, source }
    }

    pub fn unexpected(who: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Unexpected { who: who.into(), what: what.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted => f.write_str("interrupted; everything started has been stopped"),
            Self::System { doing, source } => write!(f, "{doing}: {source}"),
            Self::Child { name, problem, log } => write!(f, "{name} {problem}; it said:\n{log}"),
            Self::Unexpected { who, what } => write!(f, "{who}: {what}"),
            Self::Unsteady { what } => write!(f, "not measurable now: {what}"),
        }
    }
}

impl std::error::Error for Error {}
