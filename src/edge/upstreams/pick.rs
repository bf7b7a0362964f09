//! Who gets a request: the choice among an upstream's instances. Pure but for counters: no clock, no
//! lock, no allocation. A list of instances never changes; another takes its place.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use siphasher::sip::SipHasher13;

use crate::model::balance::Balance;
use crate::model::upstream::{Address, Location, Upstream};

use super::instance::{Attempt, Instance};

/// An instance and its weight under the present config.
#[derive(Clone, Debug)]
pub struct Member {
    pub instance: Arc<Instance>,
    pub weight: u16,
}

/// The instances of an upstream at one time.
#[derive(Debug, Default)]
pub struct Members {
    pub list: Box<[Member]>,
    /// Positions in the list, each as often as its weight says, interleaved.
    schedule: Box<[u16]>,
}

/// What a choice depends on besides the instances.
#[derive(Debug)]
pub struct Ask<'a> {
    pub upstream: &'a Upstream,
    /// Counts choices: whose turn it is, and what chance says.
    pub turn: &'a AtomicUsize,
    /// The hash of the request's key, under [`Balance::Hash`].
    pub key: Option<u64>,
    /// Where the request was before.
    pub tried: &'a [Arc<Instance>],
    pub again: Again,
}

/// Whether a request may go where it was before, when there is nobody else.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Again {
    Never,
    IfAlone,
}

/// Why nobody gets the request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoPick {
    /// No name of the upstream has an address.
    Unresolved,
    Unhealthy,
    /// Each that is healthy has as many requests as it may.
    Full,
}

/// How often chance is asked for an instance that may have the request.
const TRIES: usize = 8;

impl Members {
    pub fn new(list: Vec<Member>) -> Self {
        Self { schedule: schedule(&list), list: list.into() }
    }

    /// Chooses, and counts the request in where it goes.
    pub fn pick(&self, ask: &Ask<'_>) -> Result<Attempt, NoPick> {
        if self.list.is_empty() {
            return Err(NoPick::Unresolved);
        }
        let search = Search { members: self, ask, panic: Cell::new(None), tried: ask.tried };
        let found = search.find().or_else(|| {
            let alone = ask.again == Again::IfAlone && !ask.tried.is_empty();
            let everywhere = Search { tried: &[], ..search.clone() };
            if alone { everywhere.find() } else { None }
        });
        found.ok_or_else(|| if search.is_full() { NoPick::Full } else { NoPick::Unhealthy })
    }

    /// Requests in the air at all of them.
    pub fn in_flight(&self) -> u64 {
        self.list.iter().map(|member| u64::from(member.instance.in_flight())).sum()
    }

    pub fn find(&self, location: &Location, address: &Address) -> Option<&Arc<Instance>> {
        let same = |instance: &&Arc<Instance>| {
            instance.address == *address && instance.location == *location
        };
        self.list.iter().map(|member| &member.instance).find(same)
    }

    /// Whether so few are well that health is no reason to leave one out.
    fn in_panic(&self, threshold: u8) -> bool {
        let healthy = self.list.iter().filter(|member| member.instance.is_available()).count();
        healthy * 100 < self.list.len() * usize::from(threshold)
    }
}

/// One choice.
#[derive(Clone)]
struct Search<'a> {
    members: &'a Members,
    ask: &'a Ask<'a>,
    /// Found out when the first unhealthy instance is met.
    panic: Cell<Option<bool>>,
    tried: &'a [Arc<Instance>],
}

impl Search<'_> {
    fn find(&self) -> Option<Attempt> {
        match (&self.ask.upstream.balance, self.ask.key) {
            (Balance::LeastRequests, _) => self.least_requests(),
            (Balance::TwoChoices, _) => self.two_choices(),
            (Balance::Hash(_), Some(key)) => self.by_hash(key),
            (Balance::RoundRobin, _) | (Balance::Hash(_), None) => self.in_turn(),
        }
    }

    fn may_have(&self, instance: &Arc<Instance>) -> bool {
        self.is_healthy(instance)
            && instance.in_flight() < self.most()
            && !self.tried.iter().any(|tried| Arc::ptr_eq(tried, instance))
    }

    fn is_healthy(&self, instance: &Instance) -> bool {
        instance.is_available() || {
            let threshold = self.ask.upstream.panic_threshold;
            let panic = self.panic.get().unwrap_or_else(|| self.members.in_panic(threshold));
            self.panic.set(Some(panic));
            panic
        }
    }

    fn is_full(&self) -> bool {
        let full = |member: &Member| {
            self.is_healthy(&member.instance) && member.instance.in_flight() >= self.most()
        };
        self.members.list.iter().any(full)
    }

    fn most(&self) -> u32 {
        self.ask.upstream.connections_max.unwrap_or(u32::MAX)
    }

    fn enter(&self, member: &Member) -> Option<Attempt> {
        if self.may_have(&member.instance) { member.instance.enter(self.most()) } else { None }
    }

    /// A turn is used up with each look, so that those who follow one that is left out share what
    /// it would have had.
    fn in_turn(&self) -> Option<Attempt> {
        let looks = 2 * self.members.list.len();
        let first = |_| self.enter(self.scheduled(self.next_turn())?);
        (0..looks).find_map(first).or_else(|| self.any())
    }

    /// Among equals the one whose turn it is.
    fn least_requests(&self) -> Option<Attempt> {
        let list = &self.members.list;
        let free = list.iter().filter(|member| self.may_have(&member.instance));
        let least = free.reduce(less_busy)?;
        for _ in 0..list.len() {
            let member = self.scheduled(self.next_turn())?;
            if load(member, least) <= load(least, member)
                && let Some(attempt) = self.enter(member)
            {
                return Some(attempt);
            }
        }
        // Another thread may have taken its last place meanwhile.
        self.enter(least).or_else(|| self.any())
    }

    fn two_choices(&self) -> Option<Attempt> {
        let mut first: Option<&Member> = None;
        for _ in 0..2 * TRIES {
            let member = self.scheduled(scatter(self.next_turn()))?;
            if !self.may_have(&member.instance) {
                continue;
            }
            match first {
                None => first = Some(member),
                Some(other) if Arc::ptr_eq(&other.instance, &member.instance) => {}
                Some(other) => return self.enter(less_busy(other, member)).or_else(|| self.any()),
            }
        }
        first.and_then(|member| self.enter(member)).or_else(|| self.any())
    }

    /// Rendezvous hashing: each instance has a score for the key, and the highest wins. So only
    /// the keys of one that leaves move, and each of them anywhere; there is no table to build.
    fn by_hash(&self, key: u64) -> Option<Attempt> {
        for _ in 0..TRIES {
            let mut best: Option<(f64, &Member)> = None;
            for member in &self.members.list {
                let score = score(key, member);
                let better = best.is_none_or(|(highest, _)| score > highest);
                if better && self.may_have(&member.instance) {
                    best = Some((score, member));
                }
            }
            if let Some(attempt) = best?.1.instance.enter(self.most()) {
                return Some(attempt);
            }
        }
        None
    }

    /// Whoever may have it, when chance or the turns did not find one.
    fn any(&self) -> Option<Attempt> {
        let list = &self.members.list;
        let (before, from) = list.split_at_checked(self.next_turn() % list.len().max(1))?;
        from.iter().chain(before).find_map(|member| self.enter(member))
    }

    fn next_turn(&self) -> usize {
        self.ask.turn.fetch_add(1, Ordering::Relaxed)
    }

    fn scheduled(&self, turn: usize) -> Option<&Member> {
        let schedule = &self.members.schedule;
        let at = schedule.get(turn % schedule.len().max(1))?;
        self.members.list.get(usize::from(*at))
    }
}

/// The one with fewer requests for its weight; of equals the first.
fn less_busy<'m>(first: &'m Member, second: &'m Member) -> &'m Member {
    if load(second, first) < load(first, second) { second } else { first }
}

/// How busy one is for its weight, to be compared with the other's.
fn load(of: &Member, other: &Member) -> u64 {
    u64::from(of.instance.in_flight()) * u64::from(other.weight)
}

/// Higher for heavy instances, so that each wins as many keys as its weight says.
fn score(key: u64, member: &Member) -> f64 {
    let mixed = mix(key ^ member.instance.seed);
    // 53 bits of it as a fraction between 0 and 1, neither included.
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit a double exactly")]
    let fraction = ((mixed >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -f64::from(member.weight) / fraction.ln()
}

/// A number that looks like chance, from a counter (splitmix64).
fn scatter(turn: usize) -> usize {
    let mixed = mix((turn as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    usize::try_from(mixed & 0xffff_ffff).unwrap_or(0)
}

/// Spreads every bit over all others (the finaliser of splitmix64).
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// The same in every process, so that gates side by side agree.
pub fn hash(bytes: &[u8]) -> u64 {
    SipHasher13::new().hash(bytes)
}

/// Weighted turns, laid out once: the nth of a weight's turns stands in the middle of the nth part
/// of the round, so heavy ones come often and the light ones between them.
fn schedule(list: &[Member]) -> Box<[u16]> {
    let common = list.iter().map(|member| member.weight).fold(0, divisor).max(1);
    let turns = (0_u16..).zip(list).flat_map(|(at, member)| {
        let weight = u32::from(member.weight / common);
        (0..weight).map(move |nth| (u64::from(2 * nth + 1) * PRECISION / u64::from(weight), at))
    });
    let mut turns: Vec<(u64, u16)> = turns.collect();
    turns.sort_unstable();
    turns.into_iter().map(|(_, at)| at).collect()
}

/// Places in a round that can be told apart.
const PRECISION: u64 = 1 << 32;

/// The greatest common one.
fn divisor(a: u16, b: u16) -> u16 {
    if b == 0 { a } else { divisor(b, a % b) }
}

#[cfg(test)]
mod tests;
