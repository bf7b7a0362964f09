//! `loadtest audit-flood`: a flood of calls without a credential, beside a real client. The log grows by little, the
//! counts of its summaries are exact, and every call of the real client has its record.

use std::fs;
use std::path::PathBuf;
use std::thread;

use serde_json::{Value, json};

use crate::audit_kills::CONFIG;
use crate::callers::{self, Ledger};
use crate::client::Connection;
use crate::clock::Stopwatch;
use crate::error::{Error, Result, Verdict};
use crate::place::Place;
use crate::process;
use crate::report::say;
use crate::scratch::Scratch;
use crate::servers::beside;
use crate::upstream::Upstream;

#[derive(Debug, clap::Args)]
pub struct Options {
    /// Calls of the flood.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1000..))]
    requests: u64,
    /// The log may grow by so many MB for a million calls.
    #[arg(long, default_value_t = 10)]
    megabytes_max: u64,
    /// The gate; by default `onegate` beside this program.
    #[arg(long, value_name = "FILE")]
    gate: Option<PathBuf>,
    /// One JSON value instead of the sentence.
    #[arg(long)]
    json: bool,
}

pub fn run(options: &Options) -> Result<Verdict> {
    let binary = options.gate.clone().map_or_else(|| beside("onegate"), Ok)?;
    let scratch = Scratch::make()?;
    let upstream = Upstream::start()?;
    // As an operator has it: without the exception of the kills.
    let config = CONFIG.replace("denials_per_source = 1000000\n", "");
    let place = Place::make(&scratch, &binary, &config, upstream.address)?;
    let key = place.make_client("wide")?;
    let gate = place.start()?;
    let real = Ledger::default();
    let client = callers::over_http1(place.address, &key, &[("GET", "/plain")], &real);
    let watch = Stopwatch::start();
    let each = options.requests / CALLERS;
    let strangers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let address = place.address;
            thread::spawn(move || -> Result<()> {
                let mut connection = Connection::open(address)?;
                for _ in 0..each {
                    let answer =
                        connection.exchange(b"GET /plain HTTP/1.1\r\nHost: load\r\n\r\n")?;
                    if answer.status != 401 {
                        return Err(Error::unexpected("the gate", format!("{answer:?}")));
                    }
                }
                Ok(())
            })
        })
        .collect();
    for stranger in strangers {
        stranger.join().map_err(|_| Error::unexpected("a caller", "it panicked"))??;
    }
    let elapsed = watch.elapsed();
    // SIGKILL: what was answered is not lost.
    drop(gate);
    drop(client.join());
    tell(&place, options, (each * CALLERS, real.take(), elapsed.as_secs()))
}

fn tell(
    place: &Place<'_>,
    options: &Options,
    (calls, real, seconds): (u64, Vec<String>, u64),
) -> Result<Verdict> {
    let run = |args: &[&str]| {
        let mut command = place.command()?;
        command.args(args);
        process::output(command)
    };
    run(&["client", "change", "load", "--purpose", "load again"])?;
    run(&["audit", "verify"])?;
    let (mut counted, mut own, mut summaries) = (0, 0_u64, 0_u64);
    for line in run(&["--json", "audit", "query", "--denial", "credential_missing"])?.lines() {
        let record: Value = serde_json::from_str(line).unwrap_or_default();
        let count = record["count"].as_u64();
        counted += count.unwrap_or(1);
        *if count.is_some() { &mut summaries } else { &mut own } += 1;
    }
    let found = run(&["--json", "audit", "query", "--client", "load"])?;
    let mut ids: Vec<String> = found
        .lines()
        .filter_map(|line| {
            let record: Value = serde_json::from_str(line).ok()?;
            record["id"].as_str().map(str::to_owned)
        })
        .collect();
    ids.sort_unstable();
    let missing = real.iter().filter(|id| ids.binary_search(id).is_err()).count();
    let of_real = found.len() as u64;
    let directory = place.data()?.join("audit");
    let doing = || Error::while_doing("cannot read the log");
    let entries = fs::read_dir(directory).map_err(doing())?;
    let bytes: u64 =
        entries.flatten().filter_map(|entry| entry.metadata().ok()).map(|m| m.len()).sum();
    let grown = bytes.saturating_sub(of_real);
    say(&if options.json {
        json!({
            "calls": calls,
            "seconds": seconds,
            "counted": counted,
            "own_records": own,
            "summaries": summaries,
            "bytes_beside_real": grown,
            "real": real.len(),
            "real_missing": missing,
        })
        .to_string()
    } else {
        format!(
            "{calls} calls of strangers in {seconds} s: {counted} counted, in {own} records and {summaries} summaries; the log \
             grew by {grown} bytes beside the {} records of the real client, {missing} of which are missing",
            real.len(),
        )
    })?;
    let most = options.megabytes_max * calls.max(1_000_000);
    let is_kept = counted == calls && missing == 0 && !real.is_empty() && grown < most;
    Ok(if is_kept { Verdict::Good } else { Verdict::AboveLimit })
}

const CALLERS: u64 = 4;
