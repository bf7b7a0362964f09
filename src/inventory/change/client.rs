//! A change of a client that there is: what is named gets a new value, and the rest stays.

use std::collections::BTreeSet;

use super::{Expires, Line};
use crate::model::id::{ClientId, PlanName, ProfileName, Scope};
use crate::model::mcp::Presentation;

/// New values; None leaves what is.
#[derive(Debug)]
pub struct ClientChange {
    pub id: ClientId,
    pub owner: Option<Line>,
    pub purpose: Option<Line>,
    pub expires: Option<Expires>,
    pub terms: Option<TermsChange>,
}

/// New terms of one profile.
#[derive(Debug)]
pub struct TermsChange {
    pub profile: ProfileName,
    pub plan: Option<PlanChoice>,
    pub presentation: Option<PresentationChoice>,
    pub scopes: Option<BTreeSet<Scope>>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PlanChoice {
    Named(PlanName),
    None,
}

/// How a profile's agents are shown their tools.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PresentationChoice {
    Own(Presentation),
    OfConfig,
}
