//! Which pages of other origins may read an api's responses (the Fetch standard, 3.2). It protects
//! users of browsers; it is no access control, which callers without a browser would pass by.

use http::{HeaderName, HeaderValue};

#[derive(Debug)]
pub struct Cors {
    pub origins: Origins,
    pub credentials: Credentials,
    /// Methods that a preflight is told, whatever operations there are.
    pub methods: Box<[Box<str>]>,
    pub headers: Box<[HeaderName]>,
    pub fields: Fields,
}

#[derive(Debug, Eq, PartialEq)]
pub enum Origins {
    /// `["*"]`: any page may read, none with credentials of the browser.
    Any,
    /// As browsers send them: `https://app.example.com`.
    Listed(Box<[Box<str>]>),
}

/// Whether browsers may send cookies and client certificates along, and let the page read then.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Credentials {
    Included,
    Omitted,
}

/// The values of fields that are the same for every caller.
#[derive(Debug)]
pub struct Fields {
    pub methods: HeaderValue,
    pub headers: HeaderValue,
    pub expose: Option<HeaderValue>,
    /// Seconds.
    pub max_age: HeaderValue,
}

impl Cors {
    /// Whether pages of this origin may read.
    pub fn admits(&self, origin: &[u8]) -> bool {
        match &self.origins {
            Origins::Any => true,
            Origins::Listed(listed) => listed.iter().any(|known| known.as_bytes() == origin),
        }
    }
}
