//! The decision, told step by step: the stages of `decide`, called in its order, with a client's
//! word in place of a credential and nothing charged.

use crate::model::api::Operation;
use crate::model::denial::Refusal;
use crate::model::id::{ClientId, Scope};
use crate::model::snapshot::Snapshot;
use crate::model::time::Now;

use super::limit::{self, usage};
use super::{Ask, Seen, authorize, classify, fits, identify, policy};

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
    let mut steps = Vec::new();
    let verdict = tell(snapshot, client, profile, ask, now, &mut steps);
    (steps, verdict)
}

fn tell(
    snapshot: &Snapshot,
    client: &ClientId,
    profile: &str,
    ask: &Ask<'_>,
    now: Now,
    steps: &mut Vec<Step>,
) -> Result<(), Refusal> {
    let mut step = |stage, found| steps.push(Step { stage, found });

    if let Some(asked) = policy::preflight(snapshot, ask, &mut Seen::default()) {
        let api = asked?;
        let by = format!("a preflight: the cors of api {} answers it, whoever calls", api.name);
        step("policy", by);
        return Ok(());
    }

    let found = classify::classify(&snapshot.policy.hosts, ask)?;
    let api = &found.api;
    step("classify", format!("api {} at base path {}", api.name, api.base_path));

    let identified = identify::assumed(snapshot, client, profile, now)?;
    if let Some(known) = identified.known() {
        let (id, kind) = (&known.client.id, known.client.kind.as_str());
        step("identify", format!("client {id} ({kind}), profile {}", known.profile.name));
    }

    let cleared = policy::clear(Ok(identified), api, ask)?;
    if api.rules.is_some() {
        step("policy", "the api's rules admit the address, the path and the headers".to_owned());
    }

    let operation = found.operation?;
    step("classify", format!("operation {} at {}", operation.id, operation.template));

    let permit = authorize::authorize(cleared, api, &operation, now)?;
    fits(&operation, ask.body_bytes)?;
    let scopes: Vec<&str> = operation.scopes.iter().map(Scope::as_str).collect();
    let scopes = if scopes.is_empty() { "none".to_owned() } else { scopes.join(" ") };
    step(
        "authorize",
        match permit.product() {
            Some(product) => format!("granted by product {product}; scopes needed: {scopes}"),
            None => "the api is public".to_owned(),
        },
    );

    let plan = permit.known().and_then(|known| known.profile.plan.as_ref());
    match plan.map(|name| snapshot.policy.plans.get(name)) {
        None => step("limit", "no plan: not limited".to_owned()),
        Some(None) => return Err(limit::without_plan()),
        Some(Some(plan)) => {
            for told in usage::describe(plan, &operation) {
                step("limit", format!("plan {}, {told}", plan.name));
            }
            let used =
                "how much is used only the running gate knows; nothing is asked or charged here";
            step("limit", used.to_owned());
        }
    }
    tell_answer(&operation, &mut step);
    Ok(())
}

/// An operation that the gate answers itself is not forwarded.
fn tell_answer(operation: &Operation, step: &mut impl FnMut(&'static str, String)) {
    if let Some(answer) = operation.shape.as_ref().and_then(|shape| shape.answer.as_ref()) {
        step("answer", format!("{answer}, without an upstream"));
    }
}
