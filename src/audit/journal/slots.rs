//! Slots of a file that is mapped into memory: what is stored there the kernel has, whatever becomes of
//! this process. The only file with `unsafe`; it knows nothing of records.
//!
//! Who may touch a slot's bytes:
//! - whoever holds its [`Place`], until the content is shared: a place cannot be copied;
//! - from then on everyone may read and nobody may write, until the one [`Keeper`] takes it back.
//!
//! A slot in the file is a header of 16 bytes (state, number of the next part or 0, bytes of content, number of the
//! slot with which it is told or 0; each 4 bytes, least significant first) and content. A kill may fall between any
//! two stores: the state is stored last.

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

use free::Free;

mod free;

pub const SLOT_BYTES: usize = 512;
/// Before the first slot.
pub const HEADER_BYTES: usize = 4096;
/// In the header, each of 8 bytes, least significant first.
pub const NUMBERS_AT: usize = 2048;
pub const NUMBERS: usize = 9;
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
    free: Free,
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
        let slots = Arc::new(Self {
            map,
            seen: (0..count).map(|_| AtomicU8::new(HIDDEN)).collect(),
            free: Free::all(count),
        });
        let keeper = Keeper { slots: Arc::clone(&slots), has_unseen: false };
        Ok((slots, keeper))
    }

    /// A number that outlasts the process like a slot does: one of [`NUMBERS`].
    pub fn number(&self, which: usize) -> &AtomicU64 {
        let at = NUMBERS_AT + which.min(NUMBERS - 1) * size_of::<u64>();
        // SAFETY: the map has its header, which is aligned to a page, and `at` to 8 bytes. The numbers are only
        // reached like this. Every machine that we build for has the least significant byte first.
        unsafe { AtomicU64::from_ptr(self.map.as_mut_ptr().add(at).cast()) }
    }

    /// The place that was given back last, so that few pages are in use. None when all are taken.
    pub fn take(&self) -> Option<Place> {
        Some(Place { number: self.free.take()?, stands: Stands::Nothing })
    }

    /// Gives back a place in which nothing stands; else it stays taken, and what stands is found.
    pub fn give_back(&self, place: Place) {
        if place.stands == Stands::Nothing {
            self.free.put_back(place.number);
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
            let Some(number) = self.free.take() else { break };
            self.fill(number, part);
            self.set(number, STATE, PART);
            self.chain(last, number);
            last = number;
        }
        self.finish(place, stands);
    }

    fn finish(&self, place: &mut Place, stands: Stands) {
        self.set(place.number, STATE, OPEN);
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
        self.set(place.number, STATE, CLOSED);
        // The next content must not get in before: a kill in between would leave a mix of both.
        compiler_fence(Ordering::SeqCst);
        self.set(place.number, TOLD_WITH, 0);
        let mut part = self.free.unchain(place.number);
        while part != 0 {
            let after = self.free.unchain(part);
            self.set(part, STATE, CLOSED);
            self.free.put_back(part);
            part = after;
        }
        place.stands = Stands::Nothing;
    }

    fn chain(&self, before: u32, number: u32) {
        self.free.chain(before, number);
        if let Some(slot) = self.slot(before) {
            // SAFETY: the header has 16 bytes at `slot`, which is aligned to 512, and the slot is ours.
            unsafe { word(slot, NEXT).write(number.to_le()) };
        }
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
        self.free.chain(number, 0);
        // SAFETY: the header has 16 bytes at `slot`, which is aligned to 512, and the slot is ours.
        unsafe {
            word(slot, NEXT).write(0);
            word(slot, LENGTH).write(length.to_le());
        }
    }

    /// Sets the state, or with which slot it is told.
    fn set(&self, number: u32, at: usize, value: u32) {
        if let Some(slot) = self.slot(number) {
            // SAFETY: the header begins at `slot`, aligned to 512; these two words are only reached like this.
            let atomic = unsafe { AtomicU32::from_ptr(word(slot, at)) };
            atomic.store(value.to_le(), Ordering::Release);
        }
    }

    /// Where a slot begins. None for a number that there is not.
    fn slot(&self, number: u32) -> Option<*mut u8> {
        let index = index(number);
        // SAFETY: there are as many slots in the map as numbers.
        (index < self.seen.len())
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
            number = self.free.after(number);
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
        self.slots.free.put_back(place.number);
    }

    /// What stands in these places is told by one record, that of the first: once it is in the log, all of them
    /// are told. From now on they are to be closed in the opposite order.
    pub fn tell_together(&self, places: &[Place]) {
        let first = places.first().map_or(0, |place| place.number);
        for place in places {
            self.slots.set(place.number, TOLD_WITH, first);
        }
    }

    /// Whether the last look passed something that it has not shown yet.
    pub const fn has_unseen(&self) -> bool {
        self.has_unseen
    }

    /// Shows each final content once, when it is passed the second time.
    pub fn show_lasting(&mut self, mut show: impl FnMut(&[u8])) {
        self.has_unseen = false;
        let reached = self.slots.free.reached();
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
pub const STATE: usize = 0;
pub const NEXT: usize = 4;
pub const LENGTH: usize = 8;
pub const TOLD_WITH: usize = 12;

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

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots").field("count", &self.seen.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
