//! Answers without an upstream: denials, what config gives for an operation (only to an `Admitted`),
//! and what a browser's preflight is told.

use http::{HeaderMap, HeaderValue, header};
use pingora::ErrorType::InternalError;
use pingora::{OrErr, Result};

use crate::model::api::Api;
use crate::model::shape::answer::Answered;
use crate::request::limit::Admitted;

use super::super::answer::Answer;
use super::super::ctx::{Request, Stage};
use super::super::stop::Fault;
use super::{dress, edits};

/// What the gate itself answers to a request that was judged. None: the upstream answers.
pub fn answer(request: &mut Request, fault: Option<Fault>) -> Result<Option<Answer>> {
    if let Some(fault) = fault {
        let answer = Answer::of(&fault, request.id, request.seen.standing.as_ref());
        request.fail(fault);
        return Ok(Some(answer.dressed(request.dress.as_ref())));
    }
    match &request.stage {
        Stage::Admitted(admitted) => {
            let shape = admitted.operation().shape.as_ref();
            let answered = shape.and_then(|shape| shape.answer.as_ref());
            answered.map(|answered| of_config(answered, admitted, request)).transpose()
        }
        Stage::Preflight(api) => Ok(Some(permission(api, request))),
        Stage::Fresh | Stage::Entered(_) | Stage::Refused => Ok(None),
    }
}

fn of_config(answered: &Answered, admitted: &Admitted, request: &Request) -> Result<Answer> {
    let (status, body) = match answered {
        Answered::Redirect { status, .. } => (*status, bytes::Bytes::new()),
        Answered::Fixed { status, body, .. } => (*status, body.clone()),
    };
    let mut fields = HeaderMap::new();
    match answered {
        Answered::Redirect { location, .. } => {
            let target = request.target.as_ref();
            let below = target.and_then(|target| admitted.api().base_path.strip(target.path()));
            let query = target.map_or("", |target| target.query_suffix());
            let location = location.render(below.unwrap_or_default(), query);
            let location = HeaderValue::try_from(location);
            fields.insert(header::LOCATION, location.or_err(InternalError, "the location")?);
        }
        Answered::Fixed { content_type: Some(content_type), .. } => {
            fields.insert(header::CONTENT_TYPE, content_type.clone());
        }
        Answered::Fixed { content_type: None, .. } => {}
    }
    edits::of_response(&mut fields, admitted, request);
    if let Some(dress) = &request.dress {
        dress::put_on(&mut fields, dress);
    }
    Ok(Answer::made(status, &fields, body, request))
}

/// The permission that a preflight asked for.
fn permission(api: &Api, request: &Request) -> Answer {
    let mut fields = HeaderMap::new();
    if let Some(cors) = api.shape.as_ref().and_then(|shape| shape.cors.as_ref()) {
        for (name, value) in dress::permission(cors) {
            fields.insert(name, value);
        }
    }
    if let Some(dress) = &request.dress {
        dress::put_on(&mut fields, dress);
    }
    Answer::made(204, &fields, bytes::Bytes::new(), request)
}
