//! How a connection begins: with a TLS handshake or without, and in which version of HTTP.

use std::sync::{Arc, Mutex};

use pingora::protocols::{ALPN, Digest, Stream};
use pingora::server::ShutdownWatch;

use crate::request::head::Framing;

use super::super::flight::{Flight, Phase};
use super::super::http2::Multiplexed;
use super::super::lane::{Lane, Transport};
use super::super::tls::doors::Entry;
use super::{Caller, Connections, Filled, fill};

/// How HTTP/2 begins (RFC 9113, 3.4).
const HTTP2_PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

impl Connections {
    pub(super) async fn serve_tls(
        &self,
        entry: Arc<Entry>,
        stream: Stream,
        flight: &Arc<Flight>,
        mut caller: Caller,
        shutdown: &ShutdownWatch,
    ) {
        let deadline = self.shared.snapshot.load().policy.bounds.handshake_deadline;
        flight.begin(&self.shared.flights, Phase::Head, deadline);
        let Some(acceptor) = &entry.tls else { return };
        let Ok(Some((stream, secured))) = flight.unless_stopped(acceptor.accept(stream)).await
        else {
            return self.shared.refused_before_request.with_label_values(&["handshake"]).inc();
        };
        // What replaces the certificates must not wait for this connection to end.
        drop(entry);
        caller.secured = Some(secured);
        match stream.selected_alpn_proto() {
            Some(ALPN::H2) => self.serve_http2(stream, flight, caller, shutdown).await,
            _ => self.serve(Transport::new(stream), flight, &caller, shutdown).await,
        }
    }

    pub(super) async fn serve_plain(
        &self,
        http2: bool,
        stream: Stream,
        flight: &Arc<Flight>,
        caller: Caller,
        shutdown: &ShutdownWatch,
    ) {
        let mut transport = Transport::new(stream);
        if http2 {
            match self.begins_http2(&mut transport, flight).await {
                None => return,
                Some(false) => {}
                Some(true) => {
                    // A lane gives back what was read ahead, and lends it for good.
                    let lane = Lane::new(transport, Arc::clone(flight), Framing::Chunked, false);
                    return self.serve_http2(Box::new(lane), flight, caller, shutdown).await;
                }
            }
        }
        self.serve(transport, flight, &caller, shutdown).await;
    }

    async fn serve_http2(
        &self,
        stream: Stream,
        flight: &Arc<Flight>,
        caller: Caller,
        shutdown: &ShutdownWatch,
    ) {
        let digest = Digest {
            ssl_digest: stream.get_ssl_digest(),
            timing_digest: stream.get_timing_digest(),
            proxy_digest: stream.get_proxy_digest(),
            socket_digest: stream.get_socket_digest(),
        };
        let connection = Multiplexed {
            shared: Arc::clone(&self.shared),
            exchange: Arc::clone(&self.exchange),
            flight: Arc::clone(flight),
            health_path: caller.health_path,
            secured: caller.secured,
            peer_ip: caller.peer_ip,
            digest: Arc::new(digest),
            streams: Mutex::default(),
        };
        Arc::new(connection).serve(stream, shutdown).await;
    }

    /// Whether the first bytes are HTTP/2's; as few are read as tell. None when the caller left, or
    /// was too slow.
    async fn begins_http2(&self, transport: &mut Transport, flight: &Flight) -> Option<bool> {
        let bounds = self.shared.snapshot.load().policy.bounds;
        flight.begin(&self.shared.flights, Phase::Idle, bounds.idle_timeout);
        let mut begun = false;
        loop {
            let come = transport.ahead.len().min(HTTP2_PREFACE.len());
            if transport.ahead.get(..come) != HTTP2_PREFACE.get(..come) {
                return Some(false);
            }
            if come == HTTP2_PREFACE.len() {
                return Some(true);
            }
            if !begun && come > 0 {
                begun = true;
                flight.begin(&self.shared.flights, Phase::Head, bounds.head_deadline);
            }
            if !matches!(fill(transport, flight).await, Filled::Bytes) {
                return None;
            }
        }
    }
}
