//! Deliberate faults of MCP, compiled into tests only: each breaks what `parity` is to prove, and it must find
//! each. A process commits at most one, for as long as it lives.

use std::sync::OnceLock;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::model::denial::{Denial, Refusal};
use crate::model::record::Surface;
use crate::model::snapshot::Snapshot;
use crate::model::time::Now;
use crate::request::limit::Admitted;
use crate::request::{self, Ask, Seen, Unadmitted};

/// What is done wrong.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sabotage {
    None,
    /// Limits are charged twice.
    ChargeTwice,
    /// An operation that asks for a scope asks for one more.
    AskForMore,
    /// A field reaches the upstream that is none of its business.
    LeakField,
    /// The record does not say who called.
    ForgetClient,
}

impl Sabotage {
    pub const ALL: [Self; 5] =
        [Self::None, Self::ChargeTwice, Self::AskForMore, Self::LeakField, Self::ForgetClient];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ChargeTwice => "charge-twice",
            Self::AskForMore => "ask-for-more",
            Self::LeakField => "leak-field",
            Self::ForgetClient => "forget-client",
        }
    }

    /// From now on, in this process.
    pub fn begin(self) {
        COMMITTED.set(self).unwrap_or_default();
    }

    fn is_committed(self, surface: Surface) -> bool {
        surface == Surface::Mcp && COMMITTED.get() == Some(&self)
    }
}

static COMMITTED: OnceLock<Sabotage> = OnceLock::new();

pub fn decide(
    snapshot: &Snapshot,
    ask: &Ask<'_>,
    now: Now,
    seen: &mut Seen,
    surface: Surface,
) -> Result<Admitted, Unadmitted> {
    if Sabotage::ChargeTwice.is_committed(surface) {
        drop(request::decide(snapshot, ask, now, &mut Seen::default()));
    }
    let admitted = request::decide(snapshot, ask, now, seen);
    if Sabotage::ForgetClient.is_committed(surface) {
        seen.caller = None;
    }
    let admitted = admitted?;
    if Sabotage::AskForMore.is_committed(surface) && !admitted.operation().scopes.is_empty() {
        return Err(
            Refusal::new(Denial::InsufficientScope, "a scope that REST asks nobody for").into()
        );
    }
    Ok(admitted)
}

pub fn fields(fields: &mut HeaderMap, surface: Surface) {
    if Sabotage::LeakField.is_committed(surface) {
        let name = HeaderName::from_static("x-agent-session");
        fields.append(name, HeaderValue::from_static("leaked"));
    }
}
