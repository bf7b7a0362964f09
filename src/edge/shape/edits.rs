//! Fields that config sets, adds and removes, on the way to the upstream and back.

use http::{HeaderName, HeaderValue};
use pingora::Result;
use pingora::http::{RequestHeader, ResponseHeader};

use crate::model::shape::edits::{Edits, Piece, Text, Variable};
use crate::request::limit::Admitted;

use super::super::ctx::Request;

/// A head whose fields can be changed.
pub trait Head {
    fn set(&mut self, name: &HeaderName, value: HeaderValue) -> Result<()>;
    fn add(&mut self, name: &HeaderName, value: HeaderValue) -> Result<()>;
    /// With `_` for `-` too, where servers might take the one for the other.
    fn take_out(&mut self, name: &HeaderName);
}

impl Head for RequestHeader {
    fn set(&mut self, name: &HeaderName, value: HeaderValue) -> Result<()> {
        self.insert_header(name, value)
    }

    fn add(&mut self, name: &HeaderName, value: HeaderValue) -> Result<()> {
        self.append_header(name, value).map(drop)
    }

    fn take_out(&mut self, name: &HeaderName) {
        let same = |known: &&HeaderName| same_name(known, name);
        let copies: Vec<HeaderName> = self.headers.keys().filter(same).cloned().collect();
        for copy in copies {
            self.remove_header(&copy);
        }
    }
}

impl Head for ResponseHeader {
    fn set(&mut self, name: &HeaderName, value: HeaderValue) -> Result<()> {
        self.insert_header(name, value)
    }

    fn add(&mut self, name: &HeaderName, value: HeaderValue) -> Result<()> {
        self.append_header(name, value).map(drop)
    }

    fn take_out(&mut self, name: &HeaderName) {
        self.remove_header(name);
    }
}

fn same_name(known: &HeaderName, name: &HeaderName) -> bool {
    let dashed = |b: u8| if b == b'_' { b'-' } else { b };
    known.as_str().bytes().map(dashed).eq(name.as_str().bytes().map(dashed))
}

/// Changes a request's fields after the gate's own are in place, which no edit names.
pub fn to_upstream(head: &mut RequestHeader, admitted: &Admitted, request: &Request) -> Result<()> {
    if let Some(shape) = &admitted.api().shape {
        apply(head, &shape.request, request)?;
    }
    if let Some(shape) = &admitted.operation().shape {
        apply(head, &shape.request, request)?;
    }
    Ok(())
}

/// A field whose value needs what this request does not have, such as the client of an anonymous
/// call, is only taken out: nobody else's copy stands in for it.
pub fn apply(head: &mut impl Head, edits: &Edits, request: &Request) -> Result<()> {
    for name in &edits.remove {
        head.take_out(name);
    }
    for (name, text) in &edits.set {
        head.take_out(name);
        if let Some(value) = value(text, request) {
            head.set(name, value)?;
        }
    }
    for (name, text) in &edits.add {
        if let Some(value) = value(text, request) {
            head.add(name, value)?;
        }
    }
    Ok(())
}

fn value(text: &Text, request: &Request) -> Option<HeaderValue> {
    let pieces = match text {
        Text::Fixed(value) => return Some(value.clone()),
        Text::Made(pieces) => pieces,
    };
    let mut made = String::with_capacity(64);
    for piece in pieces {
        match piece {
            Piece::Literal(literal) => made.push_str(literal),
            Piece::Variable(variable) => push(&mut made, *variable, request)?,
        }
    }
    HeaderValue::try_from(made).ok()
}

/// None: the request has no such thing.
fn push(made: &mut String, variable: Variable, request: &Request) -> Option<()> {
    let caller = || request.known();
    match variable {
        Variable::Client => made.push_str(caller()?.client.id.as_str()),
        Variable::Profile => made.push_str(caller()?.profile.name.as_str()),
        Variable::Api => made.push_str(request.seen.api.as_ref()?.name.as_str()),
        Variable::Operation => made.push_str(request.seen.operation.as_ref()?.id.as_str()),
        Variable::RequestId => made.push_str(&request.id.to_string()),
        Variable::SourceIp => made.push_str(&request.source_ip?.to_string()),
        Variable::Host => made.push_str(Some(&request.host).filter(|host| !host.is_empty())?),
    }
    Some(())
}
