//! The command line: parses, asks the parts below, shows their answers. It decides nothing.

pub mod audit;

/// How a command ended: the exit codes of INTERFACES.md 1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    Done,
    ProblemFound,
    Usage,
    NotDone,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Done => 0,
            Exit::ProblemFound => 1,
            Exit::Usage => 2,
            Exit::NotDone => 3,
        })
    }
}
