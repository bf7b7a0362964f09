//! The table of all flights, and the sweep that looks at their deadlines. It is how the gate finds
//! everything in the air: to drain, to withdraw permission, to count.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use slab::Slab;
use tokio::sync::{Notify, watch};

use crate::clock;
use crate::model::denial::Refusal;
use crate::model::id::ListenerName;
use crate::model::policy::Scheme;
use crate::request::Call;

use super::flight::Flight;
use super::pace::Pace;
use super::stop::Stop;

/// How often deadlines are looked at, and so how late they may be noticed.
pub const TICK: Duration = Duration::from_millis(TICK_MS);
const TICK_MS: u64 = 50;

/// Shards of the table, so that connections on different threads do not wait for each other.
const SHARDS: usize = 16;

type Shard = Mutex<Slab<Arc<Flight>>>;

/// All flights of the process.
#[derive(Debug)]
pub struct Flights {
    shards: [Shard; SHARDS],
    next_shard: AtomicUsize,
    /// Milliseconds of the monotonic clock at the last tick.
    now_ms: AtomicU64,
    connections: AtomicUsize,
    listeners: Vec<Port>,
    requests: AtomicUsize,
    draining: AtomicBool,
    /// Whoever waits for ended calls to be over.
    /// Told when the last connection closes.
    emptied: Notify,
    over: Condvar,
    over_turn: Mutex<()>,
    leaving: AtomicBool,
    /// Rung after each change of what is in force, and when the gate begins to drain.
    bell: watch::Sender<()>,
}

/// A listener that is bound.
#[derive(Clone, Debug)]
pub struct Listening {
    pub name: ListenerName,
    pub address: SocketAddr,
    pub scheme: Scheme,
}

/// A listener and its open connections.
#[derive(Debug)]
struct Port {
    listening: Listening,
    connections: AtomicUsize,
}

/// What a recheck ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct EndedCalls {
    pub requests: u64,
    /// Those of them whose answer had begun.
    pub streams: u64,
}

/// How long a recheck waits for what it ended: a worker thread ends a call as soon as it is woken.
const ENDING_MAX: Duration = Duration::from_secs(1);

/// A connection's place in the table; gives it back when dropped.
#[derive(Debug)]
pub struct Boarded {
    place: Place,
    /// The position of its listener.
    pub port: Option<usize>,
    pub flight: Arc<Flight>,
}

/// A place in the table, of a connection or of a stream.
#[derive(Debug)]
pub struct Place {
    flights: Arc<Flights>,
    shard: usize,
    key: usize,
}

impl Flights {
    pub fn new(listeners: &[Listening]) -> Self {
        let ports = listeners.iter().map(|listening| Port {
            listening: listening.clone(),
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
            emptied: Notify::new(),
            over: Condvar::new(),
            over_turn: Mutex::default(),
            leaving: AtomicBool::new(false),
            bell: watch::Sender::default(),
        }
    }

    /// For those who wait for a change.
    pub fn bell(&self) -> watch::Receiver<()> {
        self.bell.subscribe()
    }

    /// Takes a connection to `local` in; None when there are `connections_max` already.
    pub fn board(
        self: &Arc<Self>,
        local: Option<SocketAddr>,
        connections_max: usize,
    ) -> Option<Boarded> {
        if self.connections.fetch_add(1, Ordering::Relaxed) >= connections_max {
            self.one_less();
            return None;
        }
        let port = local.and_then(|local| self.port_of(local));
        let port_of_it = port.and_then(|at| self.listeners.get(at));
        let scheme = port_of_it.map_or(Scheme::Http, |port| port.listening.scheme);
        let flight = Arc::new(Flight::over(scheme));
        let place = self.take_off(&flight);
        if let Some(port) = port_of_it {
            port.connections.fetch_add(1, Ordering::Relaxed);
        }
        Some(Boarded { place, port, flight })
    }

    /// Puts a flight into the table: a stream's, because its connection was counted when it came.
    pub fn take_off(self: &Arc<Self>, flight: &Arc<Flight>) -> Place {
        let shard = self.next_shard.fetch_add(1, Ordering::Relaxed) % SHARDS;
        let key = self.shards.get(shard).map_or(0, |shard| lock(shard).insert(Arc::clone(flight)));
        Place { flights: Arc::clone(self), shard, key }
    }

    /// The listener that took a connection to `local`: its own address, or any with its port.
    fn port_of(&self, local: SocketAddr) -> Option<usize> {
        let exact = self.listeners.iter().position(|port| port.listening.address == local);
        exact.or_else(|| {
            let takes = |port: &Port| {
                let address = port.listening.address;
                address.ip().is_unspecified() && address.port() == local.port()
            };
            self.listeners.iter().position(takes)
        })
    }

    /// Open connections of each listener.
    pub fn connections_by_listener(&self) -> Vec<(String, u64)> {
        let count = |port: &Port| port.connections.load(Ordering::Relaxed) as u64;
        self.listeners.iter().map(|port| (port.listening.name.to_string(), count(port))).collect()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    fn one_less(&self) {
        if self.connections.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.emptied.notify_one();
        }
    }

    /// Returns when no connection is open.
    pub async fn empty(&self) {
        // A notice that came between the look and the wait is kept for it.
        while self.connections.load(Ordering::Acquire) > 0 {
            self.emptied.notified().await;
        }
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

    /// Whether the gate has said that it will stop: it still serves, but is no longer ready.
    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Release);
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// From now on idle connections end, and busy ones end with their request.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.each(|flight| {
            if flight.is_idle() {
                flight.stop(Stop::Drain);
            }
        });
        self.bell.send_replace(());
    }

    /// Ends every flight: the drain deadline has passed.
    pub fn end_all(&self) {
        self.each(|flight| flight.stop(Stop::Halt));
    }

    /// Ends the live calls that `judge` refuses, and waits until they are over, their records
    /// complete and nothing more passing. May sleep: not for worker threads.
    pub fn recheck(&self, judge: impl Fn(&Call) -> Result<(), Refusal>) -> EndedCalls {
        self.bell.send_replace(());
        let mut ended = EndedCalls::default();
        let mut ending: Vec<Arc<Flight>> = Vec::new();
        self.each(|flight| {
            let was_answered = flight.was_answered();
            if flight.judge(&judge) {
                ended.requests += 1;
                ended.streams += u64::from(was_answered);
                ending.push(Arc::clone(flight));
            }
        });
        let turn = self.over_turn.lock().unwrap_or_else(PoisonError::into_inner);
        let live = |(): &mut ()| ending.iter().any(|flight| flight.live().call.is_some());
        let waited = self.over.wait_timeout_while(turn, ENDING_MAX, live);
        if waited.unwrap_or_else(PoisonError::into_inner).1.timed_out() {
            log::warn!("calls that are no longer permitted take long to end");
        }
        ended
    }

    /// A call is over that a recheck ended.
    pub fn tell_over(&self) {
        // Under the lock, or whoever just found the call live would sleep through this.
        let _turn = self.over_turn.lock().unwrap_or_else(PoisonError::into_inner);
        self.over.notify_all();
    }

    /// Shows every live call, for metrics.
    pub fn live_calls(&self, mut show: impl FnMut(&Call)) {
        self.each(|flight| {
            if let Some(call) = &flight.live().call {
                show(call);
            }
        });
    }

    /// One look at every deadline and pace. The sweeper thread calls it each [`TICK`].
    pub fn sweep(&self, pace: Pace) {
        let now_ms = clock_ms();
        let elapsed_ms = now_ms.saturating_sub(self.now_ms.swap(now_ms, Ordering::Relaxed));
        self.each(|flight| flight.sweep(now_ms, elapsed_ms, pace));
    }

    fn each(&self, mut visit: impl FnMut(&Arc<Flight>)) {
        for shard in &self.shards {
            for (_, flight) in lock(shard).iter() {
                visit(flight);
            }
        }
    }

    /// The deadline that is `after` from now, never early: the clock is up to a tick behind.
    pub fn deadline_ms(&self, after: Duration) -> u64 {
        let after_ms = after.as_secs().saturating_mul(1000) + u64::from(after.subsec_millis());
        // A part of a millisecond is one more.
        self.now_ms.load(Ordering::Relaxed).saturating_add(after_ms).saturating_add(TICK_MS + 1)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let removed =
            self.flights.shards.get(self.shard).map(|shard| lock(shard).try_remove(self.key));
        // Not under the lock: with the last of a flight goes what it carries.
        drop(removed);
    }
}

impl Drop for Boarded {
    fn drop(&mut self) {
        let flights = &self.place.flights;
        flights.one_less();
        if let Some(port) = self.port.and_then(|at| flights.listeners.get(at)) {
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

fn lock(shard: &Shard) -> MutexGuard<'_, Slab<Arc<Flight>>> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn clock_ms() -> u64 {
    // From 1 on, so that 0 can say "never".
    clock::mono().0 / 1_000_000 + 1
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::model::api::Effect;
    use crate::model::denial::Denial;

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
            boarded.flight.live().call =
                Some(Call { credential: None, operation, effect: Effect::Reads, source_ip: None });
        }
        let answered = boarded.first().map(|boarded| Arc::clone(&boarded.flight)).expect("three");
        answered.note_answered();
        let others = Arc::clone(&flights);
        let ends = thread::spawn(move || {
            while answered.stopped().is_none() {
                thread::yield_now();
            }
            answered.end_call(&others);
        });
        let refusal = || Refusal::new(Denial::NotGranted, "no live grant");
        let judge = |call: &Call| match call.operation.as_str() {
            "a.x" => Err(refusal()),
            _ => Ok(()),
        };
        let ended = flights.recheck(judge);
        ends.join().expect("it ends");
        let stops: Vec<Option<Stop>> = boarded.iter().map(|b| b.flight.stopped()).collect();
        assert_eq!(ended, EndedCalls { requests: 1, streams: 1 });
        assert_eq!(stops, [Some(Stop::Revoked), None, None]);
    }
}
