//! Why a gate does not start, or does not end well: one sentence each, with what to do.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use crate::admin::AdminError;
use crate::audit::{AuditError, Unwritten};
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
    Audit(AuditError),
    Admin(AdminError),
    Thread(io::Error),
    /// The gate has stopped, and records could not be written.
    Unwritten(Unwritten),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listener(bind) => write!(
                f,
                "listener {}: cannot listen on {}: {}",
                bind.listener, bind.address, bind.error
            ),
            Self::Tls(error) => write!(f, "the certificates cannot be used: {error}"),
            Self::Metrics { address, error } => {
                write!(f, "[metrics]: cannot listen on {address}: {error}")
            }
            Self::Series(error) => write!(f, "cannot make the metrics: {error}"),
            Self::Store(error) | Self::Inventory(error) => write!(f, "{error}. {}", error.fix()),
            Self::Audit(error) => error.fmt(f),
            Self::Admin(error) => error.fmt(f),
            Self::Thread(error) => write!(f, "the system refuses a thread or a socket: {error}"),
            Self::Unwritten(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}
