//! What a request says of itself: as far as it is known when its answer begins, and whole when it ended.

use std::sync::Arc;

use crate::audit::opening;
use crate::model::facts::{Fact, Writer};
use crate::model::id::{LimitName, PlanName};
use crate::model::record::{Caller, End, Outcome, RequestRecord};
use crate::model::time::MonoNs;
use crate::model::upstream::Address;
use crate::request::Seen;
use crate::request::target::Target;

use super::Request;
use crate::edge::stop::Fault;

impl Request {
    /// What is known so far, as [`Opening::decode`](opening::Opening::decode) reads it. What may be long
    /// comes last.
    pub(super) fn write_opening(&self, out: &mut Writer<'_>) {
        let ids = (self.id, self.started.wall, self.trace.trace_id);
        opening::begin(out, ids, self.surface, self.status);
        opening::push_addresses(out, self.peer_ip, self.source_ip);
        if let Some(method) = &self.method {
            out.push(Fact::Method, method.as_str().as_bytes());
        }
        match &self.seen.caller {
            Some(Caller::Known(credential)) => out.push_all(credential.facts()),
            Some(Caller::Anonymous { claimed: Some(id) }) => {
                out.push(Fact::Credential, id.as_str().as_bytes());
            }
            Some(Caller::Anonymous { claimed: None }) | None => {}
        }
        match (&self.seen.operation, &self.seen.api) {
            (Some(operation), _) => out.push_all(operation.facts()),
            (None, Some(api)) => out.push(Fact::Api, api.name.as_str().as_bytes()),
            (None, None) => {}
        }
        if let Some(product) = &self.seen.product {
            out.push(Fact::Product, product.as_str().as_bytes());
        }
        if let Some(upstream) = &self.forward.upstream {
            out.push(Fact::Upstream, upstream.as_str().as_bytes());
        }
        match &self.forward.endpoint {
            Some(Address::Inet(address)) => opening::push_endpoint(out, *address),
            Some(Address::Unix(path)) => out.push(Fact::EndpointUnix, path.as_bytes()),
            None => {}
        }
        out.push(Fact::Policy, self.snapshot.label.as_bytes());
        self.write_trouble(out);
        if let Some(mcp) = &self.mcp {
            opening::push_mcp(out, mcp);
        }
        out.push(Fact::Host, self.host.as_bytes());
        if let Some(target) = &self.target {
            out.push(Fact::Path, target.path().as_bytes());
        }
        if let Some(id) = &self.parent_request_id {
            out.push(Fact::ParentRequestId, id.as_bytes());
        }
    }

    /// What most requests do not have.
    fn write_trouble(&self, out: &mut Writer<'_>) {
        let mut reason = self.reason.as_ref();
        match &self.fault {
            None => {}
            Some(Fault::Failed(failure)) => out.push(Fact::Failure, failure.code().as_bytes()),
            Some(Fault::Denied(refusal)) => {
                reason = Some(&refusal.reason);
                out.push(Fact::Denial, refusal.denial.code().as_bytes());
                if let Some(limit) = refusal.limit() {
                    out.push(Fact::Limit, limit.as_str().as_bytes());
                }
            }
        }
        if let Some(reason) = reason {
            out.push(Fact::Reason, reason.as_log_text().as_bytes());
        }
        if let Some((_, limit)) = shadow_limit(&self.seen) {
            out.push(Fact::ShadowLimit, limit.as_str().as_bytes());
        }
    }

    /// What became of it, as far as it has come.
    pub fn outcome(&self) -> Outcome {
        match &self.fault {
            None => Outcome::Allowed,
            Some(Fault::Failed(failure)) => Outcome::Failed(*failure),
            Some(Fault::Denied(refusal)) => Outcome::Denied(refusal.denial),
        }
    }

    pub(super) fn into_record(self: Box<Self>, end: End, now: MonoNs) -> Box<RequestRecord> {
        let shadow_limit =
            shadow_limit(&self.seen).map(|(plan, limit)| Box::new((plan.clone(), limit.clone())));
        let seen = self.seen;
        let (outcome, reason, limit) = match self.fault {
            None => (Outcome::Allowed, self.reason, None),
            Some(Fault::Failed(failure)) => (Outcome::Failed(failure), self.reason, None),
            Some(Fault::Denied(refusal)) => {
                let limit = refusal.limit().cloned();
                (Outcome::Denied(refusal.denial), Some(refusal.reason), limit)
            }
        };
        Box::new(RequestRecord {
            id: self.id,
            time: self.started.wall,
            surface: self.surface,
            caller: seen.caller.unwrap_or(Caller::Anonymous { claimed: None }),
            peer_ip: self.peer_ip,
            source_ip: self.source_ip,
            method: self.method,
            host: self.host,
            path: self.target.map(Target::into_path).unwrap_or_default(),
            api: seen.api.map(|api| api.name.clone()),
            operation: seen.operation,
            product: seen.product,
            outcome,
            reason,
            limit,
            shadow_limit,
            braked: self.braked,
            status: self.status,
            upstream: self.forward.upstream,
            endpoint: self.forward.endpoint,
            end,
            duration_us: micros(now, self.started.mono),
            upstream_us: self.forward.began.map(|began| micros(now, began)),
            request_bytes: self.request_bytes,
            response_bytes: self.response_bytes,
            policy: Arc::clone(&self.snapshot.label),
            trace_id: self.trace.trace_id,
            parent_request_id: self.parent_request_id,
            access: self.access,
            mcp: self.mcp.map(|mcp| mcp.ended(outcome, self.status, end)),
        })
    }
}

/// What most plans do not have: a limit that only watches, and would have refused.
fn shadow_limit(seen: &Seen) -> Option<(&PlanName, &LimitName)> {
    let of_plan = || {
        let standing = seen.standing.as_ref()?;
        Some((&standing.plan.name, standing.all()?.shadow.as_ref()?))
    };
    let of_brake = || seen.watch.as_ref()?.would_refuse();
    of_plan().or_else(of_brake)
}

fn micros(later: MonoNs, earlier: MonoNs) -> u64 {
    u64::try_from(later.since(earlier).as_micros()).unwrap_or(u64::MAX)
}
