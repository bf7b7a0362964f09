//! How the log is doing, for those who watch it, and whether it is over.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use crate::audit::journal::Unrecorded;
use crate::audit::sync::Exposure;
use crate::clock;
use crate::model::record::RequestRecord;
use crate::model::time::MonoNs;

use super::{AuditLog, Item, Queue, STALLED_AFTER};

impl AuditLog {
    /// Requests that were served without a record, since the log was opened.
    pub fn unrecorded_ever(&self) -> u64 {
        self.queue.unrecorded_ever.load(Ordering::Relaxed)
    }

    /// Checkpoints that did not reach where they were sent.
    pub fn checkpoints_failed(&self) -> u64 {
        self.queue.outbox.get().map_or(0, |(outbox, _)| outbox.failed())
    }

    /// How long the room on the disk lasts, in seconds.
    pub fn disk_seconds_left(&self) -> f64 {
        f64::from_bits(self.queue.disk_seconds_left.load(Ordering::Relaxed))
    }

    /// Entries that are complete and not yet in the file.
    pub fn queued_records(&self) -> u64 {
        let written = *self.queue.written.lock().unwrap_or_else(PoisonError::into_inner);
        self.queue.lock().completed.saturating_sub(written)
    }

    /// About how much memory those entries take.
    pub fn queued_bytes_estimate(&self) -> u64 {
        self.queued_records().saturating_mul(ENTRY_BYTES_ESTIMATE)
    }

    /// Records in the files of this boot, the log's own included: the last `seq`.
    pub fn records_written(&self) -> u64 {
        self.queue.seq.load(Ordering::Relaxed)
    }

    /// Whether the disk refuses at present, or takes very long.
    pub fn is_failing(&self) -> bool {
        self.queue.is_failing() || {
            let alive_at = MonoNs(self.queue.alive_at.load(Ordering::Relaxed));
            clock::mono().since(alive_at) >= STALLED_AFTER
        }
    }

    /// What a power cut would have cost.
    pub fn exposure(&self) -> &Exposure {
        &self.queue.exposure
    }
}

impl Queue {
    /// Whether there is nothing left to be written or told. Then there never will be: no room is promised any more.
    pub fn end(&self) -> bool {
        let is_told = self.slots.untold() == Unrecorded::default();
        let all = self.capacity;
        let has_ended = is_told
            && self.held.compare_exchange(0, all, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        self.ended.fetch_or(has_ended, Ordering::Relaxed);
        has_ended
    }

    /// Entries and promises that are not in the file when the recorder has gone.
    pub fn unwritten(&self) -> usize {
        if self.ended.load(Ordering::Relaxed) { 0 } else { self.held() }
    }
}

/// A record, the texts it owns and its place in the queue.
const ENTRY_BYTES_ESTIMATE: u64 = (size_of::<Item>() + size_of::<RequestRecord>() + 128) as u64;
