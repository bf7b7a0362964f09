//! From TOML files to a [`Policy`], or to every problem they have, at once.
//!
//! `source` reads text, `section` reads typed values and reports what is wrong with them, and
//! `compile` turns one section after the other into the model. Only this layer knows TOML. What
//! runs keeps its old policy until a new one compiled without an error.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::model::policy::Policy;
use compile::{Beside, Complete};
use diagnostic::{Diagnostics, Problems};
use kept::Texts;
use keys::Keys;
use source::Source;

pub mod certificate;
mod compile;
pub mod diagnostic;
mod document;
mod excerpt;
mod include;
pub mod kept;
mod keys;
mod names;
mod restart;
mod section;
mod source;
pub mod staged;
mod suggest;
#[cfg(test)]
mod tests;
mod unit;

pub use restart::restart_needed;

/// A config without errors.
#[derive(Debug)]
pub struct Loaded {
    pub policy: Policy,
    pub warnings: Diagnostics,
    /// As it was read, to be kept.
    pub texts: Texts,
    /// The main file, what it includes, then the documents that apis name.
    pub files: Vec<PathBuf>,
    /// Every key that the files could have set in the sections they have, by its path
    /// (`upstream.timeouts.connect`), with its bounds in words.
    pub keys: BTreeMap<String, String>,
}

/// Loads a config file and what it includes. The error holds every problem of all files, warnings
/// among them.
pub fn load(path: &Path) -> Result<Loaded, Diagnostics> {
    let fix = "check the path, and that this user may read the file";
    let cannot = |error| Diagnostics::of_file(path, &format!("cannot be read: {error}"), fix);
    load_from(Source::read(path).map_err(cannot)?)
}

/// Reads a duration as configs write it: `2h`.
pub fn duration(text: &str) -> Option<Duration> {
    unit::parse(text)
}

/// Loads a config from text, as if it stood in the file `path`.
pub fn load_text(path: &Path, text: &str) -> Result<Loaded, Diagnostics> {
    load_from(Source::from_bytes(path.to_owned(), text.as_bytes()))
}

fn load_from(main: Source) -> Result<Loaded, Diagnostics> {
    let keys = Keys::default();
    let (mut sources, found) = include::read(main, &keys);
    let found_in_documents = document::read(&mut sources);
    let problems = Problems::new(&sources);
    problems.take(found);
    // An included file that is missing altogether may hold anything; a document, only its api's part.
    let files = if problems.have_errors() { Complete::No } else { Complete::Yes };
    problems.take(found_in_documents);
    let beside = Beside::In(sources.folder());
    let policy = compile::policy(&sources, files, beside, &problems, &keys);
    let diagnostics = problems.finish();
    let files = sources.iter().map(|source| source.path.clone()).collect();
    match policy {
        Some(policy) => {
            let (warnings, keys) = (diagnostics, keys.into_list());
            Ok(Loaded { policy, warnings, texts: Texts::of(sources), files, keys })
        }
        None => Err(diagnostics),
    }
}
