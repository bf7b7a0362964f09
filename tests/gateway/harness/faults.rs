//! A disk that fails under the gate's audit when a test says so: `faults.c`, compiled by the system's
//! compiler and preloaded.

use std::fs;
use std::process::Command;

use super::folder::Folder;
use super::tools;

pub struct Faults {
    folder: Folder,
}

impl Faults {
    /// None yet.
    pub fn none() -> Self {
        let folder = Folder::new();
        fs::write(folder.at("faults.c"), include_str!("faults.c")).expect("the folder is ours");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-o", &folder.at("faults.so"), &folder.at("faults.c")]);
        tools::run(&mut cc, b"").expect_success();
        let faults = Self { folder };
        faults.are("");
        faults
    }

    /// For the gate.
    pub fn environment(&self) -> [(&'static str, String); 2] {
        [("LD_PRELOAD", self.folder.at("faults.so")), ("FAULTS", self.folder.at("faults.txt"))]
    }

    /// From now on: words of `faults.c`.
    pub fn are(&self, words: &str) {
        // At once, or the gate could read half of it.
        let (new, path) = (self.folder.at("new.txt"), self.folder.at("faults.txt"));
        fs::write(&new, words).expect("the folder is ours");
        fs::rename(new, path).expect("the folder is ours");
    }
}
