//! Fields that config sets, adds and removes, on the way to the upstream and back.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::model::shape::edits::{Edits, Piece, Text, Variable};
use crate::request::head::are_alike;
use crate::request::limit::Admitted;

use super::super::ctx::Request;

/// Which names mean the same field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Names {
    AsTheyAre,
    /// `_` counts as `-`, as some servers have it.
    Alike,
}

/// Changes a request's fields after the gate's own are in place, which no edit names.
pub fn of_request(fields: &mut HeaderMap, admitted: &Admitted, request: &Request) {
    if let Some(shape) = &admitted.api().shape {
        apply(fields, &shape.request, Names::Alike, request);
    }
    if let Some(shape) = &admitted.operation().shape {
        apply(fields, &shape.request, Names::Alike, request);
    }
}

/// Changes a response's fields.
pub fn of_response(fields: &mut HeaderMap, admitted: &Admitted, request: &Request) {
    if let Some(shape) = &admitted.api().shape {
        apply(fields, &shape.response, Names::AsTheyAre, request);
    }
    if let Some(shape) = &admitted.operation().shape {
        apply(fields, &shape.response, Names::AsTheyAre, request);
    }
}

/// A field whose value needs what this request does not have, such as the client of an anonymous
/// call, is only taken out: nobody else's copy stands in for it.
fn apply(fields: &mut HeaderMap, edits: &Edits, names: Names, request: &Request) {
    for name in &edits.remove {
        take_out(fields, name, names);
    }
    for (name, text) in &edits.set {
        take_out(fields, name, names);
        if let Some(value) = value(text, request) {
            fields.insert(name, value);
        }
    }
    for (name, text) in &edits.add {
        if let Some(value) = value(text, request) {
            fields.append(name, value);
        }
    }
}

fn take_out(fields: &mut HeaderMap, name: &HeaderName, names: Names) {
    fields.remove(name);
    if names == Names::AsTheyAre {
        return;
    }
    let is_copy = |known: &&HeaderName| are_alike(known.as_str(), name.as_str());
    while let Some(copy) = fields.keys().find(is_copy).cloned() {
        fields.remove(&copy);
    }
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
        Variable::Host => {
            made.push_str(Some(&request.host).filter(|host| !host.is_empty())?);
        }
    }
    Some(())
}
