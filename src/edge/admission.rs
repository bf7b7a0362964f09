//! From a request to its verdict: what must hold before it is judged, `request::decide`, and what a
//! decision needs and may not do itself: units of quotas from the ledger, the shield against
//! strangers.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Version};
use pingora::proxy::Session;

use crate::clock;
use crate::model::denial::{Denial, Refusal};
use crate::model::meter::Wanted;
use crate::model::policy::OnFailure;
use crate::model::record::{Caller, Surface};
use crate::model::snapshot::Snapshot;
use crate::model::time::Now;
use crate::request::identify::Presented;
use crate::request::limit::Admitted;
use crate::request::{self, Ask, Unadmitted, endpoint, policy};

use super::Shared;
use super::answer::Answer;
use super::ctx::{Ctx, Request, Stage};
use super::flight::Phase;
use super::headers::Judged;
#[cfg(test)]
use super::sabotage;
use super::stop::Fault;

/// Why there is no verdict but this, or none yet.
enum Held {
    Fault(Fault),
    Awaits(Box<Wanted>),
}

/// Decides; awaits the ledger where a quota has no unit at hand.
pub async fn decide(session: &mut Session, ctx: &mut Ctx) -> Result<Stage, Fault> {
    let Some(request) = &mut ctx.request else { return Err(Fault::PANICKED) };
    // A message may have taken its time to come: its call is judged by the time of now, or limits would take it for
    // one out of the past.
    let started = if ctx.flight.is_inner() { clock::now() } else { request.started };
    if request.slot.is_none() && !may_go_unrecorded(&ctx.shared, request) {
        let refusal = Refusal::new(Denial::AuditUnavailable, "the audit queue is full");
        return Err(Fault::Denied(refusal));
    }
    let mut verdict = match judge(session, request, started) {
        Ok(stage) => Ok(stage),
        Err(Held::Fault(fault)) => Err(fault),
        // Boxed, so that nobody else carries it.
        Err(Held::Awaits(wanted)) => Box::pin(decide_with_units(session, ctx, wanted)).await,
    };
    let Some(request) = &mut ctx.request else { return Err(Fault::PANICKED) };
    if let Some(wanted) = request.seen.wanted.take() {
        ctx.shared.counters.renew(wanted);
    }
    if request.snapshot.policy.anonymous.is_some() {
        verdict = shield(&ctx.shared, request, verdict);
    }
    verdict
}

/// Whether it may be served though it can have no record: not for want of room alone.
fn may_go_unrecorded(shared: &Shared, request: &Request) -> bool {
    request.snapshot.policy.audit.on_failure == OnFailure::Gap && shared.audit.is_failing()
}

/// Asks the ledger, then decides once more, until there is a verdict: while many callers ask for the
/// last units, another may be faster.
async fn decide_with_units(
    session: &mut Session,
    ctx: &mut Ctx,
    mut wanted: Box<Wanted>,
) -> Result<Stage, Fault> {
    ctx.flight.begin(&ctx.shared.flights, Phase::Upstream, UNITS_WITHIN * 2);
    let counters = ctx.shared.counters.clone();
    let overloaded = |reason| Fault::Denied(Refusal::new(Denial::Overloaded, reason));
    let decided = async {
        loop {
            if counters.lease(wanted).await.is_err() {
                return Err(overloaded(
                    "counters.db cannot be written: no unit of the quota is leased",
                ));
            }
            let Some(request) = &mut ctx.request else { return Err(Fault::PANICKED) };
            match judge(session, request, clock::now()) {
                Ok(stage) => return Ok(stage),
                Err(Held::Fault(fault)) => return Err(fault),
                Err(Held::Awaits(more)) => wanted = more,
            }
        }
    };
    let late = || Err(overloaded("counters.db did not lease a unit of the quota in time"));
    tokio::time::timeout(UNITS_WITHIN, decided).await.unwrap_or_else(|_| late())
}

/// Judges a call by what runs now; a refusal comes with that, because its record names what refused.
pub fn again(shared: &Shared, admitted: &Admitted) -> Result<(), (Refusal, Arc<Snapshot>)> {
    let running = shared.snapshot.load();
    let judged = request::still_permitted(&running, &admitted.call(), clock::now());
    judged.map_err(|refusal| (refusal, Arc::clone(&running)))
}

/// Waits until the call's entry is on the medium; the answer when it is not.
pub async fn write_ahead(ctx: &mut Ctx) -> Option<Answer> {
    ctx.flight.begin(&ctx.shared.flights, Phase::Upstream, DURABLE_WITHIN * 2);
    let request = ctx.request.as_mut()?;
    let told = (!ctx.shared.audit.is_failing()).then(|| request.write_ahead()).flatten();
    let Some(told) = told else {
        return Some(refuse(request, "the audit log cannot be written"));
    };
    match tokio::time::timeout(DURABLE_WITHIN, told).await {
        Ok(Ok(Ok(()))) => None,
        Ok(_) => Some(refuse(request, "the audit log could not be brought to the medium")),
        Err(_) => Some(refuse(request, "the audit log was not on the medium in time")),
    }
}

fn refuse(request: &mut Request, reason: &'static str) -> Answer {
    let fault = Fault::Denied(Refusal::new(Denial::AuditUnavailable, reason));
    let answer = Answer::of(&fault, request.id, request.seen.standing.as_ref());
    request.fail(fault);
    request.stage = Stage::Refused;
    answer.dressed(request.dress.as_ref())
}

/// How long a call waits for the medium.
const DURABLE_WITHIN: Duration = Duration::from_secs(5);

/// How long a call waits for the ledger. It answers within milliseconds, or the disk is in trouble.
const UNITS_WITHIN: Duration = Duration::from_secs(5);

/// Everything that must hold before a request is judged, then `request::decide`.
fn judge(session: &mut Session, request: &mut Request, now: Now) -> Result<Stage, Held> {
    if let Some(fault) = request.fault.take() {
        return Err(Held::Fault(fault));
    }
    if request.in_flight.is_none() {
        let refusal = Refusal::new(Denial::Overloaded, "requests_max reached");
        return Err(Held::Fault(Fault::Denied(refusal)));
    }
    let is_http2 = session.req_header().version == Version::HTTP_2;
    let body_may_follow = is_http2 && !session.is_body_empty();
    let head = session.req_header();
    let Judged { mut presented, content_length } = Judged::of(request.fields.of(head));
    if let Some(proven) = &request.proven {
        presented = Presented::proven(proven);
    }
    let ask = Ask {
        method: request.method.as_ref().map_or("", Method::as_str),
        host: &request.host,
        path: request.target.as_ref().map_or("", |target| target.path()),
        presented,
        body_bytes: content_length.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok()),
        body_may_follow,
        source_ip: request.source_ip,
        fields: request.fields.of(head),
    };
    let (snapshot, seen) = (&request.snapshot, &mut request.seen);
    // An inner request is for an api: a message within a message there is not.
    let endpoint = endpoint::at(snapshot, ask.host, ask.path).filter(|_| request.proven.is_none());
    if endpoint.is_some() {
        request.surface = Surface::Mcp;
    }
    #[cfg(test)]
    let surface = request.surface;
    let judge = AssertUnwindSafe(|| {
        if let Some(mcp) = endpoint {
            if let Some(asked) = endpoint::preflight(mcp, &ask, seen) {
                return Ok(asked.map(Stage::Preflight)?);
            }
            return Ok(endpoint::enter(snapshot, mcp, &ask, now, seen).map(Stage::Entered)?);
        }
        match policy::preflight(snapshot, &ask, seen) {
            Some(asked) => Ok(asked.map(Stage::Preflight)?),
            #[cfg(test)]
            None => sabotage::decide(snapshot, &ask, now, seen, surface).map(Stage::Admitted),
            #[cfg(not(test))]
            None => request::decide(snapshot, &ask, now, seen).map(Stage::Admitted),
        }
    });
    match catch_unwind(judge) {
        Ok(verdict) => verdict.map_err(|unadmitted| match unadmitted {
            Unadmitted::Refused(refusal) => Held::Fault(Fault::Denied(refusal)),
            Unadmitted::Awaits(wanted) => Held::Awaits(wanted),
        }),
        Err(_) => Err(Held::Fault(Fault::PANICKED)),
    }
}

/// Counts a stranger's call, and refuses it where its source has had its calls.
fn shield(
    shared: &Shared,
    request: &mut Request,
    verdict: Result<Stage, Fault>,
) -> Result<Stage, Fault> {
    let Some(limit) = &request.snapshot.policy.anonymous else { return verdict };
    let is_known = matches!(request.seen.caller, Some(Caller::Known(_)));
    let is_stranger = match &verdict {
        Ok(Stage::Admitted(admitted)) => admitted.known().is_none(),
        Ok(Stage::Preflight(_)) => true,
        Err(Fault::Denied(refusal)) => {
            let denial = refusal.denial;
            // Of those nobody looked at the credential.
            let is_ours = matches!(denial, Denial::AuditUnavailable | Denial::Overloaded);
            !is_ours && (!is_known || denial == Denial::CredentialInvalid)
        }
        Ok(Stage::Fresh | Stage::Entered(_) | Stage::Refused) | Err(Fault::Failed(_)) => false,
    };
    if !is_stranger {
        return verdict;
    }
    match shared.strangers.count(limit, request.source_ip, request.started.mono) {
        None => verdict,
        Some((refusal, standing)) => {
            request.seen.standing = Some(standing);
            Err(Fault::Denied(refusal))
        }
    }
}
