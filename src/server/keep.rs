//! A config is kept before it is in force, so that `audit explain` can judge by it later.

use std::path::Path;

use crate::config::kept::{Kept, Texts};

/// Keeps a config; what is told otherwise is in the log as well. The gate serves without: its callers
/// need it now, and whoever has the files elsewhere can still explain with them. The next start or
/// reload tries again.
pub fn keep(texts: &Texts, data_dir: &Path) -> Result<(), String> {
    Kept::of(data_dir).keep(texts).map_err(|error| {
        let digest = texts.digest();
        let told = format!(
            "config {digest} cannot be kept in {}: {error}. It serves, but `audit explain` will \
             need its files: make room or mend the folder, and reload",
            Kept::of(data_dir).folder().display()
        );
        log::error!("{told}");
        told
    })
}

/// Of a reload that was refused: the config before is the one in force.
pub fn stays(digest: &str, data_dir: &Path) {
    if let Err(error) = Kept::of(data_dir).stays(digest) {
        log::warn!("config {digest} is in force and not kept: {error}");
    }
}
