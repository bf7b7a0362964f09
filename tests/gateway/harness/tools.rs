//! Programs from packages, run to their end. A missing one fails: `ci/setup` installs it.

use std::env;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// What a program said.
#[derive(Debug)]
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

/// Runs a program as root, as `ci/setup` does: directly, or by `sudo`.
pub fn as_root(words: &[&str]) {
    let user = run(Command::new("id").arg("-u"), b"").expect_success();
    let sudo = (user.trim() != "0").then_some("sudo");
    let words: Vec<&str> = sudo.into_iter().chain(words.iter().copied()).collect();
    let [program, arguments @ ..] = words.as_slice() else { panic!("no program") };
    run(Command::new(program).args(arguments), b"").expect_success();
}

impl Said {
    /// Its standard output, given that it did well.
    pub fn expect_success(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        self.stdout
    }
}

/// The Python that `ci/setup` makes, with the libraries of `ci/python.txt`.
pub fn python() -> PathBuf {
    made_by_setup("python/bin/python")
}

/// The Node that `ci/setup` installs.
pub fn node() -> PathBuf {
    made_by_setup("node/node")
}

/// The packages of `ci/node`.
pub fn node_packages() -> PathBuf {
    made_by_setup("node/node_modules")
}

/// The client of the Rust SDK, `tests/gateway/rmcp`, which `ci/test` builds beside the gate.
pub fn rmcp_client() -> PathBuf {
    let gate = PathBuf::from(env!("CARGO_BIN_EXE_onegate"));
    let target = gate.parent().and_then(Path::parent).expect("it was built");
    let client = target.join("debug").join("rmcp-client");
    let build = "cargo build --locked --manifest-path tests/gateway/rmcp/Cargo.toml";
    assert!(client.exists(), "{} is missing: `{build}` makes it", client.display());
    client
}

fn made_by_setup(name: &str) -> PathBuf {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let made = cache.or_else(home).expect("HOME is set").join("onegate").join(name);
    assert!(made.exists(), "{} is missing: `ci/setup` makes it", made.display());
    made
}

/// A program of `/usr/sbin`, which is not on everyone's path.
pub fn daemon(name: &str) -> Command {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut path: Vec<_> = env::split_paths(&path).collect();
    path.push("/usr/sbin".into());
    let program = path.iter().map(|folder| folder.join(name)).find(|program| program.exists());
    Command::new(program.unwrap_or_else(|| panic!("{name} is missing: `ci/setup` installs it")))
}
