//! The answer on one HTTP/2 stream: how far it has come, and what becomes of it when nobody goes on
//! with it.

use std::future::poll_fn;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::{HeaderMap, HeaderName, StatusCode, header};
use pingora::http::ResponseHeader;
use pingora::protocols::http::date::get_cached_date;
use pingora::{Error, ErrorType, Result};

use super::super::flight::Flight;

/// Informational answers that are passed on; an upstream could send them without end.
const INFORMATIONAL_MAX: u8 = 8;

/// RFC 9113, 8.2.2: HTTP/2 has no place for them.
const OF_CONNECTION: [HeaderName; 5] = [
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Where a stream goes when its exchange was dropped before an answer began.
#[derive(Debug, Default)]
pub struct Landing(Mutex<Option<SendResponse<Bytes>>>);

impl Landing {
    pub fn take(&self) -> Option<SendResponse<Bytes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, respond: SendResponse<Bytes>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(respond);
    }
}

/// Whether answers to the request have bodies.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bodies {
    Usual,
    /// The request was HEAD.
    Never,
}

pub struct Outgoing {
    state: State,
    bodies: Bodies,
    informed: u8,
    pub written: Option<Box<ResponseHeader>>,
    pub bytes: usize,
    flight: Arc<Flight>,
    landing: Arc<Landing>,
}

enum State {
    NotBegun(SendResponse<Bytes>),
    Begun(SendStream<Bytes>),
    Ended,
}

impl Outgoing {
    pub fn new(
        respond: SendResponse<Bytes>,
        bodies: Bodies,
        flight: Arc<Flight>,
        landing: Arc<Landing>,
    ) -> Self {
        let state = State::NotBegun(respond);
        Self { state, bodies, informed: 0, written: None, bytes: 0, flight, landing }
    }

    pub fn begin(&mut self, mut head: Box<ResponseHeader>, end: bool) -> Result<()> {
        let State::NotBegun(respond) = &mut self.state else { return Ok(()) };
        for name in &OF_CONNECTION {
            head.remove_header(name);
        }
        if head.status.is_informational() {
            self.informed = self.informed.saturating_add(1);
            if self.informed <= INFORMATIONAL_MAX {
                let response = http::Response::from_parts(head.as_owned_parts(), ());
                respond.send_informational(response).map_err(|_| gone())?;
            }
            return Ok(());
        }
        head.insert_header(header::DATE, get_cached_date())?;
        let bodiless = matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let end = end || bodiless || self.bodies == Bodies::Never;
        let response = http::Response::from_parts(head.as_owned_parts(), ());
        let sender = respond.send_response(response, end).map_err(|_| gone())?;
        self.state = if end { State::Ended } else { State::Begun(sender) };
        self.written = Some(head);
        self.flight.note_answered();
        Ok(())
    }

    pub async fn send(&mut self, mut data: Bytes, end: bool) -> Result<()> {
        let State::Begun(sender) = &mut self.state else { return Ok(()) };
        while !data.is_empty() {
            sender.reserve_capacity(data.len());
            let flight = &self.flight;
            let room = poll_fn(|cx| {
                let room = sender.poll_capacity(cx);
                flight.note_write(room.is_pending());
                room
            });
            let Some(Ok(room)) = room.await else { return Err(gone()) };
            let part = data.split_to(room.min(data.len()));
            self.bytes += part.len();
            self.flight.note_moved(part.len());
            let is_last = end && data.is_empty();
            sender.send_data(part, is_last).map_err(|_| gone())?;
            if is_last {
                self.state = State::Ended;
                return Ok(());
            }
        }
        if end { self.end() } else { Ok(()) }
    }

    pub fn end(&mut self) -> Result<()> {
        if let State::Begun(sender) = &mut self.state {
            sender.send_data(Bytes::new(), true).map_err(|_| gone())?;
            self.state = State::Ended;
        }
        Ok(())
    }

    pub fn end_with(&mut self, trailers: HeaderMap) -> Result<()> {
        if let State::Begun(sender) = &mut self.state {
            sender.send_trailers(trailers).map_err(|_| gone())?;
            self.state = State::Ended;
        }
        Ok(())
    }

    /// Until the caller gives the stream up.
    pub async fn left(&mut self) -> Box<Error> {
        let left = poll_fn(|cx| match &mut self.state {
            State::NotBegun(respond) => respond.poll_reset(cx),
            State::Begun(sender) => sender.poll_reset(cx),
            State::Ended => Poll::Pending,
        });
        // A reason, or the error that ended the whole connection.
        left.await.ok();
        gone()
    }

    /// Ends an answer before its end. What was told to end may have its last bytes still read: the
    /// library cancels a stream that is dropped, once it has sent what it holds.
    pub fn give_up(&mut self) {
        let was_told = self.flight.ended().is_some();
        match mem::replace(&mut self.state, State::Ended) {
            State::NotBegun(mut respond) => respond.send_reset(Reason::INTERNAL_ERROR),
            State::Begun(mut sender) if !was_told => sender.send_reset(Reason::INTERNAL_ERROR),
            State::Begun(_) | State::Ended => {}
        }
    }
}

/// What the caller was not told yet it will be told, or it learns that there is no more.
impl Drop for Outgoing {
    fn drop(&mut self) {
        match mem::replace(&mut self.state, State::Ended) {
            State::NotBegun(respond) => self.landing.put(respond),
            begun @ State::Begun(_) => {
                self.state = begun;
                self.give_up();
            }
            State::Ended => {}
        }
    }
}

/// The caller left: nobody waits for an answer.
#[expect(clippy::unnecessary_box_returns, reason = "Pingora's results hold boxed errors")]
pub fn gone() -> Box<Error> {
    Error::new_down(ErrorType::ConnectionClosed)
}
