//! What one request carries through Pingora's hooks, and the guard of its record.
//!
//! The context observes: apart from [`Stage`], which is a token, no decision reads it. However the
//! request ends, its record is completed once, in `logging` or in `Drop`; dropping only sends.

mod record;

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderValue, Method};
use tokio::sync::oneshot::Receiver;

use crate::audit::{NotDurable, Slot};
use crate::clock;
use crate::model::api::{Api, Durability};
use crate::model::denial::{Denial, Failure, Reason, Refusal};
use crate::model::id::RequestId;
use crate::model::plan::Mode;
use crate::model::policy::Scheme;
use crate::model::record::{AccessDetail, End, McpDetail, Surface};
use crate::model::snapshot::Snapshot;
use crate::model::time::Now;
use crate::request::Seen;
use crate::request::endpoint::Entered;
use crate::request::identify::{Known, Proven};
use crate::request::limit::Admitted;
use crate::request::target::Target;

use super::Shared;
use super::answer::stop_pipeline;
use super::attempts::{self, Forward};
use super::flight::Flight;
use super::flights::InFlight;
use super::headers::fields::Fields;
use super::ids::Trace;
use super::loops;
use super::shape::dress::Dress;
use super::shape::encoder::Encoder;
use super::stop::{Blame, Fault, Meaning};
use super::tunnel::Tunnel;

/// One request, from its head to its record. Three words, because Pingora's future holds it by
/// value several times and is copied whole.
#[derive(Debug)]
pub struct Ctx {
    pub shared: Arc<Shared>,
    pub flight: Arc<Flight>,
    /// None until the head has been seen; then there will be a record.
    pub request: Option<Box<Request>>,
}

/// How far the request has come. Only `Admitted` can be forwarded.
#[derive(Debug)]
pub enum Stage {
    Fresh,
    Admitted(Admitted),
    /// A browser's preflight, which the api's `cors` answers.
    Preflight(Arc<Api>),
    /// A message to the MCP endpoint, still to be read.
    Entered(Entered),
    /// Refused: the fault is the answer.
    Refused,
}

/// Whether a call that has no record is among those that are counted instead.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tally {
    NotYet,
    Counted,
}

/// What is known of a request whose head has been seen.
#[derive(Debug)]
pub struct Request {
    pub id: RequestId,
    pub started: Now,
    pub snapshot: Arc<Snapshot>,
    /// What [`Current::changes`](crate::model::snapshot::Current::changes) said before.
    pub changes: u64,
    pub trace: Trace,
    /// None of a head that was refused before it had one.
    pub method: Option<Method>,
    pub host: Arc<str>,
    pub fields: Fields,
    /// `Host` as it was written.
    pub host_value: Option<HeaderValue>,
    pub scheme: Scheme,
    pub is_http2: bool,
    /// None when the target had no canonical form.
    pub target: Option<Target>,
    pub peer_ip: Option<IpAddr>,
    pub source_ip: Option<IpAddr>,
    pub parent_request_id: Option<Box<str>>,
    /// None unless there is an access log.
    pub access: Option<AccessDetail>,
    /// How the call arrived.
    pub surface: Surface,
    /// None on other surfaces.
    pub mcp: Option<Box<McpDetail>>,
    /// Of an inner request: the credential of the message that it is made for.
    pub proven: Option<Proven>,
    pub stage: Stage,
    pub seen: Seen,
    pub forward: Forward,
    /// Fields that every answer of the api carries; none where it asks for none.
    pub dress: Option<Dress>,
    /// Of a response that is compressed.
    pub encoder: Option<Box<Encoder>>,
    /// What went wrong, whoever noticed it first.
    pub fault: Option<Fault>,
    /// More exact than the fault, for the record.
    pub reason: Option<Reason>,
    /// The status that was sent; 0 until then.
    pub status: u16,
    pub request_bytes: u64,
    pub response_bytes: u64,
    /// The promise of room for the record; none when the audit could not give one.
    pub slot: Option<Slot>,
    pub tally: Tally,
    /// The loop brake that came on by this call.
    pub braked: Option<Mode>,
    /// The answer's last byte has passed.
    pub answered_whole: bool,
    /// The caller waits for `100 Continue` before it sends its body.
    pub expects_continue: bool,
    /// What was said over the connection since both sides left HTTP.
    pub tunnel: Option<Box<Tunnel>>,
    pub in_flight: Option<InFlight>,
}

/// Up to this size allocators have the short way.
const _: () = assert!(size_of::<Request>() <= 1024);

impl Request {
    /// Remembers what went wrong. The first fault stays: it is the cause.
    pub fn fail(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    /// Remembers what went wrong, and gives the error that stops Pingora.
    pub fn stop_with(&mut self, fault: Fault) -> Box<pingora::Error> {
        let stop = stop_pipeline(&fault);
        self.fail(fault);
        stop
    }

    /// The same for a call that what runs now refuses, though what it saw before did not.
    pub fn stop_under(
        &mut self,
        (refusal, running): (Refusal, Arc<Snapshot>),
    ) -> Box<pingora::Error> {
        self.snapshot = running;
        self.stop_with(Fault::Denied(refusal))
    }

    /// The same for an upstream that breaks its protocol.
    pub fn stop(&mut self, why: &'static str) -> Box<pingora::Error> {
        self.reason = Some(Reason::fixed(why));
        self.stop_with(Fault::Failed(Failure::UpstreamProtocol))
    }

    /// Who was admitted.
    pub fn known(&self) -> Option<&Known> {
        match &self.stage {
            Stage::Admitted(admitted) => admitted.known(),
            Stage::Fresh | Stage::Preflight(_) | Stage::Entered(_) | Stage::Refused => None,
        }
    }

    /// Of the body that may be forwarded.
    pub fn body_bytes_max(&self) -> u64 {
        match &self.stage {
            Stage::Admitted(admitted) => admitted.operation().body_bytes_max,
            Stage::Fresh | Stage::Preflight(_) | Stage::Entered(_) | Stage::Refused => 0,
        }
    }

    /// Whether it is a message that was let in, still to be read.
    pub const fn is_message(&self) -> bool {
        matches!(self.stage, Stage::Entered(_))
    }

    /// Whether its record must be durable before the upstream is called.
    pub fn writes_ahead(&self) -> bool {
        match &self.stage {
            Stage::Admitted(admitted) => admitted.operation().durability == Durability::WriteAhead,
            Stage::Fresh | Stage::Preflight(_) | Stage::Entered(_) | Stage::Refused => false,
        }
    }

    /// To be called before an answer goes out, with its status known: from then on killing the gate does
    /// not lose the record, or the count of those that have none.
    pub fn answer_begins(&mut self, shared: &Shared) {
        loops::answers(shared, self);
        if let Some(mut slot) = self.slot.take() {
            slot.answer(|out| self.write_opening(out));
            self.slot = Some(slot);
        } else {
            self.count_unrecorded(shared);
        }
    }

    /// To be called before a caller is told that the call is under way.
    pub fn note(&mut self) {
        if let Some(mut slot) = self.slot.take() {
            slot.note(|out| self.write_opening(out));
            self.slot = Some(slot);
        }
    }

    /// Counts it once.
    fn count_unrecorded(&mut self, shared: &Shared) {
        if std::mem::replace(&mut self.tally, Tally::Counted) == Tally::Counted {
            return;
        }
        let Some(Fault::Denied(refusal)) = &self.fault else { return shared.audit.unrecorded() };
        shared.audit.refused();
        if refusal.denial == Denial::AuditUnavailable {
            shared.unrecorded.inc();
        }
    }

    /// Has the record written before the upstream is called.
    pub fn write_ahead(&mut self) -> Option<Receiver<Result<(), NotDurable>>> {
        let mut slot = self.slot.take()?;
        let told = slot.write_ahead(|out| self.write_opening(out));
        self.slot = Some(slot);
        Some(told)
    }
}

impl Ctx {
    pub fn new(shared: Arc<Shared>, flight: Arc<Flight>) -> Self {
        Self { shared, flight, request: None }
    }

    /// Completes the record. Later calls find nothing left to complete.
    pub fn finish(&mut self, end: End) {
        let Some(mut request) = self.request.take() else { return };
        loops::ends(&self.shared, &mut request);
        match request.slot.take() {
            Some(slot) => slot.complete(request.into_record(end, clock::mono())),
            None => request.count_unrecorded(&self.shared),
        }
    }
}

/// The request ended without `logging`: it panicked, was told to end, or its task was dropped.
impl Drop for Ctx {
    fn drop(&mut self) {
        let Some(request) = &mut self.request else { return };
        attempts::stopped(&self.shared, &mut request.forward, &self.flight);
        let ending = if std::thread::panicking() {
            let reason = Reason::fixed("the gate panicked");
            Meaning { fault: Fault::PANICKED, blame: Blame::Someone, end: End::Panic, reason }
        } else if let Some(ending) = self.flight.ending() {
            ending
        } else {
            let reason = Reason::fixed("the exchange was dropped");
            let fault = Fault::Failed(Failure::InternalError);
            Meaning { fault, blame: Blame::Someone, end: End::ClientAbort, reason }
        };
        let answered = self.flight.was_answered();
        request.reason.get_or_insert(ending.reason);
        if !answered && ending.blame == Blame::Someone {
            // The connection gives this answer after the exchange is gone.
            request.status = ending.fault.status();
        }
        match ending.fault {
            // The decision stands: it was allowed, and the answer had begun. How it ended says why.
            Fault::Denied(_) if answered => {}
            // Nothing failed: a connection that both sides had left quiet is closed.
            Fault::Failed(_) if request.tunnel.is_some() => {}
            Fault::Failed(_) if ending.blame == Blame::Nobody => {}
            fault @ (Fault::Denied(_) | Fault::Failed(_)) => request.fail(fault),
        }
        self.finish(ending.end);
        self.flight.end_call(&self.shared.flights);
    }
}
