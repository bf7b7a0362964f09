//! Scans over real files: torn, damaged, cut short, skipped.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::audit::filter::tests::{any_records, asked_filter, expected};
use crate::audit::line::Encoder;
use crate::audit::segment::{Boot, SegmentWriter};
use crate::audit::tests::{Directory, Entry, act, bare, request};
use crate::model::record::{ActRecord, JsonText, RequestRecord};

/// Writes one boot by hand: each inner slice is a file, each entry a line, numbered on.
fn write_boot(directory: &Directory, started: u32, files: Vec<Vec<Entry>>) -> Vec<SegmentName> {
    let boot = Boot::new(UnixMicros::from_seconds(started.into()), started, &[]);
    let mut encoder = Encoder::for_boot("node-1", UnixMicros::from_seconds(started.into()), 0);
    let mut writer =
        SegmentWriter::begin(directory.path(), boot, 1, &Arc::default()).expect("a file");
    let mut seq = 0;
    for entries in files {
        if seq > 0 {
            writer.begin_next().expect("begins");
        }
        let mut lines = Vec::new();
        for entry in entries {
            seq += 1;
            entry.encode(&mut encoder, &mut lines, seq);
        }
        writer.append(&lines).expect("appends");
    }
    let mut names = SegmentName::list(directory.path()).expect("lists");
    names.retain(|name| name.boot == boot);
    names
}

fn requests(numbers: std::ops::Range<u64>) -> Vec<Entry> {
    numbers.map(|n| Entry::Request(request(n))).collect()
}

fn all(directory: &Directory, filter: &Filter, limit: Option<u64>) -> (Vec<String>, Completeness) {
    let mut ids = Vec::new();
    let keep = |line: &Line<'_>, _: &[u8]| {
        ids.push(line.id.to_string());
        Ok(())
    };
    let completeness = scan(directory.path(), filter, limit, keep).expect("reads");
    (ids, completeness)
}

fn ids(numbers: impl IntoIterator<Item = u64>) -> Vec<String> {
    numbers.into_iter().map(|n| crate::audit::tests::id(n).to_string()).collect()
}

#[test]
fn records_come_in_the_order_of_boots_and_files() {
    let directory = Directory::new();
    write_boot(&directory, 2000, vec![requests(4..6)]);
    write_boot(&directory, 1000, vec![requests(0..3), requests(3..4)]);
    std::fs::write(directory.path().join("notes.txt"), "not ours").expect("writes");
    let (found, completeness) = all(&directory, &Filter::default(), None);
    assert_eq!(found, ids(0..6));
    assert!(completeness.is_sound());
    assert_eq!((completeness.files_read, completeness.records), (3, 6));
    let last: Vec<u64> = completeness.boots.iter().map(|boot| boot.last).collect();
    assert_eq!(last, [4, 2]);
}

#[test]
fn a_limit_ends_the_scan() {
    let directory = Directory::new();
    write_boot(&directory, 1000, vec![requests(0..3), requests(3..9)]);
    let check = |limit: u64, expected: u64, limited: bool| {
        let (found, completeness) = all(&directory, &Filter::default(), Some(limit));
        assert_eq!((found, completeness.limited), (ids(0..expected), limited));
    };
    check(1, 1, true);
    check(4, 4, true);
    check(10, 9, false);
}

#[test]
fn a_torn_tail_is_told_and_costs_no_other_record() {
    let directory = Directory::new();
    let names = write_boot(&directory, 1000, vec![requests(0..3)]);
    write_boot(&directory, 2000, vec![requests(3..5)]);
    let path = names[0].path(directory.path());
    let mut file = OpenOptions::new().append(true).open(&path).expect("opens");
    file.write_all(b"{\"v\":1,\"seq\":4,\"no").expect("writes");
    let (found, completeness) = all(&directory, &Filter::default(), None);
    assert_eq!(found, ids(0..5));
    assert_eq!((completeness.torn, completeness.is_sound()), (1, true));
}

#[test]
fn damage_is_told_with_its_place() {
    let directory = Directory::new();
    let names = write_boot(&directory, 1000, vec![requests(0..5), requests(5..6)]);
    let path = names[0].path(directory.path());
    let text = std::fs::read_to_string(&path).expect("reads");
    let damage = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        change(&mut lines);
        std::fs::write(&path, lines.join("\n") + "\n").expect("writes");
        all(&directory, &Filter::default(), None)
    };
    let (found, completeness) = damage(&|lines| lines[1] = "}".into());
    assert_eq!(found, ids([0, 2, 3, 4, 5]));
    assert_eq!((completeness.unreadable, completeness.unreadable_at), (1, Some((names[0], 2))));
    assert_eq!(completeness.boots[0].missing, 0);
    let (found, completeness) = damage(&|lines| drop(lines.remove(3)));
    assert_eq!(found, ids([0, 1, 2, 4, 5]));
    assert_eq!(completeness.boots[0].missing_at, Some(4..=4));
    let (_, completeness) = damage(&|lines| lines.swap(0, 1));
    assert!(!completeness.is_sound());
    std::fs::remove_file(&path).expect("removes");
    let (found, completeness) = all(&directory, &Filter::default(), None);
    assert_eq!((found, completeness.boots[0].missing), (ids([5]), 5));
}

#[test]
fn files_outside_the_period_are_not_read() {
    let directory = Directory::new();
    let hour = 3600;
    for boot in 0..4_u32 {
        let at = boot * 36_000;
        let time = UnixMicros::from_seconds((at + 60).into());
        let record = RequestRecord { time, ..bare(boot.into()) };
        let record = Entry::Request(Box::new(record));
        for name in write_boot(&directory, at, vec![vec![record]]) {
            let file = File::options().append(true).open(name.path(directory.path()));
            let changed = UNIX_EPOCH + Duration::from_secs((at + 120).into());
            file.expect("opens").set_modified(changed).expect("sets");
        }
    }
    let check = |from: Option<i64>, to: Option<i64>, expected: &[u64], skipped: u64| {
        let seconds = |time: Option<i64>| time.map(UnixMicros::from_seconds);
        let period = Period { from: seconds(from), to: seconds(to) };
        let filter = Filter { period, ..Filter::default() };
        let (found, completeness) = all(&directory, &filter, None);
        assert_eq!(found, ids(expected.iter().copied()), "{from:?} {to:?}");
        assert_eq!((completeness.files_skipped, completeness.is_sound()), (skipped, true));
    };
    check(None, None, &[0, 1, 2, 3], 0);
    check(Some(10 * hour), Some(20 * hour), &[1], 2);
    check(Some(15 * hour), None, &[2, 3], 2);
    check(None, Some(15 * hour), &[0, 1], 2);
    check(Some(10 * hour + 61), Some(20 * hour), &[], 2);
}

/// After the clock was set back a boot is named later than it began: its name says nothing of its times.
/// Calls that were open when the boot before was killed are recorded by the next one, however late that begins.
#[test]
fn a_crash_is_found_though_the_next_boot_began_after_the_period() {
    let directory = Directory::new();
    // Records are of 2026-03-01T12:00:00Z, the boot of two days later.
    let files = vec![requests(0..3)];
    write_boot(&directory, 1_772_366_400 + 2 * 86_400, files);
    let to = Some(UnixMicros::from_seconds(1_772_366_401));
    let filter = Filter { period: Period { from: None, to }, ..Filter::default() };
    let (found, completeness) = all(&directory, &filter, None);
    assert_eq!((found, completeness.files_skipped), (ids(0..3), 0));
    let to = Some(UnixMicros::from_seconds(1_772_366_400));
    let filter = Filter { period: Period { from: None, to }, ..Filter::default() };
    assert_eq!(all(&directory, &filter, None).1.files_skipped, 1);
}

#[test]
fn a_boot_that_is_named_late_is_read() {
    let directory = Directory::new();
    let record = RequestRecord { time: UnixMicros::from_seconds(60), ..bare(1) };
    for name in write_boot(&directory, 900_000, vec![vec![Entry::Request(Box::new(record))]]) {
        let file = File::options().append(true).open(name.path(directory.path()));
        let changed = UNIX_EPOCH + Duration::from_mins(2);
        file.expect("opens").set_modified(changed).expect("sets");
    }
    let period = Period { from: None, to: Some(UnixMicros::from_seconds(3600)) };
    let filter = Filter { period, ..Filter::default() };
    assert_eq!(all(&directory, &filter, None).0, ids([1]));
}

#[test]
fn refused_requests_count_towards_completeness() {
    let directory = Directory::new();
    let gap = |count: u64| {
        let after = Some(JsonText(format!("{{\"refused\":{count}}}").into()));
        Entry::Act(Box::new(ActRecord { after, ..act(count, GAP_ACTION) }))
    };
    write_boot(&directory, 1000, vec![vec![gap(40), Entry::Request(request(1)), gap(2)]]);
    let (_, completeness) = all(&directory, &Filter::default(), None);
    assert_eq!(completeness.refused, 42);
    let nothing = Period { from: None, to: Some(UnixMicros(0)) };
    let filter = Filter { period: nothing, ..Filter::default() };
    assert_eq!(all(&directory, &filter, None).1.refused, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_scan_finds_what_memory_would((records, asked) in any_records(), cut in 0..60_usize) {
        let directory = Directory::new();
        let wanted: Vec<String> = records
            .iter()
            .filter(|record| expected(&asked, record))
            .map(|record| record.id.to_string())
            .collect();
        let count = records.len() as u64;
        let entry = |record| Entry::Request(Box::new(record));
        let mut first: Vec<Entry> = records.into_iter().map(entry).collect();
        let second = first.split_off(cut.min(first.len()));
        write_boot(&directory, 0, vec![first, second]);
        let (found, completeness) = all(&directory, &asked_filter(&asked), None);
        prop_assert_eq!(found, wanted);
        prop_assert!(completeness.is_sound());
        prop_assert!(completeness.records <= count);
    }
}
