//! A config as `parity` runs it: who may do what is word for word the config's, and all that binds it to its
//! place is taken out or replaced. It listens on a free port of this machine, every upstream is the one that is
//! told, and limits have numbers with which time decides nothing.

use std::fmt;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::kept::Texts;
use super::source::Sources;
use crate::model::plan::{LimitAt, Plan};
use crate::model::policy::Policy;

/// What a staged config is made with.
#[derive(Clone, Copy, Debug)]
pub struct Staging {
    pub upstream: SocketAddr,
    pub limits: Limits,
}

/// Numbers for every limit.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Limits {
    /// So many calls, which nobody makes.
    Wide { calls: u32 },
    /// One limit of each plan admits `few` calls, or as many as it says where that is less; the others are wide.
    Tight { at: LimitAt, few: u32, calls: u32 },
}

/// One file, and what it names.
#[derive(Debug)]
pub struct Staged {
    pub config: String,
    /// OpenAPI documents, by the names that the config has for them.
    pub documents: Vec<(String, String)>,
}

/// Why a config cannot be staged: it compiled a moment ago, so nobody can mend it.
#[derive(Debug)]
pub struct NotStaged(String);

impl fmt::Display for NotStaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the config cannot be written anew: {}", self.0)
    }
}

impl std::error::Error for NotStaged {}

/// Where the staged gate listens, and where its metrics are: ports that the system chooses.
const ANY_PORT: &str = "127.0.0.1:0";
/// Sections that say where the gate stands and what it writes, not who may do what.
const OF_THE_PLACE: [&str; 6] = ["include", "server", "listener", "metrics", "audit", "access_log"];
/// The longest period of a rate, and how often it fits into the longest time that a burst may take to refill.
const PERIOD: &str = "24h";
const PERIODS_MAX: u32 = 300;

impl Texts {
    /// `policy` is what these files say.
    pub fn staged(&self, policy: &Policy, staging: &Staging) -> Result<Staged, NotStaged> {
        let sources = self.sources();
        let mut whole = Table::new();
        for source in sources.tomls() {
            let table: Table = source.text.parse().map_err(|error| failed(&error))?;
            merge(&mut whole, table);
        }
        let proxies = whole.get("server").and_then(|server| server.get("trusted_proxies")).cloned();
        whole.retain(|name, _| !OF_THE_PLACE.contains(&name));
        place(&mut whole, proxies);
        for upstream in tables(&mut whole, "upstream") {
            upstream.retain(|key, _| key == "name");
            upstream.insert("endpoints".into(), vec![staging.upstream.to_string()].into());
        }
        let mut documents = Vec::new();
        for api in tables(&mut whole, "api") {
            files_of_api(api, sources, &mut documents);
        }
        for plan in tables(&mut whole, "plan") {
            let name = plan.get("name").and_then(Value::as_str).unwrap_or_default();
            if let Some(compiled) = policy.plans.values().find(|plan| plan.name.as_str() == name) {
                numbers(plan, compiled, staging.limits);
            }
        }
        let config = toml::to_string(&whole).map_err(|error| failed(&error))?;
        Ok(Staged { config, documents })
    }
}

fn failed(error: &dyn fmt::Display) -> NotStaged {
    NotStaged(error.to_string())
}

/// Lists of tables go on in the next file; a table stands in one file only.
fn merge(whole: &mut Table, table: Table) {
    for (name, value) in table {
        match (whole.get_mut(&name), value) {
            (Some(Value::Array(before)), Value::Array(more)) => before.extend(more),
            (_, value) => {
                whole.insert(name, value);
            }
        }
    }
}

/// What takes the place of the sections that were taken out.
fn place(whole: &mut Table, proxies: Option<Value>) {
    let table = |members: Vec<(&str, Value)>| {
        Value::Table(members.into_iter().map(|(name, value)| (name.into(), value)).collect())
    };
    let server = proxies.map(|proxies| ("trusted_proxies", proxies));
    whole.insert("server".into(), table(server.into_iter().collect()));
    let listener = table(vec![("name", "parity".into()), ("address", ANY_PORT.into())]);
    whole.insert("listener".into(), Value::Array(vec![listener]));
    let metrics = vec![("address", ANY_PORT.into()), ("clients_max", 0.into())];
    whole.insert("metrics".into(), table(metrics));
    // Every refusal has a record of its own, and few calls go on at once.
    let audit = [("denials_per_source", 1_000_000), ("queue_records_max", 16_384)];
    let audit = audit.map(|(name, value)| (name, Value::Integer(value)));
    whole.insert("audit".into(), table(audit.into()));
    // Clients that are revoked would be taken for a flood of strangers.
    if let Some(Value::Table(limits)) = whole.get_mut("limits") {
        limits.remove("anonymous");
    }
}

fn tables<'t>(whole: &'t mut Table, name: &str) -> impl Iterator<Item = &'t mut Table> {
    let list = whole.get_mut(name).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_table_mut)
}

/// Documents go along under other names; bodies are found where they are.
fn files_of_api(api: &mut Table, sources: &Sources, documents: &mut Vec<(String, String)>) {
    if let Some(Value::String(named)) = api.get_mut("openapi")
        && let Some((_, document)) = sources.document(named)
    {
        *named = format!("document-{}", documents.len());
        documents.push((named.clone(), document.text.clone()));
    }
    for operation in tables(api, "operation") {
        let file = operation.get_mut("respond").and_then(|respond| respond.get_mut("file"));
        if let Some(Value::String(file)) = file {
            *file = absolute(sources.folder(), file).to_string_lossy().into_owned();
        }
    }
}

fn absolute(folder: &Path, named: &str) -> PathBuf {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    fs::canonicalize(folder).unwrap_or_else(|_| folder.to_owned()).join(named)
}

/// Which limits there are, what they are called, and whose and which calls they count stays as it was.
fn numbers(plan: &mut Table, compiled: &Plan, limits: Limits) {
    let calls = |at: LimitAt, says: u64| match limits {
        Limits::Tight { at: tight, few, .. } if tight == at => {
            u32::try_from(says).map_or(few, |says| says.min(few))
        }
        Limits::Wide { calls } | Limits::Tight { calls, .. } => calls,
    };
    // It waits for what repeats in a time, and acts when it gets to it.
    if let Some(brake) = plan.get_mut("loop_brake") {
        *brake = Value::Table([("mode".into(), "off".into())].into_iter().collect());
    }
    for (at, (rate, is)) in of_list(plan, "rates").zip(&compiled.rates).enumerate() {
        let burst = calls(Plan::rate_at(at), u64::from(is.burst));
        // By default it has its numbers in it.
        rate.insert("name".into(), is.name.as_str().into());
        rate.insert("burst".into(), burst.into());
        rate.insert("limit".into(), burst.div_ceil(PERIODS_MAX).into());
        rate.insert("per".into(), PERIOD.into());
    }
    for (at, (quota, is)) in of_list(plan, "quotas").zip(&compiled.quotas).enumerate() {
        quota.insert("limit".into(), calls(compiled.quota_at(at), is.terms.limit).into());
    }
    let Some(is) = &compiled.concurrency else { return };
    // It counts what goes on, so it is as it was unless it is meant: one caller makes one call at a time.
    let at = compiled.concurrency_at();
    let Limits::Tight { at: tight, .. } = limits else { return };
    let few = Value::from(if tight == at { calls(at, u64::from(is.limit)) } else { is.limit });
    match plan.get_mut("concurrency") {
        Some(Value::Table(table)) => drop(table.insert("limit".into(), few)),
        Some(number) => *number = few,
        None => {}
    }
}

fn of_list<'t>(plan: &'t mut Table, name: &str) -> impl Iterator<Item = &'t mut Table> {
    let list = plan.get_mut(name).and_then(Value::as_array_mut);
    list.into_iter().flatten().filter_map(Value::as_table_mut)
}
