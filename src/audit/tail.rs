//! New records as they are written, across files and boots.
//!
//! It looks when it is asked: how often is the caller's choice.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::filter::Filter;
use super::line::Line;
use super::query::{ScanError, failed};
use super::reader::{LineReader, Step};
use super::segment::{Boot, SegmentName};

/// A place in the log.
#[derive(Debug)]
pub struct Tail {
    directory: PathBuf,
    /// Boots that were there before, or are read.
    known: BTreeSet<Boot>,
    current: Option<OpenFile>,
}

impl Tail {
    /// At the log's end: what is written from now on is new.
    pub fn at_end(directory: &Path) -> Result<Self, ScanError> {
        let names = SegmentName::list(directory).map_err(|error| failed(directory, error))?;
        // By change and not by name: a boot after a stepped clock may sort before the last.
        let changed = |name: &&SegmentName| {
            name.present_path(directory).metadata().and_then(|metadata| metadata.modified()).ok()
        };
        let last = names.iter().max_by_key(changed).copied();
        let mut current = last.map(|name| OpenFile::new(directory, name)).transpose()?;
        if let Some(file) = &mut current {
            file.drain(|_| Ok(()))?;
        }
        let known = names.iter().map(|name| name.boot).collect();
        Ok(Self { directory: directory.into(), known, current })
    }

    /// Shows every matching record that was written since the last time. Lines that are no records
    /// are passed over: a query counts them. So are those of open calls: their record comes with their end.
    pub fn poll(
        &mut self,
        filter: &Filter,
        mut visit: impl FnMut(&Line<'_>, &[u8]) -> io::Result<()>,
    ) -> Result<(), ScanError> {
        let mut show = |bytes: &[u8]| match Line::parse(bytes) {
            Ok(line) if !line.is_open() && filter.matches(&line) => visit(&line, bytes),
            _ => Ok(()),
        };
        // Looked up before reading: whoever began a file had finished the one before it. And once,
        // so that it never runs after a busy writer.
        let newer = self.newer_files()?;
        if let Some(file) = &mut self.current {
            file.drain(&mut show)?;
        }
        for name in newer {
            let file = self.current.insert(OpenFile::new(&self.directory, name)?);
            self.known.insert(name.boot);
            file.drain(&mut show)?;
        }
        Ok(())
    }

    fn newer_files(&self) -> Result<Vec<SegmentName>, ScanError> {
        let names = SegmentName::list(&self.directory);
        let names = names.map_err(|error| failed(&self.directory, error))?;
        let current = self.current.as_ref().map(|file| file.name);
        let follows = |name: &&SegmentName| {
            current.is_some_and(|file| file.boot == name.boot && file.number < name.number)
        };
        let is_new = |name: &&SegmentName| !self.known.contains(&name.boot);
        Ok(names.iter().filter(follows).chain(names.iter().filter(is_new)).copied().collect())
    }
}

#[derive(Debug)]
struct OpenFile {
    name: SegmentName,
    path: PathBuf,
    reader: LineReader,
}

impl OpenFile {
    fn new(directory: &Path, name: SegmentName) -> Result<Self, ScanError> {
        let path = name.present_path(directory);
        let reader = LineReader::of(directory, name).map_err(|error| failed(&path, error))?;
        Ok(Self { name, path, reader })
    }

    /// Reads to the end that the file has now.
    fn drain(&mut self, mut visit: impl FnMut(&[u8]) -> io::Result<()>) -> Result<(), ScanError> {
        self.reader.look().map_err(|error| failed(&self.path, error))?;
        loop {
            match self.reader.step().map_err(|error| failed(&self.path, error))? {
                Step::Line(bytes) => visit(bytes).map_err(ScanError::Visit)?,
                Step::TooLong => (),
                Step::End | Step::Torn => return Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::tests::{Directory, SETTINGS, id, open_log, request};
    use crate::audit::{AuditLog, AuditSettings};
    use std::time::Duration;

    fn write(log: &AuditLog, requests: std::ops::Range<u64>) {
        for n in requests {
            log.reserve().expect("room").complete(request(n));
        }
        log.flush(Duration::from_mins(1)).expect("written");
    }

    #[test]
    fn new_records_come_once_across_files_and_boots() {
        let directory = Directory::new();
        let settings = AuditSettings { segment_bytes_max: 5000, ..SETTINGS };
        let begin = || open_log(&directory, settings, |_| ());
        let (log, recorder) = begin();
        write(&log, 0..50);
        let mut tail = Tail::at_end(directory.path()).expect("a log");
        let mut ids = Vec::new();
        let mut check = |expected: std::ops::Range<u64>| {
            ids.clear();
            let keep = |line: &Line<'_>, _: &[u8]| {
                ids.push(line.id.to_string());
                Ok(())
            };
            tail.poll(&Filter::default(), keep).expect("reads");
            let expected: Vec<String> = expected.map(|n| id(n).to_string()).collect();
            assert_eq!(ids, expected);
        };
        check(0..0);
        write(&log, 50..51);
        check(50..51);
        write(&log, 51..200);
        check(51..200);
        recorder.close().expect("closes");
        let (log, recorder) = begin();
        check(0..0);
        write(&log, 200..300);
        check(200..300);
        recorder.close().expect("closes");
        check(0..0);
    }
}
