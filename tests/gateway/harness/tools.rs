//! Programs from packages, run to their end. A missing one fails: `ci/setup` installs it.

use std::io::Write;
use std::process::{Command, Output, Stdio};

/// What a program said.
pub struct Said {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a program with `input` on its standard input.
pub fn run(command: &mut Command, input: &[u8]) -> Said {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| {
        let program = command.get_program().display();
        panic!("{program}: {error}; is it installed? `ci/setup` does")
    });
    let mut stdin = child.stdin.take().expect("it was asked for");
    // A program may end without reading.
    drop(stdin.write_all(input));
    drop(stdin);
    let Output { status, stdout, stderr } = child.wait_with_output().expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Said { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

impl Said {
    /// Its standard output, given that it did well.
    pub fn expect_success(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self.stdout
    }
}

/// The first Python that has `requests`: a user's own may lack what Debian's has.
pub fn python_with_requests() -> &'static str {
    let has = |python: &&str| {
        run(Command::new(python).args(["-c", "import requests"]), b"").code == Some(0)
    };
    ["python3", "/usr/bin/python3"]
        .into_iter()
        .find(has)
        .expect("ci/setup installs python3-requests")
}

/// A program of `/usr/sbin`, which is not on everyone's path.
pub fn daemon(name: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut path: Vec<_> = std::env::split_paths(&path).collect();
    path.push("/usr/sbin".into());
    let program = path.iter().map(|folder| folder.join(name)).find(|program| program.exists());
    Command::new(program.unwrap_or_else(|| panic!("{name} is missing: `ci/setup` installs it")))
}
