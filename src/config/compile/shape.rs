//! What an `[[api]]` and an `[[api.operation]]` say of the form of requests and responses, from
//! text to the model. Each part has a file of its own below.

use super::super::section::Section;
use super::beside::Beside;
use crate::model::shape::rules::Rules;
use crate::model::shape::{OperationShape, Shape};
use crate::model::template::Template;

mod answer;
mod compression;
mod cors;
mod edits;
mod names;
mod rules;
mod security;

pub(super) use cors::origin;

/// Who may ask, and how.
pub(super) fn rules(section: &mut Section<'_>) -> Rules {
    rules::rules(section)
}

/// What is changed on the way.
pub(super) fn of_api(section: &mut Section<'_>) -> Shape {
    let (request, response) = edits::edits(section);
    Shape {
        request,
        response,
        cors: cors::cors(section),
        compression: compression::compression(section),
        security: security::security(section),
    }
}

/// The same of one operation; its template names the parameters of a redirect.
pub(super) fn of_operation(
    section: &mut Section<'_>,
    template: Option<&Template>,
    beside: Beside<'_>,
) -> OperationShape {
    let (request, response) = edits::edits(section);
    OperationShape { request, response, answer: answer::answer(section, template, beside) }
}
