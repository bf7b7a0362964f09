//! Operations of one document that would have each other's requests: none of them is served.

use std::collections::BTreeMap;

use super::document::Found;
use super::problems::Problems;
use super::text::quoted;
use super::{Problem, Reach, Withheld};

/// Moves what has the paths and the method of another to `withheld`. Where only the other cannot be used, and
/// is withheld in more paths than its own, nobody can say whose a request is: an error.
pub fn settle(found: &mut Vec<Found<'_>>, withheld: &mut Vec<Withheld>, problems: &mut Problems) {
    let mut by_shape: BTreeMap<String, Shared> = BTreeMap::new();
    for (at, found) in found.iter().enumerate() {
        by_shape.entry(found.described.template.shape()).or_default().found.push(at);
    }
    for (at, withheld) in withheld.iter().enumerate() {
        // Of no use for those that nobody else shares.
        if let Some(shared) = by_shape.get_mut(&withheld.template.shape()) {
            shared.withheld.push(at);
        }
    }
    let mut left_out = Vec::new();
    for Shared { found: alike, withheld: others } in by_shape.values() {
        for at in alike {
            let Some(own) = found.get(*at) else { continue };
            let method = own.described.method.as_str();
            let alike = alike.iter().filter(|other| *other != at).filter_map(|at| found.get(*at));
            let twin = alike.map(|other| (&*other.name, other.described.method.as_str()));
            let twin = twin.filter(|(_, other)| *other == method).map(|(name, _)| name);
            let mut others = others.iter().filter_map(|at| withheld.get(*at));
            let other = others.find(|withheld| withheld.methods.contain(method));
            if let Some(other) = other.filter(|other| other.reach == Reach::Wider) {
                problems.push(undecided(own, other));
            } else if let Some(twin) = twin.chain(other.map(|other| &*other.name)).next() {
                problems.push(twice(own, twin));
                left_out.push(*at);
            }
        }
    }
    left_out.sort_unstable();
    withheld.extend(left_out.iter().filter_map(|at| found.get(*at)).map(Found::withheld));
    let mut at = 0;
    found.retain(|_| {
        at += 1;
        left_out.binary_search(&(at - 1)).is_err()
    });
}

/// Positions of what has one shape.
#[derive(Default)]
struct Shared {
    found: Vec<usize>,
    withheld: Vec<usize>,
}

fn undecided(own: &Found<'_>, other: &Withheld) -> Problem {
    let message = format!(
        "{}: it has the requests of {}, which cannot be used",
        own.name,
        quoted(&other.name)
    );
    Problem::error(
        own.described.at.clone(),
        message,
        "mend the other's path, or take one of both out",
    )
}

fn twice(own: &Found<'_>, other: &str) -> Problem {
    let message = format!("{}: it has the paths and the method of {}", own.name, quoted(other));
    Problem::warning(&own.described.at, message, "keep one: until then both are left out")
}
