//! The one writer: a thread that turns queued entries into lines of the log.
//!
//! It gives each record its number, shows requests to the observer (metrics are a fold over the
//! records) and appends batches. What the disk refuses is kept and tried again, so nothing is lost
//! while the process lives; meanwhile the queue fills and the gate refuses. Until a later issue
//! makes entries durable before their answer, kill -9 loses what waits here: about one
//! `flush_interval`, and the time of a sync that is under way.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::clock;
use crate::model::record::{Entry, RequestRecord};
use crate::model::time::{MonoNs, Now};

use super::acts;
use super::line::Encoder;
use super::proof::checkpoint::Cause;
use super::proof::prover::Prover;
use super::queue::Queue;
use super::segment::SegmentWriter;

/// Owns the writer thread. Close it last, when nobody acts any more.
#[must_use = "dropped, it closes the log"]
pub struct Recorder {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl Recorder {
    pub(super) fn start<Observer>(writer: Writer<Observer>) -> io::Result<Self>
    where
        Observer: FnMut(&RequestRecord) + Send + 'static,
    {
        let queue = Arc::clone(&writer.queue);
        let thread = thread::Builder::new().name("onegate-audit".into()).spawn(|| writer.run())?;
        queue.attach(thread.thread().clone());
        Ok(Self { queue, thread: Some(thread) })
    }

    /// Writes everything that is complete, syncs, and ends the thread. A disk that has been failing
    /// for [`PATIENCE`] ends it too; what is then lost is the error.
    pub fn close(mut self) -> Result<(), Unwritten> {
        self.join();
        match self.queue.held() {
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

/// What the thread owns. One [`turn`](Writer::turn) is all it ever does.
pub struct Writer<Observer> {
    queue: Arc<Queue>,
    segments: SegmentWriter,
    prover: Prover,
    encoder: Encoder,
    observer: Observer,
    flush_interval: Duration,
    /// Lines are written in pieces of about this size. There is room for two where one is written: what
    /// ends and proves it, and the checkpoint that ends the file, need some.
    piece_bytes: usize,
    /// Taken from the queue, not yet encoded.
    batch: VecDeque<Entry>,
    /// Encoded, not yet in the file; `in_lines` of them are entries of the queue.
    lines: Vec<u8>,
    in_lines: usize,
    file: FileIs,
    seq: u64,
    wrote: Option<MonoNs>,
    synced: Option<MonoNs>,
    checked: Option<MonoNs>,
    /// Leaves that the last checkpoint is about.
    signed: u64,
    told_gap: Option<MonoNs>,
    complained: Option<MonoNs>,
    failing_since: Option<MonoNs>,
}

/// How far the file is that is being written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum FileIs {
    /// It has not the line that begins it.
    New,
    /// It has no record.
    Begun,
    Used,
    /// Its last checkpoint is written: the next file is due.
    Ended,
}

/// What a turn came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Turn {
    /// There was nothing to write.
    Idle,
    Wrote,
    /// The disk refused; the lines are kept.
    Stuck,
}

impl<Observer: FnMut(&RequestRecord)> Writer<Observer> {
    pub fn new(
        queue: &Arc<Queue>,
        segments: SegmentWriter,
        prover: Prover,
        encoder: Encoder,
        flush_interval: Duration,
        observer: Observer,
    ) -> Self {
        let piece_bytes = usize::try_from(segments.bytes_max()).unwrap_or(usize::MAX);
        Self {
            queue: Arc::clone(queue),
            segments,
            prover,
            encoder,
            observer,
            flush_interval,
            piece_bytes: (piece_bytes / PIECES_IN_A_FILE_MIN).clamp(1, PIECE_BYTES),
            batch: VecDeque::new(),
            lines: Vec::new(),
            in_lines: 0,
            file: FileIs::New,
            seq: 0,
            checked: None,
            signed: 0,
            wrote: None,
            synced: None,
            told_gap: None,
            complained: None,
            failing_since: None,
        }
    }

    fn run(mut self) {
        loop {
            // Asked before the turn, so that the last turn sees all that was completed before.
            let closing = self.queue.is_closing();
            let now = clock::now();
            let turn = self.turn(now);
            if closing && self.may_end(turn, now.mono) {
                break;
            }
            self.rest(turn, now.mono);
        }
        if let Err(error) = self.end(clock::now()) {
            self.complain(&error, clock::mono());
        }
    }

    /// Says the last word, unless the disk still refuses what is before it.
    fn end(&mut self, now: Now) -> io::Result<()> {
        if !self.lines.is_empty() {
            return Ok(());
        }
        if self.file == FileIs::New || self.segments.is_spent() {
            self.next_file(now)?;
            self.segments.append(&self.lines)?;
            self.lines.clear();
        }
        self.check(Cause::Stop, now)?;
        self.segments.sync()
    }

    /// Writes all that waits.
    pub fn turn(&mut self, now: Now) -> Turn {
        if self.batch.is_empty() {
            self.queue.take(&mut self.batch);
        }
        let mut turn = Turn::Idle;
        loop {
            match self.write_piece(now) {
                Ok(Turn::Idle) => break,
                Ok(done) => turn = done,
                Err(error) => {
                    self.failing_since.get_or_insert(now.mono);
                    self.complain(&error, now.mono);
                    return Turn::Stuck;
                }
            }
        }
        if due(self.synced, SYNC_INTERVAL, now.mono) {
            self.synced = Some(now.mono);
            if let Err(error) = self.segments.sync() {
                self.complain(&error, now.mono);
            }
        }
        if due(self.checked, CHECKPOINT_INTERVAL, now.mono)
            && self.prover.state().tree.size() > self.signed
        {
            self.checked = Some(now.mono);
            if let Err(error) = self.check(Cause::Interval, now) {
                self.complain(&error, now.mono);
            }
        }
        turn
    }

    /// Writes the next piece, in the next file where this one is full.
    fn write_piece(&mut self, now: Now) -> io::Result<Turn> {
        if self.lines.is_empty() {
            let has_entries = !self.batch.is_empty();
            if self.file == FileIs::New || has_entries || self.segments.is_spent() {
                self.next_file(now)?;
            }
            if !self.encode_piece(now) {
                return Ok(Turn::Idle);
            }
        }
        self.segments.append(&self.lines)?;
        self.settle(now.mono);
        Ok(Turn::Wrote)
    }

    /// Sees to it that there is a file to write to, with the line that begins it.
    fn next_file(&mut self, now: Now) -> io::Result<()> {
        let room = (self.piece_bytes * 2) as u64;
        if self.file == FileIs::Used && self.segments.is_full_for(room) && !self.segments.is_spent()
        {
            self.check(Cause::Segment, now)?;
            self.file = FileIs::Ended;
        }
        if self.file != FileIs::New && self.segments.is_spent() {
            self.file = FileIs::Ended;
        }
        if self.file == FileIs::Ended {
            if !self.segments.is_spent() {
                // Its last checkpoint too, or a power cut could tear the end of a file that is over.
                self.segments.sync()?;
            }
            self.segments.begin_next()?;
            self.file = FileIs::New;
        }
        if self.file == FileIs::New {
            self.prover.begin(&mut self.lines, self.segments.name());
            self.prover.commit(&mut self.lines);
            self.file = FileIs::Begun;
        }
        Ok(())
    }

    /// Writes a checkpoint of everything that is written, once that is on the medium.
    fn check(&mut self, cause: Cause, now: Now) -> io::Result<()> {
        if !self.lines.is_empty() {
            // Hashed already, but not in the file: nobody may sign for them.
            return Ok(());
        }
        self.segments.sync()?;
        let mut line = Vec::new();
        let made = self.prover.checkpoint(&mut line, self.segments.name(), cause, now.wall);
        made.map_err(io::Error::other)?;
        self.segments.append(&line)?;
        self.signed = self.prover.state().tree.size();
        Ok(())
    }

    /// Fills `lines`, and ends them with what proves them; false when there is nothing.
    fn encode_piece(&mut self, now: Now) -> bool {
        while self.lines.len() < self.piece_bytes
            && let Some(entry) = self.batch.pop_front()
        {
            if let Entry::Request(record) = &entry {
                (self.observer)(record);
            }
            self.encode(&entry);
            self.in_lines += 1;
            if self.batch.len() < BEHIND && self.in_lines.is_multiple_of(AT_ONCE) {
                // Where workers share this thread's CPU, requests must not wait for a whole batch. Once
                // there is more to do than that, every break would be as long as a worker's turn, and
                // the queue would fill up: then the records come first.
                thread::yield_now();
            }
        }
        if self.in_lines == 0
            && (due(self.told_gap, GAP_INTERVAL, now.mono) || self.queue.is_closing())
            && let Some(refused) = self.queue.take_refused()
        {
            self.told_gap = Some(now.mono);
            self.encode(&acts::gap(refused, now.wall));
        }
        self.prover.commit(&mut self.lines);
        !self.lines.is_empty()
    }

    fn encode(&mut self, entry: &Entry) {
        self.seq += 1;
        let start = self.lines.len();
        self.encoder.encode(&mut self.lines, self.seq, entry);
        let line = self.lines.get(start..).unwrap_or_default();
        self.prover.record(line.strip_suffix(b"\n").unwrap_or(line), entry);
        self.file = FileIs::Used;
    }

    fn settle(&mut self, now: MonoNs) {
        self.lines.clear();
        self.queue.advance(std::mem::take(&mut self.in_lines), self.seq);
        self.wrote = Some(now);
        if let Some(since) = self.failing_since.take() {
            log::warn!("audit: writing again after {:?}", now.since(since));
        }
    }

    fn complain(&mut self, error: &io::Error, now: MonoNs) {
        if due(self.complained, COMPLAINT_INTERVAL, now) {
            self.complained = Some(now);
            log::error!("audit: {}: {error}", self.segments.path().display());
        }
    }

    fn may_end(&self, turn: Turn, now: MonoNs) -> bool {
        match turn {
            Turn::Idle => true,
            Turn::Wrote => false,
            Turn::Stuck => self.failing_since.is_some_and(|since| now.since(since) >= PATIENCE),
        }
    }

    /// Waits for the next turn. Entries do not wake it, but for the first after a long silence.
    fn rest(&self, turn: Turn, now: MonoNs) {
        let silent = turn == Turn::Idle && due(self.wrote, SILENCE, now);
        let nap = if self.queue.is_closing() {
            CLOSING_NAP
        } else if silent && self.queue.fall_asleep() {
            NAP
        } else {
            self.flush_interval
        };
        thread::park_timeout(nap);
    }
}

fn due(last: Option<MonoNs>, interval: Duration, now: MonoNs) -> bool {
    last.is_none_or(|last| now.since(last) >= interval)
}

/// How long [`Recorder::close`] bears with a disk that refuses.
pub const PATIENCE: Duration = Duration::from_secs(2);
const PIECE_BYTES: usize = 256 * 1024;
const PIECES_IN_A_FILE_MIN: usize = 8;
/// Entries that are encoded without a break: some tens of microseconds.
const AT_ONCE: usize = 32;
/// From so many waiting entries on there are no breaks.
const BEHIND: usize = 128;
const SYNC_INTERVAL: Duration = Duration::from_millis(100);
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);
const GAP_INTERVAL: Duration = Duration::from_secs(1);
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(1);
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

#[cfg(test)]
mod tests;
