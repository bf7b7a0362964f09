//! From one key to the next: a statement that both sign, and the keys of a log that follow from its statements.

use openssl::error::ErrorStack;

use crate::audit::segment::SegmentName;
use crate::model::time::UnixMicros;

use super::key::{PublicKey, SigningKey};
use super::note::{self, NoteError};
use super::statement::Text;

/// From this file on another key signs.
#[derive(Clone, Debug)]
pub struct Handover {
    node: Box<str>,
    pub from: PublicKey,
    pub to: PublicKey,
    pub file: SegmentName,
    /// All files before this one were deleted by then: the key before can state no more than that.
    pub deleted_before: Option<SegmentName>,
    time: UnixMicros,
}

impl Handover {
    fn text(&self) -> String {
        let Self { node, from, to, file, deleted_before, time } = self;
        let deleted = deleted_before.map_or_else(|| "none".to_owned(), |file| file.to_string());
        format!(
            "onegate.dev/audit/{node}/key\nfrom {from}\nto {to}\nfile {file}\n\
             deleted-before {deleted}\ntime {time}\n"
        )
    }

    /// The note that begins `file`.
    pub fn sign(
        node: &str,
        (old, new): (&SigningKey, &SigningKey),
        file: SegmentName,
        deleted_before: Option<SegmentName>,
        time: UnixMicros,
    ) -> Result<String, ErrorStack> {
        let (from, to) = (old.public.clone(), new.public.clone());
        let handover = Self { node: node.into(), from, to, file, deleted_before, time };
        note::sign(&handover.text(), &[old, new])
    }

    /// Reads a note that both keys signed.
    pub fn open(note: &str) -> Result<Self, NoteError> {
        let handover = Self::parse(note).ok_or(NoteError::NotInForm)?;
        note::check(note, &handover.text(), &[&handover.from, &handover.to])?;
        // More than there was cannot have been deleted.
        let is_possible = handover.deleted_before.is_none_or(|before| before <= handover.file);
        if is_possible { Ok(handover) } else { Err(NoteError::NotInForm) }
    }

    fn parse(note: &str) -> Option<Self> {
        let mut text = Text::of(note, "key")?;
        let from = PublicKey::parse(text.named("from")?)?;
        let to = PublicKey::parse(text.named("to")?)?;
        let file = SegmentName::parse(text.named("file")?)?;
        let deleted_before = match text.named("deleted-before")? {
            "none" => None,
            name => Some(SegmentName::parse(name)?),
        };
        let time = text.time("time")?;
        Some(Self { node: text.node, from, to, file, deleted_before, time })
    }
}

/// The keys of a log, one after the other.
#[derive(Clone, Debug)]
pub struct Keyring {
    first: PublicKey,
    /// From which file on each is in force, and which were deleted by then.
    later: Vec<Later>,
}

/// The keys of a log that never had the one to trust.
#[derive(Clone, Debug)]
pub struct Untrusted(pub Keyring);

#[derive(Clone, Debug)]
struct Later {
    from: SegmentName,
    deleted_before: Option<SegmentName>,
    key: PublicKey,
}

impl Keyring {
    pub const fn of_one(key: PublicKey) -> Self {
        Self { first: key, later: Vec::new() }
    }

    /// The keys that follow from one that is trusted, before and after it: as far as these statements lead from one to the
    /// next. Where it is none of them, those that the log had at first.
    pub fn new(trusted: &PublicKey, mut handovers: Vec<Handover>) -> Result<Self, Untrusted> {
        handovers.sort_by_key(|handover| handover.file);
        let mut rings: Vec<(Self, PublicKey)> = Vec::new();
        for Handover { from, to, file, deleted_before, .. } in handovers {
            let later = Later { from: file, deleted_before, key: to };
            match rings.last_mut() {
                Some((ring, before)) if *ring.last() == from => {
                    ring.later.push(later);
                    *before = from;
                }
                // The file that began with it failed: the next one says it again.
                Some((ring, before)) if *ring.last() == later.key && *before == from => {
                    ring.later.push(later);
                }
                Some(_) | None => {
                    rings.push((Self { first: from.clone(), later: vec![later] }, from));
                }
            }
        }
        let holds_trusted = |ring: &Self| ring.all().any(|key| key == trusted);
        let at = rings.iter().position(|(ring, _)| holds_trusted(ring));
        match rings.into_iter().nth(at.unwrap_or(0)) {
            None => Ok(Self::of_one(trusted.clone())),
            Some((ring, _)) if at.is_some() => Ok(ring),
            Some((ring, _)) => Err(Untrusted(ring)),
        }
    }

    fn last(&self) -> &PublicKey {
        self.later.last().map_or(&self.first, |later| &later.key)
    }

    pub fn all(&self) -> impl Iterator<Item = &PublicKey> {
        std::iter::once(&self.first).chain(self.later.iter().map(|later| &later.key))
    }

    /// The key that signs a file.
    pub fn of(&self, file: SegmentName) -> &PublicKey {
        let in_force = self.later.iter().rev().find(|later| later.from <= file);
        in_force.map_or(&self.first, |later| &later.key)
    }

    /// Whether the note of this text, which says that all files before that one were deleted, is signed by the last key, or by one
    /// that was followed when as much had been deleted.
    pub fn check_deletion(
        &self,
        note: &str,
        text: &str,
        before: SegmentName,
    ) -> Result<(), NoteError> {
        let mut by_old = self
            .all()
            .zip(&self.later)
            .filter(|(_, next)| next.deleted_before.is_some_and(|deleted| before <= deleted));
        let is_by_old = by_old.any(|(key, _)| note::check(note, text, &[key]).is_ok());
        if is_by_old { Ok(()) } else { note::check(note, text, &[self.last()]) }
    }

    /// Whether one of them signed the note of this text.
    pub fn check(&self, note: &str, text: &str) -> Result<(), NoteError> {
        let checks = self.all().map(|key| note::check(note, text, &[key]));
        let mut worst = Err(NoteError::OtherKey);
        for check in checks {
            match check {
                Err(NoteError::OtherKey) => {}
                Ok(()) => return Ok(()),
                Err(_) => worst = check,
            }
        }
        worst
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::tests::Directory;

    fn key() -> SigningKey {
        SigningKey::in_directory(Directory::new().path(), "gate-1").expect("a key")
    }

    fn file(number: u32) -> SegmentName {
        let name = format!("20261121T210748Z-1f2e3d4c-{number:06}.jsonl");
        SegmentName::parse(&name).expect("a name")
    }

    #[test]
    fn keys_follow_from_each_other_in_both_directions() {
        let keys = [key(), key(), key(), key()];
        let hand = |old: usize, new: usize, number| {
            let pair = (&keys[old], &keys[new]);
            let note = Handover::sign("gate-1", pair, file(number), Some(file(2)), UnixMicros(1));
            Handover::open(&note.expect("signs")).expect("opens")
        };
        let handovers = vec![hand(1, 2, 7), hand(0, 1, 3)];
        for trusted in 0..3 {
            let ring = Keyring::new(&keys[trusted].public, handovers.clone()).expect("is of it");
            for (number, expected) in [(1, 0), (2, 0), (3, 1), (6, 1), (7, 2), (100, 2)] {
                assert_eq!(*ring.of(file(number)), keys[expected].public, "{trusted} {number}");
            }
        }
        let Untrusted(other) =
            Keyring::new(&keys[3].public, handovers.clone()).expect_err("not of this log");
        assert_eq!(*other.of(file(1)), keys[0].public);
        let broken = vec![hand(0, 1, 3), hand(2, 3, 7)];
        for (trusted, expected) in [(0, [0, 1, 1]), (3, [2, 2, 3])] {
            let ring = Keyring::new(&keys[trusted].public, broken.clone()).expect("is of it");
            let found = [1, 3, 7].map(|number| ring.of(file(number)).clone());
            assert_eq!(found, expected.map(|key: usize| keys[key].public.clone()), "{trusted}");
        }
        let again = vec![hand(0, 1, 3), hand(0, 1, 4), hand(1, 2, 5)];
        let ring = Keyring::new(&keys[2].public, again).expect("is of it");
        assert_eq!(*ring.of(file(4)), keys[1].public);
        // What was deleted when they handed over, keys before the last may state, and no more.
        let ring = Keyring::new(&keys[0].public, handovers).expect("is of it");
        for (key, before, expected) in [(0, 2, true), (0, 3, false), (1, 3, false), (2, 9, true)] {
            let note = note::sign("text\n", &[&keys[key]]).expect("signs");
            let found = ring.check_deletion(&note, "text\n", file(before)).is_ok();
            assert_eq!(found, expected, "{key} {before}");
        }
    }

    #[test]
    fn both_keys_must_have_signed() {
        let (old, new) = (key(), key());
        let note =
            Handover::sign("gate-1", (&old, &new), file(2), None, UnixMicros(1)).expect("signs");
        Handover::open(&note).expect("opens");
        let mut lines: Vec<&str> = note.lines().collect();
        let by_new = lines.pop().expect("a line");
        let check = |lines: &[&str], expected: NoteError| {
            let note = lines.iter().flat_map(|line| [*line, "\n"]).collect::<String>();
            assert_eq!(Handover::open(&note).expect_err("not good"), expected);
        };
        check(&lines, NoteError::NotInForm);
        let by_old = lines.pop().expect("a line");
        check(&[&lines[..], &[by_new, by_old]].concat(), NoteError::OtherKey);
        check(&[&lines[..], &[by_old, by_new, by_new]].concat(), NoteError::NotInForm);
        let other = file(3).to_string();
        let moved = lines.iter().map(|line| {
            if line.starts_with("file") { format!("file {other}") } else { (*line).into() }
        });
        let moved: Vec<String> = moved.collect();
        let moved: Vec<&str> = moved.iter().map(|line| &**line).chain([by_old, by_new]).collect();
        check(&moved, NoteError::BadSignature);
    }
}
