//! Why an exchange ends other than by itself, what its caller is told, and how its record ends.

use crate::model::denial::{Denial, Failure, Refusal};
use crate::model::record::End;

/// Why a flight was told to end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Stop {
    Idle = 1,
    SlowHead = 2,
    SlowCaller = 3,
    SlowUpstream = 4,
    Deadline = 5,
    Revoked = 6,
    Drain = 7,
}

/// How an exchange that did not end by itself is answered and recorded.
#[derive(Clone, Debug)]
pub enum Fault {
    Denied(Refusal),
    Failed(Failure),
}

impl Fault {
    pub const PANICKED: Self = Self::Failed(Failure::InternalError);

    pub const fn status(&self) -> u16 {
        match self {
            Self::Denied(refusal) => refusal.denial.row().status,
            Self::Failed(failure) => failure.row().status,
        }
    }
}

impl Stop {
    /// What the caller is told, if it is still waiting for an answer, and how the record ends.
    pub fn meaning(self) -> (Fault, End) {
        let denied = |denial, reason| Fault::Denied(Refusal::new(denial, reason));
        match self {
            Self::SlowHead | Self::Idle => {
                (denied(Denial::RequestTimeout, "the head took too long"), End::Complete)
            }
            Self::SlowCaller => {
                (denied(Denial::RequestTimeout, "the caller was too slow"), End::Deadline)
            }
            Self::SlowUpstream => (Fault::Failed(Failure::UpstreamTimeout), End::Deadline),
            Self::Deadline | Self::Drain => (Fault::Failed(Failure::Deadline), End::Deadline),
            Self::Revoked => {
                (denied(Denial::CredentialInvalid, "permission was withdrawn"), End::Revoked)
            }
        }
    }

    pub const fn from_u8(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Idle,
            2 => Self::SlowHead,
            3 => Self::SlowCaller,
            4 => Self::SlowUpstream,
            5 => Self::Deadline,
            6 => Self::Revoked,
            7 => Self::Drain,
            _ => return None,
        })
    }
}
