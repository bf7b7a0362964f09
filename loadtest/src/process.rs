//! Children: started, watched until ready, and stopped by id when dropped. Nothing that was not
//! started here is ever signalled.

use std::ffi::OsString;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::client::Connection;
use crate::clock::Deadline;
use crate::error::{Error, Result};
use crate::interrupt;

/// A running child. Dropping it kills it and waits for its end.
#[derive(Debug)]
pub struct Process {
    pub name: String,
    child: Child,
    log: PathBuf,
}

/// What stands before a command line: nothing, a CPU to stay on, or valgrind.
#[derive(Clone, Debug, Default)]
pub struct Prefix(pub Vec<OsString>);

impl Prefix {
    pub fn command(&self, program: &Path) -> Command {
        let mut words = self.0.iter();
        let Some(first) = words.next() else {
            return Command::new(program);
        };
        let mut command = Command::new(first);
        command.args(words).arg(program);
        command
    }
}

impl Process {
    /// Starts it with its output in `log`. It may not be ready yet: see [`Process::await_ready`].
    pub fn start(name: &str, mut command: Command, log: PathBuf) -> Result<Self> {
        let doing = || Error::while_doing(format!("cannot write {}", log.display()));
        let out = File::create(&log).map_err(doing())?;
        let err = out.try_clone().map_err(doing())?;
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn().map_err(
            Error::while_doing(format!("cannot start {}", command.get_program().display())),
        )?;
        Ok(Self { name: name.into(), child, log })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns when it answers the request with 200, or fails with the end of its log.
    pub fn await_ready(&mut self, address: SocketAddr, request: &[u8]) -> Result<()> {
        let deadline = Deadline::after(READY_WITHIN);
        loop {
            let problem = match probe(address, request) {
                Ok(200) => return Ok(()),
                Ok(status) => format!("answered {status}"),
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(problem) => problem.to_string(),
            };
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(self.failure(format!("ended with {status}")));
            }
            if deadline.passed() {
                return Err(self.failure(format!("was not ready in time ({problem})")));
            }
            interrupt::pause(Duration::from_millis(20))?;
        }
    }

    /// What it printed first: `bare` describes itself there.
    pub fn first_line(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        text.lines().find(|line| !line.starts_with("==")).unwrap_or_default().into()
    }

    fn failure(&self, problem: String) -> Error {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        let log = lines.get(lines.len().saturating_sub(LOG_LINES_SHOWN)..).unwrap_or_default();
        Error::Child { name: self.name.clone(), problem, log: log.join("\n") }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Killed rather than asked: a graceful end waits for connections that we hold. Both fail
        // only when it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Runs a command to its end and returns its standard output.
pub fn output(mut command: Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command
        .stdin(Stdio::null())
        .output()
        .map_err(Error::while_doing(format!("cannot run {name}")))?;
    if !done.status.success() {
        // Some tell on standard output what is wrong.
        let said = [&done.stdout[..], &done.stderr].concat();
        let log = String::from_utf8_lossy(&said).trim().to_owned();
        return Err(Error::Child { name, problem: format!("ended with {}", done.status), log });
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// A loopback address that was free a moment ago. Pingora cannot report a port it chose itself.
pub fn free_address() -> Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(Error::while_doing("cannot find a free port"))
}

fn probe(address: SocketAddr, request: &[u8]) -> Result<u16> {
    Ok(Connection::open(address)?.exchange(request)?.status)
}

/// Under valgrind a start takes seconds, on a busy machine many.
const READY_WITHIN: Duration = Duration::from_mins(2);

const LOG_LINES_SHOWN: usize = 20;
