//! The machine that measured, so that figures of different machines are not compared by mistake,
//! and where on it things run.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::process::{self, Prefix};
use crate::procfs;

/// Processor, kernel, load and tool versions at this moment.
pub fn fingerprint() -> Value {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = text("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    json!({
        "cpu": model.unwrap_or_default().trim_start_matches([' ', '\t', ':']),
        "cpus_allowed": procfs::allowed_cpus().map_or(0, |cpus| cpus.len()),
        "kernel": text("/proc/sys/kernel/osrelease").trim(),
        "load_average": text("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" "),
        "commit": first_line("git", &["rev-parse", "--short", "HEAD"]),
        "valgrind": first_line("valgrind", &["--version"]),
        "nginx": first_line("nginx", &["-v"]),
    })
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
fn first_line(program: &str, arguments: &[&str]) -> String {
    let Ok(said) = Command::new(program).args(arguments).output() else {
        return "unknown".into();
    };
    let text = if said.stdout.is_empty() { said.stderr } else { said.stdout };
    String::from_utf8_lossy(&text).lines().next().unwrap_or("unknown").into()
}
