//! What an api and its operations do besides granting: rules on the form of a request, and changes
//! to requests and responses. Made by `config`, once; judged by `request::policy`, carried out by
//! `edge::shape`. Values only: nothing here knows a request.

pub mod answer;
pub mod compression;
pub mod cors;
pub mod edits;
pub mod glob;
pub mod location;
pub mod media;
pub mod rules;
pub mod security;

use self::answer::Answered;
use self::compression::Compression;
use self::cors::Cors;
use self::edits::Edits;
use self::security::Security;

/// Of an api: it holds for all of its operations.
#[derive(Debug, Default)]
pub struct Shape {
    pub request: Edits,
    pub response: Edits,
    pub cors: Option<Cors>,
    pub compression: Option<Compression>,
    pub security: Option<Security>,
}

impl Shape {
    /// None when there is nothing to do, so that a request without a shape pays for none.
    pub fn boxed(self) -> Option<Box<Self>> {
        let Self { request, response, cors, compression, security } = &self;
        let idle = request.is_empty() && response.is_empty();
        let idle = idle && cors.is_none() && compression.is_none() && security.is_none();
        (!idle).then(|| Box::new(self))
    }
}

/// Of one operation: what it changes after its api, and the answer that it has of its own.
#[derive(Debug, Default)]
pub struct OperationShape {
    pub request: Edits,
    pub response: Edits,
    /// None: the upstream answers.
    pub answer: Option<Answered>,
}

impl OperationShape {
    pub fn boxed(self) -> Option<Box<Self>> {
        let idle = self.request.is_empty() && self.response.is_empty() && self.answer.is_none();
        (!idle).then(|| Box::new(self))
    }
}
