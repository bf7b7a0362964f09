//! `loadtest`: what the gate costs beside a bare Pingora proxy and beside nginx, in instructions,
//! memory and CPU time, and how its latency grows with the load. It starts what it measures, on loopback, and stops it again; it is no part
//! of the gate and decides nothing but its own exit code: 0 good, 1 above a limit, 2 usage, 3 no
//! figure.

mod audit_flood;
mod audit_kills;
mod ceiling;
mod cpu;
mod features;
mod idle;
mod instructions;
mod mcp;
mod parity;
mod quota_kills;
mod sweep;
mod write_ahead;

mod stub;
mod upstream;

mod servers;

mod callers;
mod client;
mod closed_loop;

mod callgrind;
mod counted;
mod machine;
mod place;
mod process;
mod procfs;

mod clock;
mod error;
mod interrupt;
mod page;
mod random;
mod report;
mod scratch;
mod stats;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use error::Verdict;

#[derive(Debug, Parser)]
#[command(name = "loadtest", about = "What a governed request costs; see loadtest/README.md")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// User instructions per request, gate over bare proxy, by callgrind
    Instructions(instructions::Options),
    /// The same of each feature: what it costs a request that uses it, and one that does not
    Features(features::Options),
    /// What a tool call costs over the same REST call, and whether memory stays flat
    Mcp(mcp::Options),
    /// Memory of idle connections
    Idle(idle::Options),
    /// CPU time per request: gate, bare proxy and nginx in paired rounds
    Cpu(cpu::Options),
    /// Whether a quota holds while the gate is killed again and again
    QuotaKills(quota_kills::Options),
    /// Whether every answered call has its record while the gate is killed, or loses its power, again and again
    AuditKills(audit_kills::Options),
    /// How much a flood of calls without a credential adds to the log, and whether it is counted exactly
    AuditFlood(audit_flood::Options),
    /// Whether REST and MCP are decided alike for many clients and operations
    Parity(parity::Options),
    /// How long a call waits for its entry to be on the medium, beside a plain fdatasync
    WriteAhead(write_ahead::Options),
    /// Throughput against latency by an open loop: a table, JSON and a page with curves
    Sweep(sweep::Options),
    /// A finished sweep again, from its JSON
    Report(sweep::ReportOptions),
    /// What the stub and the generator can do without anything between
    Ceiling(ceiling::Options),
    /// The upstream of all measurements
    Stub(stub::Options),
}

fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Instructions(options) => interrupt::run(move || instructions::run(&options)),
        Command::Features(options) => interrupt::run(move || features::run(&options)),
        Command::Mcp(options) => interrupt::run(move || mcp::run(&options)),
        Command::Idle(options) => interrupt::run(move || idle::run(&options)),
        Command::Cpu(options) => interrupt::run(move || cpu::run(&options)),
        Command::QuotaKills(options) => interrupt::run(move || quota_kills::run(&options)),
        Command::AuditFlood(options) => interrupt::run(move || audit_flood::run(&options)),
        Command::AuditKills(options) => interrupt::run(move || audit_kills::run(&options)),
        Command::Parity(options) => interrupt::run(move || parity::run(&options)),
        Command::WriteAhead(options) => interrupt::run(move || write_ahead::run(&options)),
        Command::Sweep(options) => interrupt::run(move || sweep::run(&options)),
        Command::Report(options) => sweep::report(&options),
        Command::Ceiling(options) => interrupt::run(move || ceiling::run(&options)),
        // It has nothing to clean up, so a signal may simply end it.
        Command::Stub(options) => stub::run(&options),
    };
    match ended {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::AboveLimit) => ExitCode::from(1),
        Err(problem) => {
            // Where standard error is closed there is still the exit code.
            drop(writeln!(std::io::stderr().lock(), "loadtest: {problem}"));
            ExitCode::from(3)
        }
    }
}

/// The read buffer that the gate gives accepted connections on plain TCP, in bytes: the bare proxy
/// must have the same. It mirrors the gate's listener; none was best by measurement (README.md).
const GATE_L4_READ: usize = 0;
