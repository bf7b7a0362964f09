//! The arithmetic of one quota: what a lease is good for, and when to ask for more of it. Who leases,
//! and how that is kept, is the ledger's business.

use crate::model::meter::Lease;
use crate::model::plan::Quota;
use crate::model::time::UnixMicros;

/// Whether a quota has a unit for one call.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stock {
    Available,
    /// Until the period ends, in so many nanoseconds.
    UsedUp {
        wait_ns: u64,
    },
    /// The ledger knows.
    Unknown,
}

/// Judges one call by the lease of this moment, if there is one; changes nothing.
pub fn stock(lease: Option<&Lease>, quota: &Quota, wall: UnixMicros) -> Stock {
    match lease {
        Some(lease) if lease.left > 0 => Stock::Available,
        Some(lease) if lease.spent() >= quota.terms.limit => {
            Stock::UsedUp { wait_ns: lease.period.left_ns(wall) }
        }
        Some(_) | None => Stock::Unknown,
    }
}

/// Whether it is time to ask the ledger for more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Renewal {
    Due,
    NotDue,
}

/// Charges one call: to the lease, or, where a shadow has none left, as a debt. Half a block before
/// the lease is empty more is asked for, so that nobody waits and yet no more than one block is
/// ever leased and not spent.
pub fn spend(lease: &mut Lease, quota: &Quota) -> Renewal {
    if lease.left > 0 {
        lease.left -= 1;
    } else {
        lease.debt += 1;
    }
    let is_low = lease.left <= quota.terms.block() / 2;
    let is_there_more = lease.used.saturating_add(lease.debt) < quota.terms.limit;
    if is_low && is_there_more && !lease.asked {
        lease.asked = true;
        Renewal::Due
    } else {
        Renewal::NotDue
    }
}

/// Calls that the period has left.
pub const fn remaining(lease: &Lease, limit: u64) -> u64 {
    limit.saturating_sub(lease.spent())
}
