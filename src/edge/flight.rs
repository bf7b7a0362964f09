//! Flights: every connection in the air, with its deadlines and its cancel handle.
//!
//! One mechanism ends whatever must end: idle connections, slow heads, stalled bodies, requests
//! past their deadline, calls whose permission was withdrawn. A sweeper thread looks at all flights
//! every [`TICK`]; requests only store numbers, so a deadline costs no timer.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use atomic_waker::AtomicWaker;
use slab::Slab;

use crate::clock;
use crate::model::denial::{Denial, Failure, Refusal};
use crate::model::id::{ListenerName, RequestId};
use crate::model::record::End;
use crate::request::Call;

use super::lane::Transport;

/// How often deadlines are looked at, and so how late they may be noticed.
pub const TICK: Duration = Duration::from_millis(50);

/// Shards of the table, so that connections on different threads do not wait for each other.
const SHARDS: usize = 16;

/// All flights of the process.
#[derive(Debug)]
pub struct Flights {
    shards: [Mutex<Slab<Arc<Flight>>>; SHARDS],
    next_shard: AtomicUsize,
    /// Milliseconds of the monotonic clock at the last tick.
    now_ms: AtomicU64,
    connections: AtomicUsize,
    listeners: Vec<Port>,
    requests: AtomicUsize,
    draining: AtomicBool,
}

/// A listener and its open connections.
#[derive(Debug)]
struct Port {
    name: ListenerName,
    address: SocketAddr,
    connections: AtomicUsize,
}

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

/// Why a flight was told to end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Stop {
    Idle = 1,
    SlowHead = 2,
    SlowCaller = 3,
    SlowUpstream = 4,
    Deadline = 5,
    Revoked = 6,
    Drain = 7,
}

/// How an exchange that did not end by itself is answered and recorded.
#[derive(Clone, Debug)]
pub enum Fault {
    Denied(Refusal),
    Failed(Failure),
}

impl Fault {
    pub const PANICKED: Self = Self::Failed(Failure::InternalError);

    pub const fn status(&self) -> u16 {
        match self {
            Self::Denied(refusal) => refusal.denial.row().status,
            Self::Failed(failure) => failure.row().status,
        }
    }
}

impl Stop {
    /// What the caller is told, if it is still waiting for an answer, and how the record ends.
    pub fn meaning(self) -> (Fault, End) {
        let denied = |denial, reason| Fault::Denied(Refusal::new(denial, reason));
        match self {
            Self::SlowHead | Self::Idle => {
                (denied(Denial::RequestTimeout, "the head took too long"), End::Complete)
            }
            Self::SlowCaller => {
                (denied(Denial::RequestTimeout, "the caller was too slow"), End::Deadline)
            }
            Self::SlowUpstream => (Fault::Failed(Failure::UpstreamTimeout), End::Deadline),
            Self::Deadline => (Fault::Failed(Failure::Deadline), End::Deadline),
            Self::Revoked => {
                (denied(Denial::CredentialInvalid, "permission was withdrawn"), End::Revoked)
            }
            Self::Drain => (Fault::Failed(Failure::Deadline), End::Deadline),
        }
    }

    const fn from_u8(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Idle,
            2 => Self::SlowHead,
            3 => Self::SlowCaller,
            4 => Self::SlowUpstream,
            5 => Self::Deadline,
            6 => Self::Revoked,
            7 => Self::Drain,
            _ => return None,
        })
    }
}

/// One connection in the air, or one stream of a multiplexed one.
#[derive(Debug, Default)]
pub struct Flight {
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

/// A place in the table; gives it back when dropped.
#[derive(Debug)]
pub struct Boarded {
    flights: Arc<Flights>,
    shard: usize,
    key: usize,
    /// The position of its listener.
    port: Option<usize>,
    pub flight: Arc<Flight>,
}

impl Flights {
    pub fn new(listeners: &[(ListenerName, SocketAddr)]) -> Self {
        let ports = listeners.iter().map(|(name, address)| Port {
            name: name.clone(),
            address: *address,
            connections: AtomicUsize::new(0),
        });
        Self {
            listeners: ports.collect(),
            shards: std::array::from_fn(|_| Mutex::default()),
            next_shard: AtomicUsize::new(0),
            now_ms: AtomicU64::new(clock_ms()),
            connections: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
        }
    }

    /// Takes a connection to `local` in; None when there are `connections_max` already.
    pub fn board(
        self: &Arc<Self>,
        local: Option<SocketAddr>,
        connections_max: usize,
    ) -> Option<Boarded> {
        if self.connections.fetch_add(1, Ordering::Relaxed) >= connections_max {
            self.connections.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let shard = self.next_shard.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let flight = Arc::new(Flight::default());
        let key = self.shard(shard).insert(Arc::clone(&flight));
        let port = local.and_then(|local| self.port_of(local));
        if let Some(port) = port.and_then(|at| self.listeners.get(at)) {
            port.connections.fetch_add(1, Ordering::Relaxed);
        }
        Some(Boarded { flights: Arc::clone(self), shard, key, port, flight })
    }

    /// The listener that took a connection to `local`: its own address, or any with its port.
    fn port_of(&self, local: SocketAddr) -> Option<usize> {
        let exact = self.listeners.iter().position(|port| port.address == local);
        exact.or_else(|| {
            let takes = |port: &Port| {
                port.address.ip().is_unspecified() && port.address.port() == local.port()
            };
            self.listeners.iter().position(takes)
        })
    }

    /// Open connections of each listener.
    pub fn connections_by_listener(&self) -> Vec<(String, u64)> {
        let count = |port: &Port| port.connections.load(Ordering::Relaxed) as u64;
        self.listeners.iter().map(|port| (port.name.to_string(), count(port))).collect()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Counts a request in; the guard counts it out. None when there are `requests_max` already.
    pub fn enter(self: &Arc<Self>, requests_max: usize) -> Option<InFlight> {
        if self.requests.fetch_add(1, Ordering::Relaxed) >= requests_max {
            self.requests.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(InFlight(Arc::clone(self)))
    }

    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// From now on idle connections end, and busy ones end with their request.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.each(|flight| {
            if flight.phase.load(Ordering::Acquire) == Phase::Idle as u8 {
                flight.stop(Stop::Drain);
            }
        });
    }

    /// Ends every flight: the drain deadline has passed.
    pub fn end_all(&self) {
        self.each(|flight| flight.stop(Stop::Drain));
    }

    /// Ends the live calls that `permitted` no longer allows; says how many.
    pub fn recheck(&self, permitted: impl Fn(&Call) -> bool) -> usize {
        let mut ended = 0;
        self.each(|flight| {
            let forbidden = flight.live().call.as_ref().is_some_and(|call| !permitted(call));
            if forbidden {
                flight.stop(Stop::Revoked);
                ended += 1;
            }
        });
        ended
    }

    /// Shows every live call, for metrics.
    pub fn live_calls(&self, mut show: impl FnMut(&Call)) {
        self.each(|flight| {
            if let Some(call) = &flight.live().call {
                show(call);
            }
        });
    }

    /// One look at every deadline. The sweeper thread calls it each [`TICK`].
    pub fn sweep(&self) {
        let now_ms = clock_ms();
        self.now_ms.store(now_ms, Ordering::Relaxed);
        self.each(|flight| flight.sweep(now_ms));
    }

    fn each(&self, mut visit: impl FnMut(&Flight)) {
        for shard in 0..SHARDS {
            for (_, flight) in self.shard(shard).iter() {
                visit(flight);
            }
        }
    }

    fn shard(&self, at: usize) -> MutexGuard<'_, Slab<Arc<Flight>>> {
        self.shards[at % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The deadline that is `after` from now, never early: the clock is up to a tick behind.
    fn deadline_ms(&self, after: Duration) -> u64 {
        let after_ms = u64::try_from((after + TICK).as_millis()).unwrap_or(u64::MAX);
        self.now_ms.load(Ordering::Relaxed).saturating_add(after_ms)
    }
}

impl Flight {
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

    fn sweep(&self, now_ms: u64) {
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

impl Drop for Boarded {
    fn drop(&mut self) {
        self.flights.shard(self.shard).try_remove(self.key);
        self.flights.connections.fetch_sub(1, Ordering::Relaxed);
        if let Some(port) = self.port.and_then(|at| self.flights.listeners.get(at)) {
            port.connections.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A request that is counted in.
#[derive(Debug)]
pub struct InFlight(Arc<Flights>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

fn clock_ms() -> u64 {
    // From 1 on, so that 0 can say "never".
    clock::mono().0 / 1_000_000 + 1
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

    #[test]
    fn the_table_is_bounded_and_gives_places_back() {
        let flights = Arc::new(Flights::new(&[]));
        let first = flights.board(None, 2);
        let second = flights.board(None, 2);
        assert!(flights.board(None, 2).is_none());
        drop(first);
        assert!(flights.board(None, 2).is_some());
        drop(second);
        assert_eq!(flights.connections(), 0);
    }

    #[test]
    fn a_withdrawn_call_is_stopped_and_others_are_not() {
        let flights = Arc::new(Flights::new(&[]));
        let boarded: Vec<Boarded> = (0..3).filter_map(|_| flights.board(None, 9)).collect();
        for (boarded, operation) in boarded.iter().zip(["a.x", "a.y"]) {
            let operation = crate::model::id::OperationId::parse(operation).expect("valid");
            boarded.flight.live().call = Some(Call { credential: None, operation });
        }
        let ended = flights.recheck(|call| call.operation.as_str() != "a.x");
        let stops: Vec<Option<Stop>> = boarded.iter().map(|b| b.flight.stopped()).collect();
        assert_eq!((ended, stops), (1, vec![Some(Stop::Revoked), None, None]));
    }
}
