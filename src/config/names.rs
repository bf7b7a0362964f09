//! The names that one kind of section gives, so that each is given once and every reference finds
//! its section or a suggestion.

use std::collections::BTreeMap;

use super::diagnostic::Problems;
use super::section::Text;
use super::source::Place;
use super::suggest;

/// Names of one kind of thing and where each was given.
pub(super) struct Names {
    /// `upstream`, in messages.
    what: &'static str,
    places: BTreeMap<String, Place>,
    /// Whether a file or a section that could give more names could not be read.
    partial: bool,
}

impl Names {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, places: BTreeMap::new(), partial: false }
    }

    /// From now on an unknown name is no problem: it may stand where nobody could read it.
    pub(super) fn allow_unknown(&mut self) {
        self.partial = true;
    }

    /// Takes in a name; reports one that was given before.
    pub(super) fn declare(&mut self, name: &str, at: Place, problems: &Problems<'_>) {
        let what = self.what;
        if let Some(first) = self.places.get(name) {
            let first = problems.locate(*first);
            let message = format!("{what} \"{name}\" is defined twice, first at {first}");
            problems.error(at, message, "rename one of the two, or take it out");
        } else {
            self.places.insert(name.to_owned(), at);
        }
    }

    /// Reports a reference to a name that nothing gives.
    pub(super) fn refer(&self, text: Text<'_>, problems: &Problems<'_>) {
        if self.partial || self.places.contains_key(text.text) {
            return;
        }
        let what = self.what;
        let fix = match self.places.len() {
            0 => format!("no {what} is defined yet: add one"),
            _ => suggest::fix(text.text, self.places.keys().map(String::as_str)),
        };
        problems.error(text.at, format!("unknown {what} \"{}\"", text.text), fix);
    }
}
