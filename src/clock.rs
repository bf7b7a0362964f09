//! The one place that reads the clocks. Everything below takes the time as an argument.

use std::sync::OnceLock;

use rustix::time::{ClockId, clock_gettime};

use crate::model::time::{MonoNs, Now, UnixMicros};

/// Both clocks, now.
pub fn now() -> Now {
    Now { mono: mono(), wall: wall() }
}

/// The monotonic clock, from the first reading in this process.
///
/// Read plainly: `Instant` checks what it subtracts, and every request reads the clock several times.
pub fn mono() -> MonoNs {
    static START: OnceLock<u64> = OnceLock::new();
    let read = || {
        let now = clock_gettime(ClockId::Monotonic);
        // 584 years fit.
        let nanos = now.tv_sec.wrapping_mul(1_000_000_000).wrapping_add(now.tv_nsec);
        nanos.cast_unsigned()
    };
    let start = *START.get_or_init(read);
    MonoNs(read().wrapping_sub(start))
}

/// The wall clock, in UTC.
pub fn wall() -> UnixMicros {
    let now = clock_gettime(ClockId::Realtime);
    UnixMicros(now.tv_sec.wrapping_mul(1_000_000).wrapping_add(now.tv_nsec / 1000))
}
