//! The rest of a line, for who looks at one record and not at many.

use serde::Deserialize;
use serde_json::Value;

use super::Text;

/// What a record says beside what all readers look at.
#[derive(Debug, Deserialize)]
pub struct Whole<'a> {
    #[serde(borrow)]
    pub profile: Option<Text<'a>>,
    #[serde(borrow)]
    pub holder: Option<Text<'a>>,
    #[serde(borrow)]
    pub agent: Option<Text<'a>>,
    #[serde(borrow)]
    pub host: Option<Text<'a>>,
    #[serde(borrow)]
    pub product: Option<Text<'a>>,
    #[serde(borrow)]
    pub reason: Option<Text<'a>>,
    #[serde(borrow)]
    pub limit: Option<Text<'a>>,
    #[serde(borrow)]
    pub shadow_limit: Option<Text<'a>>,
    #[serde(borrow)]
    pub end: Option<Text<'a>>,
    #[serde(borrow)]
    pub policy: Option<Text<'a>>,
    #[serde(borrow)]
    pub reason_given: Option<Text<'a>>,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

impl<'a> Whole<'a> {
    /// Of a line that was read before.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }
}
