//! Promises are exact, also under threads, and entries are handed over once.

use super::*;
use crate::audit::journal::{Keeper, Slots};
use crate::audit::tests::request;
use crate::model::record::RequestRecord;

fn log_of(capacity: usize) -> AuditLog {
    log_and_keeper(capacity).0
}

fn log_and_keeper(capacity: usize) -> (AuditLog, Keeper) {
    let (slots, keeper) = Slots::anonymous(u32::try_from(capacity).expect("few"));
    (AuditLog::new(capacity, slots), keeper)
}

fn completed(log: &AuditLog) -> bool {
    log.reserve().map(|slot| slot.complete(request(1))).is_some()
}

#[test]
fn room_is_promised_up_to_the_bound_and_given_back() {
    let (log, mut keeper) = log_and_keeper(3);
    let slots: Vec<Option<Slot>> = (0..4).map(|_| log.reserve()).collect();
    assert_eq!(slots.iter().flatten().count(), 3);
    drop(slots);
    assert!(completed(&log) && completed(&log) && completed(&log));
    assert!(!completed(&log));
    assert_eq!((log.queued_records(), log.queue.held()), (3, 3));
    assert!(log.queued_bytes_estimate() > 3 * size_of::<RequestRecord>() as u64);

    let mut batch = VecDeque::new();
    log.queue.take(&mut batch);
    assert!(!completed(&log), "taken is not yet written");
    let entries = batch.len();
    for item in batch {
        let Item::Request(_, place) = item else { panic!("{item:?} is no request") };
        keeper.close(place);
    }
    log.queue.advance(entries, entries, 3);
    assert_eq!((log.queued_records(), log.queue.held(), log.records_written()), (0, 0, 3));
    assert!(completed(&log));
}

#[test]
fn the_bound_is_exact_under_threads() {
    const CAPACITY: usize = 1000;
    let log = log_of(CAPACITY);
    let promised: usize = std::thread::scope(|scope| {
        let reserve_all = || {
            let slots: Vec<Slot> = std::iter::from_fn(|| log.reserve()).collect();
            let promised = slots.len();
            for (n, slot) in slots.into_iter().enumerate() {
                // Some are used, some are left: neither frees room while the disk is slow.
                if n % 2 == 0 { slot.complete(request(1)) } else { std::mem::forget(slot) }
            }
            promised
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(reserve_all)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    assert_eq!((promised, log.queue.held()), (CAPACITY, CAPACITY));
}

#[test]
fn dropped_slots_leave_no_trace_under_threads() {
    let log = log_of(4);
    let completed: u64 = std::thread::scope(|scope| {
        let reserve_and_leave = || {
            let use_some = |n: &u64| match log.reserve() {
                Some(slot) if n.is_multiple_of(1000) => {
                    slot.complete(request(1));
                    true
                }
                Some(_) | None => false,
            };
            (1..10_000_u64).filter(use_some).count() as u64
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(reserve_and_leave)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    assert_eq!(log.queued_records(), completed);
    assert_eq!(log.queue.held() as u64, completed);
}

#[test]
fn a_flush_without_a_recorder_times_out_and_without_entries_does_not() {
    let log = log_of(4);
    assert_eq!(log.flush(Duration::ZERO), Ok(()));
    assert!(completed(&log));
    assert_eq!(log.flush(Duration::from_millis(1)), Err(Timeout));
}

#[test]
fn refused_requests_are_told_once_there_is_room() {
    let log = log_of(1);
    let slot = log.reserve();
    log.refused();
    log.refused();
    assert_eq!(log.queue.unrecorded(), None);
    drop(slot);
    let told = Unrecorded { refused: 2, served: 0 };
    assert_eq!(log.queue.unrecorded(), Some(told));
    log.unrecorded();
    log.queue.telling(told, crate::audit::tests::id(1));
    log.queue.told();
    assert_eq!(log.queue.unrecorded(), Some(Unrecorded { refused: 0, served: 1 }));
    assert_eq!(log.unrecorded_ever(), 1);
}
