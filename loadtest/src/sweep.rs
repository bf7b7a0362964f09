//! `loadtest sweep`: throughput against latency, for the gate and its peers, by an open loop in
//! rounds that take turns; `loadtest report` shows a finished sweep again. Here is the order of
//! things; what is measured how is below `sweep/`, how it looks is in `page`.

mod answer;
mod connection;
pub mod document;
mod generator;
pub mod knee;
mod measure;
mod noise;
mod plan;
mod schedule;
pub mod summary;
mod tally;
mod terminal;
pub mod times;
mod workload;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result, Verdict};
use crate::machine::{self, Places, RealTime};
use crate::page;
use crate::report::{progress, say};
use crate::servers::features::Governance;
use crate::servers::{Kind, Scene, Server, Stage, beside};

pub use terminal::{in_words as knee_in_words, ms};

use document::{FORMAT, Rung, Settings, Sweep, Target};
use measure::Bench;
use schedule::Arrivals;
use workload::{MIX_IN_WORDS, Workload};

#[derive(Debug, clap::Args)]
pub struct Options {
    /// Whom to measure; the stub alone shows what the harness can do, `bare` twice what it is worth.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Who::Gate, Who::Nginx, Who::Bare, Who::Stub])]
    targets: Vec<Who>,
    /// Requests per second to offer to every target [default: from the capacity of each].
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    rates: Vec<u64>,
    /// Rounds; each offers every rate to every target once, in an order of its own.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Measured time of one point, in milliseconds.
    #[arg(long, default_value_t = 3000, value_parser = clap::value_parser!(u64).range(100..=600_000))]
    measured_ms: u64,
    /// Load of the same rate before it that is not measured, in milliseconds.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    warm_up_ms: u64,
    /// A request without its answer after this time has failed, in milliseconds.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(10..=60_000))]
    timeout_ms: u64,
    #[arg(long, value_enum, default_value = "poisson")]
    arrivals: Arrivals,
    /// Decides orders, arrivals and requests.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Clients, each with a key of its own.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    clients: u32,
    /// Keep-alive connections of the generator.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1000))]
    connections: u32,
    /// A run in which the generator was later than this at p99 is not valid, in microseconds.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    lag_bound_us: u64,
    /// Schedule servers, stub and generator before all ordinary programs; needs the permission.
    #[arg(long)]
    real_time: bool,
    /// The gate; by default `onegate` beside this program.
    #[arg(long, value_name = "FILE")]
    gate: Option<PathBuf>,
    /// The bare proxy; by default `bare` beside this program.
    #[arg(long, value_name = "FILE")]
    bare: Option<PathBuf>,
    /// Read buffer of the bare proxy's connections in bytes; must be the gate's.
    #[arg(long, default_value_t = super::GATE_L4_READ)]
    l4_read: usize,
    /// Where `sweep.json` and `sweep.html` are written.
    #[arg(long, value_name = "FOLDER", default_value = "loadtest-sweep")]
    out: PathBuf,
}

#[derive(Debug, clap::Args)]
pub struct ReportOptions {
    /// `sweep.json` of a sweep.
    file: PathBuf,
    /// The page [default: the file's name with `.html`].
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Show percentiles at the points nearest to this rate [default: the highest common one].
    #[arg(long, value_name = "PER_SECOND")]
    rate: Option<u64>,
}

/// Who may be measured.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
enum Who {
    Gate,
    Nginx,
    Bare,
    Stub,
}

impl Who {
    const fn name(self) -> &'static str {
        match self {
            Self::Gate => "gate",
            Self::Nginx => "nginx",
            Self::Bare => "bare",
            Self::Stub => "stub",
        }
    }
}

pub fn run(options: &Options) -> Result<Verdict> {
    let names = names(&options.targets)?;
    fs::create_dir_all(&options.out).map_err(Error::while_doing("cannot make the folder"))?;
    machine::raise_open_files()?;
    let places = Places::take(options.real_time.then_some(RealTime))?;
    let gate = options.gate.clone().map_or_else(|| beside("onegate"), Ok)?;
    let gate = options.targets.contains(&Who::Gate).then_some(gate);
    let scene = Scene::Many { clients: options.clients };
    let stage = Stage::set_for(scene, gate.as_deref(), &places.stub)?;
    let workload = Workload::new(&stage.keys);
    let servers = start(options, &names, &stage, gate, &places)?;
    let servers: Vec<&Server> = servers.iter().map(|s| s.as_ref().unwrap_or(&stage.stub)).collect();
    let settings = settings(options, &places);
    let bench = Bench { stage: &stage, workload: &workload, settings: &settings };

    progress("what can the harness do?");
    let harness = bench.harness()?;
    let capacities = if options.rates.is_empty() { bench.capacities(&servers)? } else { vec![] };
    let rungs = rungs(options, &capacities);
    let target = |(index, server): (usize, &&Server)| Target {
        name: names.get(index).cloned().unwrap_or_default(),
        about: server.about.clone(),
        capacity_per_second: capacities.get(index).copied(),
    };
    let mut sweep = Sweep {
        format: FORMAT,
        machine: machine::fingerprint(),
        harness,
        targets: servers.iter().enumerate().map(target).collect(),
        rungs,
        noise: Vec::new(),
        runs: Vec::new(),
        settings: settings.clone(),
    };
    for round in 0..options.rounds {
        measure_round(&bench, &mut sweep, &servers, round)?;
        // What is measured is kept, whatever happens to the next round.
        write(&options.out.join("sweep.json"), &as_json(&sweep))?;
    }
    let html = options.out.join("sweep.html");
    write(&html, &page::render(&sweep, None))?;
    say(&terminal::render(&sweep))?;
    say(&format!("\nThe curves: {}", html.display()))?;
    Ok(Verdict::Good)
}

/// Shows a finished sweep again.
pub fn report(options: &ReportOptions) -> Result<Verdict> {
    let told = options.file.display().to_string();
    let text = fs::read_to_string(&options.file)
        .map_err(Error::while_doing(format!("cannot read {told}")))?;
    let sweep = from_json(&text).map_err(|why| Error::unexpected(told, why))?;
    let html = options.html.clone().unwrap_or_else(|| options.file.with_extension("html"));
    write(&html, &page::render(&sweep, options.rate))?;
    say(&terminal::render(&sweep))?;
    say(&format!("\nThe curves: {}", html.display()))?;
    Ok(Verdict::Good)
}

/// One for each target. The bare proxy may stand beside itself; the others have one place for their
/// files.
fn names(targets: &[Who]) -> Result<Vec<String>> {
    let name = |(index, who): (usize, &Who)| {
        let before = targets.iter().take(index).filter(|other| *other == who).count();
        match (before, who) {
            (0, _) => Ok(who.name().into()),
            (_, Who::Bare) => Ok(format!("bare {}", before + 1)),
            _ => Err(Error::unexpected("--targets", format!("has {} twice", who.name()))),
        }
    };
    targets.iter().enumerate().map(name).collect()
}

/// The targets in their order; None is the stub, which runs already.
fn start(
    options: &Options,
    names: &[String],
    stage: &Stage,
    gate: Option<PathBuf>,
    places: &Places,
) -> Result<Vec<Option<Server>>> {
    let bare = options.bare.clone().map_or_else(|| beside("bare"), Ok)?;
    let start = |(who, name): (&Who, &String)| {
        let kind = match who {
            Who::Stub => return Ok(None),
            Who::Gate => {
                Kind::Gate { binary: gate.clone().unwrap_or_default(), with: Governance::default() }
            }
            Who::Bare => Kind::bare(bare.clone(), options.l4_read),
            Who::Nginx => Kind::Nginx,
        };
        stage.start(name, &kind, &places.server).map(Some)
    };
    options.targets.iter().zip(names).map(start).collect()
}

fn settings(options: &Options, places: &Places) -> Settings {
    Settings {
        arrivals: options.arrivals,
        seed: options.seed,
        rounds: options.rounds,
        clients: options.clients,
        connections: options.connections,
        warm_up_ms: options.warm_up_ms,
        measured_ms: options.measured_ms,
        timeout_ms: options.timeout_ms,
        lag_bound_us: options.lag_bound_us,
        mix: MIX_IN_WORDS.into(),
        placement: places.in_words.clone(),
        load_shares_cpu: places.load_shares_cpu,
        debug_build: cfg!(debug_assertions),
    }
}

fn rungs(options: &Options, capacities: &[u64]) -> Vec<Rung> {
    if options.rates.is_empty() {
        // The stub alone is no peer: it bears what no proxy does.
        let compared: Vec<bool> = options.targets.iter().map(|who| *who != Who::Stub).collect();
        plan::rungs_of_capacities(capacities, &compared)
    } else {
        plan::rungs_of_rates(&options.rates, options.targets.len())
    }
}

fn measure_round(
    bench: &Bench<'_>,
    sweep: &mut Sweep,
    servers: &[&Server],
    round: u32,
) -> Result<()> {
    sweep.noise.push(noise::probe(NOISE_PROBE)?);
    let order = plan::order(sweep.rungs.len(), servers.len(), round, sweep.settings.seed);
    let count = order.len();
    for (turn, (rung, target)) in order.into_iter().enumerate() {
        let rate = sweep.rungs.get(rung).and_then(|rung| rung.per_second.get(target));
        let (Some(&per_second), Some(server)) = (rate, servers.get(target)) else { continue };
        progress(&format!(
            "round {} of {}, point {} of {count}: {} at {per_second}/s",
            round + 1,
            sweep.settings.rounds,
            turn + 1,
            sweep.targets.get(target).map_or("", |target| &target.name),
        ));
        sweep.runs.push(bench.run(server, (target, rung, round), per_second)?);
        bench.stage.forget_records();
    }
    Ok(())
}

/// The facts, and beside them what is derived, for readers that do not want to derive it.
fn as_json(sweep: &Sweep) -> String {
    serde_json::json!({ "sweep": sweep, "summary": terminal::summary(sweep) }).to_string()
}

fn from_json(text: &str) -> std::result::Result<Sweep, String> {
    let mut value: serde_json::Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let sweep = value.get_mut("sweep").map(serde_json::Value::take);
    let sweep = sweep.ok_or("there is no sweep in it")?;
    let format = sweep.get("format").and_then(serde_json::Value::as_u64);
    if format != Some(FORMAT.into()) {
        return Err(format!("its format is not {FORMAT}, which this program reads"));
    }
    serde_json::from_value(sweep).map_err(|e| e.to_string())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(Error::while_doing(format!("cannot write {}", path.display())))
}

const NOISE_PROBE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_sweep_is_read_again() {
        let sweep = document::tests::sample();
        assert_eq!(from_json(&as_json(&sweep)), Ok(sweep));
    }

    #[test]
    fn only_the_bare_proxy_may_stand_beside_itself() {
        let check = |targets: &[Who], expected: Option<&[&str]>| {
            let names = names(targets).ok();
            let names =
                names.as_ref().map(|all| all.iter().map(String::as_str).collect::<Vec<_>>());
            assert_eq!(names.as_deref(), expected, "{targets:?}");
        };
        check(&[Who::Gate, Who::Stub], Some(&["gate", "stub"]));
        check(&[Who::Bare, Who::Bare, Who::Bare], Some(&["bare", "bare 2", "bare 3"]));
        check(&[Who::Nginx, Who::Gate, Who::Nginx], None);
    }

    #[test]
    fn other_files_are_refused() {
        let check = |text: &str, part: &str| {
            let why = from_json(text).expect_err("no sweep");
            assert!(why.contains(part), "{why}");
        };
        check("[", "EOF");
        check("{}", "no sweep");
        check(r#"{"sweep":{"format":0}}"#, "format");
        check(r#"{"sweep":{"format":1}}"#, "missing field");
    }
}
