//! How requests are spread over the endpoints of an upstream, and when one is left out, as config
//! says it. Who gets the next request is `edge::upstreams`'s to find out.

use std::ops::RangeInclusive;
use std::time::Duration;

use http::HeaderName;

/// Who gets the next request, among endpoints that may have it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Balance {
    /// Each in turn, as often as its weight.
    RoundRobin,
    /// The one with the fewest requests in the air for its weight.
    LeastRequests,
    /// The less busy of two that chance names.
    TwoChoices,
    /// The same one for the same key, for as long as it may have requests. A request without the
    /// key goes in turn.
    Hash(HashBy),
}

/// What of a request is its key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum HashBy {
    /// The client's id; callers that proved none have no key.
    Client,
    SourceIp,
    /// The canonical path, without the query.
    Path,
    /// The first value of a header field.
    Header(HeaderName),
}

/// How endpoints are asked whether they are well, again and again.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HealthCheck {
    pub kind: CheckKind,
    /// Between two checks of one endpoint.
    pub interval: Duration,
    /// A check that takes longer has failed.
    pub timeout: Duration,
    /// Checks in a row that must pass before an unhealthy endpoint gets requests again.
    pub healthy_after: u16,
    /// Checks in a row that must fail before a healthy one gets no more.
    pub unhealthy_after: u16,
}

/// What a check asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum CheckKind {
    /// A connection can be made.
    Tcp,
    /// A GET is answered with a status of `expect`.
    Http {
        path: Box<str>,
        /// None: the endpoint's own host and port.
        host: Option<Box<str>>,
        expect: RangeInclusive<u16>,
    },
}

/// When an endpoint is left out because of what requests saw of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Ejection {
    /// Failures in a row; 0 never ejects.
    pub failures: u16,
    /// How long the first ejection lasts. Each that follows soon lasts twice as long.
    pub first: Duration,
    /// How long an ejection lasts at most. One that stayed in for as long begins anew.
    pub longest: Duration,
    /// Most of the endpoints that may be out at once, in percent.
    pub share_max: u8,
}

/// How many requests may be in the air a second time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RetryBudget {
    /// Of the upstream's live requests.
    pub percent: u8,
    /// Beyond that share.
    pub at_least: u16,
}
