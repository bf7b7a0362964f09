//! One question to the whole log: every record that matches, in the order it was written, and how
//! complete the answer is.
//!
//! Files are read one after the other, a line at a time, each to the end that it has when its turn
//! comes: the gate may be writing.
//!
//! A call may have lines that say it is open, and has one of its end, all with one `id`. They are one record: an
//! open one is shown where no end was found, after all others.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::model::time::UnixMicros;

use super::GAP_ACTION;
use super::completeness::{Completeness, Numbers};
use super::filter::Filter;
use super::line::{self, Line};
use super::manifest::Manifest;
use super::period::Period;
use super::proof::lines::Kind;
use super::proof::statement::Deleted;
use super::reader::{LineReader, Step};
use super::segment::SegmentName;

/// Shows every matching record to `visit`, with its line as stored; at most `limit` of them.
pub fn scan(
    directory: &Path,
    filter: &Filter,
    limit: Option<u64>,
    visit: impl FnMut(&Line<'_>, &[u8]) -> io::Result<()>,
) -> Result<Completeness, ScanError> {
    let names = SegmentName::list(directory).map_err(|error| failed(directory, error))?;
    let manifest = Manifest::read(directory).map_err(|error| failed(directory, error))?;
    let mut completeness = Completeness::default();
    let (numbers, open) = (Numbers::default(), BTreeMap::new());
    let deleted = manifest.deleted.as_ref().map(|deleted| &deleted.says);
    let concerned = |deleted: &&Deleted| filter.period.from.is_none_or(|from| from <= deleted.last);
    completeness.deleted = deleted.filter(concerned).map(|deleted| (deleted.records, deleted.last));
    let mut scan = Scan { filter, limit, visit, numbers, open, completeness };
    for name in names.into_iter().filter(|name| !manifest.has_deleted(*name)) {
        if scan.completeness.limited {
            break;
        }
        if deleted.is_some_and(|deleted| deleted.before == name && name.number > 1) {
            // What was before it in its boot is not missing.
            scan.numbers.skip(name);
        }
        let path = name.present_path(directory);
        if outside(&filter.period, name, &path, &manifest) {
            scan.numbers.skip(name);
            scan.completeness.files_skipped += 1;
        } else {
            scan.file(directory, name, &path)?;
        }
    }
    scan.show_open()?;
    Ok(Completeness { boots: scan.numbers.finish(), ..scan.completeness })
}

struct Scan<'a, Visit> {
    filter: &'a Filter,
    limit: Option<u64>,
    visit: Visit,
    numbers: Numbers,
    /// Calls that were open, by id, with their lines.
    open: BTreeMap<Box<str>, Box<[u8]>>,
    completeness: Completeness,
}

impl<Visit: FnMut(&Line<'_>, &[u8]) -> io::Result<()>> Scan<'_, Visit> {
    fn file(&mut self, directory: &Path, name: SegmentName, path: &Path) -> Result<(), ScanError> {
        let mut reader = match LineReader::of(directory, name) {
            Ok(reader) => reader,
            // Deleted a moment ago.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.numbers.skip(name);
                self.completeness.files_skipped += 1;
                return Ok(());
            }
            Err(error) => return self.not_read(name, 1, path, error),
        };
        self.numbers.begin(name);
        self.completeness.files_read += 1;
        for number in 1.. {
            let step = match reader.step() {
                Ok(step) => step,
                Err(error) => return self.not_read(name, number, path, error),
            };
            let parsed = match step {
                // What proves the log is not asked for.
                Step::Line(bytes) if Kind::of(bytes).is_of_the_proof() => continue,
                Step::Line(bytes) => Line::parse(bytes).ok().map(|line| (line, bytes)),
                Step::TooLong => None,
                Step::End => break,
                Step::Torn => {
                    self.completeness.torn += 1;
                    break;
                }
            };
            let Some((line, bytes)) = parsed else {
                self.numbers.unreadable();
                self.completeness.unreadable += 1;
                self.completeness.unreadable_at.get_or_insert((name, number));
                continue;
            };
            self.record(&line, bytes)?;
            if self.completeness.limited {
                break;
            }
        }
        Ok(())
    }

    /// A sealed file that is damaged is as a line that cannot be read; of any other no more can be said.
    fn not_read(
        &mut self,
        name: SegmentName,
        line: u64,
        path: &Path,
        error: io::Error,
    ) -> Result<(), ScanError> {
        if error.kind() != io::ErrorKind::InvalidData {
            return Err(failed(path, error));
        }
        self.numbers.skip(name);
        self.completeness.unreadable += 1;
        self.completeness.unreadable_at.get_or_insert((name, line));
        Ok(())
    }

    fn record(&mut self, line: &Line<'_>, bytes: &[u8]) -> Result<(), ScanError> {
        self.numbers.record(line.seq);
        if line.is_open() {
            self.open.insert((*line.id).into(), bytes.into());
            return Ok(());
        }
        if !self.open.is_empty() {
            self.open.remove(&*line.id);
        }
        self.show(line, bytes)
    }

    /// Calls of which no end was found: ids begin with the time.
    fn show_open(&mut self) -> Result<(), ScanError> {
        for bytes in std::mem::take(&mut self.open).into_values() {
            if let Ok(line) = Line::parse(&bytes)
                && !self.completeness.limited
            {
                self.show(&line, &bytes)?;
            }
        }
        Ok(())
    }

    fn show(&mut self, line: &Line<'_>, bytes: &[u8]) -> Result<(), ScanError> {
        self.completeness.records += 1;
        if line.action.as_deref() == Some(GAP_ACTION) && self.filter.period.contains(line.time) {
            let (refused, served) = line::gap_counts(bytes).unwrap_or_default();
            let Completeness { refused: all, served_unrecorded, .. } = &mut self.completeness;
            *all = all.saturating_add(refused);
            *served_unrecorded = served_unrecorded.saturating_add(served);
        }
        if let Some(count) = line.count
            && self.filter.period.contains(line.time)
            && !self.filter.matches(line)
        {
            let beside = &mut self.completeness.summed_beside;
            *beside = beside.saturating_add(count);
        }
        if self.filter.matches(line) {
            self.completeness.matched += 1;
            let summed = &mut self.completeness.summed;
            *summed = summed.saturating_add(line.count.unwrap_or_default());
            (self.visit)(line, bytes).map_err(ScanError::Visit)?;
            self.completeness.limited = self.limit == Some(self.completeness.matched);
        }
        Ok(())
    }
}

/// Whether a file cannot hold a record of the period. Of a sealed one that is stated. A record in any other is written after its
/// time, so it lies between its boot's begin and its file's last change, but for those of calls that were open when the boot before was
/// killed: they come first. A clock may have been stepped a little in between.
fn outside(period: &Period, name: SegmentName, path: &Path, manifest: &Manifest) -> bool {
    if let Some(stated) = manifest.sealed.get(&name).filter(|_| is_sealed(path)) {
        let misses = |(first, last): (UnixMicros, UnixMicros)| {
            period.to.is_some_and(|to| first >= to) || period.from.is_some_and(|from| last < from)
        };
        return stated.says.times.map_or(stated.says.records == 0, misses);
    }
    // A boot after the clock was set back is named later than it began.
    let started = name.boot.started().0;
    let is_true = || changed(path).is_some_and(|at| at.0 >= started.saturating_sub(STEP));
    let begins_later = |to: UnixMicros| {
        started > to.0.saturating_add(STEP)
            && is_true()
            && first_time(path).is_none_or(|at| at >= to)
    };
    let before =
        |from: UnixMicros| changed(path).is_some_and(|at| at.0 < from.0.saturating_sub(STEP));
    period.to.is_some_and(begins_later) || period.from.is_some_and(before)
}

fn is_sealed(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "parquet")
}

/// The time of the first record of a file in lines.
fn first_time(path: &Path) -> Option<UnixMicros> {
    let mut reader = LineReader::open(path).ok()?;
    loop {
        match reader.step().ok()? {
            Step::Line(line) if Kind::of(line) == Kind::Record => {
                return Line::parse(line).ok().map(|line| line.time);
            }
            Step::Line(_) | Step::TooLong => {}
            Step::End | Step::Torn => return None,
        }
    }
}

/// When a file was written last.
pub(super) fn changed(path: &Path) -> Option<UnixMicros> {
    let changed = path.metadata().and_then(|metadata| metadata.modified()).ok()?;
    let since_epoch = changed.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since_epoch.as_micros()).ok().map(UnixMicros)
}

/// How far the wall clock may have been stepped while a file was written, in microseconds.
const STEP: i64 = 3_600_000_000;

/// Why a question got no answer.
#[derive(Debug)]
pub enum ScanError {
    /// A file, or the directory, cannot be read.
    Read { path: PathBuf, error: io::Error },
    /// The visitor could not go on.
    Visit(io::Error),
}

pub(super) fn failed(path: &Path, error: io::Error) -> ScanError {
    ScanError::Read { path: path.into(), error }
}

impl fmt::Display for ScanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, error } => {
                write!(f, "cannot read the audit log: {}: {error}", path.display())
            }
            Self::Visit(error) => write!(f, "cannot show the records: {error}"),
        }
    }
}

impl std::error::Error for ScanError {}

#[cfg(test)]
mod tests;
