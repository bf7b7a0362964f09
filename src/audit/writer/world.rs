//! The writer's side of the world: a disk that refuses or is full, whose counts of requests without a record are told
//! in kept room, and those whom checkpoints are sent to.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::time::Duration;

use crate::audit::acts;
use crate::audit::journal;
use crate::audit::proof::checkpoint::Cause;
use crate::audit::queue::{Failing, Item};
use crate::audit::segment::is_full;
use crate::model::record::RequestRecord;
use crate::model::time::{MonoNs, Now};

use super::{CHECKPOINT_INTERVAL, FileIs, Turn, Writer, due};

impl<Observer: FnMut(&RequestRecord)> Writer<Observer> {
    /// Nothing waits. A disk that is full takes a few bytes now and then: it works when it has not refused for a
    /// while.
    pub(super) fn disk_works(&mut self, now: MonoNs) {
        if due(self.times.refused, TRUST_AFTER, now)
            && let Some(since) = self.times.failing_since.take()
        {
            self.queue.set_failing(Failing::Not);
            log::warn!("audit: writing again after {:?}", now.since(since));
        }
    }

    pub(super) fn disk_refuses(&mut self, error: &io::Error, now: Now) {
        self.times.failing_since.get_or_insert(now.mono);
        self.times.refused = Some(now.mono);
        self.queue.set_failing(Failing::Now);
        self.complain(error, now.mono);
        if is_full(error) {
            self.tell_of_full_disk(now);
        }
    }

    /// Requests that could not be recorded get a record of their count.
    pub(super) fn add_gap(&mut self, now: Now) {
        let is_due = due(self.times.told_gap, GAP_INTERVAL, now.mono) || self.queue.is_closing();
        if self.batch.is_empty()
            && is_due
            && let Some(unrecorded) = self.queue.unrecorded()
        {
            self.times.told_gap = Some(now.mono);
            let gap = Box::new(acts::gap(unrecorded, now.wall));
            self.batch.push_back(Item::Gap(gap, unrecorded));
        }
    }

    /// While the disk is full, the count is written to the room that was reserved for it, and signed; ever more
    /// rarely, so that the room lasts.
    fn tell_of_full_disk(&mut self, now: Now) {
        let pause = GAP_INTERVAL * 2_u32.saturating_pow(self.gaps_of_full_disk.min(16));
        if !due(self.times.told_gap, pause, now.mono) {
            return;
        }
        let Some(unrecorded) = self.queue.unrecorded() else { return };
        self.times.told_gap = Some(now.mono);
        if !self.reserve.release() {
            return;
        }
        self.gaps_of_full_disk += 1;
        let gap = Item::Gap(Box::new(acts::gap(unrecorded, now.wall)), unrecorded);
        let waiting = mem::replace(&mut self.batch, VecDeque::from([gap]));
        let observed = mem::take(&mut self.observed);
        let told = self.write_piece(now);
        // What could not be written of it is counted still.
        (self.batch, self.observed) = (waiting, observed);
        if let Err(error) = told.and_then(|_| self.check(Cause::Interval, now, CHECKPOINT_INTERVAL))
        {
            log::error!("audit: the disk is full, and that cannot be recorded: {error}");
        }
    }

    /// Begins the next file after one that failed: at once, but more and more rarely where that one fails too.
    pub(super) fn leave_spent_file(&mut self, now: MonoNs) -> io::Result<()> {
        let pause = match self.spent_in_a_row {
            0 => Duration::ZERO,
            failed => GAP_INTERVAL * 2_u32.saturating_pow((failed - 1).min(5)),
        };
        if !due(self.times.rolled, pause, now) {
            return Err(io::Error::other("files fail one after the other"));
        }
        self.times.rolled = Some(now);
        self.spent_in_a_row = self.spent_in_a_row.saturating_add(1);
        self.take_back_handover();
        if self.file == FileIs::New {
            // There is nothing in it.
            self.segments.begin_again()?;
        } else {
            self.segments.begin_next()?;
        }
        self.file = FileIs::New;
        Ok(())
    }

    /// The last word is on the medium. Where all is told there is nothing left for the next start to find; but for a
    /// kill before this, the journal says the same.
    pub(super) fn leave_journal(&self) {
        if self.batch.is_empty()
            && !self.crowd.holds()
            && self.queue.end()
            && let Err(error) = journal::retire(&self.home)
        {
            log::warn!("audit: the journal stays: {error}");
        }
    }

    /// Checkpoints of each second go out now and then, all others at once.
    pub(super) fn send_out(&mut self, note: String, cause: Cause, now: MonoNs) {
        let Some((outbox, every)) = self.queue.outbox() else { return };
        if cause != Cause::Interval || due(self.times.sent, *every, now) {
            self.times.sent = Some(now);
            outbox.send(note);
        }
    }

    /// After a turn: what the room on the disk lasts, and that there is some for the worst.
    pub(super) fn look_at_disk(&mut self, turn: Turn, now: MonoNs) {
        self.queue.saw_alive(now);
        if let Some(seconds) = self.growth.seconds_left(now) {
            self.queue.set_disk_seconds_left(seconds);
        }
        if turn == Turn::Wrote && self.gaps_of_full_disk > 0 && self.reserve.fill().is_ok() {
            self.gaps_of_full_disk = 0;
        }
    }

    pub(super) fn complain(&mut self, error: &io::Error, now: MonoNs) {
        if due(self.times.complained, COMPLAINT_INTERVAL, now) {
            self.times.complained = Some(now);
            log::error!("audit: {}: {error}", self.segments.path().display());
        }
    }
}

const TRUST_AFTER: Duration = Duration::from_secs(1);
const GAP_INTERVAL: Duration = Duration::from_secs(1);
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(1);
