//! The one writer of the log: it turns queued items into lines and what proves them.
//!
//! It gives each record its number, shows requests to the observer (metrics are a fold over the
//! records) and appends pieces. A piece that the disk refuses is undone and made again later, in the next file
//! where this one cannot be trusted any more; so nothing is lost while the process lives. Meanwhile the queue
//! fills and the gate refuses.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;

use crate::model::id::RequestId;
use crate::model::record::RequestRecord;
use crate::model::time::{MonoNs, Now};

use super::crowd::Crowd;
use super::journal::Keeper;
use super::keys::Keys;
use super::line::Encoder;
use super::opening::Opening;
use super::proof::checkpoint::Cause;
use super::proof::prover::Prover;
use super::queue::{Item, Queue};
use super::reserve::{Growth, Reserve};
use super::segment::{Boot, SegmentWriter};
use super::sync::{Waited, Waiter};

mod file;
mod piece;
mod world;

/// What the thread owns. One [`turn`](Writer::turn) is all it ever does.
pub struct Writer<Observer> {
    queue: Arc<Queue>,
    keeper: Keeper,
    /// Where the journal is.
    home: PathBuf,
    segments: SegmentWriter,
    reserve: Reserve,
    growth: Growth,
    /// Files that failed, one after the other.
    spent_in_a_row: u32,
    /// Gap records that were written to what was reserved.
    gaps_of_full_disk: u32,
    keys: Arc<Keys>,
    prover: Prover,
    encoder: Encoder,
    observer: Observer,
    flush_interval: Duration,
    file_age_max: Duration,
    crowd: Crowd,
    /// Lines are written in pieces of about this size. There is room for two where one is written: what
    /// ends and proves it, and the checkpoint that ends the file, need some.
    piece_bytes: usize,
    /// Taken from the queue, not yet in the file. The observer has seen the first `observed`.
    batch: VecDeque<Item>,
    observed: usize,
    /// The piece that is being written, and its lines.
    piece: Vec<Item>,
    lines: Vec<u8>,
    file: FileIs,
    seq: u64,
    /// Calls with a line that says they are open, and the file that has it.
    open: AHashMap<RequestId, u32>,
    /// Those who wait until what is in the file is on the medium.
    waiters: Vec<Waiter>,
    /// Leaves that the last checkpoint is about.
    signed: u64,
    times: Times,
}

/// When things were done last.
#[derive(Debug, Default)]
struct Times {
    took: Option<MonoNs>,
    looked: Option<MonoNs>,
    wrote: Option<MonoNs>,
    committed: Option<MonoNs>,
    checked: Option<MonoNs>,
    tried: Option<MonoNs>,
    rolled: Option<MonoNs>,
    began: Option<MonoNs>,
    told_gap: Option<MonoNs>,
    complained: Option<MonoNs>,
    sent: Option<MonoNs>,
    failing_since: Option<MonoNs>,
    refused: Option<MonoNs>,
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
    /// The disk refused; the entries are kept.
    Stuck,
}

/// What a writer is made of.
pub struct Parts<Observer> {
    pub queue: Arc<Queue>,
    pub keeper: Keeper,
    pub home: PathBuf,
    pub segments: SegmentWriter,
    pub reserve: Reserve,
    pub growth: Growth,
    pub keys: Arc<Keys>,
    pub prover: Prover,
    pub encoder: Encoder,
    pub observer: Observer,
    pub flush_interval: Duration,
    /// A file ends at this age.
    pub file_age_max: Duration,
    pub crowd: Crowd,
}

impl<Observer: FnMut(&RequestRecord)> Writer<Observer> {
    pub fn new(parts: Parts<Observer>) -> Self {
        let piece_bytes = usize::try_from(parts.segments.bytes_max()).unwrap_or(usize::MAX);
        Self {
            queue: parts.queue,
            keeper: parts.keeper,
            home: parts.home,
            segments: parts.segments,
            reserve: parts.reserve,
            growth: parts.growth,
            spent_in_a_row: 0,
            gaps_of_full_disk: 0,
            keys: parts.keys,
            prover: parts.prover,
            encoder: parts.encoder,
            observer: parts.observer,
            flush_interval: parts.flush_interval,
            file_age_max: parts.file_age_max,
            crowd: parts.crowd,
            piece_bytes: (piece_bytes / PIECES_IN_A_FILE_MIN).clamp(1, PIECE_BYTES),
            batch: VecDeque::new(),
            observed: 0,
            piece: Vec::new(),
            lines: Vec::new(),
            file: FileIs::New,
            seq: 0,
            open: AHashMap::new(),
            waiters: Vec::new(),
            signed: 0,
            times: Times::default(),
        }
    }

    pub const fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    pub const fn boot(&self) -> Boot {
        self.segments.name().boot
    }

    pub const fn keys(&self) -> &Arc<Keys> {
        &self.keys
    }

    pub const fn flush_interval(&self) -> Duration {
        self.flush_interval
    }

    pub const fn failing_since(&self) -> Option<MonoNs> {
        self.times.failing_since
    }

    /// Whether nothing was written for so long, and nothing open waits to be.
    pub fn is_silent(&self, time: Duration, now: MonoNs) -> bool {
        due(self.times.wrote, time, now) && !self.keeper.has_unseen() && !self.crowd.holds()
    }

    /// Writes the line that begins the first file.
    pub fn begin(&mut self, now: Now) -> io::Result<()> {
        self.begin_file(now)
    }

    /// Writes all that waits.
    pub fn turn(&mut self, now: Now) -> Turn {
        // What is taken now was not there when the last turn took.
        let since = self.times.took.unwrap_or(now.mono);
        if self.batch.is_empty() {
            self.queue.take(&mut self.batch);
            self.times.took = Some(now.mono);
            self.fold_strangers(now.mono);
            self.look_for_lasting(now.mono);
        }
        if let Err(error) = self.segments.look() {
            self.disk_refuses(&error, now);
        }
        let turn = self.write(now);
        self.look_at_disk(turn, now.mono);
        self.segments.sync_soon(since, &mut self.waiters);
        if turn != Turn::Stuck {
            self.check_if_due(now);
        }
        turn
    }

    /// A checkpoint each second, and when the config was read again.
    fn check_if_due(&mut self, now: Now) {
        let is_due = due(self.times.tried, CHECKPOINT_INTERVAL, now.mono)
            && self.prover.state().tree.size() > self.signed;
        let reloaded = self.queue.take_reload();
        if !is_due && !reloaded {
            return;
        }
        self.times.tried = Some(now.mono);
        let cause = if reloaded { Cause::Reload } else { Cause::Interval };
        // On a slow disk most of the time is for the records.
        let waited = self.times.checked.map_or(CHECKPOINT_INTERVAL, |last| now.mono.since(last));
        let done = self.check(cause, now, (waited / 4).clamp(PATIENCE_MIN, CHECKPOINT_INTERVAL));
        if reloaded && !matches!(done, Ok(Waited::Done)) {
            self.queue.set_reload();
        }
        match done {
            Ok(Waited::Done) => self.times.checked = Some(now.mono),
            Ok(Waited::InVain) => {}
            Err(error) => self.disk_refuses(&error, now),
        }
    }

    fn write(&mut self, now: Now) -> Turn {
        let mut turn = Turn::Idle;
        loop {
            match self.write_piece(now) {
                Ok(Turn::Idle) => {
                    self.disk_works(now.mono);
                    return turn;
                }
                Ok(done) => turn = done,
                Err(error) => {
                    self.disk_refuses(&error, now);
                    return Turn::Stuck;
                }
            }
        }
    }

    /// Says the last word, unless the disk still refuses what is before it.
    pub fn end(&mut self, now: Now) {
        let begun = match self.file {
            FileIs::Begun | FileIs::Used if !self.segments.is_spent() => Ok(()),
            FileIs::New | FileIs::Begun | FileIs::Used | FileIs::Ended => self.begin_file(now),
        };
        let checked = begun.and_then(|()| self.check(Cause::Stop, now, LONG));
        match checked.and_then(|checked| self.segments.sync().map(|()| checked)) {
            Ok(Waited::Done) => self.leave_journal(),
            Ok(Waited::InVain) => {}
            Err(error) => self.complain(&error, now.mono),
        }
    }

    /// Calls that are answered, and not over at the second look, get a line that says so: their
    /// record must not wait for their end.
    fn look_for_lasting(&mut self, now: MonoNs) {
        let pause = if self.batch.len() < BEHIND { self.flush_interval } else { LOOK_INTERVAL };
        if due(self.times.looked, pause, now) {
            self.times.looked = Some(now);
            let batch = &mut self.batch;
            self.keeper.show_lasting(|stored| {
                // Denials of strangers may be folded: then no line of theirs says how they ended.
                let opening = Opening::decode(stored);
                let is_stranger =
                    |opening: &Opening<'_>| opening.client.is_empty() && !opening.denial.is_empty();
                if !opening.is_some_and(|opening| is_stranger(&opening)) {
                    batch.push_back(Item::Lasting(stored.into()));
                }
            });
        }
    }

    /// Writes the next piece, in the next file where this one is full.
    fn write_piece(&mut self, now: Now) -> io::Result<Turn> {
        self.add_gap(now);
        if self.file == FileIs::New
            || !self.batch.is_empty()
            || self.segments.is_spent()
            || self.is_over(now.mono)
        {
            self.begin_file(now)?;
        }
        let mark = (self.prover.mark(), self.seq);
        self.encode_piece();
        let is_due = due(self.times.committed, COMMIT_INTERVAL, now.mono);
        if self.lines.len() >= COMMIT_BYTES || is_due {
            self.prover.commit(&mut self.lines);
            self.times.committed = Some(now.mono);
        }
        if self.lines.is_empty() && self.piece.is_empty() {
            return Ok(Turn::Idle);
        }
        let has_entries = !self.piece.is_empty();
        if let Err(error) = self.append() {
            self.prover.restore(mark.0);
            self.seq = mark.1;
            self.undo();
            return Err(error);
        }
        self.settle();
        if has_entries {
            self.times.wrote = Some(now.mono);
            self.file = FileIs::Used;
        }
        Ok(if has_entries { Turn::Wrote } else { Turn::Idle })
    }

    fn append(&mut self) -> io::Result<()> {
        let bytes = self.lines.len() as u64;
        let appended = if bytes == 0 { Ok(()) } else { self.segments.append(&self.lines) };
        self.lines.clear();
        appended.inspect(|()| self.growth.wrote(bytes))
    }
}

fn due(last: Option<MonoNs>, interval: Duration, now: MonoNs) -> bool {
    last.is_none_or(|last| now.since(last) >= interval)
}

const PIECE_BYTES: usize = 256 * 1024;
const PIECES_IN_A_FILE_MIN: usize = 8;
/// So much is committed by itself; less waits for more, but not longer than the interval.
const COMMIT_BYTES: usize = 32 * 1024;
const COMMIT_INTERVAL: Duration = Duration::from_millis(100);
/// Between two looks for calls that last, while many entries wait.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// From so many waiting entries on there are no breaks.
const BEHIND: usize = 128;
const PATIENCE_MIN: Duration = Duration::from_millis(50);
const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);
/// For what cannot go on without the disk.
const LONG: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests;
