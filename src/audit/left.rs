//! The calls that a killed gate had not recorded to their end: from its journal, and from lines of the log
//! that say a call was open. Each gets the record that it still lacks, with the end `crash`.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use memchr::memmem;

use crate::model::id::RequestId;
use crate::model::record::Surface;

use super::crowd::{Source, Summary};
use super::journal::{self, CONTENT_BYTES, OfBoot, Open};
use super::line::{Encoder, OPEN_MEMBER};
use super::opening::Opening;
use super::proof::lines::{Kind, Record};
use super::proof::prover::{Counted, Prover};
use super::reader::{LineReader, Step};
use super::segment::{Boot, SegmentName};

/// Whether a record with this id is in the last file that has lines.
pub fn is_in_last_file(directory: &Path, files: &[SegmentName], id: RequestId) -> io::Result<bool> {
    for name in files.iter().rev() {
        let mut reader = match LineReader::open(&name.path(directory)) {
            // It had no line.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened?,
        };
        let mut has_lines = false;
        loop {
            match reader.step()? {
                Step::Line(line) => {
                    has_lines = true;
                    let record = Record::parse(line).filter(|_| Kind::of(line) == Kind::Record);
                    if record.is_some_and(|record| RequestId::parse(&record.id) == Some(id)) {
                        return Ok(true);
                    }
                }
                Step::TooLong => has_lines = true,
                Step::End | Step::Torn => break,
            }
        }
        if has_lines {
            break;
        }
    }
    Ok(false)
}

/// By id, so that they are always written in the same order: that of their beginnings.
#[derive(Debug, Default)]
pub struct Left {
    calls: BTreeMap<[u8; 16], Call>,
}

#[derive(Debug)]
struct Call {
    known: Unended,
    /// Whether the log has an entry of it.
    entry: Entry,
    /// The id of the call whose record was to tell of this one too.
    told_with: Option<[u8; 16]>,
}

/// What is known of a call that has no record of its end.
#[derive(Debug)]
pub enum Unended {
    /// An encoded [`Opening`].
    Opening(Box<[u8]>),
    /// The line of the log that says it is open.
    Line(Box<[u8]>),
}

impl Unended {
    /// What [`Unended::bytes`] gave. An opening begins with an id, whose first byte is no brace for some thousand
    /// years.
    fn of(bytes: Vec<u8>) -> Self {
        if Kind::of(&bytes) == Kind::Record {
            Self::Line(bytes.into())
        } else {
            Self::Opening(bytes.into())
        }
    }

    /// For the journal.
    pub fn bytes(&self) -> &[u8] {
        let (Self::Opening(bytes) | Self::Line(bytes)) = self;
        bytes
    }

    fn id(&self) -> Option<[u8; 16]> {
        match self {
            Self::Opening(stored) => Some(Opening::decode(stored)?.id.to_bytes()),
            Self::Line(line) => {
                Some(RequestId::parse(&Record::parse(line)?.id).map(RequestId::to_bytes)?)
            }
        }
    }

    /// Appends the record of its end, with the end `crash`, and says how that counts. None for what nobody can
    /// read.
    pub fn write(&self, lines: &mut Vec<u8>, encoder: &mut Encoder, seq: u64) -> Option<Counted> {
        match self {
            Self::Opening(stored) => {
                let opening = Opening::decode(stored)?;
                encoder.crashed(lines, seq, &opening);
                Some(Counted::with_denial(opening.denial))
            }
            Self::Line(line) => {
                encoder.crashed_again(lines, seq, line)?;
                let is_refusal = memmem::find(line, br#","decision":"denied""#).is_some();
                Some(if is_refusal { Counted::Denied(1) } else { Counted::Allowed })
            }
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Entry {
    None,
    InLog,
}

/// Calls that one record tells of, if they are many.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Group {
    /// So the gate before had begun it, however many they are: with the call of this id.
    With([u8; 16]),
    /// Denials without a client.
    Stranger(Source, Surface, Box<str>),
}

/// What a group's record says.
#[derive(Debug)]
struct Told {
    count: u64,
    first: [u8; 16],
    source: Source,
}

impl Call {
    fn opening(&self) -> Option<Opening<'_>> {
        match &self.known {
            Unended::Opening(stored) => Opening::decode(stored),
            Unended::Line(_) => None,
        }
    }

    fn group(&self) -> Option<Group> {
        let Self { known: Unended::Opening(opening), entry: Entry::None, told_with } = self else {
            return None;
        };
        if let Some(id) = told_with {
            return Some(Group::With(*id));
        }
        let opening = Opening::decode(opening)?;
        let is_stranger = opening.client.is_empty() && !opening.denial.is_empty();
        is_stranger.then(|| {
            let source = Source::of(opening.source_ip);
            Group::Stranger(source, opening.surface, opening.denial.into())
        })
    }
}

/// So many of one stranger have records of their own.
const OWN_MAX: u64 = 10;

impl Left {
    /// What stands in the journal, and whether that is this boot's.
    pub fn in_journal(home: &Path, boot: Boot) -> io::Result<(Self, OfBoot)> {
        let (open, of) = journal::left_open(home, boot)?;
        let open = open.into_iter().filter_map(|Open { number, told_with, content }| {
            let known = Unended::of(content);
            Some((number, told_with, known.id()?, known))
        });
        let open: Vec<_> = open.collect();
        // The first of those that are told together names itself.
        let firsts = open.iter().filter(|(number, told_with, ..)| told_with == number);
        let firsts: BTreeMap<u32, [u8; 16]> =
            firsts.map(|(number, _, id, _)| (*number, *id)).collect();
        let calls = open.into_iter().map(|(_, told_with, id, known)| {
            let told_with = firsts.get(&told_with).copied();
            (id, Call { known, entry: Entry::None, told_with })
        });
        Ok((Self { calls: calls.collect() }, of))
    }

    pub fn len(&self) -> usize {
        self.calls.len()
    }

    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// So many slots of a journal it takes.
    pub fn slots(&self) -> usize {
        let slots = |call: &Call| call.known.bytes().len().div_ceil(CONTENT_BYTES).max(1);
        self.calls.values().map(slots).sum()
    }

    /// Looks at the next line of the boot.
    pub fn line(&mut self, line: &[u8]) {
        let is_open = memmem::find(line, OPEN_MEMBER.as_bytes()).is_some();
        if (self.calls.is_empty() && !is_open) || Kind::of(line) != Kind::Record {
            return;
        }
        let Some(record) = Record::parse(line) else { return };
        let Some(id) = RequestId::parse(&record.id).map(RequestId::to_bytes) else { return };
        if is_open {
            match self.calls.get_mut(&id) {
                Some(call @ Call { known: Unended::Opening(_), .. }) => call.entry = Entry::InLog,
                // The last says the most.
                Some(Call { known: Unended::Line(_), .. }) | None => {
                    let known = Unended::Line(line.into());
                    self.calls.insert(id, Call { known, entry: Entry::InLog, told_with: None });
                }
            }
        } else if record.count.is_some() {
            // Of the gate before, or of a start that was killed.
            let Some(group) = self.calls.get(&id).and_then(Call::group) else { return };
            self.calls.retain(|_, call| call.group().as_ref() != Some(&group));
        } else {
            self.calls.remove(&id);
        }
    }

    /// Looks at all whole lines of a file.
    pub fn file(&mut self, directory: &Path, name: SegmentName) -> io::Result<()> {
        let mut reader = LineReader::of(directory, name)?;
        loop {
            match reader.step()? {
                Step::Line(line) => self.line(line),
                Step::TooLong => {}
                Step::End | Step::Torn => return Ok(()),
            }
        }
    }

    /// Appends the records that are lacking, as the next of their boot. Many denials of one stranger are one.
    pub fn write(&self, lines: &mut Vec<u8>, encoder: &mut Encoder, prover: &mut Prover) {
        let groups = self.groups();
        for (id, call) in &self.calls {
            let (start, seq) = (lines.len(), prover.state().seq + 1);
            let counted = match call.group().and_then(|group| groups.get(&group)) {
                Some(told) if told.first != *id => continue,
                Some(told) => {
                    let Some(opening) = call.opening() else { continue };
                    encoder.summary(lines, seq, &Summary::of(&opening, told.source, told.count));
                    Counted::Denied(told.count)
                }
                None => {
                    let Some(counted) = call.known.write(lines, encoder, seq) else { continue };
                    counted
                }
            };
            let line = lines.get(start..).unwrap_or_default();
            prover.record(line.strip_suffix(b"\n").unwrap_or(line), counted);
        }
    }

    /// Those that have one record for all of them.
    fn groups(&self) -> BTreeMap<Group, Told> {
        let mut groups = BTreeMap::new();
        for (id, call) in &self.calls {
            let (Some(group), Some(opening)) = (call.group(), call.opening()) else { continue };
            let source = Source::of(opening.source_ip);
            let first = if let Group::With(first) = group { first } else { *id };
            let told = groups.entry(group).or_insert(Told { count: 0, first, source });
            told.count += 1;
            if told.source != source {
                told.source = Source::Unknown;
            }
        }
        groups.retain(|group, told| matches!(group, Group::With(_)) || told.count > OWN_MAX);
        groups
    }

    /// With what another has found; that counts where both know a call.
    pub fn absorb(&mut self, other: Self) {
        self.calls.extend(other.calls);
    }

    /// For the next boot, where their own can take no more lines.
    pub fn into_unended(self) -> impl Iterator<Item = Unended> {
        self.calls.into_values().map(|call| call.known)
    }
}

#[cfg(test)]
mod tests;
