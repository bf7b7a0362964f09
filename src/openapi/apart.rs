//! Names of operations that come to the same: each gets one of its own, and what cannot is left out.

use std::collections::BTreeMap;

use super::document::Found;
use super::problems::Problems;
use super::{Problem, Withheld, names};

/// Operations that come to one name all get a mark of their own.
pub fn name(found: &mut Vec<Found<'_>>, withheld: &mut Vec<Withheld>, problems: &mut Problems) {
    let mut by_id: BTreeMap<Box<str>, Vec<usize>> = BTreeMap::new();
    for (at, found) in found.iter().enumerate() {
        by_id.entry(found.described.id.clone()).or_default().push(at);
    }
    for (id, alike) in by_id.into_iter().filter(|(_, alike)| alike.len() > 1) {
        let of = |at: &usize| found.get(*at).map(|found| found.name.clone());
        let names: Vec<String> = alike.iter().filter_map(of).take(5).collect();
        for found in alike.iter().filter_map(|at| found.get(*at)) {
            let message = format!("{} would all be {id:?}: each gets a mark", names.join(", "));
            problems.push(Problem::warning(
                &found.described.at,
                message,
                "give each an `operationId` of its own",
            ));
        }
        for at in alike {
            let Some(found) = found.get_mut(at) else { continue };
            let method = found.described.method.as_str();
            let apart = names::operation_apart(&id, found.operation_id, method, found.path);
            found.described.id = apart.into();
        }
    }
    drop_still_alike(found, withheld, problems);
}

/// A name may still be another's: by a hash that is alike, or by an id that looks like one.
fn drop_still_alike(
    found: &mut Vec<Found<'_>>,
    withheld: &mut Vec<Withheld>,
    problems: &mut Problems,
) {
    let mut known: BTreeMap<Box<str>, usize> = BTreeMap::new();
    for found in &*found {
        *known.entry(found.described.id.clone()).or_default() += 1;
    }
    found.retain(|found| {
        let alone = known.get(&found.described.id) == Some(&1);
        if !alone {
            let message =
                format!("{}: its name {:?} is another's too", found.name, found.described.id);
            problems.push(Problem::warning(
                &found.described.at,
                message,
                "give it an `operationId` of its own: it is left out",
            ));
            withheld.push(found.withheld());
        }
        alone
    });
}
