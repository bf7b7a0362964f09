//! `openapi = "payments.yaml"` of an api: finds and reads the documents before anything is compiled, so
//! that they are files of the config like any other: in its digest, kept with it, shown in problems. What
//! they say is read by `openapi`.

use std::collections::BTreeSet;

use toml::de::{DeTable, DeValue};

use super::diagnostic::{Diagnostics, Problems};
use super::source::{Place, Source, Sources};

/// Largest document, and most documents of one config.
const DOCUMENT_BYTES_MAX: u64 = 16 << 20;
const DOCUMENTS_MAX: usize = 256;

/// Adds the documents that the files name, in order of their first mention, each once.
pub(super) fn read(sources: &mut Sources) -> Diagnostics {
    let (documents, found) = documents(sources);
    sources.documents = documents;
    found
}

fn documents(sources: &Sources) -> (Vec<Source>, Diagnostics) {
    let problems = Problems::new(sources);
    let (mut seen, mut documents) = (BTreeSet::new(), Vec::new());
    for (named, at) in sources.tomls().enumerate().flat_map(|(file, source)| named(file, source)) {
        if !seen.insert(named.clone()) {
            continue;
        }
        if documents.len() == DOCUMENTS_MAX {
            let message = format!("more than {DOCUMENTS_MAX} documents in one config");
            problems.error(at, message, "split the gate into two");
            break;
        }
        let path = sources.folder().join(&named);
        match Source::read_within(&path, DOCUMENT_BYTES_MAX) {
            Ok(document) => documents.push(document),
            Err(error) => {
                let message = format!("{} cannot be read: {error}", path.display());
                problems.error(at, message, "check the path, and that this user may read the file");
            }
        }
    }
    (documents, problems.finish())
}

/// What the apis of one file name. What is no text there is told when apis are read.
fn named(file: usize, source: &Source) -> Vec<(String, Place)> {
    let (table, _) = DeTable::parse_recoverable(&source.text);
    let apis = table.get_ref().get("api").map(toml::Spanned::get_ref);
    let Some(DeValue::Array(apis)) = apis else { return Vec::new() };
    let named = |api: &toml::Spanned<DeValue<'_>>| {
        let value = api.get_ref().as_table()?.get("openapi")?;
        Some((value.get_ref().as_str()?.to_owned(), Place::new(file, value.span())))
    };
    apis.iter().filter_map(named).collect()
}
