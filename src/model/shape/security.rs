//! Fields that tell browsers to be careful with a response.

use http::{HeaderName, HeaderValue};

/// They replace the upstream's own; `Content-Security-Policy` stands beside it, as both then hold.
#[derive(Debug)]
pub struct Security {
    pub fields: Box<[(HeaderName, HeaderValue)]>,
    /// `Strict-Transport-Security`, which only means something over TLS.
    pub hsts: Option<HeaderValue>,
}

/// Fields that tell strangers what runs behind the gate, which leave every response.
pub const BANNERS: [HeaderName; 2] =
    [http::header::SERVER, HeaderName::from_static("x-powered-by")];
