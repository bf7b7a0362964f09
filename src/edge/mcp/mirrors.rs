//! The fields of a head that mirror what a message says.

use http::{HeaderMap, HeaderName, header};

use crate::mcp::envelope::{Mirror, Mirrors};

const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const METHOD: HeaderName = HeaderName::from_static("mcp-method");
const NAME: HeaderName = HeaderName::from_static("mcp-name");
const PARAM: &str = "mcp-param-";

/// What of a head there is to compare a message with.
pub fn of(fields: &HeaderMap) -> Mirrors<'_> {
    let mut mirrors = Mirrors::default();
    for (name, value) in fields {
        let value = value.as_bytes();
        if *name == header::CONTENT_TYPE {
            mirrors.content_type = Some(value);
        } else if *name == PROTOCOL_VERSION {
            note(&mut mirrors.protocol_version, value);
        } else if *name == METHOD {
            note(&mut mirrors.method, value);
        } else if *name == NAME {
            note(&mut mirrors.name, value);
        } else if let Some(param) = name.as_str().strip_prefix(PARAM) {
            mirrors.params.push((param, value));
        }
    }
    mirrors
}

fn note<'h>(mirror: &mut Mirror<'h>, value: &'h [u8]) {
    *mirror = match mirror {
        Mirror::Absent => Mirror::Once(value),
        Mirror::Once(_) | Mirror::Repeated => Mirror::Repeated,
    };
}
