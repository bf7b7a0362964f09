//! `loadtest features`: what each feature costs a request that uses it, and one that does not, in user
//! instructions by callgrind. The second should be nothing.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::counted::{Counted, Measured};
use crate::error::{Result, Verdict};
use crate::machine;
use crate::process::Prefix;
use crate::report::{progress, say, table, thousands};
use crate::servers::features::{Feature, Features, Governance};
use crate::servers::{Kind, Stage, beside};

#[derive(Debug, clap::Args)]
pub struct Options {
    /// The gate; by default `onegate` beside this program.
    #[arg(long, value_name = "FILE")]
    gate: Option<PathBuf>,
    /// A gate to compare with, as one built before a change.
    #[arg(long, value_name = "FILE")]
    before: Option<PathBuf>,
    /// Only these, parted by commas.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Feature>,
    /// Sequential requests in each counting.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    requests: u32,
    /// One JSON value instead of the table.
    #[arg(long)]
    json: bool,
}

/// What is counted: a config, by a gate.
struct Case {
    what: String,
    with: Governance,
}

/// What a case came to, by the gate and by the one before.
struct Row {
    what: String,
    worker: f64,
    before: Option<f64>,
}

pub fn run(options: &Options) -> Result<Verdict> {
    let gate = options.gate.clone().map_or_else(|| beside("onegate"), Ok)?;
    let only = if options.only.is_empty() { &Feature::ALL[..] } else { &options.only };
    let mut rows = Vec::new();
    for case in cases(only) {
        progress(&case.what);
        let worker = count(&gate, &case, options)?;
        let before = options.before.as_ref().map(|gate| count(gate, &case, options)).transpose()?;
        rows.push(Row { what: case.what, worker, before });
    }
    say(&if options.json { as_json(&rows).to_string() } else { as_text(&rows, options) })?;
    Ok(Verdict::Good)
}

fn cases(only: &[Feature]) -> Vec<Case> {
    let none = Features::default();
    let case = |what: String, here, elsewhere| Case { what, with: Governance { here, elsewhere } };
    let mut cases = vec![case("key + scope + 2 rates + audit + metrics".into(), none, none)];
    for feature in only {
        let one: Features = [*feature].into_iter().collect();
        if feature.can_be_elsewhere() {
            cases.push(case(format!("{feature:?} elsewhere"), none, one));
        }
        cases.push(case(format!("{feature:?}"), one, none));
    }
    // One upstream has one way to balance.
    let fit = |one: &Feature| one.can_be_elsewhere() && *one != Feature::HashByPath;
    let all: Features = Feature::ALL.into_iter().filter(fit).collect();
    cases.push(case("all of them elsewhere".into(), none, all));
    cases.push(case("everything on".into(), Features::everything(), none));
    cases
}

fn count(gate: &std::path::Path, case: &Case, options: &Options) -> Result<f64> {
    let stage = Stage::set(Some(gate), &Prefix::default())?;
    let kind = Kind::Gate { binary: gate.into(), with: case.with };
    let mut counted = Counted::start(&stage, "gate", &kind)?;
    counted.warm_up(300)?;
    for _ in 0..2 {
        counted.count(options.requests)?;
    }
    let measured: Measured = counted.into_measured();
    measured.refuse_unsteady()?;
    Ok(measured.worker())
}

fn as_text(rows: &[Row], options: &Options) -> String {
    let base = rows.first();
    let added = |figure: f64, base: f64| {
        let added = figure - base;
        format!("{}{}", if added < 0.0 { "-" } else { "+" }, thousands(added.abs()))
    };
    let cells = rows.iter().map(|row| {
        let mut cells = vec![row.what.clone(), thousands(row.worker)];
        cells.push(base.map_or_else(String::new, |base| added(row.worker, base.worker)));
        if let (Some(before), Some(base)) = (row.before, base.and_then(|base| base.before)) {
            cells.push(thousands(before));
            cells.push(added(before, base));
        }
        cells
    });
    let mut head = vec!["user instructions per request", "worker", "added"];
    if options.before.is_some() {
        head.extend(["before: worker", "added"]);
    }
    [
        table(&head, &cells.collect::<Vec<_>>()),
        String::new(),
        format!("{} requests in each counting; two countings agree to 0.5 %", options.requests),
        machine::in_words(&machine::fingerprint()),
    ]
    .join("\n")
}

fn as_json(rows: &[Row]) -> Value {
    let row = |row: &Row| json!({ "what": row.what, "worker": row.worker, "before": row.before });
    json!({
        "rows": rows.iter().map(row).collect::<Vec<_>>(),
        "machine": machine::fingerprint(),
    })
}
