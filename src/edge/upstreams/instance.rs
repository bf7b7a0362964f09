//! One address of an endpoint: what is in the air there, and whether it may have more.
//!
//! A look at it costs two loads. What changes seldom is behind locks that no healthy request takes.
//! An instance outlives reloads for as long as its address is configured.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::model::balance::{Ejection, HealthCheck};
use crate::model::time::MonoNs;
use crate::model::upstream::{Address, Endpoint, Location};

use super::pick;

/// Checks say that it is not well.
const UNHEALTHY: u8 = 1;
/// Requests said so, and it is left out for a while.
const EJECTED: u8 = 2;

/// One address of an endpoint.
#[derive(Debug)]
pub struct Instance {
    /// As config names it.
    pub location: Location,
    pub address: Address,
    /// What its address adds to a hash.
    pub seed: u64,
    /// `UNHEALTHY` and `EJECTED`; 0 may have requests.
    state: AtomicU8,
    in_flight: AtomicU32,
    /// Failures in a row, as requests saw them.
    failures: AtomicU32,
    out: Mutex<Out>,
    checked: Mutex<Checked>,
}

/// Its ejections.
#[derive(Debug, Default)]
struct Out {
    until: MonoNs,
    /// How often the time was doubled.
    doublings: u32,
    returned: Option<MonoNs>,
}

/// Its checks.
#[derive(Debug, Default)]
struct Checked {
    /// None before the first.
    due: Option<MonoNs>,
    under_way: bool,
    /// Results in a row that contradict what it is taken for.
    contrary: u16,
}

/// How an instance is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum State {
    Healthy,
    Unhealthy,
    Ejected,
}

impl State {
    pub const ALL: [Self; 3] = [Self::Healthy, Self::Unhealthy, Self::Ejected];

    /// The metric's label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Ejected => "ejected",
        }
    }
}

impl Instance {
    pub fn new(endpoint: &Endpoint, address: &Address) -> Self {
        Self {
            location: endpoint.location.clone(),
            address: address.clone(),
            seed: pick::hash(address.to_string().as_bytes()),
            state: AtomicU8::new(0),
            in_flight: AtomicU32::new(0),
            failures: AtomicU32::new(0),
            out: Mutex::default(),
            checked: Mutex::default(),
        }
    }

    pub fn is_available(&self) -> bool {
        self.state.load(Ordering::Relaxed) == 0
    }

    pub fn state(&self) -> State {
        match self.state.load(Ordering::Relaxed) {
            0 => State::Healthy,
            EJECTED => State::Ejected,
            _ => State::Unhealthy,
        }
    }

    pub fn is_ejected(&self) -> bool {
        self.state.load(Ordering::Relaxed) & EJECTED != 0
    }

    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Counts a request in; None when there are `most` already.
    pub fn enter(self: &Arc<Self>, most: u32) -> Option<Attempt> {
        if self.in_flight.fetch_add(1, Ordering::Relaxed) >= most {
            self.in_flight.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Attempt { instance: Arc::clone(self), saw: Saw::Nothing })
    }

    pub fn succeeded(&self) {
        // A store is rare: most successes follow a success.
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    /// Counts a failure; true when there are enough in a row to eject it.
    pub fn failed(&self, rules: Ejection) -> bool {
        let before = self.failures.fetch_add(1, Ordering::Relaxed);
        rules.failures != 0 && before.saturating_add(1) >= u32::from(rules.failures)
    }

    /// Leaves it out, and says for how long; None when it is out already.
    pub fn eject(&self, rules: Ejection, now: MonoNs) -> Option<Duration> {
        let mut out = lock(&self.out);
        if self.is_ejected() {
            return None;
        }
        let soon = out.returned.is_some_and(|returned| now.since(returned) <= rules.longest);
        out.doublings = if soon { out.doublings.saturating_add(1) } else { 0 };
        let factor = 1_u32.checked_shl(out.doublings).unwrap_or(u32::MAX);
        let time = rules.first.saturating_mul(factor).min(rules.longest);
        out.until = now.after(time);
        self.state.fetch_or(EJECTED, Ordering::Relaxed);
        Some(time)
    }

    /// Lets it have requests again once its time is over; says whether it just did. The first
    /// failure after that ejects it anew, until a request succeeds.
    pub fn end_ejection(&self, rules: Ejection, now: MonoNs) -> bool {
        if !self.is_ejected() {
            return false;
        }
        let mut out = lock(&self.out);
        if out.until > now && rules.failures != 0 {
            return false;
        }
        out.returned = Some(now);
        let one_less = u32::from(rules.failures.saturating_sub(1));
        self.failures.store(one_less, Ordering::Relaxed);
        self.state.fetch_and(!EJECTED, Ordering::Relaxed) & EJECTED != 0
    }

    /// Whether a check is due. Then it is under way, and the next is due after `pause`; the first
    /// waits for a part of that, so that not all begin at once.
    pub fn begin_check(&self, now: MonoNs, pause: Duration) -> bool {
        let mut checked = lock(&self.checked);
        let due = *checked.due.get_or_insert_with(|| now.after(pause.saturating_mul(2) / 10));
        if checked.under_way || due > now {
            return false;
        }
        checked.due = Some(now.after(pause));
        checked.under_way = true;
        true
    }

    /// Takes in a check's result; says what it is taken for from now on, if that changed.
    pub fn end_check(&self, rules: &HealthCheck, passed: Passed) -> Option<Passed> {
        let mut checked = lock(&self.checked);
        if !std::mem::take(&mut checked.under_way) {
            // Checks were given up meanwhile.
            return None;
        }
        let unhealthy = self.state.load(Ordering::Relaxed) & UNHEALTHY != 0;
        let enough = match (unhealthy, passed) {
            (true, Passed::Yes) => rules.healthy_after,
            (false, Passed::No) => rules.unhealthy_after,
            (true, Passed::No) | (false, Passed::Yes) => {
                checked.contrary = 0;
                return None;
            }
        };
        checked.contrary = checked.contrary.saturating_add(1);
        if checked.contrary < enough {
            return None;
        }
        checked.contrary = 0;
        match passed {
            Passed::Yes => self.state.fetch_and(!UNHEALTHY, Ordering::Relaxed),
            Passed::No => self.state.fetch_or(UNHEALTHY, Ordering::Relaxed),
        };
        Some(passed)
    }

    /// Nobody checks it any more: it is taken as well.
    pub fn forget_checks(&self) {
        let mut checked = lock(&self.checked);
        *checked = Checked::default();
        self.state.fetch_and(!UNHEALTHY, Ordering::Relaxed);
    }
}

/// A check's result.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Passed {
    Yes,
    No,
}

/// A request at an instance, counted there until dropped.
#[derive(Debug)]
pub struct Attempt {
    pub instance: Arc<Instance>,
    /// So that each attempt is counted as one failure at most.
    pub saw: Saw,
}

/// What an attempt has seen of its instance.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Saw {
    Nothing,
    /// The head of a response that is no failure.
    Head,
    /// A failure, which was told.
    Failure,
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.instance.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
