//! Which slots are free, and which follow which: a list without locks. It knows numbers only, no memory.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::index;

pub struct Free {
    /// The number of the next free slot, or of the next part; 0 for none. Numbers count from 1.
    next: Box<[AtomicU32]>,
    /// The number of the first free slot, below a count of changes: who comes late with an old number fails.
    first: AtomicU64,
    /// The highest number that was ever taken.
    reached: AtomicU32,
}

impl Free {
    pub fn all(count: u32) -> Self {
        let next =
            (1..=count).map(|number| AtomicU32::new((number + 1) * u32::from(number < count)));
        Self {
            next: next.collect(),
            first: AtomicU64::new(u64::from(count > 0)),
            reached: AtomicU32::new(0),
        }
    }

    pub fn take(&self) -> Option<u32> {
        let mut first = self.first.load(Ordering::Acquire);
        loop {
            let number = number_of(first);
            let next = self.next.get(index(number))?.load(Ordering::Relaxed);
            match self.change(first, next) {
                Ok(_) => {
                    if number > self.reached.load(Ordering::Relaxed) {
                        self.reached.fetch_max(number, Ordering::Relaxed);
                    }
                    return Some(number);
                }
                Err(now) => first = now,
            }
        }
    }

    pub fn put_back(&self, number: u32) {
        let Some(next) = self.next.get(index(number)) else { return };
        let mut first = self.first.load(Ordering::Acquire);
        loop {
            next.store(number_of(first), Ordering::Relaxed);
            match self.change(first, number) {
                Ok(_) => return,
                Err(now) => first = now,
            }
        }
    }

    fn change(&self, first: u64, to: u32) -> Result<u64, u64> {
        let changed = changes_after(first) | u64::from(to);
        let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
        self.first.compare_exchange_weak(first, changed, success, failure)
    }

    /// Of slots that are taken: what follows `before` is `number`, or nothing.
    pub fn chain(&self, before: u32, number: u32) {
        if let Some(next) = self.next.get(index(before)) {
            next.store(number, Ordering::Relaxed);
        }
    }

    pub fn unchain(&self, number: u32) -> u32 {
        self.next.get(index(number)).map_or(0, |next| next.swap(0, Ordering::Relaxed))
    }

    pub fn after(&self, number: u32) -> u32 {
        self.next.get(index(number)).map_or(0, |next| next.load(Ordering::Relaxed))
    }

    pub fn reached(&self) -> u32 {
        self.reached.load(Ordering::Relaxed)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half")]
const fn number_of(first: u64) -> u32 {
    first as u32
}

const fn changes_after(first: u64) -> u64 {
    ((first >> 32) + 1) << 32
}
