//! Goes over the lines of the log as whoever wrote them did, and finds where they are not what they must
//! be. Pure: `verify` and `recovery` bring the lines, and decide what a fault means.

use std::fmt;

use crate::model::id::RequestId;
use crate::model::record::Surface;

use super::checkpoint::{Cause, Checkpoint, Totals};
use super::handover::{Handover, Keyring};
use super::lines::{Commit, Control, Kind, Record, Segment, State};
use super::note::NoteError;
use super::prover;
use super::tree::Hash;
use crate::audit::segment::SegmentName;

/// One boot, line by line.
#[derive(Debug)]
pub struct Replay<'k> {
    keys: &'k Keyring,
    file: SegmentName,
    node: Box<str>,
    boot: Box<str>,
    state: State,
    /// Leaves since the last commit.
    batch: Vec<Hash>,
    /// The last checkpoint.
    pub checked: Option<Checkpoint>,
    /// Nothing may follow it.
    pub ended: Option<Cause>,
}

/// What a line was.
#[derive(Debug, Eq, PartialEq)]
pub enum Seen {
    Record(RequestId),
    /// A record of a call that had not ended.
    Open(RequestId),
    Segment,
    Commit,
    /// The note.
    Checkpoint(String),
}

impl<'k> Replay<'k> {
    /// Begins with the first line of a file, as that says where in its boot it is.
    pub fn begin(
        keys: &'k Keyring,
        file: SegmentName,
        line: &[u8],
    ) -> Result<(Self, Segment), Fault> {
        let segment = segment(file, line, keys)?;
        let state = segment.before().ok_or(Fault::NoSegment)?;
        let mut replay = Self {
            keys,
            file,
            node: segment.node.clone(),
            boot: segment.boot.clone(),
            state,
            batch: Vec::new(),
            checked: None,
            ended: None,
        };
        replay.leaf(line);
        Ok((replay, segment))
    }

    /// Goes on with the first line of the next file of the boot.
    pub fn go_on(&mut self, file: SegmentName, line: &[u8]) -> Result<(), Fault> {
        let segment = segment(file, line, self.keys)?;
        if file.number != self.file.number + 1 {
            return Err(Fault::FileMissing { expected: self.file.number + 1 });
        }
        if !self.batch.is_empty() {
            self.state.chain = self.state.chain.after(&std::mem::take(&mut self.batch));
        }
        let is_next = segment.before().as_ref() == Some(&self.state) && segment.node == self.node;
        if !is_next || segment.previous.is_some() {
            return Err(Fault::DoesNotFollow);
        }
        self.file = file;
        self.leaf(line);
        Ok(())
    }

    pub const fn state(&self) -> &State {
        &self.state
    }

    /// What is known so far, and the leaves that are not committed.
    pub fn into_parts(self) -> (State, Vec<Hash>) {
        (self.state, self.batch)
    }

    /// The next line, which is not the first of a file, without its line break.
    pub fn line(&mut self, line: &[u8]) -> Result<Seen, Fault> {
        if self.ended.is_some() {
            return Err(Fault::AfterTheEnd);
        }
        if Kind::of(line) == Kind::Record {
            return self.record(line);
        }
        match Control::parse(line).ok_or(Fault::Unreadable)? {
            Control::Segment(_) => Err(Fault::SecondSegment),
            Control::Commit(commit) => self.commit(&commit),
            Control::Checkpoint(note) => self.checkpoint(note),
        }
    }

    fn leaf(&mut self, line: &[u8]) {
        let leaf = Hash::of_line(line);
        self.state.tree.push(leaf);
        self.batch.push(leaf);
    }

    fn record(&mut self, line: &[u8]) -> Result<Seen, Fault> {
        let record = Record::parse(line).ok_or(Fault::Unreadable)?;
        let next = self.state.seq + 1;
        if record.seq != next {
            return Err(Fault::Number { expected: next, found: record.seq });
        }
        if record.v != 1 || *record.node != *self.node || *record.boot != *self.boot {
            return Err(Fault::ElsewhereRecord);
        }
        let id = RequestId::parse(&record.id).ok_or(Fault::Unreadable)?;
        let is_open = match record.entry.as_deref() {
            None => false,
            Some("open") => true,
            Some(_) => return Err(Fault::Unreadable),
        };
        if record.count == Some(0) {
            return Err(Fault::Unreadable);
        }
        if *record.surface != *Surface::Admin.as_str() && !is_open {
            let Totals { allowed, denied } = &mut self.state.totals;
            match record.decision.as_deref() {
                Some("allowed") => *allowed = allowed.saturating_add(record.count.unwrap_or(1)),
                Some("denied") => *denied = denied.saturating_add(record.count.unwrap_or(1)),
                _ => return Err(Fault::Unreadable),
            }
        }
        self.state.seq = next;
        self.leaf(line);
        Ok(if is_open { Seen::Open(id) } else { Seen::Record(id) })
    }

    fn commit(&mut self, commit: &Commit) -> Result<Seen, Fault> {
        if self.batch.is_empty() {
            return Err(Fault::EmptyBatch);
        }
        self.state.chain = self.state.chain.after(&self.batch);
        let found = Commit::new(&self.state, &std::mem::take(&mut self.batch));
        if *commit == found {
            return Ok(Seen::Commit);
        }
        if commit.chain == found.chain {
            return Err(Fault::Commit);
        }
        let leaves =
            |of: &Commit| of.leaves.as_bytes().chunks(Commit::DIGITS).map(Vec::from).collect();
        let (written, read): (Vec<Vec<u8>>, Vec<Vec<u8>>) = (leaves(commit), leaves(&found));
        let same = written.iter().zip(&read).take_while(|(a, b)| a == b).count();
        Err(if written.len() == read.len() && same < read.len() {
            Fault::Changed { lines_back: (read.len() - same) as u64 }
        } else {
            Fault::Chain
        })
    }

    fn checkpoint(&mut self, note: String) -> Result<Seen, Fault> {
        let checkpoint = Checkpoint::open(&note, self.keys.of(self.file)).map_err(Fault::Note)?;
        if !self.batch.is_empty() {
            return Err(Fault::Uncommitted);
        }
        let State { seq, tree, chain, totals } = &self.state;
        let is_as_found = (checkpoint.size, checkpoint.seq) == (tree.size(), *seq)
            && checkpoint.root == tree.root()
            && checkpoint.chain == *chain
            && *checkpoint.origin == prover::origin(&self.node, self.file);
        if !is_as_found {
            return Err(Fault::Root);
        }
        if checkpoint.totals != *totals {
            return Err(Fault::Totals { signed: checkpoint.totals, counted: *totals });
        }
        self.ended = Some(checkpoint.cause).filter(|cause| cause.ends_a_boot());
        self.checked = Some(checkpoint);
        Ok(Seen::Checkpoint(note))
    }
}

fn segment(file: SegmentName, line: &[u8], keys: &Keyring) -> Result<Segment, Fault> {
    let Some(Control::Segment(segment)) = Control::parse(line) else {
        return Err(Fault::NoSegment);
    };
    let is_of_file = *segment.boot == file.boot.id().to_string() && segment.number == file.number;
    if !is_of_file || segment.v != Segment::VERSION {
        return Err(Fault::NoSegment);
    }
    if *segment.key != keys.of(file).to_string() {
        return Err(Fault::OtherKey);
    }
    if let Some(note) = &segment.handover {
        let Handover { from, to, file: of, .. } = Handover::open(note).map_err(Fault::Handover)?;
        if of != file || from == to || to != *keys.of(file) {
            return Err(Fault::OtherKey);
        }
    }
    Ok(*segment)
}

/// Why a line is not what it must be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fault {
    /// It is no line of this format.
    Unreadable,
    /// The first line of a file does not say which file it is.
    NoSegment,
    SecondSegment,
    FileMissing {
        expected: u32,
    },
    /// What the file says of all that was before it is not so.
    DoesNotFollow,
    /// It names a key that is none of the log, or not yet, or no more.
    OtherKey,
    Number {
        expected: u64,
        found: u64,
    },
    /// Nor what the manifest says that the log goes on with.
    NotAfterDeleted,
    /// The first file of a boot names another end of the boot before it.
    OtherBootBefore,
    /// A record of another boot or node.
    ElsewhereRecord,
    EmptyBatch,
    Uncommitted,
    /// A line so many before this one is not what was committed.
    Changed {
        lines_back: u64,
    },
    /// A line of the batch, or one before it, is not what was committed.
    Chain,
    /// The lines are what was committed, and the line that says so is another.
    Commit,
    /// Nor what was signed.
    Root,
    Totals {
        signed: Totals,
        counted: Totals,
    },
    Note(NoteError),
    /// By which one key hands over to the next.
    Handover(NoteError),
    AfterTheEnd,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Unreadable => "this is no line of the log",
            Self::NoSegment => "the file does not begin with the line that says which file it is",
            Self::SecondSegment => "a line that begins a file stands within one",
            Self::DoesNotFollow => {
                "the file does not follow the one before it: lines are missing or were changed"
            }
            Self::OtherKey => {
                "the file names another key than the log has here, and no statement of both hands over to it"
            }
            Self::NotAfterDeleted => {
                "the log did not go on with this line when the files before it were deleted"
            }
            Self::OtherBootBefore => {
                "this boot follows another end of the boot before it: that one was cut, changed or taken out"
            }
            Self::ElsewhereRecord => "this record belongs to another boot or node",
            Self::EmptyBatch => "a batch without lines is committed",
            Self::Uncommitted => "lines before this one were not committed",
            Self::Changed { .. } => "this line was changed",
            Self::Chain => {
                "the chain is broken: a line of this batch was changed, moved, added or taken out"
            }
            Self::Commit => "the line that commits this batch was changed",
            Self::Root => "the checkpoint is not about the lines before it",
            Self::AfterTheEnd => "the boot had ended before this line",
            Self::Note(error) => return write!(f, "the checkpoint is not good: {error}"),
            Self::Handover(error) => return write!(f, "the handover is not good: {error}"),
            Self::FileMissing { expected } => {
                return write!(f, "this file is missing, the {expected}. of its boot");
            }
            Self::Number { expected, found } => {
                return write!(f, "record {expected} is missing here: this one is {found}");
            }
            Self::Totals { signed, counted } => {
                return write!(
                    f,
                    "the checkpoint counts {} allowed and {} denied requests, the records {} and {}",
                    signed.allowed, signed.denied, counted.allowed, counted.denied
                );
            }
        };
        f.write_str(text)
    }
}
