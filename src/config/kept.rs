//! Configs that were in force, kept by their digest, so that what was decided under one can be told
//! when its files have long changed. A kept config is only ever compiled to judge by, never to run.
//!
//! One file for each: JSON with the text of all its files, the ones of `jq -j .files[].text | sha256sum`.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ahash::AHashMap;
use serde_json::{Value, json};

use super::compile::{self, Beside, Complete};
use super::diagnostic::{Diagnostics, Problems};
use super::document;
use super::include;
use super::keys::Keys;
use super::source::{Source, Sources};
use crate::clock;
use crate::model::policy::Policy;
use crate::model::time::UnixMicros;

/// The text of all files of one config. It may hold what nobody else shall see, such as a field for
/// an upstream, so it shows only their names.
pub struct Texts(Sources);

impl Texts {
    pub(super) const fn of(sources: Sources) -> Self {
        Self(sources)
    }

    pub(super) const fn sources(&self) -> &Sources {
        &self.0
    }

    /// Reads a config's files, and whatever else they are good for. None when the main file cannot
    /// be read.
    pub fn read(path: &Path) -> Option<Self> {
        let main = Source::read(path).ok()?;
        let mut sources = include::read(main, &Keys::default()).0;
        document::read(&mut sources);
        Some(Self(sources))
    }

    /// As records name it.
    pub fn digest(&self) -> Box<str> {
        self.0.digest()
    }

    /// What these files say of who may do what. The files beside them may be gone and are not read,
    /// and the policy neither listens nor knows an upstream: it can judge, and cannot be run.
    pub fn to_judge_by(&self) -> Result<Policy, Diagnostics> {
        let problems = Problems::new(&self.0);
        let policy =
            compile::policy(&self.0, Complete::Yes, Beside::Unread, &problems, &Keys::default());
        let diagnostics = problems.finish();
        let policy = policy.ok_or(diagnostics)?;
        Ok(Policy { listeners: Box::default(), upstreams: AHashMap::default(), ..policy })
    }

    fn to_json(&self) -> Vec<u8> {
        let file = |source: &Source| json!({ "path": source.path.display().to_string(), "text": source.text });
        let document = |source: &Source| {
            let path = source.path.display().to_string();
            json!({ "path": path, "text": source.text, "document": true })
        };
        let documents = self.0.documents.iter().map(document);
        let files: Vec<Value> = self.0.tomls().map(file).chain(documents).collect();
        let mut text = json!({ "digest": self.digest(), "files": files }).to_string();
        text.push('\n');
        text.into_bytes()
    }

    fn from_json(bytes: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(bytes).ok()?;
        let file = |file: &Value| {
            let path = PathBuf::from(file.get("path")?.as_str()?);
            let source = Source::from_bytes(path, file.get("text")?.as_str()?.as_bytes());
            Some((file.get("document").is_some(), source))
        };
        let files: Option<Vec<_>> = value.get("files")?.as_array()?.iter().map(file).collect();
        let (documents, tomls): (Vec<_>, Vec<_>) =
            files?.into_iter().partition(|(is_document, _)| *is_document);
        let mut tomls = tomls.into_iter().map(|(_, source)| source);
        let (main, included) = (tomls.next()?, tomls.collect());
        let documents = documents.into_iter().map(|(_, source)| source).collect();
        Some(Self(Sources { main, included, documents }))
    }
}

impl fmt::Debug for Texts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|source| &source.path)).finish()
    }
}

/// The configs that a data directory keeps: each distinct one once, for as long as the log that
/// names it.
#[derive(Debug)]
pub struct Kept {
    folder: PathBuf,
}

/// Why a config is not to be had.
#[derive(Debug)]
pub enum NotKept {
    Missing(PathBuf),
    /// It is not what its name says.
    Damaged(PathBuf),
    Unread(PathBuf, io::Error),
}

/// Largest kept config. One has a few KiB.
const KEPT_BYTES_MAX: u64 = 64 << 20;
const SUFFIX: &str = ".json";

impl Kept {
    pub fn of(data_dir: &Path) -> Self {
        Self { folder: data_dir.join("policies") }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Keeps a config, unless it is there. When this returns it survives a power loss. One at a time
    /// may keep: whoever holds the data directory's lock.
    pub fn keep(&self, texts: &Texts) -> io::Result<()> {
        let path = self.path(&texts.digest());
        let wanted = texts.to_json();
        if wanted.len() as u64 > KEPT_BYTES_MAX {
            return Err(io::Error::new(ErrorKind::FileTooLarge, "it is larger than 64 MiB"));
        }
        // What a crash or a disk made of an older copy is written again.
        if read(&path).is_ok_and(|found| found == wanted) {
            // It comes into force again: see `forget_until`.
            return File::options()
                .write(true)
                .open(path)?
                .set_modified(system_time(clock::wall()));
        }
        self.make_folder()?;
        let fresh = self.folder.join(FRESH_FILE);
        // A full disk shall not keep half of one.
        write(&fresh, &wanted).inspect_err(|_| fs::remove_file(&fresh).unwrap_or_default())?;
        fs::rename(&fresh, &path)?;
        File::open(&self.folder)?.sync_all()
    }

    /// Says that a kept config is in force still, though another was kept after it.
    pub fn stays(&self, digest: &str) -> io::Result<()> {
        let file = File::options().write(true).open(self.path(digest))?;
        file.set_modified(system_time(clock::wall()))
    }

    /// The config with this digest.
    pub fn find(&self, digest: &str) -> Result<Texts, NotKept> {
        let path = self.path(digest);
        // A digest comes from a log that anyone may have changed; it must not lead elsewhere.
        if !is_digest(digest) {
            return Err(NotKept::Missing(path));
        }
        let bytes = match read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(NotKept::Missing(path));
            }
            Err(error) => return Err(NotKept::Unread(path, error)),
            Ok(bytes) => bytes,
        };
        let texts = Texts::from_json(&bytes).filter(|texts| *texts.digest() == *digest);
        texts.ok_or(NotKept::Damaged(path))
    }

    /// Forgets the configs of which no record is left when all until `time` are gone, and says how many: those that
    /// another had replaced by then, never the one that runs. A file's change is the last time that its config came into force.
    pub fn forget_until(&self, time: UnixMicros, running: &str) -> io::Result<usize> {
        let mut kept = Vec::new();
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let digest = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
            if digest.is_some_and(is_digest) {
                kept.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        kept.sort_unstable();
        let replaced = kept.iter().skip(1).map(|(modified, _)| *modified + LONGEST_CALL);
        let gone = replaced.take_while(|replaced| *replaced <= system_time(time)).count();
        let running = self.path(running);
        let gone = kept.iter().take(gone).filter(|(_, path)| *path != running);
        gone.map(|(_, path)| fs::remove_file(path))
            .try_fold(0, |count, removed| removed.map(|()| count + 1))
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("{digest}{SUFFIX}"))
    }

    fn make_folder(&self) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(&self.folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            made => made.and_then(|()| {
                let parent = self.folder.parent().unwrap_or(Path::new("."));
                File::open(parent)?.sync_all()
            }),
        }
    }
}

/// A call that came before a config was replaced names it, and may end so much later.
const LONGEST_CALL: Duration = Duration::from_hours(24);

fn system_time(time: UnixMicros) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(time.0.try_into().unwrap_or_default())
}

/// A config on its way into the folder.
const FRESH_FILE: &str = "fresh.tmp";

fn is_digest(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(KEPT_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl fmt::Display for NotKept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => write!(f, "there is no {}", path.display()),
            Self::Damaged(path) => {
                write!(f, "{} is damaged: it does not hold what its name says", path.display())
            }
            Self::Unread(path, error) => write!(f, "{} cannot be read: {error}", path.display()),
        }
    }
}

impl std::error::Error for NotKept {}
