//! How fast a caller must send and read: `body_rate_min` over `body_rate_window`, as the sweeper
//! reckons with them. It reckons; it looks at no flight and no clock.

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
    pub fn paid_ms(self, bytes: u64) -> u64 {
        match (bytes, self.rate) {
            (0, _) => 0,
            (_, 0) => u64::MAX,
            (bytes, rate) => bytes.saturating_mul(1000) / rate,
        }
    }
}
