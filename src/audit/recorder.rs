//! The thread of the log: it gives its [`Writer`] turns, and rests between them.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::clock;
use crate::model::policy::CheckpointTo;
use crate::model::record::RequestRecord;
use crate::model::time::MonoNs;

use super::keys::Keys;
use super::notary::Notary;
use super::queue::Queue;
use super::segment::Boot;
use super::writer::{Turn, Writer};

/// Owns the writer thread. Close it last, when nobody acts any more.
#[must_use = "dropped, it closes the log"]
pub struct Recorder {
    queue: Arc<Queue>,
    keys: Arc<Keys>,
    boot: Boot,
    thread: Option<JoinHandle<()>>,
    /// After the thread has ended there is one more to send.
    notary: Option<Notary>,
}

impl Recorder {
    pub(super) fn start<Observer>(writer: Writer<Observer>) -> io::Result<Self>
    where
        Observer: FnMut(&RequestRecord) + Send + 'static,
    {
        let (queue, keys) = (Arc::clone(writer.queue()), Arc::clone(writer.keys()));
        let boot = writer.boot();
        let run = || run(writer);
        let thread = thread::Builder::new().name("onegate-audit".into()).spawn(run)?;
        queue.attach(thread.thread().clone());
        Ok(Self { queue, keys, boot, thread: Some(thread), notary: None })
    }

    /// Whose files it writes.
    pub const fn boot(&self) -> Boot {
        self.boot
    }

    /// The keys that sign the log.
    pub const fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    /// Sends checkpoints out from now on; those of each second not more often than `every`.
    pub fn send_checkpoints(
        &mut self,
        destinations: Box<[CheckpointTo]>,
        every: Duration,
    ) -> io::Result<()> {
        if !destinations.is_empty() {
            let (notary, outbox) = Notary::start(destinations)?;
            self.queue.send_checkpoints_to(outbox, every);
            self.notary = Some(notary);
        }
        Ok(())
    }

    /// Writes everything that is complete, syncs, and ends the thread. A disk that has been failing
    /// for [`PATIENCE`] ends it too; what is then lost is the error.
    pub fn close(mut self) -> Result<(), Unwritten> {
        self.join();
        match self.queue.unwritten() {
            0 => Ok(()),
            records => Err(Unwritten { records }),
        }
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            self.queue.close();
            if thread.join().is_err() {
                log::error!("audit: the recorder panicked");
            }
        }
        drop(self.notary.take());
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.join();
    }
}

/// Entries, and promises of them, that were not in the file when the log closed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Unwritten {
    pub records: usize,
}

fn run<Observer: FnMut(&RequestRecord)>(mut writer: Writer<Observer>) {
    loop {
        // Asked before the turn, so that the last turn sees all that was completed before.
        let closing = writer.queue().is_closing();
        let now = clock::now();
        let turn = writer.turn(now);
        if closing && may_end(&writer, turn, now.mono) {
            break;
        }
        rest(&writer, turn, now.mono);
    }
    writer.end(clock::now());
}

pub fn may_end<Observer: FnMut(&RequestRecord)>(
    writer: &Writer<Observer>,
    turn: Turn,
    now: MonoNs,
) -> bool {
    match turn {
        Turn::Idle => true,
        Turn::Wrote => false,
        Turn::Stuck => writer.failing_since().is_some_and(|since| now.since(since) >= PATIENCE),
    }
}

/// Waits for the next turn. Entries do not wake it, but for the first after a long silence, and those
/// that somebody waits for.
fn rest<Observer: FnMut(&RequestRecord)>(writer: &Writer<Observer>, turn: Turn, now: MonoNs) {
    let queue = writer.queue();
    let silent = turn == Turn::Idle && writer.is_silent(SILENCE, now);
    let nap = if queue.is_closing() {
        CLOSING_NAP
    } else if silent && queue.fall_asleep() {
        NAP
    } else {
        writer.flush_interval()
    };
    thread::park_timeout(nap);
    queue.wake_up();
}

/// How long [`Recorder::close`] bears with a disk that refuses.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// After this time without entries the thread sleeps for a [`NAP`] at a time.
const SILENCE: Duration = Duration::from_secs(1);
const NAP: Duration = Duration::from_secs(1);
/// Between two turns of a log that closes.
const CLOSING_NAP: Duration = Duration::from_millis(5);

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder")
    }
}

impl fmt::Display for Unwritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} audit records could not be written", self.records)
    }
}

impl std::error::Error for Unwritten {}
