//! Upstreams as config names them. Addresses that names resolve to live in `edge::upstreams`.

use std::time::Duration;

use super::balance::{Balance, Ejection, HealthCheck, RetryBudget};
use super::id::UpstreamName;

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
    /// A DNS name, an IPv4 or an IPv6 address (without brackets).
    pub host: Box<str>,
    pub port: u16,
    pub weight: u16,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timeouts {
    pub connect: Duration,
    /// From the request's last byte to the response head.
    pub first_byte: Duration,
    /// Between two pieces of the response body.
    pub idle: Duration,
    /// From the request's head to the response's last byte.
    pub total: Duration,
}
