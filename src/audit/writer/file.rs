//! The writer's files: when one ends and the next begins, which key signs it, and checkpoints of what is in it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::audit::manifest::{MANIFEST_FILE, Manifest};
use crate::audit::proof::checkpoint::Cause;
use crate::audit::proof::key::SigningKey;
use crate::audit::proof::prover::NextKey;
use crate::audit::segment::SegmentName;
use crate::audit::sync::Waited;
use crate::model::record::RequestRecord;
use crate::model::time::{MonoNs, Now};

use super::{FileIs, LONG, Writer, due};

impl<Observer: FnMut(&RequestRecord)> Writer<Observer> {
    /// Sees to it that there is a file to write to, with the line that begins it.
    pub(super) fn begin_file(&mut self, now: Now) -> io::Result<()> {
        let room = (self.piece_bytes * 2) as u64;
        let is_spent = self.segments.is_spent();
        let is_full = self.file == FileIs::Used && self.segments.is_full_for(room);
        if (is_full || self.is_over(now.mono)) && !is_spent {
            self.check(Cause::Segment, now, LONG)?;
            // Its last checkpoint too, or a power cut could tear the end of a file that is over.
            self.segments.sync()?;
            self.file = FileIs::Ended;
        }
        if is_spent {
            self.leave_spent_file(now.mono)?;
        } else if self.file == FileIs::Ended {
            self.segments.begin_next()?;
            self.file = FileIs::New;
        }
        if self.file == FileIs::New {
            let mark = self.prover.mark();
            let open_since = self.open.values().min().copied();
            let next = self.next_key().and_then(|key| self.as_next(key, now));
            let hands_over = next.is_some();
            let begun = self.prover.begin(&mut self.lines, self.segments.name(), open_since, next);
            let begun = begun.map_err(io::Error::other).and_then(|()| self.append());
            if let Err(error) = begun {
                self.prover.restore(mark);
                return Err(error);
            }
            (self.file, self.times.began) = (FileIs::Begun, Some(now.mono));
            if hands_over {
                self.check(Cause::Interval, now, LONG)?;
            }
        }
        Ok(())
    }

    /// Whether the file that is being written must end, though there is room in it.
    pub(super) fn is_over(&self, now: MonoNs) -> bool {
        match self.file {
            FileIs::New | FileIs::Ended => false,
            FileIs::Begun => self.next_key().is_some(),
            FileIs::Used => {
                due(self.times.began, self.file_age_max, now) || self.next_key().is_some()
            }
        }
    }

    /// What the key that is to follow must know. Where the manifest cannot be read that is for the next start.
    fn as_next(&self, key: Arc<SigningKey>, now: Now) -> Option<NextKey> {
        let directory = self.segments.directory();
        let read = || {
            let manifest = Manifest::read(directory)?;
            let Some(deleted) = &manifest.deleted else { return Ok(None) };
            // What nobody signed is not said again with two signatures.
            let keys = manifest.keys(directory, &SegmentName::list(directory)?, self.prover.key());
            let is_signed = keys.is_ok_and(|keys| manifest.is_signed_by(&keys));
            Ok(is_signed.then_some(deleted.says.before))
        };
        let read: io::Result<_> = read();
        match read {
            Ok(deleted_before) => Some(NextKey { key, deleted_before, time: now.wall }),
            Err(error) => {
                log::error!(
                    "audit: no other key signs before the next start: {MANIFEST_FILE}: {error}"
                );
                self.keys.postpone_next();
                None
            }
        }
    }

    /// The file failed that began with a handover, which may be lost: the next one says it again.
    pub(super) fn take_back_handover(&mut self) {
        if self.keys.next().is_some_and(|next| self.prover.signs_with(&next)) {
            self.prover.go_back_to(self.keys.current());
        }
    }

    /// The key to which the next file is to hand over.
    fn next_key(&self) -> Option<Arc<SigningKey>> {
        self.keys.next().filter(|next| !self.prover.signs_with(next))
    }

    /// What the next key signed is on the medium.
    fn adopt_next_key(&self) {
        if let Some(next) = self.keys.next()
            && self.prover.signs_with(&next)
            && let Err(error) = self.keys.adopt_next()
        {
            log::error!(
                "audit: the log is signed with the next key, which is not in its place: {error}"
            );
        }
    }

    /// Writes a checkpoint of everything that is written, once that is on the medium.
    pub(super) fn check(
        &mut self,
        cause: Cause,
        now: Now,
        patience: Duration,
    ) -> io::Result<Waited> {
        let mark = self.prover.mark();
        self.prover.commit(&mut self.lines);
        if let Err(error) = self.append() {
            self.prover.restore(mark);
            return Err(error);
        }
        if self.segments.sync_within(patience)? == Waited::InVain {
            return Ok(Waited::InVain);
        }
        self.spent_in_a_row = 0;
        self.adopt_next_key();
        let made = self.prover.checkpoint(&mut self.lines, self.segments.name(), cause, now.wall);
        let note = made.map_err(io::Error::other)?;
        self.append()?;
        self.send_out(note, cause, now.mono);
        self.signed = self.prover.state().tree.size();
        Ok(Waited::Done)
    }
}
