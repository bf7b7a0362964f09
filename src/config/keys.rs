//! The keys that the loader reads, noted as it reads them. The commented reference and the editor
//! schema are checked against this list, so neither can name a key that nothing enforces.

use std::cell::RefCell;
use std::collections::BTreeMap;

/// Every key that was asked for, by its path (`upstream.timeouts.connect`), with its bounds as the
/// reference words them; empty when it has none.
#[derive(Default)]
pub(super) struct Keys(RefCell<BTreeMap<String, String>>);

impl Keys {
    pub(super) fn note(&self, section: &str, key: &str, bounds: String) {
        let dot = if section.is_empty() { "" } else { "." };
        self.0.borrow_mut().insert(format!("{section}{dot}{key}"), bounds);
    }

    pub(super) fn into_list(self) -> BTreeMap<String, String> {
        self.0.into_inner()
    }
}
