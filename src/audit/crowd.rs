//! Strangers cannot fill the disk: of denials without a valid credential each source has some records a second
//! of its own; the rest is folded into one counted record for each second, source, surface and denial.
//!
//! Metrics see every one of them. What is folded keeps its places in the journal until the summary is in the
//! file, so a kill loses none; there are at most so many at a time.

use std::net::{IpAddr, Ipv6Addr};

use ahash::AHashMap;

use crate::model::id::RequestId;
use crate::model::record::{Caller, Outcome, RequestRecord, Surface};
use crate::model::time::{MonoNs, UnixMicros};

use super::journal::{CONTENT_BYTES, Place};
use super::opening::Opening;

/// What was folded in one second.
#[derive(Debug)]
pub struct Crowd {
    /// Records of its own that each source has in a second.
    per_source: u32,
    /// Calls that may be folded and not yet written.
    held_max: usize,
    second: u64,
    own: AHashMap<Source, u32>,
    own_of_all: u32,
    folded: AHashMap<(Source, Surface, &'static str), Summary>,
    held: usize,
}

/// Many calls in one record.
#[derive(Debug)]
pub struct Summary {
    /// Of the first of them, as is the time.
    pub id: RequestId,
    pub time: UnixMicros,
    pub surface: Surface,
    /// None for the rest, where there are too many sources, and where it is unknown.
    pub source_ip: Option<IpAddr>,
    pub denial: Box<str>,
    pub count: u64,
    /// Where the calls stand until this is in the file; the first first.
    pub places: Vec<Place>,
}

impl Summary {
    /// Of so many calls of a source, of which this is the first.
    pub fn of(opening: &Opening<'_>, source: Source, count: u64) -> Self {
        Self {
            id: opening.id,
            time: opening.time,
            surface: opening.surface,
            source_ip: source.ip(),
            denial: opening.denial.into(),
            count,
            places: Vec::new(),
        }
    }
}

/// An address, or the /64 that one site or phone has.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Source {
    Of(IpAddr),
    Unknown,
}

impl Source {
    pub fn of(ip: Option<IpAddr>) -> Self {
        match ip.map(|ip| ip.to_canonical()) {
            Some(IpAddr::V6(ip)) => {
                Self::Of(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into())
            }
            Some(ip @ IpAddr::V4(_)) => Self::Of(ip),
            None => Self::Unknown,
        }
    }

    const fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Of(ip) => Some(ip),
            Self::Unknown => None,
        }
    }
}

impl Crowd {
    pub fn new(per_source: u32, queue_records_max: usize) -> Self {
        Self {
            per_source,
            held_max: (queue_records_max / 4).max(1),
            second: 0,
            own: AHashMap::new(),
            own_of_all: 0,
            folded: AHashMap::new(),
            held: 0,
        }
    }

    /// Whether the record has no line of its own.
    pub fn wants(&mut self, record: &RequestRecord) -> bool {
        let (Outcome::Denied(_), Caller::Anonymous { .. }) = (record.outcome, &record.caller)
        else {
            return false;
        };
        let all = self.per_source.saturating_mul(SOURCES_WITH_RECORDS);
        if self.own.len() >= SOURCES_MAX && !self.own.contains_key(&Source::of(record.source_ip)) {
            return true;
        }
        let own = self.own.entry(Source::of(record.source_ip)).or_default();
        if *own >= self.per_source || self.own_of_all >= all {
            return true;
        }
        *own += 1;
        self.own_of_all += 1;
        false
    }

    /// Folds a record that it wants.
    pub fn fold(&mut self, record: &RequestRecord, place: Place) {
        let Outcome::Denied(denial) = record.outcome else { return };
        let mut source = Source::of(record.source_ip);
        let kind = |source| (source, record.surface, denial.code());
        let is_known = self.folded.contains_key(&kind(source));
        if !is_known && self.folded.len() >= SUMMARIES_MAX {
            source = Source::Unknown;
        }
        let summary = self.folded.entry(kind(source)).or_insert_with(|| Summary {
            id: record.id,
            time: record.time,
            surface: record.surface,
            source_ip: source.ip(),
            denial: denial.code().into(),
            count: 0,
            places: Vec::new(),
        });
        summary.count += 1;
        summary.places.push(place);
        // About the slots that it takes.
        self.held += 1 + (record.path.len() + record.host.len()) / CONTENT_BYTES;
        self.held += usize::from(record.mcp.is_some());
    }

    /// The summaries that are due: of a second that is over, or when no more may be held.
    pub fn due(&mut self, now: MonoNs, wanted: Wanted) -> Vec<Summary> {
        let second = now.0 / 1_000_000_000;
        let is_over = second != self.second;
        if is_over {
            self.second = second;
            self.own.clear();
            self.own_of_all = 0;
        }
        if self.held == 0 || !(is_over || wanted == Wanted::All || self.held >= self.held_max) {
            return Vec::new();
        }
        self.held = 0;
        let mut due: Vec<Summary> = self.folded.drain().map(|(_, summary)| summary).collect();
        due.sort_unstable_by_key(|summary| (summary.time, summary.id.to_bytes()));
        due
    }

    /// Whether something is folded that is not written.
    pub const fn holds(&self) -> bool {
        self.held > 0
    }
}

/// Which summaries are asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wanted {
    /// Those of a second that is over, and all where too many calls are held.
    Due,
    /// The log closes.
    All,
}

/// All sources together have as many records of their own in a second as so many of them.
const SOURCES_WITH_RECORDS: u32 = 10;
/// Sources that are told apart in a second; what others do is folded at once.
const SOURCES_MAX: usize = 1024;
/// Summaries of a second that name their source.
const SUMMARIES_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::journal::Slots;
    use crate::audit::tests::{bare, full};
    use crate::model::denial::Denial;

    fn at(seconds: u64) -> MonoNs {
        MonoNs(seconds * 1_000_000_000)
    }

    fn stranger(n: u64, ip: [u8; 4]) -> RequestRecord {
        RequestRecord { source_ip: Some(ip.into()), ..bare(n) }
    }

    /// Offers a record; whether it was folded.
    fn offer(crowd: &mut Crowd, slots: &Slots, record: &RequestRecord) -> bool {
        let wants = crowd.wants(record);
        if wants {
            crowd.fold(record, slots.take().expect("a place"));
        }
        wants
    }

    #[test]
    fn each_source_has_some_records_and_the_rest_is_counted() {
        let (slots, _keeper) = Slots::anonymous(1000);
        let mut crowd = Crowd::new(2, 10_000);
        assert!(crowd.due(at(1), Wanted::Due).is_empty());
        let (a, b) = ([10, 0, 0, 1], [10, 0, 0, 2]);
        let folded: Vec<bool> =
            (0..5).map(|n| offer(&mut crowd, &slots, &stranger(n, a))).collect();
        assert_eq!(folded, [false, false, true, true, true]);
        assert!(!offer(&mut crowd, &slots, &stranger(6, b)));
        let other = Outcome::Denied(Denial::CredentialMissing);
        assert!(offer(&mut crowd, &slots, &RequestRecord { outcome: other, ..stranger(7, a) }));
        assert!(!offer(&mut crowd, &slots, &full(8)), "allowed");
        let mcp = RequestRecord { surface: Surface::Mcp, ..stranger(10, a) };
        assert!(offer(&mut crowd, &slots, &mcp));
        let denied = Outcome::Denied(Denial::NotGranted);
        let known = (0..20).map(|n| RequestRecord { outcome: denied, ..full(n) });
        assert!(known.into_iter().all(|record| !offer(&mut crowd, &slots, &record)));

        assert!(crowd.due(at(1), Wanted::Due).is_empty(), "the second is not over");
        let mut due = crowd.due(at(2), Wanted::Due);
        due.sort_by_key(|summary| (summary.count, summary.surface));
        let told = due.iter().map(|s| (&*s.denial, s.surface, s.count, s.places.len()));
        let (rest, malformed) = (Surface::Rest, "malformed_request");
        let expected = [
            ("credential_missing", rest, 1, 1),
            (malformed, Surface::Mcp, 1, 1),
            (malformed, rest, 3, 3),
        ];
        assert_eq!(told.collect::<Vec<_>>(), expected);
        assert!(due.iter().all(|summary| summary.source_ip == Some(IpAddr::from(a))));
        assert!(!offer(&mut crowd, &slots, &stranger(9, a)), "a new second");
    }

    #[test]
    fn space_is_bounded_for_any_number_of_sources() {
        let (slots, _keeper) = Slots::anonymous(10_000);
        let mut crowd = Crowd::new(2, 10_000);
        assert!(crowd.due(at(1), Wanted::Due).is_empty());
        let offers = (0..2000_u64).map(|n| {
            let [.., a, b] = n.to_be_bytes();
            offer(&mut crowd, &slots, &stranger(n, [10, 0, a, b]))
        });
        let own = offers.filter(|folded| !folded).count();
        assert_eq!(own, 2 * SOURCES_WITH_RECORDS as usize);
        let due = crowd.due(at(1), Wanted::All);
        assert!(due.len() <= SUMMARIES_MAX + 1, "{}", due.len());
        assert_eq!(due.iter().map(|summary| summary.count).sum::<u64>(), 2000 - own as u64);
        assert!(due.iter().any(|summary| summary.source_ip.is_none()));
    }

    #[test]
    fn no_more_is_held_than_may_be() {
        let (slots, _keeper) = Slots::anonymous(100);
        let mut crowd = Crowd::new(0, 40);
        assert!(crowd.due(at(1), Wanted::Due).is_empty());
        for n in 0..10 {
            assert!(crowd.due(at(1), Wanted::Due).is_empty());
            assert!(offer(&mut crowd, &slots, &stranger(n, [10, 0, 0, 1])));
        }
        assert_eq!(crowd.due(at(1), Wanted::Due).len(), 1);
        assert!(!crowd.holds());
    }

    #[test]
    fn one_site_of_ipv6_is_one_source() {
        let v6 = |text: &str| Source::of(text.parse().ok());
        assert_eq!(v6("2001:db8::1"), v6("2001:db8::ffff:1"));
        assert_ne!(v6("2001:db8::1"), v6("2001:db8:0:1::1"));
        assert_eq!(v6("::ffff:10.0.0.1"), v6("10.0.0.1"));
    }
}
