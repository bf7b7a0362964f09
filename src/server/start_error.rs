//! Why a gate does not start, or does not end well: one sentence each, with what to do.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use crate::admin::AdminError;
use crate::audit::digest::ArgsKeyError;
use crate::audit::{AuditError, Unwritten};
use crate::counters::CountersError;
use crate::edge::tls::TlsError;
use crate::inventory::error::StoreError;

use super::listen::BindError;

#[derive(Debug)]
pub enum StartError {
    Listener(BindError),
    Tls(TlsError),
    Metrics {
        address: SocketAddr,
        error: io::Error,
    },
    Series(prometheus::Error),
    Store(StoreError),
    Inventory(StoreError),
    Counters(CountersError),
    Audit(AuditError),
    Digest(ArgsKeyError),
    Admin(AdminError),
    AccessLog(io::Error),
    Thread(io::Error),
    /// The gate has stopped, and records could not be written.
    Unwritten(Unwritten),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listener(bind) => write!(
                f,
                "listener {}: cannot listen on {}: {}{}",
                bind.listener,
                bind.address,
                bind.error,
                fix(bind.error.kind())
            ),
            Self::Tls(error) => write!(f, "the certificates cannot be used: {error}"),
            Self::Metrics { address, error } => {
                write!(f, "[metrics]: cannot listen on {address}: {error}{}", fix(error.kind()))
            }
            Self::Series(error) => write!(f, "cannot make the metrics: {error}"),
            Self::Store(error) | Self::Inventory(error) => write!(f, "{error}. {}", error.fix()),
            Self::Counters(error) => error.fmt(f),
            Self::Audit(error) => error.fmt(f),
            Self::Digest(error) => error.fmt(f),
            Self::Admin(error) => error.fmt(f),
            Self::AccessLog(error) => write!(f, "[access_log]: cannot write to {error}"),
            Self::Thread(error) => write!(f, "the system refuses a thread or a socket: {error}"),
            Self::Unwritten(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}

/// What to do about an address that cannot be had.
fn fix(kind: io::ErrorKind) -> &'static str {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the system's errors are open")]
    match kind {
        io::ErrorKind::AddrInUse => {
            ". Another process listens there: `ss -ltnp` shows which. Stop it, or choose another port"
        }
        io::ErrorKind::PermissionDenied => {
            ". Ports below 1024 need CAP_NET_BIND_SERVICE, as conf/onegate.service gives it"
        }
        io::ErrorKind::AddrNotAvailable => ". This machine does not have the address",
        _ => "",
    }
}
