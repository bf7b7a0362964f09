//! From text to changes: the one place where what administrators write becomes values. It knows
//! neither the inventory nor the config; what exists is checked where the change is made.

mod quarantine;

use std::collections::BTreeSet;
use std::fmt;

use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::wire;
use crate::inventory::change::{
    Change, ClientChange, Expires, GrantId, KeySource, Line, NewClient, NewCredential, NewGrant,
    NewProfile, PlanChoice, PresentationChoice, Suspendable, Target, Terms, TermsChange,
};
use crate::model::client::ClientKind;
use crate::model::id::{CredentialId, Name, ProfileName, Scope};
use crate::model::key::Environment;
use crate::model::mcp::Presentation;
use crate::model::time::UnixMicros;

/// A value that makes no sense, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BadValue(String);

impl fmt::Display for BadValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadValue {}

pub fn change(change: &wire::Change) -> Result<Change, BadValue> {
    Ok(match change {
        wire::Change::AddClient(new) => Change::AddClient(new_client(new)?),
        wire::Change::ChangeClient(change) => Change::ChangeClient(client_change(change)?),
        wire::Change::AddProfile(wire::AddProfile { client, profile }) => {
            Change::AddProfile { client: name("client", client)?, profile: new_profile(profile)? }
        }
        wire::Change::AddGrant(add) => Change::AddGrant(new_grant(add)?),
        wire::Change::RemoveGrant(remove) => {
            let wire::RemoveGrant { client, profile, product, reason } = remove;
            let grant = grant_id(client, profile.as_deref(), product)?;
            Change::RemoveGrant { grant, reason: line("reason", reason)? }
        }
        wire::Change::AddCredential(wire::AddCredential { client, credential }) => {
            let client = name("client", client)?;
            Change::AddCredential { client, credential: new_credential(credential)? }
        }
        wire::Change::Revoke(wire::Revoke { target: wanted, reason }) => {
            Change::Revoke { target: target(wanted)?, reason: line("reason", reason)? }
        }
        wire::Change::Suspend(wire::Suspend { target, until, reason }) => {
            let until = until.as_deref().map(|until| time("until", until)).transpose()?;
            let until = until.unwrap_or(UnixMicros::FOREVER);
            Change::Suspend { target: suspendable(target)?, until, reason: line("reason", reason)? }
        }
        wire::Change::Resume(wire::Resume { target, reason }) => {
            let reason = reason.as_deref().map(|reason| line("reason", reason)).transpose()?;
            Change::Resume { target: suspendable(target)?, reason }
        }
        wire::Change::Quarantine(new) => Change::Quarantine(quarantine::quarantine(new)?),
        wire::Change::EndQuarantine(end) => Change::EndQuarantine(quarantine::end(end)?),
        wire::Change::Apply(wire::Apply { client }) => {
            let parsed = client.iter().map(|new| {
                new_client(new)
                    .map_err(|BadValue(why)| BadValue(format!("client '{}': {why}", new.id)))
            });
            Change::Apply(parsed.collect::<Result<_, _>>()?)
        }
    })
}

/// A date, which ends with its last microsecond in UTC, or a time with its offset (RFC 3339).
pub fn time(field: &str, text: &str) -> Result<UnixMicros, BadValue> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Ok(UnixMicros(time.as_microsecond()));
    }
    let date = Date::strptime("%Y-%m-%d", text).ok().and_then(|date| date.tomorrow().ok());
    let next = date.and_then(|next| next.to_zoned(TimeZone::UTC).ok());
    match next {
        Some(next) => Ok(UnixMicros(next.timestamp().as_microsecond() - 1)),
        None => Err(bad(field, text, "is neither a date (2027-01-31) nor a time (RFC 3339)")),
    }
}

pub fn name<Kind>(field: &str, text: &str) -> Result<Name<Kind>, BadValue> {
    Name::parse(text).map_err(|why| bad(field, text, why))
}

pub fn credential_id(text: &str) -> Result<CredentialId, BadValue> {
    let id = CredentialId::parse(text);
    id.ok_or_else(|| bad("credential", text, "is not the id of a credential: 12 of 0-9, A-Z, a-z"))
}

fn new_client(new: &wire::NewClient) -> Result<NewClient, BadValue> {
    let kind = ClientKind::parse(&new.kind);
    Ok(NewClient {
        id: name("id", &new.id)?,
        kind: kind
            .ok_or_else(|| bad("kind", &new.kind, "is none of app, partner, service, agent"))?,
        owner: line("owner", &new.owner)?,
        purpose: line("purpose", &new.purpose)?,
        expires: expires(new.expires.as_deref(), new.no_expiry.then_some(Expires::Never))?,
        terms: terms(&new.products, &new.scopes, new.plan.as_deref(), new.presentation.as_deref())?,
        profiles: new.profile.iter().map(new_profile).collect::<Result<_, _>>()?,
        credentials: new.credential.iter().map(new_credential).collect::<Result<_, _>>()?,
    })
}

fn new_profile(new: &wire::NewProfile) -> Result<NewProfile, BadValue> {
    let wire::NewProfile { name: text, products, scopes, plan, presentation } = new;
    Ok(NewProfile {
        name: name("profile", text)?,
        terms: terms(products, scopes, plan.as_deref(), presentation.as_deref())?,
    })
}

fn terms(
    products: &[String],
    scopes: &[String],
    plan: Option<&str>,
    presentation: Option<&str>,
) -> Result<Terms, BadValue> {
    Ok(Terms {
        products: products.iter().map(|text| name("product", text)).collect::<Result<_, _>>()?,
        scopes: scope_set(scopes)?,
        plan: plan.map(|plan| name("plan", plan)).transpose()?,
        presentation: presentation.map(presentation_of).transpose()?,
    })
}

fn presentation_of(text: &str) -> Result<Presentation, BadValue> {
    let why = "is none of direct, search, auto";
    Presentation::parse(text).ok_or_else(|| bad("presentation", text, why))
}

fn new_credential(new: &wire::NewCredential) -> Result<NewCredential, BadValue> {
    let wire::NewCredential { profile, holder, expires, .. } = new;
    Ok(NewCredential {
        profile: profile_or_default(profile.as_deref())?,
        holder: holder.as_deref().map(|holder| line("holder", holder)).transpose()?,
        expires: expires.as_deref().map(|expires| time("expires", expires)).transpose()?,
        key: key_source(new)?,
    })
}

fn key_source(new: &wire::NewCredential) -> Result<KeySource, BadValue> {
    match (new.issue, &new.environment, &new.id, &new.secret_sha256) {
        (true, None, None, None) => Ok(KeySource::Issued(Environment::default())),
        (true, Some(text), None, None) => {
            let environment = Environment::parse(text);
            let why = "is not 2 to 10 of a-z";
            environment.map(KeySource::Issued).ok_or_else(|| bad("environment", text, why))
        }
        (false, None, Some(id), Some(hash)) => {
            let secret_sha256 = sha256(hash).ok_or_else(|| {
                BadValue(format!("secret_sha256 of credential '{id}' is not 64 hex digits"))
            })?;
            Ok(KeySource::Known { id: credential_id(id)?, secret_sha256 })
        }
        _ => Err(BadValue(
            "a credential has either 'issue = true', if need be with 'environment', or both 'id' \
             and 'secret_sha256'"
                .into(),
        )),
    }
}

fn client_change(change: &wire::ClientChange) -> Result<ClientChange, BadValue> {
    let wire::ClientChange { id, owner, purpose, profile, plan, no_plan, scopes, .. } = change;
    let plan = match (plan, no_plan) {
        (None, false) => None,
        (None, true) => Some(PlanChoice::None),
        (Some(plan), false) => Some(PlanChoice::Named(name("plan", plan)?)),
        (Some(_), true) => return Err(BadValue("a plan is either named or none".into())),
    };
    let presentation = match change.presentation.as_deref() {
        Some("config") => Some(PresentationChoice::OfConfig),
        Some(text) => Some(PresentationChoice::Own(presentation_of(text)?)),
        None => None,
    };
    let scopes = scopes.as_deref().map(scope_set).transpose()?;
    let terms = if plan.is_some() || presentation.is_some() || scopes.is_some() {
        let profile = profile_or_default(profile.as_deref())?;
        Some(TermsChange { profile, plan, presentation, scopes })
    } else if profile.is_some() {
        return Err(BadValue("of a profile, give the new plan, presentation or scopes".into()));
    } else {
        None
    };
    let change = ClientChange {
        id: name("client", id)?,
        owner: owner.as_deref().map(|owner| line("owner", owner)).transpose()?,
        purpose: purpose.as_deref().map(|purpose| line("purpose", purpose)).transpose()?,
        expires: expires(change.expires.as_deref(), change.no_expiry.then_some(Expires::Never))?,
        terms,
    };
    let ClientChange { owner: None, purpose: None, expires: None, terms: None, .. } = change else {
        return Ok(change);
    };
    Err(BadValue(
        "nothing to change: give an owner, a purpose, an expiry, a plan, a presentation or scopes"
            .into(),
    ))
}

fn new_grant(add: &wire::AddGrant) -> Result<NewGrant, BadValue> {
    let wire::AddGrant { client, profile, product, until, reason } = add;
    Ok(NewGrant {
        grant: grant_id(client, profile.as_deref(), product)?,
        until: until.as_deref().map(|until| time("until", until)).transpose()?,
        reason: reason.as_deref().map(|reason| line("reason", reason)).transpose()?,
    })
}

fn grant_id(client: &str, profile: Option<&str>, product: &str) -> Result<GrantId, BadValue> {
    Ok(GrantId {
        client: name("client", client)?,
        profile: profile_or_default(profile)?,
        product: name("product", product)?,
    })
}

fn target(target: &wire::Target) -> Result<Target, BadValue> {
    Ok(match target {
        wire::Target::Client(id) => Target::Client(name("client", id)?),
        wire::Target::Credential(id) => Target::Credential(credential_id(id)?),
        wire::Target::Profile(text) => {
            let Some((client, profile)) = text.split_once('/') else {
                return Err(bad("profile", text, "is not CLIENT/PROFILE"));
            };
            Target::Profile { client: name("client", client)?, profile: name("profile", profile)? }
        }
    })
}

fn suspendable(target: &wire::Suspendable) -> Result<Suspendable, BadValue> {
    Ok(match target {
        wire::Suspendable::Client(id) => Suspendable::Client(name("client", id)?),
        wire::Suspendable::Credential(id) => Suspendable::Credential(credential_id(id)?),
    })
}

fn expires(at: Option<&str>, never: Option<Expires>) -> Result<Option<Expires>, BadValue> {
    match (at, never) {
        (None, never) => Ok(never),
        (Some(at), None) => Ok(Some(Expires::At(time("expires", at)?))),
        (Some(_), Some(_)) => Err(BadValue("an expiry is either a date or none".into())),
    }
}

fn profile_or_default(text: Option<&str>) -> Result<ProfileName, BadValue> {
    text.map_or_else(|| Ok(ProfileName::default()), |text| name("profile", text))
}

fn scope_set(scopes: &[String]) -> Result<BTreeSet<Scope>, BadValue> {
    let parse = |text: &String| {
        let why = "is not a scope: 1 to 128 printable characters without space, '\"' and '\\'";
        Scope::parse(text).ok_or_else(|| bad("scope", text, why))
    };
    scopes.iter().map(parse).collect()
}

fn line(field: &str, text: &str) -> Result<Line, BadValue> {
    Line::parse(text).map_err(|why| BadValue(format!("{field} {why}")))
}

/// Why somebody acts.
pub fn reason(text: &str) -> Result<Line, BadValue> {
    line("reason", text)
}

fn sha256(hex: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let mut hash = [0; 32];
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    if pairs.len() != hash.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in hash.iter_mut().zip(pairs) {
        *byte = digit(*high)? * 16 + digit(*low)?;
    }
    Some(hash)
}

/// Longest value that an error repeats, in characters.
const SHOWN_CHARS_MAX: usize = 80;

fn bad(field: &str, text: &str, why: impl fmt::Display) -> BadValue {
    let shown: String = text.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_debug).collect();
    BadValue(format!("{field} '{shown}' {why}"))
}
