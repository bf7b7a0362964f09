//! The writer's side of the proof: it hashes lines as they are written and says what stands between
//! them. It writes nothing itself.

use std::sync::Arc;

use openssl::error::ErrorStack;

use crate::audit::segment::SegmentName;
use crate::model::time::UnixMicros;

use super::checkpoint::{Cause, Checkpoint, Totals};
use super::handover::Handover;
use super::key::{PublicKey, SigningKey};
use super::lines::{Commit, Control, Previous, Segment, State};
use super::tree::Hash;

/// The proof of one boot, as far as it is written.
#[derive(Debug)]
pub struct Prover {
    key: Arc<SigningKey>,
    node: Box<str>,
    previous: Option<Previous>,
    state: State,
    /// Leaves since the last commit.
    batch: Vec<Hash>,
}

/// How a record counts in the totals.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Counted {
    Allowed,
    /// So many of them.
    Denied(u64),
    /// It is of no request, or of one that has not ended.
    Not,
}

impl Counted {
    pub const fn with_denial(denial: &str) -> Self {
        if denial.is_empty() { Self::Allowed } else { Self::Denied(1) }
    }
}

/// The key that is to sign from a file on, and what it must know of the log.
#[derive(Debug)]
pub struct NextKey {
    pub key: Arc<SigningKey>,
    pub deleted_before: Option<SegmentName>,
    pub time: UnixMicros,
}

/// A place to which a prover can go back.
#[derive(Debug)]
pub struct Mark {
    key: Arc<SigningKey>,
    previous: Option<Previous>,
    state: State,
    batch: Vec<Hash>,
}

impl Prover {
    pub fn new(key: Arc<SigningKey>, node: &str, previous: Option<Previous>) -> Self {
        let state = State::default();
        Self { key, node: node.into(), previous, state, batch: Vec::new() }
    }

    /// Goes on where another process was killed.
    pub fn resume(key: Arc<SigningKey>, node: &str, state: State, batch: Vec<Hash>) -> Self {
        Self { state, batch, ..Self::new(key, node, None) }
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    /// Where it is now, for [`Prover::restore`].
    pub fn mark(&self) -> Mark {
        let Self { key, previous, state, batch, .. } = self;
        let (key, previous) = (Arc::clone(key), previous.clone());
        Mark { key, previous, state: state.clone(), batch: batch.clone() }
    }

    /// Forgets what it took in since then: it was not written.
    pub fn restore(&mut self, mark: Mark) {
        let Mark { key, previous, state, batch } = mark;
        (self.key, self.previous, self.state, self.batch) = (key, previous, state, batch);
    }

    /// Takes in a record's line, without its line break.
    pub fn record(&mut self, line: &[u8], counted: Counted) {
        let Totals { allowed, denied } = &mut self.state.totals;
        match counted {
            Counted::Allowed => *allowed += 1,
            Counted::Denied(count) => *denied += count,
            Counted::Not => {}
        }
        self.state.seq += 1;
        self.leaf(line);
    }

    fn leaf(&mut self, line: &[u8]) {
        let leaf = Hash::of_line(line);
        self.state.tree.push(leaf);
        self.batch.push(leaf);
    }

    /// The key that signs.
    pub fn key(&self) -> &PublicKey {
        &self.key.public
    }

    /// This key signs again: the line by which it handed over may be lost.
    pub fn go_back_to(&mut self, key: Arc<SigningKey>) {
        self.key = key;
    }

    /// Whether this key signs.
    pub fn signs_with(&self, key: &SigningKey) -> bool {
        self.key.public == key.public
    }

    /// Appends the line that begins a file. The oldest entry of a call that has not ended is in the file
    /// `open_since`. Where there is a next key, it signs from here on.
    pub fn begin(
        &mut self,
        lines: &mut Vec<u8>,
        file: SegmentName,
        open_since: Option<u32>,
        next: Option<NextKey>,
    ) -> Result<(), ErrorStack> {
        let mut handover = None;
        if let Some(NextKey { key, deleted_before, time }) = next {
            let pair = (&*self.key, &*key);
            let note = Handover::sign(&self.node, pair, file, deleted_before, time)?;
            handover = Some(note.into());
            self.key = key;
        }
        if !self.batch.is_empty() {
            // The file before failed: what it could not commit, this line does, by its chain.
            self.state.chain = self.state.chain.after(&self.batch);
            self.batch.clear();
        }
        let boot = file.boot.id().to_string();
        let previous = self.previous.take();
        let of = (&*self.node, &*boot, file.number);
        let mut line = Segment::new(of, &self.state, previous, &self.key.public.to_string());
        (line.open_since, line.handover) = (open_since, handover);
        let line = Control::Segment(Box::new(line)).to_line();
        self.leaf(line.as_bytes());
        push(lines, &line);
        Ok(())
    }

    /// Appends the line that ends a batch, if there is one.
    pub fn commit(&mut self, lines: &mut Vec<u8>) {
        if !self.batch.is_empty() {
            self.state.chain = self.state.chain.after(&self.batch);
            push(lines, &Control::Commit(Commit::new(&self.state, &self.batch)).to_line());
            self.batch.clear();
        }
    }

    /// Appends a checkpoint, and gives its note. Everything before it must be committed and on the medium.
    pub fn checkpoint(
        &mut self,
        lines: &mut Vec<u8>,
        file: SegmentName,
        cause: Cause,
        time: UnixMicros,
    ) -> Result<String, ErrorStack> {
        let State { seq, tree, chain, totals } = &self.state;
        let checkpoint = Checkpoint {
            origin: origin(&self.node, file).into(),
            size: tree.size(),
            root: tree.root(),
            chain: *chain,
            seq: *seq,
            time,
            cause,
            totals: *totals,
        };
        let note = checkpoint.sign(&self.key)?;
        push(lines, &Control::Checkpoint(note.clone()).to_line());
        Ok(note)
    }
}

/// What checkpoints of a boot are about.
pub fn origin(node: &str, file: SegmentName) -> String {
    format!("onegate.dev/audit/{node}/{}", file.boot)
}

fn push(lines: &mut Vec<u8>, line: &str) {
    lines.extend_from_slice(line.as_bytes());
    lines.push(b'\n');
}
