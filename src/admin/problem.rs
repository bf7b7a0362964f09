//! Refusals of the admin socket as `application/problem+json`: one status for each code.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::parse::BadValue;
use super::wire;
use crate::inventory::error::{ChangeError, StoreError};

/// What an administrator is told of a request that did nothing.
#[derive(Debug)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    fix: String,
}

impl Problem {
    pub fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl ToString,
        fix: impl ToString,
    ) -> Self {
        Self { status, code, detail: detail.to_string(), fix: fix.to_string() }
    }

    pub fn into_wire(self) -> wire::Problem {
        let Self { status, code, detail, fix } = self;
        let title = status.canonical_reason().unwrap_or_default().into();
        wire::Problem { title, status: status.as_u16(), code: code.into(), detail, fix }
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        let status = match &error {
            ChangeError::AlreadyExists { .. }
            | ChangeError::Revoked { .. }
            | ChangeError::Suspended { .. }
            | ChangeError::NotSuspended { .. }
            | ChangeError::Quarantined { .. }
            | ChangeError::NotQuarantined { .. }
            | ChangeError::Differs(_) => StatusCode::CONFLICT,
            ChangeError::NotFound { .. } => StatusCode::NOT_FOUND,
            ChangeError::BadValue { .. } | ChangeError::TooMany { .. } => {
                StatusCode::UNPROCESSABLE_ENTITY
            }
            ChangeError::AuditUnavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            ChangeError::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.code(), &error, error.fix())
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        ChangeError::Store(error).into()
    }
}

impl From<BadValue> for Problem {
    fn from(error: BadValue) -> Self {
        let fix = "Give another value.";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_value", error, fix)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status;
        let mut response = (status, Json(self.into_wire())).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}
