//! Checks a whole log against its proof, with nothing but the public key, and says where it is not what it
//! must be. It changes nothing, and needs no running gate. What the manifest states is looked at in `stated`.

use std::fmt;
use std::io;
use std::path::Path;

use ahash::AHashMap;

use crate::model::id::RequestId;

use super::completeness::counted;
use super::proof::handover::Keyring;
use super::proof::key::PublicKey;
use super::proof::lines::{Kind, Previous};
use super::proof::replay::{Fault, Replay, Seen};
use super::reader::{LineReader, Step};
use super::segment::SegmentName;

mod anchors;
mod stated;

use stated::{Held, Stated};

/// What a check found.
#[derive(Debug, Default)]
pub struct Report {
    pub problems: Vec<Problem>,
    /// What an auditor should know, and is no fault.
    pub notes: Vec<String>,
    pub records: u64,
    pub files: u64,
    /// Of these.
    pub sealed: u64,
    pub boots: u64,
    pub checkpoints: u64,
    /// Checkpoints that were kept elsewhere and found here.
    pub anchors: u64,
}

/// A place where the log is not what it must be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    pub file: Box<str>,
    /// From 1.
    pub line: u64,
    pub what: Box<str>,
}

/// Reads every file of the log in `directory`. `anchors` are checkpoints that were kept elsewhere.
pub fn verify(directory: &Path, key: &PublicKey, anchors: &[String]) -> io::Result<Report> {
    match check(directory, key, anchors) {
        // Meanwhile a gate sealed or deleted a file: once more, as it is now.
        Err(error) if error.kind() == io::ErrorKind::NotFound => check(directory, key, anchors),
        report => report,
    }
}

fn check(directory: &Path, key: &PublicKey, anchors: &[String]) -> io::Result<Report> {
    let mut names = SegmentName::list(directory)?;
    let mut report = Report::default();
    let stated = Stated::read(directory, key, &names, &mut report)?;
    names.retain(|name| !stated.has_deleted(*name));
    let mut check = Check {
        directory,
        keys: &stated.keys,
        stated: &stated,
        report,
        before: if stated.deleted.is_some() { Before::Deleted } else { Before::Nothing },
        awaited: anchors.iter().map(|note| (&**note, false)).collect(),
        begins_at: None,
        runs: false,
        open: AHashMap::new(),
        last: None,
    };
    let last_boot = names.last().map(|name| name.boot);
    for files in names.chunk_by(|a, b| a.boot == b.boot) {
        let Some(first) = files.first() else { continue };
        let is_last = Some(first.boot) == last_boot;
        check.boot(files, if is_last { Boots::Last } else { Boots::Earlier })?;
    }
    if names.is_empty() {
        check.report.problem("(no file)", 1, "there is no file of a log here");
    }
    check.look_for_open(&names);
    check.look_for_anchors(&names);
    Ok(check.report)
}

impl Report {
    fn problem(&mut self, file: impl Into<Box<str>>, line: u64, what: impl Into<Box<str>>) {
        self.problems.push(Problem { file: file.into(), line, what: what.into() });
    }
}

/// Whether the boot may still be running, or was just killed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Boots {
    Earlier,
    Last,
}

/// What is known of the boot before.
enum Before {
    /// There is none.
    Nothing,
    /// The files before this one were deleted, and the manifest says how the log goes on.
    Deleted,
    /// It was written before the log proved itself.
    Unproven,
    Ended(Previous),
    /// It has a problem, so that its end says nothing.
    Unknown,
}

struct Check<'a> {
    directory: &'a Path,
    keys: &'a Keyring,
    stated: &'a Stated,
    report: Report,
    before: Before,
    /// Checkpoints of elsewhere, and whether they were found.
    awaited: Vec<(&'a str, bool)>,
    /// The first file, and the leaves of its boot before it.
    begins_at: Option<(SegmentName, u64)>,
    /// The last boot has no end.
    runs: bool,
    /// Calls that were open, and have no record of their end yet: where they are.
    open: AHashMap<RequestId, (SegmentName, u64)>,
    /// The last line that was read.
    last: Option<(SegmentName, u64)>,
}

impl<'a> Check<'a> {
    fn boot(&mut self, files: &[SegmentName], which: Boots) -> io::Result<()> {
        self.report.boots += 1;
        let mut replay = None;
        for file in files {
            self.report.files += 1;
            match self.file(*file, &mut replay)? {
                Read::Whole => {}
                Read::Unproven => {
                    self.unproven(*file, which);
                    return Ok(());
                }
                Read::Torn
                    if which == Boots::Last
                        && Some(file) == files.last()
                        && replay.as_ref().is_none_or(|replay| replay.ended.is_none()) =>
                {
                    self.report.notes.push(format!("{file}: its next line is being written"));
                }
                Read::Torn => {
                    self.problem(*file, "the last line of this file is not whole");
                    return Ok(());
                }
                Read::Faulty => return Ok(()),
            }
        }
        let (Some(replay), Some(file)) = (replay, files.last()) else { return Ok(()) };
        self.end(&replay, *file, which);
        Ok(())
    }

    /// How a boot ends.
    fn end(&mut self, replay: &Replay<'_>, file: SegmentName, which: Boots) {
        let ended = replay.ended.is_some();
        match which {
            Boots::Earlier if !ended => {
                self.problem(file, "the end of this boot is missing: it has no last checkpoint");
                return;
            }
            Boots::Last if !ended => {
                self.runs = true;
                let about = replay.checked.as_ref().map_or(0, |checkpoint| checkpoint.seq);
                let open = replay.state().seq.saturating_sub(about);
                let unsigned = match open {
                    0 => String::new(),
                    open => format!("; its last {open} records are not signed yet"),
                };
                let note = format!("{file}: this boot runs, or was killed{unsigned}");
                self.report.notes.push(note);
            }
            Boots::Earlier | Boots::Last => {}
        }
        let tree = &replay.state().tree;
        self.before = Before::Ended(Previous::new(file, tree.size(), tree.root()));
    }

    fn file(&mut self, file: SegmentName, replay: &mut Option<Replay<'a>>) -> io::Result<Read> {
        self.last = Some((file, 1));
        self.check_if_sealed(file)?;
        let read = LineReader::of(self.directory, file)
            .and_then(|reader| self.lines(file, reader, replay));
        match read {
            // A sealed file that is none.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                self.problem(file, &error.to_string());
                Ok(Read::Faulty)
            }
            read => read,
        }
    }

    fn lines(
        &mut self,
        file: SegmentName,
        mut reader: LineReader,
        replay: &mut Option<Replay<'a>>,
    ) -> io::Result<Read> {
        let mut held = Held::default();
        for number in 1.. {
            self.last = Some((file, number));
            let line = match reader.step()? {
                Step::Line(line) => line,
                Step::TooLong => return Ok(self.faulty(&Fault::Unreadable)),
                Step::End if number == 1 => return Ok(Read::Torn),
                Step::End => {
                    self.last = Some((file, number - 1));
                    self.check_held(file, held);
                    return Ok(Read::Whole);
                }
                Step::Torn => return Ok(Read::Torn),
            };
            if self.stated.is_sealed(file) {
                held.take(line);
            }
            let seen = match (number, &mut *replay) {
                (1, None) if !self.stated.goes_on_with(file, line) => Err(Fault::NotAfterDeleted),
                (1, None) if Kind::of(line) == Kind::Record => return Ok(Read::Unproven),
                (1, None) => match self.begin(file, line) {
                    Ok(begun) => {
                        *replay = Some(begun);
                        Ok(Seen::Segment)
                    }
                    Err(fault) => Err(fault),
                },
                (1, Some(replay)) => replay.go_on(file, line).map(|()| Seen::Segment),
                (_, Some(replay)) => replay.line(line),
                (_, None) => Err(Fault::NoSegment),
            };
            match seen {
                Ok(seen) => self.seen(seen, (file, number)),
                Err(fault) => return Ok(self.faulty(&fault)),
            }
        }
        Ok(Read::Whole)
    }

    fn begin(&mut self, file: SegmentName, line: &[u8]) -> Result<Replay<'a>, Fault> {
        let (replay, segment) = Replay::begin(self.keys, file, line)?;
        if file.number != 1 && !matches!(self.before, Before::Deleted) {
            return Err(Fault::FileMissing { expected: 1 });
        }
        self.begins_at.get_or_insert((file, segment.size));
        match (&self.before, &segment.previous) {
            (Before::Nothing, Some(previous)) => {
                self.report.notes.push(format!("the log begins after {}", previous.file));
            }
            (Before::Ended(before), Some(previous)) if before == previous => {}
            (Before::Nothing | Before::Unproven, None) | (Before::Unknown | Before::Deleted, _) => {
            }
            (Before::Ended(_) | Before::Unproven, _) => return Err(Fault::OtherBootBefore),
        }
        self.before = Before::Unknown;
        Ok(replay)
    }

    fn seen(&mut self, seen: Seen, place: (SegmentName, u64)) {
        match seen {
            Seen::Record(id) => {
                self.report.records += 1;
                if !self.open.is_empty() {
                    self.open.remove(&id);
                }
            }
            Seen::Open(id) => {
                self.open.insert(id, place);
            }
            Seen::Segment | Seen::Commit => {}
            Seen::Checkpoint(note) => {
                self.report.checkpoints += 1;
                for (awaited, found) in &mut self.awaited {
                    *found |= *awaited == note;
                }
            }
        }
    }

    /// A file of the time before there were proofs. Others must follow, which prove themselves.
    fn unproven(&mut self, file: SegmentName, which: Boots) {
        match self.before {
            Before::Nothing | Before::Deleted | Before::Unproven if which == Boots::Earlier => {
                self.before = Before::Unproven;
                let note = format!("{file}: written before the log proved itself, not checked");
                self.report.notes.push(note);
            }
            Before::Nothing
            | Before::Deleted
            | Before::Unproven
            | Before::Ended(_)
            | Before::Unknown => {
                self.last = Some((file, 1));
                self.faulty(&Fault::NoSegment);
            }
        }
    }

    fn faulty(&mut self, fault: &Fault) -> Read {
        if let Some((file, line)) = self.last {
            let (file, line) = place(file, line, fault);
            self.told(file, line, &fault.to_string());
        }
        self.before = Before::Unknown;
        Read::Faulty
    }

    /// At the last line that was read.
    fn problem(&mut self, file: SegmentName, what: &str) {
        let line = self.last.filter(|(last, _)| *last == file).map_or(1, |(_, line)| line);
        self.told(file, line, what);
        self.before = Before::Unknown;
    }

    fn told(&mut self, file: SegmentName, line: u64, what: &str) {
        self.report.problem(self.stated.shown(file), line, what);
    }

    /// Every call must have a record of its end, but for those that go on.
    fn look_for_open(&mut self, names: &[SegmentName]) {
        let mut open: Vec<_> = self.open.drain().map(|(_, place)| place).collect();
        open.sort_unstable();
        let running = names.last().filter(|_| self.runs).map(|name| name.boot);
        let (now, lost): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|(file, _)| Some(file.boot) == running);
        if !now.is_empty() {
            let calls = counted(now.len() as u64, "call");
            self.report.notes.push(format!("{calls} had not ended"));
        }
        for (file, line) in lost {
            self.told(file, line, "this call was open, and the record of its end is missing");
        }
    }
}

/// Where a fault is that was noticed at a line.
fn place(file: SegmentName, line: u64, fault: &Fault) -> (SegmentName, u64) {
    if let Fault::Changed { lines_back } = *fault {
        (file, line.saturating_sub(lines_back))
    } else if let Fault::FileMissing { expected } = *fault {
        (SegmentName { number: expected, ..file }, 1)
    } else {
        (file, line)
    }
}

/// What reading a file came to.
enum Read {
    Whole,
    Torn,
    Unproven,
    /// The problem is told.
    Faulty,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.what)
    }
}
