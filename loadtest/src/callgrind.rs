//! A server under callgrind: instrumentation switched on around the measured requests only, counts
//! taken thread by thread. Talks to valgrind through vgdb, as `callgrind_control` does.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::error::{Error, Result};
use crate::process::{self, Prefix};
use crate::procfs;

/// Where one server's valgrind keeps its pipes and its dumps.
#[derive(Debug)]
pub struct Callgrind {
    directory: PathBuf,
    taken: BTreeSet<PathBuf>,
}

/// What one thread executed while instrumentation was on.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ThreadCount {
    /// As the kernel knows it; threads of one pool share it.
    pub name: String,
    pub instructions: u64,
}

impl Callgrind {
    /// `directory` belongs to this server alone.
    pub const fn new(directory: PathBuf) -> Self {
        Self { directory, taken: BTreeSet::new() }
    }

    /// Starts the program with instrumentation off: start-up and warm-up cost little and count
    /// nothing.
    pub fn prefix(&self) -> Prefix {
        let with_path = |option: &str, name: &str| {
            let mut word = OsString::from(option);
            word.push(self.directory.join(name));
            word
        };
        Prefix(vec![
            "valgrind".into(),
            "--tool=callgrind".into(),
            "--instr-atstart=no".into(),
            "--separate-threads=yes".into(),
            with_path("--vgdb-prefix=", "vgdb"),
            with_path("--callgrind-out-file=", DUMP_PREFIX),
        ])
    }

    pub fn start_counting(&self, pid: u32) -> Result<()> {
        self.tell(pid, &["instrumentation", "on"]).map(drop)
    }

    /// Switches off and returns what each thread executed since the start, most first. Callgrind
    /// zeroes its counters with the dump, so each counting stands alone.
    pub fn stop_counting(&mut self, pid: u32) -> Result<Vec<ThreadCount>> {
        self.tell(pid, &["instrumentation", "off"])?;
        let threads = parse_threads(&self.tell(pid, &["v.info", "scheduler"])?);
        self.tell(pid, &["dump"])?;
        let mut counts = Vec::new();
        for path in self.new_dumps()? {
            let text = fs::read_to_string(&path)
                .map_err(Error::while_doing(format!("cannot read {}", path.display())))?;
            let dump = parse_dump(&text)?;
            let lwp = threads.iter().find(|thread| thread.number == dump.thread);
            let name = lwp.and_then(|thread| procfs::thread_name(pid, thread.lwp));
            counts.push(ThreadCount {
                name: name.unwrap_or_else(|| "(ended)".into()),
                instructions: dump.instructions,
            });
        }
        counts.sort_by_key(|count| std::cmp::Reverse(count.instructions));
        Ok(counts)
    }

    /// Files of the last dump: one for each thread.
    fn new_dumps(&mut self) -> Result<Vec<PathBuf>> {
        let doing = || Error::while_doing(format!("cannot read {}", self.directory.display()));
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(doing())? {
            let entry = entry.map_err(doing())?;
            let is_dump = entry.file_name().to_string_lossy().starts_with(DUMP_PREFIX);
            // Callgrind makes the file without a number at its start, empty, to see that it can.
            let is_empty = entry.metadata().map_err(doing())?.len() == 0;
            if is_dump && !is_empty && !self.taken.contains(&entry.path()) {
                found.push(entry.path());
            }
        }
        self.taken.extend(found.iter().cloned());
        Ok(found)
    }

    fn tell(&self, pid: u32, words: &[&str]) -> Result<String> {
        let mut prefix = OsString::from("--vgdb-prefix=");
        prefix.push(self.directory.join("vgdb"));
        let mut command = Command::new("vgdb");
        command.arg(prefix).arg(format!("--pid={pid}")).args(words);
        process::output(command)
    }
}

#[derive(Debug, Eq, PartialEq)]
struct Dump {
    /// Valgrind's own number of the thread.
    thread: u32,
    instructions: u64,
}

/// The header and footer of a dump file; the costs between are for `callgrind_annotate`.
fn parse_dump(text: &str) -> Result<Dump> {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let bad = |what: &str| Error::unexpected("callgrind's dump", format!("no '{what}'"));
    if field("events:").is_none_or(|events| events.split_whitespace().next() != Some("Ir")) {
        return Err(bad("events: Ir"));
    }
    let thread = field("thread:").and_then(|value| value.trim().parse().ok());
    let total = field("totals:").and_then(|value| value.split_whitespace().next()?.parse().ok());
    Ok(Dump {
        thread: thread.ok_or_else(|| bad("thread:"))?,
        instructions: total.ok_or_else(|| bad("totals:"))?,
    })
}

#[derive(Debug, Eq, PartialEq)]
struct Thread {
    number: u32,
    lwp: u32,
}

/// Lines like `Thread 2: status = VgTs_WaitSys syscall 232 (lwpid 4711)` among stack traces.
fn parse_threads(text: &str) -> Vec<Thread> {
    let parse = |line: &str| {
        let (number, rest) = line.strip_prefix("Thread ")?.split_once(':')?;
        let (_, lwp) = rest.rsplit_once("(lwpid ")?;
        Some(Thread {
            number: number.parse().ok()?,
            lwp: lwp.trim_end().strip_suffix(')')?.parse().ok()?,
        })
    };
    text.lines().filter_map(parse).collect()
}

const DUMP_PREFIX: &str = "callgrind.out";

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = "\
# callgrind format
version: 1
creator: callgrind-3.19.0
pid: 349
cmd:  ./server --listen 127.0.0.1:1
part: 1
thread: 3

desc: I1 cache: \ndesc: Trigger: Client Request / User

positions: line
events: Ir
summary: 84581000


ob=(1) /usr/lib/libc.so.6
fn=(1) memcpy
0 84581000

totals: 84581000
";

    #[test]
    fn a_dump_has_thread_and_total() {
        let dump = parse_dump(DUMP).expect("a dump");
        assert_eq!(dump, Dump { thread: 3, instructions: 84_581_000 });
        for needed in ["thread:", "totals:", "events: Ir"] {
            assert!(parse_dump(&DUMP.replace(needed, "gone:")).is_err(), "{needed}");
        }
    }

    #[test]
    fn threads_are_found_among_stack_traces() {
        let text = "\
sched status:
  running_tid=0

Thread 1: status = VgTs_WaitSys syscall 230 (lwpid 349)
==349==    at 0x4914503: clock_nanosleep@@GLIBC_2.17 (clock_nanosleep.c:71)
client stack range: [0x1FFEFFE000 0x1FFF000FFF] client SP: 0x1FFF000568

Thread 12: status = VgTs_Yielding (lwpid 360)
Thread x: status = VgTs_Yielding (lwpid 360)
";
        let expected = [Thread { number: 1, lwp: 349 }, Thread { number: 12, lwp: 360 }];
        assert_eq!(parse_threads(text), expected);
    }
}
