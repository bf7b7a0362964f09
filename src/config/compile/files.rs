//! The tables of all files seen as one config: `[[upstream]]` from anywhere, `[server]` once.

use toml::de::DeTable;

use super::super::diagnostic::Problems;
use super::super::keys::Keys;
use super::super::names::Names;
use super::super::section::Section;

/// Whether every file that the config names was found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::config) enum Complete {
    Yes,
    No,
}

/// The files that could be read, in load order.
pub(super) struct Files<'s> {
    problems: &'s Problems<'s>,
    keys: &'s Keys,
    tops: Vec<Section<'s>>,
    /// Whether some file could not be read: what is missing may stand there.
    pub(super) partial: bool,
}

impl<'s> Files<'s> {
    pub(super) fn open(
        documents: &'s [Option<DeTable<'s>>],
        complete: Complete,
        problems: &'s Problems<'s>,
        keys: &'s Keys,
    ) -> Self {
        let top = |(file, table): (usize, &'s Option<DeTable<'s>>)| {
            Some(Section::top(problems, keys, file, table.as_ref()?))
        };
        let mut tops: Vec<_> = documents.iter().enumerate().filter_map(top).collect();
        let mut partial = tops.len() < documents.len() || complete == Complete::No;
        for top in &mut tops {
            // The main file's was read before anything else.
            if let Some(include) = top.value("include").filter(|value| value.at.file > 0) {
                let fix = "move the pattern to the main file";
                problems.error(include.at, "only the main file may include others", fix);
                partial = true;
            }
        }
        Self { problems, keys, tops, partial }
    }

    /// A `[key]` that may stand in one of the files.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'s> {
        let values = self.tops.iter_mut().filter_map(|top| top.value(key)?.table());
        let mut sections = values.collect::<Vec<_>>().into_iter();
        let first = sections.next();
        let first = first.unwrap_or_else(|| Section::absent(self.problems, self.keys, key));
        for again in sections {
            let place = self.problems.locate(first.at);
            let message = format!("[{key}] stands in two files, first at {place}");
            self.problems.error(again.at, message, "merge the two into one");
        }
        first
    }

    /// Every `[[key]]` of all files; more than `most` are an error.
    pub(super) fn tables(&mut self, key: &'static str, most: usize) -> Vec<Section<'s>> {
        let tables: Vec<_> = self.tops.iter_mut().flat_map(|top| top.tables(key)).collect();
        if let Some(extra) = tables.get(most) {
            let message = format!("more than {most} [[{key}]] sections");
            self.problems.error(extra.at, message, "split the gate into two");
        }
        tables
    }

    /// Whether no file has the key at all.
    pub(super) fn lack(&self, key: &'static str) -> bool {
        !self.partial && self.tops.iter().all(|top| top.lacks(key))
    }

    /// An empty list of names that knows whether it can be complete.
    pub(super) fn names(&self, what: &'static str) -> Names {
        let mut names = Names::new(what);
        if self.partial {
            names.allow_unknown();
        }
        names
    }

    pub(super) fn problems(&self) -> &'s Problems<'s> {
        self.problems
    }

    /// Reports what no section asked for.
    pub(super) fn finish(self) {
        for top in self.tops {
            top.finish();
        }
    }
}
