//! `loadtest mcp`: what `tools/call` costs over the same REST call through the same gate, in user
//! instructions by callgrind and in CPU time in paired rounds; and whether memory stays flat over many
//! calls with large results.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::client::Connection;
use crate::closed_loop::ClosedLoop;
use crate::counted::Counted;
use crate::error::{Error, Result, Verdict};
use crate::machine::{self, Pinning};
use crate::process::Prefix;
use crate::procfs::{self, CpuTimes};
use crate::report::{progress, say, table, thousands};
use crate::servers::features::Governance;
use crate::servers::{Kind, Scene, Stage, beside};
use crate::stats::{Spread, real};

#[derive(Debug, clap::Args)]
pub struct Options {
    /// The gate; by default `onegate` beside this program.
    #[arg(long, value_name = "FILE")]
    gate: Option<PathBuf>,
    /// Calls in each counting; a round of CPU time has ten times as many.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    requests: u32,
    /// Rounds of CPU time; each measures both, in an order that rotates.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(2..=1000))]
    rounds: u32,
    /// Calls with results of 100 KB, for memory.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1000..=10_000_000))]
    results: u32,
    /// Exit 1 when a tool call adds more instructions than this [default when given without a value: 60000], or when
    /// memory does not stay flat.
    #[arg(long, value_name = "INSTRUCTIONS", num_args = 0..=1, default_missing_value = "60000")]
    check: Option<f64>,
    /// One JSON value instead of the table.
    #[arg(long)]
    json: bool,
}

pub fn run(options: &Options) -> Result<Verdict> {
    let gate = options.gate.clone().map_or_else(|| beside("onegate"), Ok)?;
    let instructions = count(&gate, options)?;
    let cpu = pair(&gate, options)?;
    let memory = fill(&gate, options)?;
    let result = Figures { instructions, cpu, memory };
    say(&if options.json { result.as_json().to_string() } else { result.as_text(options) })?;
    let is_above = options
        .check
        .is_some_and(|limit| result.instructions.added() > limit || !result.memory.is_flat());
    Ok(if is_above { Verdict::AboveLimit } else { Verdict::Good })
}

/// So many times as in a counting: CPU time comes in ticks of 10 ms.
const PER_ROUND: u32 = 10;

/// User instructions per call on the worker thread.
struct Instructions {
    rest: f64,
    call: f64,
    list: f64,
}

impl Instructions {
    fn added(&self) -> f64 {
        self.call - self.rest
    }
}

/// Resident bytes after some calls, and after all.
struct Memory {
    early: u64,
    late: u64,
}

impl Memory {
    /// Not by what an allocator keeps, which goes up and down: results that stayed would be many times as much.
    const fn is_flat(&self) -> bool {
        self.late < self.early + self.early / 2
    }
}

struct Figures {
    instructions: Instructions,
    /// A tool call over the REST call, of each round.
    cpu: Option<Spread>,
    memory: Memory,
}

fn kind(gate: &Path) -> Kind {
    Kind::Gate { binary: gate.to_owned(), with: Governance::default() }
}

fn count(gate: &Path, options: &Options) -> Result<Instructions> {
    let stage = Stage::set(Some(gate), &Prefix::default())?;
    progress("starting the gate under valgrind");
    let mut server = Counted::start(&stage, "gate", &kind(gate))?;
    let key = stage.keys.first().map_or("", String::as_str);
    let call = message(key, "tools/call", r#""name":"load_payment","arguments":{"id":"4711"}"#);
    let list = message(key, "tools/list", "");
    let rest = rest(key);
    let mut of = |request: &[u8]| {
        server.count_another(request, 300)?;
        server.count_another(request, options.requests)
    };
    Ok(Instructions { rest: of(&rest)?, call: of(&call)?, list: of(&list)? })
}

fn pair(gate: &Path, options: &Options) -> Result<Option<Spread>> {
    let pinning = Pinning::apply()?;
    let stage = Stage::set(Some(gate), &pinning.rest)?;
    let server = stage.start("gate", &kind(gate), &pinning.server)?;
    let key = stage.keys.first().map_or("", String::as_str);
    let call = message(key, "tools/call", r#""name":"load_payment","arguments":{"id":"4711"}"#);
    let mut rest = ClosedLoop::open(server.address, 8, &rest(key))?;
    let mut tool = ClosedLoop::open(server.address, 8, &call)?;
    let pid = server.process.pid();
    let measure = |clients: &mut ClosedLoop| {
        clients.run(options.requests)?;
        let before = CpuTimes::of(pid)?;
        clients.run(options.requests * PER_ROUND)?;
        Ok(real(CpuTimes::of(pid)?.since(&before)))
    };
    let mut ratios = Vec::new();
    for round in 0..options.rounds {
        progress(&format!("CPU, round {} of {}", round + 1, options.rounds));
        let (of_rest, of_tool) = if round % 2 == 0 {
            let of_rest: f64 = measure(&mut rest)?;
            (of_rest, measure(&mut tool)?)
        } else {
            let of_tool: f64 = measure(&mut tool)?;
            (measure(&mut rest)?, of_tool)
        };
        ratios.push(of_tool / of_rest.max(1.0));
    }
    Ok(Spread::of(&ratios))
}

fn fill(gate: &Path, options: &Options) -> Result<Memory> {
    let scene = Scene::Many { clients: 1 };
    let stage = Stage::set_for(scene, Some(gate), &Prefix::default())?;
    let server = stage.start("gate", &kind(gate), &Prefix::default())?;
    let key = stage.keys.first().map_or("", String::as_str);
    let arguments = r#""name":"load_bytes","arguments":{"id":"1","bytes":"100000"}"#;
    let request = message(key, "tools/call", arguments);
    let mut connection = Connection::open(server.address)?;
    let pid = server.process.pid();
    let mut memory = Memory { early: 0, late: 0 };
    for made in 1..=options.results {
        let answer = connection.exchange(&request)?;
        if answer.status != 200 || answer.body_bytes < 100_000 {
            return Err(Error::unexpected("a large result", format!("{answer:?}")));
        }
        if made == options.results / 10 {
            memory.early = procfs::resident_bytes(pid)?;
        }
        if made % 1000 == 0 {
            progress(&format!("{made} results of 100 KB"));
        }
    }
    memory.late = procfs::resident_bytes(pid)?;
    Ok(memory)
}

impl Figures {
    fn as_text(&self, options: &Options) -> String {
        let Instructions { rest, call, list } = &self.instructions;
        let head = ["user instructions per call, worker thread", "", "over REST"];
        let row = |what: &str, count: f64| {
            vec![what.to_owned(), thousands(count), thousands(count - rest)]
        };
        let rows = [
            row("REST", *rest),
            row("tools/call of the same operation", *call),
            row("tools/list of one tool", *list),
        ];
        let limit = options.check.map_or_else(String::new, |limit| format!(" (limit {limit})"));
        let cpu = self.cpu.as_ref().map_or_else(String::new, in_words);
        let mib = |bytes: u64| format!("{:.1} MiB", real(bytes) / 1024.0 / 1024.0);
        let Memory { early, late } = &self.memory;
        [
            table(&head, &rows),
            String::new(),
            format!("added {}{limit}", thousands(self.instructions.added())),
            format!("CPU of a tool call over a REST call: {cpu}"),
            format!(
                "resident after {} results of 100 KB {}, after {} {}",
                options.results / 10,
                mib(*early),
                options.results,
                mib(*late)
            ),
            machine::in_words(&machine::fingerprint()),
        ]
        .join("\n")
    }

    fn as_json(&self) -> Value {
        json!({
            "rest": self.instructions.rest,
            "call": self.instructions.call,
            "list": self.instructions.list,
            "added": self.instructions.added(),
            "cpu_ratio": self.cpu.as_ref().map(|spread| spread.median),
            "resident_early": self.memory.early,
            "resident_late": self.memory.late,
            "machine": machine::fingerprint(),
        })
    }
}

/// The REST call that the tool call is.
fn rest(key: &str) -> Vec<u8> {
    format!(
        "GET /payments/4711 HTTP/1.1\r\nHost: load.test\r\nUser-Agent: loadtest\r\nAccept: */*\r\n\
         Authorization: Bearer {key}\r\n\r\n"
    )
    .into_bytes()
}

/// A message as clients of 2026-07-28 send it.
fn message(key: &str, method: &str, params: &str) -> Vec<u8> {
    const META: &str = concat!(
        r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
        r#""io.modelcontextprotocol/clientCapabilities":{},"#,
        r#""io.modelcontextprotocol/clientInfo":{"name":"loadtest","version":"1"}}"#
    );
    let comma = if params.is_empty() { "" } else { "," };
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{{{params}{comma}{META}}}}}"#
    );
    let name = params.split('"').nth(3).filter(|_| method == "tools/call");
    let name = name.map_or_else(String::new, |name| format!("Mcp-Name: {name}\r\n"));
    format!(
        "POST /mcp HTTP/1.1\r\nHost: load.test\r\nUser-Agent: loadtest\r\n\
         Accept: application/json, text/event-stream\r\nContent-Type: application/json\r\n\
         MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: {method}\r\n{name}\
         Authorization: Bearer {key}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn in_words(spread: &Spread) -> String {
    format!("{:.2} ({:.2} to {:.2})", spread.median, spread.min, spread.max)
}
