//! `loadtest cpu`: CPU microseconds per request of gate, bare proxy and nginx, in rounds that take
//! turns, as ratios within each round. Absolute figures move by half between two minutes of one
//! machine; ratios of neighbours move less. Believe the median with its range, or nothing.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::closed_loop::ClosedLoop;
use crate::error::{Result, Verdict};
use crate::machine::{self, Pinning};
use crate::procfs::CpuTimes;
use crate::report::{progress, say, table};
use crate::servers::features::Governance;
use crate::servers::{Kind, Server, Stage, beside};
use crate::stats::{Spread, real};

#[derive(Debug, clap::Args)]
pub struct Options {
    /// Rounds; each measures every server once, in an order that rotates.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Keep-alive connections of the generator.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    connections: u32,
    /// Requests on each connection in a round.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    requests: u32,
    /// The gate; by default `onegate` beside this program.
    #[arg(long, value_name = "FILE")]
    gate: Option<PathBuf>,
    /// The bare proxy; by default `bare` beside this program.
    #[arg(long, value_name = "FILE")]
    bare: Option<PathBuf>,
    /// Read buffer of the bare proxy's connections in bytes; must be the gate's.
    #[arg(long, default_value_t = super::GATE_L4_READ)]
    l4_read: usize,
    /// Measure bare proxy and nginx alone.
    #[arg(long)]
    without_gate: bool,
    /// One JSON value instead of the tables.
    #[arg(long)]
    json: bool,
}

pub fn run(options: &Options) -> Result<Verdict> {
    let pinning = Pinning::apply()?;
    let gate = options.gate.clone().map_or_else(|| beside("onegate"), Ok)?;
    let gate = (!options.without_gate).then_some(gate);
    let stage = Stage::set(gate.as_deref(), &pinning.rest)?;
    let binary = options.bare.clone().map_or_else(|| beside("bare"), Ok)?;
    let bare = Kind::bare(binary, options.l4_read);
    let gate = gate.map(|binary| ("gate", Kind::Gate { binary, with: Governance::default() }));
    let all = gate.into_iter().chain([("bare", bare), ("nginx", Kind::Nginx)]);
    let mut lanes = Vec::new();
    for (name, kind) in all {
        let server = stage.start(name, &kind, &pinning.server)?;
        lanes.push(Lane::open(name, server, options)?);
    }
    let count = lanes.len();
    for round in 0..options.rounds as usize {
        progress(&format!("round {} of {}", round + 1, options.rounds));
        // Whoever comes first finds other caches than who comes last.
        for step in 0..count {
            if let Some(lane) = lanes.get_mut((round + step) % count) {
                lane.measure(options)?;
            }
        }
    }
    say(&if options.json {
        as_json(&lanes, options).to_string()
    } else {
        as_text(&lanes, options)
    })?;
    Ok(Verdict::Good)
}

/// One server with its generator and its figures.
struct Lane {
    name: &'static str,
    server: Server,
    clients: ClosedLoop,
    /// CPU microseconds per request, round by round.
    rounds: Vec<f64>,
}

impl Lane {
    fn open(name: &'static str, server: Server, options: &Options) -> Result<Self> {
        let mut clients = ClosedLoop::open(server.address, options.connections, &server.request)?;
        clients.run(options.requests)?;
        Ok(Self { name, server, clients, rounds: Vec::new() })
    }

    fn measure(&mut self, options: &Options) -> Result<()> {
        let pid = self.server.process.pid();
        // Caches first: another server has just run.
        self.clients.run((options.requests / 10).max(1))?;
        let before = CpuTimes::of(pid)?;
        self.clients.run(options.requests)?;
        let spent = real(CpuTimes::of(pid)?.since(&before)) / 1e3;
        let requests = f64::from(options.requests) * f64::from(options.connections);
        self.rounds.push(spent / requests);
        Ok(())
    }
}

/// Every server over every later one, round by round.
fn ratios(lanes: &[Lane]) -> Vec<(String, Spread)> {
    let pairs = lanes
        .iter()
        .enumerate()
        .flat_map(|(index, above)| lanes.iter().skip(index + 1).map(move |below| (above, below)));
    let ratio = |(above, below): (&Lane, &Lane)| {
        let figures: Vec<f64> =
            above.rounds.iter().zip(&below.rounds).map(|(a, b)| a / b.max(1e-9)).collect();
        Some((format!("{} / {}", above.name, below.name), Spread::of(&figures)?))
    };
    pairs.filter_map(ratio).collect()
}

fn as_text(lanes: &[Lane], options: &Options) -> String {
    let figures = |name: String, spread: Spread, digits: usize| {
        let cell = |figure: f64| format!("{figure:.digits$}");
        vec![name, cell(spread.median), cell(spread.min), cell(spread.max)]
    };
    let absolute: Vec<Vec<String>> = lanes
        .iter()
        .filter_map(|lane| Some(figures(lane.server.about.clone(), Spread::of(&lane.rounds)?, 1)))
        .collect();
    let paired: Vec<Vec<String>> =
        ratios(lanes).into_iter().map(|(name, spread)| figures(name, spread, 2)).collect();
    let with = format!(
        "{} rounds; {} connections with {} requests each; closed loop; one server thread",
        options.rounds, options.connections, options.requests
    );
    [
        table(&["paired ratio of CPU per request", "median", "min", "max"], &paired),
        String::new(),
        table(
            &["CPU us per request (do not compare across runs)", "median", "min", "max"],
            &absolute,
        ),
        String::new(),
        with,
        machine::in_words(&machine::fingerprint()),
    ]
    .join("\n")
}

fn as_json(lanes: &[Lane], options: &Options) -> Value {
    let servers = lanes.iter().map(
        |lane| json!({ "name": lane.name, "about": lane.server.about, "cpu_us": lane.rounds }),
    );
    let ratios = ratios(lanes).into_iter().map(|(name, spread)| {
        json!({ "ratio": name, "median": spread.median, "min": spread.min, "max": spread.max })
    });
    json!({
        "ratios": ratios.collect::<Vec<_>>(),
        "servers": servers.collect::<Vec<_>>(),
        "rounds": options.rounds,
        "connections": options.connections,
        "requests": options.requests,
        "machine": machine::fingerprint(),
    })
}
