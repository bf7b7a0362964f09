//! What the machine does to someone who only wants to run: a loop that does nothing but look at the
//! clock, and counts the time in which it was not allowed to.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::clock::Stopwatch;
use crate::error::Result;
use crate::interrupt;

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Noise {
    pub probed_ns: u64,
    /// In gaps of more than 100 microseconds between two looks.
    pub lost_ns: u64,
    pub longest_gap_ns: u64,
}

/// Occupies the calling thread's CPU for this time.
pub fn probe(time: Duration) -> Result<Noise> {
    interrupt::check()?;
    let watch = Stopwatch::start();
    let mut noise = Noise::default();
    let end_ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    while noise.probed_ns < end_ns {
        let now_ns = u64::try_from(watch.elapsed().as_nanos()).unwrap_or(u64::MAX);
        noise.gap(now_ns - noise.probed_ns);
        noise.probed_ns = now_ns;
    }
    Ok(noise)
}

impl Noise {
    fn gap(&mut self, ns: u64) {
        self.longest_gap_ns = self.longest_gap_ns.max(ns);
        if ns > GAP_NS {
            self.lost_ns += ns;
        }
    }
}

/// An interrupt takes less.
const GAP_NS: u64 = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_what_is_longer_than_an_interrupt() {
        let mut noise = Noise::default();
        [50, 100_000, 100_001, 3_000_000, 40].into_iter().for_each(|ns| noise.gap(ns));
        assert_eq!((noise.lost_ns, noise.longest_gap_ns), (3_100_001, 3_000_000));
    }

    #[test]
    fn a_probe_ends() {
        let noise = probe(Duration::from_millis(2)).expect("nobody interrupts");
        assert!(noise.probed_ns >= 2_000_000 && noise.lost_ns <= noise.probed_ns, "{noise:?}");
    }
}
