//! The machine that measured, so that figures of different machines are not compared by mistake,
//! and where on it things run.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::process::{self, Prefix};
use crate::procfs;
use crate::servers::nginx;

/// Processor, kernel, load and tool versions at this moment.
pub fn fingerprint() -> Value {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = text("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    json!({
        "cpu": model.unwrap_or_default().trim_start_matches([' ', '\t', ':']),
        "hypervisor": cpuinfo.contains(" hypervisor"),
        "governor": governor(),
        "memory_mib": memory_mib(&text("/proc/meminfo")),
        "cpus_allowed": procfs::allowed_cpus().map_or(0, |cpus| cpus.len()),
        "kernel": text("/proc/sys/kernel/osrelease").trim(),
        "load_average": text("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" "),
        "commit": first_line(Path::new("git"), &["describe", "--always", "--dirty", "--abbrev=12"]),
        "valgrind": first_line(Path::new("valgrind"), &["--version"]),
        "nginx": first_line(&nginx::program(), &["-v"]),
    })
}

/// Who decides the processor's frequency. Virtual machines seldom know.
fn governor() -> String {
    let path = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";
    fs::read_to_string(path).map_or_else(|_| "unknown".into(), |text| text.trim().into())
}

fn memory_mib(meminfo: &str) -> u64 {
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|text| text.split_whitespace().next()?.parse::<u64>().ok());
    kib.map_or(0, |kib| kib / 1024)
}

/// The fingerprint on one line.
pub fn in_words(fingerprint: &Value) -> String {
    let empty = serde_json::Map::new();
    let fields = fingerprint.as_object().unwrap_or(&empty).iter();
    let words = fields.map(|(name, value)| match value.as_str() {
        Some(text) => format!("{name} {text}"),
        None => format!("{name} {value}"),
    });
    words.collect::<Vec<_>>().join("; ")
}

/// Servers on one CPU, everything else on another: where there is one CPU, nothing is pinned.
#[derive(Debug)]
pub struct Pinning {
    pub server: Prefix,
    pub rest: Prefix,
}

impl Pinning {
    /// Pins the calling thread to the rest's CPU, and says how to start the others.
    pub fn apply() -> Result<Self> {
        let cpus = procfs::allowed_cpus()?;
        let (Some(first), Some(last)) = (cpus.first(), cpus.last()) else {
            return Err(Error::unexpected("this process", "may run on no CPU"));
        };
        if first == last {
            return Ok(Self { server: Prefix::default(), rest: Prefix::default() });
        }
        let on = |cpu: &u32| {
            let words = ["taskset", "--cpu-list", &cpu.to_string()].map(Into::into);
            Prefix(words.into())
        };
        let mut pin = Command::new("taskset");
        pin.args(["--cpu-list", "--pid", &last.to_string(), &this_thread()?]);
        process::output(pin)?;
        Ok(Self { server: on(first), rest: on(last) })
    }
}

/// Where the parts of a sweep run: the measured server on one CPU, the generator on another, and the
/// stub on a third where there is one.
#[derive(Debug)]
pub struct Places {
    pub server: Prefix,
    pub stub: Prefix,
    /// Whether generator and stub compete for one CPU.
    pub load_shares_cpu: bool,
    pub in_words: String,
}

impl Places {
    /// Takes the calling thread, which is to be the generator, to its place. With `real_time` all
    /// are scheduled before ordinary programs, which the system must permit.
    pub fn take(real_time: Option<RealTime>) -> Result<Self> {
        let cpus = procfs::allowed_cpus()?;
        let taskset = |cpu: u32| vec!["taskset".into(), "--cpu-list".into(), cpu.to_string()];
        let (server, stub, load, in_words) = match *cpus.as_slice() {
            [] | [_] => (None, None, None, "one CPU for all, nothing is pinned".into()),
            [first, last] => {
                let words = format!("server on CPU {first}; generator and stub on CPU {last}");
                (Some(first), Some(last), Some(last), words)
            }
            [first, .., third, last] => {
                let words =
                    format!("server on CPU {first}; stub on CPU {third}; generator on CPU {last}");
                (Some(first), Some(third), Some(last), words)
            }
        };
        let thread = this_thread()?;
        if let Some(load) = load {
            let mut pin = Command::new("taskset");
            pin.args(["--cpu-list", "--pid", &load.to_string(), &thread]);
            process::output(pin)?;
        }
        let mut in_words = in_words;
        let mut before: Vec<String> = Vec::new();
        if real_time.is_some() {
            before = ["chrt", "--fifo", REAL_TIME_PRIORITY].map(Into::into).into();
            let mut raise = Command::new("chrt");
            raise.args(["--fifo", "--pid", REAL_TIME_PRIORITY, &thread]);
            process::output(raise)?;
            in_words += "; all in real-time order (SCHED_FIFO)";
        }
        let prefix = |cpu: Option<u32>| {
            let words = before.iter().cloned().chain(cpu.map(taskset).unwrap_or_default());
            Prefix(words.map(Into::into).collect())
        };
        let load_shares_cpu = stub == load;
        Ok(Self { server: prefix(server), stub: prefix(stub), load_shares_cpu, in_words })
    }
}

/// Asked for: before all ordinary programs.
#[derive(Clone, Copy, Debug)]
pub struct RealTime;

const REAL_TIME_PRIORITY: &str = "20";

/// Raises the soft limit of open files of this process, and so of its children, to the hard one.
/// Returns the limit.
pub fn raise_open_files() -> Result<u64> {
    let hard = procfs::open_files_hard_limit()?;
    let mut raise = Command::new("prlimit");
    let limit = if hard == u64::MAX { "unlimited".into() } else { hard.to_string() };
    raise.args(["--pid", &std::process::id().to_string(), &format!("--nofile={limit}:{limit}")]);
    process::output(raise)?;
    Ok(hard)
}

/// The id of the calling thread: taskset takes threads one by one.
fn this_thread() -> Result<String> {
    let link = fs::read_link("/proc/thread-self")
        .map_err(Error::while_doing("cannot read /proc/thread-self"))?;
    let id = link.file_name().map(|name| name.to_string_lossy().into_owned());
    id.ok_or_else(|| Error::unexpected("/proc/thread-self", "no thread id"))
}

/// What a tool says of itself; nginx says it on standard error. Ignorance is no error here.
fn first_line(program: &Path, arguments: &[&str]) -> String {
    let Ok(said) = Command::new(program).args(arguments).output() else {
        return "unknown".into();
    };
    if !said.status.success() {
        return "unknown".into();
    }
    let text = if said.stdout.is_empty() { said.stderr } else { said.stdout };
    String::from_utf8_lossy(&text).lines().next().unwrap_or("unknown").into()
}
