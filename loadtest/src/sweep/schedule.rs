//! When requests are due: fixed before the first is sent, and never moved by what the server does.
//! That is what makes the loop open.

use serde::{Deserialize, Serialize};

use crate::random::Random;

/// How arrivals are spaced at one rate.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// At random, as from many clients that know nothing of each other.
    Poisson,
    /// At equal distances.
    Constant,
}

/// The intended times of one point, in nanoseconds from its start.
#[derive(Debug)]
pub struct Schedule {
    arrivals: Arrivals,
    random: Random,
    mean_ns: f64,
    next_ns: f64,
    end_ns: u64,
}

impl Schedule {
    pub fn new(arrivals: Arrivals, per_second: u64, end_ns: u64, seed: &[u64]) -> Self {
        let mean_ns = 1e9 / crate::stats::real(per_second.max(1));
        let mut schedule =
            Self { arrivals, random: Random::of(seed), mean_ns, next_ns: 0.0, end_ns };
        schedule.next_ns = schedule.gap();
        schedule
    }

    /// Nothing is due: whoever asks decides alone when to send.
    pub fn empty() -> Self {
        Self::new(Arrivals::Constant, 1, 0, &[])
    }

    fn gap(&mut self) -> f64 {
        match self.arrivals {
            Arrivals::Poisson => self.random.exponential(self.mean_ns),
            Arrivals::Constant => self.mean_ns,
        }
    }
}

impl Iterator for Schedule {
    type Item = u64;

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a sum of positive times, and past the end it is not used"
    )]
    fn next(&mut self) -> Option<u64> {
        let due = self.next_ns as u64;
        if due >= self.end_ns {
            return None;
        }
        // Added up as a real number: rounding each gap would change the rate.
        self.next_ns += self.gap();
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn constant_arrivals_are_equally_far_apart() {
        let due: Vec<u64> = Schedule::new(Arrivals::Constant, 1000, SECOND, &[1]).collect();
        assert_eq!(due.len(), 999);
        assert_eq!(due.first(), Some(&1_000_000));
        assert!(due.windows(2).all(|two| two[1] - two[0] == 1_000_000));
    }

    #[test]
    fn rates_that_divide_badly_are_kept() {
        let check = |per_second: u64| {
            let all = Schedule::new(Arrivals::Constant, per_second, 10 * SECOND, &[1]);
            let count = all.count() as u64;
            assert!((per_second * 10 - 1..=per_second * 10).contains(&count), "{count}");
        };
        [1, 3, 7, 333, 7001, 12_347].into_iter().for_each(check);
    }

    #[test]
    fn random_arrivals_have_the_rate_and_no_order() {
        let due: Vec<u64> = Schedule::new(Arrivals::Poisson, 10_000, 10 * SECOND, &[1]).collect();
        // Ten thousand a second for ten seconds: the deviation is 316.
        assert!((98_500..101_500).contains(&due.len()), "{}", due.len());
        assert!(due.is_sorted());
        let gaps: Vec<u64> = due.windows(2).map(|two| two[1] - two[0]).collect();
        let short = gaps.iter().filter(|gap| **gap < 50_000).count();
        // 1 - e^-0.5 of the gaps are below half the mean.
        assert!((37_500..41_500).contains(&short), "{short}");
    }

    #[test]
    fn the_seed_decides_alone() {
        let times = |seed: &[u64]| -> Vec<u64> {
            Schedule::new(Arrivals::Poisson, 500, SECOND, seed).collect()
        };
        assert_eq!(times(&[1, 2]), times(&[1, 2]));
        assert_ne!(times(&[1, 2]), times(&[1, 3]));
    }

    #[test]
    fn the_empty_schedule_is_empty() {
        assert_eq!(Schedule::empty().next(), None);
    }
}
