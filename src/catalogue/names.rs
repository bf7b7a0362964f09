//! Names of tools: `api_operation`, the same whatever else there is. A name that is too long, or that two
//! operations would have, ends in a hash of what it stands for, so that no order and no count decides.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::hex;
use crate::model::id::OperationId;
use crate::model::mcp::MetaTool;

/// Of a name that is given. Clients put their own prefix before it, and cut or refuse what gets long.
pub const NAME_BYTES_MAX: usize = 64;
/// Of a name that is made.
const MADE_BYTES_MAX: usize = 48;
/// Digits of the hash that a name ends in, by how often it met another. The last leaves no room for more.
const DIGITS: [usize; 4] = [0, 8, 16, 40];

/// What a tool shall be called.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub(super) operation: OperationId,
    /// Given in the config: nobody else has it.
    pub(super) name: Option<Box<str>>,
}

/// One name for each, in their order.
pub(super) fn assign(wanted: &[Wanted]) -> Vec<Box<str>> {
    let mut met = vec![0; wanted.len()];
    loop {
        let names: Vec<Box<str>> =
            wanted.iter().zip(&met).map(|(wanted, met)| name(wanted, *met)).collect();
        // The tools that stand for all others were first.
        let taken = MetaTool::ALL.map(|tool| (tool.name(), 1));
        let mut holders: BTreeMap<&str, usize> = BTreeMap::from(taken);
        for name in &names {
            *holders.entry(name).or_default() += 1;
        }
        let mut again = false;
        for ((wanted, name), met) in wanted.iter().zip(&names).zip(&mut met) {
            let is_shared = holders.get(&**name).is_some_and(|holders| *holders > 1);
            // All of them move, not the later: which is later is nobody's business.
            if is_shared && wanted.name.is_none() && *met + 1 < DIGITS.len() {
                *met += 1;
                again = true;
            }
        }
        if !again {
            return names;
        }
    }
}

fn name(wanted: &Wanted, met: usize) -> Box<str> {
    if let Some(given) = &wanted.name {
        return given.clone();
    }
    let full = full_name(&wanted.operation);
    match DIGITS.get(met).copied().filter(|digits| *digits > 0) {
        Some(digits) => with_hash(&full, wanted.operation.as_str(), digits),
        None if full.len() > MADE_BYTES_MAX => with_hash(&full, &full, 8),
        None => full.into(),
    }
}

/// Ids are lower-case ASCII: only their dots have to go.
fn full_name(operation: &OperationId) -> String {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    operation.as_str().chars().map(|c| if good(c) { c } else { '_' }).collect()
}

fn with_hash(full: &str, of: &str, digits: usize) -> Box<str> {
    let hash = hex(&Sha256::digest(of.as_bytes()), digits / 2);
    let kept = full.len().min(MADE_BYTES_MAX - digits - 1);
    let kept = full.get(..kept).unwrap_or_default();
    format!("{kept}_{hash}").into()
}
