//! `onegate inventory`: many clients at once, from a file.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::Exit;
use super::control::Control;
use super::made;
use super::output::{Failure, Output};
use crate::admin::{APPLY_BYTES_MAX, wire};

#[derive(Debug, Subcommand)]
pub enum InventoryCommand {
    /// Add the clients of a file that do not exist yet, all or none; `-` reads standard input
    Apply { file: PathBuf },
}

/// Longest file, in bytes: the admin socket takes no longer change.
const FILE_BYTES_MAX: u64 = APPLY_BYTES_MAX as u64;

impl InventoryCommand {
    pub fn run(self, control: &Control<'_>, output: &mut Output<'_>) -> Result<(), Failure> {
        let Self::Apply { file } = self;
        let told = file.display().to_string();
        let in_file =
            |why: &dyn std::fmt::Display| Failure::problem_found(format!("{told}: {why}"));
        let text = read(&file).map_err(|error| in_file(&error))?;
        let apply: wire::Apply = toml::from_str(&text).map_err(|error| in_file(&error))?;
        let made = control.change(&wire::Change::Apply(apply)).map_err(|failure| {
            // A bad value is the file's, not the command line's.
            if failure.exit == Exit::Usage { in_file(&failure.sentence()) } else { failure }
        })?;
        made::show(made, &format!("{told} is applied."), output)
    }
}

fn read(path: &Path) -> io::Result<String> {
    let source: Box<dyn Read> =
        if path.as_os_str() == "-" { Box::new(io::stdin()) } else { Box::new(File::open(path)?) };
    let mut text = String::new();
    source.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other("it is longer than 64 MiB"));
    }
    Ok(text)
}
