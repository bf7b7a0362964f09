//! What became of the requests of one point. Every intended request is in it exactly once: as right,
//! or as one kind of failure; and exactly once in the latencies, where a failure counts as the
//! longest wait, so that failing cannot make a curve look better.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::times::Times;
use crate::client::Answer;

/// Why an intended request got no right answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Failure {
    /// 429 or 503: the server said that it does not want more.
    Refused,
    WrongStatus,
    WrongLength,
    /// The connection ended, or what came on it was no answer.
    Broken,
    /// Sent, and no answer in time.
    TimedOut,
    /// Not sent in time: all connections were taken.
    Unsent,
}

/// Failures, kind by kind.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Failures {
    pub refused: u64,
    pub wrong_status: u64,
    pub wrong_length: u64,
    pub broken: u64,
    pub timed_out: u64,
    pub unsent: u64,
}

impl Failures {
    pub const fn count(&mut self, failure: Failure) {
        *match failure {
            Failure::Refused => &mut self.refused,
            Failure::WrongStatus => &mut self.wrong_status,
            Failure::WrongLength => &mut self.wrong_length,
            Failure::Broken => &mut self.broken,
            Failure::TimedOut => &mut self.timed_out,
            Failure::Unsent => &mut self.unsent,
        } += 1;
    }

    pub fn all(&self) -> u64 {
        self.named().into_iter().map(|(_, count)| count).sum()
    }

    /// With the words that reports use.
    pub const fn named(&self) -> [(&'static str, u64); 6] {
        [
            ("refused", self.refused),
            ("wrong status", self.wrong_status),
            ("wrong length", self.wrong_length),
            ("broken", self.broken),
            ("timed out", self.timed_out),
            ("unsent", self.unsent),
        ]
    }

    pub fn merge(&mut self, other: &Self) {
        self.refused += other.refused;
        self.wrong_status += other.wrong_status;
        self.wrong_length += other.wrong_length;
        self.broken += other.broken;
        self.timed_out += other.timed_out;
        self.unsent += other.unsent;
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Requests that were due in the measured window.
    pub intended: u64,
    /// Of these, answered rightly, whenever.
    pub right: u64,
    pub failures: Failures,
    /// Right answers that came within the window, to whatever request.
    pub in_window: u64,
    /// Of the intended ones, those that found all connections taken.
    pub waited: u64,
    /// Requests sent in all, warm-up included: what the servers' CPU time was spent on.
    pub sent: u64,
    /// Connections that had to be made anew.
    pub reconnects: u64,
    /// From the intended time to the whole answer.
    pub latency: Times,
    /// From the intended time to when the generator got to it: its own lateness.
    pub lag: Times,
}

/// The measured part of a point: times in nanoseconds from its start.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub begin_ns: u64,
    pub end_ns: u64,
    pub timeout_ns: u64,
}

impl Window {
    pub fn new(warm_up: Duration, measured: Duration, timeout: Duration) -> Self {
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        Self { begin_ns: ns(warm_up), end_ns: ns(warm_up + measured), timeout_ns: ns(timeout) }
    }

    /// Whether the request is measured; what came before was to warm up.
    pub const fn has(self, due_ns: u64) -> bool {
        self.begin_ns <= due_ns && due_ns < self.end_ns
    }
}

impl Tally {
    /// The generator takes notice of a request that was due.
    pub fn noticed(&mut self, window: Window, due_ns: u64, now_ns: u64, found_connection: bool) {
        if window.has(due_ns) {
            self.intended += 1;
            self.waited += u64::from(!found_connection);
            self.lag.record(now_ns.saturating_sub(due_ns));
        }
    }

    pub fn answered(
        &mut self,
        window: Window,
        due_ns: u64,
        now_ns: u64,
        answer: Answer,
        body_bytes: u64,
    ) {
        match judge(answer, body_bytes) {
            Some(failure) => self.failed(window, due_ns, now_ns, failure),
            None => {
                self.in_window += u64::from(window.has(now_ns));
                if window.has(due_ns) {
                    self.right += 1;
                    self.latency.record(now_ns.saturating_sub(due_ns));
                }
            }
        }
    }

    pub fn failed(&mut self, window: Window, due_ns: u64, now_ns: u64, failure: Failure) {
        if window.has(due_ns) {
            self.failures.count(failure);
            self.latency.record(window.timeout_ns.max(now_ns.saturating_sub(due_ns)));
        }
    }
}

fn judge(answer: Answer, body_bytes: u64) -> Option<Failure> {
    match answer.status {
        200 if answer.body_bytes == body_bytes => None,
        200 => Some(Failure::WrongLength),
        429 | 503 => Some(Failure::Refused),
        _ => Some(Failure::WrongStatus),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Window = Window { begin_ns: 1000, end_ns: 2000, timeout_ns: 900 };

    fn answer(status: u16) -> Answer {
        Answer { status, body_bytes: 5 }
    }

    #[test]
    fn only_the_window_is_measured() {
        let mut tally = Tally::default();
        for due in [0, 999, 1000, 1999, 2000] {
            tally.noticed(WINDOW, due, due + 1, true);
            tally.answered(WINDOW, due, due + 2, answer(200), 5);
        }
        assert_eq!((tally.intended, tally.right, tally.latency.count()), (2, 2, 2));
        // 1001 (of the warm-up) and 1002; 2001 came too late.
        assert_eq!(tally.in_window, 2);
    }

    #[test]
    fn a_failure_is_the_longest_wait_and_never_lost() {
        let check = |status: u16, bytes: u64, kind: &str| {
            let mut tally = Tally::default();
            tally.answered(WINDOW, 1500, 1501, answer(status), bytes);
            let of_kind = tally.failures.named().into_iter().find(|(name, _)| *name == kind);
            assert_eq!(of_kind, Some((kind, 1)), "{status}");
            assert_eq!((tally.right, tally.in_window, tally.failures.all()), (0, 0, 1));
            assert!((890..=910).contains(&tally.latency.at(1.0)), "{}", tally.latency.at(1.0));
        };
        check(429, 5, "refused");
        check(503, 5, "refused");
        check(200, 6, "wrong length");
        check(401, 5, "wrong status");
        check(502, 5, "wrong status");
    }

    #[test]
    fn late_failures_count_as_late_as_they_are() {
        let mut tally = Tally::default();
        tally.failed(WINDOW, 1000, 6000, Failure::Unsent);
        assert!(tally.latency.at(1.0) >= 4950);
    }

    #[test]
    fn failures_add_up_by_kind() {
        let mut sum = Failures { refused: 1, ..Failures::default() };
        sum.merge(&Failures { refused: 2, broken: 3, ..Failures::default() });
        assert_eq!((sum.refused, sum.broken, sum.all()), (3, 3, 6));
    }
}
