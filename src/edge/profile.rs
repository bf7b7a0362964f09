//! How the connections of one upstream are made: protocol, TLS, and the key under which Pingora
//! shares them. What is the same for every request is made once for each config.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Version, header};
use pingora::Result;
use pingora::http::RequestHeader;
use pingora::protocols::{ALPN, TcpKeepalive};
use pingora::upstreams::peer::{HttpPeer, PeerOptions};
use pingora::utils::tls::CertKey;

use crate::model::denial::Failure;
use crate::model::upstream::{Address, Http2, Location, Protocol, Tls, Upstream};

use super::ctx::{Request, Stage};
use super::upstreams::instance::Instance;

/// What all connections to one upstream have in common, made once for each config.
#[derive(Debug)]
pub struct Profile {
    /// Connections are shared under one key only.
    key: u64,
    /// None: plain HTTP/1.1, which needs nothing more.
    special: Option<Box<Special>>,
}

#[derive(Debug)]
struct Special {
    options: PeerOptions,
    tls: Option<Secured>,
}

#[derive(Debug)]
struct Secured {
    /// The name to ask for and to verify. None: each endpoint's own.
    name: Option<Box<str>>,
    identity: Option<Arc<CertKey>>,
}

/// Whether the upstream of an admitted request may switch to another protocol: HTTP/2 cannot.
pub fn can_switch(request: &Request) -> bool {
    let Stage::Admitted(admitted) = &request.stage else { return false };
    let upstreams = &request.snapshot.policy.upstreams;
    let upstream = admitted.api().upstream.as_ref().and_then(|name| upstreams.get(name));
    upstream.is_some_and(|upstream| upstream.transport.protocol == Protocol::Http1)
}

/// The last touch to a head, by the protocol that it will be sent in; false when that is not the one
/// that was asked for.
pub fn suit(head: &mut RequestHeader, caller: &RequestHeader, to: &Upstream) -> Result<bool> {
    let is_http2 = head.version == Version::HTTP_2;
    if is_http2 {
        // RFC 9113, 8.2.2: the one thing that `TE` may say. gRPC servers want to hear it, and
        // Pingora takes it out with the fields of HTTP/1 connections.
        let wants_trailers = caller.headers.get(header::TE).is_some_and(|te| te == "trailers");
        if wants_trailers && caller.version == Version::HTTP_2 {
            head.insert_header(header::TE, HeaderValue::from_static("trailers"))?;
        }
    } else if to.keepalive.is_zero() && !head.headers.contains_key(header::UPGRADE) {
        // Pingora takes an idle time of zero for a short one.
        head.insert_header(header::CONNECTION, "close")?;
    }
    Ok(is_http2 == matches!(to.transport.protocol, Protocol::Http2(_)))
}

fn plain(address: &Address, tls: bool, name: String) -> Result<Box<HttpPeer>, Failure> {
    match address {
        Address::Inet(address) => Ok(Box::new(HttpPeer::new(address, tls, name))),
        // The loader has looked at the path.
        Address::Unix(path) => {
            HttpPeer::new_uds(path, tls, name).map(Box::new).map_err(|_| Failure::InternalError)
        }
    }
}

impl Profile {
    pub fn new(upstream: &Upstream) -> Self {
        let transport = &upstream.transport;
        let special = match (transport.protocol, &transport.tls) {
            (Protocol::Http1, None) => None,
            (protocol, tls) => Some(Box::new(Special {
                options: options(protocol, tls.as_ref()),
                tls: tls.as_ref().map(Secured::new),
            })),
        };
        Self { key: key(upstream), special }
    }

    /// A peer at an instance, without bounds on time. In a box from the start: it is large, and
    /// moving it costs more than making it.
    pub fn peer(&self, instance: &Instance) -> Result<Box<HttpPeer>, Failure> {
        let mut peer = match &self.special {
            None => plain(&instance.address, false, String::new())?,
            Some(special) => special.peer(instance)?,
        };
        peer.group_key = self.key;
        Ok(peer)
    }
}

/// What Pingora leaves out of its own key: the trusted roots, what the gate shows, the protocol. So
/// a connection made under one profile never serves another, nor one before a rotation.
fn key(upstream: &Upstream) -> u64 {
    let mut hash = DefaultHasher::new();
    upstream.name.as_str().hash(&mut hash);
    upstream.transport.protocol.hash(&mut hash);
    if let Some(tls) = &upstream.transport.tls {
        tls.sni.hash(&mut hash);
        tls.roots.digest().hash(&mut hash);
        tls.identity.as_ref().map(|identity| identity.chain.digest()).hash(&mut hash);
    }
    hash.finish()
}

fn options(protocol: Protocol, tls: Option<&Tls>) -> PeerOptions {
    let mut options = PeerOptions::new();
    if let Protocol::Http2(Http2 { streams_max, stream_window_bytes }) = protocol {
        // Least and most: Pingora then neither offers HTTP/1.1 nor falls back to it.
        options.alpn = ALPN::H2;
        options.max_h2_streams = usize::from(streams_max);
        options.h2_stream_window_size = Some(stream_window_bytes);
        // Room for every stream, so that one caller that does not read holds up no other.
        let all = stream_window_bytes.saturating_mul(u32::from(streams_max));
        options.h2_connection_window_size = Some(all.min(WINDOW_BYTES_MAX));
        // A path that died in silence must not swallow request after request: no request's
        // deadline closes a connection that others share. HTTP/2 pings would do too, but gRPC
        // servers end connections for them.
        options.tcp_keepalive = Some(TcpKeepalive {
            idle: PROBE_AFTER,
            interval: Duration::from_secs(10),
            count: 3,
            user_timeout: PROBE_AFTER,
        });
    }
    options.ca = tls.map(|tls| Arc::clone(tls.roots.list()));
    options
}

/// Largest window of HTTP/2 (RFC 9113, 6.9.1).
const WINDOW_BYTES_MAX: u32 = (1 << 31) - 1;

/// How long nothing may be heard of a peer before it is asked, and how long it may leave what was
/// sent unanswered.
const PROBE_AFTER: Duration = Duration::from_secs(30);

impl Secured {
    fn new(tls: &Tls) -> Self {
        let identity = tls.identity.as_ref().map(|identity| {
            let chain = identity.chain.list().to_vec();
            Arc::new(CertKey::new(chain, identity.key.clone()))
        });
        Self { name: tls.sni.clone(), identity }
    }

    /// Pingora verifies nothing when the name is empty. The loader sees to it that none is; this is
    /// why it may not be otherwise.
    fn name_for(&self, location: &Location) -> Result<String, Failure> {
        let name = match (&self.name, location) {
            (Some(name), _) => name,
            (None, Location::Host { name, .. }) => name.trim_end_matches('.'),
            (None, Location::Unix(_)) => "",
        };
        if name.is_empty() { Err(Failure::InternalError) } else { Ok(name.to_owned()) }
    }
}

impl Special {
    fn peer(&self, instance: &Instance) -> Result<Box<HttpPeer>, Failure> {
        let mut peer = match &self.tls {
            None => plain(&instance.address, false, String::new())?,
            Some(tls) => {
                let name = tls.name_for(&instance.location)?;
                let mut peer = plain(&instance.address, true, name)?;
                peer.client_cert_key.clone_from(&tls.identity);
                peer
            }
        };
        peer.options = self.options.clone();
        Ok(peer)
    }
}
