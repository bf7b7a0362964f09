//! Which rates are offered to whom, and in what order: pure arithmetic and shuffling.

use super::document::Rung;
use crate::random::Random;

/// Every target gets every rate.
pub fn rungs_of_rates(rates: &[u64], targets: usize) -> Vec<Rung> {
    let mut rates = rates.to_vec();
    rates.sort_unstable();
    rates.dedup();
    rates.into_iter().map(|rate| Rung { per_second: vec![rate; targets] }).collect()
}

/// Rates that all bear, to compare at, and from there up to beyond what each can do. The first kind
/// comes from the weakest of the targets that are `compared`.
pub fn rungs_of_capacities(capacities: &[u64], compared: &[bool]) -> Vec<Rung> {
    let weakest = capacities.iter().zip(compared).filter(|(_, compared)| **compared);
    let weakest = weakest.map(|(capacity, _)| *capacity).min().or(capacities.iter().min().copied());
    let percent = |capacity: u64, percent: u64| round_down(capacity * percent / 100).max(1);
    let common = COMMON_PERCENT
        .map(|of| Rung { per_second: vec![percent(weakest.unwrap_or(1), of); capacities.len()] });
    let own = OWN_PERCENT.map(|of| Rung {
        per_second: capacities.iter().map(|capacity| percent(*capacity, of)).collect(),
    });
    common.into_iter().chain(own).collect()
}

/// All pairs of rung and target for one round. Targets of one rung follow each other, so that they
/// see one weather; who comes first, and the order of rungs, is up to the seed.
pub fn order(rungs: usize, targets: usize, round: u32, seed: u64) -> Vec<(usize, usize)> {
    let mut random = Random::of(&[seed, u64::from(round), ORDER]);
    let mut ladder: Vec<usize> = (0..rungs).collect();
    random.shuffle(&mut ladder);
    let mut turns = Vec::with_capacity(rungs * targets);
    for rung in ladder {
        let mut who: Vec<usize> = (0..targets).collect();
        random.shuffle(&mut who);
        turns.extend(who.into_iter().map(|target| (rung, target)));
    }
    turns
}

/// To two digits: no more are known of a capacity.
fn round_down(rate: u64) -> u64 {
    let step = 10_u64.pow(rate.checked_ilog10().unwrap_or(0).saturating_sub(1));
    rate / step * step
}

/// Of the weakest one's capacity.
const COMMON_PERCENT: [u64; 3] = [10, 25, 50];
/// Of each one's own.
const OWN_PERCENT: [u64; 7] = [40, 60, 70, 80, 90, 100, 115];

/// So that orders and arrivals of one seed differ.
const ORDER: u64 = 0x6f72_6465;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn given_rates_are_for_all() {
        let rungs = rungs_of_rates(&[500, 100, 500], 3);
        let rates: Vec<_> = rungs.into_iter().map(|rung| rung.per_second).collect();
        assert_eq!(rates, [vec![100, 100, 100], vec![500, 500, 500]]);
    }

    #[test]
    fn ladders_begin_together_and_end_beyond_each_ones_capacity() {
        let rungs = rungs_of_capacities(&[20_000, 45_678, 90_000], &[true, true, false]);
        assert_eq!(rungs[0].per_second, [2000, 2000, 2000]);
        assert_eq!(rungs[2].per_second, [10_000, 10_000, 10_000]);
        assert_eq!(rungs.iter().filter(|rung| rung.is_common()).count(), 3);
        assert_eq!(rungs[8].per_second, [20_000, 45_000, 90_000]);
        assert_eq!(rungs[9].per_second, [23_000, 52_000, 100_000]);
        // Where nobody is compared, the only one there is says how low to begin.
        assert_eq!(rungs_of_capacities(&[900], &[false])[0].per_second, [90]);
        assert_eq!(rungs_of_capacities(&[3], &[true])[0].per_second, [1]);
    }

    #[test]
    fn a_round_has_every_pair_once_and_rungs_together() {
        let turns = order(5, 3, 0, 1);
        assert_eq!(turns.iter().collect::<BTreeSet<_>>().len(), 15);
        for three in turns.chunks(3) {
            assert!(three.iter().all(|(rung, _)| *rung == three[0].0), "{turns:?}");
        }
        assert_eq!(turns, order(5, 3, 0, 1));
        assert_ne!(turns, order(5, 3, 1, 1));
        assert_ne!(turns, order(5, 3, 0, 2));
    }
}
