//! An HTTP/2 connection: streams in, one exchange for each, and an orderly end.
//!
//! The connection has a flight of its own, which is idle while no stream is open; each stream has
//! one too, so what ends one request ends no other.

mod incoming;
mod outgoing;
mod session;

use std::mem;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Uri, header, request};
use pingora::http::RequestHeader;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{H2Options, default_h2_options, handshake};
use pingora::protocols::{Digest, Stream};
use pingora::server::ShutdownWatch;

use crate::model::denial::{Denial, Refusal};
use crate::model::policy::Bounds;
use crate::request::head::parsed::{self, Pseudo};

use super::Shared;
use super::answer::Answer;
use super::exchange::Exchange;
use super::flight::{Flight, Phase};
use super::headers::passing;
use super::health::{self, Asked};
use super::refused::{self, RefusedHead};
use super::stop::{Fault, Stop};
use super::tls::acceptor::Secured;

use self::incoming::Incoming;
use self::outgoing::{Bodies, Landing, Outgoing};
use self::session::StreamSession;

/// How long the end of a connection may take, once it was told to end.
const LINGER: Duration = Duration::from_millis(500);

/// What the library counts for each field besides its bytes (RFC 9113, 6.5.2).
const FIELD_OVERHEAD_BYTES: usize = 32;

/// Room for heads that are over our bounds, so that they are answered and recorded by us: the
/// library answers what is larger still with a bare 431.
const OVER_BOUND_BYTES: usize = 16 * 1024;

/// One connection, shared by its streams.
pub struct Multiplexed {
    pub shared: Arc<Shared>,
    pub exchange: Arc<Exchange>,
    pub flight: Arc<Flight>,
    pub health_path: Option<Box<str>>,
    pub secured: Option<Secured>,
    pub peer_ip: Option<IpAddr>,
    pub digest: Arc<Digest>,
    pub streams: Mutex<Streams>,
}

/// The streams of a connection, counted.
#[derive(Debug, Default)]
pub struct Streams {
    open: usize,
    begun: usize,
    /// Taken back by the caller before an answer began.
    taken_back: usize,
}

/// A stream that is open; counts it out when dropped.
struct Open(Arc<Multiplexed>);

/// Requests that a connection may take back before it is held against it.
const TAKEN_BACK_MAX: usize = 100;

impl Streams {
    /// Whether the caller makes work only to throw it away ("rapid reset").
    const fn are_abused(&self) -> bool {
        self.taken_back > TAKEN_BACK_MAX && 2 * self.taken_back > self.begun
    }
}

impl Multiplexed {
    /// Serves until either side has had enough.
    pub async fn serve(self: Arc<Self>, stream: Stream, shutdown: &ShutdownWatch) {
        let bounds = self.shared.snapshot.load().policy.bounds;
        self.flight.begin(&self.shared.flights, Phase::Head, bounds.head_deadline);
        let begun = self.flight.unless_stopped(handshake(stream, Some(options(&bounds)))).await;
        let Ok(Ok(mut connection)) = begun else {
            return self.count_refused("http2_preface");
        };
        self.flight.begin(&self.shared.flights, Phase::Idle, bounds.idle_timeout);
        let mut told = shutdown.clone();
        let mut goes_away = false;
        let stop = loop {
            tokio::select! {
                biased;
                stop = self.flight.unless_stopped(std::future::pending::<()>()) => break stop.err(),
                () = drained(&mut told), if !goes_away => {
                    goes_away = true;
                    connection.graceful_shutdown();
                }
                accepted = connection.accept() => match accepted {
                    Some(Ok((request, respond))) => self.begin(request, respond, shutdown),
                    Some(Err(error)) => {
                        log::debug!("an HTTP/2 connection broke: {error}");
                        return if error.is_library() { self.count_refused("http2_protocol") };
                    }
                    None => return,
                }
            }
        };
        self.end(connection, stop).await;
    }

    /// Says goodbye, and lets streams say their last words.
    async fn end(&self, mut connection: Connection<Stream, Bytes>, stop: Option<Stop>) {
        if self.streams().are_abused() {
            self.count_refused("http2_resets");
            connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
        } else if matches!(stop, Some(Stop::Drain | Stop::Halt)) && connection.has_streams() {
            connection.graceful_shutdown();
        } else {
            connection.abrupt_shutdown(Reason::NO_ERROR);
        }
        let last = async { while let Some(Ok(_)) = connection.accept().await {} };
        // A peer that does not read its goodbye goes without.
        tokio::time::timeout(LINGER, last).await.ok();
    }

    fn begin(
        self: &Arc<Self>,
        request: Request<RecvStream>,
        respond: SendResponse<Bytes>,
        shutdown: &ShutdownWatch,
    ) {
        let open = Open::new(self);
        let shutdown = shutdown.clone();
        tokio::spawn(async move { open.0.stream(request, respond, &shutdown).await });
    }

    /// One request.
    async fn stream(
        &self,
        request: Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
        shutdown: &ShutdownWatch,
    ) {
        let bounds = self.shared.snapshot.load().policy.bounds;
        let (parts, body) = request.into_parts();
        let bodies = if parts.method == Method::HEAD { Bodies::Never } else { Bodies::Usual };
        if self.asks_for_health(&parts) {
            return give(&mut respond, health::answer(&self.shared, Asked::Get), bodies);
        }
        let head = match self.judge(parts, &bounds) {
            Ok(head) => head,
            Err(refused) => {
                let answer = refused::record(&self.shared, *refused);
                return give(&mut respond, answer, bodies);
            }
        };
        let flight = Arc::new(self.flight.of_stream());
        let _place = self.shared.flights.take_off(&flight);
        let landing = Arc::new(Landing::default());
        let session = Box::new(StreamSession {
            head,
            incoming: Incoming::new(body, Arc::clone(&flight)),
            outgoing: Outgoing::new(respond, bodies, Arc::clone(&flight), Arc::clone(&landing)),
            digest: Arc::clone(&self.digest),
        });
        self.exchange.run(ServerSession::new_custom(session), &flight, shutdown).await;
        // What the exchange could not answer any more.
        let Some(mut respond) = landing.take() else { return };
        let fault = flight.ending().map_or(Fault::PANICKED, |ending| ending.fault);
        let live = mem::take(&mut *flight.live());
        if let Some(id) = live.id {
            let answer = Answer::of(&fault, id, None).dressed(live.dress.as_ref());
            give(&mut respond, answer, bodies);
        } else {
            self.was_taken_back();
        }
    }

    fn was_taken_back(&self) {
        let mut streams = self.streams();
        streams.taken_back += 1;
        if streams.are_abused() {
            self.flight.stop(Stop::Idle);
        }
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asks_for_health(&self, parts: &request::Parts) -> bool {
        let target = parts.uri.path_and_query().map(PathAndQuery::as_str);
        self.health_path.as_deref().is_some_and(|path| target == Some(path))
            && matches!(parts.method, Method::GET | Method::HEAD)
    }

    /// The head as HTTP/1 would have it, once it passed the rules.
    fn judge(
        &self,
        parts: request::Parts,
        bounds: &Bounds,
    ) -> Result<RequestHeader, Box<RefusedHead>> {
        let path = parts.uri.path_and_query().map(|path| path.as_str().as_bytes());
        let pseudo = Pseudo {
            method: parts.method.as_str(),
            scheme: parts.uri.scheme_str(),
            authority: parts.uri.authority().map(|authority| authority.as_str().as_bytes()),
            path,
        };
        let fields = parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let refuse = |refusal, host: &[u8]| {
            Box::new(RefusedHead::new(refusal, parts.method.as_str(), host, self.peer_ip))
        };
        let host = parsed::check(pseudo, fields, bounds).map_err(|refusal| refuse(refusal, b""))?;
        if self.secured.as_ref().is_some_and(|secured| !secured.serves(host)) {
            return Err(refuse(misdirected(), host));
        }
        let host = HeaderValue::from_bytes(host);
        let mut parts = parts;
        if let Ok(host) = host {
            parts.headers.insert(header::HOST, host);
        }
        parts.uri = parts.uri.path_and_query().cloned().map(Uri::from).unwrap_or_default();
        parts.extensions.clear();
        join_cookies(&mut parts);
        Ok(parts.into())
    }

    fn count_refused(&self, reason: &str) {
        self.shared.refused_before_request.with_label_values(&[reason]).inc();
    }
}

impl Open {
    fn new(connection: &Arc<Multiplexed>) -> Self {
        let mut streams = connection.streams();
        streams.begun += 1;
        streams.open += 1;
        connection.flight.carries_streams();
        drop(streams);
        Self(Arc::clone(connection))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let shared = &self.0.shared;
        // Under the lock, so that no stream begins between the count and what follows from it.
        let mut streams = self.0.streams();
        streams.open -= 1;
        if streams.open == 0 {
            let idle_timeout = shared.snapshot.load().policy.bounds.idle_timeout;
            self.0.flight.begin(&shared.flights, Phase::Idle, idle_timeout);
        }
    }
}

/// The host is none that the connection's certificate stands for.
pub fn misdirected() -> Refusal {
    Refusal::new(Denial::Misdirected, "the certificate of this connection does not cover the host")
}

async fn drained(shutdown: &mut ShutdownWatch) {
    // Without a sender there is nobody left to tell.
    shutdown.wait_for(|told| *told).await.ok();
}

fn options(bounds: &Bounds) -> H2Options {
    let list = bounds.head_bytes_max + FIELD_OVERHEAD_BYTES * bounds.head_fields_max;
    let mut options = default_h2_options();
    options.max_header_list_size(u32::try_from(list + OVER_BOUND_BYTES).unwrap_or(u32::MAX));
    options.max_concurrent_streams(bounds.http2_streams_max);
    options
}

/// Writes an answer of the gate's own. The caller may be gone: then there is nobody to tell.
fn give(respond: &mut SendResponse<Bytes>, answer: Answer, bodies: Bodies) {
    let (response, body) = answer.into_response();
    let bodiless = bodies == Bodies::Never;
    if let Ok(mut sender) = respond.send_response(response, bodiless)
        && !bodiless
    {
        sender.send_data(body, true).ok();
    }
}

/// RFC 9113, 8.2.3: HTTP/2 callers may cut a cookie into several fields, HTTP/1 has one.
fn join_cookies(parts: &mut request::Parts) {
    let mut crumbs = parts.headers.get_all(header::COOKIE).iter();
    if crumbs.nth(1).is_none() {
        return;
    }
    // Judged before they are joined: a crumb that is a key of the gate would hide behind the others.
    let crumbs = parts.headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
    let crumbs = crumbs.filter(|crumb| !passing::carries_credential(crumb));
    let joined = crumbs.collect::<Vec<_>>().join(&b"; "[..]);
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        parts.headers.insert(header::COOKIE, joined);
    }
}
