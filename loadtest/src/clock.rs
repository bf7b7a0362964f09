//! The one place of the load test that reads a clock.

use std::time::{Duration, Instant};

/// Runs from its making.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "this file is the clock")]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// Until when something may still be waited for.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    since: Stopwatch,
    after: Duration,
}

impl Deadline {
    pub fn after(after: Duration) -> Self {
        Self { since: Stopwatch::start(), after }
    }

    pub fn passed(self) -> bool {
        self.since.elapsed() >= self.after
    }
}
