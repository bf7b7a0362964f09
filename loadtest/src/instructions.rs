//! `loadtest instructions`: user instructions per request of the gate over those of the bare proxy,
//! by callgrind. The one figure here that a busy machine does not disturb, so it is the one that
//! may fail a build.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::callgrind::{Callgrind, ThreadCount};
use crate::client::Connection;
use crate::error::{Error, Result, Verdict};
use crate::machine;
use crate::process::Prefix;
use crate::report::{progress, say, table, thousands};
use crate::servers::{Kind, Server, Stage, beside};
use crate::stats::{Spread, real};

#[derive(Debug, clap::Args)]
pub struct Options {
    /// The gate; by default `onegate` beside this program.
    #[arg(long, value_name = "FILE")]
    gate: Option<PathBuf>,
    /// The bare proxy; by default `bare` beside this program.
    #[arg(long, value_name = "FILE")]
    bare: Option<PathBuf>,
    /// Compare another bare proxy in the gate's place: the harness against itself, or allocators.
    #[arg(long, value_name = "FILE", conflicts_with = "gate")]
    subject_bare: Option<PathBuf>,
    /// Read buffer of accepted connections in bytes; must be the gate's.
    #[arg(long, default_value_t = super::GATE_L4_READ)]
    l4_read: usize,
    /// Sequential requests in each counting.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    requests: u32,
    /// Requests before the first counting.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    warm_up: u32,
    /// Countings of each server.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(2..=100))]
    repeats: u32,
    /// Exit 1 when the ratio is above this [default when given without a value: 1.25].
    #[arg(long, value_name = "RATIO", num_args = 0..=1, default_missing_value = "1.25")]
    check: Option<f64>,
    /// Where the last committed ratio is.
    #[arg(long, value_name = "FILE", default_value = "loadtest/baseline.json")]
    baseline: PathBuf,
    /// Write the result there as the new baseline.
    #[arg(long)]
    write_baseline: bool,
    /// Copy callgrind's dumps there, for `callgrind_annotate`.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// One JSON value instead of the table.
    #[arg(long)]
    json: bool,
}

pub fn run(options: &Options) -> Result<Verdict> {
    let bare = Kind::Bare {
        binary: options.bare.clone().map_or_else(|| beside("bare"), Ok)?,
        l4_read: options.l4_read,
    };
    let subject = match &options.subject_bare {
        Some(binary) => Kind::Bare { binary: binary.clone(), l4_read: options.l4_read },
        None => Kind::Gate { binary: options.gate.clone().map_or_else(|| beside("onegate"), Ok)? },
    };
    let (floor, subject) = measure_both(options, &bare, &subject)?;
    let result = Comparison { floor, subject, baseline: read_baseline(&options.baseline)? };
    if options.json {
        say(&result.as_json(options).to_string())?;
    } else {
        say(&result.as_text(options))?;
    }
    result.refuse_unsteady()?;
    if options.write_baseline {
        write_baseline(&options.baseline, &result)?;
    }
    match options.check {
        Some(limit) if result.ratio() > limit => Ok(Verdict::AboveLimit),
        _ => Ok(Verdict::Good),
    }
}

/// Both run at once and are counted in turn; the one not counted is idle.
fn measure_both(options: &Options, floor: &Kind, subject: &Kind) -> Result<(Measured, Measured)> {
    let gate = match subject {
        Kind::Gate { binary } => Some(binary.as_path()),
        Kind::Bare { .. } | Kind::Nginx => None,
    };
    let stage = Stage::set(gate, &Prefix::default())?;
    progress("starting both servers under valgrind");
    let mut floor = Counted::start(&stage, "floor", floor)?;
    let mut subject = Counted::start(&stage, "subject", subject)?;
    for server in [&mut floor, &mut subject] {
        server.warm_up(options.warm_up)?;
    }
    for repeat in 1..=options.repeats {
        progress(&format!("counting, {repeat} of {}", options.repeats));
        for server in [&mut floor, &mut subject] {
            server.count(options.requests)?;
        }
    }
    if let Some(directory) = &options.keep {
        keep_dumps(&stage, directory)?;
    }
    Ok((floor.into_measured(), subject.into_measured()))
}

/// A server under callgrind with one open connection to it.
struct Counted {
    server: Server,
    callgrind: Callgrind,
    connection: Connection,
    repeats: Vec<Repeat>,
}

impl Counted {
    fn start(stage: &Stage, name: &str, kind: &Kind) -> Result<Self> {
        let callgrind = Callgrind::new(stage.scratch.directory(name)?);
        let server = stage.start(name, kind, &callgrind.prefix())?;
        let connection = Connection::open(server.address)?;
        Ok(Self { server, callgrind, connection, repeats: Vec::new() })
    }

    fn exchange(&mut self, requests: u32) -> Result<()> {
        for _ in 0..requests {
            let answer = self.connection.exchange(&self.server.request)?;
            if answer.status != 200 || answer.body_bytes != 1024 {
                return Err(Error::unexpected(&self.server.about, format!("{answer:?}")));
            }
        }
        Ok(())
    }

    /// Counts and forgets: a first counting is slower, since valgrind translates everything anew,
    /// and so finds other things to wait for.
    fn warm_up(&mut self, requests: u32) -> Result<()> {
        self.count(requests)?;
        self.repeats.clear();
        Ok(())
    }

    fn count(&mut self, requests: u32) -> Result<()> {
        let pid = self.server.process.pid();
        self.callgrind.start_counting(pid)?;
        self.exchange(requests)?;
        let threads = self.callgrind.stop_counting(pid)?;
        self.repeats.push(Repeat::of(threads, requests)?);
        Ok(())
    }

    fn into_measured(self) -> Measured {
        Measured { about: self.server.about, repeats: self.repeats }
    }
}

/// One counting, per request.
struct Repeat {
    /// Threads by name, most first: with one worker thread the busiest pool is the workers'.
    pools: Vec<(String, f64)>,
}

impl Repeat {
    fn of(threads: Vec<ThreadCount>, requests: u32) -> Result<Self> {
        let mut pools: Vec<(String, f64)> = Vec::new();
        for thread in threads {
            let instructions = real(thread.instructions) / f64::from(requests);
            match pools.iter_mut().find(|(name, _)| *name == thread.name) {
                Some((_, sum)) => *sum += instructions,
                None => pools.push((thread.name, instructions)),
            }
        }
        pools.sort_by(|a, b| f64::total_cmp(&b.1, &a.1));
        if pools.first().is_none_or(|(_, instructions)| *instructions < 1.0) {
            return Err(Error::unexpected("callgrind", "counted nothing"));
        }
        Ok(Self { pools })
    }

    fn worker(&self) -> f64 {
        self.pools.first().map_or(0.0, |(_, instructions)| *instructions)
    }

    fn all(&self) -> f64 {
        self.pools.iter().map(|(_, instructions)| instructions).sum()
    }
}

struct Measured {
    about: String,
    repeats: Vec<Repeat>,
}

impl Measured {
    fn worker(&self) -> f64 {
        self.spread().map_or(0.0, |spread| spread.median)
    }

    fn all(&self) -> f64 {
        let all: Vec<f64> = self.repeats.iter().map(Repeat::all).collect();
        Spread::of(&all).map_or(0.0, |spread| spread.median)
    }

    fn spread(&self) -> Option<Spread> {
        Spread::of(&self.repeats.iter().map(Repeat::worker).collect::<Vec<_>>())
    }

    fn row(&self) -> Vec<String> {
        let repeats = self.repeats.iter().map(|repeat| thousands(repeat.worker()));
        vec![
            self.about.clone(),
            thousands(self.worker()),
            thousands(self.all()),
            repeats.collect::<Vec<_>>().join(" "),
        ]
    }

    fn threads_in_words(&self) -> String {
        let last = self.repeats.last().map(|repeat| repeat.pools.as_slice()).unwrap_or_default();
        let named = last.iter().filter(|(_, instructions)| *instructions >= 0.5);
        let words =
            named.map(|(name, instructions)| format!("{name} {}", thousands(*instructions)));
        words.collect::<Vec<_>>().join(", ")
    }

    fn as_json(&self) -> Value {
        let repeats = self.repeats.iter().map(|repeat| {
            let threads: Vec<Value> = repeat
                .pools
                .iter()
                .map(|(name, instructions)| json!({ "name": name, "instructions": instructions }))
                .collect();
            json!({ "worker": repeat.worker(), "all": repeat.all(), "threads": threads })
        });
        json!({
            "about": self.about,
            "worker": self.worker(),
            "all": self.all(),
            "repeats": repeats.collect::<Vec<_>>(),
        })
    }
}

struct Comparison {
    floor: Measured,
    subject: Measured,
    baseline: Option<f64>,
}

impl Comparison {
    fn ratio(&self) -> f64 {
        self.subject.worker() / self.floor.worker()
    }

    fn as_text(&self, options: &Options) -> String {
        let head =
            ["user instructions per request", "worker", "all threads", "worker, each repeat"];
        let rows = [self.floor.row(), self.subject.row()];
        let baseline = self.baseline.map_or_else(
            || format!("no baseline in {}", options.baseline.display()),
            |ratio| format!("baseline {ratio:.3}"),
        );
        let limit = options.check.map_or_else(String::new, |limit| format!("limit {limit}, "));
        [
            table(&head, &rows),
            String::new(),
            format!("ratio {:.3} ({limit}{baseline})", self.ratio()),
            format!("added {}", thousands(self.subject.worker() - self.floor.worker())),
            format!("threads of the floor: {}", self.floor.threads_in_words()),
            format!("threads of the subject: {}", self.subject.threads_in_words()),
            format!("{} requests in each repeat; L4 read {} B", options.requests, options.l4_read),
            machine::in_words(&machine::fingerprint()),
        ]
        .join("\n")
    }

    fn as_json(&self, options: &Options) -> Value {
        json!({
            "ratio": self.ratio(),
            "baseline": self.baseline,
            "limit": options.check,
            "requests": options.requests,
            "l4_read": options.l4_read,
            "floor": self.floor.as_json(),
            "subject": self.subject.as_json(),
            "machine": machine::fingerprint(),
        })
    }

    fn refuse_unsteady(&self) -> Result<()> {
        for measured in [&self.floor, &self.subject] {
            let width = measured.spread().map_or(0.0, |spread| spread.relative_width());
            if width > REPEATS_WITHIN {
                let what = format!("repeats of '{}' differ by {width:.3}", measured.about);
                return Err(Error::Unsteady { what });
            }
        }
        Ok(())
    }
}

/// None where there is no file yet; a file that cannot be read is an error.
fn read_baseline(path: &Path) -> Result<Option<f64>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::while_doing(format!("cannot read {}", path.display()))(e)),
    };
    let ratio =
        serde_json::from_str(&text).ok().and_then(|value: Value| value.get("ratio")?.as_f64());
    let bad = || Error::unexpected(path.display().to_string(), "no number 'ratio' in it");
    ratio.map(Some).ok_or_else(bad)
}

fn write_baseline(path: &Path, result: &Comparison) -> Result<()> {
    let value = json!({
        "ratio": (result.ratio() * 1000.0).round() / 1000.0,
        "floor": result.floor.worker().round(),
        "subject": result.subject.worker().round(),
    });
    let text = format!("{value:#}\n");
    fs::write(path, text).map_err(Error::while_doing(format!("cannot write {}", path.display())))
}

fn keep_dumps(stage: &Stage, directory: &Path) -> Result<()> {
    let doing = || Error::while_doing(format!("cannot copy to {}", directory.display()));
    for name in ["floor", "subject"] {
        let to = directory.join(name);
        fs::create_dir_all(&to).map_err(doing())?;
        for entry in fs::read_dir(stage.scratch.file(name)).map_err(doing())? {
            let entry = entry.map_err(doing())?;
            if entry.metadata().map_err(doing())?.is_file() {
                fs::copy(entry.path(), to.join(entry.file_name())).map_err(doing())?;
            }
        }
    }
    Ok(())
}

/// Repeats are known to agree to 0.1 %; past this something else ran in the process.
const REPEATS_WITHIN: f64 = 0.02;
