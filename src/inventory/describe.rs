//! What the audit shows of the inventory: values before and after an act, as JSON. A credential
//! appears by its id and terms; neither a key nor its hash has a way in here.

use serde_json::{Value, json};

use super::change::NewGrant;
use crate::model::client::{Client, Credential, Grant, Profile, Status};
use crate::model::id::{PlanName, Scope};
use crate::model::record::JsonText;
use crate::model::time::UnixMicros;

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

/// Named values, such as those that an act changes.
pub fn fields(fields: Vec<(&'static str, Value)>) -> JsonText {
    let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    text(&Value::Object(fields))
}

pub fn time(time: Option<UnixMicros>) -> Value {
    time.map_or(Value::Null, |time| time.to_string().into())
}

pub fn plan(plan: Option<&PlanName>) -> Value {
    plan.map_or(Value::Null, |plan| plan.as_str().into())
}

pub fn scopes<'s>(scopes: impl IntoIterator<Item = &'s Scope>) -> Value {
    scopes.into_iter().map(Scope::as_str).collect()
}

fn profile_value(profile: &Profile) -> Value {
    json!({
        "name": profile.name.as_str(),
        "plan": plan(profile.plan.as_ref()),
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
