//! The audit log: one record for every request and every act of administration, in files that an
//! operator can read, and the reader that says how complete they are.
//!
//! Values of `model::record` come in through a bounded [`queue`](AuditLog); one [`Recorder`] thread
//! writes them as the lines of `line`, and tells each request to an observer. The log knows no
//! metrics, no config and no inventory, and decides nothing about requests: it only says whether
//! it can still record one.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::clock;
use crate::model::policy::AuditSettings;
use crate::model::record::RequestRecord;

// How JSON is written; the access log writes its lines with it too.
mod acts;
pub mod archive;
mod crowd;
pub mod digest;
mod journal;
pub mod json;
pub mod keys;
mod left;
mod manifest;
mod notary;
pub mod opening;
pub mod proof;
mod queue;
mod reader;
mod recorder;
mod reserve;
pub mod sealed;
mod segment;
mod sync;
mod writer;

// Written by the recorder, read by everyone below it.
pub mod line;

pub mod completeness;
pub mod filter;
pub mod period;
pub mod query;
pub mod recent;
pub mod reconcile;
pub mod render;
pub mod tail;
pub mod verify;

pub use acts::{DELETED_ACTION, GAP_ACTION, RECOVERED_ACTION};
pub use queue::{AuditLog, QueueFull, Slot, Timeout};
pub use recorder::{PATIENCE, Recorder, Unwritten};
pub use sync::{Exposure, NotDurable};

use crowd::Crowd;
use journal::Unrecorded;
use keys::Keys;
use left::Left;
use line::Encoder;
use proof::key::KeyError;
use proof::prover::Prover;
use proof::recovery;
use reserve::{Growth, Reserve};
use segment::{Boot, SegmentName, SegmentWriter};
use writer::{Parts, Writer};

/// Where a gate's log is, within its data directory.
pub fn directory(data_dir: &Path) -> PathBuf {
    data_dir.join("audit")
}

/// Opens the log in `directory` as a new boot, with a first file of its own, after it has closed the
/// boot before where nobody did. The key that signs it and the journal are in `home`. Every request's record
/// is shown to the observer, on the recorder's thread and before it is written; an observer that
/// panics ends the recorder, and with it, once the queue is full, the gate's service.
pub fn open(
    directory: &Path,
    home: &Path,
    settings: AuditSettings,
    node: &str,
    observer: impl FnMut(&RequestRecord) + Send + 'static,
) -> Result<(AuditLog, Recorder), AuditError> {
    open_for(settings.queue_records_max, (directory, home), settings, node, observer)
}

/// The same for whoever records acts only: the journal has no room for calls.
pub fn open_for_acts(
    directory: &Path,
    home: &Path,
    settings: AuditSettings,
    node: &str,
) -> Result<(AuditLog, Recorder), AuditError> {
    open_for(0, (directory, home), settings, node, |_| {})
}

/// With room in the journal for so many calls at once.
fn open_for(
    calls: usize,
    (directory, home): (&Path, &Path),
    settings: AuditSettings,
    node: &str,
    observer: impl FnMut(&RequestRecord) + Send + 'static,
) -> Result<(AuditLog, Recorder), AuditError> {
    let failed = |error| AuditError::Directory { path: directory.into(), error };
    segment::make_directory(directory).map_err(failed)?;
    let known = SegmentName::list(directory).map_err(failed)?;
    let now = clock::wall();
    let keys = Keys::open(home, node, directory, &known).map_err(AuditError::Key)?;
    let (key, keys) = (keys.current(), Arc::new(keys));
    let close = || recovery::close((directory, home), &known, &key, now);
    let before = close().or_else(|error| {
        if !segment::is_full(&error) {
            return Err(error);
        }
        reserve::give_up(home);
        close()
    });
    let before = before.map_err(failed)?;
    let boot = Boot::new(now, rand::random(), &known);
    let is_in_log = |id| left::is_in_last_file(directory, &known, id);
    let unrecorded = journal::left_unrecorded(home, is_in_log).map_err(failed)?;
    if before.as_ref().is_none_or(|before| before.left.is_empty())
        && unrecorded == Unrecorded::default()
    {
        // Also where the next steps fail: what it told is in the log.
        journal::retire(home).map_err(failed)?;
    }
    let (previous, recovered, left) = match before {
        Some(before) => (before.previous, before.recovered, before.left),
        None => (None, None, Left::default()),
    };
    let records_max = settings.queue_records_max;
    let (slots, keeper) = journal::create(home, boot, (calls, left.slots())).map_err(failed)?;
    let log = AuditLog::new(records_max, slots);
    let queue = log.queue();
    let segments =
        SegmentWriter::begin(directory, boot, settings.segment_bytes_max, queue.exposure());
    let mut writer = Writer::new(Parts {
        queue: Arc::clone(queue),
        keeper,
        home: home.into(),
        segments: segments.map_err(failed)?,
        reserve: Reserve::at(home).map_err(failed)?,
        growth: Growth::of(directory),
        keys,
        prover: Prover::new(key, node, previous),
        encoder: Encoder::new(node, boot),
        observer,
        flush_interval: settings.flush_interval,
        file_age_max: settings.segment_age_max,
        crowd: Crowd::new(settings.denials_per_source, records_max),
    });
    queue.begin(
        (left, unrecorded),
        recovered.map(|recovered| {
            log::warn!("audit: {recovered}");
            acts::recovered(&recovered, now)
        }),
    );
    journal::take_over(home).map_err(failed)?;
    // A file that has a line is looked at by the next start, and with it the journal.
    writer.begin(clock::now()).map_err(failed)?;
    let recorder = Recorder::start(writer).map_err(AuditError::Thread)?;
    Ok((log, recorder))
}

/// Why the log cannot be opened.
#[derive(Debug)]
pub enum AuditError {
    /// The directory cannot be made, listed or written.
    Directory {
        path: PathBuf,
        error: io::Error,
    },
    Key(KeyError),
    Thread(io::Error),
}

impl fmt::Display for AuditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory { path, error } => {
                write!(f, "cannot write the audit log in {}: {error}", path.display())
            }
            Self::Key(error) => write!(f, "cannot sign the audit log: {error}"),
            Self::Thread(error) => write!(f, "cannot start the audit recorder: {error}"),
        }
    }
}

impl std::error::Error for AuditError {}

#[cfg(test)]
pub(crate) mod tests;
