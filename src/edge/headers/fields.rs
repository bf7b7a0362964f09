//! Where a caller's fields are. Pingora copies a request's head for every attempt; what would be copied is
//! kept with the request instead, and goes to the upstream whole.
//!
//! Only plain heads are treated so: where fields for the next hop stand, Pingora must see all of them.

use std::mem;

use http::{HeaderMap, HeaderName, header};
use pingora::http::RequestHeader;
use pingora::proxy::Session;

use crate::request::head;

use super::{passing, take_parts};

/// Where a caller's fields are.
#[derive(Debug, Default)]
pub enum Fields {
    /// In the session's head, where Pingora copies them from.
    #[default]
    Session,
    /// Here; the session's head has nothing but what frames the body.
    Here(HeaderMap),
    /// On their way to the upstream, or with it.
    Sent,
}

/// What Pingora must know of the caller's body while it passes. `Transfer-Encoding` is for one hop, so
/// it is never taken off.
fn is_of_the_body(name: &HeaderName) -> bool {
    match name.as_str().len() {
        6 => *name == header::EXPECT,
        14 => *name == header::CONTENT_LENGTH,
        _ => false,
    }
}

/// Whether somebody will look at the fields after they were sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum After {
    Unneeded,
    Needed,
}

impl Fields {
    /// Takes the fields off a session's head.
    ///
    /// Forgets in which letter case they were written, which Pingora keeps a second map for. So names
    /// go out in lower case, as HTTP/2 has them, or as Pingora titles the best known. A head with a
    /// target in another form than the origin's stays as it was read.
    pub fn take(head: &mut RequestHeader) -> Self {
        let of_uri = head.uri.path_and_query().map(|target| target.as_str().as_bytes());
        if !head.has_case() || of_uri != Some(head.raw_path()) {
            return Self::Session;
        }
        let mut parts = take_parts(head);
        let fields = if passing::has_hop_by_hop(&parts.headers) {
            Self::Session
        } else {
            let fields = mem::take(&mut parts.headers);
            for name in fields.keys().filter(|name| is_of_the_body(name)) {
                if let Some(value) = fields.get(name) {
                    parts.headers.append(name, value.clone());
                }
            }
            Self::Here(fields)
        };
        *head = parts.into();
        fields
    }

    /// The fields, wherever they are.
    pub fn of<'a>(&'a self, session: &'a RequestHeader) -> &'a HeaderMap {
        match self {
            Self::Here(fields) => fields,
            Self::Session | Self::Sent => &session.headers,
        }
    }

    /// Gives the fields back to the session's head, for those who must find them there.
    pub fn give_back(&mut self, head: &mut RequestHeader) {
        if let Self::Here(fields) = mem::take(self) {
            let mut parts = take_parts(head);
            parts.headers = fields;
            *head = parts.into();
        }
    }

    /// The fields to send. None: the head that is about to be sent has them.
    pub fn send(&mut self, after: After) -> Option<HeaderMap> {
        match (mem::take(self), after) {
            (Self::Here(fields), After::Needed) => {
                *self = Self::Here(fields.clone());
                Some(fields)
            }
            (Self::Here(fields), After::Unneeded) => {
                *self = Self::Sent;
                Some(fields)
            }
            (Self::Session | Self::Sent, _) => None,
        }
    }

    /// Reads the fields once more, for another attempt, if they went with the last one.
    pub fn recall(&mut self, session: &Session) {
        if let (Self::Sent, Some(session)) = (&self, session.as_ref().as_http1()) {
            *self = Self::Here(head::fields_again(&session.get_headers_raw_bytes()));
        }
    }
}
