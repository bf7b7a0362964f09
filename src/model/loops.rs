//! Loops: calls of one client that fail again and again, or that come again and again over its limits. What a meter
//! remembers of them, in bounded room, and when it is too much. Pure; time is an argument.

use std::time::Duration;

use super::id::{ApiName, LimitName, OperationId};
use super::plan::Mode;
use super::time::MonoNs;

/// When a plan's loop brake refuses, and for how long.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LoopBrake {
    /// [`LoopBrake::NAME`], as a name.
    pub name: LimitName,
    pub mode: Mode,
    /// Failures in a row of one operation.
    pub failures: u32,
    /// Answers of one operation within `window` that said that a limit is used up.
    pub calls: u32,
    pub window: Duration,
    /// How long the operation is taken from the client then.
    pub quarantine: Duration,
}

impl LoopBrake {
    pub const NAME: &'static str = "loop_brake";
}

/// What is called: calls of the same are counted together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Called {
    Operation(OperationId),
    /// Paths and methods of an api that are no operation.
    NothingOf(ApiName),
    /// Tools that there are not.
    NoTool,
    /// The MCP endpoint, with what is no message of the protocol.
    NoMessage,
}

/// How a call ended, as far as the brake cares.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ended {
    Well,
    Badly,
    /// Refused by a limit of the plan.
    OverLimit,
    /// It says nothing of what its caller does.
    Aside,
}

/// When a call came, and when it had ended.
#[derive(Clone, Copy, Debug)]
pub struct When {
    pub came: MonoNs,
    pub ended: MonoNs,
}

/// Why calls are refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Looping {
    /// So many failed in a row.
    Failed(u32),
    /// So many came over a limit.
    TooFast(u32),
}

/// Most things of one client and plan that are remembered: of those that go well nothing is. Past it, what was heard
/// of longest ago is forgotten, what is braked last.
pub const LOOPS_MAX: usize = 64;

/// What one client has tried in vain.
#[derive(Debug, Default)]
pub struct Loops(Vec<Tried>);

#[derive(Debug)]
struct Tried {
    called: Called,
    /// In a row: each came after the one before had ended.
    failures: u32,
    /// When the last of them had ended.
    failed: MonoNs,
    /// Answers over a limit since `window_began`.
    over_limit: u32,
    window_began: MonoNs,
    braked: Option<(Looping, MonoNs)>,
    last: MonoNs,
}

impl Loops {
    /// Whether calls of this are braked at this moment: why, and until when.
    pub fn braked(&self, called: &Called, now: MonoNs) -> Option<(Looping, MonoNs)> {
        self.0
            .iter()
            .find(|tried| tried.called == *called)?
            .braked
            .filter(|(_, until)| now < *until)
    }

    /// Takes in how a call ended. Some: from now on calls of this are braked, and were not before.
    pub fn tell(
        &mut self,
        called: &Called,
        ended: Ended,
        brake: &LoopBrake,
        when: When,
    ) -> Option<Looping> {
        let now = when.ended;
        let found = self.0.iter().position(|tried| tried.called == *called);
        match (ended, found) {
            (Ended::Aside, _) | (Ended::Well, None) => None,
            (Ended::Well, Some(at)) => {
                self.went_well(at, brake, now);
                None
            }
            (Ended::Badly | Ended::OverLimit, found) => {
                let at = found.unwrap_or_else(|| self.room(called, now));
                self.0.get_mut(at)?.went_badly(ended, brake, when)
            }
        }
    }

    /// What an operator gave back. None: everything.
    pub fn release(&mut self, operation: Option<&OperationId>) {
        let is_meant = |called: &Called| match (operation, called) {
            (None, _) => true,
            (Some(given), Called::Operation(id)) => given == id,
            (Some(_), Called::NothingOf(_) | Called::NoTool | Called::NoMessage) => false,
        };
        self.0.retain(|tried| !is_meant(&tried.called));
    }

    pub const fn len(&self) -> usize {
        self.0.len()
    }

    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Nothing is remembered of what goes well, but how often it came over a limit.
    fn went_well(&mut self, at: usize, brake: &LoopBrake, now: MonoNs) {
        let Some(tried) = self.0.get_mut(at) else { return };
        tried.failures = 0;
        tried.last = now;
        let is_counting = tried.over_limit > 0 && tried.is_in_window(brake, now);
        if !tried.is_braked(now) && !is_counting {
            self.0.swap_remove(at);
        }
    }

    /// A place for what is called, where there was none.
    fn room(&mut self, called: &Called, now: MonoNs) -> usize {
        let tried = Tried {
            called: called.clone(),
            failures: 0,
            failed: now,
            over_limit: 0,
            window_began: now,
            braked: None,
            last: now,
        };
        if self.0.len() < LOOPS_MAX {
            self.0.push(tried);
            return self.0.len() - 1;
        }
        let by_age = self.0.iter().enumerate().map(|(at, old)| (old.is_braked(now), old.last, at));
        let at = by_age.min().map_or(0, |(_, _, at)| at);
        if let Some(old) = self.0.get_mut(at) {
            *old = tried;
        }
        at
    }
}

impl Tried {
    fn went_badly(&mut self, ended: Ended, brake: &LoopBrake, when: When) -> Option<Looping> {
        let now = when.ended;
        // Who had not heard of the last failure repeats nothing.
        let is_repeated = self.failures == 0 || when.came >= self.failed;
        self.last = now;
        // Calls that were under way when the brake came say nothing new.
        if self.is_braked(now) {
            return None;
        }
        let looping = match ended {
            Ended::Badly if !is_repeated => None,
            Ended::Badly => {
                self.failures = self.failures.saturating_add(1);
                self.failed = now;
                (self.failures >= brake.failures).then_some(Looping::Failed(self.failures))
            }
            Ended::OverLimit => {
                // A window begins with its first.
                if self.over_limit == 0 || !self.is_in_window(brake, now) {
                    (self.over_limit, self.window_began) = (0, now);
                }
                self.over_limit = self.over_limit.saturating_add(1);
                (self.over_limit >= brake.calls).then_some(Looping::TooFast(self.over_limit))
            }
            Ended::Well | Ended::Aside => None,
        }?;
        (self.failures, self.over_limit) = (0, 0);
        self.braked = Some((looping, now.after(brake.quarantine)));
        Some(looping)
    }

    fn is_braked(&self, now: MonoNs) -> bool {
        self.braked.is_some_and(|(_, until)| now < until)
    }

    fn is_in_window(&self, brake: &LoopBrake, now: MonoNs) -> bool {
        now < self.window_began.after(brake.window)
    }
}

#[cfg(test)]
mod tests;
