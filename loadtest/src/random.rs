//! Numbers that look random and are the same for the same seed, so that a sweep can be repeated
//! and every server of it gets the same arrivals. For schedules and orders only: no secret may
//! come from here.

/// SplitMix64: one addition and a few shifts per number, and every seed is a good one.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// A generator of its own for each list of numbers: seed, round, rate and the like.
    pub fn of(parts: &[u64]) -> Self {
        let fold = |state: u64, part: &u64| Self(state ^ part).next();
        Self(parts.iter().fold(0, fold))
    }

    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to below `end`, which is at least 1. The bias is below `end` over 2^64.
    pub fn below(&mut self, end: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(end);
        u64::try_from(wide >> 64).unwrap_or_default()
    }

    /// From 0 to below 1, in steps of 2^-53.
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Times between events that know nothing of each other.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        // Not of 0, whose logarithm is endless.
        -mean * (1.0 - self.unit()).ln()
    }

    pub fn shuffle<Item>(&mut self, items: &mut [Item]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last as u64 + 1);
            items.swap(last, usize::try_from(other).unwrap_or(last));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        // The first numbers of the published reference implementation for seed 1234567.
        let mut random = Random(1_234_567);
        assert_eq!(random.next(), 6_457_827_717_110_365_317);
        assert_eq!(random.next(), 3_203_168_211_198_807_973);
        assert_ne!(Random::of(&[1, 2]).next(), Random::of(&[2, 1]).next());
    }

    #[test]
    fn numbers_stay_in_their_range() {
        let mut random = Random::of(&[7]);
        let mut seen = [0_u32; 10];
        for _ in 0..10_000 {
            seen[usize::try_from(random.below(10)).expect("small")] += 1;
            let unit = random.unit();
            assert!((0.0..1.0).contains(&unit), "{unit}");
        }
        assert!(seen.iter().all(|count| (800..1200).contains(count)), "{seen:?}");
    }

    #[test]
    fn exponential_times_have_their_mean_and_their_tail() {
        let mut random = Random::of(&[7]);
        let times: Vec<f64> = (0..100_000).map(|_| random.exponential(2.0)).collect();
        let mean = times.iter().sum::<f64>() / 100_000.0;
        assert!((mean - 2.0).abs() < 0.05, "{mean}");
        let beyond = times.iter().filter(|time| **time > 4.0).count();
        // e^-2 of them are beyond twice the mean.
        assert!((12_500..14_600).contains(&beyond), "{beyond}");
    }

    #[test]
    fn a_shuffle_loses_nothing() {
        let mut items: Vec<u32> = (0..50).collect();
        Random::of(&[3]).shuffle(&mut items);
        assert_ne!(items, (0..50).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..50).collect::<Vec<_>>());
    }
}
