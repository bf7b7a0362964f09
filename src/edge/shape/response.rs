//! What becomes of an upstream's response on its way to the caller: the edits of config, the fields
//! that every answer carries, and compression. In that order, so that a `Cache-Control` of config
//! is heeded and nothing takes the gate's `Vary` away.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};
use pingora::ErrorType::InternalError;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::{OrErr, Result};

use crate::model::shape::compression::Compression;
use crate::request::limit::Admitted;

use super::super::ctx::{Request, Stage};
use super::super::headers::fields::After;
use super::super::headers::{self, passing};
use super::accept;
use super::dress;
use super::edits;
use super::encoder::{Encoder, Flush};

/// Shapes a response's head. Before Pingora chooses the framing: it looks for `Content-Length`.
pub fn head(head: &mut ResponseHeader, asked: &RequestHeader, request: &mut Request) -> Result<()> {
    let Stage::Admitted(admitted) = &request.stage else { return Ok(()) };
    let (api, operation) = (admitted.api(), admitted.operation());
    // Nearly every request leaves here.
    if (api.shape.is_none() && operation.shape.is_none()) || head.status.is_informational() {
        return Ok(());
    }
    let (dress, status) = (request.dress.as_ref(), head.status);
    let encoder = headers::change(head, |fields| {
        passing::end_hop(fields, status);
        if let Some(shape) = &api.shape {
            dress::undress(shape, fields);
        }
        edits::of_response(fields, admitted, request);
        if let Some(dress) = dress {
            dress::put_on(fields, dress);
        }
        let compression = api.shape.as_ref().and_then(|shape| shape.compression.as_ref());
        let asked = Asked { head: asked, fields: request.fields.of(asked) };
        compression.map_or(Ok(None), |compression| compress(compression, &asked, status, fields))
    })?;
    request.encoder = encoder;
    Ok(())
}

/// Whether the head of the response will be made by what the caller's fields say.
pub fn needs_fields(admitted: &Admitted) -> After {
    let shape = admitted.api().shape.as_ref();
    let is_compressed = shape.is_some_and(|shape| shape.compression.is_some());
    if is_compressed { After::Needed } else { After::Unneeded }
}

/// What the caller asked for.
struct Asked<'a> {
    head: &'a RequestHeader,
    fields: &'a HeaderMap,
}

/// Announces a coding, if there is to be one, and gives its encoder, if there is to be a body.
fn compress(
    compression: &Compression,
    asked: &Asked<'_>,
    status: StatusCode,
    fields: &mut HeaderMap,
) -> Result<Option<Box<Encoder>>> {
    if status == StatusCode::NOT_MODIFIED {
        // What it stands for may have been coded.
        dress::vary_by(fields, &BY_CODING);
        return Ok(None);
    }
    if !accept::is_for(compression, status, fields) {
        return Ok(None);
    }
    let wish = accept::wish(compression, asked.fields);
    let bytes = fields.get(header::CONTENT_LENGTH);
    let bytes = bytes.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let too_small = bytes
        .is_some_and(|bytes| bytes == 0 || (bytes < compression.bytes_min && !wish.coded_only));
    if too_small {
        return Ok(None);
    }
    dress::vary_by(fields, &BY_CODING);
    let Some(coding) = wish.coding else { return Ok(None) };
    // A coded body has no length to announce, and HTTP/1.0 knows no chunks.
    if asked.head.version < Version::HTTP_11 || accept::says_no_transform(asked.fields) {
        return Ok(None);
    }
    for name in accept::OF_THE_BYTES {
        fields.remove(&name);
    }
    if let Some(weak) = fields.get(header::ETAG).and_then(accept::weakened) {
        fields.insert(header::ETAG, weak);
    }
    fields.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.as_str()));
    if asked.head.method == Method::HEAD {
        return Ok(None);
    }
    let flush = if bytes.is_some() { Flush::WhenFull } else { Flush::EachPiece };
    let encoder = Encoder::new(coding, flush).or_err(InternalError, "no encoder")?;
    Ok(Some(Box::new(encoder)))
}

const BY_CODING: HeaderValue = HeaderValue::from_static("Accept-Encoding");

/// Codes one piece of the body.
pub fn body(body: &mut Option<Bytes>, end_of_stream: bool, request: &mut Request) -> Result<()> {
    let Some(encoder) = &mut request.encoder else { return Ok(()) };
    let coded = encoder.encode(body.as_deref().unwrap_or_default());
    let coded = coded.or_err(InternalError, "the encoder failed")?;
    *body = match (coded, end_of_stream) {
        (coded, false) => coded,
        (coded, true) => joined(coded, end(encoder)?),
    };
    Ok(())
}

/// What is left when trailers end the body, which then has no last piece.
pub fn rest(request: &mut Request) -> Result<Option<Bytes>> {
    match &mut request.encoder {
        Some(encoder) => end(encoder),
        None => Ok(None),
    }
}

fn end(encoder: &mut Encoder) -> Result<Option<Bytes>> {
    encoder.finish().or_err(InternalError, "the encoder failed")
}

fn joined(first: Option<Bytes>, second: Option<Bytes>) -> Option<Bytes> {
    match (first, second) {
        (Some(first), Some(second)) => Some([first, second].concat().into()),
        (first, second) => first.or(second),
    }
}
