//! The connection layer: one TCP connection from accept to close.
//!
//! It reads each head under its deadline, judges its form on the raw bytes, and lends the transport
//! to one exchange after the other. What it refuses, it answers and records itself.

mod spoken;

use std::future::poll_fn;
use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Buf, BytesMut};
use pingora::apps::ServerApp;
use pingora::protocols::Stream;
use pingora::protocols::http::ServerSession;
use pingora::protocols::l4::socket::SocketAddr as SocketAddress;
use pingora::server::ShutdownWatch;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::model::denial::{Denial, Refusal};
use crate::model::policy::Bounds;
use crate::request::head::{self, Framing, Head, Scan, Scanner};
use crate::request::target;

use super::Shared;
use super::answer::Answer;
use super::exchange::Exchange;
use super::flight::{Flight, Phase};
use super::health::{self, Asked};
use super::http2;
use super::lane::{Lane, Transport};
use super::refused::{self, RefusedHead};
use super::stop::{Fault, Stop};
use super::tls::acceptor::Secured;

/// How long a caller may take to read an answer before the connection closes, and how much it may
/// still send meanwhile.
const LINGER: Duration = Duration::from_secs(5);
const LINGER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Serves connections of every listener.
#[derive(Debug)]
pub struct Connections {
    pub shared: Arc<Shared>,
    pub exchange: Arc<Exchange>,
}

/// Who is at the other end.
struct Caller {
    peer_ip: Option<IpAddr>,
    /// The listener's: where load balancers ask.
    health_path: Option<Box<str>>,
    secured: Option<Secured>,
}

impl Caller {
    fn asks_for_health(&self, head: &[u8], framing: Framing) -> Option<Asked> {
        let path = self.health_path.as_ref().filter(|_| framing == Framing::Length(0))?;
        health::asked(head, path)
    }

    /// A head for a host that the connection's certificate does not stand for.
    fn misdirected(&self, head: &[u8]) -> Option<RefusedHead> {
        let secured = self.secured.as_ref()?;
        let (method, host) = head::method_and_host(head)?;
        let refuse = || RefusedHead::new(http2::misdirected(), method, host, self.peer_ip);
        (!secured.serves(host)).then(refuse)
    }
}

/// A head that passed, and what follows it.
struct Arrived {
    head: BytesMut,
    framing: Framing,
    upgrade: bool,
}

/// Why no head came.
enum NoHead {
    /// The caller left, or the gate closes an idle connection: nobody waits for an answer.
    Closed,
    Refused {
        refusal: Refusal,
        head: BytesMut,
    },
}

#[async_trait]
impl ServerApp for Connections {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        let bounds = self.shared.snapshot.load().policy.bounds;
        let (peer, local) = addresses(&stream);
        let Some(boarded) = self.shared.flights.board(local, bounds.connections_max) else {
            self.shared.refused_before_request.with_label_values(&["connections_max"]).inc();
            log::warn!("connections_max reached: a connection was closed unread");
            return None;
        };
        let Some(entry) = boarded.port.and_then(|port| self.shared.doors.at(port)) else {
            log::error!("a connection came in at {local:?}, where nothing listens");
            return None;
        };
        let caller = Caller {
            peer_ip: peer.map(|peer| peer.ip().to_canonical()),
            health_path: entry.health_path.clone(),
            secured: None,
        };
        if entry.tls.is_some() {
            self.serve_tls(entry, stream, &boarded.flight, caller, shutdown).await;
        } else {
            self.serve_plain(entry.http2, stream, &boarded.flight, caller, shutdown).await;
        }
        None
    }

    async fn cleanup(&self) {
        self.exchange.clean_up().await;
    }
}

impl Connections {
    /// One request after the other, until either side has had enough.
    async fn serve(
        &self,
        mut transport: Transport,
        flight: &Arc<Flight>,
        caller: &Caller,
        shutdown: &ShutdownWatch,
    ) {
        let mut changes = self.shared.snapshot.changes();
        let mut bounds = self.shared.snapshot.load().policy.bounds;
        loop {
            let now = self.shared.snapshot.changes();
            if now != changes {
                (changes, bounds) = (now, self.shared.snapshot.load().policy.bounds);
            }
            let arrived = match self.read_head(&mut transport, flight, &bounds).await {
                Ok(arrived) => arrived,
                Err(NoHead::Closed) => return close_idle(transport, caller).await,
                Err(NoHead::Refused { refusal, head }) => {
                    let refused = RefusedHead::raw(refusal, &head, caller.peer_ip);
                    let answer = refused::record(&self.shared, refused);
                    return close_with(transport, Some(answer)).await;
                }
            };
            let Arrived { head, framing, upgrade } = arrived;
            if let Some(asked) = caller.asks_for_health(&head, framing) {
                let answer = health::answer(&self.shared, asked);
                return close_with(transport, Some(answer)).await;
            }
            if let Some(refused) = caller.misdirected(&head) {
                let answer = refused::record(&self.shared, refused);
                return close_with(transport, Some(answer)).await;
            }
            let lane = Lane::new(transport, Arc::clone(flight), framing, upgrade);
            let mut session = ServerSession::new_http1(Box::new(lane));
            session.set_pipelined_prefix(head);
            // From the first sign of leaving on: callers with pools then go elsewhere in peace.
            let keep = !self.shared.flights.is_leaving();
            session.set_keepalive(keep.then_some(bounds.idle_timeout.as_secs().max(1)));
            let reused = self.exchange.run(session, flight, shutdown).await;
            match reused.map(|reused| reused.consume().0).and_then(Lane::reclaim) {
                Some(back) => transport = back,
                None => return self.close_landed(flight).await,
            }
        }
    }

    /// Reads until a head is complete. The fast path is one read and no timer.
    async fn read_head(
        &self,
        transport: &mut Transport,
        flight: &Flight,
        bounds: &Bounds,
    ) -> Result<Arrived, NoHead> {
        flight.reset();
        flight.begin(&self.shared.flights, Phase::Idle, bounds.idle_timeout);
        if self.shared.flights.is_draining() && transport.ahead.is_empty() {
            return Err(NoHead::Closed);
        }
        let mut scanner = Scanner::default();
        let mut begun = false;
        loop {
            skip_empty_lines(transport, &scanner);
            match scanner.scan(&transport.ahead) {
                Ok(Scan::Complete(end)) if end <= bounds.head_bytes_max => {
                    return arrived(transport, end, &scanner, bounds);
                }
                Ok(Scan::Incomplete) if transport.ahead.len() <= bounds.head_bytes_max => {}
                Ok(_) => return Err(refuse(transport, too_large(&transport.ahead))),
                Err(refusal) => return Err(refuse(transport, refusal)),
            }
            if !begun && !transport.ahead.is_empty() {
                begun = true;
                flight.begin(&self.shared.flights, Phase::Head, bounds.head_deadline);
            }
            match fill(transport, flight).await {
                Filled::Bytes => {}
                Filled::Closed => {
                    if begun {
                        let refused = &self.shared.refused_before_request;
                        refused.with_label_values(&["closed_in_head"]).inc();
                    }
                    return Err(NoHead::Closed);
                }
                Filled::Stopped(Stop::SlowHead) => {
                    let slow = Refusal::new(Denial::RequestTimeout, "the head took too long");
                    return Err(refuse(transport, slow));
                }
                Filled::Stopped(_) => return Err(NoHead::Closed),
            }
        }
    }

    /// After an exchange that does not go on: the answer it could not give, then the close.
    async fn close_landed(&self, flight: &Flight) {
        let Some(transport) = flight.take_landed() else { return };
        let ending = flight.ending();
        let live = mem::take(&mut *flight.live());
        let answer = match (flight.was_answered(), live.id) {
            (false, Some(id)) => {
                let fault = ending.map_or(Fault::PANICKED, |ending| ending.fault);
                let answer = Answer::of(&fault, id, None).dressed(live.dress.as_ref());
                Some(if live.is_head { answer.for_head() } else { answer })
            }
            _ => None,
        };
        close_with(transport, answer).await;
    }
}

enum Filled {
    Bytes,
    Closed,
    Stopped(Stop),
}

/// Reads on. What has come already is read before any reason to close is heard: nobody takes a
/// request back that is on its way.
async fn fill(transport: &mut Transport, flight: &Flight) -> Filled {
    poll_fn(|cx| {
        let is_between_requests = transport.ahead.is_empty();
        let filled = transport.poll_fill(cx);
        if let Poll::Ready(Ok(1..)) = filled {
            return Poll::Ready(Filled::Bytes);
        }
        let stop =
            if is_between_requests { flight.poll_stopped(cx) } else { flight.poll_ended(cx) };
        match (stop, filled) {
            (Poll::Ready(stop), _) => Poll::Ready(Filled::Stopped(stop)),
            (Poll::Pending, Poll::Ready(_)) => Poll::Ready(Filled::Closed),
            (Poll::Pending, Poll::Pending) => Poll::Pending,
        }
    })
    .await
}

fn arrived(
    transport: &mut Transport,
    end: usize,
    scanner: &Scanner,
    bounds: &Bounds,
) -> Result<Arrived, NoHead> {
    let (raw, _) = transport.ahead.split_at(end);
    let (framing, upgrade, rewritten) = match head::check(raw, scanner, bounds) {
        Ok(head) => (head.framing, head.upgrade, rewritten(raw, scanner, &head)),
        Err(refusal) => return Err(refuse(transport, refusal)),
    };
    match rewritten {
        Ok(None) => {}
        Ok(Some(head)) => {
            transport.ahead.advance(end);
            return Ok(Arrived { head, framing, upgrade });
        }
        Err(refusal) => return Err(refuse(transport, refusal)),
    }
    // Without bytes ahead the buffer moves whole: splitting it would make it shared.
    let head = if transport.ahead.len() == end {
        mem::take(&mut transport.ahead)
    } else {
        transport.ahead.split_to(end)
    };
    Ok(Arrived { head, framing, upgrade })
}

/// A head whose target Pingora might refuse by itself, before any hook and without a record, with
/// the same target in a form that it takes. None for nearly every head.
fn rewritten(raw: &[u8], scanner: &Scanner, head: &Head<'_>) -> Result<Option<BytesMut>, Refusal> {
    let version = scanner.first_end().and_then(|end| end.checked_sub(VERSION_AND_CR));
    let Some(version) = version else { return Ok(None) };
    // What stands between the method and the version is the target, whole.
    let is_origin_form = head.method.len() + 1 + head.target.len() == version;
    if is_origin_form && target::is_wire_safe(head.target) {
        return Ok(None);
    }
    let target = target::to_wire(head.target);
    if target.len() > target::TARGET_BYTES_MAX {
        return Err(Refusal::new(Denial::UriTooLong, "the target is too long once encoded"));
    }
    let mut rewritten = BytesMut::with_capacity(raw.len() + target.len());
    rewritten.extend_from_slice(head.method.as_bytes());
    rewritten.extend_from_slice(b" ");
    rewritten.extend_from_slice(&target);
    rewritten.extend_from_slice(raw.get(version..).unwrap_or_default());
    Ok(Some(rewritten))
}

/// ` HTTP/1.1` and CR.
const VERSION_AND_CR: usize = 10;

fn refuse(transport: &mut Transport, refusal: Refusal) -> NoHead {
    NoHead::Refused { refusal, head: mem::take(&mut transport.ahead) }
}

/// RFC 9112, 2.2: empty lines before a request line are skipped.
fn skip_empty_lines(transport: &mut Transport, scanner: &Scanner) {
    while !scanner.has_lines() && transport.ahead.starts_with(b"\r\n") {
        transport.ahead.advance(2);
    }
}

fn too_large(head: &[u8]) -> Refusal {
    if memchr::memchr(b'\n', head).is_none() {
        Refusal::new(Denial::UriTooLong, "the request line is over the bound on heads")
    } else {
        Refusal::new(Denial::HeadTooLarge, "the head is over its bound")
    }
}

/// Closes a connection that nobody waits for. TLS says so, or it would look cut off.
async fn close_idle(mut transport: Transport, caller: &Caller) {
    if caller.secured.is_some() {
        let close = poll_fn(|cx| Pin::new(&mut transport.stream).poll_shutdown(cx));
        // A caller that does not read goes without.
        drop(tokio::time::timeout(LINGER, close).await);
    }
}

/// Writes a last answer, then closes so that the caller can read it: our side first, and its own
/// bytes are read away for a while, because closing with bytes unread would reset the connection.
async fn close_with(mut transport: Transport, answer: Option<Answer>) {
    let close = async {
        if let Some(answer) = answer {
            transport.stream.write_all(&answer.to_wire()).await?;
            transport.stream.flush().await?;
        }
        poll_fn(|cx| Pin::new(&mut transport.stream).poll_shutdown(cx)).await?;
        let mut discarded = 0;
        while discarded < LINGER_BYTES_MAX {
            let read = poll_fn(|cx| transport.poll_fill(cx)).await?;
            transport.ahead.clear();
            if read == 0 {
                break;
            }
            discarded += read;
        }
        io::Result::Ok(())
    };
    // The caller may be gone already; there is nobody left to tell.
    tokio::time::timeout(LINGER, close).await.ok();
}

/// The peer's and our own address.
fn addresses(stream: &Stream) -> (Option<SocketAddr>, Option<SocketAddr>) {
    let Some(digest) = stream.get_socket_digest() else { return (None, None) };
    let inet = |address: Option<&SocketAddress>| address?.as_inet().copied();
    (inet(digest.peer_addr()), inet(digest.local_addr()))
}
