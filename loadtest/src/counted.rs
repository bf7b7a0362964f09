//! User instructions of one server per request, by callgrind: counted again and again over one
//! connection, thread by thread. What is made of the counts is none of this file's business.

use serde_json::{Value, json};

use crate::callgrind::{Callgrind, ThreadCount};
use crate::client::Connection;
use crate::error::{Error, Result};
use crate::report::thousands;
use crate::servers::{Kind, Server, Stage};
use crate::stats::{Spread, real};

/// A server under callgrind with one open connection to it.
pub struct Counted {
    server: Server,
    callgrind: Callgrind,
    connection: Connection,
    repeats: Vec<Repeat>,
}

impl Counted {
    pub fn start(stage: &Stage, name: &str, kind: &Kind) -> Result<Self> {
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

    /// The same server, asked something else: every answer is 200.
    pub fn count_another(&mut self, request: &[u8], requests: u32) -> Result<f64> {
        let pid = self.server.process.pid();
        self.callgrind.start_counting(pid)?;
        for _ in 0..requests {
            let answer = self.connection.exchange(request)?;
            if answer.status != 200 {
                return Err(Error::unexpected(&self.server.about, format!("{answer:?}")));
            }
        }
        Ok(Repeat::of(self.callgrind.stop_counting(pid)?, requests)?.worker())
    }

    /// Counts and forgets: a first counting is slower, since valgrind translates everything anew,
    /// and so finds other things to wait for.
    pub fn warm_up(&mut self, requests: u32) -> Result<()> {
        self.count(requests)?;
        self.repeats.clear();
        Ok(())
    }

    pub fn count(&mut self, requests: u32) -> Result<()> {
        let pid = self.server.process.pid();
        self.callgrind.start_counting(pid)?;
        self.exchange(requests)?;
        let threads = self.callgrind.stop_counting(pid)?;
        self.repeats.push(Repeat::of(threads, requests)?);
        Ok(())
    }

    pub fn into_measured(self) -> Measured {
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

pub struct Measured {
    pub about: String,
    repeats: Vec<Repeat>,
}

impl Measured {
    pub fn worker(&self) -> f64 {
        self.spread().map_or(0.0, |spread| spread.median)
    }

    fn all(&self) -> f64 {
        let all: Vec<f64> = self.repeats.iter().map(Repeat::all).collect();
        Spread::of(&all).map_or(0.0, |spread| spread.median)
    }

    fn spread(&self) -> Option<Spread> {
        Spread::of(&self.repeats.iter().map(Repeat::worker).collect::<Vec<_>>())
    }

    pub fn row(&self) -> Vec<String> {
        let repeats = self.repeats.iter().map(|repeat| thousands(repeat.worker()));
        vec![
            self.about.clone(),
            thousands(self.worker()),
            thousands(self.all()),
            repeats.collect::<Vec<_>>().join(" "),
        ]
    }

    pub fn threads_in_words(&self) -> String {
        let last = self.repeats.last().map(|repeat| repeat.pools.as_slice()).unwrap_or_default();
        let named = last.iter().filter(|(_, instructions)| *instructions >= 0.5);
        let words =
            named.map(|(name, instructions)| format!("{name} {}", thousands(*instructions)));
        words.collect::<Vec<_>>().join(", ")
    }

    pub fn as_json(&self) -> Value {
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

    /// Repeats that differ are no figure.
    pub fn refuse_unsteady(&self) -> Result<()> {
        let width = self.spread().map_or(0.0, |spread| spread.relative_width());
        if width > REPEATS_WITHIN {
            let what = format!("repeats of '{}' differ by {width:.3}", self.about);
            return Err(Error::Unsteady { what });
        }
        Ok(())
    }
}

/// Repeats are known to agree to 0.1 %; past this something else ran in the process.
const REPEATS_WITHIN: f64 = 0.02;
