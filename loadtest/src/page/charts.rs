//! Which charts a sweep is shown by: what is on their axes, and what may be compared in them.

use super::chart::{Chart, Dot, Line};
use super::scale::{Kind, Scale, Unit};
use crate::report::thousands;
use crate::stats::{Spread, real};
use crate::sweep::document::Sweep;
use crate::sweep::knee::Knee;
use crate::sweep::summary::{Point, knee_of};

/// A chart and what is said above it.
#[derive(Debug)]
pub struct Figure {
    pub chart: Chart,
    pub told: String,
}

pub fn figures(sweep: &Sweep, points: &[Point], rate: Option<u64>) -> Vec<Figure> {
    let all = Charts { sweep, points };
    let latencies = [
        all.latency("p50", "p50", |point| point.p50_ns),
        all.latency("p99", "p99", |point| point.p99_ns),
        all.latency("p999", "p99.9", |point| point.p999_ns),
    ];
    let rest = [all.achieved(), all.cpu(), all.percentiles(rate)];
    latencies.into_iter().chain(rest).collect()
}

struct Charts<'s> {
    sweep: &'s Sweep,
    points: &'s [Point],
}

impl Charts<'_> {
    fn latency(&self, id: &'static str, name: &str, of: fn(&Point) -> Spread) -> Figure {
        let lines = self.lines(|point| (point.achieved.median, of(point)));
        let highs = lines.iter().flat_map(|line| &line.dots).flat_map(|dot| [dot.low, dot.high]);
        Figure {
            told: format!(
                "Throughput against {name}, log scale. Dots are medians over the rounds, whiskers \
                 the least and the most; hollow dots are not valid; dashed uprights are knees."
            ),
            chart: Chart {
                id,
                title: format!("Latency {name}"),
                x: self.rates(|point| point.achieved.median),
                x_label: "right answers per second".into(),
                y: Scale::log(Unit::Time, highs),
                y_label: format!("{name} from the intended send time"),
                lines,
                has_diagonal: false,
            },
        }
    }

    fn achieved(&self) -> Figure {
        let lines = self.lines(|point| (point.due.median, point.achieved));
        let x = self.rates(|point| point.due.median);
        Figure {
            told: "What was answered rightly of what was asked for. On the dotted line nothing is \
                   lost; where a curve leaves it, the server (or, at hollow dots, the harness) was \
                   at its end."
                .into(),
            chart: Chart {
                id: "achieved",
                title: "Achieved against offered".into(),
                y: x,
                x,
                x_label: "offered, requests per second".into(),
                y_label: "right answers per second".into(),
                lines,
                has_diagonal: true,
            },
        }
    }

    fn cpu(&self) -> Figure {
        let mut lines = self.lines(|point| (real(point.per_second), point.cpu_us));
        for line in &mut lines {
            line.upright = None;
        }
        let highs = lines.iter().flat_map(|line| &line.dots).map(|dot| dot.high);
        Figure {
            told: "CPU time of the server's process per request sent, warm-up included. It falls \
                   with the rate for every server, since a busy one wakes up less often: compare \
                   at one rate only."
                .into(),
            chart: Chart {
                id: "cpu",
                title: "CPU per request".into(),
                x: self.rates(|point| real(point.per_second)),
                x_label: "offered, requests per second".into(),
                y: Scale::from_zero(Unit::Microseconds, highs),
                y_label: "CPU microseconds per request".into(),
                lines,
                has_diagonal: false,
            },
        }
    }

    /// At the points nearest to a rate; without one, at the highest rate that all targets got.
    fn percentiles(&self, rate: Option<u64>) -> Figure {
        let common = self.points.iter().filter(|point| point.is_common);
        let highest = common.map(|point| point.per_second).max();
        let wanted = rate.or(highest).unwrap_or_default();
        let line = |target: usize| {
            let points = self.points.iter().filter(|point| point.target == target);
            let point = points.min_by_key(|point| point.per_second.abs_diff(wanted))?;
            Some(Line {
                name: self.name(target).into(),
                look: self.look(target),
                dots: percentiles_of(point),
                has_markers: false,
                upright: None,
            })
        };
        let lines: Vec<Line> = (0..self.sweep.targets.len()).filter_map(line).collect();
        let dots = || lines.iter().flat_map(|line| &line.dots);
        let most = dots().map(|dot| dot.x).fold(10.0, f64::max);
        Figure {
            told: format!(
                "How latencies are spread at {} requests per second, all valid rounds in one. A \
                 line ends where fewer than five requests are beyond it.",
                thousands(real(wanted))
            ),
            chart: Chart {
                id: "percentiles",
                title: format!("Percentiles at {}/s", thousands(real(wanted))),
                x: Scale { kind: Kind::Log, unit: Unit::Percentile, low: 1.0, high: most },
                x_label: "per cent of the requests".into(),
                y: Scale::log(Unit::Time, dots().map(|dot| dot.y)),
                y_label: "answered within".into(),
                lines,
                has_diagonal: false,
            },
        }
    }

    /// From 0 to what the compared servers reached. The stub bears far more, and its points there
    /// would press all others together.
    fn rates(&self, of: impl Fn(&Point) -> f64) -> Scale {
        let is_peer = |point: &&Point| {
            self.sweep.targets.get(point.target).is_some_and(|target| !target.is_stub())
        };
        let peers = self.points.iter().filter(is_peer).map(&of);
        let alone = peers.clone().next().is_none();
        let all = self.points.iter().filter(|_| alone).map(&of);
        Scale::from_zero(Unit::PerSecond, peers.chain(all))
    }

    fn lines(&self, of: impl Fn(&Point) -> (f64, Spread)) -> Vec<Line> {
        let line = |target: usize| Line {
            name: self.name(target).into(),
            look: self.look(target),
            dots: self.dots(target, &of),
            has_markers: true,
            upright: match knee_of(self.points, target) {
                Knee::Between { good, .. } => Some(good),
                Knee::NotMeasured { .. }
                | Knee::Above { .. }
                | Knee::Below { .. }
                | Knee::Unknown => None,
            },
        };
        (0..self.sweep.targets.len()).map(line).collect()
    }

    fn dots(&self, target: usize, of: impl Fn(&Point) -> (f64, Spread)) -> Vec<Dot> {
        let dot = |point: &Point| {
            let (x, Spread { min, median, max }) = of(point);
            let told = format!(
                "{}: {}/s offered, {}/s answered rightly, {} of {} rounds valid",
                self.name(target),
                thousands(real(point.per_second)),
                thousands(point.achieved.median),
                point.valid_rounds,
                point.rounds
            );
            Dot { x, y: median, low: min, high: max, is_valid: point.is_valid(), told }
        };
        self.points.iter().filter(|point| point.target == target).map(dot).collect()
    }

    fn name(&self, target: usize) -> &str {
        self.sweep.targets.get(target).map_or("", |target| target.name.as_str())
    }

    /// A server looks the same in every report.
    fn look(&self, target: usize) -> usize {
        match self.name(target) {
            "gate" => 0,
            "nginx" => 1,
            "bare" => 2,
            _ => 3,
        }
    }
}

fn percentiles_of(point: &Point) -> Vec<Dot> {
    let count = real(point.latency_ns.count());
    let dot = |(_, quantile): (f64, f64)| {
        let y = real(point.latency_ns.at(quantile));
        let x = 1.0 / (1.0 - quantile);
        Dot { x, y, low: y, high: y, is_valid: true, told: String::new() }
    };
    QUANTILES
        .iter()
        .map(|quantile| ((1.0 - quantile) * count, *quantile))
        .filter(|(beyond, _)| *beyond >= 5.0)
        .map(dot)
        .collect()
}

const QUANTILES: [f64; 19] = [
    0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999,
    0.9995, 0.9999, 0.99999,
];
