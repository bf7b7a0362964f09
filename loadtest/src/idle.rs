//! `loadtest idle`: resident memory per idle keep-alive connection, of connections that have sent
//! one request and of connections that have sent nothing. A fresh process for each figure, since
//! an allocator seldom gives memory back.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::client::Connection;
use crate::clock::Deadline;
use crate::error::{Error, Result, Verdict};
use crate::interrupt;
use crate::machine;
use crate::process::Prefix;
use crate::procfs;
use crate::report::{progress, say, table};
use crate::servers::features::Governance;
use crate::servers::{Kind, Server, Stage, beside};
use crate::stats::real;

#[derive(Debug, clap::Args)]
pub struct Options {
    /// Connections to open; they must fit into the hard limit of open files.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(100..=100_000))]
    connections: u32,
    /// The gate; by default `onegate` beside this program.
    #[arg(long, value_name = "FILE")]
    gate: Option<PathBuf>,
    /// The bare proxy; by default `bare` beside this program.
    #[arg(long, value_name = "FILE")]
    bare: Option<PathBuf>,
    /// Read buffers to try with the bare proxy, in bytes.
    #[arg(long, value_name = "BYTES", value_delimiter = ',', default_values_t = [0, 1024, 4096, 16_384, 65_536])]
    l4_read: Vec<usize>,
    /// Measure the bare proxy alone.
    #[arg(long)]
    without_gate: bool,
    /// Exit 1 when the gate takes more KiB per connection [when given without a value: 30].
    #[arg(long, value_name = "KIB", num_args = 0..=1, default_missing_value = "30", conflicts_with = "without_gate")]
    check: Option<f64>,
    /// One JSON value instead of the table.
    #[arg(long)]
    json: bool,
}

pub fn run(options: &Options) -> Result<Verdict> {
    let limit = machine::raise_open_files()?;
    let needed = u64::from(options.connections) + OTHER_FILES;
    if needed > limit {
        let what = format!("{needed} open files are needed, the hard limit is {limit}");
        return Err(Error::unexpected("this machine", what));
    }
    let gate = options.gate.clone().map_or_else(|| beside("onegate"), Ok)?;
    let gate = (!options.without_gate).then_some(gate);
    let bare = options.bare.clone().map_or_else(|| beside("bare"), Ok)?;
    let stage = Stage::set(gate.as_deref(), &Prefix::default())?;
    let gates = gate.map(|binary| Kind::Gate { binary, with: Governance::default() });
    let bares = options.l4_read.iter().map(|&bytes| Kind::bare(bare.clone(), bytes));
    let mut figures = Vec::new();
    for kind in gates.into_iter().chain(bares) {
        figures.push(Figure::measure(&stage, kind, options.connections)?);
    }
    say(&if options.json {
        as_json(&figures, options, limit).to_string()
    } else {
        as_text(&figures, options, limit)
    })?;
    let gate_takes = figures.iter().filter(|figure| matches!(figure.kind, Kind::Gate { .. }));
    let above = |limit: f64| gate_takes.clone().any(|figure| figure.worst_kib() > limit);
    Ok(if options.check.is_some_and(above) { Verdict::AboveLimit } else { Verdict::Good })
}

/// What an idle connection has done before.
#[derive(Clone, Copy, Debug)]
enum Before {
    Nothing,
    OneRequest,
}

/// One server's figures.
struct Figure {
    kind: Kind,
    about: String,
    /// Resident before the connections, of the process without requests on them.
    start_mib: f64,
    silent_kib: f64,
    after_request_kib: f64,
    /// What of the latter is still resident some time after the connections were closed.
    kept_kib: f64,
}

impl Figure {
    fn measure(stage: &Stage, kind: Kind, connections: u32) -> Result<Self> {
        let silent = grow(stage, &kind, connections, Before::Nothing)?;
        let after_request = grow(stage, &kind, connections, Before::OneRequest)?;
        Ok(Self {
            about: silent.about,
            kind,
            start_mib: silent.start_bytes / 1024.0 / 1024.0,
            silent_kib: silent.bytes_per_connection / 1024.0,
            after_request_kib: after_request.bytes_per_connection / 1024.0,
            kept_kib: after_request.bytes_kept / 1024.0,
        })
    }

    const fn worst_kib(&self) -> f64 {
        self.silent_kib.max(self.after_request_kib)
    }
}

struct Growth {
    about: String,
    start_bytes: f64,
    bytes_per_connection: f64,
    /// The same, after the connections were closed.
    bytes_kept: f64,
}

fn grow(stage: &Stage, kind: &Kind, connections: u32, before: Before) -> Result<Growth> {
    progress(&format!("{connections} connections, {before:?}, to {kind:?}"));
    let server = stage.start("idle", kind, &Prefix::default())?;
    let pid = server.process.pid();
    let start_bytes = settled(pid)?;
    let files = procfs::open_files(pid)?;
    let opened: Result<Vec<Connection>> =
        (0..connections).map(|_| open_one(&server, before)).collect();
    let opened = opened?;
    await_open_files(pid, |open| open + FILES_MORE_OR_LESS >= files + opened.len())?;
    let bytes_per_connection = (settled(pid)? - start_bytes) / f64::from(connections);
    drop(opened);
    await_open_files(pid, |open| open <= files + FILES_MORE_OR_LESS)?;
    // Allocators give back seconds later, and when they are next asked for something.
    let mut one = open_one(&server, Before::OneRequest)?;
    let deadline = Deadline::after(GIVEN_BACK_WITHIN);
    while !deadline.passed() {
        one.exchange(&server.request)?;
        interrupt::pause(Duration::from_millis(20))?;
    }
    let bytes_kept = (settled(pid)? - start_bytes) / f64::from(connections);
    Ok(Growth { about: server.about, start_bytes, bytes_per_connection, bytes_kept })
}

fn open_one(server: &Server, before: Before) -> Result<Connection> {
    let mut connection = Connection::open(server.address)?;
    match before {
        Before::Nothing => interrupt::check()?,
        Before::OneRequest => {
            let answer = connection.exchange(&server.request)?;
            if answer.status != 200 {
                return Err(Error::unexpected(&server.about, format!("{answer:?}")));
            }
        }
    }
    Ok(connection)
}

/// A silent connection is only in the kernel until the server has accepted it, and one that we
/// closed is the server's until it has seen the end.
fn await_open_files(pid: u32, enough: impl Fn(usize) -> bool) -> Result<()> {
    let deadline = Deadline::after(SETTLED_WITHIN);
    while !enough(procfs::open_files(pid)?) {
        if deadline.passed() {
            return Err(Error::unexpected("the server", "did not follow our connections"));
        }
        interrupt::pause(Duration::from_millis(50))?;
    }
    Ok(())
}

/// Resident bytes when they have not moved for a while.
fn settled(pid: u32) -> Result<f64> {
    let deadline = Deadline::after(SETTLED_WITHIN);
    let mut last = procfs::resident_bytes(pid)?;
    let mut still = 0;
    while still < 5 {
        if deadline.passed() {
            return Err(Error::Unsteady { what: "the server's memory keeps moving".into() });
        }
        interrupt::pause(Duration::from_millis(100))?;
        let now = procfs::resident_bytes(pid)?;
        still = if now.abs_diff(last) <= STILL_BYTES { still + 1 } else { 0 };
        last = now;
    }
    Ok(real(last))
}

fn as_text(figures: &[Figure], options: &Options, limit: u64) -> String {
    let head = [
        "KiB per idle connection",
        "silent",
        "after one request",
        "kept after close",
        "process MiB before",
    ];
    let rows: Vec<Vec<String>> = figures
        .iter()
        .map(|figure| {
            vec![
                figure.about.clone(),
                format!("{:.1}", figure.silent_kib),
                format!("{:.1}", figure.after_request_kib),
                format!("{:.1}", figure.kept_kib),
                format!("{:.1}", figure.start_mib),
            ]
        })
        .collect();
    let with = format!("{} connections; open files raised to {limit}", options.connections);
    [table(&head, &rows), String::new(), with, machine::in_words(&machine::fingerprint())]
        .join("\n")
}

fn as_json(figures: &[Figure], options: &Options, limit: u64) -> Value {
    let rows = figures.iter().map(|figure| {
        json!({
            "about": figure.about,
            "silent_kib": figure.silent_kib,
            "after_request_kib": figure.after_request_kib,
            "kept_kib": figure.kept_kib,
            "start_mib": figure.start_mib,
        })
    });
    json!({
        "connections": options.connections,
        "open_files_limit": limit,
        "limit_kib": options.check,
        "servers": rows.collect::<Vec<_>>(),
        "machine": machine::fingerprint(),
    })
}

/// Files that a server holds besides the connections: its own, and those to its upstream.
const OTHER_FILES: u64 = 300;
/// mimalloc and jemalloc give pages back after 10 s.
const GIVEN_BACK_WITHIN: Duration = Duration::from_secs(15);
/// The connection that probed the server, and one to its upstream, may come or go meanwhile.
const FILES_MORE_OR_LESS: usize = 4;
const SETTLED_WITHIN: Duration = Duration::from_secs(30);
/// A process with a few timers touches a page now and then.
const STILL_BYTES: u64 = 16 * 1024;
