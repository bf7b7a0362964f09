//! An inner request as the message's side sees it: it is polled, its answer is collected as far as a
//! result can hold it, and it is ended when nobody wants more.

use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use pingora::http::ResponseHeader;
use tokio::time::{Sleep, sleep};

use crate::mcp::outcome::{Response, Whole};
use crate::model::id::RequestId;
use crate::model::mcp::McpBounds;

use super::super::answer::Answer;
use super::super::flight::Flight;
use super::super::flights::Place;
use super::super::stop::{Fault, Stop};
use super::dispatch::{Came, Running};
use super::pieces::Pieces;
use super::session::Part;

/// One inner request, from its beginning to its answer.
pub struct Inner {
    running: Option<Running>,
    flight: Arc<Flight>,
    /// Its deadlines are looked at as long as this is held.
    _place: Place,
    id: RequestId,
    bounds: McpBounds,
    head: Option<Arc<ResponseHeader>>,
    body: Pieces,
    /// Bytes of the body that have come, kept or not.
    came: u64,
    whole: Whole,
    /// Of an upstream that streams: until then its events are collected.
    until: Option<Pin<Box<Sleep>>>,
    /// Whether it was said that its record has begun.
    noted: bool,
}

/// What an inner request did.
#[derive(Debug)]
pub enum Step {
    /// Its record outlasts a kill from now on: its caller may be told something.
    Noted,
    /// The head of its answer came, or something like it.
    Head,
    /// A piece of its body.
    Piece,
    /// One of a stream of events.
    Event,
    /// It is over, and its record is complete.
    Over,
}

impl Inner {
    pub fn new(
        running: Running,
        flight: Arc<Flight>,
        place: Place,
        id: RequestId,
        bounds: McpBounds,
    ) -> Self {
        Self {
            running: Some(running),
            flight,
            _place: place,
            id,
            bounds,
            head: None,
            body: Pieces::default(),
            came: 0,
            whole: Whole::Broken,
            until: None,
            noted: false,
        }
    }

    /// What happens next. May be dropped at any time and called again.
    pub async fn next(&mut self) -> Step {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        let Some(running) = &mut self.running else { return Poll::Ready(Step::Over) };
        match running.poll(cx) {
            Poll::Ready(Came::Part(part)) => return Poll::Ready(self.take(part)),
            Poll::Ready(Came::ToItsEnd) => return Poll::Ready(self.end()),
            Poll::Pending => {}
        }
        if self.until.as_mut().is_some_and(|until| until.as_mut().poll(cx).is_ready()) {
            self.whole = Whole::Collected;
            return Poll::Ready(self.enough());
        }
        if !self.noted && self.is_noted() {
            self.noted = true;
            return Poll::Ready(Step::Noted);
        }
        Poll::Pending
    }

    fn take(&mut self, part: Part) -> Step {
        match part {
            Part::Head(head) => {
                if !head.status.is_informational() {
                    self.begin(head);
                }
                Step::Head
            }
            Part::Piece(bytes) => self.add(bytes),
            Part::End => {
                if self.whole == Whole::Broken {
                    self.whole = Whole::Yes;
                }
                Step::Piece
            }
        }
    }

    fn begin(&mut self, head: Arc<ResponseHeader>) {
        self.flight.note_answered();
        if is_event_stream(&head.headers) {
            self.until = Some(Box::pin(sleep(self.bounds.collect_for)));
        }
        self.head = Some(head);
    }

    fn add(&mut self, bytes: Bytes) -> Step {
        self.came += bytes.len() as u64;
        let most = self.bounds.result_bytes_max;
        let room = most.saturating_sub(self.body.len());
        let fits = bytes.len() <= room;
        self.body.push(if fits { bytes } else { bytes.slice(..room) });
        if fits {
            return if self.until.is_some() { Step::Event } else { Step::Piece };
        }
        self.whole = Whole::Cut { bytes_max: most };
        if self.rest_is_short() { Step::Piece } else { self.enough() }
    }

    /// Whether the rest of a body that nobody wants is worth being read away: its connection can go on then.
    fn rest_is_short(&self) -> bool {
        let length = self.head.as_ref().and_then(|head| head.headers.get(header::CONTENT_LENGTH));
        let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        length.is_some_and(|length| length.saturating_sub(self.came) <= READ_AWAY_BYTES_MAX)
    }

    /// The result has what it can hold: the upstream need not go on.
    fn enough(&mut self) -> Step {
        self.flight.stop(Stop::Enough);
        self.end()
    }

    fn end(&mut self) -> Step {
        // This completes the record of one that was ended.
        self.running = None;
        Step::Over
    }

    /// Whether its record outlasts a kill, so that its caller may be told something.
    pub fn is_noted(&self) -> bool {
        self.head.is_some() || self.flight.is_noted()
    }

    /// Lets what was told to end do so, while its caller takes its time to read.
    pub fn end_if_told(&mut self, cx: &Context<'_>) {
        if self.flight.poll_ended(cx).is_ready() {
            self.end();
        }
    }

    /// Whether its answer has begun.
    pub const fn has_begun(&self) -> bool {
        self.head.is_some()
    }

    /// The answer, the gate's own where none had begun.
    pub fn take_response(&mut self) -> Response {
        let Some(head) = self.head.take() else {
            let fault = self.flight.ending().map_or(Fault::PANICKED, |ending| ending.fault);
            return Answer::of(&fault, self.id, None).into_collected();
        };
        let body = mem::take(&mut self.body).into_bytes();
        let http::response::Parts { status, headers, .. } = Arc::unwrap_or_clone(head).into();
        Response { status: status.as_u16(), fields: headers, body, whole: self.whole }
    }
}

/// Most bytes of a body that are read though no result holds them.
const READ_AWAY_BYTES_MAX: u64 = 1 << 20;

/// Whoever drops it waits for it no more.
impl Drop for Inner {
    fn drop(&mut self) {
        if self.running.is_some() {
            self.flight.leave();
        }
    }
}

fn is_event_stream(fields: &HeaderMap) -> bool {
    let content_type = fields.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    content_type.is_some_and(|value| {
        let kind = value.split(|byte| *byte == b';').next().unwrap_or_default();
        kind.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
    })
}
