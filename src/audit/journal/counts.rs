//! Requests that have no record are counted in the journal's header, and so is what the log has told of them: the
//! difference is still to be told.
//!
//! A kill may fall between the line that tells of them and the count of what is told. So the line's id is stored
//! before it is written, with what will be told by then: whoever finds the record in the log knows that it is.

use std::sync::atomic::Ordering;

use crate::model::id::RequestId;

use super::slots::{NUMBERS, Slots};

/// Requests without a record.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Unrecorded {
    /// They were not made.
    pub refused: u64,
    pub served: u64,
}

/// Which of the header's numbers.
const COUNTED: [usize; 2] = [0, 1];
const TOLD: [usize; 2] = [2, 3];
/// What is told once the record with the id is in the log. Of use where the last number is not 0.
const SOON: [usize; 2] = [4, 5];
const ID: [usize; 2] = [6, 7];
const IS_BEING_TOLD: usize = 8;

impl Slots {
    pub fn count_refused(&self, count: u64) {
        let [refused, _] = COUNTED;
        self.number(refused).fetch_add(count, Ordering::Relaxed);
    }

    pub fn count_served(&self, count: u64) {
        let [_, served] = COUNTED;
        self.number(served).fetch_add(count, Ordering::Relaxed);
    }

    /// Those that no line of the log tells of.
    pub fn untold(&self) -> Unrecorded {
        Unrecorded::between(self.load(COUNTED), self.load(TOLD))
    }

    /// The record with this id, which is about to be written, tells of so many more. The recorder's.
    pub fn telling(&self, Unrecorded { refused, served }: Unrecorded, id: RequestId) {
        let store = |which, value| self.number(which).store(value, Ordering::SeqCst);
        let [told_refused, told_served] = self.load(TOLD);
        store(IS_BEING_TOLD, 0);
        let soon = [told_refused.wrapping_add(refused), told_served.wrapping_add(served)];
        SOON.into_iter().zip(soon).for_each(|(which, value)| store(which, value));
        for (which, half) in ID.into_iter().zip(id.to_bytes().as_chunks().0) {
            store(which, u64::from_le_bytes(*half));
        }
        store(IS_BEING_TOLD, 1);
    }

    /// It is in the log. The recorder's.
    pub fn told(&self) {
        for (which, soon) in TOLD.into_iter().zip(self.load(SOON)) {
            self.number(which).store(soon, Ordering::SeqCst);
        }
    }

    fn load(&self, which: [usize; 2]) -> [u64; 2] {
        which.map(|which| self.number(which).load(Ordering::SeqCst))
    }
}

impl Unrecorded {
    const fn between([refused, served]: [u64; 2], [told_refused, told_served]: [u64; 2]) -> Self {
        // Counts only grow; what a damaged file says must do no harm.
        Self {
            refused: refused.saturating_sub(told_refused),
            served: served.saturating_sub(told_served),
        }
    }

    /// What the numbers of a gate that is gone leave to be told; `is_in_log` says whether its log has a record with
    /// an id.
    pub fn left<E>(
        numbers: [u64; NUMBERS],
        is_in_log: impl FnOnce(RequestId) -> Result<bool, E>,
    ) -> Result<Self, E> {
        let pair =
            |which: [usize; 2]| which.map(|which| numbers.get(which).copied().unwrap_or_default());
        let is_being_told = numbers.get(IS_BEING_TOLD).is_some_and(|number| *number != 0);
        let mut told = pair(TOLD);
        if is_being_told && pair(SOON) != told {
            let mut id = [0; 16];
            let halves = id.as_chunks_mut::<8>().0;
            halves.iter_mut().zip(pair(ID)).for_each(|(half, of)| *half = of.to_le_bytes());
            if is_in_log(RequestId::from_bytes(id))? {
                told = pair(SOON);
            }
        }
        Ok(Self::between(pair(COUNTED), told))
    }
}
