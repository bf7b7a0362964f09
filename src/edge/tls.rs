//! TLS towards callers: which certificate a connection gets, and what is then known of it.
//!
//! The settings are here and nowhere else; what may be chosen is in the config. No file is read
//! here: certificates come loaded, and are replaced whole.

pub mod acceptor;
pub mod doors;

use std::fmt;

use openssl::error::ErrorStack;

use crate::model::certificate::Conflict;

/// Why certificates cannot be put to use, although each is good.
#[derive(Debug)]
pub enum TlsError {
    NoCertificate,
    Conflict(Conflict),
    Library(ErrorStack),
}

impl From<ErrorStack> for TlsError {
    fn from(error: ErrorStack) -> Self {
        Self::Library(error)
    }
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCertificate => f.write_str("there is no certificate"),
            Self::Conflict(conflict) => {
                write!(f, "\"{}\" would have two certificates of one kind", conflict.name)
            }
            Self::Library(error) => write!(f, "the TLS library refused them: {error}"),
        }
    }
}

impl std::error::Error for TlsError {}
