//! Stage 3, identity and operation to permit: deny by default. The only maker of [`Permit`].

use std::net::IpAddr;
use std::sync::Arc;

use crate::model::api::{Access, Api, Effect, Operation};
use crate::model::client::Profile;
use crate::model::denial::{Advice, Denial, Refusal};
use crate::model::id::{ProductName, Scope};
use crate::model::time::Now;

use super::identify::{Identified, Known};
use super::policy::Cleared;
use super::quarantine;

/// Proof that this caller may call this operation.
///
/// Nothing else can make one:
/// ```compile_fail,E0451
/// use onegate::request::authorize::Permit;
/// fn forge(permit: Permit) -> Permit {
///     Permit { product: None, ..permit }
/// }
/// ```
/// and it cannot be copied to serve two requests:
/// ```compile_fail,E0599
/// fn twice(permit: onegate::request::authorize::Permit) -> [onegate::request::authorize::Permit; 2] {
///     [permit.clone(), permit]
/// }
/// ```
#[derive(Debug)]
pub struct Permit {
    identified: Identified,
    source_ip: Option<IpAddr>,
    api: Arc<Api>,
    operation: Arc<Operation>,
    effect: Effect,
    product: Option<ProductName>,
}

impl Permit {
    pub fn known(&self) -> Option<&Known> {
        self.identified.known()
    }

    /// The address that the api's rules admitted.
    pub fn source_ip(&self) -> Option<IpAddr> {
        self.source_ip
    }

    pub fn api(&self) -> &Arc<Api> {
        &self.api
    }

    pub fn operation(&self) -> &Arc<Operation> {
        &self.operation
    }

    /// Whether the call only reads.
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// The granted product that contains the operation, first in config order; none where the api
    /// is public.
    pub fn product(&self) -> Option<&ProductName> {
        self.product.as_ref()
    }
}

/// Permits the call when a live grant names a product that contains the operation and the
/// profile's scopes cover the operation's, or when the api is public; and no quarantine of the client takes it
/// away.
pub fn authorize(
    cleared: Cleared,
    api: &Arc<Api>,
    operation: &Arc<Operation>,
    effect: Effect,
    now: Now,
) -> Result<Permit, Refusal> {
    let (identified, source_ip) = cleared.into_parts();
    let product = may(identified.known(), operation, effect, now)?;
    let (api, operation) = (Arc::clone(api), Arc::clone(operation));
    Ok(Permit { identified, source_ip, api, operation, effect, product })
}

/// What [`authorize`] asks, for those who only tell what it would say: nothing can be forwarded with the
/// answer. The product that grants the call, if it takes one.
pub fn may(
    known: Option<&Known>,
    operation: &Operation,
    effect: Effect,
    now: Now,
) -> Result<Option<ProductName>, Refusal> {
    let product = granted(known, operation, now)?;
    if let Some(held) = known.and_then(|known| known.client.quarantine.as_deref()) {
        quarantine::permits(held, operation, effect, now)?;
    }
    Ok(product)
}

/// Whether it is the caller's to call, quarantine or not.
fn granted(
    known: Option<&Known>,
    operation: &Operation,
    now: Now,
) -> Result<Option<ProductName>, Refusal> {
    let access = operation.api.access;
    if access == Access::Public {
        return Ok(None);
    }
    let Some(known) = known else {
        return Err(Refusal::new(Denial::CredentialMissing, "the api is not public"));
    };
    if access == Access::Identified {
        return Ok(None);
    }
    let product = granted_product(&known.profile, operation, now)?;
    covers(&known.profile.scopes, &operation.scopes)?;
    Ok(Some(product))
}

fn granted_product(
    profile: &Profile,
    operation: &Operation,
    now: Now,
) -> Result<ProductName, Refusal> {
    let mut expired = false;
    for product in &operation.products {
        for grant in profile.grants.iter().filter(|grant| grant.product == *product) {
            if grant.until.is_none_or(|until| until > now.wall) {
                return Ok(product.clone());
            }
            expired = true;
        }
    }
    Err(Refusal::new(
        Denial::NotGranted,
        if operation.products.is_empty() {
            "the operation is in no product"
        } else if expired {
            "the grant has expired"
        } else {
            "no granted product contains the operation"
        },
    ))
}

fn covers(have: &[Scope], need: &[Scope]) -> Result<(), Refusal> {
    let lacks = |scope: &&Scope| !have.contains(scope);
    if !need.iter().any(|scope| lacks(&scope)) {
        return Ok(());
    }
    let missing: Box<[Scope]> = need.iter().filter(lacks).cloned().collect();
    let advice = Advice::Scopes(missing);
    Err(Refusal::advising(Denial::InsufficientScope, advice, "the profile lacks scopes"))
}
