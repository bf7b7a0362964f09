//! `loadtest quota-kills`: a gate under load is killed again and again, and counts on. What was
//! admitted is counted behind it: never more than the quota, and each kill burns at most one block.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;

use serde_json::json;

use crate::client::Connection;
use crate::error::{Error, Result, Verdict};
use crate::place::{Place, await_load};
use crate::report::{progress, say};
use crate::scratch::Scratch;
use crate::servers::beside;
use crate::upstream::Upstream;

#[derive(Debug, clap::Args)]
pub struct Options {
    /// How often the gate is killed.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=1000))]
    times: u64,
    /// Calls that the quota has.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1000..))]
    quota: u64,
    /// The gate; by default `onegate` beside this program.
    #[arg(long, value_name = "FILE")]
    gate: Option<PathBuf>,
    /// One JSON value instead of the sentence.
    #[arg(long)]
    json: bool,
}

/// What the kills came to.
struct Outcome {
    admitted: u64,
    /// At each kill.
    burnt: Vec<u64>,
}

pub fn run(options: &Options) -> Result<Verdict> {
    let binary = options.gate.clone().map_or_else(|| beside("onegate"), Ok)?;
    let outcome = kill_again_and_again(&binary, options)?;
    let block = (options.quota / 100).max(1);
    // Calls that the gate had admitted and the upstream had not seen are spent, not burnt.
    let burnt_most = block + CALLERS;
    let worst = outcome.burnt.iter().max().copied().unwrap_or_default();
    let total: u64 = outcome.burnt.iter().sum();
    let over = outcome.admitted.saturating_sub(options.quota);
    let unused = options.quota.saturating_sub(outcome.admitted + total);
    say(&if options.json {
        json!({
            "kills": options.times,
            "quota": options.quota,
            "block": block,
            "callers": CALLERS,
            "admitted": outcome.admitted,
            "over_admitted": over,
            "burnt": outcome.burnt,
            "unused": unused,
        })
        .to_string()
    } else {
        format!(
            "{} kills under load: {} of a quota of {} admitted, {over} over it; {total} burnt, \
             at most {worst} at one kill (a block is {block}, and {CALLERS} calls were under way)",
            options.times, outcome.admitted, options.quota,
        )
    })?;
    let is_kept = over == 0 && worst <= burnt_most && unused == 0;
    Ok(if is_kept { Verdict::Good } else { Verdict::AboveLimit })
}

fn kill_again_and_again(binary: &Path, options: &Options) -> Result<Outcome> {
    let scratch = Scratch::make()?;
    let upstream = Upstream::start()?;
    let config = CONFIG.replace("QUOTA", &options.quota.to_string());
    let place = Place::make(&scratch, binary, &config, upstream.address)?;
    let key = place.make_client("kills")?;
    let request = format!("GET / HTTP/1.1\r\nHost: load\r\nX-API-Key: {key}\r\n\r\n").into_bytes();
    let mut burnt = Vec::new();
    let mut lost = 0;
    // A third of the quota is left for the count at the end.
    let share = options.quota * 2 / 3 / options.times;
    let mut gate = place.start()?;
    for kill in 1..=options.times {
        let before = admitted(&upstream);
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let (address, request) = (place.address, request.clone());
                thread::spawn(move || call_until_it_ends(address, &request))
            })
            .collect();
        // Never at the same point of a block.
        let enough = before + share / 2 + kill * 37 % (share / 2).max(1);
        await_load(|| admitted(&upstream) >= enough)?;
        // SIGKILL.
        drop(gate);
        for caller in callers {
            // Its connection has failed, which is what it was for.
            drop(caller.join());
        }
        gate = place.start()?;
        let answer = Connection::open(place.address)?.exchange(&request)?;
        if answer.status != 200 {
            return Err(Error::unexpected("the gate", format!("{answer:?} after a kill")));
        }
        let now_lost = spent(&place, options.quota)?.saturating_sub(admitted(&upstream));
        burnt.push(now_lost.saturating_sub(lost));
        progress(&format!("kill {kill}: {} burnt", now_lost.saturating_sub(lost)));
        lost = now_lost;
    }
    let mut connection = Connection::open(place.address)?;
    while connection.exchange(&request)?.status == 200 {}
    Ok(Outcome { admitted: admitted(&upstream), burnt })
}

/// Calls over one connection until the gate is gone.
fn call_until_it_ends(address: SocketAddr, request: &[u8]) -> Result<()> {
    let mut connection = Connection::open(address)?;
    loop {
        connection.exchange(request)?;
    }
}

fn admitted(upstream: &Upstream) -> u64 {
    upstream.called.len() as u64
}

/// Units that are gone, as the gate says: spent or burnt.
fn spent(place: &Place<'_>, quota: u64) -> Result<u64> {
    let text = place.metrics()?;
    let series = "onegate_limit_used_ratio{client=\"load\",limit=\"kills/per-month\"} ";
    let ratio = text.lines().find_map(|line| line.strip_prefix(series)?.parse().ok());
    let ratio: f64 = ratio.ok_or_else(|| Error::unexpected("the metrics", "have no quota"))?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a share of a small whole number"
    )]
    let spent = (ratio * quota as f64).round() as u64;
    Ok(spent)
}

/// Callers, each with one call under way.
const CALLERS: u64 = 4;

const CONFIG: &str = r#"
[server]
drain_deadline = "0s"
[metrics]
address = "METRICS"
[[listener]]
name = "load"
address = "GATE"
[[upstream]]
name = "counting"
endpoints = ["UPSTREAM"]
[[api]]
name = "load"
upstream = "counting"
access = "granted"
[[api.operation]]
id = "all"
methods = ["GET"]
path = "/"
[[product]]
name = "all"
operations = ["load.all"]
[[plan]]
name = "kills"
quotas = [{ limit = QUOTA, per = "month" }]
"#;
