//! What the audit shows of the inventory: values before and after an act, as JSON. A credential
//! appears by its id and terms; neither a key nor its hash has a way in here.

use serde_json::{Value, json};

use super::change::NewGrant;
use crate::model::client::{Client, Credential, Grant, Profile, Status};
use crate::model::id::{PlanName, Scope};
use crate::model::mcp::Presentation;
use crate::model::quarantine::Restriction;
use crate::model::record::JsonText;
use crate::model::time::UnixMicros;
use crate::model::tool::{Catalogue, Changes, Version};

pub fn client(client: &Client) -> JsonText {
    text(&json!({
        "kind": client.kind.as_str(),
        "owner": client.owner,
        "purpose": client.purpose,
        "expires": time(client.expires),
        "profiles": client.profiles.iter().map(|p| profile_value(p)).collect::<Vec<_>>(),
    }))
}

pub fn profile(profile: &Profile) -> JsonText {
    text(&profile_value(profile))
}

pub fn credential(credential: &Credential) -> JsonText {
    text(&json!({
        "client": credential.client.as_str(),
        "profile": credential.profile.as_str(),
        "expires": time(credential.expires),
        "holder": credential.holder,
    }))
}

pub fn new_grant(new: &NewGrant) -> JsonText {
    text(&json!({ "product": new.grant.product.as_str(), "until": time(new.until) }))
}

pub fn grant(grant: &Grant) -> JsonText {
    text(&grant_value(grant))
}

pub fn status(status: Status) -> JsonText {
    text(&json!({ "status": status.as_str() }))
}

pub fn suspension(until: Option<UnixMicros>) -> JsonText {
    let until = match until {
        Some(UnixMicros::FOREVER) => "until it is resumed".into(),
        until => time(until),
    };
    text(&json!({ "suspended_until": until }))
}

/// Every quarantine of a client that is in force; null when there is none.
pub fn quarantine(client: &Client, now: UnixMicros) -> JsonText {
    let in_force = client.quarantine.iter().flat_map(|held| held.in_force(now));
    let told = in_force.map(|(restriction, until)| match &restriction {
        Restriction::ReadsOnly => json!({ "reads_only": true, "until": time(Some(until)) }),
        Restriction::Rate(rate) => {
            json!({ "rate": rate.to_string(), "until": time(Some(until)) })
        }
        Restriction::Operation(id) => {
            json!({ "operation": id.as_str(), "until": time(Some(until)) })
        }
    });
    let told: Vec<Value> = told.collect();
    text(&json!({ "quarantine": if told.is_empty() { Value::Null } else { told.into() } }))
}

/// Named values, such as those that an act changes.
pub fn fields(fields: Vec<(&'static str, Value)>) -> JsonText {
    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    text(&Value::Object(fields))
}

/// Two catalogues by what differs: names with digests, and counts of all, because names are cut short.
pub fn catalogues(
    before: &Catalogue,
    after: &Catalogue,
    changes: &Changes,
) -> (JsonText, JsonText) {
    let Changes { added, removed, changed } = changes;
    let (was, is): (Vec<_>, Vec<_>) = changed.iter().cloned().unzip();
    let side = |catalogue: &Catalogue, differs: &str, versions: &[Version], changed: &[Version]| {
        let counts = json!({ differs: versions.len(), "changed": changed.len() });
        text(&json!({
            "digest": catalogue.digest,
            "tools": catalogue.tools().len(),
            "counts": counts,
            differs: named(versions),
            "changed": named(changed),
        }))
    };
    (side(before, "removed", removed, &was), side(after, "added", added, &is))
}

/// Most tools that one side of a change names.
const TOOLS_NAMED_MAX: usize = 100;

fn named(versions: &[Version]) -> Value {
    let named = versions.iter().take(TOOLS_NAMED_MAX);
    let pair = |version: &Version| (version.name.to_string(), version.digest.to_string().into());
    Value::Object(named.map(pair).collect())
}

pub fn time(time: Option<UnixMicros>) -> Value {
    time.map_or(Value::Null, |time| time.to_string().into())
}

pub fn plan(plan: Option<&PlanName>) -> Value {
    plan.map_or(Value::Null, |plan| plan.as_str().into())
}

pub fn presentation(presentation: Option<Presentation>) -> Value {
    presentation.map_or(Value::Null, |presentation| presentation.as_str().into())
}

pub fn scopes<'s>(scopes: impl IntoIterator<Item = &'s Scope>) -> Value {
    scopes.into_iter().map(Scope::as_str).collect()
}

fn profile_value(profile: &Profile) -> Value {
    json!({
        "name": profile.name.as_str(),
        "plan": plan(profile.plan.as_ref()),
        "presentation": presentation(profile.presentation),
        "scopes": scopes(&profile.scopes),
        "grants": profile.grants.iter().map(grant_value).collect::<Vec<_>>(),
    })
}

fn grant_value(grant: &Grant) -> Value {
    json!({ "product": grant.product.as_str(), "until": time(grant.until) })
}

fn text(value: &Value) -> JsonText {
    JsonText(value.to_string().into())
}
