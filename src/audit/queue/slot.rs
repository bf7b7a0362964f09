//! What a live request holds of the queue, and what is handed to the recorder.

use std::fmt;
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::audit::crowd::Summary;
use crate::audit::journal::{Place, Stands, Unrecorded};
use crate::audit::left::Unended;
use crate::audit::opening::Opening;
use crate::audit::sync::{NotDurable, Waiter};
use crate::model::facts::Writer;
use crate::model::record::{ActRecord, RequestRecord};

use super::Queue;

/// Room for one request's record. Dropped without one, it gives the room back.
pub struct Slot {
    /// None once it is used.
    pub(super) held: Option<(Arc<Queue>, Place)>,
}

impl Slot {
    /// Stores what is known of the call where a kill of the gate does not reach it: to be called before the
    /// answer begins. `encode` writes what [`Opening::decode`] reads. The first answer counts.
    pub fn answer(&mut self, encode: impl Fn(&mut Writer<'_>)) {
        if let Some((queue, place)) = &mut self.held
            && place.stands() != Stands::Final
        {
            queue.store(place, Stands::Final, encode);
            queue.wake_if_asleep();
        }
    }

    /// The same of a call whose status is not known yet, though something of its answer is about to go out.
    pub fn note(&mut self, encode: impl Fn(&mut Writer<'_>)) {
        if let Some((queue, place)) = &mut self.held
            && place.stands() != Stands::Final
        {
            queue.store(place, Stands::Draft, encode);
            queue.wake_if_asleep();
        }
    }

    /// Has the call's entry written and brought to the medium, and tells when it is. For calls that must not
    /// be made without.
    pub fn write_ahead(
        &mut self,
        encode: impl Fn(&mut Writer<'_>),
    ) -> oneshot::Receiver<Result<(), NotDurable>> {
        let (waiter, told) = oneshot::channel();
        if let Some((queue, place)) = &mut self.held {
            let bytes = queue.store(place, Stands::Draft, encode);
            queue.push(Item::Opening(bytes, Some(waiter)));
            queue.wake();
        }
        told
    }

    /// Hands the record over: one push under a short lock, no wake, no failure.
    pub fn complete(mut self, record: Box<RequestRecord>) {
        if let Some((queue, mut place)) = self.held.take() {
            if place.stands() != Stands::Final {
                let opening = Opening::of(&record);
                queue.store(&mut place, Stands::Final, |out| opening.encode(out));
            }
            queue.slots.hide(&place);
            queue.push(Item::Request(record, place));
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Some((queue, place)) = self.held.take() else { return };
        match place.stands() {
            Stands::Nothing => {
                queue.slots.give_back(place);
                queue.give_back(1);
            }
            // Only the recorder may end what it may be looking at.
            Stands::Draft | Stands::Final => {
                queue.slots.hide(&place);
                queue.push(Item::Abandoned(place));
            }
        }
    }
}

/// What is handed to the recorder.
#[derive(Debug)]
pub enum Item {
    Request(Box<RequestRecord>, Place),
    Act(Box<ActRecord>),
    /// A call that waits until its entry is durable: an encoded [`Opening`], and whom to tell.
    Opening(Box<[u8]>, Option<Waiter>),
    /// A call whose answer has begun a while ago: an encoded [`Opening`]. The recorder's own find.
    Lasting(Box<[u8]>),
    /// A call that a gate before left open, and whose record that one's boot can take no more.
    Crashed(Unended, Option<Place>),
    /// Many calls in one record: the recorder's own too.
    Summary(Box<Summary>),
    /// The recorder's own count of requests that have no record.
    Gap(Box<ActRecord>, Unrecorded),
    /// A place that was used, and whose call has no record.
    Abandoned(Place),
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Slot")
    }
}
