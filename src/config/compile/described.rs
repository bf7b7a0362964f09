//! `openapi` of an api: what its document describes, until `[[api.operation]]` refined it. Problems of
//! the document are told at their place in it.

use std::collections::BTreeMap;

use super::super::diagnostic::Problems;
use super::super::section::Section;
use super::super::source::{Place, Source, Sources};
use super::beside::Beside;
use crate::openapi::{self, Described, Severity, Withheld};

/// The operations of an api's document, in its order.
#[derive(Default)]
pub(super) struct Document {
    /// Of the key. None: the api has no document.
    pub(super) at: Option<Place>,
    /// The document's number.
    file: usize,
    operations: Vec<Option<Described>>,
    by_id: BTreeMap<Box<str>, usize>,
    withheld: Vec<Withheld>,
    /// Whether it describes more than is known here: it could not be read, and that was reported.
    pub(super) partial: bool,
}

impl Document {
    /// Takes an operation out, with its position in the document.
    pub(super) fn take(&mut self, id: &str) -> Option<(usize, Described)> {
        let at = *self.by_id.get(id)?;
        Some((at, self.operations.get_mut(at)?.take()?))
    }

    /// Whether it describes the operation, taken or not.
    pub(super) fn has(&self, id: &str) -> bool {
        self.by_id.contains_key(id)
    }

    /// Where an operation of it stands.
    pub(super) fn place(&self, described: &Described) -> Place {
        Place::new(self.file, described.at.clone())
    }

    /// What nobody took, with positions.
    pub(super) fn rest(&mut self) -> Vec<(usize, Described)> {
        let operations = std::mem::take(&mut self.operations).into_iter().enumerate();
        operations.filter_map(|(at, slot)| Some((at, slot?))).collect()
    }

    /// What it left out, with places: taken once.
    pub(super) fn withheld(&mut self) -> Vec<(Withheld, Place)> {
        let withheld = std::mem::take(&mut self.withheld).into_iter();
        withheld.map(|withheld| (withheld.clone(), Place::new(self.file, withheld.at))).collect()
    }

    pub(super) fn len(&self) -> usize {
        self.operations.len()
    }
}

pub(super) fn described(
    section: &mut Section<'_>,
    sources: &Sources,
    beside: Beside<'_>,
) -> Document {
    let Some(text) = section.text("openapi") else { return Document::default() };
    let unread = Document { at: Some(text.at), partial: true, ..Document::default() };
    let Some((file, source)) = sources.document(text.text) else {
        // One that is read with its config and is not there was reported when it was read.
        if matches!(beside, Beside::Unread) {
            let message = format!("\"{}\" was not kept with the config", text.text);
            section.problems.error(text.at, message, "explain with the config's own files");
        }
        return unread;
    };
    match read(file, source, section.problems) {
        Some(openapi::Document { operations, withheld, .. }) => {
            if operations.is_empty() {
                let message = format!("\"{}\" describes no operation", text.text);
                let fix = "mend the document, or take \"openapi\" out";
                section.problems.error(text.at, message, fix);
            }
            let ids = operations.iter().map(|described| described.id.clone());
            let by_id = ids.zip(0..).collect();
            let operations = operations.into_iter().map(Some).collect();
            Document { at: Some(text.at), file, operations, by_id, withheld, partial: false }
        }
        None => unread,
    }
}

/// None: nothing of it can be used.
fn read(file: usize, source: &Source, problems: &Problems<'_>) -> Option<openapi::Document> {
    if let Some(start) = source.bad_utf8_at {
        let at = Place { file, start, end: start + 1 };
        problems.error(at, "the file is not UTF-8 from here on", "save the file as UTF-8");
        return None;
    }
    let mut document = openapi::read(&source.text);
    let mut is_usable = true;
    for problem in std::mem::take(&mut document.problems) {
        let at = Place::new(file, problem.at);
        match problem.severity {
            Severity::Warning => problems.warning(at, problem.message, problem.fix),
            Severity::Error => {
                is_usable = false;
                problems.error(at, problem.message, problem.fix);
            }
        }
    }
    is_usable.then_some(document)
}
