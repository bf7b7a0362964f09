//! `loadtest ceiling`: stub and generator without a server between them. A server measured near
//! these figures was not measured: the harness was.

use serde_json::json;

use crate::clock::Stopwatch;
use crate::closed_loop::ClosedLoop;
use crate::error::{Result, Verdict};
use crate::machine::{self, Pinning};
use crate::procfs::CpuTimes;
use crate::report::{say, table, thousands};
use crate::servers::Stage;
use crate::stats::real;

#[derive(Debug, clap::Args)]
pub struct Options {
    /// Keep-alive connections.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    connections: u32,
    /// Requests on each connection.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(10..=10_000_000))]
    requests: u32,
    /// One JSON value instead of the table.
    #[arg(long)]
    json: bool,
}

pub fn run(options: &Options) -> Result<Verdict> {
    let pinning = Pinning::apply()?;
    let stage = Stage::set(None, &pinning.server)?;
    let stub = &stage.stub;
    let mut clients = ClosedLoop::open(stub.address, options.connections, &stub.request)?;
    clients.run(options.requests / 10)?;
    let (stub_pid, own_pid) = (stub.process.pid(), std::process::id());
    let (stub_before, own_before) = (CpuTimes::of(stub_pid)?, CpuTimes::of(own_pid)?);
    let watch = Stopwatch::start();
    clients.run(options.requests)?;
    let seconds = watch.elapsed().as_secs_f64();
    let requests = f64::from(options.connections) * f64::from(options.requests);
    let stub_us = real(CpuTimes::of(stub_pid)?.since(&stub_before)) / 1e3 / requests;
    let own_us = real(CpuTimes::of(own_pid)?.since(&own_before)) / 1e3 / requests;
    let machine = machine::fingerprint();
    if options.json {
        let value = json!({
            "requests_per_second": requests / seconds,
            "stub_cpu_us": stub_us,
            "generator_cpu_us": own_us,
            "machine": machine,
        });
        say(&value.to_string())?;
    } else {
        let rows = [
            vec!["requests per second".into(), thousands(requests / seconds)],
            vec!["stub, CPU us per request".into(), format!("{stub_us:.1}")],
            vec!["generator, CPU us per request".into(), format!("{own_us:.1}")],
        ];
        say(&table(&["the stub alone", "figure"], &rows))?;
        say(&machine::in_words(&machine))?;
    }
    Ok(Verdict::Good)
}
