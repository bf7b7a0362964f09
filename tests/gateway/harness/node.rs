//! The Node programs of the tests: scripts beside them, and the suite of the protocol's authors.

use std::process::Command;

use super::tools;

/// The command that runs a script of `tests/gateway/node`.
pub fn command(name: &str) -> Command {
    let mut command = Command::new(tools::node());
    command.env("NODE_PATH", tools::node_packages());
    command.arg(format!("{}/tests/gateway/node/{name}", env!("CARGO_MANIFEST_DIR")));
    command
}

/// The command that runs the program of a package, by its path in `node_modules`.
pub fn of_package(path: &str) -> Command {
    let mut command = Command::new(tools::node());
    command.arg(tools::node_packages().join(path));
    command
}
