//! The loop brake at the edge: it is told how calls end, and what came on waits here for whoever makes acts of it.
//! A call that goes badly is told before its answer goes out, so that its caller cannot be faster than the brake.

use std::collections::VecDeque;
use std::mem;
use std::sync::{Mutex, PoisonError};

use crate::clock;
use crate::model::loops::Ended;
use crate::request::brake::{self, Braked};

use super::Shared;
use super::ctx::Request;

/// Brakes that came on and have no act yet. Bounded: past it a client is still refused, and nobody is told by an act.
#[derive(Debug, Default)]
pub struct Brakes(Mutex<VecDeque<Braked>>);

const WAITING_MAX: usize = 1024;

impl Brakes {
    fn push(&self, braked: Braked) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < WAITING_MAX {
            waiting.push_back(braked);
        }
    }

    /// All that wait.
    pub fn take(&self) -> VecDeque<Braked> {
        mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// An answer is about to go out.
pub fn answers(shared: &Shared, request: &mut Request) {
    if request.seen.watch.is_none() {
        return;
    }
    match brake::ended(request.outcome(), request.status) {
        ended @ (Ended::Badly | Ended::OverLimit) => tell(shared, request, ended),
        // It may still break.
        Ended::Well | Ended::Aside => {}
    }
}

/// The call is over.
pub fn ends(shared: &Shared, request: &mut Request) {
    if request.seen.watch.is_some() {
        tell(shared, request, brake::ended(request.outcome(), request.status));
    }
}

fn tell(shared: &Shared, request: &mut Request, ended: Ended) {
    let Some(watch) = &mut request.seen.watch else { return };
    if let Some(braked) = watch.tell(ended, clock::now()) {
        request.braked = Some(braked.brake.mode);
        shared.brakes.push(braked);
    }
}
