//! An answer as a stream of events: its head, its events one by one, its end.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Version, header};
use pingora::Result;
use pingora::http::ResponseHeader;
use pingora::proxy::Session;

use crate::mcp::event;
use crate::model::id::RequestId;

use super::super::answer::{After, X_REQUEST_ID};
use super::super::drain;
use super::super::shape::dress::Dress;
use super::serving::NO_STORE;

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const NO: HeaderValue = HeaderValue::from_static("no");

/// Begins a stream: from here on its status is 200.
pub async fn begin(session: &mut Session, id: RequestId, dress: Option<&Dress>) -> Result<()> {
    let version = session.req_header().version;
    if drain::drain(session).await == After::Close || version == Version::HTTP_10 {
        session.as_mut().set_keepalive(None);
    }
    let mut head = ResponseHeader::build_no_case(200, Some(8))?;
    head.insert_header(header::CONTENT_TYPE, EVENT_STREAM)?;
    head.insert_header(header::CACHE_CONTROL, NO_STORE)?;
    head.insert_header(X_ACCEL_BUFFERING, NO)?;
    head.insert_header(X_REQUEST_ID, id.to_string())?;
    for (name, value) in dress.into_iter().flat_map(|dress| dress.iter()) {
        head.append_header(name.clone(), value.clone())?;
    }
    // A caller of HTTP/1.0 reads until the connection ends.
    if version == Version::HTTP_11 {
        head.insert_header(header::TRANSFER_ENCODING, "chunked")?;
    }
    session.write_response_header(Box::new(head), false).await
}

/// Sends what is one or more events already.
pub async fn send(session: &mut Session, events: Bytes) -> Result<()> {
    session.write_response_body(Some(events), false).await
}

/// Sends the response, the last event, and ends the stream.
pub async fn end(session: &mut Session, response: &[u8]) -> Result<()> {
    session.write_response_body(Some(event::message(response)), false).await?;
    session.write_response_body(None, true).await
}
