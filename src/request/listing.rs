//! What a caller's permit would allow, for lists of tools and searches in them. It tells and forwards nothing: a
//! call of what stands in a list is decided like any other, and so is a call of what does not.

use std::sync::Arc;

use ahash::AHashSet;

use crate::model::api::{Api, Effect};
use crate::model::denial::{Denial, Refusal};
use crate::model::id::{ApiName, ClientId, ProductName};
use crate::model::mcp::{Mcp, Presentation, Shown};
use crate::model::policy::Policy;
use crate::model::snapshot::Snapshot;
use crate::model::time::Now;
use crate::model::tool::{Catalogue, Tool};

use super::identify::{Identified, Known};
use super::{Call, authorize, classify, identify, policy};

/// What a caller wants to be shown of all that it may call: it says so where it connects.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Narrowing {
    /// Of this product only.
    pub product: Option<ProductName>,
    /// None: whatever they do.
    pub effect: Option<Effect>,
}

impl Narrowing {
    /// Of a request to the endpoint: `/mcp/PRODUCT?readonly=true`, each part as it likes. What cannot be meant is
    /// refused, because a list that is wider than was asked for would be believed.
    pub fn of(policy: &Policy, mcp: &Mcp, path: &str, query: &str) -> Result<Self, Refusal> {
        if path.len() == mcp.path.len() && query.is_empty() {
            return Ok(Self::default());
        }
        let name = mcp.below(path).flatten();
        let product = name.map(|name| {
            let found = policy.products.iter().find(|product| product.name.as_str() == name);
            found.map(|product| product.name.clone()).ok_or_else(|| {
                Refusal::new(Denial::NotFound, "the endpoint's path names no product of the config")
            })
        });
        Ok(Self { product: product.transpose()?, effect: effect_of(query)? })
    }

    fn lets(&self, tool: &Tool) -> bool {
        let of_product = |product| tool.operation.products.contains(product);
        self.product.as_ref().is_none_or(of_product)
            && self.effect.is_none_or(|effect| effect == tool.effect())
    }
}

/// `readonly` of a query.
fn effect_of(query: &str) -> Result<Option<Effect>, Refusal> {
    let mut said = None;
    for parameter in query.trim_start_matches('?').split('&') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        if !name.eq_ignore_ascii_case("readonly") {
            continue;
        }
        if name != "readonly" {
            return Err(malformed("readonly is written in small letters"));
        }
        let effect = match value {
            "true" => Some(Effect::Reads),
            "false" => None,
            _ => return Err(malformed("readonly is neither true nor false")),
        };
        if said.replace(effect).is_some() {
            return Err(malformed("readonly is there more than once"));
        }
    }
    Ok(said.flatten())
}

fn malformed(reason: &'static str) -> Refusal {
    Refusal::new(Denial::MalformedRequest, reason)
}

/// Who looks at a catalogue, and what is shown to it.
#[derive(Debug)]
pub struct Sight<'s> {
    identified: Identified,
    place: Place<'s>,
    narrowing: &'s Narrowing,
    now: Now,
}

/// From where.
#[derive(Debug)]
enum Place<'s> {
    /// Any host and any address.
    Anywhere,
    /// A host that serves `here`, and an address that `admitting` admit.
    At { here: AHashSet<&'s ApiName>, admitting: AHashSet<&'s ApiName> },
}

const ALL: &Narrowing = &Narrowing { product: None, effect: None };

impl<'s> Sight<'s> {
    /// Of a caller under a host of the endpoint. Its limits are not asked. None: its credential is not taken any more.
    pub fn of_caller(
        snapshot: &'s Snapshot,
        mcp: &Api,
        (caller, host): (&Call, &'s str),
        narrowing: &'s Narrowing,
        now: Now,
    ) -> Option<Self> {
        let identified = identify::again(snapshot, mcp, caller.credential, now).ok()?;
        let admits = |api: &&Arc<Api>| policy::admits(api, caller.source_ip).is_ok();
        let admitting = snapshot.policy.apis.iter().filter(admits).map(|api| &api.name).collect();
        let here = classify::apis_at(&snapshot.policy.hosts, host).map(|api| &api.name).collect();
        Some(Self { identified, place: Place::At { here, admitting }, narrowing, now })
    }

    /// Of a client's profile, wherever it calls from. None where no credential of it would be taken.
    pub fn of_profile(
        snapshot: &'s Snapshot,
        (client, profile): (&ClientId, &str),
        now: Now,
    ) -> Option<Self> {
        let identified = identify::assumed(snapshot, client, profile, now).ok()?;
        Some(Self { identified, place: Place::Anywhere, narrowing: ALL, now })
    }

    pub fn sees(&self, tool: &Tool) -> bool {
        let is_served = match &self.place {
            Place::Anywhere => true,
            Place::At { here, admitting } => {
                let api = &tool.operation.api.name;
                admitting.contains(api) && (tool.host.is_some() || here.contains(api))
            }
        };
        is_served && self.narrowing.lets(tool) && may_call(self.identified.known(), tool, self.now)
    }

    /// In order of their names.
    pub fn tools<'c>(&self, catalogue: &'c Catalogue) -> Vec<&'c Arc<Tool>> {
        catalogue.tools().iter().filter(|tool| self.sees(tool)).collect()
    }

    /// How `tools`, which are those that it sees, are shown.
    pub fn shown(&self, mcp: &Mcp, tools: &[&Arc<Tool>]) -> Shown {
        let bytes = tools.iter().map(|tool| tool.definition.len()).sum();
        self.presentation(mcp).shown(tools.len(), bytes)
    }

    /// The profile's own, or else the config's.
    pub fn presentation(&self, mcp: &Mcp) -> Presentation {
        let own = |known: &Known| known.profile.presentation;
        self.identified.known().and_then(own).unwrap_or(mcp.presentation)
    }
}

fn may_call(known: Option<&Known>, tool: &Tool, now: Now) -> bool {
    authorize::may(known, &tool.operation, tool.effect(), now).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_alone_are_asked_for_plainly_or_not_at_all() {
        let check = |query: &str, expected: Option<Option<Effect>>| {
            assert_eq!(effect_of(query).ok(), expected, "{query}");
        };
        check("", Some(None));
        check("?", Some(None));
        check("?readonly=true", Some(Some(Effect::Reads)));
        check("?readonly=false", Some(None));
        check("?a=b&readonly=true&c", Some(Some(Effect::Reads)));
        for bad in [
            "?readonly",
            "?readonly=",
            "?readonly=yes",
            "?READONLY=true",
            "?readonly=true&readonly=true",
        ] {
            check(bad, None);
        }
    }
}
