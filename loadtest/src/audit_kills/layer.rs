//! Power cuts: a layer under the gate's file calls keeps what was synced in an image of its directory, and
//! after the cut the image is all there is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::process;
use crate::scratch::Scratch;

pub struct Layer {
    library: PathBuf,
    data: PathBuf,
    image: PathBuf,
}

impl Layer {
    /// Compiles the layer.
    pub fn under(data: PathBuf, scratch: &Scratch) -> Result<Self> {
        let source = scratch.write("layer.c", include_str!("layer.c"))?;
        let library = scratch.file("layer.so");
        let mut cc = Command::new("cc");
        cc.args(["-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-lpthread");
        process::output(cc)?;
        Ok(Self { library, image: scratch.file("image"), data })
    }

    pub fn environment(&self) -> [(&'static str, PathBuf); 3] {
        [
            ("LD_PRELOAD", self.library.clone()),
            ("LAYER_FROM", self.data.clone()),
            ("LAYER_TO", self.image.clone()),
        ]
    }

    /// What is in the directory now is on the medium.
    pub fn begin(&self) -> Result<()> {
        self.copy(&self.data, &self.image)
    }

    /// The power is gone: what was not synced is lost.
    pub fn cut(&self) -> Result<()> {
        self.copy(&self.image, &self.data)
    }

    fn copy(&self, from: &Path, to: &Path) -> Result<()> {
        let doing = || Error::while_doing(format!("cannot copy {}", from.display()));
        if to.exists() {
            fs::remove_dir_all(to).map_err(doing())?;
        }
        fs::create_dir(to).map_err(doing())?;
        for entry in fs::read_dir(from).map_err(doing())? {
            let entry = entry.map_err(doing())?;
            let (path, name) = (entry.path(), entry.file_name());
            let is_unfinished = path.extension().is_some_and(|e| e == "unnamed" || e == "tmp");
            if path.is_dir() {
                self.copy(&path, &to.join(name))?;
            } else if path.is_file() && !is_unfinished {
                fs::copy(&path, to.join(name)).map_err(doing())?;
            }
        }
        Ok(())
    }
}
