//! The key in force, and the one that is to follow it: whoever wants another asks here, the writer hands over at the
//! beginning of a file, and whatever else signs takes the one in force.

use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::proof::key::{KeyError, PublicKey, SigningKey};
use super::proof::lines::Control;
use super::reader::LineReader;
use super::segment::{SegmentName, sync_directory};

/// The keys of one data directory. Shared by the writer and whoever signs beside it.
#[derive(Debug)]
pub struct Keys {
    home: PathBuf,
    pair: Mutex<Pair>,
    changed: Condvar,
    /// One at a time makes a key: nobody else waits for that.
    making: Mutex<()>,
}

#[derive(Debug)]
struct Pair {
    current: Arc<SigningKey>,
    next: Option<Arc<SigningKey>>,
}

impl Keys {
    /// The keys in `home`, for the log in `directory` with these files. A change of the key that was cut short is finished
    /// where the log has it already, and else goes on with the next file.
    pub fn open(
        home: &Path,
        node: &str,
        directory: &Path,
        files: &[SegmentName],
    ) -> Result<Self, KeyError> {
        let mut current = SigningKey::in_directory(home, node)?;
        let mut next = SigningKey::next_in(home, current.public.name())?;
        let last = files.iter().rev().find_map(|file| key_of(directory, *file));
        let signed_by = |key: &SigningKey| last == Some(key.public.to_string());
        if let Some(key) = next.take_if(|key| signed_by(key)) {
            // Of the key before nothing will be left: the log must not forget that it handed over.
            let sync = |file: &SegmentName| {
                File::open(file.present_path(directory))?.sync_all()?;
                sync_directory(directory)
            };
            files.last().map_or(Ok(()), sync).map_err(|error| KeyError::at(directory)(error))?;
            key.adopt_in(home)?;
            current = key;
        }
        let pair = Pair { current: Arc::new(current), next: next.map(Arc::new) };
        let (changed, making) = (Condvar::new(), Mutex::default());
        Ok(Self { home: home.into(), pair: Mutex::new(pair), changed, making })
    }

    pub fn current(&self) -> Arc<SigningKey> {
        Arc::clone(&self.lock().current)
    }

    /// The key that the next file is to be signed with.
    pub fn next(&self) -> Option<Arc<SigningKey>> {
        self.lock().next.clone()
    }

    /// From now on the next key is the one in force: a file that it signs is on the medium.
    pub fn adopt_next(&self) -> Result<(), KeyError> {
        let mut pair = self.lock();
        if let Some(next) = &pair.next {
            next.adopt_in(&self.home)?;
            pair.current = Arc::clone(next);
            pair.next = None;
            self.changed.notify_all();
        }
        Ok(())
    }

    /// Has the log handed over to a new key, unless one is on its way. `ask` tells the writer. It waits until that is done.
    pub fn rotate(&self, ask: impl FnOnce(), patience: Duration) -> Result<Rotated, RotateError> {
        let making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let (old, next) = {
            let pair = self.lock();
            (Arc::clone(&pair.current), pair.next.clone())
        };
        if next.is_none() {
            let next = SigningKey::make_next_in(&self.home, old.public.name());
            self.lock().next = Some(Arc::new(next.map_err(RotateError::Key)?));
        }
        drop(making);
        ask();
        let pair = self.lock();
        let is_old = |pair: &mut Pair| pair.current.public == old.public;
        let waited = self.changed.wait_timeout_while(pair, patience, is_old);
        let (pair, timer) = waited.unwrap_or_else(PoisonError::into_inner);
        if timer.timed_out() {
            return Err(RotateError::Late);
        }
        Ok(Rotated { from: old.public.to_string(), to: pair.current.public.to_string() })
    }

    /// The next key waits for the next start.
    pub fn postpone_next(&self) {
        self.lock().next = None;
    }

    /// Signs something with the key in force while it does not change; None where another is to follow it.
    pub fn unless_rotating<T>(&self, sign: impl FnOnce(&SigningKey) -> T) -> Option<T> {
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if self.next().is_some() { None } else { Some(sign(&self.current())) }
    }

    fn lock(&self) -> MutexGuard<'_, Pair> {
        self.pair.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the key that is to follow the one in `home`, for a log that is not open: the next to open it hands over.
pub fn make_next(home: &Path, node: &str) -> Result<(Rotated, Made), KeyError> {
    let current = SigningKey::in_directory(home, node)?;
    let name = current.public.name();
    let made = SigningKey::next_in(home, name)?.map_or(Made::Now, |_| Made::Before);
    let next = SigningKey::make_next_in(home, name)?;
    Ok((Rotated { from: current.public.to_string(), to: next.public.to_string() }, made))
}

/// Whether a key to follow was there before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Made {
    Now,
    Before,
}

/// The key that was just made to follow is not wanted, unless the log has handed over to it already.
pub fn forget_next(home: &Path, directory: &Path, public: &str) {
    let is_named = |file: &SegmentName| key_of(directory, *file).as_deref() == Some(public);
    let is_named = SegmentName::list(directory).is_ok_and(|files| files.iter().any(is_named));
    if !is_named && let Err(error) = SigningKey::forget_next_in(home) {
        log::error!("audit: {error}");
    }
}

/// Whether this public key is that of the one in `home`.
pub fn is_in_force(home: &Path, public: &str) -> bool {
    PublicKey::in_directory(home).is_some_and(|key| key.to_string() == public)
}

/// What a file says signs it, if it has a line.
fn key_of(directory: &Path, file: SegmentName) -> Option<String> {
    let line = LineReader::first_line(directory, file).ok()??;
    match Control::parse(&line)? {
        Control::Segment(segment) => Some(segment.key.into()),
        Control::Commit(_) | Control::Checkpoint(_) => None,
    }
}

/// The public keys, before and after.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rotated {
    pub from: String,
    pub to: String,
}

/// Why the key is not another.
#[derive(Debug)]
pub enum RotateError {
    Key(KeyError),
    /// The disk refuses; the log hands over when it does so no more.
    Late,
}

impl fmt::Display for RotateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(error) => write!(f, "{error}"),
            Self::Late => f.write_str(
                "the log could not hand over to the new key in time; it does so as soon as its disk works",
            ),
        }
    }
}

impl std::error::Error for RotateError {}
