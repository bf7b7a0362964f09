//! The writer, a turn at a time: no thread, no clock, a disk that fails when told to.

use std::time::Duration;

use super::*;
use crate::audit::GAP_ACTION;
use crate::audit::journal::Slots;
use crate::audit::keys::Keys;
use crate::audit::recorder::may_end;
use crate::audit::reserve::{Growth, Reserve};
use crate::audit::segment::Boot;
use crate::audit::tests::{Directory, act, request};
use crate::audit::{AuditLog, AuditSettings};
use crate::model::policy::OnFailure;
use crate::model::time::{MonoNs, UnixMicros};

const SETTINGS: AuditSettings = AuditSettings {
    queue_records_max: 4,
    flush_interval: Duration::from_millis(1),
    segment_bytes_max: 1 << 20,
    segment_age_max: Duration::from_hours(1),
    on_failure: OnFailure::Gap,
    denials_per_source: 1_000_000,
};

fn at(millis: u64) -> Now {
    Now { mono: MonoNs(millis * 1_000_000), wall: UnixMicros::from_seconds(1_772_366_400) }
}

fn open(directory: &Directory, settings: AuditSettings) -> (AuditLog, Writer<fn(&RequestRecord)>) {
    let boot = Boot::new(UnixMicros(0), 7, &[]);
    let records_max = settings.queue_records_max;
    let (slots, keeper) = Slots::anonymous(u32::try_from(records_max).expect("few"));
    let log = AuditLog::new(records_max, slots);
    let exposure = log.queue().exposure();
    let segments =
        SegmentWriter::begin(directory.path(), boot, settings.segment_bytes_max, exposure);
    let keys = Keys::open(directory.path(), "node-1", directory.path(), &[]).expect("a key");
    let mut writer = Writer::new(Parts::<fn(&RequestRecord)> {
        queue: Arc::clone(log.queue()),
        keeper,
        home: directory.path().into(),
        segments: segments.expect("a file"),
        reserve: Reserve::at(directory.path()).expect("a file"),
        growth: Growth::of(directory.path()),
        prover: Prover::new(keys.current(), "node-1", None),
        keys: Arc::new(keys),
        encoder: Encoder::new("node-1", boot),
        observer: |_| (),
        flush_interval: settings.flush_interval,
        file_age_max: settings.segment_age_max,
        crowd: Crowd::new(settings.denials_per_source, records_max),
    });
    writer.begin(at(0)).expect("a line");
    (log, writer)
}

fn complete(log: &AuditLog) -> bool {
    log.reserve().map(|slot| slot.complete(request(1))).is_some()
}

#[test]
fn a_turn_writes_all_that_waits_in_its_order() {
    let directory = Directory::new();
    let (log, mut writer) = open(&directory, SETTINGS);
    assert_eq!(writer.turn(at(0)), Turn::Idle);
    log.record_act(act(1, "first")).expect("room");
    assert!(complete(&log));
    log.record_act(act(2, "third")).expect("room");
    assert_eq!(writer.turn(at(1)), Turn::Wrote);
    assert_eq!(writer.turn(at(2)), Turn::Idle);
    let lines = directory.lines();
    let actions: Vec<_> = lines.iter().map(|line| line["action"].as_str()).collect();
    assert_eq!(actions, [Some("first"), None, Some("third")]);
    assert_eq!((log.records_written(), log.queue().held()), (3, 0));
}

/// The next file cannot be made while the directory is away: a real error that comes and goes.
#[test]
fn a_failing_disk_fills_the_queue_and_loses_nothing() {
    let directory = Directory::new();
    let away = Directory::new();
    let (log, mut writer) = open(&directory, AuditSettings { segment_bytes_max: 1, ..SETTINGS });
    assert!(complete(&log));
    assert_eq!(writer.turn(at(0)), Turn::Wrote);

    let hidden = away.path().join("audit");
    std::fs::rename(directory.path(), &hidden).expect("renames");
    for _ in 0..4 {
        assert!(complete(&log));
        assert_eq!(writer.turn(at(1)), Turn::Stuck);
    }
    for _ in 0..5 {
        assert!(!complete(&log), "the queue is full");
        log.refused();
    }
    assert_eq!(writer.turn(at(2)), Turn::Stuck);
    assert!(!may_end(&writer, Turn::Stuck, at(2).mono));
    assert!(may_end(&writer, Turn::Stuck, at(2001).mono));
    assert_eq!(log.queued_records(), 4);

    std::fs::rename(&hidden, directory.path()).expect("renames");
    assert_eq!(writer.turn(at(3)), Turn::Wrote);
    assert_eq!(writer.turn(at(4)), Turn::Wrote);
    assert!(complete(&log), "there is room again");
    assert_eq!(writer.turn(at(5)), Turn::Wrote);
    let lines = directory.lines();
    let numbers: Vec<u64> = lines.iter().filter_map(|line| line["seq"].as_u64()).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7]);
    let gaps: Vec<_> = lines.iter().filter(|line| line["action"] == GAP_ACTION).collect();
    assert_eq!(gaps.len(), 1);
    assert_eq!((&gaps[0]["after"]["refused"], &gaps[0]["actor"]), (&5.into(), &"onegate".into()));
}

#[test]
fn refused_requests_are_counted_exactly_and_told_once_a_second() {
    let directory = Directory::new();
    let (log, mut writer) = open(&directory, SETTINGS);
    let mut refuse = |count: u64, millis: u64, told: &[u64]| {
        (0..count).for_each(|_| log.refused());
        writer.turn(at(millis));
        let lines = directory.lines();
        let counts: Vec<_> = lines.iter().filter_map(|l| l["after"]["refused"].as_u64()).collect();
        assert_eq!(counts, told, "at {millis} ms");
    };
    refuse(2, 0, &[2]);
    refuse(3, 500, &[2]);
    refuse(1, 999, &[2]);
    refuse(0, 1000, &[2, 4]);
    refuse(0, 9000, &[2, 4]);
    refuse(1, 9001, &[2, 4, 1]);
    refuse(7, 9002, &[2, 4, 1]);
    log.queue().close();
    refuse(0, 9003, &[2, 4, 1, 7]);
}

/// A count that was to be told when the disk refused is told once.
#[test]
fn a_gap_that_is_undone_is_told_once() {
    let directory = Directory::new();
    let away = Directory::new();
    let (log, mut writer) = open(&directory, AuditSettings { segment_bytes_max: 1, ..SETTINGS });
    assert!(complete(&log));
    assert_eq!(writer.turn(at(0)), Turn::Wrote);
    (0..5).for_each(|_| log.refused());
    let hidden = away.path().join("audit");
    std::fs::rename(directory.path(), &hidden).expect("renames");
    for millis in [2000, 4000, 6000] {
        assert_eq!(writer.turn(at(millis)), Turn::Stuck);
    }
    std::fs::rename(&hidden, directory.path()).expect("renames");
    for millis in [40_000, 41_000, 42_000] {
        writer.turn(at(millis));
    }
    let lines = directory.lines();
    let told: Vec<_> = lines.iter().filter_map(|line| line["after"]["refused"].as_u64()).collect();
    assert_eq!(told, [5]);
    assert_eq!(log.queue().unrecorded(), None);
}
