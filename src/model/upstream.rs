//! Upstreams as config names them. Addresses that names resolve to live in `edge::upstreams`.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::balance::{Balance, Ejection, HealthCheck, RetryBudget};
use super::id::UpstreamName;
use super::trust::{Certificates, Identity};

/// A service behind the gate: one or more endpoints that serve the same.
#[derive(Debug, Eq, PartialEq)]
pub struct Upstream {
    pub name: UpstreamName,
    pub endpoints: Box<[Endpoint]>,
    pub timeouts: Timeouts,
    /// Attempts after the first, each at the next endpoint, and only while nothing was sent or the
    /// method is idempotent.
    pub retries: u8,
    pub retry_budget: RetryBudget,
    /// Idle connections kept are closed after this time; below the upstream's own keep-alive.
    pub keepalive: Duration,
    pub transport: Transport,
    pub balance: Balance,
    /// Most requests in the air at one endpoint, and so most connections; None: no bound of its own.
    pub connections_max: Option<u32>,
    pub check: Option<HealthCheck>,
    pub ejection: Ejection,
    /// When fewer of the endpoints than this are well, in percent, all get requests: those that
    /// are would not bear it alone. 0 for never.
    pub panic_threshold: u8,
}

/// One place to connect to, or several when its name has several addresses; each gets `weight` out
/// of every sum of weights.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Endpoint {
    pub location: Location,
    pub weight: u16,
}

/// Where an endpoint is, as config says it.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Location {
    Host {
        /// A DNS name, an IPv4 or an IPv6 address (without brackets).
        name: Box<str>,
        port: u16,
    },
    /// The path of a unix socket.
    Unix(Arc<str>),
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host { name, port } if name.contains(':') => write!(f, "[{name}]:{port}"),
            Self::Host { name, port } => write!(f, "{name}:{port}"),
            Self::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}

/// Where one connection goes: what a location was resolved to.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum Address {
    Inet(SocketAddr),
    Unix(Arc<str>),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inet(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{path}"),
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timeouts {
    /// To connect, the TLS handshake included.
    pub connect: Duration,
    /// From the request's last byte to the response head.
    pub first_byte: Duration,
    /// Between two pieces of the response body.
    pub idle: Duration,
    /// From the request's head to the response's last byte.
    pub total: Duration,
}

/// How an upstream is spoken to, whichever endpoint it is.
#[derive(Debug, Eq, PartialEq)]
pub struct Transport {
    pub protocol: Protocol,
    /// None: in plain.
    pub tls: Option<Tls>,
}

/// What the gate speaks, and nothing else: there is no falling back.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Protocol {
    Http1,
    Http2(Http2),
}

/// Bounds on one HTTP/2 connection to an upstream.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Http2 {
    /// Requests at once.
    pub streams_max: u16,
    /// How much of a response may be on its way, or wait for a slow caller.
    pub stream_window_bytes: u32,
}

/// TLS to an upstream. Its certificate is always verified, and so is the name in it.
#[derive(Debug, Eq, PartialEq)]
pub struct Tls {
    /// The name that is asked for and must be in the certificate. None: each endpoint's own.
    pub sni: Option<Box<str>>,
    /// Who may have signed the upstream's certificate; nobody else is trusted.
    pub roots: Certificates,
    /// What the gate shows when the upstream asks who it is.
    pub identity: Option<Identity>,
}
