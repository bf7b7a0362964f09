//! `loadtest instructions`: user instructions per request of the gate over those of the bare proxy,
//! by callgrind. The one figure here that a busy machine does not disturb, so it is the one that
//! may fail a build.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::counted::{Counted, Measured};
use crate::error::{Error, Result, Verdict};
use crate::machine;
use crate::process::Prefix;
use crate::report::{progress, say, table, thousands};
use crate::servers::features::{Features, Governance};
use crate::servers::{Kind, Stage, beside};

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
    /// How much of the gate is on: key, scope, rates, audit and metrics alone, or the rest too.
    #[arg(long, value_enum, default_value_t = With::Everything)]
    with: With,
    /// Read buffer of accepted connections in bytes; must be the gate's.
    #[arg(long, default_value_t = super::GATE_L4_READ)]
    l4_read: usize,
    /// Let Pingora search every head for fields of one hop in the bare proxy, as it does by itself. The
    /// gate spares that search by an option, and by default both have the same options.
    #[arg(long)]
    floor_searches: bool,
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
    /// Exit 1 when the ratio is so many percent above the baseline.
    #[arg(long, value_name = "PERCENT")]
    check_baseline: Option<f64>,
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
    let mut bare =
        Kind::bare(options.bare.clone().map_or_else(|| beside("bare"), Ok)?, options.l4_read);
    if let (false, Kind::Bare { flags, .. }) = (options.floor_searches, &mut bare) {
        flags.push("--keep-hop-by-hop".into());
    }
    let subject = match &options.subject_bare {
        Some(binary) => Kind::bare(binary.clone(), options.l4_read),
        None => Kind::Gate {
            binary: options.gate.clone().map_or_else(|| beside("onegate"), Ok)?,
            with: options.with.governance(),
        },
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
    let is_above = |limit: f64| result.ratio() > limit;
    let of_baseline = match (options.check_baseline, result.baseline) {
        (Some(percent), Some(baseline)) => Some(baseline * (1.0 + percent / 100.0)),
        (Some(_), None) => {
            let what = format!("{} is not there to be compared with", options.baseline.display());
            return Err(Error::unexpected("--check-baseline", what));
        }
        (None, _) => None,
    };
    let failed = options.check.is_some_and(is_above) || of_baseline.is_some_and(is_above);
    Ok(if failed { Verdict::AboveLimit } else { Verdict::Good })
}

/// How much of the gate is on.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum With {
    Everything,
    Nothing,
}

impl With {
    fn governance(self) -> Governance {
        match self {
            Self::Everything => {
                Governance { here: Features::everything(), elsewhere: Features::default() }
            }
            Self::Nothing => Governance::default(),
        }
    }
}

/// Both run at once and are counted in turn; the one not counted is idle.
fn measure_both(options: &Options, floor: &Kind, subject: &Kind) -> Result<(Measured, Measured)> {
    let gate = match subject {
        Kind::Gate { binary, .. } => Some(binary.as_path()),
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
        [&self.floor, &self.subject].into_iter().try_for_each(Measured::refuse_unsteady)
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
