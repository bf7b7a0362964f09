//! An inner request as Pingora's pipeline sees it: a session of its "custom" kind. There is no connection, so
//! nothing is written, parsed or copied: its head was made by the gate, its body is there, and its answer
//! goes to whoever made it. It keeps no time: the flight does.

use std::collections::VecDeque;
use std::future::{pending, poll_fn};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::Stream;
use http::HeaderMap;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Digest;
use pingora::protocols::http::HttpTask;
use pingora::protocols::http::custom::CustomMessageWrite;
use pingora::protocols::http::custom::server::Session;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::{Error, ErrorType, Result};

/// A part of an answer.
#[derive(Debug)]
pub enum Part {
    /// Informational ones may come before the answer's.
    Head(Arc<ResponseHeader>),
    Piece(Bytes),
    /// All of it has come.
    End,
}

/// An answer on its way from the pipeline to the message, part by part.
#[derive(Debug, Default)]
pub struct Parts(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    parts: VecDeque<Part>,
    /// Waits for room.
    sender: Option<Waker>,
}

/// Parts that wait to be taken.
const PARTS_MAX: usize = 4;

impl Parts {
    /// Takes all that wait, in place of `taken`, which holds none.
    pub fn take(&self, taken: &mut VecDeque<Part>) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        mem::swap(&mut waiting.parts, taken);
        if let Some(sender) = waiting.sender.take() {
            sender.wake();
        }
    }

    /// Waits for room first.
    pub async fn send(&self, part: Part) {
        let mut part = Some(part);
        poll_fn(|cx| self.poll_send(cx, &mut part)).await;
    }

    fn poll_send(&self, cx: &Context<'_>, part: &mut Option<Part>) -> Poll<()> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.parts.len() >= PARTS_MAX {
            waiting.sender = Some(cx.waker().clone());
            return Poll::Pending;
        }
        waiting.parts.extend(part.take());
        Poll::Ready(())
    }
}

/// An inner request and what of its answer has been sent.
pub struct InnerSession {
    head: Box<RequestHeader>,
    body: Body,
    answer: Arc<Parts>,
    written: Option<Arc<ResponseHeader>>,
    bytes: usize,
    ended: bool,
}

struct Body {
    bytes: Bytes,
    state: BodyState,
    retry: Retry,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum BodyState {
    Unread,
    Read,
}

/// Whether a body that was sent once can be sent again.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Retry {
    Unasked,
    Kept,
    /// It is longer than those that are kept: a REST caller's would not be either.
    TooLong,
}

/// As Pingora has it for requests that come over the network.
const RETRY_BYTES_MAX: usize = 64 * 1024;

impl InnerSession {
    pub const fn new(head: Box<RequestHeader>, body: Bytes, answer: Arc<Parts>) -> Self {
        let body = Body { bytes: body, state: BodyState::Unread, retry: Retry::Unasked };
        Self { head, body, answer, written: None, bytes: 0, ended: false }
    }

    /// The first answer counts: what would come after it is not sent.
    async fn begin(&mut self, head: Box<ResponseHeader>) {
        if self.written.as_ref().is_some_and(|head| !head.status.is_informational()) {
            return;
        }
        let head = Arc::new(*head);
        self.written = Some(Arc::clone(&head));
        self.answer.send(Part::Head(head)).await;
    }

    async fn send(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.bytes += piece.len();
            self.answer.send(Part::Piece(piece)).await;
        }
    }

    async fn end(&mut self) {
        if !self.ended {
            self.ended = true;
            self.answer.send(Part::End).await;
        }
    }
}

impl Body {
    const fn is_done(&self) -> bool {
        self.bytes.is_empty() || matches!(self.state, BodyState::Read)
    }

    fn read(&mut self) -> Option<Bytes> {
        if self.is_done() {
            return None;
        }
        self.state = BodyState::Read;
        Some(self.bytes.clone())
    }
}

#[async_trait]
impl Session for InnerSession {
    fn req_header(&self) -> &RequestHeader {
        &self.head
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        &mut self.head
    }

    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        Ok(self.body.read())
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        self.body.read();
        Ok(())
    }

    async fn write_response_header(&mut self, head: Box<ResponseHeader>, end: bool) -> Result<()> {
        self.begin(head).await;
        if end {
            self.end().await;
        }
        Ok(())
    }

    async fn write_response_header_ref(&mut self, head: &ResponseHeader, end: bool) -> Result<()> {
        self.write_response_header(Box::new(head.clone()), end).await
    }

    async fn write_body(&mut self, data: Bytes, end: bool) -> Result<()> {
        self.send(data).await;
        if end {
            self.end().await;
        }
        Ok(())
    }

    /// No result has any.
    async fn write_trailers(&mut self, _: HeaderMap) -> Result<()> {
        self.end().await;
        Ok(())
    }

    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        let mut is_end = false;
        for task in tasks {
            is_end |= match task {
                HttpTask::Header(head, end) => {
                    self.begin(head).await;
                    end
                }
                HttpTask::Body(data, end) => {
                    self.send(data.unwrap_or_default()).await;
                    end
                }
                HttpTask::Trailer(_) | HttpTask::Done => true,
                HttpTask::Failed(error) => return Err(error),
                HttpTask::UpgradedBody(..) => {
                    return Err(Error::new_in(ErrorType::InternalError));
                }
            };
        }
        if is_end {
            self.end().await;
        }
        Ok(is_end)
    }

    fn set_read_timeout(&mut self, _: Option<Duration>) {}

    fn get_read_timeout(&self) -> Option<Duration> {
        None
    }

    fn set_write_timeout(&mut self, _: Option<Duration>) {}

    fn get_write_timeout(&self) -> Option<Duration> {
        None
    }

    fn set_total_drain_timeout(&mut self, _: Option<Duration>) {}

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        None
    }

    fn request_summary(&self) -> String {
        format!("{} of a tool call", self.head.method)
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.written.as_deref()
    }

    /// Whoever waits for the answer sees that it has no end.
    async fn shutdown(&mut self, _: u32, _: &str) {
        self.ended = true;
    }

    fn is_body_done(&mut self) -> bool {
        self.body.is_done()
    }

    async fn finish(&mut self) -> Result<()> {
        self.end().await;
        Ok(())
    }

    fn is_body_empty(&mut self) -> bool {
        self.body.bytes.is_empty()
    }

    /// A message that is not wanted any more drops the pipeline; it does not say so.
    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        if no_body_expected || self.body.is_done() {
            return pending().await;
        }
        Ok(self.body.read())
    }

    fn body_bytes_sent(&self) -> usize {
        self.bytes
    }

    fn body_bytes_read(&self) -> usize {
        match self.body.state {
            BodyState::Unread => 0,
            BodyState::Read => self.body.bytes.len(),
        }
    }

    fn digest(&self) -> Option<&Digest> {
        None
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        None
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        None
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        None
    }

    /// Sub-requests of this one would be made from it; it makes none.
    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        Bytes::new()
    }

    fn enable_retry_buffering(&mut self) {
        let fits = self.body.bytes.len() <= RETRY_BYTES_MAX;
        self.body.retry = if fits { Retry::Kept } else { Retry::TooLong };
    }

    fn retry_buffer_truncated(&self) -> bool {
        self.body.retry == Retry::TooLong && self.body.state == BodyState::Read
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        let is_kept = self.body.retry == Retry::Kept && self.body.state == BodyState::Read;
        is_kept.then(|| self.body.bytes.clone())
    }

    async fn finish_custom(&mut self) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_reader(
        &mut self,
    ) -> Option<Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>> {
        None
    }

    fn restore_custom_message_reader(
        &mut self,
        _: Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>,
    ) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        None
    }

    fn restore_custom_message_writer(&mut self, _: Box<dyn CustomMessageWrite>) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};

    use super::*;

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn whoever_answers_waits_for_room() {
        let parts = Parts::default();
        for _ in 0..PARTS_MAX {
            assert!(poll(pin!(parts.send(Part::End))).is_ready());
        }
        let mut late = pin!(parts.send(Part::Piece(Bytes::from_static(b"late"))));
        assert!(poll(late.as_mut()).is_pending());
        let mut taken = VecDeque::new();
        parts.take(&mut taken);
        assert_eq!(taken.len(), PARTS_MAX);
        assert!(poll(late).is_ready());
        taken.clear();
        parts.take(&mut taken);
        assert!(matches!(taken.pop_front(), Some(Part::Piece(piece)) if piece == "late"));
        assert!(taken.is_empty());
    }

    #[test]
    fn a_body_is_read_once_and_kept_like_others() {
        let check = |bytes: usize, is_kept: bool| {
            let head = RequestHeader::build("POST", b"/", None).expect("valid");
            let body = Bytes::from(vec![b'x'; bytes]);
            let mut session = InnerSession::new(Box::new(head), body.clone(), Arc::default());
            session.enable_retry_buffering();
            assert_eq!((session.get_retry_buffer(), session.is_body_done()), (None, bytes == 0));
            for whole in [(bytes > 0).then_some(body.clone()), None] {
                let read = poll(pin!(session.read_body_bytes()));
                assert!(matches!(read, Poll::Ready(Ok(read)) if read == whole), "{bytes}");
            }
            assert!(session.is_body_done());
            assert_eq!(session.body_bytes_read(), bytes);
            assert_eq!(session.get_retry_buffer().is_some(), is_kept && bytes > 0, "{bytes}");
            assert_eq!(session.retry_buffer_truncated(), !is_kept, "{bytes}");
            assert!(poll(pin!(session.read_body_or_idle(true))).is_pending());
        };
        check(0, true);
        check(1, true);
        check(RETRY_BYTES_MAX, true);
        check(RETRY_BYTES_MAX + 1, false);
    }
}
