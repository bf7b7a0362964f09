//! Between those who act and the one thread that writes: a bounded queue of finished entries.
//!
//! Room is promised before an act and used after it, so whoever holds a [`Slot`] can always record.
//! Nothing here waits for the disk; only [`AuditLog::flush`] waits at all, and it is not for worker
//! threads.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use crate::clock;
use crate::model::facts::Writer;
use crate::model::id::RequestId;
use crate::model::record::ActRecord;
use crate::model::time::MonoNs;

use super::journal::{Place, Slots, Stands, Unrecorded};
use super::left::Left;
use super::notary::Outbox;
use super::sync::Exposure;

mod slot;
mod status;

pub use slot::{Item, Slot};

/// The way into the log; cheap to clone.
#[derive(Clone)]
pub struct AuditLog {
    queue: Arc<Queue>,
}

impl AuditLog {
    pub(super) fn new(capacity: usize, slots: Arc<Slots>) -> Self {
        Self { queue: Arc::new(Queue::new(capacity, slots)) }
    }

    /// A promise of room for one request; None when all room is promised or waits for the disk.
    pub fn reserve(&self) -> Option<Slot> {
        self.queue.promise()?;
        let Some(place) = self.queue.slots.take() else {
            self.queue.give_back(1);
            return None;
        };
        Some(Slot { held: Some((Arc::clone(&self.queue), place)) })
    }

    /// Records an act for which no room was promised before.
    pub fn record_act(&self, act: ActRecord) -> Result<(), QueueFull> {
        self.queue.promise().ok_or(QueueFull)?;
        self.queue.push(Item::Act(Box::new(act)));
        Ok(())
    }

    /// Counts a request that was refused because it could not be recorded. The count itself is
    /// recorded, as `audit.gap`, when there is room again.
    pub fn refused(&self) {
        self.queue.slots.count_refused(1);
    }

    /// Counts a request that was served and has no record, because the disk refuses. Likewise.
    pub fn unrecorded(&self) {
        self.queue.slots.count_served(1);
        self.queue.unrecorded_ever.fetch_add(1, Ordering::Relaxed);
    }

    /// Has the log signed soon: the config is another.
    pub fn reloaded(&self) {
        self.queue.set_reload();
        self.queue.wake();
    }

    /// Has the recorder look at once whether there is something to do.
    pub fn wake(&self) {
        self.queue.wake();
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

    pub(super) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }
}

/// All room is promised or taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct QueueFull;

/// The entries were not in the file in time; they are still queued.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timeout;

/// A recorder that has not been seen for so long waits for the disk. It rests shorter than that.
const STALLED_AFTER: Duration = Duration::from_secs(3);

/// Whether the disk refuses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Failing {
    Now,
    Not,
}

/// What [`AuditLog`] and the recorder share.
pub struct Queue {
    capacity: usize,
    slots: Arc<Slots>,
    exposure: Arc<Exposure>,
    /// Room that is promised, waiting or being written: never more than `capacity`.
    held: AtomicUsize,
    unrecorded_ever: AtomicU64,
    /// The bits of an `f64`.
    disk_seconds_left: AtomicU64,
    /// When the recorder was last seen to go on, in nanoseconds of the monotonic clock.
    alive_at: AtomicU64,
    waiting: Mutex<Waiting>,
    /// How many of the completed entries are in the file.
    written: Mutex<u64>,
    advanced: Condvar,
    seq: AtomicU64,
    closing: AtomicBool,
    /// All is written, and the recorder gone.
    ended: AtomicBool,
    /// The recorder sleeps long and wants to be woken by the next entry.
    asleep: AtomicBool,
    /// A checkpoint is wanted.
    reload: AtomicBool,
    /// Where checkpoints go, and how often those of each second.
    outbox: OnceLock<(Outbox, Duration)>,
    /// The disk refuses.
    failing: AtomicBool,
    recorder: OnceLock<Thread>,
}

#[derive(Default)]
struct Waiting {
    entries: VecDeque<Item>,
    /// Entries ever completed.
    completed: u64,
}

/// The recorder's side.
impl Queue {
    fn new(capacity: usize, slots: Arc<Slots>) -> Self {
        Self {
            capacity,
            slots,
            exposure: Arc::default(),
            held: AtomicUsize::new(0),
            unrecorded_ever: AtomicU64::new(0),
            disk_seconds_left: AtomicU64::new(f64::INFINITY.to_bits()),
            alive_at: AtomicU64::new(clock::mono().0),
            waiting: Mutex::default(),
            written: Mutex::default(),
            advanced: Condvar::new(),
            seq: AtomicU64::new(0),
            closing: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            reload: AtomicBool::new(false),
            outbox: OnceLock::new(),
            failing: AtomicBool::new(false),
            recorder: OnceLock::new(),
        }
    }

    /// Names the thread that takes the entries. Called once, before anyone can complete a slot.
    pub fn attach(&self, recorder: Thread) {
        self.recorder.get_or_init(|| recorder);
    }

    /// What is written before all else: calls of the boot before, what the log says of itself, and the
    /// counts of requests without a record that the gate before did not come to tell.
    pub fn begin(&self, (left, unrecorded): (Left, Unrecorded), act: Option<ActRecord>) {
        self.slots.count_refused(unrecorded.refused);
        self.slots.count_served(unrecorded.served);
        for call in left.into_unended() {
            // It stands in the new journal before that takes the old one's place.
            let mut place = self.slots.take();
            if let Some(place) = &mut place {
                self.slots.store(place, call.bytes(), Stands::Final);
                self.slots.hide(place);
            }
            self.push(Item::Crashed(call, place));
        }
        if let Some(act) = act {
            // The queue is empty: there is room.
            self.promise();
            self.push(Item::Act(Box::new(act)));
        }
    }

    /// Swaps all waiting entries for the empty `batch`, whose room serves the next ones.
    pub fn take(&self, batch: &mut VecDeque<Item>) {
        std::mem::swap(&mut self.lock().entries, batch);
    }

    pub fn send_checkpoints_to(&self, outbox: Outbox, every: Duration) {
        self.outbox.get_or_init(|| (outbox, every));
    }

    pub fn outbox(&self) -> Option<&(Outbox, Duration)> {
        self.outbox.get()
    }

    pub fn set_reload(&self) {
        self.reload.store(true, Ordering::Relaxed);
    }

    pub fn take_reload(&self) -> bool {
        self.reload.swap(false, Ordering::Relaxed)
    }

    pub const fn exposure(&self) -> &Arc<Exposure> {
        &self.exposure
    }

    /// Says that `entries` more are in the file, that so many promises are thereby kept, and that `seq` is its
    /// last record.
    pub fn advance(&self, entries: usize, promises: usize, seq: u64) {
        self.seq.store(seq, Ordering::Relaxed);
        self.give_back(promises);
        *self.written.lock().unwrap_or_else(PoisonError::into_inner) += entries as u64;
        self.advanced.notify_all();
    }

    /// The requests without a record to tell of now: those counted so far, once there is room again.
    pub fn unrecorded(&self) -> Option<Unrecorded> {
        let unrecorded = self.slots.untold();
        let is_due = self.held() < self.capacity || self.is_closing() || self.is_failing();
        (is_due && unrecorded != Unrecorded::default()).then_some(unrecorded)
    }

    /// The record with this id, which is about to be written, tells of so many of them.
    pub fn telling(&self, unrecorded: Unrecorded, id: RequestId) {
        self.slots.telling(unrecorded, id);
    }

    /// That record is in the file.
    pub fn told(&self) {
        self.slots.told();
    }

    pub fn set_disk_seconds_left(&self, seconds: f64) {
        self.disk_seconds_left.store(seconds.to_bits(), Ordering::Relaxed);
    }

    /// The recorder goes on.
    pub fn saw_alive(&self, now: MonoNs) {
        self.alive_at.store(now.0, Ordering::Relaxed);
    }

    fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// True when nothing waits: then the next entry, or answer, wakes the recorder.
    pub fn fall_asleep(&self) -> bool {
        // Before it looks: who pushes after the look finds it asleep.
        self.asleep.store(true, Ordering::SeqCst);
        let is_empty = self.lock().entries.is_empty();
        self.asleep.store(is_empty, Ordering::SeqCst);
        is_empty
    }

    pub fn wake_up(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// Says whether the disk refuses.
    pub fn set_failing(&self, failing: Failing) {
        self.failing.store(failing == Failing::Now, Ordering::Relaxed);
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

    fn promise(&self) -> Option<()> {
        let promise = |held| (held < self.capacity).then_some(held + 1);
        // The count alone is shared by it: entries are handed over under the lock.
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, promise).ok()?;
        Some(())
    }

    /// Gives back what was stored, if it is a draft.
    fn store(
        &self,
        place: &mut Place,
        stands: Stands,
        encode: impl Fn(&mut Writer<'_>),
    ) -> Box<[u8]> {
        let in_place = |room: &mut [u8]| {
            let mut writer = Writer::over(room);
            encode(&mut writer);
            writer.written().map(<[u8]>::len)
        };
        if stands == Stands::Final && self.slots.store_in_place(place, stands, in_place) {
            return Box::default();
        }
        // It replaces a draft, or is longer than a slot.
        ROOM.with_borrow_mut(|room| {
            loop {
                let mut writer = Writer::over(room);
                encode(&mut writer);
                if let Some(encoded) = writer.written() {
                    self.slots.store(place, encoded, stands);
                    return if stands == Stands::Draft { encoded.into() } else { Box::default() };
                }
                let more = (room.len() * 2).max(ROOM_BYTES);
                room.resize(more, 0);
            }
        })
    }

    fn push(&self, item: Item) {
        let mut waiting = self.lock();
        waiting.entries.push_back(item);
        waiting.completed += 1;
        drop(waiting);
        self.wake_if_asleep();
    }

    fn wake_if_asleep(&self) {
        if self.asleep.load(Ordering::SeqCst) {
            self.wake_up();
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

thread_local! {
    /// Reused, so that storing allocates nothing. It grows to what the bounds on heads allow.
    static ROOM: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Room for what is stored, at first.
const ROOM_BYTES: usize = 2048;

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog").field("held", &self.queue.held()).finish_non_exhaustive()
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
mod tests;
