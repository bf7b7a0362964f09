//! Meters: what one client has used of one plan. The only state that decisions change.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ahash::AHashMap;

use super::calendar::Period;
use super::id::{ClientId, CredentialId, LimitName};
use super::loops::Loops;
use super::plan::{Plan, Quota, QuotaTerms, RATES_MAX};
use super::time::{MonoNs, UnixMicros};

/// What one client has used of one plan. Shared by all profiles of the client under that plan, and
/// kept across snapshots.
#[derive(Debug, Default)]
pub struct Meter {
    cells: Mutex<Cells>,
    /// Calls under way that hold a [`Seat`].
    seats: AtomicU32,
}

/// Everything that is charged together, so that all of it is charged or none.
#[derive(Debug, Default)]
pub struct Cells {
    /// Per rate, the theoretical arrival time of GCRA.
    pub rates: RateCells,
    /// What plans of rates alone do not need.
    pub more: Option<Box<MoreCells>>,
}

pub type RateCells = [MonoNs; RATES_MAX];

#[derive(Debug, Default)]
pub struct MoreCells {
    /// Of rates that count by credential: at most as many as the client has.
    pub credentials: AHashMap<CredentialId, RateCells>,
    /// One for each quota that was used, in no order.
    leases: Vec<Lease>,
    /// What was tried in vain, under a plan with a loop brake.
    loops: Loops,
}

/// Units of one quota in one period that the ledger has given to this meter.
#[derive(Clone, Debug)]
pub struct Lease {
    pub quota: LimitName,
    pub terms: QuotaTerms,
    pub period: Period,
    /// Units of the period that are spent or leased, as the ledger counts them.
    pub used: u64,
    /// Those of them that are not spent yet.
    pub left: u64,
    /// Calls of a shadow quota that were counted without a unit; the ledger is told with the next
    /// request for units.
    pub debt: u64,
    /// Whether units were asked for ahead of need, and the ledger has not answered.
    pub asked: bool,
}

/// The place of a lease among those of one meter.
#[derive(Clone, Copy, Debug)]
pub struct LeaseAt(usize);

impl Lease {
    /// Whether its units are units of `quota` at this moment.
    pub fn is_of(&self, quota: &Quota, wall: UnixMicros) -> bool {
        self.period.contains(wall) && self.terms == quota.terms
    }

    /// Units of the period that are spent.
    pub const fn spent(&self) -> u64 {
        self.used.saturating_sub(self.left).saturating_add(self.debt)
    }
}

impl Meter {
    /// The cells, for the time of one charge: a few additions, no I/O, so the wait is bounded.
    pub fn lock(&self) -> MutexGuard<'_, Cells> {
        self.cells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn seats_taken(&self) -> u32 {
        self.seats.load(Ordering::Acquire)
    }

    /// Takes a seat. Whoever does has the lock and has looked at how many are taken: others only
    /// give theirs back meanwhile.
    pub fn take_seat(self: &Arc<Self>, _: &Cells) -> Seat {
        self.seats.fetch_add(1, Ordering::AcqRel);
        Seat(Arc::clone(self))
    }
}

impl Cells {
    pub fn loops(&self) -> Option<&Loops> {
        self.more.as_ref().map(|more| &more.loops)
    }

    pub fn loops_mut(&mut self) -> Option<&mut Loops> {
        self.more.as_mut().map(|more| &mut more.loops)
    }

    pub fn loops_or_new(&mut self) -> &mut Loops {
        &mut self.more.get_or_insert_default().loops
    }

    pub fn lease_of(&self, quota: &LimitName) -> Option<&Lease> {
        self.more.as_ref()?.leases.iter().find(|lease| lease.quota == *quota)
    }

    pub fn lease_mut(&mut self, quota: &LimitName) -> Option<&mut Lease> {
        self.more.as_mut()?.leases.iter_mut().find(|lease| lease.quota == *quota)
    }

    /// Where the lease stands whose units are units of `quota` at this moment. Good until the lock is
    /// given back.
    pub fn find_lease(&self, quota: &Quota, wall: UnixMicros) -> Option<LeaseAt> {
        let is_of = |lease: &Lease| lease.quota == quota.name && lease.is_of(quota, wall);
        self.more.as_ref()?.leases.iter().position(is_of).map(LeaseAt)
    }

    pub fn lease(&self, at: LeaseAt) -> Option<&Lease> {
        self.more.as_ref()?.leases.get(at.0)
    }

    pub fn lease_at(&mut self, at: LeaseAt) -> Option<&mut Lease> {
        self.more.as_mut()?.leases.get_mut(at.0)
    }

    /// Puts a lease in the place of the one that the quota had.
    pub fn put_lease(&mut self, lease: Lease) {
        let leases = &mut self.more.get_or_insert_default().leases;
        match leases.iter_mut().find(|old| old.quota == lease.quota) {
            Some(old) => *old = lease,
            None => leases.push(lease),
        }
    }

    pub fn leases_mut(&mut self) -> impl Iterator<Item = &mut Lease> {
        self.more.iter_mut().flat_map(|more| more.leases.iter_mut())
    }
}

/// A place among the calls that a client may have at once. It is given back when it is dropped, so
/// it lives where the call does.
#[derive(Debug)]
pub struct Seat(Arc<Meter>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.seats.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Quotas of a meter for which units are due from the ledger.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub client: ClientId,
    pub plan: Arc<Plan>,
    pub meter: Arc<Meter>,
    /// By position in the plan, one bit each.
    pub quotas: u8,
    /// When: it says in which period.
    pub at: UnixMicros,
}

impl Wanted {
    pub fn quotas(&self) -> impl Iterator<Item = &Quota> {
        let wanted = |(at, quota)| (self.quotas >> at & 1 == 1).then_some(quota);
        self.plan.quotas.iter().enumerate().filter_map(wanted)
    }
}
