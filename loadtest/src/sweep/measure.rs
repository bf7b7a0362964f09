//! One point: the generator's tally, and what it cost everybody. Nothing is judged here.

use std::time::Duration;

use super::document::{Cost, Harness, Lateness, Run, Settings};
use super::generator::{Generator, Pace, Task};
use super::tally::Tally;
use super::workload::Workload;
use crate::clock::Stopwatch;
use crate::error::{Error, Result};
use crate::procfs::{CpuTimes, MachineTimes};
use crate::report::progress;
use crate::servers::{Server, Stage};
use crate::stats::real;

/// What all points have in common.
#[derive(Debug)]
pub struct Bench<'s> {
    pub stage: &'s Stage,
    pub workload: &'s Workload,
    pub settings: &'s Settings,
}

impl Bench<'_> {
    /// The stub alone: the most that generator and stub can do, and how late the generator is when
    /// it has little and when it has much to do.
    pub fn harness(&self) -> Result<Harness> {
        let stub = &self.stage.stub;
        let (tally, cost) = self.measure(stub, &self.flat_out(stub))?;
        let ceiling_per_second = per_second(&tally);
        let half = (ceiling_per_second / 2).max(1);
        let mut lateness = Vec::new();
        for rate in [LIGHT_PER_SECOND.min(half), half] {
            let pace = Pace::Open { per_second: rate, arrivals: self.settings.arrivals };
            let (tally, _) = self.measure(stub, &Task { pace, ..self.flat_out(stub) })?;
            lateness.push(Lateness { per_second: rate, lag: tally.lag });
        }
        let sent = tally.sent.max(1);
        Ok(Harness {
            ceiling_per_second,
            stub_cpu_ns: cost.stub_ns / sent,
            generator_cpu_ns: cost.generator_ns / sent,
            lateness,
        })
    }

    /// What each can do when all connections are always busy.
    pub fn capacities(&self, servers: &[&Server]) -> Result<Vec<u64>> {
        let capacity = |server: &&Server| {
            let (tally, _) = self.measure(server, &self.flat_out(server))?;
            let capacity = per_second(&tally);
            progress(&format!("{}: {capacity}/s flat out", server.about));
            if capacity == 0 {
                let what = format!("no right answers, but {:?}", tally.failures);
                return Err(Error::unexpected(server.about.clone(), what));
            }
            Ok(capacity)
        };
        servers.iter().map(capacity).collect()
    }

    pub fn run(
        &self,
        server: &Server,
        (target, rung, round): (usize, usize, u32),
        per_second: u64,
    ) -> Result<Run> {
        let settings = self.settings;
        let task = Task {
            pace: Pace::Open { per_second, arrivals: settings.arrivals },
            warm_up: Duration::from_millis(settings.warm_up_ms),
            measured: Duration::from_millis(settings.measured_ms),
            // Equal for all targets, so that they get the same requests at the same times.
            seed: [settings.seed, round.into(), per_second],
            ..self.flat_out(server)
        };
        let (tally, cost) = self.measure(server, &task)?;
        Ok(Run {
            target,
            rung,
            round,
            per_second,
            intended: tally.intended,
            right: tally.right,
            in_window: tally.in_window,
            waited: tally.waited,
            sent: tally.sent,
            reconnects: tally.reconnects,
            failures: tally.failures,
            latency_ns: tally.latency,
            lag_ns: tally.lag,
            cost,
        })
    }

    fn flat_out(&self, server: &Server) -> Task<'_> {
        Task {
            address: server.address,
            workload: self.workload,
            pace: Pace::FlatOut,
            connections: self.settings.connections,
            warm_up: CALIBRATION_WARM_UP,
            measured: CALIBRATION,
            timeout: Duration::from_millis(self.settings.timeout_ms),
            seed: [self.settings.seed, 0, 0],
        }
    }

    fn measure(&self, server: &Server, task: &Task<'_>) -> Result<(Tally, Cost)> {
        let mut generator = Generator::open(task)?;
        let pids = [server.process.pid(), self.stage.stub.process.pid(), std::process::id()];
        let machine = MachineTimes::now()?;
        let [server_cpu, stub_cpu, own_cpu] = times(pids)?;
        let watch = Stopwatch::start();
        generator.run()?;
        let wall_ns = u64::try_from(watch.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let [server_now, stub_now, own_now] = times(pids)?;
        let machine = MachineTimes::now()?.since(machine);
        let server_ns = server_now.since(&server_cpu);
        let stub_ns = stub_now.since(&stub_cpu);
        let generator_ns = own_now.since(&own_cpu);
        let beside = if pids[0] == pids[1] { 0 } else { stub_ns };
        let ours_ns = server_ns + beside + generator_ns;
        let others_ns = machine.busy_ns.saturating_sub(ours_ns);
        let stolen_ns = machine.stolen_ns;
        let tally = generator.into_tally();
        Ok((tally, Cost { wall_ns, server_ns, stub_ns, generator_ns, others_ns, stolen_ns }))
    }
}

fn times(pids: [u32; 3]) -> Result<[CpuTimes; 3]> {
    let [server, stub, own] = pids;
    Ok([CpuTimes::of(server)?, CpuTimes::of(stub)?, CpuTimes::of(own)?])
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is positive and far below 2^53"
)]
fn per_second(tally: &Tally) -> u64 {
    (real(tally.in_window) / CALIBRATION.as_secs_f64()) as u64
}

/// Too little to keep anything busy.
const LIGHT_PER_SECOND: u64 = 500;
const CALIBRATION: Duration = Duration::from_millis(1000);
const CALIBRATION_WARM_UP: Duration = Duration::from_millis(500);
