//! A directory for configs, logs and profiles of one run; removed at its end.

use std::fs;
use std::path::PathBuf;

use crate::error::{Error, Result};

#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new directory that only we may read: it holds an API key.
    pub fn make() -> Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let name = format!("onegate-loadtest-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(Error::while_doing(format!("cannot make {}", path.display())))?;
        Ok(Self(path))
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A directory in this one, made if it does not exist.
    pub fn directory(&self, name: &str) -> Result<PathBuf> {
        let path = self.file(name);
        fs::create_dir_all(&path)
            .map_err(Error::while_doing(format!("cannot make {}", path.display())))?;
        Ok(path)
    }

    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.file(name);
        fs::write(&path, text)
            .map_err(Error::while_doing(format!("cannot write {}", path.display())))?;
        Ok(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nobody is left to tell; the directory is in the system's temporary place anyway.
        drop(fs::remove_dir_all(&self.0));
    }
}
