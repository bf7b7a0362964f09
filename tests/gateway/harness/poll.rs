//! The one place where a test sleeps: between two looks at a fact, until a deadline.

use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take before a test gives up on it. Generous: it is only spent on failure.
pub const PATIENCE: Duration = Duration::from_secs(20);

const PAUSE: Duration = Duration::from_millis(5);

/// Looks until the fact is there.
pub fn until<T>(fact: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain: {fact}");
        thread::sleep(PAUSE);
    }
}

/// The same while other things go on in the test's runtime.
pub async fn until_seen(fact: &str, mut look: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !look() {
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain: {fact}");
        tokio::time::sleep(PAUSE).await;
    }
}
