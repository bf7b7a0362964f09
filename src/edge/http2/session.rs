//! One HTTP/2 stream as Pingora's pipeline sees it: a session of its "custom" kind, which is how
//! Pingora takes sessions that others make.
//!
//! Pingora's own session refuses some heads unseen, has no way to answer once its pipeline was
//! dropped, and does not say when it waits for the caller. This one begins with a head that was
//! judged, lands what it can still answer with, and tells its flight what it waits for. It keeps no
//! time: the flight does.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use http::{HeaderMap, header};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Digest;
use pingora::protocols::http::HttpTask;
use pingora::protocols::http::custom::CustomMessageWrite;
use pingora::protocols::http::custom::server::Session;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::{Error, ErrorType, Result};

use super::incoming::Incoming;
use super::outgoing::Outgoing;

/// A stream whose head passed.
pub struct StreamSession {
    pub head: RequestHeader,
    pub incoming: Incoming,
    pub outgoing: Outgoing,
    pub digest: Arc<Digest>,
}

#[async_trait]
impl Session for StreamSession {
    fn req_header(&self) -> &RequestHeader {
        &self.head
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        &mut self.head
    }

    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        self.incoming.read().await
    }

    /// HTTP/2 needs none: what follows is on other streams.
    async fn drain_request_body(&mut self) -> Result<()> {
        Ok(())
    }

    async fn write_response_header(&mut self, head: Box<ResponseHeader>, end: bool) -> Result<()> {
        self.outgoing.begin(head, end)
    }

    async fn write_response_header_ref(&mut self, head: &ResponseHeader, end: bool) -> Result<()> {
        self.outgoing.begin(Box::new(head.clone()), end)
    }

    async fn write_body(&mut self, data: Bytes, end: bool) -> Result<()> {
        self.outgoing.send(data, end).await
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        self.outgoing.end_with(trailers)
    }

    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        let mut is_end = false;
        for task in tasks {
            is_end |= match task {
                HttpTask::Header(head, end) => {
                    self.outgoing.begin(head, end)?;
                    end
                }
                HttpTask::Body(data, end) => {
                    self.outgoing.send(data.unwrap_or_default(), end).await?;
                    end
                }
                HttpTask::Trailer(Some(trailers)) => {
                    self.outgoing.end_with(*trailers)?;
                    true
                }
                HttpTask::Trailer(None) | HttpTask::Done => true,
                HttpTask::Failed(error) => return Err(error),
                HttpTask::UpgradedBody(..) => {
                    return Err(Error::new_in(ErrorType::InternalError));
                }
            };
        }
        if is_end {
            self.outgoing.end()?;
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
        format!("{} over HTTP/2", self.head.method)
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.outgoing.written.as_deref()
    }

    async fn shutdown(&mut self, _: u32, _: &str) {
        self.outgoing.give_up();
    }

    fn is_body_done(&mut self) -> bool {
        self.incoming.is_done || self.is_body_empty()
    }

    async fn finish(&mut self) -> Result<()> {
        self.outgoing.end()
    }

    fn is_body_empty(&mut self) -> bool {
        let length = self.head.headers.get(header::CONTENT_LENGTH);
        self.incoming.bytes == 0
            && (self.incoming.is_done || length.is_some_and(|length| length.as_bytes() == b"0"))
    }

    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        if no_body_expected || self.is_body_done() {
            return Err(self.outgoing.left().await);
        }
        self.incoming.read().await
    }

    fn body_bytes_sent(&self) -> usize {
        self.outgoing.bytes
    }

    fn body_bytes_read(&self) -> usize {
        self.incoming.bytes
    }

    fn digest(&self) -> Option<&Digest> {
        Some(&self.digest)
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        Arc::get_mut(&mut self.digest)
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.digest.socket_digest.as_ref()?.peer_addr()
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.digest.socket_digest.as_ref()?.local_addr()
    }

    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        let mut raw = BytesMut::new();
        raw.extend_from_slice(self.head.method.as_str().as_bytes());
        raw.extend_from_slice(b" ");
        raw.extend_from_slice(self.head.raw_path());
        raw.extend_from_slice(b" HTTP/1.1\r\n");
        for (name, value) in &self.head.headers {
            raw.extend_from_slice(name.as_str().as_bytes());
            raw.extend_from_slice(b": ");
            raw.extend_from_slice(value.as_bytes());
            raw.extend_from_slice(b"\r\n");
        }
        raw.extend_from_slice(b"\r\n");
        raw.freeze()
    }

    fn enable_retry_buffering(&mut self) {
        self.incoming.keep();
    }

    fn retry_buffer_truncated(&self) -> bool {
        self.incoming.is_truncated()
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        self.incoming.kept()
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
