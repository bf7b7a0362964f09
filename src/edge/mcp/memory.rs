//! The second way into the pipeline: an HTTP/1 connection in memory. Every byte of the inner request is
//! written and parsed as if it had come over the network, so a test that finds both ways alike has shown
//! that sub-requests leave nothing out.

use std::fmt;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use http::header;
use pingora::Result;
use pingora::apps::HttpServerApp;
use pingora::http::RequestHeader;
use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v1::client::HttpSession;
use pingora::proxy::HttpProxy;
use tokio::io::{DuplexStream, duplex};
use tokio::sync::watch;

use super::super::exchange;
use super::super::flight::Flight;
use super::super::proxy::Gate;
use super::dispatch::{InternalDispatch, Running};
use super::session::{Part, Parts};

/// What either side may write before the other reads.
const PIPE_BYTES: usize = 64 * 1024;

/// Connections in memory.
pub struct InMemory(pub Weak<HttpProxy<Gate>>);

impl InternalDispatch for InMemory {
    fn call(&self, flight: &Arc<Flight>, body: Bytes) -> Option<Running> {
        let proxy = self.0.upgrade()?;
        let head = flight.live().handed.as_mut()?.take_head()?;
        let (caller, gate) = duplex(PIPE_BYTES);
        let mut session = ServerSession::new_http1(Box::new(gate));
        session.set_keepalive(None);
        let answer = Arc::new(Parts::default());
        let answer_to = Arc::clone(&answer);
        let flight = Arc::clone(flight);
        let pipeline = async move {
            let (_ends, shutdown) = watch::channel(false);
            let pipeline = exchange::guarded(&flight, proxy.process_new_http(session, &shutdown));
            let call = async {
                if let Err(error) = call(caller, head, body, &answer_to).await {
                    log::debug!("a connection in memory broke: {error}");
                }
            };
            tokio::join!(pipeline, call);
        };
        Some(Running::new(pipeline, answer))
    }
}

/// Plays the client.
async fn call(
    stream: DuplexStream,
    mut head: Box<RequestHeader>,
    body: Bytes,
    answer_to: &Parts,
) -> Result<()> {
    if !body.is_empty() {
        head.insert_header(header::CONTENT_LENGTH, body.len())?;
    }
    let mut session = HttpSession::new(Box::new(stream));
    session.write_request_header(head).await?;
    if !body.is_empty() {
        session.write_body(&body).await?;
    }
    session.finish_body().await?;
    loop {
        session.read_response().await?;
        let Some(head) = session.resp_header().cloned() else { return Ok(()) };
        let is_last = !head.status.is_informational();
        answer_to.send(Part::Head(Arc::new(head))).await;
        if is_last {
            break;
        }
    }
    while let Some(piece) = session.read_body_bytes().await? {
        answer_to.send(Part::Piece(piece)).await;
    }
    answer_to.send(Part::End).await;
    Ok(())
}

impl fmt::Debug for InMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InMemory")
    }
}
