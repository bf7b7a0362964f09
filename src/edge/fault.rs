//! Pingora's errors as the gate's faults and ends: the one place that reads error types.

use pingora::{Error, ErrorSource, ErrorType};

use crate::model::denial::{Denial, Failure, Refusal};
use crate::model::record::End;

use super::stop::Fault;

/// What the caller is told; None when the error is that the caller is gone.
pub fn of(error: &Error) -> Option<Fault> {
    match error.esource() {
        ErrorSource::Upstream => Some(Fault::Failed(upstream(error.etype()))),
        ErrorSource::Downstream => downstream(error.etype()),
        ErrorSource::Internal | ErrorSource::Unset => Some(Fault::Failed(Failure::InternalError)),
    }
}

/// How the exchange ended on the wire. An answer that was given whole is complete, whatever it
/// says.
pub fn end_of(error: &Error) -> End {
    match error.esource() {
        ErrorSource::Downstream if downstream(error.etype()).is_none() => End::ClientAbort,
        ErrorSource::Upstream => End::UpstreamError,
        ErrorSource::Downstream | ErrorSource::Internal | ErrorSource::Unset => End::Complete,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "Pingora's errors are open: the rest is one")]
fn upstream(kind: &ErrorType) -> Failure {
    match kind {
        ErrorType::ConnectTimedout
        | ErrorType::ConnectRefused
        | ErrorType::ConnectNoRoute
        | ErrorType::ConnectError
        | ErrorType::ConnectProxyFailure
        | ErrorType::BindError
        | ErrorType::SocketError
        | ErrorType::TLSHandshakeFailure
        | ErrorType::TLSHandshakeTimedout => Failure::UpstreamUnreachable,
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => Failure::UpstreamTimeout,
        _ => Failure::UpstreamProtocol,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "Pingora's errors are open: the rest is one")]
fn downstream(kind: &ErrorType) -> Option<Fault> {
    let denied = |denial, reason| Some(Fault::Denied(Refusal::new(denial, reason)));
    match kind {
        ErrorType::ReadError
        | ErrorType::WriteError
        | ErrorType::WriteTimedout
        | ErrorType::ConnectionClosed => None,
        ErrorType::ReadTimedout => denied(Denial::RequestTimeout, "the body came too slowly"),
        _ => denied(Denial::MalformedRequest, "the body breaks its framing"),
    }
}
