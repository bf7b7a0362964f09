//! Whether a replay comes to what the record says, and what of a record cannot be replayed at all.

use crate::model::denial::Denial;
use crate::model::id::ProductName;

use super::{Asked, Outcome, Recorded, Replayed};

/// What a replay says of its record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    Agrees,
    /// It was authorised, and then a limit refused it, which is not recomputed.
    AgreesBeforeLimits,
    Differs,
    /// It depends on this.
    NotReplayed(&'static str),
}

/// Holds a replay against its record. Reasons are not compared: another onegate may word them
/// differently.
pub fn compare(call: &Recorded<'_>, replayed: &Replayed) -> Verdict {
    let found = |agrees: bool, verdict| if agrees { verdict } else { Verdict::Differs };
    let Outcome::Denied(denial) = call.outcome else {
        return match (call.outcome, replayed) {
            (_, Replayed::Stuck(what)) => Verdict::NotReplayed(what),
            (Outcome::Unknown, _) => Verdict::NotReplayed("a word that this onegate does not know"),
            (Outcome::Broken, _) => Verdict::NotReplayed("how far the call had come when it ended"),
            _ => found(is_permitted(call, replayed), Verdict::Agrees),
        };
    };
    match basis(denial) {
        Basis::Policy => match replayed {
            Replayed::Stuck(what) => Verdict::NotReplayed(what),
            // Also refused for the name that the connection was made for.
            Replayed::Permitted { .. } if denial == Denial::Misdirected => {
                Verdict::NotReplayed("the name on the connection's certificate")
            }
            // The gate's own calls are taken away by a rate alone, and there is none.
            Replayed::Own if denial == Denial::Quarantined => Verdict::Differs,
            // Refused for what the message said: another tool, another origin.
            Replayed::Own => Verdict::NotReplayed("the message and its header fields"),
            Replayed::Permitted { .. } => Verdict::Differs,
            Replayed::Refused(refusal) => found(refusal.denial == denial, Verdict::Agrees),
        },
        Basis::Limits => match replayed {
            Replayed::Stuck(what) => Verdict::NotReplayed(what),
            Replayed::Permitted { .. } | Replayed::Own | Replayed::Refused(_) => {
                found(is_permitted(call, replayed), Verdict::AgreesBeforeLimits)
            }
        },
        Basis::Other(what) => Verdict::NotReplayed(what_of(call, denial, what)),
    }
}

/// What a denial comes from, where that is neither config and inventory nor a limit.
pub const fn beyond_replay(call: &Recorded<'_>) -> Option<&'static str> {
    match call.outcome {
        Outcome::Denied(denial) => match basis(denial) {
            Basis::Other(what) => Some(what_of(call, denial, what)),
            Basis::Policy | Basis::Limits => None,
        },
        Outcome::Allowed | Outcome::Withdrawn | Outcome::Broken | Outcome::Unknown => None,
    }
}

fn is_permitted(call: &Recorded<'_>, replayed: &Replayed) -> bool {
    let (api, operation, product) = match replayed {
        Replayed::Permitted { api, operation, product } => (api, operation, product),
        Replayed::Own => return call.asked == Asked::Gate && call.product.is_none(),
        Replayed::Refused(_) | Replayed::Stuck(_) => return false,
    };
    call.api == Some(api.name.as_str())
        && call.operation == Some(operation.id.as_str())
        && call.product == product.as_ref().map(ProductName::as_str)
}

/// Of a message more than its head may have been wrong.
const fn what_of(call: &Recorded<'_>, denial: Denial, what: &'static str) -> &'static str {
    match (call.asked, denial) {
        (Asked::Gate, Denial::MalformedRequest) => "the bytes of the message",
        _ => what,
    }
}

/// What a denial comes from.
enum Basis {
    /// Config and inventory alone, for all that a record holds.
    Policy,
    Limits,
    /// What no record holds.
    Other(&'static str),
}

const fn basis(denial: Denial) -> Basis {
    match denial {
        Denial::Misdirected
        | Denial::NotFound
        | Denial::MethodNotAllowed
        | Denial::CredentialInvalid
        | Denial::ClientSuspended
        | Denial::AddressNotAllowed
        | Denial::PolicyRefused
        | Denial::NotGranted
        | Denial::InsufficientScope
        | Denial::Quarantined => Basis::Policy,
        Denial::RateLimited | Denial::QuotaExhausted | Denial::ConcurrencyLimited => Basis::Limits,
        Denial::MalformedRequest | Denial::UriTooLong | Denial::HeadTooLarge => {
            Basis::Other("the bytes of the request's head")
        }
        Denial::BodyTooLarge => Basis::Other("the length of the body"),
        Denial::RequestTimeout => Basis::Other("how fast the caller sent and read"),
        Denial::CredentialMissing | Denial::CredentialConflict => {
            Basis::Other("what was sent as a credential, if anything")
        }
        Denial::RepeatedCall => Basis::Other("how often such calls had failed before"),
        Denial::TooManyUnauthenticated => {
            Basis::Other("how many calls without a valid credential its source had made")
        }
        Denial::AuditUnavailable => Basis::Other("how the audit log fared"),
        Denial::Overloaded => Basis::Other("how much the gate and the upstream had to do"),
    }
}
