//! The decision, told step by step: the stages of `decide`, called in its order, with a client's
//! word in place of a credential and nothing charged.

use crate::model::api::{Api, Effect, Operation};
use crate::model::denial::Refusal;
use crate::model::id::{ClientId, PlanName, ProductName, Scope};
use crate::model::mcp::Mcp;
use crate::model::plan::Plan;
use crate::model::shape::rules::Rules;
use crate::model::snapshot::Snapshot;
use crate::model::time::Now;

use super::authorize::Permit;
use super::identify::Identified;
use super::limit::{self, usage};
use super::{Ask, Seen, authorize, classify, endpoint, fits, identify, policy};

/// One stage and what it found.
#[derive(Debug, Eq, PartialEq)]
pub struct Step {
    pub stage: &'static str,
    pub found: String,
}

/// Tells how `client` would fare with `ask`: the steps that passed, and the refusal that ended
/// them, if any.
pub fn explain(
    snapshot: &Snapshot,
    client: &ClientId,
    profile: &str,
    ask: &Ask<'_>,
    now: Now,
) -> (Vec<Step>, Result<(), Refusal>) {
    let mut teller = Teller::default();
    let verdict = tell(snapshot, client, profile, ask, now, &mut teller);
    (teller.steps, verdict)
}

fn tell(
    snapshot: &Snapshot,
    client: &ClientId,
    profile: &str,
    ask: &Ask<'_>,
    now: Now,
    teller: &mut Teller,
) -> Result<(), Refusal> {
    if let Some(mcp) = endpoint::at(snapshot, ask.host, ask.path) {
        return tell_of_endpoint(snapshot, mcp, (client, profile), ask, now, teller);
    }
    if let Some(asked) = policy::preflight(snapshot, ask, &mut Seen::default()) {
        let api = asked?;
        teller.preflight(&api);
        return Ok(());
    }

    let found = classify::classify(&snapshot.policy.hosts, ask)?;
    let api = &found.api;
    teller.api(api);

    let identified = identify::assumed(snapshot, client, profile, now)?;
    teller.assumed(&identified, now);

    let cleared = policy::clear(Ok(identified), api, ask)?;
    if api.rules.is_some() {
        let found = "the api's rules admit the address, the path and the headers";
        teller.tell("policy", found.to_owned());
    }

    let operation = found.operation?;
    teller.operation(&operation);

    let effect = Effect::of(ask.method);
    let permit = authorize::authorize(cleared, api, &operation, effect, now)?;
    fits(&operation, ask.body_bytes)?;
    teller.permitted(&permit);

    let plan = permit.known().and_then(|known| known.profile.plan.as_ref());
    let plan = plan.map(|name| snapshot.policy.plans.get(name).ok_or_else(limit::without_plan));
    let plan = plan.transpose()?;
    teller.plan(plan.map(|plan| &**plan), &operation);
    if plan.is_some() {
        let used = "how much is used only the running gate knows; nothing is asked or charged here";
        teller.tell("limit", used.to_owned());
    }
    // An operation that the gate answers itself is not forwarded.
    if let Some(answer) = operation.shape.as_ref().and_then(|shape| shape.answer.as_ref()) {
        teller.tell("answer", format!("{answer}, without an upstream"));
    }
    Ok(())
}

/// The same of a message to the MCP endpoint, of which the head is known.
fn tell_of_endpoint(
    snapshot: &Snapshot,
    mcp: &Mcp,
    (client, profile): (&ClientId, &str),
    ask: &Ask<'_>,
    now: Now,
    teller: &mut Teller,
) -> Result<(), Refusal> {
    if let Some(asked) = endpoint::preflight(mcp, ask, &mut Seen::default()) {
        let api = asked?;
        teller.preflight(&api);
        return Ok(());
    }
    teller.tell("classify", format!("the MCP endpoint at {}, of the gate itself", mcp.path));

    let identified = identify::assumed(snapshot, client, profile, now);
    if let Ok(identified) = &identified {
        teller.assumed(identified, now);
    }
    let known = identified.as_ref().ok().and_then(Identified::known);
    let plan = known.and_then(|known| known.profile.plan.clone());
    endpoint::would_enter(snapshot, mcp, ask, identified)?;

    teller.own(plan.as_ref(), snapshot)?;
    let inner = "a tools/call is the REST request of its operation: explain that one for its grants and quotas";
    teller.tell("answer", inner.to_owned());
    Ok(())
}

/// Puts what stages find into words.
#[derive(Debug, Default)]
pub struct Teller {
    pub steps: Vec<Step>,
    stage: &'static str,
}

impl Teller {
    /// From here on this stage is to blame for an end.
    pub(super) fn enter(&mut self, stage: &'static str) {
        self.stage = stage;
    }

    /// Of the stage that was entered last.
    pub(super) fn tell_here(&mut self, found: String) {
        self.tell(self.stage, found);
    }

    pub(super) fn tell(&mut self, stage: &'static str, found: String) {
        self.steps.push(Step { stage, found });
    }

    pub(super) fn api(&mut self, api: &Api) {
        self.tell("classify", format!("api {} at base path {}", api.name, api.base_path));
    }

    pub(super) fn operation(&mut self, operation: &Operation) {
        self.tell("classify", format!("operation {} at {}", operation.id, operation.template));
    }

    fn preflight(&mut self, api: &Api) {
        let by = format!("a preflight: the cors of api {} answers it, whoever calls", api.name);
        self.tell("policy", by);
    }

    /// What the gate asks of its own: no grant, and of the plan's limits the rates.
    pub(super) fn own(
        &mut self,
        plan: Option<&PlanName>,
        snapshot: &Snapshot,
    ) -> Result<(), Refusal> {
        self.tell(
            "authorize",
            "no grant is needed: any client may ask this of the gate".to_owned(),
        );
        self.enter("limit");
        match plan {
            None => self.tell_here("no plan: not limited".to_owned()),
            Some(name) => {
                let plan = snapshot.policy.plans.get(name).ok_or_else(limit::without_plan)?;
                let name = &plan.name;
                self.tell_here(format!("plan {name}: its rates hold here too, its quotas do not"));
            }
        }
        Ok(())
    }

    /// A caller whose word was taken for it.
    fn assumed(&mut self, identified: &Identified, now: Now) {
        if let Some(known) = identified.known() {
            let (id, kind) = (&known.client.id, known.client.kind.as_str());
            let found = format!("client {id} ({kind}), profile {}", known.profile.name);
            self.tell("identify", found);
        }
        self.quarantine(identified, now);
    }

    /// What is taken from a client for a while.
    fn quarantine(&mut self, identified: &Identified, now: Now) {
        let held = identified.known().and_then(|known| known.client.quarantine.as_ref());
        for (left, until) in held.into_iter().flat_map(|held| held.in_force(now.wall)) {
            self.tell("identify", format!("in quarantine until {until}: {left}"));
        }
    }

    /// A caller with its credential.
    pub(super) fn identified(&mut self, identified: &Identified, now: Now) {
        let found = match identified.known() {
            None => "nobody: the api is public".to_owned(),
            Some(known) => format!(
                "client {} ({}, owner {}), profile {}, by key {}: all in force",
                known.client.id,
                known.client.kind.as_str(),
                known.client.owner,
                known.profile.name,
                known.credential.id,
            ),
        };
        self.tell("identify", found);
        self.quarantine(identified, now);
    }

    /// The rules of an api that a record has the facts for, and those that it has not.
    pub(super) fn recalled_rules(&mut self, rules: &Rules) {
        let found = "the api's rules admit the address and the path";
        self.tell("policy", found.to_owned());
        let of_fields = [
            !rules.required_headers.is_empty(),
            !rules.forbidden_headers.is_empty(),
            !rules.content_types.is_empty(),
        ];
        if of_fields.contains(&true) {
            let found = "its rules on header fields are not replayed: no record holds those";
            self.tell("policy", found.to_owned());
        }
    }

    /// What the operation asks for, and what the caller's profile has of it.
    pub(super) fn needed(&mut self, operation: &Operation, identified: &Identified) {
        let Some(known) = identified.known() else { return };
        let products = listed(operation.products.iter().map(ProductName::as_str));
        let granted = known.profile.grants.iter().map(|grant| match grant.until {
            Some(until) => format!("{} (until {until})", grant.product),
            None => grant.product.to_string(),
        });
        let granted = listed(granted);
        self.tell("authorize", format!("it is in the products: {products}; granted: {granted}"));
        let needed = listed(operation.scopes.iter().map(Scope::as_str));
        let had = listed(known.profile.scopes.iter().map(Scope::as_str));
        self.tell("authorize", format!("it needs the scopes: {needed}; the profile has: {had}"));
    }

    pub(super) fn permitted(&mut self, permit: &Permit) {
        let scopes: Vec<&str> = permit.operation().scopes.iter().map(Scope::as_str).collect();
        let scopes = if scopes.is_empty() { "none".to_owned() } else { scopes.join(" ") };
        let found = match permit.product() {
            Some(product) => format!("granted by product {product}; scopes needed: {scopes}"),
            None => "the api is public".to_owned(),
        };
        self.tell("authorize", found);
    }

    pub(super) fn plan(&mut self, plan: Option<&Plan>, operation: &Operation) {
        match plan {
            None => self.tell("limit", "no plan: not limited".to_owned()),
            Some(plan) => {
                for told in usage::describe(plan, operation) {
                    self.tell("limit", format!("plan {}, {told}", plan.name));
                }
            }
        }
    }
}

/// Names with commas between.
fn listed(names: impl Iterator<Item = impl ToString>) -> String {
    let names: Vec<String> = names.map(|name| name.to_string()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
