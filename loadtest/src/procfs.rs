//! What /proc tells of a process: memory, CPU time, threads, open files. Parsers are apart from
//! reading, so that they are tested on text.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::error::{Error, Result};

/// CPU time of each thread of a process, in nanoseconds, by thread id.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct CpuTimes(BTreeMap<u32, u64>);

impl CpuTimes {
    pub fn of(pid: u32) -> Result<Self> {
        let mut times = BTreeMap::new();
        for thread in numbers_in(&format!("/proc/{pid}/task"))? {
            // A thread that ended between the two readings is no error; its time is lost to us.
            if let Ok(text) = fs::read_to_string(format!("/proc/{pid}/task/{thread}/schedstat")) {
                times.insert(thread, parse_schedstat(&text)?);
            }
        }
        Ok(Self(times))
    }

    /// Nanoseconds that threads alive now have run since `earlier`.
    pub fn since(&self, earlier: &Self) -> u64 {
        let spent = |(thread, now): (&u32, &u64)| {
            now.saturating_sub(earlier.0.get(thread).copied().unwrap_or(0))
        };
        self.0.iter().map(spent).sum()
    }
}

/// CPU time of the whole machine since its start, in nanoseconds; the kernel counts in ticks of 10 ms.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct MachineTimes {
    /// Spent by processes and by the kernel for them. Without interrupts: on some kernels they are
    /// counted to the process they interrupt too.
    pub busy_ns: u64,
    /// Wanted, and given to another machine by the host.
    pub stolen_ns: u64,
}

impl MachineTimes {
    pub fn now() -> Result<Self> {
        parse_stat(&read("/proc/stat")?)
    }

    pub const fn since(self, earlier: Self) -> Self {
        Self {
            busy_ns: self.busy_ns.saturating_sub(earlier.busy_ns),
            stolen_ns: self.stolen_ns.saturating_sub(earlier.stolen_ns),
        }
    }
}

/// Resident memory in bytes. From `smaps_rollup`: the counter in `status` lags.
pub fn resident_bytes(pid: u32) -> Result<u64> {
    parse_rss(&read(format!("/proc/{pid}/smaps_rollup"))?)
}

pub fn open_files(pid: u32) -> Result<usize> {
    Ok(numbers_in(&format!("/proc/{pid}/fd"))?.len())
}

/// The name of a thread, at most 15 bytes as the kernel keeps it.
pub fn thread_name(pid: u32, thread: u32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/task/{thread}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

/// CPUs that this process may run on.
pub fn allowed_cpus() -> Result<Vec<u32>> {
    let text = read("/proc/self/status")?;
    let list = text.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    parse_cpu_list(list.unwrap_or_default().trim())
}

/// The hard limit of open files of this process.
pub fn open_files_hard_limit() -> Result<u64> {
    parse_hard_limit(&read("/proc/self/limits")?)
}

fn read(path: impl AsRef<Path>) -> Result<String> {
    let path = path.as_ref();
    fs::read_to_string(path).map_err(Error::while_doing(format!("cannot read {}", path.display())))
}

fn numbers_in(directory: &str) -> Result<Vec<u32>> {
    let entries =
        fs::read_dir(directory).map_err(Error::while_doing(format!("cannot read {directory}")))?;
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
}

/// Three numbers: time on a CPU, time waiting for one, slices run.
fn parse_schedstat(text: &str) -> Result<u64> {
    let first = text.split_whitespace().next().and_then(|word| word.parse().ok());
    first.ok_or_else(|| Error::unexpected("schedstat", format!("not numbers: {text:?}")))
}

/// `cpu  user nice system idle iowait irq softirq steal …`
fn parse_stat(text: &str) -> Result<MachineTimes> {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "));
    let ticks: Option<Vec<u64>> =
        line.map(|line| line.split_whitespace().map_while(|word| word.parse().ok()).collect());
    match ticks.as_deref() {
        Some([user, nice, system, _idle, _iowait, _irq, _softirq, steal, ..]) => Ok(MachineTimes {
            busy_ns: (user + nice + system) * TICK_NS,
            stolen_ns: steal * TICK_NS,
        }),
        _ => Err(Error::unexpected("/proc/stat", "no line 'cpu' with eight numbers")),
    }
}

/// A hundred ticks a second on every Linux that Rust builds for, by default.
const TICK_NS: u64 = 10_000_000;

fn parse_rss(text: &str) -> Result<u64> {
    let kib = text.lines().find_map(|line| {
        line.strip_prefix("Rss:")?.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()
    });
    kib.map(|kib| kib * 1024).ok_or_else(|| Error::unexpected("smaps_rollup", "no Rss line"))
}

/// `0-3,8` and the like.
fn parse_cpu_list(text: &str) -> Result<Vec<u32>> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.parse().ok()?..=last.parse().ok()?)
    };
    let ranges: Option<Vec<_>> = text.split(',').map(range).collect();
    let ranges = ranges.ok_or_else(|| Error::unexpected("Cpus_allowed_list", text))?;
    Ok(ranges.into_iter().flatten().collect())
}

fn parse_hard_limit(text: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"));
    let hard = line.and_then(|rest| rest.split_whitespace().nth(1));
    match hard {
        Some("unlimited") => Ok(u64::MAX),
        Some(number) => number.parse().map_err(|_| Error::unexpected("limits", number)),
        None => Err(Error::unexpected("limits", "no line 'Max open files'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedstat_is_three_numbers() {
        assert_eq!(parse_schedstat("123456789 42 7\n").ok(), Some(123_456_789));
        assert_eq!(parse_schedstat("0 0 0\n").ok(), Some(0));
        assert!(parse_schedstat("").is_err());
        assert!(parse_schedstat("x 1 2").is_err());
    }

    #[test]
    fn cpu_time_is_of_threads_alive_now() {
        let times = |rows: &[(u32, u64)]| CpuTimes(rows.iter().copied().collect());
        let check = |earlier: &[(u32, u64)], now: &[(u32, u64)], expected: u64| {
            assert_eq!(times(now).since(&times(earlier)), expected);
        };
        check(&[], &[], 0);
        check(&[(1, 10), (2, 20)], &[(1, 15), (2, 20)], 5);
        check(&[(1, 10)], &[(1, 10), (3, 7)], 7);
        check(&[(1, 10), (2, 500)], &[(1, 12)], 2);
    }

    #[test]
    fn the_machine_is_the_first_line_of_stat() {
        let text = "cpu  1 2 3 400 50 6 7 8 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\nintr 5\n";
        let times = parse_stat(text).expect("a machine");
        assert_eq!(times, MachineTimes { busy_ns: 6 * TICK_NS, stolen_ns: 8 * TICK_NS });
        assert_eq!(times.since(times), MachineTimes::default());
        assert!(parse_stat("cpu0 1 2 3 4 5 6 7 8\n").is_err());
        assert!(parse_stat("cpu  1 2 3\n").is_err());
    }

    #[test]
    fn rss_is_in_kib() {
        let text =
            "5581-7fff ---p 00000000 00:00 0 [rollup]\nRss:               23456 kB\nPss: 1 kB\n";
        assert_eq!(parse_rss(text).ok(), Some(23_456 * 1024));
        assert!(parse_rss("Pss: 1 kB\n").is_err());
    }

    #[test]
    fn cpu_lists_have_ranges() {
        let check = |text: &str, expected: &[u32]| {
            assert_eq!(parse_cpu_list(text).expect("a list"), expected, "{text}");
        };
        check("0", &[0]);
        check("0-1", &[0, 1]);
        check("0-2,8,10-11", &[0, 1, 2, 8, 10, 11]);
        assert!(parse_cpu_list("").is_err());
    }

    #[test]
    fn the_hard_limit_is_the_second_column() {
        let line =
            |hard: &str| format!("Limit Soft Hard Units\nMax open files  1024  {hard}  files\n");
        assert_eq!(parse_hard_limit(&line("20000")).ok(), Some(20_000));
        assert_eq!(parse_hard_limit(&line("unlimited")).ok(), Some(u64::MAX));
        assert!(parse_hard_limit("").is_err());
    }

    #[test]
    fn this_process_can_be_read() {
        let pid = std::process::id();
        assert!(resident_bytes(pid).expect("rss") > 0);
        assert!(open_files(pid).expect("files") > 2);
        assert!(!allowed_cpus().expect("cpus").is_empty());
        assert!(open_files_hard_limit().expect("limit") > 0);
        assert!(CpuTimes::of(pid).expect("times").since(&CpuTimes::default()) > 0);
        assert!(thread_name(pid, pid).is_some());
    }
}
