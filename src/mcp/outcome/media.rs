//! What a body is, by its `Content-Type`.

use std::borrow::Cow;

use http::{HeaderMap, header};

/// `type/subtype` in lower case; empty where there is none that can be read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Media {
    essence: Cow<'static, str>,
    is_encoded: bool,
}

/// What becomes of a body of some type.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Json,
    Text,
    Image,
    Audio,
    Binary,
    /// There is no type, so the bytes themselves have to say.
    Unknown,
}

/// Types of text beyond `text/…`, as their subtypes are.
const TEXTS: [&str; 14] = [
    "xml",
    "yaml",
    "x-yaml",
    "toml",
    "csv",
    "javascript",
    "x-javascript",
    "ecmascript",
    "sql",
    "graphql",
    "x-ndjson",
    "jsonl",
    "json-seq",
    "x-www-form-urlencoded",
];

const ESSENCE_BYTES_MAX: usize = 128;

/// `type/subtype` of a field's value.
fn essence(value: &str) -> Cow<'static, str> {
    // Nearly always, and the rest takes its time.
    if value == JSON {
        return Cow::Borrowed(JSON);
    }
    let essence = value.split(';').next().unwrap_or_default().trim();
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+/".contains(&byte);
    let is_type = essence.len() <= ESSENCE_BYTES_MAX
        && essence.bytes().all(is_token)
        && essence.split('/').filter(|part| !part.is_empty()).count() == 2;
    if is_type { Cow::Owned(essence.to_ascii_lowercase()) } else { Cow::Borrowed("") }
}

const JSON: &str = "application/json";

impl Media {
    pub fn of(fields: &HeaderMap) -> Self {
        let value = fields.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let coding = fields.get(header::CONTENT_ENCODING).map(http::HeaderValue::as_bytes);
        let is_encoded = coding.is_some_and(|coding| !coding.eq_ignore_ascii_case(b"identity"));
        let essence = value.map_or(Cow::Borrowed(""), essence);
        Self { essence, is_encoded }
    }

    pub fn kind(&self) -> Kind {
        if self.essence == JSON && !self.is_encoded {
            return Kind::Json;
        }
        let Some((main, sub)) = self.essence.split_once('/') else { return Kind::Unknown };
        match main {
            _ if self.is_encoded => Kind::Binary,
            _ if sub == "json" || sub.ends_with("+json") => Kind::Json,
            // Drawings among them: as text, a model can read them.
            _ if main == "text" || sub.ends_with("+xml") || sub.ends_with("+yaml") => Kind::Text,
            "application" if TEXTS.contains(&sub) => Kind::Text,
            "image" => Kind::Image,
            "audio" => Kind::Audio,
            _ => Kind::Binary,
        }
    }

    /// As results have it.
    pub fn mime(&self) -> &str {
        if self.essence.is_empty() || self.is_encoded {
            return "application/octet-stream";
        }
        &self.essence
    }

    pub fn is_html(&self) -> bool {
        matches!(&*self.essence, "text/html" | "application/xhtml+xml")
    }

    /// The type by which an upstream says that it has made blocks of content itself.
    pub fn is_of_blocks(&self) -> bool {
        self.essence == "application/vnd.onegate.tool-result+json" && !self.is_encoded
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn types_are_told_apart() {
        let check = |value: &str, kind: Kind, mime: &str| {
            let mut fields = HeaderMap::new();
            fields.insert(header::CONTENT_TYPE, HeaderValue::from_str(value).expect("a field"));
            let media = Media::of(&fields);
            assert_eq!((media.kind(), media.mime()), (kind, mime), "{value}");
            fields.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            let media = Media::of(&fields);
            assert!(matches!(media.kind(), Kind::Binary | Kind::Unknown), "{value}");
            assert_eq!(media.mime(), "application/octet-stream", "{value}");
        };
        check("application/json", Kind::Json, "application/json");
        check("Application/Problem+JSON; charset=utf-8", Kind::Json, "application/problem+json");
        check("text/plain;charset=x", Kind::Text, "text/plain");
        check("text/event-stream", Kind::Text, "text/event-stream");
        check("application/xml", Kind::Text, "application/xml");
        check("application/x-ndjson", Kind::Text, "application/x-ndjson");
        check("image/svg+xml", Kind::Text, "image/svg+xml");
        check("image/png", Kind::Image, "image/png");
        check("audio/wav", Kind::Audio, "audio/wav");
        check("video/mp4", Kind::Binary, "video/mp4");
        check("multipart/mixed; boundary=x", Kind::Binary, "multipart/mixed");
        check("application/pdf", Kind::Binary, "application/pdf");
        for value in ["", "json", "a/b/c", "/", "a/\"b\"", &format!("a/{}", "b".repeat(200))] {
            check(value, Kind::Unknown, "application/octet-stream");
        }
    }
}
