//! A sweep in plain text, for the terminal; and its summary as JSON, for scripts.

use serde_json::{Value, json};

use super::document::Sweep;
use super::knee::{self, Knee};
use super::summary::{self, Point};
use crate::machine;
use crate::report::{table, thousands};
use crate::stats::Spread;

pub fn render(sweep: &Sweep) -> String {
    let points = summary::points(sweep);
    let rows: Vec<Vec<String>> = points.iter().map(|point| row(sweep, point)).collect();
    let knees = sweep.targets.iter().enumerate().map(|(index, target)| {
        vec![target.name.clone(), in_words(summary::knee_of(&points, index))]
    });
    let knees: Vec<Vec<String>> = knees.collect();
    let ratios: Vec<Vec<String>> = summary::cpu_ratios(sweep)
        .into_iter()
        .map(|ratio| {
            let name = |index: usize| sweep.targets.get(index).map_or("", |t| t.name.as_str());
            let pair = format!("{} / {}", name(ratio.above), name(ratio.below));
            let Spread { min, median, max } = ratio.spread;
            let figures = [median, min, max].map(|figure| format!("{figure:.2}"));
            let rate = thousands(crate::stats::real(ratio.per_second));
            [pair, rate].into_iter().chain(figures).collect()
        })
        .collect();
    let mut parts = vec![
        table(&HEAD, &rows),
        "Latencies in milliseconds from the intended send time, medians over the valid rounds; \
         a failed request counts as the timeout."
            .into(),
        table(&["", "knee, requests per second"], &knees),
        format!("Knee: {}.", knee::DEFINITION),
    ];
    if !ratios.is_empty() {
        parts.push(table(&["CPU per request", "at", "median", "min", "max"], &ratios));
    }
    parts.push(harness(sweep));
    parts.push(machine::in_words(&sweep.machine));
    if sweep.settings.debug_build {
        parts.push("A DEBUG BUILD: none of these figures is worth quoting.".into());
    }
    parts.join("\n\n")
}

const HEAD: [&str; 11] = [
    "target",
    "offered/s",
    "right/s",
    "p50",
    "p99",
    "p99.9",
    "p99 min..max",
    "CPU us/req",
    "lag p99",
    "failed",
    "valid",
];

fn row(sweep: &Sweep, point: &Point) -> Vec<String> {
    let name = sweep.targets.get(point.target).map_or("", |target| target.name.as_str());
    let doubts: Vec<&str> = point.doubts.iter().map(|doubt| doubt.in_words()).collect();
    let doubts =
        if doubts.is_empty() { String::new() } else { format!(" ({})", doubts.join(", ")) };
    vec![
        name.into(),
        thousands(crate::stats::real(point.per_second)),
        thousands(point.achieved.median),
        ms(point.p50_ns.median),
        ms(point.p99_ns.median),
        ms(point.p999_ns.median),
        format!("{}..{}", ms(point.p99_ns.min), ms(point.p99_ns.max)),
        format!("{:.1}", point.cpu_us.median),
        ms(point.lag_p99_ns.median),
        format!("{:.2} %", point.failed_share() * 100.0),
        format!("{} of {}{doubts}", point.valid_rounds, point.rounds),
    ]
}

pub fn ms(ns: f64) -> String {
    format!("{:.3}", ns / 1e6)
}

pub fn in_words(knee: Knee) -> String {
    match knee {
        Knee::Between { good, bad } => format!("{} (not {})", thousands(good), thousands(bad)),
        Knee::NotMeasured { good, invalid } => {
            let (good, invalid) = (thousands(good), thousands(invalid));
            format!("at least {good} (no valid figure at {invalid})")
        }
        Knee::Above { good } => format!("at least {} (no more was tried)", thousands(good)),
        Knee::Below { bad } => format!("below {}, the lightest tried", thousands(bad)),
        Knee::Unknown => "unknown: no valid figure at the lightest rate".into(),
    }
}

fn harness(sweep: &Sweep) -> String {
    let harness = &sweep.harness;
    let late = harness.lateness.iter().map(|late| {
        format!(
            "at {}/s p50 {} and p99 {} ms",
            thousands(crate::stats::real(late.per_second)),
            ms(crate::stats::real(late.lag.at(0.5))),
            ms(crate::stats::real(late.lag.at(0.99))),
        )
    });
    format!(
        "The harness alone: {} requests per second at most (generator {:.1}, stub {:.1} CPU us \
         each); late {}.",
        thousands(crate::stats::real(harness.ceiling_per_second)),
        crate::stats::real(harness.generator_cpu_ns) / 1e3,
        crate::stats::real(harness.stub_cpu_ns) / 1e3,
        late.collect::<Vec<_>>().join(", "),
    )
}

/// Points and knees, in nanoseconds and requests per second.
pub fn summary(sweep: &Sweep) -> Value {
    let points = summary::points(sweep);
    let name = |index: usize| sweep.targets.get(index).map_or("", |target| target.name.as_str());
    let spread = |spread: Spread| json!([spread.min, spread.median, spread.max]);
    let knees = sweep.targets.iter().enumerate().map(|(index, target)| {
        json!({ "target": target.name, "knee": in_words(summary::knee_of(&points, index)) })
    });
    let points = points.iter().map(|point| {
        let of_all = QUANTILES.map(|at| json!([at, point.latency_ns.at(at)]));
        json!({
            "target": name(point.target),
            "per_second": point.per_second,
            "is_valid": point.is_valid(),
            "valid_rounds": point.valid_rounds,
            "rounds": point.rounds,
            "doubts": point.doubts.iter().map(|doubt| doubt.in_words()).collect::<Vec<_>>(),
            "due_per_second": spread(point.due),
            "right_per_second": spread(point.achieved),
            "p50_ns": spread(point.p50_ns),
            "p99_ns": spread(point.p99_ns),
            "p999_ns": spread(point.p999_ns),
            "merged_quantiles_ns": of_all,
            "lag_p99_ns": spread(point.lag_p99_ns),
            "cpu_us_per_request": spread(point.cpu_us),
            "cpus_of_others": spread(point.others),
            "intended": point.intended,
            "failed": point.failures,
        })
    });
    json!({
        "spreads": "min, median, max over the valid rounds",
        "points": points.collect::<Vec<_>>(),
        "knees": knees.collect::<Vec<_>>(),
        "knee_definition": knee::DEFINITION,
    })
}

const QUANTILES: [f64; 8] = [0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 1.0];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::document::tests::sample;

    #[test]
    fn the_table_has_every_point_and_the_knees() {
        let text = render(&sample());
        assert_eq!(text.lines().filter(|line| line.contains(" of 2")).count(), 6, "{text}");
        for part in ["1,000 (not 4,000)", "at least 4,000", "25.00 %", "90,000 requests"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(!text.contains("DEBUG"), "{text}");
    }

    #[test]
    fn a_debug_build_says_so() {
        let mut sweep = sample();
        sweep.settings.debug_build = true;
        assert!(render(&sweep).contains("DEBUG"));
    }

    #[test]
    fn every_knee_has_words() {
        let check = |knee: Knee, part: &str| assert!(in_words(knee).contains(part), "{knee:?}");
        check(Knee::NotMeasured { good: 1.0, invalid: 2.0 }, "no valid figure at 2");
        check(Knee::Below { bad: 5.0 }, "below 5");
        check(Knee::Unknown, "unknown");
    }
}
