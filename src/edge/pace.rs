//! How fast a caller must send and read: `body_rate_min` over `body_rate_window`, as the sweeper
//! reckons with them. It reckons; it looks at no flight and no clock.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::policy::Bounds;

/// The least rate of a caller, and for how long it may stay behind it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pace {
    /// Bytes in a second; 0 when any byte will do.
    pub rate: u64,
    pub window_ms: u64,
}

impl Pace {
    pub fn of(bounds: &Bounds) -> Self {
        let window_ms = u64::try_from(bounds.body_rate_window.as_millis()).unwrap_or(u64::MAX);
        Self { rate: bounds.body_rate_min, window_ms }
    }

    /// How much time so many bytes stand for.
    fn paid_ms(self, bytes: u64) -> u64 {
        match (bytes, self.rate) {
            (0, _) => 0,
            (_, 0) => u64::MAX,
            (bytes, rate) => bytes.saturating_mul(1000) / rate,
        }
    }
}

/// How long one caller has kept the gate waiting beyond what its bytes paid for.
#[derive(Debug, Default)]
pub struct Debt {
    /// Bytes that it sent or took: whoever has its request adds, the sweeper compares.
    moved: AtomicU64,
    /// The sweeper's own: `moved` at its last look, and the debt.
    moved_before: AtomicU64,
    owed_ms: AtomicU64,
}

impl Debt {
    /// Only the one task that has the request calls this, so it need not be one atomic step.
    pub fn pay(&self, bytes: usize) {
        let moved = self.moved.load(Ordering::Relaxed);
        self.moved.store(moved.wrapping_add(bytes as u64), Ordering::Relaxed);
    }

    pub fn forgive(&self) {
        self.owed_ms.store(0, Ordering::Relaxed);
    }

    /// Reckons `elapsed_ms`, in which the gate waited for the caller or not.
    pub fn is_too_much(&self, waits: bool, elapsed_ms: u64, pace: Pace) -> bool {
        let moved = self.moved.load(Ordering::Relaxed);
        let before = self.moved_before.load(Ordering::Relaxed);
        let owed = self.owed_ms.load(Ordering::Relaxed);
        if moved == before && owed == 0 && !waits {
            return false;
        }
        let more = if waits { elapsed_ms } else { 0 };
        let owed = (owed + more).saturating_sub(pace.paid_ms(moved.wrapping_sub(before)));
        self.moved_before.store(moved, Ordering::Relaxed);
        self.owed_ms.store(owed, Ordering::Relaxed);
        owed > pace.window_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_pays_with_bytes_for_the_time_it_is_waited_for() {
        // Looks every 100 ms for ten seconds; at each, whether it is waited for, and what it moved.
        let check = |rate: u64, looks: fn(u64) -> (bool, usize), expected: Option<u64>| {
            let (debt, pace) = (Debt::default(), Pace { rate, window_ms: 1000 });
            let ended = (1..=100).map(|look| look * 100).find(|now_ms| {
                let (waits, bytes) = looks(*now_ms);
                debt.pay(bytes);
                debt.is_too_much(waits, 100, pace)
            });
            assert_eq!(ended, expected);
        };
        check(100, |_| (true, 0), Some(1100));
        check(100, |_| (true, 10), None);
        check(100, |_| (true, 5), Some(2100));
        check(0, |_| (true, 1), None);
        check(0, |_| (true, 0), Some(1100));
        // An event stream is quiet; and it pauses.
        check(100, |_| (false, 0), None);
        check(
            100,
            |now_ms| (now_ms.is_multiple_of(1000), now_ms.is_multiple_of(1000).into()),
            None,
        );
        // What was paid is not kept: it catches up, and stands still again.
        check(100, |now_ms| (true, if now_ms == 900 { 1000 } else { 0 }), Some(2000));
    }
}
