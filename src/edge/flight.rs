//! A flight: one connection in the air, with its deadlines and its cancel handle.
//!
//! One mechanism ends whatever must end: idle connections, slow heads, stalled bodies, requests
//! past their deadline, calls whose permission was withdrawn. Requests only store numbers, which
//! `flights` looks at, so a deadline costs no timer.

mod phase;

pub use phase::{Phase, Tail};

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use atomic_waker::AtomicWaker;

use crate::model::denial::Refusal;
use crate::model::id::RequestId;
use crate::model::policy::Scheme;
use crate::request::Call;

use super::flights::Flights;
use super::habits::Habits;
use super::lane::Transport;
use super::mcp::handover::Handover;
use super::pace::{Debt, Pace};
use super::shape::dress::Dress;
use super::stop::{Fault, Meaning, Stop};

/// Whether the caller has its answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
enum Answered {
    Not = 0,
    /// What is written now is informational: the answer itself is still to come.
    Interim = 1,
    /// Some byte of it was written.
    Begun = 2,
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
    /// Whether bytes of the caller's body are in the gate's hands, so that nobody waits for more.
    body_in_hand: AtomicBool,
    debt: Debt,
    answered: AtomicU8,
    tail: AtomicU8,
    /// Whether the head asks to leave HTTP for something.
    asks_upgrade: AtomicBool,
    live: Mutex<Live>,
    pub habits: Arc<Habits>,
    /// Of an inner request: the flight of the message that it is made for.
    outer: Option<Arc<Self>>,
    /// Of an inner request: its record has begun.
    noted: AtomicBool,
    /// The transport, after the exchange that had it was dropped.
    landed: Mutex<Option<Transport>>,
}

/// The request in the air, if any.
#[derive(Debug, Default)]
pub struct Live {
    pub id: Option<RequestId>,
    /// An answer to HEAD has no body, whoever gives it.
    pub is_head: bool,
    /// From when it is about to be forwarded until it is over: what is judged again when the
    /// policy changes.
    pub call: Option<Call>,
    /// Why it is no longer permitted.
    withdrawn: Option<Refusal>,
    /// Fields of its api that an answer given after the exchange carries too.
    pub dress: Option<Dress>,
    /// The request that the gate itself makes in this flight, until its pipeline begins.
    pub handed: Option<Box<Handover>>,
}

impl Flight {
    pub fn over(scheme: Scheme) -> Self {
        Self { scheme, ..Self::default() }
    }

    /// A stream of the connection that this flight is.
    pub fn of_stream(&self) -> Self {
        Self { habits: Arc::clone(&self.habits), ..Self::over(self.scheme) }
    }

    /// Whether it is of a request that the gate itself makes.
    pub const fn is_inner(&self) -> bool {
        self.outer.is_some()
    }

    /// Of an inner request that nobody waits for any more. What ended its message ends it too, and says more.
    pub fn leave(&self) {
        if self.outer.as_ref().is_none_or(|outer| outer.ended().is_none()) {
            self.stop(Stop::Left);
        }
    }

    /// Whether what is known of the call outlasts a kill, so that an answer may begin.
    pub fn is_noted(&self) -> bool {
        self.noted.load(Ordering::Acquire)
    }

    pub fn note_call(&self) {
        self.noted.store(true, Ordering::Release);
    }

    /// An inner request's, made for a message to this one.
    pub fn of_inner(self: &Arc<Self>, handed: Box<Handover>) -> Self {
        let flight = Self { outer: Some(Arc::clone(self)), ..self.of_stream() };
        flight.live().handed = Some(handed);
        flight
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
        self.answered.store(Answered::Not as u8, Ordering::Release);
        self.tail.store(Tail::Framed as u8, Ordering::Relaxed);
        self.debt.forgive();
        if self.stopped() == Some(Stop::Idle) {
            // It came too late: a request was read meanwhile. A stop for good may have replaced it.
            let idle = Stop::Idle as u8;
            self.stop.compare_exchange(idle, 0, Ordering::AcqRel, Ordering::Acquire).ok();
        }
        *self.live() = Live::default();
    }

    pub fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the flight to end. The first reason stays, unless a request may ignore it.
    pub fn stop(&self, reason: Stop) {
        let replace = |number| {
            let spares = Stop::from_u8(number).is_none_or(Stop::spares_requests);
            spares.then_some(reason as u8)
        };
        if self.stop.fetch_update(Ordering::AcqRel, Ordering::Acquire, replace).is_ok() {
            self.waker.wake();
        }
    }

    /// Ends the request if `judge` refuses its call; says whether it did.
    pub fn judge(&self, judge: impl FnOnce(&Call) -> Result<(), Refusal>) -> bool {
        let mut live = self.live();
        let Some(Err(refusal)) = live.call.as_ref().map(judge) else { return false };
        live.withdrawn = Some(refusal);
        drop(live);
        self.stop(Stop::Revoked);
        true
    }

    /// The request is over by itself: nothing is left of it to be answered.
    pub fn end_request(&self, flights: &Flights) {
        self.end_call(flights);
        *self.live() = Live::default();
    }

    /// The call is over, its record complete. Whoever ended it may be waiting for that.
    pub fn end_call(&self, flights: &Flights) {
        let mut live = self.live();
        live.call = None;
        let awaited = live.withdrawn.is_some();
        drop(live);
        if awaited {
            flights.tell_over();
        }
    }

    /// How the exchange ends that was told to; None when it was not.
    pub fn ending(&self) -> Option<Meaning> {
        let Some(stop) = self.ended() else { return self.outer.as_ref()?.ending() };
        let withdrawn = self.live().withdrawn.clone().filter(|_| stop == Stop::Revoked);
        let meaning = stop.meaning();
        Some(match withdrawn {
            Some(refusal) => Meaning {
                reason: refusal.reason.clone(),
                fault: Fault::Denied(refusal),
                blame: meaning.blame,
                end: meaning.end,
            },
            None => meaning,
        })
    }

    pub fn stopped(&self) -> Option<Stop> {
        Stop::from_u8(self.stop.load(Ordering::Acquire))
    }

    /// Why the request in the air must end. What closes an idle connection may come when it is
    /// idle no more: then the request goes on.
    pub fn ended(&self) -> Option<Stop> {
        self.stopped().filter(|stop| !stop.spares_requests())
    }

    /// Ready once the flight was told to end.
    pub fn poll_stopped(&self, cx: &Context<'_>) -> Poll<Stop> {
        self.poll(cx, Self::stopped)
    }

    /// Ready once the request in the air must end.
    pub fn poll_ended(&self, cx: &Context<'_>) -> Poll<Stop> {
        self.poll(cx, Self::ended)
    }

    fn poll(&self, cx: &Context<'_>, look: fn(&Self) -> Option<Stop>) -> Poll<Stop> {
        if let Some(stop) = look(self) {
            return Poll::Ready(stop);
        }
        self.waker.register(cx.waker());
        // A stop between the look and the registration would have woken nobody.
        look(self).map_or(Poll::Pending, Poll::Ready)
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
        self.phase.store(Phase::Streams as u8, Ordering::Release);
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

    /// The gate has what the caller sent, or waits for it to send more.
    pub fn note_body_in_hand(&self, in_hand: bool) {
        if in_hand != self.body_in_hand.load(Ordering::Relaxed) {
            self.body_in_hand.store(in_hand, Ordering::Release);
        }
    }

    /// The caller sent or took so many bytes of a body.
    pub fn note_moved(&self, bytes: usize) {
        self.debt.pay(bytes);
    }

    /// Bytes were written to the caller.
    pub fn note_answered(&self) {
        if self.answered.load(Ordering::Relaxed) != Answered::Interim as u8 {
            self.answered.store(Answered::Begun as u8, Ordering::Release);
        }
    }

    /// What is written next is informational: it does not begin the answer.
    pub fn note_interim(&self) {
        if !self.was_answered() {
            self.answered.store(Answered::Interim as u8, Ordering::Release);
        }
    }

    /// What is written next is the answer.
    pub fn note_final(&self) {
        if self.answered.load(Ordering::Relaxed) == Answered::Interim as u8 {
            self.answered.store(Answered::Not as u8, Ordering::Release);
        }
    }

    /// Whether any byte of an answer has been written for the current request.
    pub fn was_answered(&self) -> bool {
        self.answered.load(Ordering::Acquire) == Answered::Begun as u8
    }

    pub fn set_tail(&self, tail: Tail) {
        self.tail.store(tail as u8, Ordering::Relaxed);
    }

    pub fn tail(&self) -> Tail {
        match self.tail.load(Ordering::Relaxed) {
            0 => Tail::Framed,
            1 => Tail::Next,
            2 => Tail::Switched,
            3 => Tail::Held,
            _ => Tail::Stays,
        }
    }

    pub fn set_asks_upgrade(&self, asks: bool) {
        self.asks_upgrade.store(asks, Ordering::Relaxed);
    }

    pub fn asks_upgrade(&self) -> bool {
        self.asks_upgrade.load(Ordering::Relaxed)
    }

    pub fn land(&self, transport: Transport) {
        *self.landed.lock().unwrap_or_else(PoisonError::into_inner) = Some(transport);
    }

    pub fn take_landed(&self) -> Option<Transport> {
        self.landed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Looks at the deadlines, at `now_ms` of the table's clock, `elapsed_ms` after the last look.
    pub fn sweep(&self, now_ms: u64, elapsed_ms: u64, pace: Pace) {
        let past = |at: u64| at != 0 && at <= now_ms;
        if past(self.total_at_ms.load(Ordering::Acquire)) {
            self.stop(Stop::Deadline);
        } else if past(self.phase_at_ms.load(Ordering::Acquire)) {
            self.stop(self.meaning_of_silence());
        } else if self.debt.is_too_much(self.waits_for_caller(), elapsed_ms, pace) {
            let reads = self.write_waits.load(Ordering::Acquire);
            self.stop(if reads { Stop::SlowReader } else { Stop::SlowCaller });
        }
    }

    fn meaning_of_silence(&self) -> Stop {
        match self.phase.load(Ordering::Acquire) {
            0 => Stop::Idle,
            1 => Stop::SlowHead,
            // Its bytes came and lie here: the upstream does not take them.
            2 if self.body_in_hand.load(Ordering::Acquire) => Stop::SlowUpstream,
            2 => Stop::SlowCaller,
            // The upstream's silence is the caller's doing when the caller does not read.
            _ if self.reader_is_slow() => Stop::SlowReader,
            _ if self.tail() == Tail::Switched => Stop::Quiet,
            _ => Stop::SlowUpstream,
        }
    }

    /// Of an inner request it is the message's caller that reads.
    fn reader_is_slow(&self) -> bool {
        let waits = |flight: &Self| flight.write_waits.load(Ordering::Acquire);
        waits(self) || self.outer.as_deref().is_some_and(waits)
    }

    fn waits_for_caller(&self) -> bool {
        let for_body = self.phase.load(Ordering::Acquire) == Phase::Caller as u8
            && !self.body_in_hand.load(Ordering::Acquire);
        for_body || self.write_waits.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests;
