//! Media types, as far as bodies are told apart by them.

/// Type and subtype, in lower case, without parameters.
pub fn essence(media: &str) -> String {
    media.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

pub fn is_json(media: &str) -> bool {
    let essence = essence(media);
    let suffix = essence.strip_prefix("application/").is_some_and(|rest| rest.ends_with("+json"));
    suffix
        || matches!(essence.as_str(), "application/json" | "text/json" | "application/*" | "*/*")
        || essence.ends_with("+json")
}

/// Whether a response of it is read as JSON: the gate's own results of tools are told apart by theirs.
pub fn is_json_result(media: &str) -> bool {
    is_json(media) && essence(media) != "application/vnd.onegate.tool-result+json"
}

/// What is written in `Content-Type`: the media type itself, unless it is a range or no field's value.
pub fn content_type(media: &str, instead: &str) -> Box<str> {
    let good = |b: u8| (0x20..0x7f).contains(&b);
    let is_one = media.bytes().all(good) && media.contains('/') && !media.contains('*');
    if is_one && media.len() <= 200 { media.trim().into() } else { instead.into() }
}
