//! Where a curve turns: up to which rate a server still does what is asked of it. The definition is
//! here and in words in [`DEFINITION`]; other definitions give other figures.

/// A rate and what became of it, medians over the valid rounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    pub offered: f64,
    /// Right answers within the measured time, over the requests that were due in it.
    pub kept: f64,
    pub p99_ns: f64,
    pub failed_share: f64,
    /// Whether it could be measured at all.
    pub is_valid: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Knee {
    /// The last good rate, and the first that was not.
    Between { good: f64, bad: f64 },
    /// All rates that could be measured were good; this one could not.
    NotMeasured { good: f64, invalid: f64 },
    /// All rates were good.
    Above { good: f64 },
    /// None was.
    Below { bad: f64 },
    /// Not even the lightest could be measured.
    Unknown,
}

pub const DEFINITION: &str = "the last rate, from the lightest upwards without a gap, at which right \
    answers per second are at least 99 % of what was offered, at most 0.1 % of the requests failed, \
    and p99 is below ten times the p99 at the lightest rate (medians over the valid rounds)";

/// Steps from the lightest rate upwards.
pub fn knee(steps: &[Step]) -> Knee {
    let Some(light) = steps.first().filter(|light| light.is_valid) else { return Knee::Unknown };
    let mut last_good = None;
    for step in steps {
        match (last_good, step.is_valid, is_good(step, light)) {
            (Some(good), false, _) => return Knee::NotMeasured { good, invalid: step.offered },
            (_, _, true) => last_good = Some(step.offered),
            (Some(good), true, false) => return Knee::Between { good, bad: step.offered },
            (None, _, false) => return Knee::Below { bad: step.offered },
        }
    }
    last_good.map_or(Knee::Unknown, |good| Knee::Above { good })
}

fn is_good(step: &Step, light: &Step) -> bool {
    step.kept >= 0.99 && step.failed_share <= 0.001 && step.p99_ns < 10.0 * light.p99_ns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(offered: f64) -> Step {
        Step { offered, kept: 1.0, p99_ns: 1e6, failed_share: 0.0, is_valid: true }
    }

    #[test]
    fn the_knee_is_the_last_good_rate() {
        let check = |steps: &[Step], expected: Knee| assert_eq!(knee(steps), expected, "{steps:?}");
        let slow = |offered| Step { p99_ns: 1e7, ..good(offered) };
        let short = |offered| Step { kept: 0.989, ..good(offered) };
        let failing = |offered| Step { failed_share: 0.002, ..good(offered) };
        let invalid = |offered| Step { is_valid: false, ..good(offered) };
        for bad in [slow(300.0), short(300.0), failing(300.0)] {
            let knee = Knee::Between { good: 200.0, bad: 300.0 };
            check(&[good(100.0), good(200.0), bad], knee);
            // What is good again above it is chance.
            check(&[good(100.0), good(200.0), bad, good(400.0)], knee);
        }
        check(&[good(100.0), good(200.0)], Knee::Above { good: 200.0 });
        check(&[short(100.0), good(200.0)], Knee::Below { bad: 100.0 });
        check(
            &[good(100.0), invalid(200.0), slow(300.0)],
            Knee::NotMeasured { good: 100.0, invalid: 200.0 },
        );
        check(&[invalid(100.0), good(200.0)], Knee::Unknown);
        check(&[], Knee::Unknown);
    }
}
