//! The thread that writes the access log. It may wait for a full disk or a slow pipe; nothing waits
//! for it.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use crate::clock;
use crate::model::time::MonoNs;

use super::{Place, Shared, lock};

/// How long a line may wait before it is written.
const INTERVAL: Duration = Duration::from_millis(50);
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

pub(super) struct Writer {
    shared: Arc<Shared>,
    place: Place,
    /// Being written; its room is used again.
    lines: Vec<u8>,
    complained: Option<MonoNs>,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, place: Place::Nowhere, lines: Vec::new(), complained: None }
    }

    pub(super) fn run(mut self) {
        loop {
            // Asked first, so that the last turn sees all that was there before.
            let closing = self.shared.closing.load(Ordering::Acquire);
            self.turn();
            if closing {
                return;
            }
            thread::park_timeout(INTERVAL);
        }
    }

    fn turn(&mut self) {
        // Lines that waited before a file was moved belong to the new one no less.
        if let Some(place) = lock(&self.shared.next).take() {
            self.place = place;
        }
        mem::swap(&mut self.lines, &mut lock(&self.shared.waiting).lines);
        if self.lines.is_empty() {
            return;
        }
        if let Err(error) = self.place.write(&self.lines) {
            let lines = memchr::memchr_iter(b'\n', &self.lines).count() as u64;
            self.shared.dropped.inc_by(lines);
            let now = clock::mono();
            if self.complained.is_none_or(|last| now.since(last) >= COMPLAINT_INTERVAL) {
                self.complained = Some(now);
                log::error!("the access log cannot be written: {error}");
            }
        }
        self.lines.clear();
        if self.lines.capacity() > KEPT_BYTES {
            self.lines = Vec::new();
        }
    }
}

/// A buffer that grew past this, in a burst or before a slow disk, is given back.
const KEPT_BYTES: usize = 1024 * 1024;
