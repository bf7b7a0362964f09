//! The files of the log: their names, their order, and the one that is being written.
//!
//! `20261121T210748Z-1f2e3d4c-000001.jsonl` is the first file of the boot `1f2e3d4c`. A file holds
//! whole lines only, up to its size; bytes are appended and never changed. Sealed, it ends in `.parquet`: its
//! name stays the one that it was made with. What a line means is not known here.

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::mem;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock;
use crate::model::time::{MonoNs, UnixMicros};

use super::sync::{Exposure, NotDurable, Syncer, Waited, Waiter};

/// One opening of the log. It names files, and with `seq` it names records.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Boot {
    /// In whole seconds since 1970; later than that of every boot before, so that names order them.
    started: i64,
    id: BootId,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct BootId(u32);

impl Boot {
    /// A new boot beside those whose files are `known`.
    pub fn new(now: UnixMicros, random: u32, known: &[SegmentName]) -> Self {
        // Also where the clock was set back: the order of names is the order of boots.
        let last = known.iter().map(|name| name.boot.started).max();
        let started = last.map_or(now.seconds(), |last| now.seconds().max(last + 1));
        Self { started, id: BootId(random) }
    }

    pub const fn id(self) -> BootId {
        self.id
    }

    pub const fn started(self) -> UnixMicros {
        UnixMicros::from_seconds(self.started)
    }
}

/// Orders by boot, then by number: the order in which the records were written.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct SegmentName {
    pub boot: Boot,
    /// From 1.
    pub number: u32,
}

impl SegmentName {
    /// None for every other file.
    pub fn parse(file_name: &str) -> Option<Self> {
        let mut parts = file_name.strip_suffix(".jsonl")?.split('-');
        let (started, id, number) = (parts.next()?, parts.next()?, parts.next()?);
        let started = started.parse::<Timestamp>().ok()?.as_second();
        let id = BootId(u32::from_str_radix(id, 16).ok()?);
        let name = Self { boot: Boot { started, id }, number: number.parse().ok()? };
        // One name, one spelling: what we would not write, we did not write.
        (name.to_string() == file_name).then_some(name)
    }

    /// All files of the log, in order.
    pub fn list(directory: &Path) -> io::Result<Vec<Self>> {
        let mut names = Vec::new();
        for entry in directory.read_dir()? {
            let file_name = entry?.file_name();
            let Some(file_name) = file_name.to_str() else { continue };
            let sealed =
                || Self::parse(&(file_name.strip_suffix(".parquet")?.to_owned() + ".jsonl"));
            names.extend(Self::parse(file_name).or_else(sealed));
        }
        names.sort_unstable();
        // While a file is sealed, it is there twice.
        names.dedup();
        Ok(names)
    }

    pub fn path(self, directory: &Path) -> PathBuf {
        directory.join(self.to_string())
    }

    /// Where it is once it is sealed.
    pub fn sealed_path(self, directory: &Path) -> PathBuf {
        self.path(directory).with_extension("parquet")
    }

    /// What there is of it: as it was written while that is there, else sealed.
    pub fn present_path(self, directory: &Path) -> PathBuf {
        let path = self.path(directory);
        if path.exists() { path } else { self.sealed_path(directory) }
    }

    const fn next(self) -> Self {
        Self { boot: self.boot, number: self.number.saturating_add(1) }
    }
}

/// The file that is being written.
pub struct SegmentWriter {
    directory: PathBuf,
    name: SegmentName,
    file: Arc<File>,
    syncer: Syncer,
    /// Its whole lines, in bytes.
    len: u64,
    bytes_max: u64,
    /// A failed write may have left bytes after `len` that could not be cut off.
    torn: bool,
    /// Written since a sync was asked for.
    dirty: bool,
    /// A sync failed: what the kernel then keeps of this file is unknown, and asking it again would
    /// only hide that. Or it cannot be written, though there is room. Nothing more goes into it.
    spent: bool,
}

impl SegmentWriter {
    /// Begins the first file of a boot.
    pub fn begin(
        directory: &Path,
        boot: Boot,
        bytes_max: u64,
        exposure: &Arc<Exposure>,
    ) -> io::Result<Self> {
        let name = SegmentName { boot, number: 1 };
        let file = create(&name.path(directory))?;
        sync_directory(directory)?;
        Ok(Self {
            directory: directory.into(),
            name,
            file: Arc::new(file),
            syncer: Syncer::start(exposure)?,
            len: 0,
            bytes_max,
            torn: false,
            dirty: false,
            spent: false,
        })
    }

    /// Appends whole lines. After an error none of them count as written, and the same lines may be
    /// given again.
    pub fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.torn {
            self.file.set_len(self.len)?;
            self.torn = false;
        }
        if let Err(error) = (&*self.file).write_all(lines) {
            // At once, so that whoever reads meanwhile, or after a crash, finds whole lines.
            self.torn = self.file.set_len(self.len).is_err();
            let is_full =
                matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            self.spent |= !is_full;
            return Err(error);
        }
        self.dirty = true;
        self.len += lines.len() as u64;
        Ok(())
    }

    /// Has what was appended brought to the medium, without waiting. Its oldest entry was made after
    /// `since`.
    pub fn sync_soon(&mut self, since: MonoNs, waiters: &mut Vec<Waiter>) {
        if self.spent {
            for waiter in waiters.drain(..) {
                // Whoever has left needs no answer.
                waiter.send(Err(NotDurable)).unwrap_or_default();
            }
        } else if mem::take(&mut self.dirty) || !waiters.is_empty() {
            self.syncer.ask(&self.file, since, waiters);
        }
    }

    /// The failure of a sync that nobody waited for.
    pub fn look(&mut self) -> io::Result<()> {
        self.syncer.failed().map_or(Ok(()), |error| Err(self.spend(error)))
    }

    /// Brings what was appended to the medium; cheap when nothing was.
    pub fn sync(&mut self) -> io::Result<()> {
        match self.sync_within(SYNC_PATIENCE)? {
            Waited::Done => Ok(()),
            Waited::InVain => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// As [`SegmentWriter::sync`], but it waits only so long; the sync goes on by itself.
    pub fn sync_within(&mut self, patience: Duration) -> io::Result<Waited> {
        if self.spent {
            return Err(io::Error::other("a sync of this file has failed before"));
        }
        if mem::take(&mut self.dirty) {
            self.syncer.ask(&self.file, clock::mono(), &mut Vec::new());
        }
        self.syncer.wait(patience).map_err(|error| self.spend(error))
    }

    const fn spend(&mut self, error: io::Error) -> io::Error {
        self.spent = true;
        error
    }

    pub const fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    pub const fn name(&self) -> SegmentName {
        self.name
    }

    pub fn path(&self) -> PathBuf {
        self.name.path(&self.directory)
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether so many bytes more belong in the next file.
    pub const fn is_full_for(&self, bytes: u64) -> bool {
        self.spent || (self.len > 0 && self.len + bytes > self.bytes_max)
    }

    /// Whether a sync failed, so that nothing more may go into the file.
    pub const fn is_spent(&self) -> bool {
        self.spent
    }

    /// Begins this file anew, which has no line.
    pub fn begin_again(&mut self) -> io::Result<()> {
        match std::fs::remove_file(self.path()) {
            // An attempt before this one got so far.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        self.file = Arc::new(create(&self.path())?);
        sync_directory(&self.directory)?;
        (self.len, self.torn, self.dirty, self.spent) = (0, false, false, false);
        Ok(())
    }

    /// Begins the next file.
    pub fn begin_next(&mut self) -> io::Result<()> {
        let next = self.name.next();
        let path = next.path(&self.directory);
        let file = create(&path).or_else(|error| unused(&path).ok_or(error))?;
        if let Err(error) = sync_directory(&self.directory) {
            // It may be tried again: there is no number without a file, and no file without a use.
            std::fs::remove_file(path).ok();
            return Err(error);
        }
        (self.file, self.name, self.len) = (Arc::new(file), next, 0);
        (self.torn, self.dirty, self.spent) = (false, false, false);
        Ok(())
    }
}

/// Whether there is no room, so that waiting may help.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// How long it waits for a disk where it cannot go on without.
const SYNC_PATIENCE: Duration = Duration::from_mins(1);

/// Makes the log's directory, for its owner only, unless it is there: its owner may have opened it
/// to a group that ships the files.
pub fn make_directory(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)
}

/// A file that a failed attempt to begin it has left, and that could not be removed.
fn unused(path: &Path) -> Option<File> {
    let file = OpenOptions::new().append(true).open(path).ok()?;
    (file.metadata().ok()?.len() == 0).then_some(file)
}

/// A new file's name is safe only once its directory is.
pub fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Gives a small file beside the log other content: whole or not at all, and on the medium.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = Path::new(&draft);
    if draft.exists() {
        std::fs::remove_file(draft)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(draft, path)?;
    sync_directory(path.parent().unwrap_or(Path::new(".")))
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:06}.jsonl", self.boot, self.number)
    }
}

impl fmt::Display for Boot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let started = Timestamp::from_second(self.started).unwrap_or_default();
        write!(f, "{}-{}", started.strftime("%Y%m%dT%H%M%SZ"), self.id)
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

#[cfg(test)]
mod tests;
