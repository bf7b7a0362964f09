//! L3, where Pingora lives: connections, requests, forwarding and answers.
//!
//! The edge moves bytes and keeps time; every decision is `request::decide`'s. No other layer knows
//! a Pingora type, but `server`, which starts this one.

mod admission;
pub mod answer;
pub mod arrival;
mod attempts;
pub mod connection;
pub mod ctx;
mod drain;
pub mod exchange;
pub mod fault;
pub mod flight;
pub mod flights;
pub mod habits;
pub mod headers;
pub mod health;
pub mod http2;
pub mod ids;
pub mod lane;
pub mod loops;
pub mod mcp;
pub mod pace;
pub mod peer;
pub mod profile;
pub mod proxy;
pub mod refused;
#[cfg(test)]
pub mod sabotage;
pub mod shape;
pub mod stop;
pub mod strangers;
pub mod tls;
pub mod tunnel;
pub mod turn;
pub mod untrusted;
pub mod upstreams;

use std::sync::Arc;

use prometheus::{IntCounter, IntCounterVec};

use crate::audit::AuditLog;
use crate::audit::digest::ArgsKey;
use crate::counters::Counters;
use crate::model::snapshot::Current;

use self::flights::Flights;
use self::loops::Brakes;
use self::mcp::Means;
use self::strangers::Strangers;
use self::tls::doors::Doors;
use self::upstreams::Upstreams;

/// What every connection and request shares.
#[derive(Debug)]
pub struct Shared {
    /// The running snapshot; a request loads it once.
    pub snapshot: Arc<Current>,
    pub audit: AuditLog,
    /// Marks the arguments of tools' calls in their records.
    pub args_key: ArgsKey,
    pub flights: Arc<Flights>,
    pub doors: Arc<Doors>,
    pub upstreams: Arc<Upstreams>,
    /// Where units of quotas are leased.
    pub counters: Counters,
    /// Callers without a valid credential, by source.
    pub strangers: Strangers,
    pub mcp: Means,
    /// Loop brakes that came on.
    pub brakes: Brakes,
    /// `onegate_refused_before_request_total`, by reason.
    pub refused_before_request: IntCounterVec,
    /// `onegate_denials_total` of requests that have no record to be counted by.
    pub unrecorded: IntCounter,
}
