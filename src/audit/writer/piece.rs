//! The piece that is being written: made of what waits, settled when it is in the file, undone when it is not.

use std::thread;

use crate::audit::crowd::Wanted;
use crate::audit::opening::Opening;
use crate::audit::proof::prover::Counted;
use crate::audit::queue::Item;
use crate::audit::sync::NotDurable;
use crate::model::id::RequestId;
use crate::model::record::{Outcome, RequestRecord};
use crate::model::time::MonoNs;

use super::{BEHIND, Writer};

impl<Observer: FnMut(&RequestRecord)> Writer<Observer> {
    /// Takes out of what was just taken what has no lines of its own, and adds the summaries that are due.
    pub(super) fn fold_strangers(&mut self, now: MonoNs) {
        let mut opened: Vec<RequestId> = Vec::new();
        for _ in 0..self.batch.len() {
            let item = self.batch.pop_front();
            if let Some(Item::Opening(opening, _)) = &item {
                opened.extend(Opening::decode(opening).map(|opening| opening.id));
            }
            match item {
                // A call with an entry needs a line of its end.
                Some(Item::Request(record, place))
                    if !self.open.contains_key(&record.id)
                        && !opened.contains(&record.id)
                        && self.crowd.wants(&record) =>
                {
                    (self.observer)(&record);
                    self.crowd.fold(&record, place);
                }
                item => self.batch.extend(item),
            }
        }
        let wanted = if self.queue.is_closing() { Wanted::All } else { Wanted::Due };
        let due = self.crowd.due(now, wanted);
        for summary in &due {
            self.keeper.tell_together(&summary.places);
        }
        self.batch.extend(due.into_iter().map(|summary| Item::Summary(Box::new(summary))));
    }

    /// Fills `piece` and `lines`.
    pub(super) fn encode_piece(&mut self) {
        while self.lines.len() < self.piece_bytes
            && let Some(item) = self.batch.pop_front()
        {
            self.encode(&item);
            self.observed = self.observed.saturating_sub(1);
            self.piece.push(item);
            if self.batch.len() < BEHIND && self.piece.len().is_multiple_of(AT_ONCE) {
                // Where workers share this thread's CPU, requests must not wait for a whole batch. Once
                // there is more to do than that, every break would be as long as a worker's turn, and
                // the queue would fill up: then the records come first.
                thread::yield_now();
            }
        }
    }

    fn encode(&mut self, item: &Item) {
        let (start, seq) = (self.lines.len(), self.seq + 1);
        let (lines, encoder) = (&mut self.lines, &mut self.encoder);
        let counted = match item {
            Item::Request(record, _) => {
                if self.observed == 0 {
                    (self.observer)(record);
                }
                encoder.request(lines, seq, record);
                match record.outcome {
                    Outcome::Allowed | Outcome::Failed(_) => Counted::Allowed,
                    Outcome::Denied(_) => Counted::Denied(1),
                }
            }
            Item::Act(record) => {
                encoder.act(lines, seq, record);
                Counted::Not
            }
            Item::Gap(record, unrecorded) => {
                self.queue.telling(*unrecorded, record.id);
                encoder.act(lines, seq, record);
                Counted::Not
            }
            Item::Opening(opening, _) | Item::Lasting(opening) => {
                let Some(opening) = Opening::decode(opening) else { return };
                encoder.open(lines, seq, &opening);
                Counted::Not
            }
            Item::Crashed(call, _) => {
                let Some(counted) = call.write(lines, encoder, seq) else { return };
                counted
            }
            Item::Summary(summary) => {
                encoder.summary(lines, seq, summary);
                Counted::Denied(summary.count)
            }
            Item::Abandoned(_) => return,
        };
        self.seq = seq;
        let line = lines.get(start..).unwrap_or_default();
        self.prover.record(line.strip_suffix(b"\n").unwrap_or(line), counted);
    }

    /// Takes the piece back into the batch. Those who wait for it are told that it is not written.
    pub(super) fn undo(&mut self) {
        for mut item in self.piece.drain(..).rev() {
            if let Item::Gap(..) = item {
                // It is counted still, and will be told again.
                continue;
            }
            self.observed += 1;
            if let Item::Opening(_, waiter) = &mut item
                && let Some(waiter) = waiter.take()
            {
                // Whoever has left needs no answer.
                waiter.send(Err(NotDurable)).unwrap_or_default();
            }
            self.batch.push_front(item);
        }
    }

    /// The piece is in the file.
    pub(super) fn settle(&mut self) {
        let (mut entries, mut promises) = (0, 0);
        let number = self.segments.name().number;
        for item in self.piece.drain(..) {
            match item {
                Item::Request(record, place) => {
                    self.keeper.close(place);
                    if !self.open.is_empty() {
                        self.open.remove(&record.id);
                    }
                    promises += 1;
                }
                Item::Act(_) => promises += 1,
                Item::Opening(opening, waiter) => {
                    self.open.extend(Opening::decode(&opening).map(|opening| (opening.id, number)));
                    self.waiters.extend(waiter);
                }
                Item::Lasting(opening) => {
                    self.open.extend(Opening::decode(&opening).map(|opening| (opening.id, number)));
                    continue;
                }
                Item::Abandoned(place) => {
                    self.keeper.close(place);
                    promises += 1;
                }
                Item::Summary(summary) => {
                    let calls = summary.places.len();
                    // The first last: a kill in between must find what the others were told with.
                    summary.places.into_iter().rev().for_each(|place| self.keeper.close(place));
                    promises += calls;
                    entries += calls;
                    continue;
                }
                Item::Crashed(_, place) => {
                    if let Some(place) = place {
                        self.keeper.close(place);
                    }
                }
                Item::Gap(..) => {
                    self.queue.told();
                    continue;
                }
            }
            entries += 1;
        }
        self.queue.advance(entries, promises, self.seq);
    }
}

/// Entries that are encoded without a break: some tens of microseconds.
const AT_ONCE: usize = 32;
