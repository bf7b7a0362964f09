//! What ends a flight, and with which reason.

use super::*;

const PACE: Pace = Pace { rate: 100, window_ms: 1000 };

#[test]
fn only_what_waits_for_the_caller_costs_it() {
    let check = |set: fn(&Flight), expected: Option<Stop>| {
        let flight = Flight::default();
        set(&flight);
        flight.sweep(1, PACE.window_ms + 1, PACE);
        assert_eq!(flight.stopped(), expected);
    };
    let sends = |flight: &Flight| flight.phase.store(Phase::Caller as u8, Ordering::Release);
    check(sends, Some(Stop::SlowCaller));
    check(|flight| flight.note_write(true), Some(Stop::SlowReader));
    check(|_| (), None);
    let stuck = |flight: &Flight| {
        flight.phase.store(Phase::Caller as u8, Ordering::Release);
        flight.note_body_in_hand(true);
    };
    check(stuck, None);
}

#[test]
fn an_expired_phase_stops_the_flight_with_its_reason() {
    let check = |phase: Phase, set: fn(&Flight), expected: Stop| {
        let flight = Flight::default();
        flight.phase.store(phase as u8, Ordering::Release);
        flight.phase_at_ms.store(100, Ordering::Release);
        set(&flight);
        flight.sweep(99, 0, PACE);
        assert_eq!(flight.stopped(), None);
        flight.sweep(100, 0, PACE);
        assert_eq!(flight.stopped(), Some(expected));
        flight.stop(Stop::Revoked);
        let stays = if expected == Stop::Idle { Stop::Revoked } else { expected };
        assert_eq!(flight.stopped(), Some(stays), "the first reason stays");
    };
    check(Phase::Idle, |_| (), Stop::Idle);
    check(Phase::Head, |_| (), Stop::SlowHead);
    check(Phase::Caller, |_| (), Stop::SlowCaller);
    check(Phase::Caller, |flight| flight.note_body_in_hand(true), Stop::SlowUpstream);
    check(Phase::Upstream, |_| (), Stop::SlowUpstream);
    check(Phase::Upstream, |flight| flight.note_write(true), Stop::SlowReader);
    check(Phase::Upstream, |flight| flight.set_tail(Tail::Switched), Stop::Quiet);
}

#[test]
fn what_closes_idle_connections_spares_requests() {
    let check = |stop: Stop, after_reset: Option<Stop>| {
        let flight = Flight::default();
        flight.stop(stop);
        assert_eq!((flight.stopped(), flight.ended()), (Some(stop), None));
        flight.reset();
        assert_eq!(flight.stopped(), after_reset);
        flight.stop(Stop::Halt);
        assert_eq!(flight.ended(), Some(Stop::Halt));
    };
    check(Stop::Idle, None);
    check(Stop::Drain, Some(Stop::Drain));
}

#[test]
fn what_is_informational_begins_no_answer() {
    let flight = Flight::default();
    flight.note_interim();
    flight.note_answered();
    assert!(!flight.was_answered());
    flight.note_final();
    flight.note_answered();
    assert!(flight.was_answered());
    flight.note_interim();
    assert!(flight.was_answered());
}
