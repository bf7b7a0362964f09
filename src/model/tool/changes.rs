//! What another config makes of the tools: an agent may have been shown what has changed since, so that
//! it changed is worth a record.

use std::sync::Arc;

use super::{Catalogue, Tool};

/// Names with digests of their definitions, in order of the names.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Changes {
    pub added: Vec<Version>,
    pub removed: Vec<Version>,
    /// As they were, and as they are.
    pub changed: Vec<(Version, Version)>,
}

/// One tool as a client may know it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Version {
    pub name: Box<str>,
    pub digest: Arc<str>,
}

impl Version {
    fn of(tool: &Tool) -> Self {
        Self { name: tool.name.clone(), digest: tool.digest.clone() }
    }
}

impl Changes {
    pub const fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

impl Catalogue {
    /// What differs in this catalogue from the one before.
    pub fn changes(&self, old: &Self) -> Changes {
        let mut changes = Changes::default();
        for tool in self.tools() {
            match old.get(&tool.name) {
                None => changes.added.push(Version::of(tool)),
                Some(before) if before.digest != tool.digest => {
                    changes.changed.push((Version::of(before), Version::of(tool)));
                }
                Some(_) => {}
            }
        }
        let gone = old.tools().iter().filter(|tool| self.get(&tool.name).is_none());
        changes.removed = gone.map(|tool| Version::of(tool)).collect();
        changes
    }
}
