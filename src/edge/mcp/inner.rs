//! An inner request as the message's side sees it: it is polled, its answer is collected as far as a
//! result can hold it, and it is ended when nobody wants more.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, header};
use pingora::http::ResponseHeader;
use pingora::protocols::http::HttpTask;
use tokio::time::{Sleep, sleep};

use crate::mcp::outcome::{Response, Whole};
use crate::model::id::RequestId;
use crate::model::mcp::McpBounds;

use super::super::answer::Answer;
use super::super::flight::Flight;
use super::super::flights::Place;
use super::super::stop::{Fault, Stop};
use super::dispatch::Running;

/// One inner request, from its beginning to its answer.
pub struct Inner {
    running: Option<Running>,
    flight: Arc<Flight>,
    /// Its deadlines are looked at as long as this is held.
    _place: Place,
    id: RequestId,
    bounds: McpBounds,
    head: Option<Box<ResponseHeader>>,
    first: Bytes,
    more: BytesMut,
    whole: Whole,
    /// Of an upstream that streams: until then its events are collected.
    until: Option<Pin<Box<Sleep>>>,
}

/// What an inner request did.
#[derive(Debug)]
pub enum Step {
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
            first: Bytes::new(),
            more: BytesMut::new(),
            whole: Whole::Broken,
            until: None,
        }
    }

    /// What happens next. May be dropped at any time and called again.
    pub async fn next(&mut self) -> Step {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Step> {
        let Some(running) = &mut self.running else { return Poll::Ready(Step::Over) };
        running.poll(cx);
        match running.answers.poll_recv(cx) {
            Poll::Ready(Some(task)) => return Poll::Ready(self.take(task)),
            Poll::Ready(None) => return Poll::Ready(self.end()),
            Poll::Pending => {}
        }
        if self.until.as_mut().is_some_and(|until| until.as_mut().poll(cx).is_ready()) {
            self.whole = Whole::Collected;
            return Poll::Ready(self.enough());
        }
        Poll::Pending
    }

    fn take(&mut self, task: HttpTask) -> Step {
        match task {
            HttpTask::Header(head, _) => {
                if !head.status.is_informational() {
                    self.begin(head);
                }
                return Step::Head;
            }
            HttpTask::Body(Some(bytes), _) => return self.add(bytes),
            HttpTask::Done => self.whole = Whole::Yes,
            HttpTask::Body(None, _)
            | HttpTask::UpgradedBody(..)
            | HttpTask::Trailer(_)
            | HttpTask::Failed(_) => {}
        }
        Step::Piece
    }

    fn begin(&mut self, head: Box<ResponseHeader>) {
        self.flight.note_answered();
        if is_event_stream(&head.headers) {
            self.until = Some(Box::pin(sleep(self.bounds.collect_for)));
        }
        self.head = Some(head);
    }

    /// Nearly every body comes in one piece, which is kept as it is.
    fn add(&mut self, bytes: Bytes) -> Step {
        let room = self.bounds.result_bytes_max - self.first.len() - self.more.len();
        let fits = bytes.len() <= room;
        let bytes = bytes.slice(..bytes.len().min(room));
        if self.first.is_empty() {
            self.first = bytes;
        } else {
            self.more.extend_from_slice(&bytes);
        }
        if fits {
            return if self.until.is_some() { Step::Event } else { Step::Piece };
        }
        self.whole = Whole::Cut { bytes_max: self.bounds.result_bytes_max };
        self.enough()
    }

    /// The result has what it can hold: the upstream need not go on.
    fn enough(&mut self) -> Step {
        self.flight.stop(Stop::Enough);
        self.end()
    }

    /// Nobody waits for the answer any more.
    pub fn abandon(&mut self) {
        self.flight.stop(Stop::Left);
        self.end();
    }

    fn end(&mut self) -> Step {
        // This completes the record of one that was ended.
        self.running = None;
        Step::Over
    }

    pub fn fields(&self) -> Option<&HeaderMap> {
        self.head.as_ref().map(|head| &head.headers)
    }

    /// The answer, the gate's own where none had begun.
    pub fn into_response(self) -> Response {
        let Some(head) = self.head else {
            let fault = self.flight.ending().map_or(Fault::PANICKED, |ending| ending.fault);
            return Answer::of(&fault, self.id, None).into_collected();
        };
        let body = if self.more.is_empty() {
            self.first
        } else {
            Bytes::from([&self.first[..], &self.more].concat())
        };
        let (status, fields) = (head.status.as_u16(), head.headers.clone());
        Response { status, fields, body, whole: self.whole }
    }
}

fn is_event_stream(fields: &HeaderMap) -> bool {
    let content_type = fields.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    content_type.is_some_and(|value| {
        let kind = value.split(|byte| *byte == b';').next().unwrap_or_default();
        kind.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
    })
}
