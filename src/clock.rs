//! The one place that reads the clocks. Everything below takes the time as an argument.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::model::time::{MonoNs, Now, UnixMicros};

/// Both clocks, now.
pub fn now() -> Now {
    Now { mono: mono(), wall: wall() }
}

/// The monotonic clock, from the first reading in this process.
#[expect(clippy::disallowed_methods, reason = "this file is the clock")]
pub fn mono() -> MonoNs {
    static START: OnceLock<Instant> = OnceLock::new();
    let elapsed = START.get_or_init(Instant::now).elapsed();
    // 584 years fit.
    MonoNs(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX))
}

/// The wall clock, in UTC.
#[expect(clippy::disallowed_methods, reason = "this file is the clock")]
pub fn wall() -> UnixMicros {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMicros(i64::try_from(since_epoch.as_micros()).unwrap_or(i64::MAX))
}
