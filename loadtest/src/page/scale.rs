//! From figures to places on an axis, and the round figures to write beside it.

use crate::report::thousands;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Linear,
    /// Equal factors are equally far apart. For positive figures only.
    Log,
}

/// What the figures of an axis are, which is how they are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unit {
    PerSecond,
    /// Given in nanoseconds.
    Time,
    Microseconds,
    /// A percentile, given as 1 / (1 - quantile).
    Percentile,
}

#[derive(Clone, Copy, Debug)]
pub struct Scale {
    pub kind: Kind,
    pub unit: Unit,
    pub low: f64,
    pub high: f64,
}

impl Scale {
    /// From 0 to the next round figure above all these.
    pub fn from_zero(unit: Unit, figures: impl Iterator<Item = f64>) -> Self {
        let most = figures.fold(0.0, f64::max);
        let high = if most > 0.0 { most * 1.04 } else { 1.0 };
        Self { kind: Kind::Linear, unit, low: 0.0, high }
    }

    /// From the round figure below all these to the one above.
    pub fn log(unit: Unit, figures: impl Iterator<Item = f64>) -> Self {
        let positive = figures.filter(|figure| *figure > 0.0);
        let (low, high) =
            positive.fold((f64::MAX, 0.0_f64), |(low, high), f| (low.min(f), high.max(f)));
        if high == 0.0 {
            return Self { kind: Kind::Log, unit, low: 1.0, high: 10.0 };
        }
        let steps = round_log(low / 10.0, high * 10.0);
        let below = steps.iter().copied().filter(|step| *step <= low).fold(low / 10.0, f64::max);
        let above = steps.iter().copied().filter(|step| *step >= high).fold(high * 10.0, f64::min);
        // A flat line needs room too.
        Self { kind: Kind::Log, unit, low: below, high: above.max(below * 10.0) }
    }

    /// 0 at the low end, 1 at the high one.
    pub fn part(&self, figure: f64) -> f64 {
        match self.kind {
            Kind::Linear => (figure - self.low) / (self.high - self.low),
            Kind::Log => {
                (figure.max(self.low / 10.0) / self.low).ln() / (self.high / self.low).ln()
            }
        }
    }

    /// Round figures within, not too many.
    pub fn ticks(&self) -> Vec<f64> {
        let inside =
            |tick: &f64| *tick >= self.low * (1.0 - 1e-9) && *tick <= self.high * (1.0 + 1e-9);
        match (self.kind, self.unit) {
            (_, Unit::Percentile) => PERCENTILES.iter().copied().filter(inside).collect(),
            (Kind::Linear, _) => {
                let step = round_above((self.high - self.low) / 8.0);
                let ticks = (0..=10_u32).map(|count| f64::from(count) * step);
                ticks.filter(inside).collect()
            }
            (Kind::Log, _) => {
                let all: Vec<f64> =
                    round_log(self.low, self.high).into_iter().filter(inside).collect();
                if all.len() <= 10 {
                    return all;
                }
                all.into_iter().filter(|tick| tick.log10().fract().abs() < 1e-6).collect()
            }
        }
    }

    pub fn label(&self, figure: f64) -> String {
        match self.unit {
            Unit::PerSecond => thousands(figure),
            Unit::Microseconds => short(figure),
            Unit::Time if figure < 1e3 => format!("{} ns", short(figure)),
            Unit::Time if figure < 1e6 => format!("{} µs", short(figure / 1e3)),
            Unit::Time if figure < 1e9 => format!("{} ms", short(figure / 1e6)),
            Unit::Time => format!("{} s", short(figure / 1e9)),
            Unit::Percentile => short(100.0 - 100.0 / figure),
        }
    }
}

/// With no more digits than it needs.
fn short(figure: f64) -> String {
    let text = format!("{figure:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text.is_empty() { "0".into() } else { text.into() }
}

/// 1, 2 and 5 times powers of ten between the two, both within a rounding.
fn round_log(low: f64, high: f64) -> Vec<f64> {
    let mut power = 10_f64.powf(low.log10().floor());
    let mut all = Vec::new();
    while power <= high * (1.0 + 1e-9) {
        all.extend([1.0, 2.0, 5.0].map(|digit| digit * power));
        power *= 10.0;
    }
    all
}

/// The next of 1, 2, 5, 10 … that is not below it.
fn round_above(figure: f64) -> f64 {
    let power = 10_f64.powf(figure.max(1e-9).log10().floor());
    let digit = [1.0, 2.0, 5.0, 10.0].into_iter().find(|digit| digit * power >= figure);
    digit.unwrap_or(10.0) * power
}

/// 0, 50, 90, 99, 99.9, 99.99 and 99.999 per cent.
const PERCENTILES: [f64; 7] = [1.0, 2.0, 10.0, 100.0, 1e3, 1e4, 1e5];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_few() {
        let check = |scale: Scale, expected: &[&str]| {
            let labels: Vec<String> =
                scale.ticks().into_iter().map(|tick| scale.label(tick)).collect();
            assert_eq!(labels, expected);
        };
        check(
            Scale::from_zero(Unit::PerSecond, [9000.0, 23_000.0].into_iter()),
            &["0", "5,000", "10,000", "15,000", "20,000"],
        );
        check(
            Scale::log(Unit::Time, [120e3, 3e6].into_iter()),
            &["100 µs", "200 µs", "500 µs", "1 ms", "2 ms", "5 ms"],
        );
        check(
            Scale::log(Unit::Time, [120e3, 2e9].into_iter()),
            &["100 µs", "1 ms", "10 ms", "100 ms", "1 s"],
        );
        let percentiles = Scale { kind: Kind::Log, unit: Unit::Percentile, low: 1.0, high: 2e3 };
        check(percentiles, &["0", "50", "90", "99", "99.9"]);
        check(
            Scale::from_zero(Unit::Microseconds, std::iter::empty()),
            &["0", "0.2", "0.4", "0.6", "0.8", "1"],
        );
    }

    #[test]
    fn figures_have_their_place() {
        let log = Scale { kind: Kind::Log, unit: Unit::Time, low: 10.0, high: 1000.0 };
        assert!((log.part(100.0) - 0.5).abs() < 1e-9);
        assert!(log.part(10.0).abs() < 1e-9 && (log.part(1000.0) - 1.0).abs() < 1e-9);
        assert!(log.part(0.0).is_finite());
        let linear = Scale { kind: Kind::Linear, unit: Unit::PerSecond, low: 0.0, high: 8.0 };
        assert!((linear.part(2.0) - 0.25).abs() < 1e-9);
    }
}
