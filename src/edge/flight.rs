//! A flight: one connection in the air, with its deadlines and its cancel handle.
//!
//! One mechanism ends whatever must end: idle connections, slow heads, stalled bodies, requests
//! past their deadline, calls whose permission was withdrawn. Requests only store numbers, which
//! `flights` looks at, so a deadline costs no timer.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use atomic_waker::AtomicWaker;

use crate::model::id::RequestId;
use crate::model::policy::Scheme;
use crate::request::Call;

use super::flights::Flights;
use super::lane::Transport;
use super::stop::Stop;

/// What the connection is doing, which says what an expired phase means.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Phase {
    /// Between requests.
    Idle = 0,
    /// A head has begun and is not complete.
    Head = 1,
    /// The caller sends its body, or should read ours.
    Caller = 2,
    /// The upstream should answer, or send on.
    Upstream = 3,
}

/// One connection in the air, or one stream of a multiplexed one.
#[derive(Debug, Default)]
pub struct Flight {
    /// How the connection came in.
    pub scheme: Scheme,
    phase: AtomicU8,
    /// When the phase has lasted too long, in milliseconds of the monotonic clock; 0 for never.
    phase_at_ms: AtomicU64,
    /// When the whole request has; 0 for never.
    total_at_ms: AtomicU64,
    stop: AtomicU8,
    waker: AtomicWaker,
    /// Whether a write to the caller is waiting for the caller to read.
    write_waits: AtomicBool,
    /// Whether any byte of an answer has been written for the current request.
    answered: AtomicBool,
    live: Mutex<Live>,
    /// The transport, after the exchange that had it was dropped.
    landed: Mutex<Option<Transport>>,
}

/// The request in the air, if any.
#[derive(Debug, Default)]
pub struct Live {
    pub id: Option<RequestId>,
    /// Once it is about to be forwarded: what is judged again when the policy changes.
    pub call: Option<Call>,
}

impl Flight {
    pub fn over(scheme: Scheme) -> Self {
        Self { scheme, ..Self::default() }
    }

    /// Begins a phase that may last for `after`.
    pub fn begin(&self, flights: &Flights, phase: Phase, after: Duration) {
        self.phase.store(phase as u8, Ordering::Release);
        self.phase_at_ms.store(flights.deadline_ms(after), Ordering::Release);
    }

    /// The whole request must end within `after`.
    pub fn must_end(&self, flights: &Flights, after: Duration) {
        self.total_at_ms.store(flights.deadline_ms(after), Ordering::Release);
    }

    /// A new request: no deadline of the last one holds, nothing was answered.
    pub fn reset(&self) {
        self.total_at_ms.store(0, Ordering::Release);
        self.phase_at_ms.store(0, Ordering::Release);
        self.answered.store(false, Ordering::Release);
        *self.live() = Live::default();
    }

    pub fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the flight to end. The first reason stays.
    pub fn stop(&self, reason: Stop) {
        let first =
            self.stop.compare_exchange(0, reason as u8, Ordering::AcqRel, Ordering::Acquire);
        if first.is_ok() {
            self.waker.wake();
        }
    }

    pub fn stopped(&self) -> Option<Stop> {
        Stop::from_u8(self.stop.load(Ordering::Acquire))
    }

    /// Ready once the flight was told to end.
    pub fn poll_stopped(&self, cx: &Context<'_>) -> Poll<Stop> {
        if let Some(stop) = self.stopped() {
            return Poll::Ready(stop);
        }
        self.waker.register(cx.waker());
        // A stop between the look and the registration would have woken nobody.
        self.stopped().map_or(Poll::Pending, Poll::Ready)
    }

    /// What the future gives, unless the flight is told to end first.
    pub async fn unless_stopped<T>(&self, future: impl Future<Output = T>) -> Result<T, Stop> {
        let mut future = pin!(future);
        poll_fn(|cx| match self.poll_stopped(cx) {
            Poll::Ready(stop) => Poll::Ready(Err(stop)),
            Poll::Pending => future.as_mut().poll(cx).map(Ok),
        })
        .await
    }

    /// Requests go on, on streams that have flights of their own: this one waits for them.
    pub fn carries_streams(&self) {
        self.phase_at_ms.store(0, Ordering::Release);
        self.phase.store(Phase::Caller as u8, Ordering::Release);
    }

    /// Whether the connection is between requests.
    pub fn is_idle(&self) -> bool {
        self.phase.load(Ordering::Acquire) == Phase::Idle as u8
    }

    /// Whether it is, or was at the end, the upstream's turn.
    pub fn is_upstreams_turn(&self) -> bool {
        self.phase.load(Ordering::Acquire) == Phase::Upstream as u8
    }

    pub fn note_write(&self, waits: bool) {
        // Stores are rare: writes to a caller that keeps up never wait.
        if waits != self.write_waits.load(Ordering::Relaxed) {
            self.write_waits.store(waits, Ordering::Release);
        }
    }

    pub fn note_answered(&self) {
        self.answered.store(true, Ordering::Release);
    }

    pub fn was_answered(&self) -> bool {
        self.answered.load(Ordering::Acquire)
    }

    pub fn land(&self, transport: Transport) {
        *self.landed.lock().unwrap_or_else(PoisonError::into_inner) = Some(transport);
    }

    pub fn take_landed(&self) -> Option<Transport> {
        self.landed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Looks at the deadlines, at `now_ms` of the table's clock.
    pub fn sweep(&self, now_ms: u64) {
        let past = |at: u64| at != 0 && at <= now_ms;
        if past(self.total_at_ms.load(Ordering::Acquire)) {
            self.stop(Stop::Deadline);
        } else if past(self.phase_at_ms.load(Ordering::Acquire)) {
            self.stop(match self.phase.load(Ordering::Acquire) {
                0 => Stop::Idle,
                1 => Stop::SlowHead,
                2 => Stop::SlowCaller,
                // The upstream's silence is the caller's doing when the caller does not read.
                _ if self.write_waits.load(Ordering::Acquire) => Stop::SlowCaller,
                _ => Stop::SlowUpstream,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expired_phase_stops_the_flight_with_its_reason() {
        let check = |phase: Phase, write_waits: bool, expected: Stop| {
            let flight = Flight::default();
            flight.phase.store(phase as u8, Ordering::Release);
            flight.phase_at_ms.store(100, Ordering::Release);
            flight.note_write(write_waits);
            flight.sweep(99);
            assert_eq!(flight.stopped(), None);
            flight.sweep(100);
            assert_eq!(flight.stopped(), Some(expected));
            flight.stop(Stop::Revoked);
            assert_eq!(flight.stopped(), Some(expected), "the first reason stays");
        };
        check(Phase::Idle, false, Stop::Idle);
        check(Phase::Head, false, Stop::SlowHead);
        check(Phase::Caller, false, Stop::SlowCaller);
        check(Phase::Upstream, false, Stop::SlowUpstream);
        check(Phase::Upstream, true, Stop::SlowCaller);
    }
}
