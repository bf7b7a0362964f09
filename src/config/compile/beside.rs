//! Files that a config names and does not hold: certificates, keys, bodies of fixed responses.

use std::path::{Path, PathBuf};

/// Where the files beside a config are.
#[derive(Clone, Copy, Debug)]
pub(in crate::config) enum Beside<'f> {
    /// Relative to this folder; each is read whenever the config is.
    In(&'f Path),
    /// They may be gone and are not looked at: what needs one is left out, without a complaint.
    Unread,
}

impl Beside<'_> {
    /// None: the file is not to be read.
    pub(super) fn path(self, named: &str) -> Option<PathBuf> {
        match self {
            Self::In(folder) => Some(folder.join(named)),
            Self::Unread => None,
        }
    }
}
