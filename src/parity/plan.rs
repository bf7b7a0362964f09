//! What is called: every client, by each of its profiles and in each state that its credentials are in, times
//! every operation that is a tool. One REST request is prepared for each, as its tool prepares it, and that is what is
//! sent to REST.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::HeaderMap;

use crate::mcp::arguments::{self, Prepared};
use crate::mcp::json::read::Raw;
use crate::model::api::CredentialLocation;
use crate::model::client::{Client, Credential, Status};
use crate::model::mcp::Mcp;
use crate::model::plan::{LimitAt, Mode, Operations, Plan as LimitPlan};
use crate::model::policy::Policy;
use crate::model::snapshot::{Inventory, Snapshot};
use crate::model::time::UnixMicros;
use crate::model::tool::{Argument, Need, Tool};
use crate::request::endpoint::{Leads, leads_to};

use super::arguments::{Given, made};
use super::error::ParityError;
use super::stage::{Cast, Key, WITHOUT_GRANT, WITHOUT_SCOPE};

/// Who calls, with one credential.
#[derive(Debug)]
pub struct Caller {
    pub client: String,
    pub profile: String,
    /// What is wrong with the credential, if anything.
    pub state: State,
    pub key: Key,
    /// The name of its plan.
    pub plan: Option<String>,
}

/// What a credential is good for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum State {
    Active,
    Suspended,
    Expired,
    Revoked,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "",
            Self::Suspended => " (suspended)",
            Self::Expired => " (expired)",
            Self::Revoked => " (revoked)",
        }
    }
}

impl Caller {
    pub fn is_active(&self) -> bool {
        self.state == State::Active
    }

    /// `mobile-app`, or `mobile-app/batch (revoked)`.
    pub fn told(&self) -> String {
        let Self { client, profile, state, .. } = self;
        let profile = if profile == "default" { String::new() } else { format!("/{profile}") };
        format!("{client}{profile}{}", state.as_str())
    }
}

/// One request of a tool, for any caller.
#[derive(Debug)]
pub struct Call {
    pub tool: Arc<Tool>,
    pub given: Given,
    /// As a model would send them.
    pub arguments: serde_json::Value,
    /// Of the modern era: fields that mirror arguments.
    pub mirrors: HeaderMap,
    pub prepared: Prepared,
    /// Where REST finds the operation, and where the endpoint is.
    pub host: Box<str>,
    pub endpoint_host: Box<str>,
    /// Where the key sits: in a place that both take.
    pub key_in: CredentialLocation,
}

/// One call of one caller.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Positions in [`Plan::callers`] and [`Plan::calls`].
    pub caller: usize,
    pub call: usize,
    pub why: Why,
}

/// What a step is there for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Why {
    /// The decision.
    Decided,
    /// A limit that admits few calls: which call it is.
    Limited(u32),
    /// The same, while the calls before it go on.
    Held(u32),
}

/// All that is called.
#[derive(Debug)]
pub struct Plan {
    pub callers: Vec<Caller>,
    pub calls: Vec<Call>,
    /// Where the endpoint is: `/mcp`.
    pub endpoint: Box<str>,
    /// Tools that are not called, and why.
    pub uncalled: Vec<(String, &'static str)>,
}

/// The steps of one client, in order: it has one set of counters.
pub type Sequence = Vec<Step>;

/// Most calls to one surface. A million take some minutes.
const STEPS_MAX: usize = 1_000_000;
/// Under which an api without hosts is called.
const ANY_HOST: &str = "parity.invalid";

impl Plan {
    /// `only` names the clients that are meant; none: all of them.
    pub fn new(
        policy: &Arc<Policy>,
        cast: &Cast,
        only: &[String],
        now: UnixMicros,
    ) -> Result<Self, ParityError> {
        let mcp = policy.mcp.as_ref().ok_or(ParityError::NoEndpoint)?;
        let snapshot = Snapshot::new(Arc::clone(policy), Inventory::default());
        let (mut calls, mut uncalled) = (Vec::new(), Vec::new());
        for tool in mcp.catalogue.tools() {
            match call(&snapshot, mcp, tool, Given::Required) {
                Ok(call) => calls.push(call),
                Err(why) => uncalled.push((tool.name.to_string(), why)),
            }
            let optional = tool.arguments.iter().any(|argument| !is_required(argument));
            if optional && let Ok(call) = call(&snapshot, mcp, tool, Given::All) {
                calls.push(call);
            }
        }
        if calls.is_empty() {
            return Err(ParityError::NoTools);
        }
        let callers = callers(cast, only, now)?;
        let steps = callers.len().saturating_mul(calls.len());
        if steps > STEPS_MAX {
            return Err(ParityError::TooMany { calls: steps, most: STEPS_MAX });
        }
        Ok(Self { callers, calls, endpoint: mcp.path.clone(), uncalled })
    }

    /// Most calls of one client.
    pub fn longest(&self) -> usize {
        let callers = self.by_client().into_iter().map(|callers| callers.len());
        callers.max().unwrap_or_default().saturating_mul(self.calls.len())
    }

    /// Every caller and every call.
    pub fn all(&self) -> Vec<Sequence> {
        let all = |callers: Vec<usize>| {
            let of = |caller| {
                (0..self.calls.len()).map(move |call| Step { caller, call, why: Why::Decided })
            };
            callers.into_iter().flat_map(of).collect()
        };
        self.by_client().into_iter().map(all).collect()
    }

    /// Calls at and over one limit of each plan, of callers that have it: of the first call that is let in and counted,
    /// and of the first that is not counted.
    pub fn at_limit(
        &self,
        policy: &Policy,
        at: usize,
        few: u32,
        allowed: &BTreeMap<usize, Vec<usize>>,
    ) -> Vec<Sequence> {
        let of_caller = |caller: usize| -> Sequence {
            let plan = self.callers.get(caller).and_then(|caller| caller.plan.as_ref());
            let find = |name: &String| policy.plans.values().find(|of| of.name.as_str() == name);
            let (Some(plan), Some(calls)) = (plan.and_then(find), allowed.get(&caller)) else {
                return Vec::new();
            };
            steps_at(plan, at, few, caller, self, calls)
        };
        let of_client = |callers: Vec<usize>| callers.into_iter().flat_map(of_caller).collect();
        let sequences = self.by_client().into_iter().map(of_client);
        sequences.filter(|sequence: &Sequence| !sequence.is_empty()).collect()
    }

    /// Positions of callers, those of one client together.
    fn by_client(&self) -> Vec<Vec<usize>> {
        let mut clients: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (at, caller) in self.callers.iter().enumerate() {
            clients.entry(&caller.client).or_default().push(at);
        }
        clients.into_values().collect()
    }
}

fn steps_at(
    plan: &LimitPlan,
    at: usize,
    few: u32,
    caller: usize,
    all: &Plan,
    calls: &[usize],
) -> Sequence {
    let Some(limit) = Counting::of(plan, LimitPlan::rate_at(at)) else { return Vec::new() };
    let counts = |call: &&usize| {
        let call = all.calls.get(**call);
        call.is_some_and(|call| limit.counts(call))
    };
    let Some(&counted) = calls.iter().find(counts) else { return Vec::new() };
    let beside = calls.iter().find(|call| !counts(call)).copied();
    // Two more than it admits, and one that it does not count.
    let step = |number: u32| {
        let why = if limit.of_calls_at_once { Why::Held(number) } else { Why::Limited(number) };
        Step { caller, call: counted, why }
    };
    let beside = beside.map(|call| Step { caller, call, why: Why::Limited(0) });
    (1..=few.min(limit.admits) + 2).map(step).chain(beside).collect()
}

/// One limit of a plan, as far as it matters which calls it counts.
struct Counting<'p> {
    operations: Option<&'p Operations>,
    admits: u32,
    of_calls_at_once: bool,
}

impl<'p> Counting<'p> {
    fn of(plan: &'p LimitPlan, at: LimitAt) -> Option<Self> {
        let mut rates = plan.rates.iter().enumerate();
        if let Some((_, rate)) = rates.find(|(index, _)| LimitPlan::rate_at(*index) == at) {
            let operations = Some(&rate.operations);
            return Some(Self { operations, admits: rate.burst, of_calls_at_once: false });
        }
        let mut quotas = plan.quotas.iter().enumerate();
        if let Some((_, quota)) = quotas.find(|(index, _)| plan.quota_at(*index) == at) {
            if quota.mode == Mode::Shadow {
                // It waits for no ledger, so which call is the first over it is a matter of time.
                return None;
            }
            let admits = u32::try_from(quota.terms.limit).unwrap_or(u32::MAX);
            let operations = Some(&quota.operations);
            return Some(Self { operations, admits, of_calls_at_once: false });
        }
        let concurrency = plan.concurrency.as_ref().filter(|_| plan.concurrency_at() == at)?;
        Some(Self { operations: None, admits: concurrency.limit, of_calls_at_once: true })
    }

    fn counts(&self, call: &Call) -> bool {
        self.operations.is_none_or(|operations| operations.contain(&call.tool.operation.id))
    }
}

const fn is_required(argument: &Argument) -> bool {
    matches!(argument.need, Need::Required)
}

fn call(
    snapshot: &Snapshot,
    mcp: &Mcp,
    tool: &Arc<Tool>,
    given: Given,
) -> Result<Call, &'static str> {
    let made = made(tool, given).ok_or("no arguments were found that its schema takes")?;
    let text = made.to_string();
    let prepared = arguments::prepare(tool, Raw::parse(&text))
        .map_err(|_| "no arguments were found that make a request")?;
    let own = mcp.hosts.first();
    let endpoint_host = own.or(tool.host.as_ref()).map_or(ANY_HOST, |host| &**host);
    let host = tool.host.as_deref().unwrap_or(endpoint_host);
    let at = (host, prepared.target.path());
    if leads_to(snapshot, prepared.method.as_str(), at, &tool.operation) != Leads::ToItsOperation {
        return Err("no arguments were found that lead to its operation");
    }
    let api = snapshot.policy.apis.iter().find(|api| api.name == tool.operation.api.name);
    let places = api.map_or(&[][..], |api| &api.credential);
    let mirrors = mirrors(tool, &made);
    let (host, endpoint_host) = (host.into(), endpoint_host.into());
    let key_in = places.first().copied().unwrap_or(CredentialLocation::Authorization);
    let tool = Arc::clone(tool);
    Ok(Call { tool, given, arguments: made, mirrors, prepared, host, endpoint_host, key_in })
}

/// Texts that are made are plain, so they stand for themselves.
fn mirrors(tool: &Tool, made: &serde_json::Value) -> HeaderMap {
    let field = |argument: &Argument| {
        let name = argument.mirrored.as_ref()?.parse::<http::HeaderName>().ok()?;
        let value = made.get(&*argument.name).filter(|value| !value.is_null())?;
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Some((name, text.parse().ok()?))
    };
    tool.arguments.iter().filter_map(field).collect()
}

/// For each profile one credential in each state that there is.
fn callers(cast: &Cast, only: &[String], now: UnixMicros) -> Result<Vec<Caller>, ParityError> {
    let is_there = |id: &&String| cast.inventory.clients.get(id.as_str()).is_some();
    if let Some(unknown) = only.iter().find(|id| !is_there(id)) {
        return Err(ParityError::NoClient(unknown.clone()));
    }
    let made = [WITHOUT_GRANT, WITHOUT_SCOPE];
    let is_meant =
        |id: &str| only.is_empty() || made.contains(&id) || only.iter().any(|only| only == id);
    let mut callers = BTreeMap::new();
    let credentials = cast.inventory.credentials.values();
    for credential in credentials.filter(|credential| is_meant(credential.client.as_str())) {
        let client = cast.inventory.clients.get(credential.client.as_str());
        let (Some(client), Some(key)) = (client, cast.keys.get(credential.id.as_str())) else {
            continue;
        };
        let (client, profile) = (client, &credential.profile);
        let state = state(client, credential, now);
        let plan = client.profile(profile.as_str()).and_then(|profile| profile.plan.as_ref());
        let caller = Caller {
            client: client.id.to_string(),
            profile: profile.to_string(),
            state,
            key: key.clone(),
            plan: plan.map(ToString::to_string),
        };
        let place = (caller.client.clone(), caller.profile.clone(), state);
        callers.entry(place).or_insert(caller);
    }
    Ok(callers.into_values().collect())
}

fn state(client: &Client, credential: &Credential, now: UnixMicros) -> State {
    let profile = client.profile(credential.profile.as_str());
    let revoked = [client.status, credential.status].contains(&Status::Revoked)
        || profile.is_none_or(|profile| profile.status == Status::Revoked);
    let ended = |until: Option<UnixMicros>| until.is_some_and(|until| until <= now);
    let suspended = |until: Option<UnixMicros>| until.is_some_and(|until| until > now);
    if revoked {
        State::Revoked
    } else if ended(client.expires) || ended(credential.expires) {
        State::Expired
    } else if suspended(client.suspended_until) || suspended(credential.suspended_until) {
        State::Suspended
    } else {
        State::Active
    }
}
