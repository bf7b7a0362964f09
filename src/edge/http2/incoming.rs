//! The request body of one HTTP/2 stream, and what of it is kept for another attempt.

use std::future::poll_fn;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use pingora::{Error, ErrorType, Result};

use super::super::flight::Flight;
use super::outgoing::gone;

/// How much of a body is kept for another attempt, as Pingora does for HTTP/1.
const KEPT_BYTES_MAX: usize = 64 * 1024;

pub struct Incoming {
    body: RecvStream,
    flight: Arc<Flight>,
    pub is_done: bool,
    pub bytes: usize,
    kept: Option<Kept>,
}

/// What was read of a body, unless that was too much.
#[derive(Default)]
struct Kept {
    bytes: BytesMut,
    is_truncated: bool,
}

impl Incoming {
    pub fn new(body: RecvStream, flight: Arc<Flight>) -> Self {
        Self { is_done: body.is_end_stream(), body, flight, bytes: 0, kept: None }
    }

    pub async fn read(&mut self) -> Result<Option<Bytes>> {
        if self.is_done {
            return Ok(None);
        }
        let next = poll_fn(|cx| {
            let next = self.body.poll_data(cx);
            self.flight.note_body_in_hand(next.is_ready());
            next
        });
        let Some(data) = next.await else {
            self.is_done = true;
            return Ok(None);
        };
        let data = data.map_err(|error| broken(&error))?;
        // It fails for a stream that is over, which the next read tells.
        self.body.flow_control().release_capacity(data.len()).ok();
        self.bytes += data.len();
        if let Some(kept) = &mut self.kept {
            kept.add(&data);
        }
        self.is_done = self.body.is_end_stream();
        Ok(Some(data))
    }

    pub fn keep(&mut self) {
        self.kept.get_or_insert_default();
    }

    pub fn kept(&self) -> Option<Bytes> {
        let kept = self.kept.as_ref().filter(|kept| !kept.bytes.is_empty())?;
        Some(kept.bytes.clone().freeze())
    }

    pub fn is_truncated(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.is_truncated)
    }
}

impl Kept {
    fn add(&mut self, data: &[u8]) {
        if self.is_truncated || self.bytes.len() + data.len() > KEPT_BYTES_MAX {
            *self = Self { bytes: BytesMut::new(), is_truncated: true };
        } else {
            self.bytes.extend_from_slice(data);
        }
    }
}

/// A body that ended before its time: the caller left, or broke a rule and the stream was reset.
#[expect(clippy::unnecessary_box_returns, reason = "Pingora's results hold boxed errors")]
fn broken(error: &h2::Error) -> Box<Error> {
    if error.is_reset() && error.is_library() {
        return Error::new_down(ErrorType::InvalidHTTPHeader);
    }
    gone()
}
