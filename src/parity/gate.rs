//! The gate that is compared with itself: a process of its own, on a data directory of its own.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::error::ParityError;

/// A gate that serves; it is killed when this is dropped.
#[derive(Debug)]
pub struct Gate {
    child: Child,
    pub address: SocketAddr,
    log: PathBuf,
    lines: Receiver<String>,
}

/// Until it serves, and until it is gone.
const START_DEADLINE: Duration = Duration::from_mins(1);
const STOP_DEADLINE: Duration = Duration::from_mins(1);
/// Lines that wait to be read: it says a handful.
const LINES_MAX: usize = 1_024;

impl Gate {
    /// Starts it. Its log goes into a file beside its data.
    pub fn start(command: &mut Command, data_dir: &Path) -> Result<Self, ParityError> {
        let log = data_dir.join("gate.log");
        let failed = ParityError::Io;
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        // It is nobody's service.
        command.env_remove("NOTIFY_SOCKET");
        command.stderr(File::create(&log).map_err(failed)?);
        let mut child = command.spawn().map_err(failed)?;
        let lines = child.stdout.take().map_or_else(|| sync_channel(1).1, read);
        let mut gate = Self { child, address: SocketAddr::from(([0; 4], 0)), log, lines };
        loop {
            let Ok(line) = gate.lines.recv_timeout(START_DEADLINE) else {
                return Err(gate.broken("did not start"));
            };
            // `listener parity on http://127.0.0.1:49152`
            let address = line.split_once("listener ").and_then(|(_, rest)| rest.rsplit_once('/'));
            if let Some(address) = address.and_then(|(_, address)| address.parse().ok()) {
                gate.address = address;
                return Ok(gate);
            }
        }
    }

    /// Ends it in good order, so that every record is written.
    pub fn stop(mut self) -> Result<(), ParityError> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            kill_process(pid, Signal::TERM).map_err(|error| ParityError::Io(error.into()))?;
        }
        loop {
            match self.lines.recv_timeout(STOP_DEADLINE) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => return Err(self.broken("did not stop")),
            }
        }
        let status = self.child.wait().map_err(ParityError::Io)?;
        if status.success() { Ok(()) } else { Err(self.broken("did not end well")) }
    }

    pub fn broken(&self, what: &'static str) -> ParityError {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let mut last: Vec<&str> = log.lines().rev().take(LAST_LINES).collect();
        last.reverse();
        ParityError::Gate { what, said: last.join("\n  ") }
    }
}

/// Of its log, when it breaks.
const LAST_LINES: usize = 10;

/// Its lines; disconnected when it has ended.
fn read(output: ChildStdout) -> Receiver<String> {
    let (sender, lines) = sync_channel(LINES_MAX);
    let read = move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // Nobody listens any more, or not now.
            sender.try_send(line).ok();
        }
    };
    // Without the thread nobody hears it, and the start fails for that.
    thread::Builder::new().name("onegate-parity".to_owned()).spawn(read).ok();
    lines
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
