//! From the runs of a sweep to its points: rounds merged, spreads beside medians, and every reason
//! not to believe a run. Pure: the same file gives the same summary for ever.

use super::document::{Cost, Run, Sweep};
use super::knee::{self, Knee, Step};
use super::tally::Failures;
use super::times::Times;
use crate::stats::{Spread, real};

/// One target at one rate over all rounds.
#[derive(Clone, Debug)]
pub struct Point {
    pub target: usize,
    pub per_second: u64,
    pub is_common: bool,
    pub rounds: usize,
    /// Rounds without a doubt. With none of them, the figures are of all rounds.
    pub valid_rounds: usize,
    pub doubts: Vec<Doubt>,
    /// Requests that were due per second: near `per_second`, as chance has it.
    pub due: Spread,
    /// Right answers per second.
    pub achieved: Spread,
    /// Right answers within the measured time, over the requests that were due in it.
    pub kept: Spread,
    pub p50_ns: Spread,
    pub p99_ns: Spread,
    pub p999_ns: Spread,
    /// Of all the rounds that count, in one.
    pub latency_ns: Times,
    pub lag_p99_ns: Spread,
    pub cpu_us: Spread,
    /// CPUs that other programs took.
    pub others: Spread,
    pub intended: u64,
    pub failures: Failures,
    pub waited: u64,
}

/// Why a run says nothing about the server.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Doubt {
    /// The generator got to its requests too late.
    Late,
    /// The generator's CPU had next to nothing left.
    Saturated,
    /// Other programs took much of the machine, perhaps from the server.
    Disturbed,
}

impl Doubt {
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Late => "generator late",
            Self::Saturated => "generator's CPU full",
            Self::Disturbed => "others busy",
        }
    }
}

impl Point {
    /// Whether the generator could offer this rate in at least half of the rounds.
    pub const fn is_valid(&self) -> bool {
        self.valid_rounds * 2 >= self.rounds && self.valid_rounds > 0
    }

    pub fn failed_share(&self) -> f64 {
        real(self.failures.all()) / real(self.intended.max(1))
    }

    fn of(sweep: &Sweep, target: usize, rung: usize) -> Option<Self> {
        let all: Vec<&Run> =
            sweep.runs.iter().filter(|run| run.target == target && run.rung == rung).collect();
        let first = all.first()?;
        let valid: Vec<&Run> =
            all.iter().copied().filter(|run| doubts(run, sweep).is_empty()).collect();
        let counted = if valid.is_empty() { &all } else { &valid };
        let spread = |figure: &dyn Fn(&Run) -> f64| {
            Spread::of(&counted.iter().map(|run| figure(run)).collect::<Vec<_>>())
        };
        let mut latency_ns = Times::default();
        let mut failures = Failures::default();
        for run in counted {
            latency_ns.merge(&run.latency_ns);
            failures.merge(&run.failures);
        }
        let mut doubts: Vec<Doubt> = all.iter().flat_map(|run| doubts(run, sweep)).collect();
        doubts.sort_unstable();
        doubts.dedup();
        let seconds = real(sweep.settings.measured_ms.max(1)) / 1e3;
        let quantile = |at: f64| spread(&|run| real(run.latency_ns.at(at)));
        Some(Self {
            target,
            per_second: first.per_second,
            is_common: sweep.rungs.get(rung)?.is_common(),
            rounds: all.len(),
            valid_rounds: valid.len(),
            doubts,
            due: spread(&|run| real(run.intended) / seconds)?,
            kept: spread(&|run| real(run.in_window) / real(run.intended.max(1)))?,
            achieved: spread(&|run| real(run.in_window) / seconds)?,
            p50_ns: quantile(0.5)?,
            p99_ns: quantile(0.99)?,
            p999_ns: quantile(0.999)?,
            latency_ns,
            lag_p99_ns: spread(&|run| real(run.lag_ns.at(0.99)))?,
            cpu_us: spread(&|run| real(run.cost.server_ns) / 1e3 / real(run.sent.max(1)))?,
            others: spread(&|run| real(run.cost.others_ns) / real(run.cost.wall_ns.max(1)))?,
            intended: counted.iter().map(|run| run.intended).sum(),
            failures,
            waited: counted.iter().map(|run| run.waited).sum(),
        })
    }
}

/// Why this run says nothing about the server; empty for a good one.
pub fn doubts(run: &Run, sweep: &Sweep) -> Vec<Doubt> {
    let late = run.lag_ns.at(0.99) > sweep.settings.lag_bound_us * 1000;
    let Cost { wall_ns, generator_ns, stub_ns, others_ns, .. } = run.cost;
    let beside = if sweep.settings.load_shares_cpu { stub_ns } else { 0 };
    let saturated = (generator_ns + beside) * 10 > wall_ns * 9;
    let disturbed = others_ns * 4 > wall_ns;
    [(late, Doubt::Late), (saturated, Doubt::Saturated), (disturbed, Doubt::Disturbed)]
        .into_iter()
        .filter_map(|(is_so, doubt)| is_so.then_some(doubt))
        .collect()
}

/// All points, by target and then by rate.
pub fn points(sweep: &Sweep) -> Vec<Point> {
    let of_target = |target: usize| {
        let rungs = 0..sweep.rungs.len();
        let mut points: Vec<Point> =
            rungs.filter_map(|rung| Point::of(sweep, target, rung)).collect();
        points.sort_by_key(|point| point.per_second);
        points
    };
    (0..sweep.targets.len()).flat_map(of_target).collect()
}

pub fn knee_of(points: &[Point], target: usize) -> Knee {
    let step = |point: &Point| Step {
        offered: real(point.per_second),
        kept: point.kept.median,
        p99_ns: point.p99_ns.median,
        failed_share: point.failed_share(),
        is_valid: point.is_valid(),
    };
    let steps: Vec<Step> = points.iter().filter(|point| point.target == target).map(step).collect();
    knee::knee(&steps)
}

/// CPU time per request of one target over another's at one common rate, round by round, so that
/// both saw the same weather.
#[derive(Clone, Debug)]
pub struct Ratio {
    pub above: usize,
    pub below: usize,
    pub per_second: u64,
    pub spread: Spread,
}

pub fn cpu_ratios(sweep: &Sweep) -> Vec<Ratio> {
    let targets = sweep.targets.iter().enumerate();
    let peers: Vec<usize> =
        targets.filter(|(_, target)| !target.is_stub()).map(|(index, _)| index).collect();
    let pairs = peers
        .iter()
        .enumerate()
        .flat_map(|(place, above)| peers.iter().skip(place + 1).map(move |below| (*above, *below)));
    let common = sweep.rungs.iter().enumerate().filter(|(_, rung)| rung.is_common());
    let at = |rung: usize, (above, below): (usize, usize)| {
        let cost = |target: usize, round: u32| {
            let mut runs = sweep.runs.iter();
            let run = runs.find(|r| (r.target, r.rung, r.round) == (target, rung, round))?;
            Some(real(run.cost.server_ns) / real(run.sent.max(1)))
        };
        let ratios: Vec<f64> = (0..sweep.settings.rounds)
            .filter_map(|round| Some(cost(above, round)? / cost(below, round)?.max(1e-9)))
            .collect();
        Spread::of(&ratios)
    };
    common
        .flat_map(|(rung, rates)| pairs.clone().map(move |pair| (rung, rates, pair)))
        .filter_map(|(rung, rates, pair)| {
            let per_second = *rates.per_second.first()?;
            let spread = at(rung, pair)?;
            Some(Ratio { above: pair.0, below: pair.1, per_second, spread })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::document::tests::sample;

    #[test]
    fn rounds_are_merged_and_spread() {
        let sweep = sample();
        let points = points(&sweep);
        assert_eq!(points.len(), 6);
        let point = &points[1];
        assert_eq!((point.target, point.per_second, point.rounds), (0, 1000, 2));
        assert!(point.is_valid() && point.is_common);
        assert_eq!(point.latency_ns.count(), 2000);
        assert!((point.achieved.median - 1000.0).abs() < 1e-6);
        assert!((point.cpu_us.median - 30.0 / 1.1).abs() < 1e-6, "{:?}", point.cpu_us);
        assert!(point.p50_ns.min <= point.p50_ns.median && point.p50_ns.median <= point.p50_ns.max);
    }

    #[test]
    fn the_knees_of_the_sample() {
        let sweep = sample();
        let points = points(&sweep);
        assert_eq!(knee_of(&points, 0), Knee::Above { good: 4000.0 });
        assert_eq!(knee_of(&points, 1), Knee::Between { good: 1000.0, bad: 4000.0 });
    }

    #[test]
    fn a_late_or_full_generator_and_busy_others_are_doubts() {
        let mut sweep = sample();
        let check = |sweep: &Sweep, expected: &[Doubt]| {
            assert_eq!(doubts(&sweep.runs[0], sweep), expected);
        };
        check(&sweep, &[]);
        sweep.settings.lag_bound_us = 40;
        check(&sweep, &[Doubt::Late]);
        sweep.settings.lag_bound_us = 1000;
        sweep.runs[0].cost.generator_ns = sweep.runs[0].cost.wall_ns / 2;
        sweep.runs[0].cost.stub_ns = sweep.runs[0].cost.wall_ns / 2;
        check(&sweep, &[]);
        sweep.settings.load_shares_cpu = true;
        check(&sweep, &[Doubt::Saturated]);
        sweep.settings.load_shares_cpu = false;
        sweep.runs[0].cost.others_ns = sweep.runs[0].cost.wall_ns / 4;
        check(&sweep, &[]);
        sweep.runs[0].cost.others_ns += 1;
        check(&sweep, &[Doubt::Disturbed]);
    }

    #[test]
    fn doubtful_rounds_do_not_count_unless_there_is_no_other() {
        let mut sweep = sample();
        sweep.runs[0].lag_ns.record(1_000_000_000);
        sweep.runs[0].lag_ns.record(1_000_000_000);
        let is = |sweep: &Sweep| {
            let point = points(sweep).swap_remove(0);
            (point.valid_rounds, point.intended, point.is_valid(), point.doubts)
        };
        assert_eq!(is(&sweep), (1, 100, true, vec![Doubt::Late]));
        sweep.settings.lag_bound_us = 1;
        assert_eq!(is(&sweep), (0, 200, false, vec![Doubt::Late]));
    }

    #[test]
    fn ratios_are_of_the_same_round_and_rate() {
        let mut sweep = sample();
        for run in sweep.runs.iter_mut().filter(|run| run.target == 0) {
            run.cost.server_ns *= 2 + u64::from(run.round);
        }
        let ratios = cpu_ratios(&sweep);
        assert_eq!(ratios.len(), 3);
        let spread = ratios[0].spread;
        assert!((spread.min - 2.0).abs() < 1e-6 && (spread.max - 3.0).abs() < 1e-6, "{spread:?}");
        sweep.rungs[0].per_second = vec![100, 101];
        assert_eq!(cpu_ratios(&sweep).len(), 2);
        sweep.targets[1].name = "stub".into();
        assert_eq!(cpu_ratios(&sweep).len(), 0);
    }
}
