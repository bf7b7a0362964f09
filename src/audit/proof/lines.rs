//! The lines of the log that are no records: what begins a file, what ends a batch, and checkpoints.

use serde::{Deserialize, Serialize};

use crate::audit::line::Text;
use crate::audit::segment::SegmentName;
use crate::model::hex;

use super::checkpoint::Totals;
use super::tree::{Chain, Hash, Tree};

/// What a line is, by its first key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Record,
    Segment,
    Commit,
    Checkpoint,
    /// None of this version.
    Other,
}

impl Kind {
    pub fn of(line: &[u8]) -> Self {
        let kinds = [
            (&b"{\"v\":"[..], Self::Record),
            (b"{\"segment\":", Self::Segment),
            (b"{\"commit\":", Self::Commit),
            (b"{\"checkpoint\":", Self::Checkpoint),
        ];
        let found = kinds.into_iter().find(|(start, _)| line.starts_with(start));
        found.map_or(Self::Other, |(_, kind)| kind)
    }

    /// Whether it is no record, and rightly so.
    pub const fn is_of_the_proof(self) -> bool {
        matches!(self, Self::Segment | Self::Commit | Self::Checkpoint)
    }
}

/// A line that is no record.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Control {
    Segment(Box<Segment>),
    Commit(Commit),
    /// A signed note.
    Checkpoint(String),
}

impl Control {
    pub fn parse(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    /// The line, without its line break.
    pub fn to_line(&self) -> String {
        // Texts and numbers: nothing that JSON cannot say.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// A line of the manifest: a signed note about files of the log.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Statement {
    Sealed(String),
    Deleted(String),
    Handover(String),
}

impl Statement {
    pub fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }

    /// The line, without its line break.
    pub fn to_line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The first line of a file.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Segment {
    pub v: u64,
    pub node: Box<str>,
    pub boot: Box<str>,
    pub number: u32,
    /// The last record before it.
    pub seq: u64,
    /// Leaves before it, and the peaks and the chain over them.
    pub size: u64,
    peaks: Vec<Box<str>>,
    chain: Box<str>,
    /// Requests before it, by decision.
    pub allowed: u64,
    pub denied: u64,
    /// The file of the boot that has the oldest entry of a call that had not ended; None for none.
    #[serde(deserialize_with = "Option::deserialize")]
    pub open_since: Option<u32>,
    pub previous: Option<Previous>,
    pub key: Box<str>,
    /// The note by which the key before handed over to this one, if it did so here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handover: Option<Box<str>>,
}

/// How the boot before ended.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Previous {
    /// The name of its last file.
    pub file: Box<str>,
    pub size: u64,
    pub root: Box<str>,
}

impl Previous {
    pub fn new(file: SegmentName, size: u64, root: Hash) -> Self {
        Self { file: file.to_string().into(), size, root: root.to_string().into() }
    }
}

/// Where a file begins in its boot.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct State {
    pub seq: u64,
    pub tree: Tree,
    pub chain: Chain,
    pub totals: Totals,
}

impl Segment {
    pub const VERSION: u64 = 1;

    pub fn new(
        (node, boot, number): (&str, &str, u32),
        before: &State,
        previous: Option<Previous>,
        key: &str,
    ) -> Self {
        let peaks = before.tree.peaks().iter().map(|peak| peak.to_string().into()).collect();
        Self {
            v: Self::VERSION,
            node: node.into(),
            boot: boot.into(),
            number,
            seq: before.seq,
            size: before.tree.size(),
            peaks,
            chain: before.chain.0.to_string().into(),
            allowed: before.totals.allowed,
            denied: before.totals.denied,
            open_since: None,
            previous,
            key: key.into(),
            handover: None,
        }
    }

    /// None when its parts do not fit each other.
    pub fn before(&self) -> Option<State> {
        let peaks: Option<Vec<Hash>> = self.peaks.iter().map(|peak| Hash::parse(peak)).collect();
        let tree = Tree::resume(self.size, peaks?)?;
        let chain = Chain(Hash::parse(&self.chain)?);
        let totals = Totals { allowed: self.allowed, denied: self.denied };
        Some(State { seq: self.seq, tree, chain, totals })
    }
}

/// What ends a batch.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Commit {
    pub seq: u64,
    pub size: u64,
    /// The first digits of each leaf of the batch: enough to say which line was changed.
    pub leaves: Box<str>,
    pub chain: Box<str>,
}

impl Commit {
    /// Digits of each leaf.
    pub const DIGITS: usize = 8;

    pub fn new(after: &State, batch: &[Hash]) -> Self {
        let mut leaves = String::with_capacity(batch.len() * Self::DIGITS);
        for Hash(leaf) in batch {
            let mut digits = [0; Self::DIGITS];
            hex::write(leaf, &mut digits);
            leaves.push_str(std::str::from_utf8(&digits).unwrap_or_default());
        }
        let chain = after.chain.0.to_string().into();
        Self { seq: after.seq, size: after.tree.size(), leaves: leaves.into(), chain }
    }
}

/// What a record must say, and a check reads of it.
#[derive(Deserialize)]
pub struct Record<'a> {
    pub v: u64,
    pub seq: u64,
    #[serde(borrow)]
    pub node: Text<'a>,
    #[serde(borrow)]
    pub boot: Text<'a>,
    #[serde(borrow)]
    pub id: Text<'a>,
    /// `open`: the call had not ended.
    #[serde(borrow)]
    pub entry: Option<Text<'a>>,
    #[serde(borrow)]
    pub surface: Text<'a>,
    #[serde(borrow)]
    pub decision: Option<Text<'a>>,
    /// The calls that it stands for; None for one.
    pub count: Option<u64>,
}

impl<'a> Record<'a> {
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }
}
