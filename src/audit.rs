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

use crate::clock;
use crate::model::policy::AuditSettings;
use crate::model::record::RequestRecord;

// How JSON is written; the access log writes its lines with it too.
pub mod json;
mod queue;
mod reader;
mod recorder;
mod segment;

// Written by the recorder, read by everyone below it.
pub mod line;

pub mod completeness;
pub mod filter;
pub mod period;
pub mod query;
pub mod recent;
pub mod render;
pub mod tail;

pub use queue::{AuditLog, QueueFull, Slot, Timeout};
pub use recorder::{GAP_ACTION, PATIENCE, Recorder, Unwritten};

use line::Encoder;
use recorder::Writer;
use segment::{Boot, SegmentName, SegmentWriter};

/// Where a gate's log is, within its data directory.
pub fn directory(data_dir: &Path) -> PathBuf {
    data_dir.join("audit")
}

/// Opens the log in `directory` as a new boot, with a first file of its own. Every request's record
/// is shown to the observer, on the recorder's thread and before it is written; an observer that
/// panics ends the recorder, and with it, once the queue is full, the gate's service.
pub fn open(
    directory: &Path,
    settings: AuditSettings,
    node: &str,
    observer: impl FnMut(&RequestRecord) + Send + 'static,
) -> Result<(AuditLog, Recorder), AuditError> {
    let failed = |error| AuditError::Directory { path: directory.into(), error };
    segment::make_directory(directory).map_err(failed)?;
    let known = SegmentName::list(directory).map_err(failed)?;
    let boot = Boot::new(clock::wall(), rand::random(), &known);
    let segments =
        SegmentWriter::begin(directory, boot, settings.segment_bytes_max).map_err(failed)?;
    let log = AuditLog::new(settings.queue_records_max);
    let encoder = Encoder::new(node, boot);
    let writer = Writer::new(log.queue(), segments, encoder, settings.flush_interval, observer);
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
    Thread(io::Error),
}

impl fmt::Display for AuditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory { path, error } => {
                write!(f, "cannot write the audit log in {}: {error}", path.display())
            }
            Self::Thread(error) => write!(f, "cannot start the audit recorder: {error}"),
        }
    }
}

impl std::error::Error for AuditError {}

#[cfg(test)]
pub(crate) mod tests;
