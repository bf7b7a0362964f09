//! A lane: one HTTP/1 connection's transport, which hands Pingora exactly one request at a time.
//!
//! It reads heads itself, so that a head is judged before Pingora parses it, and it keeps bytes
//! past a request's end for the next one (pipelining). Idle connections own no read buffer. When an
//! exchange is dropped, the transport goes back to the flight, so that a caller still gets an
//! answer.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use bytes::BytesMut;
use pingora::protocols::raw_connect::ProxyDigest;
use pingora::protocols::{
    GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, Stream,
    TimingDigest, UniqueID, UniqueIDType,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::request::head::Framing;

use super::flight::{Flight, Tail};

/// The bytes below HTTP, and those read ahead of it.
#[derive(Debug)]
pub struct Transport {
    pub stream: Stream,
    /// Read from the stream, not yet given to anyone.
    pub ahead: BytesMut,
}

/// A transport lent to one exchange.
pub struct Lane {
    /// None only after it was taken back.
    transport: Option<Transport>,
    flight: Arc<Flight>,
    rest: Rest,
}

/// What of the request is still to come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Rest {
    /// So many bytes.
    Bytes(u64),
    /// Until HTTP says so: chunked.
    Open,
}

/// How many bytes one read takes; a head that fits comes in one.
const READ_BYTES: usize = 16 * 1024;

/// How many bytes of further requests are kept while one is served.
const AHEAD_BYTES_MAX: usize = 64 * 1024;

/// The end of a body in chunks.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

thread_local! {
    /// Reads land here first: a connection that waits owns no buffer.
    static SCRATCH: RefCell<Box<[u8; READ_BYTES]>> = RefCell::new(Box::new([0; READ_BYTES]));
}

impl Transport {
    pub fn new(stream: Stream) -> Self {
        Self { stream, ahead: BytesMut::new() }
    }

    /// Reads more into `ahead`; Ready(0) when the caller has closed its side.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(&mut scratch[..]);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            self.ahead.extend_from_slice(buffer.filled());
            Poll::Ready(Ok(buffer.filled().len()))
        })
    }
}

impl Lane {
    /// Lends the transport for one request, whose head has been taken off it. A head that asks for
    /// an upgrade changes nothing here: what follows is the next request's until both agreed.
    pub fn new(transport: Transport, flight: Arc<Flight>, framing: Framing, upgrade: bool) -> Self {
        flight.set_asks_upgrade(upgrade);
        let rest = match framing {
            Framing::Length(bytes) => Rest::Bytes(bytes),
            Framing::Chunked => Rest::Open,
        };
        Self { transport: Some(transport), flight, rest }
    }

    /// Takes the transport back out of what Pingora returns for reuse.
    pub fn reclaim(stream: Stream) -> Option<Transport> {
        let mut lane = stream.into_any().downcast::<Self>().ok()?;
        lane.transport.take()
    }

    fn transport(&mut self) -> io::Result<&mut Transport> {
        self.transport.as_mut().ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    fn note_written(&self, written: &Poll<io::Result<usize>>) {
        self.flight.note_write(written.is_pending());
        if let Poll::Ready(Ok(bytes)) = written {
            self.flight.note_moved(*bytes);
        }
    }

    /// After the request's last byte: notices that the caller left; keeps what it sends ahead.
    fn poll_past_the_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let transport = self.transport()?;
        // Read until there is nothing more: only then does the stream wake whoever waits here.
        while transport.ahead.len() < AHEAD_BYTES_MAX {
            if ready!(transport.poll_fill(cx))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
        // Who sends so far ahead is seen to leave when its answers are written.
        Poll::Pending
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        if let Some(transport) = self.transport.take() {
            self.flight.land(transport);
        }
    }
}

impl AsyncRead for Lane {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (rest, tail) = (self.rest, self.flight.tail());
        let room = match (rest, tail) {
            (_, Tail::Switched) | (Rest::Open, Tail::Framed) => out.remaining(),
            (_, Tail::Stays) => {
                out.put_slice(LAST_CHUNK);
                self.flight.set_tail(Tail::Next);
                return Poll::Ready(Ok(()));
            }
            (Rest::Bytes(0), _) | (_, Tail::Next | Tail::Held) => {
                return self.poll_past_the_end(cx);
            }
            (Rest::Bytes(left), Tail::Framed) => {
                usize::try_from(left).unwrap_or(usize::MAX).min(out.remaining())
            }
        };
        let transport = self.transport()?;
        let taken = if transport.ahead.is_empty() {
            let read = read_some(&mut transport.stream, cx, out, room);
            self.flight.note_body_in_hand(read.is_ready());
            ready!(read)?
        } else {
            let given = transport.ahead.split_to(room.min(transport.ahead.len()));
            out.put_slice(&given);
            self.flight.note_body_in_hand(true);
            given.len()
        };
        if let (Rest::Bytes(left), Tail::Framed) = (rest, tail) {
            self.rest = Rest::Bytes(left - taken as u64);
        }
        Poll::Ready(Ok(()))
    }
}

/// Reads at most `room` bytes; says how many.
fn read_some(
    stream: &mut Stream,
    cx: &mut Context<'_>,
    out: &mut ReadBuf<'_>,
    room: usize,
) -> Poll<io::Result<usize>> {
    if room >= out.remaining() {
        let before = out.filled().len();
        ready!(Pin::new(stream).poll_read(cx, out))?;
        return Poll::Ready(Ok(out.filled().len() - before));
    }
    let mut part = ReadBuf::new(out.initialize_unfilled_to(room));
    ready!(Pin::new(stream).poll_read(cx, &mut part))?;
    let taken = part.filled().len();
    out.advance(taken);
    Poll::Ready(Ok(taken))
}

impl AsyncWrite for Lane {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.flight.note_answered();
        let written = Pin::new(&mut self.transport()?.stream).poll_write(cx, bytes);
        self.note_written(&written);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.transport()?.stream).poll_flush(cx);
        self.flight.note_write(flushed.is_pending());
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport()?.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.flight.note_answered();
        let written = Pin::new(&mut self.transport()?.stream).poll_write_vectored(cx, slices);
        self.note_written(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.as_ref().is_some_and(|transport| transport.stream.is_write_vectored())
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("rest", &self.rest).finish_non_exhaustive()
    }
}

#[async_trait]
impl Shutdown for Lane {
    async fn shutdown(&mut self) {
        // Not here: the connection closes, after it made sure that the caller got its answer.
    }
}

impl UniqueID for Lane {
    fn id(&self) -> UniqueIDType {
        self.transport.as_ref().map_or(-1, |transport| transport.stream.id())
    }
}

impl Ssl for Lane {}

#[async_trait]
impl Peek for Lane {}

impl GetTimingDigest for Lane {
    /// Nobody asks: records have times of their own.
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for Lane {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        self.transport.as_ref().and_then(|transport| transport.stream.get_proxy_digest())
    }
}

impl GetSocketDigest for Lane {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        self.transport.as_ref().and_then(|transport| transport.stream.get_socket_digest())
    }
}
