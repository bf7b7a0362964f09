//! Slots of a file that is mapped into memory: what is stored there the kernel has, whatever becomes of
//! this process. The only file with `unsafe`; it knows nothing of records.
//!
//! Who may touch a slot's bytes:
//! - whoever holds its [`Place`], until the content is shared: a place cannot be copied;
//! - from then on everyone may read and nobody may write, until the one [`Keeper`] takes it back.
//!
//! A slot in the file is a header of 16 bytes (state, number of the next part or 0, bytes of content, unused; each
//! 4 bytes, least significant first) and content. A kill may fall between any two stores: the state is stored last.

#![expect(
    unsafe_code,
    reason = "memory that outlives the process is reached through a raw pointer"
)]

use std::fmt;
use std::fs::File;
use std::io;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering, compiler_fence};

use memmap2::{MmapOptions, MmapRaw};

pub const SLOT_BYTES: usize = 512;
/// Before the first slot.
pub const HEADER_BYTES: usize = 4096;
/// In the header, each of 8 bytes, least significant first.
pub const COUNTERS_AT: [usize; 2] = [2048, 2056];
pub const SLOT_HEADER_BYTES: usize = 16;
pub const CONTENT_BYTES: usize = SLOT_BYTES - SLOT_HEADER_BYTES;
/// States of a slot in the file. A part belongs to the slot that names it.
const CLOSED: u32 = 0;
pub const OPEN: u32 = 1;
const PART: u32 = 2;

/// All slots of one file.
pub struct Slots {
    map: MmapRaw,
    /// How far the keeper is with each slot.
    seen: Box<[AtomicU8]>,
    /// The number of the next free slot, or of the next part; 0 for none. Numbers count from 1.
    next: Box<[AtomicU32]>,
    /// The number of the first free slot, below a count of changes: who comes late with an old number fails.
    free: AtomicU64,
    /// The highest number that was ever taken.
    reached: AtomicU32,
}

/// The right to one slot. Lost, it is never used again.
#[derive(Debug)]
#[must_use]
pub struct Place {
    number: u32,
    stands: Stands,
}

/// What stands in a slot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stands {
    Nothing,
    /// It may still be replaced.
    Draft,
    /// It is as it will be, and the keeper may look at it.
    Final,
}

impl Place {
    pub const fn stands(&self) -> Stands {
        self.stands
    }

    const fn index(&self) -> usize {
        index(self.number)
    }
}

const fn index(number: u32) -> usize {
    (number as usize).wrapping_sub(1)
}

// `seen`
const HIDDEN: u8 = 0;
const FINAL: u8 = 1;
const PASSED_ONCE: u8 = 2;
const SHOWN: u8 = 3;

impl Slots {
    /// Maps `file`, which has room for the header and `count` slots that are all closed.
    pub fn over(file: &File, count: u32) -> io::Result<(Arc<Self>, Keeper)> {
        Self::within(MmapOptions::new().len(bytes(count)).map_raw(file)?, count)
    }

    /// Slots that nobody finds again: for tests of those who use them.
    #[cfg(test)]
    pub fn anonymous(count: u32) -> (Arc<Self>, Keeper) {
        let map = MmapOptions::new().len(bytes(count)).map_anon().expect("memory");
        Self::within(map.into(), count).expect("long enough")
    }

    fn within(map: MmapRaw, count: u32) -> io::Result<(Arc<Self>, Keeper)> {
        if map.len() < bytes(count) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let next =
            (1..=count).map(|number| AtomicU32::new((number + 1) * u32::from(number < count)));
        let slots = Arc::new(Self {
            map,
            seen: (0..count).map(|_| AtomicU8::new(HIDDEN)).collect(),
            next: next.collect(),
            free: AtomicU64::new(u64::from(count > 0)),
            reached: AtomicU32::new(0),
        });
        let keeper = Keeper { slots: Arc::clone(&slots), has_unseen: false };
        Ok((slots, keeper))
    }

    /// A number that outlasts the process like a slot does; the first or the second.
    pub fn counter(&self, which: usize) -> &AtomicU64 {
        let [first, second] = COUNTERS_AT;
        let at = if which == 0 { first } else { second };
        // SAFETY: the map has its header, which is aligned to a page, and `at` to 8 bytes. The numbers are only
        // reached like this. Every machine that we build for has the least significant byte first.
        unsafe { AtomicU64::from_ptr(self.map.as_mut_ptr().add(at).cast()) }
    }

    /// The place that was given back last, so that few pages are in use. None when all are taken.
    pub fn take(&self) -> Option<Place> {
        Some(Place { number: self.take_number()?, stands: Stands::Nothing })
    }

    fn take_number(&self) -> Option<u32> {
        let mut free = self.free.load(Ordering::Acquire);
        loop {
            let number = number_of(free);
            let next = self.next.get(index(number))?.load(Ordering::Relaxed);
            let changed = changes_after(free) | u64::from(next);
            match self.free.compare_exchange_weak(
                free,
                changed,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => {
                    if number > self.reached.load(Ordering::Relaxed) {
                        self.reached.fetch_max(number, Ordering::Relaxed);
                    }
                    return Some(number);
                }
                Err(now) => free = now,
            }
        }
    }

    fn put_back(&self, number: u32) {
        let Some(next) = self.next.get(index(number)) else { return };
        let mut free = self.free.load(Ordering::Acquire);
        loop {
            next.store(number_of(free), Ordering::Relaxed);
            let changed = changes_after(free) | u64::from(number);
            match self.free.compare_exchange_weak(
                free,
                changed,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return,
                Err(now) => free = now,
            }
        }
    }

    /// Gives back a place in which nothing stands; else it stays taken, and what stands is found.
    pub fn give_back(&self, place: Place) {
        if place.stands == Stands::Nothing {
            self.put_back(place.number);
        }
    }

    /// Stores what `write` makes of the slot's room, if it says how long that is; in it nobody else looks yet.
    /// False where it did not, or there is no room of one's own.
    pub fn store_in_place(
        &self,
        place: &mut Place,
        stands: Stands,
        write: impl FnOnce(&mut [u8]) -> Option<usize>,
    ) -> bool {
        let (Stands::Nothing, Some(slot)) = (place.stands, self.slot(place.number)) else {
            return false;
        };
        // SAFETY: a slot has this room behind its header. It is taken and not shared: nobody else touches it.
        let room =
            unsafe { std::slice::from_raw_parts_mut(slot.add(SLOT_HEADER_BYTES), CONTENT_BYTES) };
        let Some(length) = write(room) else { return false };
        self.begin_slot(place.number, length);
        self.finish(place, stands);
        true
    }

    /// Stores `content`: in more than one slot if it must be, and cut where there are no more. A draft is
    /// replaced, a final content stays as it is.
    pub fn store(&self, place: &mut Place, content: &[u8], stands: Stands) {
        match place.stands {
            Stands::Nothing => {}
            Stands::Draft => self.clear(place),
            Stands::Final => return,
        }
        let mut parts = content.chunks(CONTENT_BYTES);
        self.fill(place.number, parts.next().unwrap_or_default());
        let mut last = place.number;
        for part in parts {
            let Some(number) = self.take_number() else { break };
            self.fill(number, part);
            self.set_state(number, PART);
            self.chain(last, number);
            last = number;
        }
        self.finish(place, stands);
    }

    fn finish(&self, place: &mut Place, stands: Stands) {
        self.set_state(place.number, OPEN);
        place.stands = stands;
        if stands == Stands::Final
            && let Some(seen) = self.seen.get(place.index())
        {
            seen.store(FINAL, Ordering::Release);
        }
    }

    /// The keeper need not look at it any more: it will get the place.
    pub fn hide(&self, place: &Place) {
        if let Some(seen) = self.seen.get(place.index()) {
            seen.store(HIDDEN, Ordering::Release);
        }
    }

    /// Takes the content out.
    fn clear(&self, place: &mut Place) {
        self.set_state(place.number, CLOSED);
        // The next content must not get in before: a kill in between would leave a mix of both.
        compiler_fence(Ordering::SeqCst);
        let mut part = self.unchain(place.number);
        while part != 0 {
            let after = self.unchain(part);
            self.set_state(part, CLOSED);
            self.put_back(part);
            part = after;
        }
        place.stands = Stands::Nothing;
    }

    fn chain(&self, before: u32, number: u32) {
        if let Some(next) = self.next.get(index(before)) {
            next.store(number, Ordering::Relaxed);
        }
        if let Some(slot) = self.slot(before) {
            // SAFETY: the header has 16 bytes at `slot`, which is aligned to 512, and the slot is ours.
            unsafe { word(slot, NEXT).write(number.to_le()) };
        }
    }

    fn unchain(&self, number: u32) -> u32 {
        self.next.get(index(number)).map_or(0, |next| next.swap(0, Ordering::Relaxed))
    }

    /// Writes a slot that is closed: all but its state.
    fn fill(&self, number: u32, part: &[u8]) {
        let Some(slot) = self.slot(number) else { return };
        let length = part.len().min(CONTENT_BYTES);
        // SAFETY: a slot has 512 bytes at `slot`: its header, and room for `length`. It is taken and not
        // shared, so nobody else touches it; `part` lies elsewhere, since nobody borrows slots.
        unsafe { ptr::copy_nonoverlapping(part.as_ptr(), slot.add(SLOT_HEADER_BYTES), length) };
        self.begin_slot(number, length);
    }

    /// Of a slot that is closed: its content is so long, and there is no next part yet.
    fn begin_slot(&self, number: u32, length: usize) {
        let length = u32::try_from(length).unwrap_or_default();
        let Some(slot) = self.slot(number) else { return };
        if let Some(next) = self.next.get(index(number)) {
            next.store(0, Ordering::Relaxed);
        }
        // SAFETY: the header has 16 bytes at `slot`, which is aligned to 512, and the slot is ours.
        unsafe {
            word(slot, NEXT).write(0);
            word(slot, LENGTH).write(length.to_le());
        }
    }

    fn set_state(&self, number: u32, state: u32) {
        if let Some(slot) = self.slot(number) {
            // SAFETY: the header begins at `slot`, aligned to 512; its state is only reached like this.
            let atomic = unsafe { AtomicU32::from_ptr(slot.cast()) };
            atomic.store(state.to_le(), Ordering::Release);
        }
    }

    /// Where a slot begins. None for a number that there is not.
    fn slot(&self, number: u32) -> Option<*mut u8> {
        let index = index(number);
        // SAFETY: there are as many slots in the map as numbers.
        (index < self.next.len())
            .then(|| unsafe { self.map.as_mut_ptr().add(HEADER_BYTES + index * SLOT_BYTES) })
    }

    /// Appends the content of a slot that is shared.
    fn read(&self, mut number: u32, out: &mut Vec<u8>) {
        while let Some(slot) = self.slot(number) {
            // SAFETY: the content is final, and the keeper, who alone ends that, is who reads.
            let part = unsafe {
                let length = u32::from_le(word(slot, LENGTH).read()) as usize;
                std::slice::from_raw_parts(slot.add(SLOT_HEADER_BYTES), length.min(CONTENT_BYTES))
            };
            out.extend_from_slice(part);
            number = self.next.get(index(number)).map_or(0, |next| next.load(Ordering::Relaxed));
        }
    }
}

/// The one who takes places back, and looks at what stands.
#[derive(Debug)]
pub struct Keeper {
    slots: Arc<Slots>,
    has_unseen: bool,
}

impl Keeper {
    /// Closes the slot, whatever stands in it.
    pub fn close(&mut self, mut place: Place) {
        self.slots.hide(&place);
        if place.stands != Stands::Nothing {
            self.slots.clear(&mut place);
        }
        self.slots.put_back(place.number);
    }

    /// Whether the last look passed something that it has not shown yet.
    pub const fn has_unseen(&self) -> bool {
        self.has_unseen
    }

    /// Shows each final content once, when it is passed the second time.
    pub fn show_lasting(&mut self, mut show: impl FnMut(&[u8])) {
        self.has_unseen = false;
        let reached = self.slots.reached.load(Ordering::Relaxed);
        let mut content = Vec::new();
        for (number, seen) in (1..=reached).zip(&self.slots.seen) {
            let change = |from, to| {
                seen.compare_exchange(from, to, Ordering::Acquire, Ordering::Relaxed).is_ok()
            };
            match seen.load(Ordering::Relaxed) {
                FINAL if change(FINAL, PASSED_ONCE) => self.has_unseen = true,
                PASSED_ONCE if change(PASSED_ONCE, SHOWN) => {
                    content.clear();
                    self.slots.read(number, &mut content);
                    show(&content);
                }
                _ => {}
            }
        }
    }
}

/// Words of a slot's header.
const NEXT: usize = 4;
const LENGTH: usize = 8;

/// # Safety
///
/// `slot` is where a slot begins.
const unsafe fn word(slot: *mut u8, at: usize) -> *mut u32 {
    // SAFETY: `at` is within the header of 16 bytes.
    unsafe { slot.add(at).cast() }
}

/// Of a map of so many slots.
pub const fn bytes(count: u32) -> usize {
    HEADER_BYTES + count as usize * SLOT_BYTES
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half")]
const fn number_of(free: u64) -> u32 {
    free as u32
}

const fn changes_after(free: u64) -> u64 {
    ((free >> 32) + 1) << 32
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots").field("count", &self.next.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
