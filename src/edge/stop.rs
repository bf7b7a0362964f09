//! Why an exchange ends other than by itself, what its caller is told, and how its record ends.

use crate::model::denial::{Denial, Failure, Reason, Refusal};
use crate::model::record::End;

/// Why a flight was told to end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Stop {
    Idle = 1,
    SlowHead = 2,
    /// It sends its body too slowly.
    SlowCaller = 3,
    SlowUpstream = 4,
    Deadline = 5,
    Revoked = 6,
    /// The gate stops: connections without a request close.
    Drain = 7,
    /// It reads its answer too slowly.
    SlowReader = 8,
    /// Neither side of an upgraded connection had anything to say.
    Quiet = 9,
    /// The gate stops, and waits no longer.
    Halt = 10,
    /// Of an inner request: its caller has left.
    Left = 11,
    /// Of an inner request: its result holds no more.
    Enough = 12,
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

/// What an end from outside comes to.
#[derive(Clone, Debug)]
pub struct Meaning {
    /// What the caller is told, if it is still waiting for an answer.
    pub fault: Fault,
    pub blame: Blame,
    pub end: End,
    /// For the record, also where an answer had begun.
    pub reason: Reason,
}

/// Whether an end from outside is a fault of somebody.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Blame {
    Someone,
    /// Nothing failed: nobody waits for the rest.
    Nobody,
}

impl Stop {
    /// Whether it is meant for connections between requests only.
    pub const fn spares_requests(self) -> bool {
        matches!(self, Self::Idle | Self::Drain)
    }

    pub fn meaning(self) -> Meaning {
        let denied = |denial, reason, end| {
            let fault = Fault::Denied(Refusal::new(denial, reason));
            Meaning { fault, blame: Blame::Someone, end, reason: Reason::fixed(reason) }
        };
        let failed = |failure, reason| {
            let fault = Fault::Failed(failure);
            let (blame, end) = (Blame::Someone, End::Deadline);
            Meaning { fault, blame, end, reason: Reason::fixed(reason) }
        };
        let unwanted = |reason, end| Meaning {
            fault: Fault::Failed(Failure::InternalError),
            blame: Blame::Nobody,
            end,
            reason: Reason::fixed(reason),
        };
        match self {
            Self::SlowHead | Self::Idle => {
                denied(Denial::RequestTimeout, "the head took too long", End::Complete)
            }
            Self::SlowCaller => {
                denied(Denial::RequestTimeout, "the caller sent too slowly", End::Deadline)
            }
            Self::SlowReader => {
                denied(Denial::RequestTimeout, "the caller read too slowly", End::Deadline)
            }
            Self::SlowUpstream => {
                failed(Failure::UpstreamTimeout, "the upstream was silent for too long")
            }
            Self::Quiet => failed(Failure::UpstreamTimeout, "both sides were silent for too long"),
            Self::Deadline => failed(Failure::Deadline, "the whole took longer than allowed"),
            Self::Drain | Self::Halt => failed(Failure::Deadline, "the gate stopped"),
            Self::Left => unwanted("the caller of the tool left", End::ClientAbort),
            Self::Enough => unwanted("the tool's result holds no more", End::Complete),
            // What withdrew it is known to the flight, which says it more exactly.
            Self::Revoked => {
                denied(Denial::CredentialInvalid, "permission was withdrawn", End::Revoked)
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
            8 => Self::SlowReader,
            9 => Self::Quiet,
            10 => Self::Halt,
            11 => Self::Left,
            12 => Self::Enough,
            _ => return None,
        })
    }
}
