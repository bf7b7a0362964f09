//! What the audit is told of an act: one of the inventory, or one that changes nothing there.

use super::Line;
use crate::inventory::describe;
use crate::model::id::ClientId;
use crate::model::plan::Mode;
use crate::model::record::JsonText;
use crate::model::tool::Catalogue;

/// What the audit is told of one act.
#[derive(Debug)]
pub struct Act {
    pub action: &'static str,
    pub target: String,
    pub reason: Option<Line>,
    pub before: Option<JsonText>,
    pub after: Option<JsonText>,
    pub succeeded: bool,
}

impl Act {
    /// A reload of the config, from one snapshot's label to another's; None when it was refused.
    pub fn reload(before: &str, after: Option<&str>) -> Self {
        let policy = |label: &str| describe::fields(vec![("policy", label.into())]);
        Self {
            action: "config.reload",
            target: "config".into(),
            reason: None,
            before: Some(policy(before)),
            after: after.map(policy),
            succeeded: after.is_some(),
        }
    }
}

impl Act {
    /// A reload changed what agents are shown; None when it did not.
    pub fn catalogue(before: &Catalogue, after: &Catalogue) -> Option<Self> {
        let changes = after.changes(before);
        let (was, is) = describe::catalogues(before, after, &changes);
        (!changes.is_empty()).then(|| Self {
            action: "catalogue.change",
            target: "catalogue".into(),
            reason: None,
            before: Some(was),
            after: Some(is),
            succeeded: true,
        })
    }

    /// The loop brake came on for what no quarantine can be of, or only watches.
    pub fn loop_brake(client: &ClientId, of: &str, mode: Mode, reason: Line) -> Self {
        let after = vec![("of", of.into()), ("mode", mode.as_str().into())];
        Self {
            action: "client.loop_brake",
            target: format!("client/{client}"),
            reason: Some(reason),
            before: None,
            after: Some(describe::fields(after)),
            succeeded: true,
        }
    }

    /// The audit is signed with another key; None where the disk refuses, and it will be later.
    pub fn rotate_key(from: &str, to: Option<&str>, reason: Line) -> Self {
        let key = |key: &str| describe::fields(vec![("key", key.into())]);
        Self {
            action: "audit.rotate_key",
            target: "audit".into(),
            reason: Some(reason),
            before: Some(key(from)),
            after: to.map(key),
            succeeded: to.is_some(),
        }
    }
}
