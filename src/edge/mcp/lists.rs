//! Lists of tools that were joined before. Callers who see the same tools share them; nothing is
//! rendered for a request unless it is the first that sees its set.

use std::sync::{Arc, Mutex, PoisonError};

use ahash::AHashMap;

use crate::mcp::meta;
use crate::mcp::reply::{self, Page};
use crate::model::mcp::Shown;
use crate::model::tool::{Catalogue, Tool};

/// Most sets of tools that are kept, and most bytes of their lists.
const SETS_MAX: usize = 256;
const BYTES_MAX: usize = 64 << 20;

/// Pages by what is on them.
#[derive(Debug, Default)]
pub struct Lists(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    pages: AHashMap<Key, Page>,
    bytes: usize,
}

#[derive(Debug, Eq, Hash, PartialEq)]
struct Key {
    /// Of the catalogue: a reload that changes a definition changes it.
    catalogue: Box<str>,
    /// A bit for each tool of the catalogue, set for those on the page or after it.
    tools: Box<[u64]>,
    shown: Shown,
}

impl Lists {
    /// The page of `visible` that begins after the name `after`; where they are shown by what stands for them, that.
    pub fn page(
        &self,
        catalogue: &Catalogue,
        (visible, shown): (&[&Arc<Tool>], Shown),
        after: &str,
    ) -> Page {
        // Those that stand for all are on one page.
        let after = if shown == Shown::Search { "" } else { after };
        let begins = visible.partition_point(|tool| *tool.name <= *after);
        let rest = visible.get(begins..).unwrap_or_default();
        let key = Key { catalogue: catalogue.digest.clone(), tools: bits(catalogue, rest), shown };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(page) = kept.pages.get(&key) {
            return page.clone();
        }
        drop(kept);
        let tools = rest.iter().map(|tool| &***tool);
        let page = match shown {
            Shown::Each => reply::page(catalogue, tools),
            Shown::Search => meta::page(tools),
        };
        kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.pages.len() >= SETS_MAX || kept.bytes + page.tools.len() > BYTES_MAX {
            *kept = Kept::default();
        }
        kept.bytes += page.tools.len();
        kept.pages.insert(key, page.clone());
        page
    }
}

/// Both are in order of names.
fn bits(catalogue: &Catalogue, tools: &[&Arc<Tool>]) -> Box<[u64]> {
    let mut bits = vec![0_u64; catalogue.tools().len().div_ceil(64)];
    let mut wanted = tools.iter().peekable();
    for (at, tool) in catalogue.tools().iter().enumerate() {
        if wanted.next_if(|next| Arc::ptr_eq(next, tool)).is_some()
            && let Some(word) = bits.get_mut(at / 64)
        {
            *word |= 1 << (at % 64);
        }
    }
    bits.into()
}
