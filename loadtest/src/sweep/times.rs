//! Histograms of times in nanoseconds, each to within 1 %: cheap to record into, exact to merge,
//! small to write down.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(from = "Vec<[u64; 2]>", into = "Vec<[u64; 2]>")]
pub struct Times(Histogram<u64>);

impl Times {
    pub fn record(&mut self, ns: u64) {
        self.0.saturating_record(ns);
    }

    pub fn merge(&mut self, other: &Self) {
        // All have the same bounds, so nothing is refused.
        self.0.add(&other.0).unwrap_or_default();
    }

    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time that this part of all stayed below; 0 without any.
    pub fn at(&self, quantile: f64) -> u64 {
        self.0.value_at_quantile(quantile)
    }

    pub fn max(&self) -> u64 {
        if self.0.is_empty() { 0 } else { self.0.max() }
    }
}

impl Default for Times {
    /// # Panics
    ///
    /// Never: the bounds are constants that the histogram takes.
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, LONGEST_NS, DIGITS).expect("good bounds"))
    }
}

/// As written down: the upper end of each bucket that is not empty, and its count.
impl From<Times> for Vec<[u64; 2]> {
    fn from(times: Times) -> Self {
        let bucket = |step: hdrhistogram::iterators::IterationValue<u64>| {
            [step.value_iterated_to(), step.count_since_last_iteration()]
        };
        times.0.iter_recorded().map(bucket).collect()
    }
}

impl From<Vec<[u64; 2]>> for Times {
    fn from(buckets: Vec<[u64; 2]>) -> Self {
        let mut times = Self::default();
        for [ns, count] in buckets {
            times.0.saturating_record_n(ns, count);
        }
        times
    }
}

/// Longer times count as this: no request waits so long here.
const LONGEST_NS: u64 = 100_000_000_000;
/// Two significant digits.
const DIGITS: u8 = 2;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn some(seed: u64, count: u32) -> (Times, Vec<u64>) {
        let mut random = Random::of(&[seed]);
        let mut times = Times::default();
        let values: Vec<u64> = (0..count).map(|_| 50_000 + random.below(9_000_000)).collect();
        values.iter().for_each(|ns| times.record(*ns));
        (times, values)
    }

    #[test]
    fn merged_is_as_recorded_in_one() {
        let (mut merged, first) = some(1, 5000);
        let (other, second) = some(2, 700);
        merged.merge(&other);
        let mut one = Times::default();
        first.iter().chain(&second).for_each(|ns| one.record(*ns));
        assert_eq!(merged, one);
        assert_eq!(merged.count(), 5700);
        merged.merge(&Times::default());
        assert_eq!(merged, one);
    }

    #[test]
    fn quantiles_are_within_a_hundredth() {
        let (times, mut values) = some(3, 10_000);
        values.sort_unstable();
        for (quantile, index) in [(0.5, 4999), (0.99, 9899), (0.999, 9989), (1.0, 9999)] {
            let (is, should) = (times.at(quantile), values[index]);
            assert!(is.abs_diff(should) * 100 <= should, "{quantile}: {is} for {should}");
        }
    }

    #[test]
    fn written_down_and_read_it_is_the_same() {
        let (mut times, _) = some(4, 3000);
        times.record(0);
        times.record(LONGEST_NS * 5);
        let text = serde_json::to_string(&times).expect("plain numbers");
        let read: Times = serde_json::from_str(&text).expect("what was written");
        assert_eq!(read.count(), times.count());
        for quantile in [0.0, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0] {
            assert_eq!(read.at(quantile), times.at(quantile), "{quantile}");
        }
        assert_eq!(serde_json::to_string(&read).ok(), Some(text));
    }

    #[test]
    fn nothing_has_no_times() {
        let none = Times::default();
        assert_eq!((none.count(), none.at(0.99), none.max()), (0, 0, 0));
    }
}
