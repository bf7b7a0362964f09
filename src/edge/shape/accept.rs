//! Which coding a caller wants (RFC 9110, 12.5.3), and whether a response may be coded at all.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::model::shape::compression::{Coding, Compression};
use crate::model::shape::media;

/// What a caller accepts of an api's codings.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Wish {
    /// The best one; None: as it is.
    pub coding: Option<Coding>,
    /// The caller does not want it as it is, so size does not matter.
    pub coded_only: bool,
}

/// Chooses among the api's codings: what the caller likes best; of equals, what config lists first.
pub fn wish(compression: &Compression, fields: &HeaderMap) -> Wish {
    let accepted = accepted(fields);
    let liked = |names: &[&str]| {
        let of_name = |(name, _): &&(&[u8], u16)| {
            names.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
        };
        accepted.iter().find(of_name).map(|(_, weight)| *weight)
    };
    let rest = liked(&["*"]);
    let mut best: Option<(u16, Coding)> = None;
    for coding in &compression.codings {
        let names: &[&str] = match coding {
            Coding::Zstd => &["zstd"],
            Coding::Brotli => &["br"],
            // RFC 9110, 8.4.1.3: the old name is the same.
            Coding::Gzip => &["gzip", "x-gzip"],
        };
        let weight = liked(names).or(rest).unwrap_or(0);
        if weight > best.map_or(0, |(most, _)| most) {
            best = Some((weight, *coding));
        }
    }
    // As it is: liked by its name only, but refused by `*` too.
    let identity = liked(&["identity"]);
    let best = best.filter(|(weight, _)| identity.is_none_or(|as_it_is| *weight >= as_it_is));
    let coding = best.map(|(_, coding)| coding);
    Wish { coding, coded_only: identity.or(rest) == Some(0) }
}

/// Every coding that the caller names, with its weight.
fn accepted(fields: &HeaderMap) -> Vec<(&[u8], u16)> {
    let values = fields.get_all(header::ACCEPT_ENCODING).iter();
    let items = values.flat_map(|value| value.as_bytes().split(|b| *b == b','));
    let parsed = items.filter_map(|item| {
        let mut parts = item.split(|b| *b == b';');
        let name = parts.next().unwrap_or_default().trim_ascii();
        Some((name, weight(parts)?))
    });
    parsed.collect()
}

/// In thousandths. None: it is not written as a weight, so what it weighs is not a wish.
fn weight<'v>(mut parameters: impl Iterator<Item = &'v [u8]>) -> Option<u16> {
    let Some(parameter) = parameters.next() else { return Some(1000) };
    let text = std::str::from_utf8(parameter).ok()?.trim();
    let value = text.strip_prefix(['q', 'Q'])?.trim_start().strip_prefix('=')?.trim_start();
    let (whole, fraction) = value.split_once('.').unwrap_or((value, ""));
    if fraction.len() > 3 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let thousandths: u16 = format!("{fraction:0<3}").parse().ok()?;
    match (whole, thousandths) {
        ("0", thousandths) => Some(thousandths),
        ("1", 0) => Some(1000),
        _ => None,
    }
}

/// Whether a response is one that the api compresses, whatever the caller accepts.
pub fn is_for(compression: &Compression, status: StatusCode, fields: &HeaderMap) -> bool {
    let whole =
        status != StatusCode::PARTIAL_CONTENT && !fields.contains_key(header::CONTENT_RANGE);
    let with_body = !matches!(status.as_u16(), 100..=199 | 204 | 205 | 304);
    let content_type = fields.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    whole
        && with_body
        && !is_encoded(fields)
        && !says_no_transform(fields)
        && !media::essence(content_type).eq_ignore_ascii_case(b"text/event-stream")
        && compression.types.iter().any(|range| range.holds(content_type))
}

fn is_encoded(fields: &HeaderMap) -> bool {
    let mut values = fields.get_all(header::CONTENT_ENCODING).iter();
    values.any(|value| !value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity"))
}

/// `Cache-Control: no-transform`, of a response or of the request for it (RFC 9111, 5.2).
pub fn says_no_transform(fields: &HeaderMap) -> bool {
    let values = fields.get_all(header::CACHE_CONTROL).iter();
    let mut words = values.flat_map(|value| value.as_bytes().split(|b| *b == b','));
    words.any(|word| word.trim_ascii().eq_ignore_ascii_case(b"no-transform"))
}

/// What is only true of the bytes as the upstream sent them (RFC 9530, RFC 9110).
pub const OF_THE_BYTES: [HeaderName; 7] = [
    header::CONTENT_LENGTH,
    header::ACCEPT_RANGES,
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
    HeaderName::from_static("want-digest"),
];

/// The same tag, marked weak: the coded bytes are equal in meaning, not byte by byte.
pub fn weakened(tag: &HeaderValue) -> Option<HeaderValue> {
    if tag.as_bytes().starts_with(b"W/") {
        return None;
    }
    HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::shape::media::MediaRange;

    fn compression() -> Compression {
        let range = |text| MediaRange::parse(text).expect("a media type");
        Compression {
            codings: Box::new([Coding::Zstd, Coding::Brotli, Coding::Gzip]),
            bytes_min: 1,
            types: Box::new([range("application/json"), range("text/*")]),
        }
    }

    fn map(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(*name, HeaderValue::from_str(value).expect("valid"));
        }
        map
    }

    #[test]
    fn the_best_liked_coding_is_chosen() {
        use Coding::{Brotli, Gzip, Zstd};
        let check = |accepted: &[&str], coding: Option<Coding>, coded_only: bool| {
            let fields: Vec<_> = accepted.iter().map(|value| ("accept-encoding", *value)).collect();
            let expected = Wish { coding, coded_only };
            assert_eq!(wish(&compression(), &map(&fields)), expected, "{accepted:?}");
        };
        check(&[], None, false);
        check(&[""], None, false);
        check(&["gzip"], Some(Gzip), false);
        check(&["X-GZIP"], Some(Gzip), false);
        check(&["gzip, deflate, br, zstd"], Some(Zstd), false);
        check(&["gzip, br"], Some(Brotli), false);
        check(&["gzip", "br"], Some(Brotli), false);
        check(&["gzip;q=1.0, br;q=0.9, zstd;q=0.1"], Some(Gzip), false);
        check(&["gzip ; Q = 0.5 , br;q=0.501"], Some(Brotli), false);
        check(&["zstd;q=0, gzip"], Some(Gzip), false);
        check(&["*"], Some(Zstd), false);
        check(&["*;q=0.5, zstd;q=0"], Some(Brotli), false);
        check(&["identity"], None, false);
        check(&["identity, gzip;q=0.5"], None, false);
        check(&["identity;q=0.5, gzip"], Some(Gzip), false);
        check(&["identity;q=0.5, gzip;q=0.5"], Some(Gzip), false);
        check(&["identity;q=0, gzip;q=0.1"], Some(Gzip), true);
        check(&["identity;q=0"], None, true);
        check(&["*;q=0"], None, true);
        check(&["*;q=0, gzip"], Some(Gzip), true);
        check(&["deflate"], None, false);
        check(&["gzip;q=2"], None, false);
        check(&["gzip;q=0.0001"], None, false);
        check(&["gzip;level=9"], None, false);
        check(&["gzip;q=x, br;q=0.1"], Some(Brotli), false);
        check(&["gzipped"], None, false);
    }

    #[test]
    fn only_whole_responses_that_nobody_coded_are_coded() {
        let check = |status: u16, fields: &[(&'static str, &str)], expected: bool| {
            let status = StatusCode::from_u16(status).expect("valid");
            assert_eq!(
                is_for(&compression(), status, &map(fields)),
                expected,
                "{status} {fields:?}"
            );
        };
        let json = ("content-type", "application/json; charset=utf-8");
        check(200, &[json], true);
        check(404, &[json], true);
        check(200, &[json, ("content-encoding", "identity")], true);
        check(200, &[json, ("content-encoding", "br")], false);
        check(200, &[json, ("cache-control", "max-age=1, No-Transform")], false);
        check(200, &[json, ("content-range", "bytes 0-1/2")], false);
        for status in [101, 204, 205, 206, 304] {
            check(status, &[json], false);
        }
        check(200, &[], false);
        check(200, &[("content-type", "image/png")], false);
        check(200, &[("content-type", "Text/Event-Stream; charset=utf-8")], false);
    }
}
