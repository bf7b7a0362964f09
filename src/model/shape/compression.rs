//! Which responses are compressed, and how.

use super::media::MediaRange;

#[derive(Debug)]
pub struct Compression {
    /// The gate's preference among codings that a caller likes equally.
    pub codings: Box<[Coding]>,
    /// Smaller bodies that announce their size are left alone.
    pub bytes_min: u64,
    pub types: Box<[MediaRange]>,
}

/// A content coding that the gate can apply (RFC 9110, 8.4.1; RFC 7932; RFC 8878).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Coding {
    Zstd,
    Brotli,
    Gzip,
}

impl Coding {
    /// Its name in `Content-Encoding`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }
}

/// What is compressed unless the config says otherwise: text, and formats that are text inside.
pub const DEFAULT_TYPES: [&str; 12] = [
    "application/javascript",
    "application/json",
    "application/ld+json",
    "application/problem+json",
    "application/x-ndjson",
    "application/xml",
    "image/svg+xml",
    "text/css",
    "text/csv",
    "text/html",
    "text/plain",
    "text/xml",
];
