//! The open-loop generator: one thread that sends each request when it is due, whatever became of
//! those before, and counts time from when it was due. What could not be sent in time, because all
//! connections were taken, waits in its place and its wait is counted (no coordinated omission).
//!
//! It sleeps between events, by epoll and a timer of nanoseconds, since the stub may share its CPU.

use std::collections::VecDeque;
use std::iter::Peekable;
use std::net::SocketAddr;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::connection::{Awaited, Connection, News, Phase};
use super::schedule::{Arrivals, Schedule};
use super::tally::{Failure, Tally, Window};
use super::workload::Workload;
use crate::clock::{Deadline, Stopwatch};
use crate::error::{Error, Result};
use crate::interrupt;
use crate::random::Random;

/// One point of a curve.
#[derive(Clone, Debug)]
pub struct Task<'w> {
    pub address: SocketAddr,
    pub workload: &'w Workload,
    pub pace: Pace,
    pub connections: u32,
    pub warm_up: Duration,
    pub measured: Duration,
    pub timeout: Duration,
    /// Equal seeds send equal requests at equal times.
    pub seed: [u64; 3],
}

#[derive(Clone, Copy, Debug)]
pub enum Pace {
    Open {
        per_second: u64,
        arrivals: Arrivals,
    },
    /// A request whenever a connection is free: the most that can be had, and no latencies.
    FlatOut,
}

/// With its connections open; [`Generator::run`] sends.
pub struct Generator<'t> {
    task: &'t Task<'t>,
    window: Window,
    epoll: Epoll,
    timer: TimerFd,
    watch: Stopwatch,
    arrivals: Peekable<Schedule>,
    random: Random,
    connections: Vec<Connection>,
    idle: VecDeque<usize>,
    /// Due, and waiting for a connection; the oldest first.
    waiting: VecDeque<u64>,
    /// How many answers are awaited.
    awaited: usize,
    next_sweep_ns: u64,
    request: Vec<u8>,
    scratch: Vec<u8>,
    tally: Tally,
}

impl<'t> Generator<'t> {
    /// Returns when all connections are connected: to connect is no part of what is measured.
    pub fn open(task: &'t Task<'t>) -> Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(system)?;
        let flags = TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC;
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, flags).map_err(system)?;
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLET;
        epoll.add(&timer, EpollEvent::new(flags, TIMER)).map_err(system)?;
        let connections: Result<Vec<_>> = (0..u64::from(task.connections))
            .map(|number| Connection::begin(task.address, &epoll, number))
            .collect();
        let mut generator = Self {
            task,
            window: Window::new(task.warm_up, task.measured, task.timeout),
            epoll,
            timer,
            watch: Stopwatch::start(),
            arrivals: Schedule::empty().peekable(),
            random: Random::of(&task.seed),
            connections: connections?,
            idle: VecDeque::new(),
            waiting: VecDeque::new(),
            awaited: 0,
            next_sweep_ns: 0,
            request: Vec::new(),
            scratch: vec![0; SCRATCH_BYTES],
            tally: Tally::default(),
        };
        let deadline = Deadline::after(CONNECTED_WITHIN);
        while generator.idle.len() < generator.connections.len() {
            let refused = generator.connections.iter().any(|one| one.phase() == Phase::Dead);
            if refused || deadline.passed() {
                return Err(Error::unexpected(task.address.to_string(), "takes no connections"));
            }
            generator.turn()?;
        }
        generator.tally.reconnects = 0;
        Ok(generator)
    }

    /// Sends all of the schedule and waits for the answers. The connections stay open until the
    /// generator is dropped: a server's thread that ends with its connection takes its CPU time along.
    pub fn run(&mut self) -> Result<()> {
        self.begin();
        while !self.is_done() {
            self.turn()?;
        }
        Ok(())
    }

    pub fn into_tally(self) -> Tally {
        self.tally
    }

    /// Time zero.
    fn begin(&mut self) {
        if let Pace::Open { per_second, arrivals } = self.task.pace {
            let schedule = Schedule::new(arrivals, per_second, self.window.end_ns, &self.task.seed);
            self.arrivals = schedule.peekable();
        }
        self.watch = Stopwatch::start();
        self.next_sweep_ns = 0;
    }

    fn is_done(&mut self) -> bool {
        let nothing_due = match self.task.pace {
            Pace::Open { .. } => self.arrivals.peek().is_none(),
            Pace::FlatOut => self.now_ns() >= self.window.end_ns,
        };
        nothing_due && self.waiting.is_empty() && self.awaited == 0
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.watch.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Sends what is due, waits for something to happen, and takes what happened.
    fn turn(&mut self) -> Result<()> {
        interrupt::check()?;
        self.pump()?;
        let now = self.now_ns();
        if now >= self.next_sweep_ns {
            self.next_sweep_ns = now + SWEEP_NS;
            self.give_up_late_ones(now)?;
        }
        let mut events = [EpollEvent::empty(); EVENTS_MAX];
        let happened = match self.wait(now, &mut events) {
            Ok(happened) => happened,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(system(error)),
        };
        for event in events.iter().take(happened).filter(|event| event.data() != TIMER) {
            self.look_at(usize::try_from(event.data()).unwrap_or(usize::MAX))?;
            // Requests may have become due meanwhile, and an idle connection may be wanted.
            self.pump()?;
        }
        Ok(())
    }

    fn wait(&mut self, now: u64, events: &mut [EpollEvent]) -> nix::Result<usize> {
        let next = self.arrivals.peek().copied().unwrap_or(u64::MAX).min(self.next_sweep_ns);
        let nap = next.saturating_sub(now);
        if nap < SHORTEST_NAP_NS {
            return self.epoll.wait(events, 0_u8);
        }
        let wake = Expiration::OneShot(TimeSpec::from_duration(Duration::from_nanos(nap)));
        self.timer.set(wake, TimerSetTimeFlags::empty())?;
        // The timer ends the wait; this is longer than it.
        self.epoll.wait(events, 1000_u16)
    }

    /// Takes notice of all that is due, and sends what there are connections for.
    fn pump(&mut self) -> Result<()> {
        let mut now = self.now_ns();
        while let Some(due) = self.arrivals.next_if(|due| *due <= now) {
            let free = if self.waiting.is_empty() { self.idle.pop_front() } else { None };
            self.tally.noticed(self.window, due, now, free.is_some());
            match free {
                Some(number) => self.send(number, due, now)?,
                None => self.waiting.push_back(due),
            }
            // Sending takes time, and the next may be due because of it.
            now = self.now_ns();
        }
        while !self.waiting.is_empty()
            && let Some(number) = self.idle.pop_front()
            && let Some(due) = self.waiting.pop_front()
        {
            self.send(number, due, now)?;
        }
        if matches!(self.task.pace, Pace::FlatOut) {
            while self.now_ns() < self.window.end_ns
                && let Some(number) = self.idle.pop_front()
            {
                let due = self.now_ns();
                self.tally.noticed(self.window, due, due, true);
                self.send(number, due, due)?;
            }
        }
        Ok(())
    }

    fn send(&mut self, number: usize, due_ns: u64, now_ns: u64) -> Result<()> {
        let body_bytes = self.task.workload.write(&mut self.random, &mut self.request);
        let Some(connection) = self.connections.get_mut(number) else { return Ok(()) };
        self.tally.sent += 1;
        if connection.send(&self.request, Awaited { due_ns, body_bytes }) {
            self.awaited += 1;
            return Ok(());
        }
        self.tally.failed(self.window, due_ns, now_ns, Failure::Broken);
        self.renew(number)
    }

    fn look_at(&mut self, number: usize) -> Result<()> {
        let Some(connection) = self.connections.get_mut(number) else { return Ok(()) };
        match connection.look(&mut self.scratch) {
            News::Nothing => {}
            News::Connected => self.idle.push_back(number),
            News::Answered(Awaited { due_ns, body_bytes }, answer) => {
                let now = self.now_ns();
                self.tally.answered(self.window, due_ns, now, answer, body_bytes);
                self.awaited -= 1;
                self.idle.push_back(number);
            }
            News::Ended(lost) => {
                if let Some(Awaited { due_ns, .. }) = lost {
                    let now = self.now_ns();
                    self.tally.failed(self.window, due_ns, now, Failure::Broken);
                    self.awaited -= 1;
                }
                // A refused one is tried again at the next sweep, not in a circle.
                self.idle.retain(|idle| *idle != number);
            }
        }
        Ok(())
    }

    /// Gives up what waited too long, and makes dead connections anew.
    fn give_up_late_ones(&mut self, now: u64) -> Result<()> {
        let timeout = self.window.timeout_ns;
        while self.waiting.front().is_some_and(|due| due.saturating_add(timeout) <= now) {
            let due = self.waiting.pop_front().unwrap_or_default();
            self.tally.failed(self.window, due, now, Failure::Unsent);
        }
        for number in 0..self.connections.len() {
            match self.connections.get(number).map(Connection::phase) {
                Some(Phase::Awaiting(Awaited { due_ns, .. }))
                    if due_ns.saturating_add(timeout) <= now =>
                {
                    self.tally.failed(self.window, due_ns, now, Failure::TimedOut);
                    self.awaited -= 1;
                    // The answer may still come: it must not be taken for the next one's.
                    self.renew(number)?;
                }
                Some(Phase::Dead) => self.renew(number)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn renew(&mut self, number: usize) -> Result<()> {
        self.tally.reconnects += 1;
        let made = Connection::begin(self.task.address, &self.epoll, number as u64)?;
        if let Some(place) = self.connections.get_mut(number) {
            *place = made;
        }
        Ok(())
    }
}

fn system(error: Errno) -> Error {
    Error::while_doing("the generator cannot wait")(error.into())
}

/// The event of the timer; connections have small numbers.
const TIMER: u64 = u64::MAX;
const EVENTS_MAX: usize = 128;
const SCRATCH_BYTES: usize = 64 * 1024;
const CONNECTED_WITHIN: Duration = Duration::from_secs(5);
/// How often late requests are looked for.
const SWEEP_NS: u64 = 20_000_000;
/// To set the timer and to sleep takes longer than this.
const SHORTEST_NAP_NS: u64 = 2_000;

#[cfg(test)]
mod tests;
