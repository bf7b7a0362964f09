//! A sweep as one page of HTML that needs nothing else: no scripts, no fonts, no other files. It is
//! XML too, so that any parser can check it. It shows what `sweep::summary` says and adds nothing.

mod chart;
mod charts;
mod scale;
mod words;

use serde_json::Value;

use crate::report::thousands;
use crate::stats::{Spread, real};
use crate::sweep::document::{Settings, Sweep};
use crate::sweep::knee;
use crate::sweep::summary::{self, Point};
use crate::sweep::{knee_in_words, ms};

/// The whole page. `rate` chooses the points whose percentiles are drawn.
pub fn render(sweep: &Sweep, rate: Option<u64>) -> String {
    let points = summary::points(sweep);
    let figures: String = charts::figures(sweep, &points, rate)
        .iter()
        .map(|figure| {
            format!(
                "<figure><figcaption><b>{}</b>{}</figcaption>\n{}</figure>\n",
                escape(&figure.chart.title),
                escape(&figure.told),
                figure.chart.svg()
            )
        })
        .collect();
    let warning = if sweep.settings.debug_build {
        "<p class=\"alarm\">A debug build: none of these figures is worth quoting.</p>\n"
    } else {
        ""
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n\
         <meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <title>onegate: load sweep</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <h1>Throughput against latency</h1>\n<p class=\"soft\">{}</p>\n{warning}\
         <h2>Knees</h2>\n{}<p class=\"soft\">Knee: {}.</p>\n{}\
         <div class=\"charts\">\n{figures}</div>\n\
         <h2>All points</h2>\n{}<p class=\"soft\">Latencies in milliseconds from the intended send \
         time, medians over the valid rounds. A failed request counts as one that took the \
         timeout. Lag is the generator's own lateness.</p>\n\
         {}{}<h2>Settings</h2>\n{}<h2>Machine</h2>\n{}</body>\n</html>\n",
        escape(&line_of(sweep)),
        knees(sweep, &points),
        escape(knee::DEFINITION),
        words::READ,
        all_points(sweep, &points),
        ratios(sweep),
        words::DISTRUST,
        settings(&sweep.settings),
        machine(sweep),
    )
}

/// What may stand in text and in attributes.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn line_of(sweep: &Sweep) -> String {
    let text = |name: &str| sweep.machine.get(name).and_then(Value::as_str).unwrap_or("unknown");
    let Settings { rounds, clients, connections, .. } = sweep.settings;
    format!(
        "{rounds} rounds; {clients} clients with a key each over {connections} connections; commit \
         {}; {}; {}",
        text("commit"),
        text("cpu"),
        sweep.settings.placement
    )
}

/// Cells are escaped here. Classes are by column.
fn table(head: &[&str], classes: &[&str], rows: &[Vec<String>]) -> String {
    let class = |column: usize| match classes.get(column) {
        Some(&name) if !name.is_empty() => format!(" class=\"{name}\""),
        _ => String::new(),
    };
    let title =
        |(column, cell): (usize, &&str)| format!("<th{}>{}</th>", class(column), escape(cell));
    let head: String = head.iter().enumerate().map(title).collect();
    let row = |cells: &Vec<String>| {
        let cells = cells.iter().enumerate();
        let cells =
            cells.map(|(column, cell)| format!("<td{}>{}</td>", class(column), escape(cell)));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let rows: String = rows.iter().map(row).collect();
    format!(
        "<div class=\"scroll\"><table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n\
         </table></div>\n"
    )
}

fn knees(sweep: &Sweep, points: &[Point]) -> String {
    let row = |(index, target): (usize, &crate::sweep::document::Target)| {
        let capacity = target.capacity_per_second.map(|rate| thousands(real(rate)));
        vec![
            target.name.clone(),
            knee_in_words(summary::knee_of(points, index)),
            capacity.unwrap_or_else(|| "not asked".into()),
            target.about.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = sweep.targets.iter().enumerate().map(row).collect();
    let head = ["target", "knee, requests per second", "flat out, per second", "what it is"];
    table(&head, &["", "", "", "words"], &rows)
}

fn all_points(sweep: &Sweep, points: &[Point]) -> String {
    let row = |point: &Point| {
        let name = sweep.targets.get(point.target).map_or("", |target| target.name.as_str());
        let doubts: Vec<&str> = point.doubts.iter().map(|doubt| doubt.in_words()).collect();
        let failed = point.failures.named().into_iter().filter(|(_, count)| *count > 0);
        let failed: Vec<String> = failed.map(|(kind, count)| format!("{count} {kind}")).collect();
        vec![
            name.into(),
            thousands(real(point.per_second)),
            thousands(point.achieved.median),
            in_ms(point.p50_ns),
            in_ms(point.p99_ns),
            in_ms(point.p999_ns),
            format!("{:.1}", point.cpu_us.median),
            ms(point.lag_p99_ns.median),
            format!("{:.2}", point.others.median),
            thousands(real(point.intended)),
            if failed.is_empty() { "0".into() } else { failed.join(", ") },
            thousands(real(point.waited)),
            format!("{} of {} {}", point.valid_rounds, point.rounds, doubts.join(", ")),
        ]
    };
    let rows: Vec<Vec<String>> = points.iter().map(row).collect();
    let head = [
        "target",
        "offered/s",
        "right/s",
        "p50 (min..max)",
        "p99 (min..max)",
        "p99.9 (min..max)",
        "CPU µs/request",
        "lag p99",
        "CPUs of others",
        "requests",
        "failed",
        "had to wait",
        "valid rounds",
    ];
    table(&head, &[""; 13], &rows)
}

fn in_ms(spread: Spread) -> String {
    format!("{} ({}..{})", ms(spread.median), ms(spread.min), ms(spread.max))
}

fn ratios(sweep: &Sweep) -> String {
    let name = |index: usize| sweep.targets.get(index).map_or("", |target| target.name.as_str());
    let row = |ratio: summary::Ratio| {
        let Spread { min, median, max } = ratio.spread;
        let pair = format!("{} / {}", name(ratio.above), name(ratio.below));
        let figures = [median, min, max].map(|figure| format!("{figure:.2}"));
        [pair, thousands(real(ratio.per_second))].into_iter().chain(figures).collect()
    };
    let rows: Vec<Vec<String>> = summary::cpu_ratios(sweep).into_iter().map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    format!(
        "<h2>CPU per request, paired within each round</h2>\n{}",
        table(&["servers", "at, per second", "median", "min", "max"], &[""; 5], &rows)
    )
}

fn settings(settings: &Settings) -> String {
    let rows = [
        ("arrivals", format!("{:?}, seed {}", settings.arrivals, settings.seed)),
        ("requests", settings.mix.clone()),
        ("clients", thousands(settings.clients.into())),
        ("connections", thousands(settings.connections.into())),
        ("measured, of each point and round", format!("{} ms", settings.measured_ms)),
        ("warm-up before it", format!("{} ms", settings.warm_up_ms)),
        ("timeout", format!("{} ms", settings.timeout_ms)),
        ("a run is valid up to a lag at p99 of", format!("{} µs", settings.lag_bound_us)),
        ("placement", settings.placement.clone()),
    ];
    let rows: Vec<Vec<String>> =
        rows.into_iter().map(|(name, value)| vec![name.into(), value]).collect();
    table(&["setting", "value"], &["", "long"], &rows)
}

fn machine(sweep: &Sweep) -> String {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), Into::into);
    let fields = sweep.machine.as_object().into_iter().flatten();
    let mut rows: Vec<Vec<String>> =
        fields.map(|(name, value)| vec![name.replace('_', " "), text(value)]).collect();
    let percent = |part: u64, whole: u64| 100.0 * real(part) / real(whole.max(1));
    for (round, noise) in (1..).zip(&sweep.noise) {
        let lost = percent(noise.lost_ns, noise.probed_ns);
        let value = format!(
            "{lost:.2} % of the generator's CPU was not to be had; longest gap {} ms",
            ms(real(noise.longest_gap_ns))
        );
        rows.push(vec![format!("noise before round {round}"), value]);
    }
    let sum = |of: fn(&crate::sweep::document::Cost) -> u64| -> u64 {
        sweep.runs.iter().map(|run| of(&run.cost)).sum()
    };
    let stolen = percent(sum(|cost| cost.stolen_ns), sum(|cost| cost.wall_ns));
    rows.push(vec!["stolen by the host".into(), format!("{stolen:.2} % of one CPU")]);
    let harness = &sweep.harness;
    rows.push(vec![
        "generator and stub alone".into(),
        format!(
            "{} requests per second at most; generator {:.1}, stub {:.1} CPU µs each",
            thousands(real(harness.ceiling_per_second)),
            real(harness.generator_cpu_ns) / 1e3,
            real(harness.stub_cpu_ns) / 1e3
        ),
    ]);
    for late in &harness.lateness {
        let lag = |at: f64| ms(real(late.lag.at(at)));
        rows.push(vec![
            format!("lateness alone, at {}/s", thousands(real(late.per_second))),
            format!(
                "p50 {} ms, p99 {} ms, most {} ms",
                lag(0.5),
                lag(0.99),
                ms(real(late.lag.max()))
            ),
        ]);
    }
    table(&["machine", ""], &["", "long"], &rows)
}

const STYLE: &str = include_str!("page/style.css");

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::sweep::document::tests::sample;

    /// Asks a real XML parser.
    fn check_well_formed(text: &str) {
        let program = "import sys, xml.dom.minidom as m; d = m.parse(sys.stdin.buffer); \
                       print(len(d.getElementsByTagName('svg')))";
        let mut python = Command::new("python3")
            .args(["-c", program])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("python3 is installed");
        let mut stdin = python.stdin.take().expect("it was asked for");
        stdin.write_all(text.as_bytes()).expect("it reads");
        drop(stdin);
        let said = python.wait_with_output().expect("it ends");
        let problem = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "{problem}\n{text}");
        assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), "6");
    }

    #[test]
    fn the_page_is_well_formed_whatever_the_texts() {
        check_well_formed(&render(&sample(), None));
        check_well_formed(&render(&sample(), Some(900)));
        let mut sweep = sample();
        sweep.targets[0].name = "\"<&>'".into();
        check_well_formed(&render(&sweep, None));
    }

    #[test]
    fn a_sweep_without_runs_is_a_page_too() {
        let mut sweep = sample();
        sweep.runs.clear();
        let page = render(&sweep, None);
        check_well_formed(&page);
        assert!(!page.contains("NaN") && !page.contains("inf"), "{page}");
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        let page = render(&sample(), None);
        for foreign in ["<script", "src=", "href=", "@import", "url(http"] {
            assert!(!page.contains(foreign), "{foreign}");
        }
        assert!(!page.contains("NaN") && page.contains("1,000 (not 4,000)"));
    }
}
