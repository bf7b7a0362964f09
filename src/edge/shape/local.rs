//! Answers without an upstream: denials, what config gives for an operation (only to an `Admitted`),
//! and what a browser's preflight is told.

use http::header;
use pingora::Result;
use pingora::http::ResponseHeader;

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
        Stage::Preflight(api) => permission(api, request).map(Some),
        Stage::Fresh | Stage::Refused => Ok(None),
    }
}

fn of_config(answered: &Answered, admitted: &Admitted, request: &Request) -> Result<Answer> {
    let (status, body) = match answered {
        Answered::Redirect { status, .. } => (*status, bytes::Bytes::new()),
        Answered::Fixed { status, body, .. } => (*status, body.clone()),
    };
    let mut head = ResponseHeader::build(status, None)?;
    match answered {
        Answered::Redirect { location, .. } => {
            let target = request.target.as_ref();
            let below = target.and_then(|target| admitted.api().base_path.strip(target.path()));
            let query = target.map_or("", |target| target.query_suffix());
            let location = location.render(below.unwrap_or_default(), query);
            head.insert_header(header::LOCATION, location)?;
        }
        Answered::Fixed { content_type: Some(content_type), .. } => {
            head.insert_header(header::CONTENT_TYPE, content_type.clone())?;
        }
        Answered::Fixed { content_type: None, .. } => {}
    }
    if let Some(shape) = &admitted.api().shape {
        edits::apply(&mut head, &shape.response, request)?;
    }
    if let Some(shape) = &admitted.operation().shape {
        edits::apply(&mut head, &shape.response, request)?;
    }
    if let Some(dress) = &request.dress {
        dress::put_on(&mut head, dress)?;
    }
    Ok(Answer::made(status, &head.headers, body, request))
}

/// The permission that a preflight asked for.
fn permission(api: &Api, request: &Request) -> Result<Answer> {
    let mut head = ResponseHeader::build(204, None)?;
    if let Some(cors) = api.shape.as_ref().and_then(|shape| shape.cors.as_ref()) {
        for (name, value) in dress::permission(cors) {
            head.insert_header(name, value)?;
        }
    }
    if let Some(dress) = &request.dress {
        dress::put_on(&mut head, dress)?;
    }
    Ok(Answer::made(204, &head.headers, bytes::Bytes::new(), request))
}
