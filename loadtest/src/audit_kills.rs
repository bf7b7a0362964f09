//! `loadtest audit-kills`: a gate under load is killed again and again. Every answer whose head a caller got has
//! its record, and the log proves itself each time. With `--power-loss`, what was not synced is lost
//! at each kill, and no call of a `write-ahead` operation reached the upstream without its record.

mod layer;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::callers::{self, Calls, Ledger};
use crate::error::{Error, Result, Verdict};
use crate::place::{Place, await_load};
use crate::process;
use crate::report::{progress, say};
use crate::scratch::Scratch;
use crate::servers::beside;
use crate::upstream::Upstream;

use layer::Layer;

#[derive(Debug, clap::Args)]
pub struct Options {
    /// How often the gate is killed.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1000))]
    times: u64,
    /// Answers between two kills, at least.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(10..))]
    answers: u64,
    /// What was not synced is lost at each kill.
    #[arg(long)]
    power_loss: bool,
    /// Call an operation that does not write ahead: with `--power-loss` its records may be lost, which shows that
    /// the layer forgets.
    #[arg(long)]
    standard: bool,
    /// The gate; by default `onegate` beside this program.
    #[arg(long, value_name = "FILE")]
    gate: Option<PathBuf>,
    /// One JSON value instead of the sentence.
    #[arg(long)]
    json: bool,
}

/// What the kills came to.
#[derive(Default)]
struct Outcome {
    /// Ids that must have a record: of answers, or of calls of the upstream.
    due: Vec<String>,
    records: BTreeMap<String, u64>,
    /// Records that say `crash`.
    crashed: u64,
    /// Pairs of boot and number that more than one line has.
    repeated: u64,
}

pub fn run(options: &Options) -> Result<Verdict> {
    let binary = options.gate.clone().map_or_else(|| beside("onegate"), Ok)?;
    let outcome = kill_again_and_again(&binary, options)?;
    let count = |id: &&String| outcome.records.get(*id).copied().unwrap_or_default();
    let lost = outcome.due.iter().filter(|id| count(id) == 0).count();
    let double = outcome.records.values().filter(|count| **count > 1).count();
    let (due, crashed, repeated) = (outcome.due.len(), outcome.crashed, outcome.repeated);
    let what = if options.power_loss { "calls of the upstream" } else { "answers" };
    say(&if options.json {
        json!({
            "kills": options.times,
            "power_loss": options.power_loss,
            "due": due,
            "lost": lost,
            "double": double,
            "crashed": crashed,
            "repeated": repeated,
        })
        .to_string()
    } else {
        let kills = if options.power_loss { "power cuts" } else { "kills" };
        format!(
            "{} {kills} under load: {due} {what}, {lost} without a record; {crashed} records say \
             \"crash\", {double} calls have two, {repeated} numbers were used twice; verified each time",
            options.times,
        )
    })?;
    let is_kept = due > 0 && lost == 0 && double == 0 && repeated == 0;
    Ok(if is_kept { Verdict::Good } else { Verdict::AboveLimit })
}

fn kill_again_and_again(binary: &Path, options: &Options) -> Result<Outcome> {
    let scratch = Scratch::make()?;
    let upstream = Upstream::start()?;
    let config = if options.power_loss || options.standard {
        CONFIG.to_owned()
    } else {
        // Files end and are sealed meanwhile. The layer knows nothing of that.
        CONFIG.replace("[audit]\n", "[audit]\nsegment_bytes_max = \"1MiB\"\nseal_after = \"1s\"\n")
    };
    let place = Place::make(&scratch, binary, &config, upstream.address)?;
    let key = place.make_client("wide")?;
    let layer = options.power_loss.then(|| Layer::under(place.data()?, &scratch)).transpose()?;
    let environment = layer.as_ref().map(Layer::environment);
    let environment = environment.as_ref().map_or(&[][..], |variables| variables);
    let answered = Ledger::default();
    let mut outcome = Outcome::default();
    let calls: Calls = match (options.power_loss, options.standard) {
        (_, true) => &[("GET", "/plain")],
        (true, false) => &[("POST", "/ahead")],
        (false, false) => &MIXED,
    };
    for kill in 1..=options.times {
        if let Some(layer) = &layer {
            layer.begin()?;
        }
        let gate = place.start_with(environment)?;
        let mut callers = Vec::new();
        for _ in 0..HTTP1_CALLERS {
            callers.push(callers::over_http1(place.address, &key, calls, &answered));
        }
        for _ in 0..HTTP2_CALLERS {
            let streams = (calls, HTTP2_STREAMS);
            callers.push(callers::over_http2(place.address, &key, streams, &answered));
        }
        if !options.power_loss {
            let held: Calls = &[("GET", "/held")];
            callers.push(callers::over_http1(place.address, &key, held, &answered));
        }
        // Never at the same point.
        let enough = options.answers + kill * 37 % (options.answers / 2).max(1);
        await_load(|| answered.len() as u64 >= enough)?;
        // SIGKILL.
        drop(gate);
        for caller in callers {
            // Its connection has failed, which is what it was for.
            drop(caller.join());
        }
        if let Some(layer) = &layer {
            layer.cut()?;
        }
        let (ids, called) = (answered.take(), upstream.called.take());
        progress(&format!("kill {kill}: {} answers, {} calls", ids.len(), called.len()));
        outcome.due.extend(if options.power_loss { called } else { ids });
        recover(&place)?;
    }
    read(&place, &mut outcome)?;
    Ok(outcome)
}

/// Closes what the kill has left, by a command that writes to the log, and checks all of it.
fn recover(place: &Place<'_>) -> Result<()> {
    let run = |args: &[&str]| {
        let mut command: Command = place.command()?;
        command.args(args);
        process::output(command)
    };
    run(&["client", "change", "load", "--purpose", "load again"])?;
    run(&["audit", "rotate-key", "--reason", "killed once more"])?;
    run(&["audit", "verify"]).map(drop)
}

fn read(place: &Place<'_>, outcome: &mut Outcome) -> Result<()> {
    let mut command = place.command()?;
    command.args(["--json", "audit", "query"]);
    let mut numbers = BTreeSet::new();
    for line in process::output(command)?.lines() {
        let record: Value = serde_json::from_str(line)
            .map_err(|error| Error::unexpected("onegate audit query", error.to_string()))?;
        let id = record["id"].as_str().unwrap_or_default().to_owned();
        *outcome.records.entry(id).or_default() += 1;
        outcome.crashed += u64::from(record["end"] == "crash");
        let number = (record["boot"].to_string(), record["seq"].as_u64());
        outcome.repeated += u64::from(!numbers.insert(number));
    }
    Ok(())
}

const HTTP1_CALLERS: usize = 4;
const HTTP2_CALLERS: usize = 2;
const HTTP2_STREAMS: usize = 4;

/// Allowed, written ahead, and denied.
const MIXED: [(&str, &str); 4] =
    [("GET", "/plain"), ("POST", "/ahead"), ("GET", "/nothing"), ("GET", "/plain")];

/// Denials have records of their own: each is looked for.
pub const CONFIG: &str = r#"
[server]
drain_deadline = "0s"
[audit]
denials_per_source = 1000000
[metrics]
address = "METRICS"
[[listener]]
name = "load"
address = "GATE"
http2 = true
[[upstream]]
name = "remembering"
endpoints = ["UPSTREAM"]
[[api]]
name = "load"
upstream = "remembering"
access = "granted"
[[api.operation]]
id = "plain"
methods = ["GET"]
path = "/plain"
[[api.operation]]
id = "held"
methods = ["GET"]
path = "/held"
[[api.operation]]
id = "ahead"
methods = ["POST"]
path = "/ahead"
audit = "write-ahead"
[[product]]
name = "all"
operations = ["load.plain", "load.held", "load.ahead"]
[[plan]]
name = "wide"
rates = [{ limit = 1000000, per = "1s" }]
"#;
