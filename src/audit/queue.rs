//! Between those who act and the one thread that writes: a bounded queue of finished entries.
//!
//! Room is promised before an act and used after it, so whoever holds a [`Slot`] can always record.
//! Nothing here waits for the disk; only [`AuditLog::flush`] waits at all, and it is not for worker
//! threads.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use crate::model::record::{ActRecord, Entry, RequestRecord};

/// The way into the log; cheap to clone.
#[derive(Clone)]
pub struct AuditLog {
    queue: Arc<Queue>,
}

impl AuditLog {
    pub(super) fn new(capacity: usize) -> Self {
        Self { queue: Arc::new(Queue::new(capacity)) }
    }

    /// A promise of room for one entry; None when all room is promised or waits for the disk.
    pub fn reserve(&self) -> Option<Slot> {
        let promise = |held| (held < self.queue.capacity).then_some(held + 1);
        // The count alone is shared by it: entries are handed over under the lock.
        self.queue.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, promise).ok()?;
        Some(Slot { queue: Some(Arc::clone(&self.queue)) })
    }

    /// Records an act for which no room was promised before.
    pub fn record_act(&self, act: ActRecord) -> Result<(), QueueFull> {
        self.reserve().ok_or(QueueFull)?.complete(Entry::Act(Box::new(act)));
        Ok(())
    }

    /// Counts a request that was refused because it could not be recorded. The count itself is
    /// recorded, as `audit.gap`, when there is room again.
    pub fn refused(&self) {
        self.queue.refused.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until every entry that was completed before this call is in the file.
    pub fn flush(&self, deadline: Duration) -> Result<(), Timeout> {
        let completed = self.queue.lock().completed;
        self.queue.wake();
        let written = self.queue.written.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.queue.advanced.wait_timeout_while(written, deadline, |w| *w < completed);
        let (_written, timer) = waited.unwrap_or_else(PoisonError::into_inner);
        if timer.timed_out() { Err(Timeout) } else { Ok(()) }
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

    pub(super) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }
}

/// Room for one entry. Dropped without one, it gives the room back.
pub struct Slot {
    /// None once it is used.
    queue: Option<Arc<Queue>>,
}

impl Slot {
    /// Hands the entry over: one push under a short lock, no wake, no failure.
    pub fn complete(mut self, entry: Entry) {
        if let Some(queue) = self.queue.take() {
            queue.push(entry);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(queue) = self.queue.take() {
            queue.give_back(1);
        }
    }
}

/// All room is promised or taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct QueueFull;

/// The entries were not in the file in time; they are still queued.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timeout;

/// What [`AuditLog`] and the recorder share.
pub struct Queue {
    capacity: usize,
    /// Room that is promised, waiting or being written: never more than `capacity`.
    held: AtomicUsize,
    refused: AtomicU64,
    waiting: Mutex<Waiting>,
    /// How many of the completed entries are in the file.
    written: Mutex<u64>,
    advanced: Condvar,
    seq: AtomicU64,
    closing: AtomicBool,
    recorder: OnceLock<Thread>,
}

#[derive(Default)]
struct Waiting {
    entries: VecDeque<Entry>,
    /// Entries ever completed.
    completed: u64,
    /// The recorder sleeps long and wants to be woken by the next entry.
    asleep: bool,
}

/// The recorder's side.
impl Queue {
    fn new(capacity: usize) -> Self {
        Self {
            capacity,
            held: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
            waiting: Mutex::default(),
            written: Mutex::default(),
            advanced: Condvar::new(),
            seq: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            recorder: OnceLock::new(),
        }
    }

    /// Names the thread that takes the entries. Called once, before anyone can complete a slot.
    pub fn attach(&self, recorder: Thread) {
        self.recorder.get_or_init(|| recorder);
    }

    /// Swaps all waiting entries for the empty `batch`, whose room serves the next ones.
    pub fn take(&self, batch: &mut VecDeque<Entry>) {
        let mut waiting = self.lock();
        waiting.asleep = false;
        std::mem::swap(&mut waiting.entries, batch);
    }

    /// Says that `entries` more are in the file, and `seq` is its last record.
    pub fn advance(&self, entries: usize, seq: u64) {
        self.seq.store(seq, Ordering::Relaxed);
        self.give_back(entries);
        *self.written.lock().unwrap_or_else(PoisonError::into_inner) += entries as u64;
        self.advanced.notify_all();
    }

    /// The refused requests to record now: those counted so far, once there is room again.
    pub fn take_refused(&self) -> Option<u64> {
        let room = self.held() < self.capacity;
        (room || self.is_closing())
            .then(|| self.refused.swap(0, Ordering::Relaxed))
            .filter(|count| *count > 0)
    }

    /// True when nothing waits: then the next entry wakes the recorder.
    pub fn fall_asleep(&self) -> bool {
        let mut waiting = self.lock();
        waiting.asleep = waiting.entries.is_empty();
        waiting.asleep
    }

    /// Entries and promises that are not in the file.
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    pub fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.wake();
    }

    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    fn push(&self, entry: Entry) {
        let mut waiting = self.lock();
        waiting.entries.push_back(entry);
        waiting.completed += 1;
        let asleep = std::mem::take(&mut waiting.asleep);
        drop(waiting);
        if asleep {
            self.wake();
        }
    }

    fn give_back(&self, entries: usize) {
        self.held.fetch_sub(entries, Ordering::Relaxed);
    }

    fn wake(&self) {
        if let Some(thread) = self.recorder.get() {
            thread.unpark();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A record, the texts it owns and its place in the queue.
const ENTRY_BYTES_ESTIMATE: u64 = (size_of::<Entry>() + size_of::<RequestRecord>() + 128) as u64;

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog").field("held", &self.queue.held()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slot")
    }
}

impl fmt::Display for QueueFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the audit log has no room")
    }
}

impl fmt::Display for Timeout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the audit log could not be written in time")
    }
}

impl std::error::Error for QueueFull {}
impl std::error::Error for Timeout {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::tests::request;

    fn completed(log: &AuditLog) -> bool {
        log.reserve().map(|slot| slot.complete(request(1))).is_some()
    }

    #[test]
    fn room_is_promised_up_to_the_bound_and_given_back() {
        let log = AuditLog::new(3);
        let slots: Vec<Option<Slot>> = (0..4).map(|_| log.reserve()).collect();
        assert_eq!(slots.iter().flatten().count(), 3);
        drop(slots);
        assert!(completed(&log) && completed(&log) && completed(&log));
        assert!(!completed(&log));
        assert_eq!((log.queued_records(), log.queue.held()), (3, 3));
        assert!(log.queued_bytes_estimate() > 3 * size_of::<RequestRecord>() as u64);

        let mut batch = VecDeque::new();
        log.queue.take(&mut batch);
        assert!(!completed(&log), "taken is not yet written");
        log.queue.advance(batch.len(), 3);
        assert_eq!((log.queued_records(), log.queue.held(), log.records_written()), (0, 0, 3));
        assert!(completed(&log));
    }

    #[test]
    fn the_bound_is_exact_under_threads() {
        const CAPACITY: usize = 1000;
        let log = AuditLog::new(CAPACITY);
        let promised: usize = std::thread::scope(|scope| {
            let reserve_all = || {
                let slots: Vec<Slot> = std::iter::from_fn(|| log.reserve()).collect();
                let promised = slots.len();
                for (n, slot) in slots.into_iter().enumerate() {
                    // Some are used, some are left: neither frees room while the disk is slow.
                    if n % 2 == 0 { slot.complete(request(1)) } else { std::mem::forget(slot) }
                }
                promised
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(reserve_all)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert_eq!((promised, log.queue.held()), (CAPACITY, CAPACITY));
    }

    #[test]
    fn dropped_slots_leave_no_trace_under_threads() {
        let log = AuditLog::new(4);
        let completed: u64 = std::thread::scope(|scope| {
            let reserve_and_leave = || {
                let use_some = |n: &u64| match log.reserve() {
                    Some(slot) if n.is_multiple_of(1000) => {
                        slot.complete(request(1));
                        true
                    }
                    Some(_) | None => false,
                };
                (1..10_000_u64).filter(use_some).count() as u64
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(reserve_and_leave)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert_eq!(log.queued_records(), completed);
        assert_eq!(log.queue.held() as u64, completed);
    }

    #[test]
    fn a_flush_without_a_recorder_times_out_and_without_entries_does_not() {
        let log = AuditLog::new(4);
        assert_eq!(log.flush(Duration::ZERO), Ok(()));
        assert!(completed(&log));
        assert_eq!(log.flush(Duration::from_millis(1)), Err(Timeout));
    }

    #[test]
    fn refused_requests_are_told_once_there_is_room() {
        let log = AuditLog::new(1);
        let slot = log.reserve();
        log.refused();
        log.refused();
        assert_eq!(log.queue.take_refused(), None);
        drop(slot);
        assert_eq!(log.queue.take_refused(), Some(2));
        assert_eq!(log.queue.take_refused(), None);
    }
}
