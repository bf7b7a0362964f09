//! `loadtest write-ahead`: how long a call waits for its entry to be on the medium, beside a plain append and
//! `fdatasync` on the same disk. In turns, so that all meet the same disk.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::audit_kills::CONFIG;
use crate::client::Connection;
use crate::clock::Stopwatch;
use crate::error::{Error, Result, Verdict};
use crate::place::Place;
use crate::report::say;
use crate::scratch::Scratch;
use crate::servers::beside;
use crate::upstream::Upstream;

#[derive(Debug, clap::Args)]
pub struct Options {
    /// Calls of each kind.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(100..))]
    calls: u64,
    /// The gate; by default `onegate` beside this program.
    #[arg(long, value_name = "FILE")]
    gate: Option<PathBuf>,
    /// One JSON value instead of the table.
    #[arg(long)]
    json: bool,
}

pub fn run(options: &Options) -> Result<Verdict> {
    let binary = options.gate.clone().map_or_else(|| beside("onegate"), Ok)?;
    let scratch = Scratch::make()?;
    let upstream = Upstream::start()?;
    let place = Place::make(&scratch, &binary, CONFIG, upstream.address)?;
    let key = place.make_client("wide")?;
    let gate = place.start()?;
    let mut connection = Connection::open(place.address)?;
    let request = |method: &str, path: &str| {
        format!(
            "{method} {path} HTTP/1.1\r\nHost: load\r\nX-API-Key: {key}\r\nContent-Length: 0\r\n\r\n"
        )
    };
    let (plain, ahead) = (request("GET", "/plain"), request("POST", "/ahead"));
    let path = place.data()?.join("plain-append");
    let doing = || Error::while_doing("cannot append and sync");
    let mut file = OpenOptions::new().append(true).create(true).open(path).map_err(doing())?;
    let line = [b'x'; LINE_BYTES];
    let mut times = [(); 3].map(|()| Vec::new());
    for _ in 0..options.calls {
        let [of_plain, of_ahead, of_sync] = &mut times;
        for (request, times) in [(&plain, of_plain), (&ahead, of_ahead)] {
            let watch = Stopwatch::start();
            let answer = connection.exchange(request.as_bytes())?;
            times.push(watch.elapsed());
            if answer.status != 200 {
                return Err(Error::unexpected("the gate", format!("{answer:?}")));
            }
        }
        let watch = Stopwatch::start();
        file.write_all(&line).and_then(|()| file.sync_data()).map_err(doing())?;
        of_sync.push(watch.elapsed());
    }
    drop(gate);
    let [plain, ahead, sync] = times.map(percentiles);
    let micros = |time: Duration| time.as_micros();
    say(&if options.json {
        let of =
            |[p50, p99]: [Duration; 2]| json!({ "p50_us": micros(p50), "p99_us": micros(p99) });
        json!({ "calls": options.calls, "standard": of(plain), "write_ahead": of(ahead), "fdatasync": of(sync) })
            .to_string()
    } else {
        let row = |name: &str, [p50, p99]: [Duration; 2]| {
            format!("{name:<34} {:>8} us {:>8} us\n", micros(p50), micros(p99))
        };
        format!(
            "{:<34} {:>11} {:>11}\n{}{}{}",
            "one caller, one call after the other",
            "p50",
            "p99",
            row("a call of a standard operation", plain),
            row("a call that is written ahead", ahead),
            row("append 700 bytes and fdatasync", sync),
        )
    })?;
    Ok(Verdict::Good)
}

fn percentiles(mut times: Vec<Duration>) -> [Duration; 2] {
    times.sort_unstable();
    [50, 99].map(|percent| times.get(times.len() * percent / 100).copied().unwrap_or_default())
}

/// About a record's line.
const LINE_BYTES: usize = 700;
