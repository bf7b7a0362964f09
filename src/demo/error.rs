//! Why the demo does not start.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::inventory::error::ChangeError;
use crate::server::StartError;

#[derive(Debug)]
pub enum DemoError {
    /// The directory holds an inventory that no demo made.
    NotADemo(PathBuf),
    Io(io::Error),
    /// `conf/demo/demo.toml` with these addresses in it.
    Config(String),
    Start(StartError),
    Seed(ChangeError),
    /// A client of the demo has a name that is none.
    Spec(&'static str),
}

impl fmt::Display for DemoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotADemo(path) => write!(
                f,
                "{} belongs to a gate that is no demo. Name another directory with --data-dir",
                path.display()
            ),
            Self::Io(error) => write!(f, "cannot prepare the demo: {error}"),
            Self::Config(problems) => f.write_str(problems),
            Self::Start(error) => error.fmt(f),
            Self::Seed(error) => write!(f, "cannot make the demo's clients: {error}"),
            Self::Spec(id) => write!(f, "the demo's client {id} is misspelt"),
        }
    }
}

impl std::error::Error for DemoError {}

impl From<StartError> for DemoError {
    fn from(error: StartError) -> Self {
        Self::Start(error)
    }
}
