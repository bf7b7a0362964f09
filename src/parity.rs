//! `onegate parity`: proof that REST and MCP are decided alike. A gate is started for each surface on a copy of the
//! inventory, with counters of its own and one upstream that keeps what reaches it; every client calls every
//! operation that is a tool, by its key, and what became of each call is compared. The gates are this very program,
//! run as anyone would run it: nobody's identity is put in, nothing is decided here.

mod arguments;
mod compare;
mod error;
mod facts;
mod fire;
mod gate;
mod plan;
mod stage;
mod stub;
mod surface;

pub use compare::Differs;
pub use error::ParityError;
pub use stage::Clients;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use ahash::AHashMap;
use http::Method;
use serde_json::{Map, Value};
use tokio::runtime::Runtime;

use crate::audit;
use crate::audit::filter::Filter;
use crate::audit::query;
use crate::clock;
use crate::config::Loaded;
use crate::config::kept::Texts;
use crate::config::staged::Limits;
use crate::model::plan::Plan as LimitPlan;
use crate::model::policy::Policy;

use self::compare::{Message, compare};
use self::facts::{Came, Facts};
use self::fire::{Aim, Answer, fire};
use self::gate::Gate;
use self::plan::{Caller, Plan, Sequence, Step, Why};
use self::stage::Stage;
use self::stub::Stub;
use self::surface::Surface;

/// What is compared.
pub struct Asked<'a> {
    pub loaded: Loaded,
    pub clients: Clients,
    /// Of these; none: all.
    pub only: Vec<String>,
    /// The command that runs a gate with a config on a data directory.
    pub gate: &'a dyn Fn(&Path, &Path) -> Command,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Report {
    pub clients: usize,
    /// Tools that were called.
    pub operations: usize,
    pub surfaces: Vec<&'static str>,
    /// To each surface.
    pub calls: usize,
    pub allowed: usize,
    /// How often a call was refused, by its code.
    pub denied: BTreeMap<String, usize>,
    pub differences: Vec<Difference>,
    /// Found beyond [`DIFFERENCES_MAX`].
    pub more: usize,
    /// Tools that were not called, and why.
    pub uncalled: Vec<(String, &'static str)>,
}

/// One fact of one call that is not alike.
#[derive(Debug)]
pub struct Difference {
    pub client: String,
    pub operation: String,
    pub case: String,
    pub surface: &'static str,
    pub differs: Differs,
}

/// Differences that are kept; more are counted.
pub const DIFFERENCES_MAX: usize = 10_000;
/// Calls that a limit admits where it is looked at.
const FEW: u32 = 3;
/// Where it is not: at least so many, and twice as many as one client makes.
const WIDE_MIN: u32 = 1_000;
/// Threads for the calls and the upstream.
const THREADS: usize = 2;

/// Compares.
pub fn run(asked: Asked<'_>) -> Result<Report, ParityError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("onegate-parity")
        .enable_all()
        .build()
        .map_err(ParityError::Io)?;
    let stub = runtime.block_on(Stub::start()).map_err(ParityError::Io)?;
    let stage = Stage::new(stub.address)?;
    let Loaded { policy, texts, .. } = asked.loaded;
    let (policy, now) = (Arc::new(policy), clock::wall());
    let cast = stage.cast(asked.clients, &policy, now)?;
    let plan = Arc::new(Plan::new(&policy, &cast, &asked.only, now)?);
    let wide = u32::try_from(plan.longest() * 2).unwrap_or(u32::MAX).max(WIDE_MIN);
    let gate = asked.gate;
    let mut comparison = Comparison { runtime, stub, stage, texts, policy, plan, wide, gate };
    comparison.all()
}

struct Comparison<'a> {
    runtime: Runtime,
    stub: Stub,
    stage: Stage,
    texts: Texts,
    policy: Arc<Policy>,
    plan: Arc<Plan>,
    /// Calls that a limit admits where it is not looked at.
    wide: u32,
    gate: &'a dyn Fn(&Path, &Path) -> Command,
}

/// What one surface came to, by step.
struct Run {
    facts: Vec<(Step, Facts, Message)>,
    /// Records that no answer tells of.
    strays: usize,
}

impl Comparison<'_> {
    fn all(&mut self) -> Result<Report, ParityError> {
        let Plan { callers, calls, uncalled, .. } = &*self.plan;
        let names = callers.iter().map(|caller| &caller.client);
        let operations = calls.iter().map(|call| &call.tool.name);
        let mut report = Report {
            clients: names.collect::<BTreeSet<_>>().len(),
            operations: operations.collect::<BTreeSet<_>>().len(),
            surfaces: Surface::COMPARED.iter().map(|surface| surface.as_str()).collect(),
            uncalled: uncalled.clone(),
            ..Report::default()
        };
        let everything = Arc::new(self.plan.all());
        let wide = Limits::Wide { calls: self.wide };
        let rest = self.round(wide, &everything, &mut report)?;
        let mut allowed: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (step, facts, _) in &rest.facts {
            if facts.get("record: decision").is_some_and(|decision| decision == "allowed") {
                allowed.entry(step.caller).or_default().push(step.call);
            }
        }
        drop(rest);
        let counts = self.policy.plans.values().map(|plan| {
            plan.rates.len() + plan.quotas.len() + usize::from(plan.concurrency.is_some())
        });
        for at in 0..counts.max().unwrap_or_default() {
            let sequences = self.plan.at_limit(&self.policy, at, FEW, &allowed);
            if !sequences.is_empty() {
                let at = LimitPlan::rate_at(at);
                let tight = Limits::Tight { at, few: FEW, calls: self.wide };
                self.round(tight, &Arc::new(sequences), &mut report)?;
            }
        }
        Ok(report)
    }

    /// All surfaces under one config; gives what REST came to.
    fn round(
        &mut self,
        limits: Limits,
        sequences: &Arc<Vec<Sequence>>,
        report: &mut Report,
    ) -> Result<Run, ParityError> {
        let config = self.stage.config((&self.texts, &self.policy), limits)?;
        let rest = self.run(&config, Surface::Rest, sequences)?;
        report.count(&rest);
        for surface in Surface::COMPARED {
            let other = self.run(&config, surface, sequences)?;
            if rest.strays + other.strays > 0 {
                let (rest, other) = (rest.strays.to_string(), other.strays.to_string());
                let fact = "records that no answer tells of".to_owned();
                let differs = Differs { fact, rest: Some(rest), other: Some(other) };
                report.add(Difference {
                    client: String::new(),
                    operation: String::new(),
                    case: String::new(),
                    surface: surface.as_str(),
                    differs,
                });
            }
            for ((step, rest, _), (_, other, message)) in rest.facts.iter().zip(&other.facts) {
                for differs in compare(rest, other, *message) {
                    report.add(self.difference((*step, limits), surface, differs));
                }
            }
        }
        Ok(rest)
    }

    fn difference(
        &self,
        (step, limits): (Step, Limits),
        surface: Surface,
        differs: Differs,
    ) -> Difference {
        let (caller, call) = (self.plan.callers.get(step.caller), self.plan.calls.get(step.call));
        let limit = caller.map(|caller| self.limit_of(caller, limits)).unwrap_or_default();
        Difference {
            client: caller.map(Caller::told).unwrap_or_default(),
            operation: call.map(|call| call.tool.operation.id.to_string()).unwrap_or_default(),
            case: match step.why {
                Why::Decided => call.map_or("", |call| call.given.as_str()).to_owned(),
                Why::Limited(0) => format!("beside limit {limit}"),
                Why::Limited(number) => format!("limit {limit}, call {number}"),
                Why::Held(number) => format!("limit {limit}, call {number} at once"),
            },
            surface: surface.as_str(),
            differs,
        }
    }

    /// The name of the limit that is looked at.
    fn limit_of(&self, caller: &Caller, limits: Limits) -> String {
        let Limits::Tight { at, .. } = limits else { return String::new() };
        let mut plans = self.policy.plans.values();
        let plan = plans.find(|plan| caller.plan.as_deref() == Some(plan.name.as_str()));
        // `, "name";r=`
        let item = plan.map_or("", |plan| plan.item(at));
        item.split('"').nth(1).unwrap_or_default().to_owned()
    }

    /// One surface: a gate with fresh counters, all calls, its records.
    fn run(
        &mut self,
        config: &Path,
        surface: Surface,
        sequences: &Arc<Vec<Sequence>>,
    ) -> Result<Run, ParityError> {
        let data_dir = self.stage.data_dir()?;
        let gate = Gate::start(&mut (self.gate)(config, &data_dir), &data_dir)?;
        self.stub.take();
        let aim = Aim { address: gate.address, surface, stub: self.stub.clone() };
        let answers = fire(&self.runtime, &aim, &self.plan, sequences)?;
        gate.stop()?;
        let mut records = records(&data_dir)?;
        Stage::forget(&data_dir)?;
        let mut received = self.stub.take();
        let mut facts = Vec::new();
        for (step, answer) in sequences.iter().flatten().zip(answers.iter().flatten()) {
            let id = id_of(answer);
            let (received, records) = (received.remove(id), records.remove(id));
            let call = self.plan.calls.get(step.call);
            let came = Came {
                surface,
                method: call.map_or(&Method::GET, |call| &call.prepared.method),
                id,
                answer,
                received: received.as_deref().unwrap_or_default(),
                records: records.as_deref().unwrap_or_default(),
            };
            // Nobody whose credential is good is refused before its message is read.
            let is_good = self.plan.callers.get(step.caller).is_some_and(Caller::is_active);
            let unread = surface != Surface::Rest && !is_good && came.is_unread();
            let message = if unread { Message::Unread } else { Message::Read };
            facts.push((*step, came.facts(), message));
        }
        Ok(Run { facts, strays: records.len() + received.len() })
    }
}

fn id_of(answer: &Answer) -> &str {
    answer.fields.get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default()
}

/// The records of all requests, by id.
fn records(data_dir: &Path) -> Result<AHashMap<String, Vec<Map<String, Value>>>, ParityError> {
    let mut records: AHashMap<String, Vec<Map<String, Value>>> = AHashMap::new();
    let directory = audit::directory(data_dir);
    let read = query::scan(&directory, &Filter::default(), None, |line, bytes| {
        if line.actor.is_none() {
            let record = serde_json::from_slice(bytes).map_err(std::io::Error::from)?;
            records.entry(line.id.to_string()).or_default().push(record);
        }
        Ok(())
    });
    read.map_err(|error| ParityError::Io(std::io::Error::other(error.to_string())))?;
    Ok(records)
}

impl Report {
    fn count(&mut self, rest: &Run) {
        self.calls += rest.facts.len();
        for (_, facts, _) in &rest.facts {
            match facts.get("record: denial").or_else(|| facts.get("record: failure")) {
                None => self.allowed += 1,
                Some(denial) => *self.denied.entry(denial.clone()).or_default() += 1,
            }
        }
    }

    fn add(&mut self, difference: Difference) {
        if self.differences.len() < DIFFERENCES_MAX {
            self.differences.push(difference);
        } else {
            self.more += 1;
        }
    }
}
