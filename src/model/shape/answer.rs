//! Operations that the gate answers itself, without a call of an upstream. They are decided on,
//! limited and recorded like all others.

use std::fmt;

use bytes::Bytes;
use http::HeaderValue;

use super::location::Location;

/// What an operation without an upstream answers.
#[derive(Debug)]
pub enum Answered {
    Redirect { status: u16, location: Location },
    Fixed { status: u16, content_type: Option<HeaderValue>, body: Bytes },
}

/// As `onegate explain` tells it.
impl fmt::Display for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redirect { status, location } => write!(f, "redirect {status} to {location}"),
            Self::Fixed { status, body, .. } => {
                write!(f, "fixed response {status} of {} bytes", body.len())
            }
        }
    }
}
