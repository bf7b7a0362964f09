//! A signed statement about the log: a C2SP tlog-checkpoint, which is a C2SP signed-note.

use jiff::Timestamp;
use openssl::base64;
use openssl::error::ErrorStack;

use crate::model::time::UnixMicros;

use super::handover::Keyring;
use super::key::{PublicKey, SigningKey};
use super::note::{self, NoteError};
use super::tree::{Chain, Hash};

/// What a checkpoint says of all leaves of a boot before it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Checkpoint {
    /// `onegate.dev/audit/<node>/<start>-<boot>`.
    pub origin: Box<str>,
    /// How many there are.
    pub size: u64,
    pub root: Hash,
    pub chain: Chain,
    /// The last record.
    pub seq: u64,
    pub time: UnixMicros,
    pub cause: Cause,
    pub totals: Totals,
}

/// `onegate_requests_total` by decision, since the boot began.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Totals {
    pub allowed: u64,
    pub denied: u64,
}

/// Why it was made.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cause {
    Interval,
    /// A file ends.
    Segment,
    /// The config was read again.
    Reload,
    /// The gate stopped in good order.
    Stop,
    /// It did not; the next boot says so.
    Crash,
}

impl Cause {
    const ALL: [Self; 5] = [Self::Interval, Self::Segment, Self::Reload, Self::Stop, Self::Crash];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Interval => "interval",
            Self::Segment => "segment",
            Self::Reload => "reload",
            Self::Stop => "stop",
            Self::Crash => "crash",
        }
    }

    /// Whether nothing of the boot comes after it.
    pub const fn ends_a_boot(self) -> bool {
        matches!(self, Self::Stop | Self::Crash)
    }
}

impl Checkpoint {
    /// The text that is signed.
    fn text(&self) -> String {
        let Self { origin, size, root, chain, seq, time, cause, totals } = self;
        let (root, chain) = (base64::encode_block(&root.0), base64::encode_block(&chain.0.0));
        let cause = cause.as_str();
        let Totals { allowed, denied } = totals;
        format!(
            "{origin}\n{size}\n{root}\nchain {chain}\nseq {seq}\ntime {time}\ncause {cause}\n\
             allowed {allowed}\ndenied {denied}\n"
        )
    }

    /// The whole note.
    pub fn sign(&self, key: &SigningKey) -> Result<String, ErrorStack> {
        note::sign(&self.text(), &[key])
    }

    /// Reads a note that `key` signed, in its one spelling.
    pub fn open(note: &str, key: &PublicKey) -> Result<Self, NoteError> {
        let checkpoint = Self::parse(note).ok_or(NoteError::NotInForm)?;
        note::check(note, &checkpoint.text(), &[key])?;
        Ok(checkpoint)
    }

    /// Reads a note that one of these keys signed.
    pub fn open_with(note: &str, keys: &Keyring) -> Result<Self, NoteError> {
        let checkpoint = Self::parse(note).ok_or(NoteError::NotInForm)?;
        keys.check(note, &checkpoint.text())?;
        Ok(checkpoint)
    }

    /// Reads what a note says, whoever signed it.
    pub fn parse(note: &str) -> Option<Self> {
        let mut lines = note.lines();
        let mut line = || lines.next();
        let origin = line()?.into();
        let size = line()?.parse().ok()?;
        let root = hash(line()?)?;
        let mut named = |name: &str| line()?.strip_prefix(name)?.strip_prefix(' ');
        let chain = Chain(hash(named("chain")?)?);
        let seq = named("seq")?.parse().ok()?;
        let time: Timestamp = named("time")?.parse().ok()?;
        let time = UnixMicros(time.as_microsecond());
        let cause = named("cause")?;
        let cause = Cause::ALL.into_iter().find(|known| known.as_str() == cause)?;
        let allowed = named("allowed")?.parse().ok()?;
        let denied = named("denied")?.parse().ok()?;
        let totals = Totals { allowed, denied };
        Some(Self { origin, size, root, chain, seq, time, cause, totals })
    }
}

fn hash(text: &str) -> Option<Hash> {
    let bytes = base64::decode_block(text).ok()?;
    Some(Hash(bytes.try_into().ok()?))
}
