//! Why counters cannot be kept.

use std::fmt;
use std::io;
use std::path::PathBuf;

#[derive(Debug)]
pub enum CountersError {
    Open {
        path: PathBuf,
        error: io::Error,
    },
    /// A newer gate made the file.
    Newer {
        found: i64,
    },
    Sql(rusqlite::Error),
    Thread(io::Error),
}

impl From<rusqlite::Error> for CountersError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl fmt::Display for CountersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { path, error } => write!(f, "cannot open {}: {error}", path.display()),
            Self::Newer { found } => {
                write!(f, "counters.db has the schema {found} of a newer gate: run that one")
            }
            Self::Sql(error) => write!(f, "counters.db cannot be written: {error}"),
            Self::Thread(error) => write!(f, "the system refuses a thread: {error}"),
        }
    }
}

impl std::error::Error for CountersError {}
