//! Sends checkpoints out, so that this machine alone cannot rewrite the past: whoever keeps one can tell, with
//! `audit verify --checkpoint`, whether the log is still the one that it speaks of.
//!
//! On a thread of its own: the log waits for nobody. What cannot be sent is counted and told; the next one speaks for all
//! before it.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::model::policy::CheckpointTo;

use super::proof::lines::Control;

/// The thread.
pub struct Notary {
    sender: SyncSender<Message>,
    thread: Option<JoinHandle<()>>,
}

/// The way to it.
#[derive(Clone, Debug)]
pub struct Outbox {
    sender: SyncSender<Message>,
    failed: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Message {
    /// A signed note.
    Checkpoint(String),
    End,
}

impl Notary {
    pub fn start(destinations: Box<[CheckpointTo]>) -> io::Result<(Self, Outbox)> {
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let outbox = Outbox { sender: sender.clone(), failed: Arc::default() };
        let failed = Arc::clone(&outbox.failed);
        let run = move || run(&receiver, &destinations, &failed);
        let thread = thread::Builder::new().name("onegate-notary".into()).spawn(run)?;
        Ok((Self { sender, thread: Some(thread) }, outbox))
    }
}

impl Outbox {
    /// Sends a note to all destinations, some time.
    pub fn send(&self, note: String) {
        if self.sender.try_send(Message::Checkpoint(note)).is_err() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Checkpoints that did not reach a destination.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

/// Sends what waits, the last one included.
impl Drop for Notary {
    fn drop(&mut self) {
        // A thread that is gone has told why.
        self.sender.send(Message::End).unwrap_or_default();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("audit: the thread that sends checkpoints panicked");
        }
    }
}

fn run(messages: &Receiver<Message>, destinations: &[CheckpointTo], failed: &AtomicU64) {
    while let Ok(Message::Checkpoint(note)) = messages.recv() {
        for destination in destinations {
            if let Err(error) = send(&note, destination) {
                failed.fetch_add(1, Ordering::Relaxed);
                log::error!("audit: a checkpoint was not sent to {destination}: {error}");
            }
        }
    }
}

fn send(note: &str, destination: &CheckpointTo) -> io::Result<()> {
    match destination {
        CheckpointTo::Stdout => {
            let mut line = line(note);
            line.push('\n');
            // Not through the lock of standard output, which others may hold for long; in one piece, or it could
            // be mixed with the access log's.
            File::from(io::stdout().as_fd().try_clone_to_owned()?).write_all(line.as_bytes())
        }
        CheckpointTo::Syslog(socket) => {
            let message =
                format!("<{LOG_AUDIT_INFO}>onegate[{}]: {}", std::process::id(), line(note));
            UnixDatagram::unbound()?.send_to(message.as_bytes(), socket).map(drop)
        }
        CheckpointTo::Command(program) => command(program, note),
    }
}

/// As it stands in the log.
fn line(note: &str) -> String {
    Control::Checkpoint(note.to_owned()).to_line()
}

/// Runs a program with the note on its standard input. It must end well, and soon.
fn command(program: &PathBuf, note: &str) -> io::Result<()> {
    let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that ends without reading is judged by how it ends.
        stdin.write_all(note.as_bytes()).unwrap_or_default();
    }
    let in_time = ends_in_time(&child);
    if !matches!(in_time, Ok(true)) {
        child.kill()?;
    }
    let status = child.wait()?;
    match in_time? {
        true if status.success() => Ok(()),
        true => Err(io::Error::other(format!("it ended with {status}"))),
        false => Err(io::Error::other("it took too long, and was killed")),
    }
}

/// Waits for a child's end; false when that takes too long.
fn ends_in_time(child: &Child) -> io::Result<bool> {
    let process = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let mut events = [PollFd::new(&process, PollFlags::IN)];
    Ok(poll(&mut events, Some(&COMMAND_WITHIN))? > 0)
}

/// Checkpoints that wait to be sent.
const WAITING_MAX: usize = 16;
/// RFC 5424, 6.2.1: facility 13 (log audit), severity 6 (informational).
const LOG_AUDIT_INFO: u8 = 13 * 8 + 6;
const COMMAND_WITHIN: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

impl fmt::Debug for Notary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Notary")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::audit::tests::Directory;

    const NOTE: &str = "origin\n1\nroot\n\n\u{2014} name signature\n";

    fn program(directory: &Directory, text: &str) -> CheckpointTo {
        let path = directory.path().join("program");
        std::fs::write(&path, text).expect("writes");
        let executable = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(&path, executable).expect("it is ours");
        CheckpointTo::Command(path)
    }

    #[test]
    fn each_destination_gets_it_and_a_failure_is_counted() {
        let directory = Directory::new();
        let socket = directory.path().join("log");
        let syslog = UnixDatagram::bind(&socket).expect("a socket");
        let kept = directory.path().join("kept");
        let keep = program(&directory, &format!("#!/bin/sh\ncat >> {}\n", kept.display()));
        let nowhere = CheckpointTo::Syslog(directory.path().join("nowhere"));
        let destinations = [CheckpointTo::Syslog(socket), keep, nowhere];
        let (notary, outbox) = Notary::start(destinations.into()).expect("a thread");
        outbox.send(NOTE.to_owned());
        outbox.send(NOTE.to_owned());
        drop(notary);
        assert_eq!(std::fs::read_to_string(kept).expect("reads"), NOTE.repeat(2));
        let mut message = [0; 1000];
        let length = syslog.recv(&mut message).expect("a message");
        let message = std::str::from_utf8(&message[..length]).expect("UTF-8");
        assert!(message.starts_with("<110>onegate["), "{message}");
        assert!(message.ends_with(&line(NOTE)), "{message}");
        assert_eq!(outbox.failed(), 2);
        outbox.send(NOTE.to_owned());
        assert_eq!(outbox.failed(), 3, "nobody sends it any more");
    }

    #[test]
    fn a_program_that_fails_is_told() {
        let directory = Directory::new();
        let fails = program(&directory, "#!/bin/sh\nexit 3\n");
        let (notary, outbox) = Notary::start([fails].into()).expect("a thread");
        outbox.send(NOTE.to_owned());
        drop(notary);
        assert_eq!(outbox.failed(), 1);
    }
}
