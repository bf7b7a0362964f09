//! Quarantines, as the admin socket takes and tells them.

use serde::{Deserialize, Serialize};

/// One kind of quarantine: `reads_only`, a `rate` or `operations`.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NewQuarantine {
    pub client: String,
    #[serde(default)]
    pub reads_only: bool,
    /// `5` a second, or `5/1m`.
    pub rate: Option<String>,
    #[serde(default)]
    pub operations: Vec<String>,
    /// As `expires` of a client.
    pub until: String,
    pub reason: String,
}

/// Of the operations that are named, or of everything.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct EndQuarantine {
    pub client: String,
    #[serde(default)]
    pub operations: Vec<String>,
    pub reason: String,
}

/// One that is in force.
#[derive(Debug, Deserialize, Serialize)]
pub struct Quarantine {
    /// `reads_only`, `rate` or `operation`.
    pub kind: String,
    /// `5/1m`; none of other kinds.
    pub rate: Option<String>,
    /// None of other kinds.
    pub operation: Option<String>,
    pub until: String,
    pub reason: String,
    pub actor: String,
    pub created: String,
}
