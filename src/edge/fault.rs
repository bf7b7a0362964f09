//! Pingora's errors as the gate's faults and ends: the one place that reads error types.

use pingora::{Error, ErrorSource, ErrorType, RetryType};

use crate::model::denial::{Denial, Failure, Reason, Refusal};
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

/// Longest reason of a failure, in bytes.
const REASON_BYTES_MAX: usize = 300;

/// What went wrong, for the record: the kind, and what the system, OpenSSL or HTTP/2 said. Pingora's
/// own contexts may quote bytes of the upstream, so of those only the ones of connecting are told.
pub fn reason(error: &Error) -> Reason {
    let kind = error.root_etype();
    let root = error.root_cause();
    let said = if is_told_by_context(kind) || root.is::<Error>() {
        let context = innermost(error).context.as_ref().filter(|_| is_connecting(kind));
        context.map_or_else(String::new, |context| context.as_str().to_owned())
    } else {
        root.to_string()
    };
    let mut text = format!("{}: {said}", kind.as_str());
    text.truncate(text.floor_char_boundary(REASON_BYTES_MAX));
    Reason::told(text.trim_end_matches([':', ' ']).to_owned())
}

/// The first of a chain of Pingora's errors: the others only add to it.
fn innermost<'e>(error: &'e Error) -> &'e Error {
    let mut innermost = error;
    let cause_of = |error: &'e Error| error.cause.as_ref()?.downcast_ref::<Box<Error>>();
    while let Some(cause) = cause_of(innermost) {
        innermost = cause;
    }
    innermost
}

/// Whether the upstream's certificate was refused.
pub fn is_untrusted(error: &Error) -> bool {
    error.etype == ErrorType::InvalidCert && error.esource == ErrorSource::Upstream
}

/// Kinds whose cause only says where the gate connected from, or that time was up.
const fn is_told_by_context(kind: &ErrorType) -> bool {
    matches!(
        kind,
        ErrorType::ConnectTimedout
            | ErrorType::TLSHandshakeFailure
            | ErrorType::TLSHandshakeTimedout
            | ErrorType::InvalidCert
    )
}

/// Whether an HTTP/2 upstream said that it did nothing with the request (RFC 9113, 8.7): it refused
/// the stream, or it shuts down and the stream came too late. Any method may then be sent again.
pub fn was_not_processed(error: &Error) -> bool {
    error.etype == ErrorType::H2Error
        && error.esource == ErrorSource::Upstream
        && error.retry == RetryType::Decided(true)
}

/// Kinds of an upstream that was not reached. The last one is a socket that may not be opened.
fn is_connecting(kind: &ErrorType) -> bool {
    matches!(
        kind,
        ErrorType::ConnectTimedout
            | ErrorType::ConnectRefused
            | ErrorType::ConnectNoRoute
            | ErrorType::ConnectError
            | ErrorType::ConnectProxyFailure
            | ErrorType::BindError
            | ErrorType::SocketError
            | ErrorType::TLSHandshakeFailure
            | ErrorType::TLSHandshakeTimedout
            | ErrorType::InvalidCert
            | ErrorType::InternalError
    )
}

fn upstream(kind: &ErrorType) -> Failure {
    if is_connecting(kind) {
        return Failure::UpstreamUnreachable;
    }
    if matches!(kind, ErrorType::ReadTimedout | ErrorType::WriteTimedout) {
        return Failure::UpstreamTimeout;
    }
    Failure::UpstreamProtocol
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
