//! How much of the log an answer rests on: what was read, and every sign that something is missing.
//!
//! The numbers of a boot have no gaps, so a gap among those read is a lost or removed record. It is
//! no proof against someone who rewrites files: that needs signatures.

use std::fmt;
use std::ops::RangeInclusive;

use crate::model::time::UnixMicros;

use super::segment::{Boot, SegmentName};

/// What a scan read, found and missed.
#[derive(Debug, Default)]
pub struct Completeness {
    pub files_read: u64,
    /// Files that cannot hold a record of the asked period.
    pub files_skipped: u64,
    pub records: u64,
    pub matched: u64,
    /// Calls that summaries among the matching records stand for.
    pub summed: u64,
    /// Calls in summaries of the period that do not match: of single calls they do not say a path, or a client.
    pub summed_beside: u64,
    /// Files whose last line is not whole: it was being written when the gate was killed, or is
    /// right now.
    pub torn: u64,
    /// Lines within a file that are no records.
    pub unreadable: u64,
    /// The file and line of the first of them.
    pub unreadable_at: Option<(SegmentName, u64)>,
    /// Requests refused because they could not be recorded, by the `audit.gap` records in the
    /// period.
    pub refused: u64,
    /// Requests served without a record, by the same records.
    pub served_unrecorded: u64,
    /// How many records were deleted because they were old, and the time of the latest, where the period reaches as far
    /// back.
    pub deleted: Option<(u64, UnixMicros)>,
    /// In the order of their files.
    pub boots: Vec<BootNumbers>,
    /// The scan ended at its limit: there may be more.
    pub limited: bool,
}

/// The numbers that were read of one boot.
#[derive(Debug, Eq, PartialEq)]
pub struct BootNumbers {
    pub boot: Boot,
    pub first: u64,
    pub last: u64,
    /// Numbers that should have been there.
    pub missing: u64,
    /// The first gap among them.
    pub missing_at: Option<RangeInclusive<u64>>,
    /// Numbers that were there already.
    pub repeated: u64,
}

impl Completeness {
    /// Whether nothing that was read shows a loss, but for lines torn by a crash.
    pub fn is_sound(&self) -> bool {
        self.missing() == 0 && self.repeated() == 0 && self.unreadable == 0
    }

    fn missing(&self) -> u64 {
        self.boots.iter().map(|numbers| numbers.missing).sum()
    }

    fn repeated(&self) -> u64 {
        self.boots.iter().map(|numbers| numbers.repeated).sum()
    }
}

/// Follows the numbers of one boot after the other.
#[derive(Debug, Default)]
pub struct Numbers {
    boot: Option<Boot>,
    /// The number that comes next; None where files were skipped before.
    next: Option<u64>,
    seen: Vec<BootNumbers>,
}

impl Numbers {
    /// Goes on to a file that is read.
    pub fn begin(&mut self, file: SegmentName) {
        if self.boot != Some(file.boot) {
            self.boot = Some(file.boot);
            self.next = Some(1);
        }
    }

    /// Passes over a file: what comes after it may begin with any number.
    pub fn skip(&mut self, file: SegmentName) {
        self.boot = Some(file.boot);
        self.next = None;
    }

    /// A line that cannot be read stands for one number.
    pub fn unreadable(&mut self) {
        self.next = self.next.map(|next| next.saturating_add(1));
    }

    pub fn record(&mut self, seq: u64) {
        let Some(boot) = self.boot else { return };
        if self.seen.last().is_none_or(|numbers| numbers.boot != boot) {
            self.seen.push(BootNumbers::starting(boot, seq));
        }
        let Some(numbers) = self.seen.last_mut() else { return };
        let next = self.next.unwrap_or(seq);
        if seq < next {
            numbers.repeated += 1;
            return;
        }
        if seq > next {
            numbers.missing += seq - next;
            numbers.missing_at.get_or_insert(next..=seq - 1);
        }
        numbers.last = seq;
        self.next = Some(seq.saturating_add(1));
    }

    pub fn finish(self) -> Vec<BootNumbers> {
        self.seen
    }
}

impl BootNumbers {
    const fn starting(boot: Boot, seq: u64) -> Self {
        Self { boot, first: seq, last: seq, missing: 0, missing_at: None, repeated: 0 }
    }
}

/// One sentence.
impl fmt::Display for Completeness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Found {} among {}", self.matched, counted(self.records, "record"))?;
        write!(f, ", in {}", counted(self.files_read, "file"))?;
        write!(f, " of {}", counted(self.boots.len() as u64, "boot"))?;
        if self.files_skipped > 0 {
            write!(f, " ({} outside the period not read)", self.files_skipped)?;
        }
        if self.limited {
            f.write_str("; stopped at --limit, there may be more")?;
        }
        for numbers in &self.boots {
            let Some(gap) = &numbers.missing_at else { continue };
            let missing = counted(numbers.missing, "number");
            write!(f, "; {missing} missing in boot {}, first {}", numbers.boot.id(), gap.start())?;
            write!(f, " to {}", gap.end())?;
        }
        if self.repeated() > 0 {
            write!(f, "; {} repeated", counted(self.repeated(), "number"))?;
        }
        if let Some((file, line)) = self.unreadable_at {
            let unreadable = counted(self.unreadable, "unreadable line");
            write!(f, "; {unreadable}, first {file}:{line}")?;
        }
        if self.torn > 0 {
            write!(
                f,
                "; {} torn by a crash or still being written",
                counted(self.torn, "last line")
            )?;
        }
        if self.summed > 0 {
            let summed = counted(self.summed, "call");
            write!(f, "; summaries among them stand for {summed}")?;
        }
        if self.summed_beside > 0 {
            let summed = counted(self.summed_beside, "denied call");
            write!(
                f,
                "; {summed} of strangers in the period are only counted (--denial shows them)"
            )?;
        }
        if self.refused > 0 {
            let refused = counted(self.refused, "request");
            write!(f, "; {refused} refused unrecorded while the log had no room")?;
        }
        if self.served_unrecorded > 0 {
            let served = counted(self.served_unrecorded, "request");
            write!(f, "; {served} served without a record while the disk failed")?;
        }
        if let Some((records, last)) = self.deleted {
            let records = counted(records, "record");
            write!(
                f,
                "; {records} until {last} were deleted, as they were older than the retention"
            )?;
        }
        if self.is_sound() {
            f.write_str("; no number is missing")?;
        }
        f.write_str(".")
    }
}

/// `1 file`, `2 files`.
pub fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(boot: u32, number: u32) -> SegmentName {
        let name = format!("20261121T2107{boot:02}Z-{boot:08x}-{number:06}.jsonl");
        SegmentName::parse(&name).expect("a name")
    }

    /// Numbers by file; a file without any is skipped, 0 is an unreadable line.
    fn follow(files: &[(SegmentName, &[u64])]) -> Completeness {
        let mut numbers = Numbers::default();
        for (name, seqs) in files {
            if seqs.is_empty() {
                numbers.skip(*name);
                continue;
            }
            numbers.begin(*name);
            for seq in *seqs {
                if *seq == 0 { numbers.unreadable() } else { numbers.record(*seq) }
            }
        }
        Completeness { boots: numbers.finish(), ..Completeness::default() }
    }

    #[test]
    fn every_missing_or_repeated_number_is_seen() {
        let check = |files: &[(SegmentName, &[u64])], missing: u64, repeated: u64| {
            let seen = follow(files);
            assert_eq!((seen.missing(), seen.repeated()), (missing, repeated), "{files:?}");
        };
        check(&[], 0, 0);
        check(&[(file(1, 1), &[1, 2, 3]), (file(1, 2), &[4, 5])], 0, 0);
        check(&[(file(1, 1), &[1, 2]), (file(2, 1), &[1, 2])], 0, 0);
        check(&[(file(1, 1), &[1, 4, 6])], 3, 0);
        check(&[(file(1, 1), &[3])], 2, 0);
        check(&[(file(1, 1), &[1, 2, 2, 1, 3])], 0, 2);
        check(&[(file(1, 1), &[1, 0, 3])], 0, 0);
        check(&[(file(1, 1), &[1, 0, 4])], 1, 0);
        // The first file was removed; the first file was only not read.
        check(&[(file(1, 2), &[4, 5])], 3, 0);
        check(&[(file(1, 1), &[]), (file(1, 2), &[4, 5])], 0, 0);
        check(&[(file(1, 1), &[1]), (file(1, 2), &[]), (file(1, 3), &[9, 11])], 1, 0);
    }

    #[test]
    fn it_is_told_in_one_sentence() {
        let check = |completeness: Completeness, expected: &str| {
            assert_eq!(completeness.to_string(), expected);
        };
        check(
            Completeness::default(),
            "Found 0 among 0 records, in 0 files of 0 boots; no number is missing.",
        );
        check(
            Completeness { files_read: 1, records: 3, matched: 1, ..follow(&[(file(1, 1), &[1])]) },
            "Found 1 among 3 records, in 1 file of 1 boot; no number is missing.",
        );
        check(
            Completeness {
                files_read: 2,
                files_skipped: 7,
                records: 9,
                matched: 2,
                limited: true,
                torn: 1,
                unreadable: 1,
                unreadable_at: Some((file(10, 2), 5)),
                refused: 40,
                served_unrecorded: 3,
                summed: 1000,
                summed_beside: 7,
                deleted: Some((12, UnixMicros(0))),
                ..follow(&[(file(10, 1), &[1, 4, 4])])
            },
            "Found 2 among 9 records, in 2 files of 1 boot (7 outside the period not read); stopped \
             at --limit, there may be more; 2 numbers missing in boot 0000000a, first 2 to 3; \
             1 number repeated; 1 unreadable line, first 20261121T210710Z-0000000a-000002.jsonl:5; \
             1 last line torn by a crash or still being written; summaries among them stand for 1000 \
             calls; 7 denied calls of strangers in the period are only counted (--denial shows them); \
             40 requests refused unrecorded while the log had no room; 3 requests served without a record while the disk failed; \
             12 records until 1970-01-01T00:00:00.000000Z were deleted, as they were older than the retention.",
        );
    }
}
