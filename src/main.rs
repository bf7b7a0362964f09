//! The program: parses arguments, calls the library, maps the result to an exit code.

use std::process::ExitCode;

/// Chosen by measurement: `loadtest/README.md` has the figures.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    onegate::cli::main()
}
