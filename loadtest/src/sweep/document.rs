//! What a sweep found, as it is written down: the facts of every run and all that decides what they
//! are worth. Nothing is left out because it looks bad; what is derived from it (medians, knees,
//! doubts) is in `summary`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::noise::Noise;
use super::schedule::Arrivals;
use super::tally::Failures;
use super::times::Times;

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Sweep {
    /// Counts up when this form changes so that older readers are wrong.
    pub format: u32,
    pub settings: Settings,
    pub machine: Value,
    pub harness: Harness,
    pub targets: Vec<Target>,
    pub rungs: Vec<Rung>,
    /// One before each round.
    pub noise: Vec<Noise>,
    pub runs: Vec<Run>,
}

pub const FORMAT: u32 = 1;

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Settings {
    pub arrivals: Arrivals,
    pub seed: u64,
    pub rounds: u32,
    pub clients: u32,
    pub connections: u32,
    pub warm_up_ms: u64,
    pub measured_ms: u64,
    pub timeout_ms: u64,
    /// A run whose p99 of lateness is above it is not valid.
    pub lag_bound_us: u64,
    pub mix: String,
    pub placement: String,
    /// Whether generator and stub compete for one CPU.
    pub load_shares_cpu: bool,
    /// Built without optimisation: nothing here is worth quoting.
    pub debug_build: bool,
}

/// What generator and stub can do without a server between them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Harness {
    pub ceiling_per_second: u64,
    pub stub_cpu_ns: u64,
    pub generator_cpu_ns: u64,
    pub lateness: Vec<Lateness>,
}

/// How late the generator is at a rate against the stub alone.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Lateness {
    pub per_second: u64,
    pub lag: Times,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Target {
    pub name: String,
    pub about: String,
    /// What it answered when asked as fast as it could; None where rates were given.
    pub capacity_per_second: Option<u64>,
}

impl Target {
    /// Whether it is the upstream alone, which no proxy can be compared with.
    pub fn is_stub(&self) -> bool {
        self.name == "stub"
    }
}

/// One step of the ladder: a rate for each target, in their order.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Rung {
    pub per_second: Vec<u64>,
}

impl Rung {
    /// Whether all targets got the same rate, so that they may be compared.
    pub fn is_common(&self) -> bool {
        self.per_second.windows(2).all(|two| two.first() == two.last())
    }
}

/// One target at one rate in one round.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Run {
    pub target: usize,
    pub rung: usize,
    pub round: u32,
    pub per_second: u64,
    pub intended: u64,
    pub right: u64,
    pub in_window: u64,
    pub waited: u64,
    pub sent: u64,
    pub reconnects: u64,
    pub failures: Failures,
    /// From the intended time; a failure counts as the timeout.
    pub latency_ns: Times,
    /// From the intended time to when the generator got to it.
    pub lag_ns: Times,
    pub cost: Cost,
}

/// CPU time and wall-clock time of a whole run, warm-up included, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Cost {
    pub wall_ns: u64,
    pub server_ns: u64,
    pub stub_ns: u64,
    pub generator_ns: u64,
    /// All other programs of the machine.
    pub others_ns: u64,
    /// Taken by the host for other machines.
    pub stolen_ns: u64,
}

#[cfg(test)]
pub mod tests {
    use serde_json::json;

    use super::*;

    /// Two targets, three rungs, two rounds; the second target is at its end at the last rung.
    pub fn sample() -> Sweep {
        let settings = Settings {
            arrivals: Arrivals::Poisson,
            seed: 7,
            rounds: 2,
            clients: 10,
            connections: 4,
            warm_up_ms: 100,
            measured_ms: 1000,
            timeout_ms: 1000,
            lag_bound_us: 1000,
            mix: "80 % <this> & that".into(),
            placement: "nowhere".into(),
            load_shares_cpu: false,
            debug_build: false,
        };
        let mut lag = Times::default();
        lag.record(60_000);
        let target = |name: &str| Target {
            name: name.into(),
            about: format!("{name}, the <best> & only"),
            capacity_per_second: Some(5000),
        };
        let rates = [100, 1000, 4000];
        let runs = (0..2).flat_map(|round| {
            (0..3).flat_map(move |rung| (0..2).map(move |target| run(target, rung, round)))
        });
        Sweep {
            format: FORMAT,
            settings,
            machine: json!({"cpu": "a & b", "cpus_allowed": 2}),
            harness: Harness {
                ceiling_per_second: 90_000,
                stub_cpu_ns: 3000,
                generator_cpu_ns: 6000,
                lateness: vec![Lateness { per_second: 500, lag }],
            },
            targets: vec![target("gate"), target("nginx")],
            rungs: rates.iter().map(|rate| Rung { per_second: vec![*rate, *rate] }).collect(),
            noise: vec![Noise { probed_ns: 100, lost_ns: 1, longest_gap_ns: 1 }; 2],
            runs: runs.collect(),
        }
    }

    pub fn run(target: usize, rung: usize, round: u32) -> Run {
        let per_second = [100, 1000, 4000][rung];
        let is_over = target == 1 && rung == 2;
        let (mut latency_ns, mut lag_ns) = (Times::default(), Times::default());
        let failed = if is_over { per_second / 4 } else { 0 };
        for number in 0..per_second {
            let slow = if is_over { 100 } else { 1 };
            latency_ns.record((100_000 + number * 100 + u64::from(round) * 1000) * slow);
            lag_ns.record(50_000);
        }
        Run {
            target,
            rung,
            round,
            per_second,
            intended: per_second,
            right: per_second - failed,
            in_window: per_second - failed,
            waited: failed,
            sent: per_second + per_second / 10 - failed,
            reconnects: 0,
            failures: Failures { unsent: failed, ..Failures::default() },
            latency_ns,
            lag_ns,
            cost: Cost {
                wall_ns: 1_100_000_000,
                server_ns: per_second * 30_000,
                stub_ns: per_second * 3000,
                generator_ns: per_second * 6000,
                others_ns: 0,
                stolen_ns: 0,
            },
        }
    }

    #[test]
    fn written_down_and_read_it_is_the_same() {
        let sweep = sample();
        let text = serde_json::to_string(&sweep).expect("plain values");
        let read: Sweep = serde_json::from_str(&text).expect("what was written");
        assert_eq!(read, sweep);
    }

    #[test]
    fn rungs_know_whether_all_got_the_same() {
        let check = |rates: &[u64], expected: bool| {
            assert_eq!(Rung { per_second: rates.into() }.is_common(), expected, "{rates:?}");
        };
        check(&[5], true);
        check(&[5, 5, 5], true);
        check(&[5, 5, 6], false);
        check(&[6, 5, 5], false);
    }
}
