//! What single members of a request say, once it is known that they count.

use std::borrow::Cow;

use crate::mcp::fault::FaultKind;
use crate::mcp::json::plain_word;
use crate::mcp::json::read::Raw;

use super::Call;
use super::wire::Params;

const AGENT_BYTES_MAX: usize = 128;

/// A modern caller says what it can do, be it nothing.
pub(super) fn check_capabilities(params: &Params<'_>) -> Result<(), FaultKind> {
    let said = params.meta.as_ref().and_then(|meta| meta.client_capabilities);
    if said.is_some_and(Raw::is_object) {
        return Ok(());
    }
    Err(FaultKind::Meta(
        "params._meta needs io.modelcontextprotocol/clientCapabilities, an object, be it {}",
    ))
}

pub(super) fn list<'b>(params: &Params<'b>) -> Result<Call<'b>, FaultKind> {
    let cursor = params.cursor.filter(|cursor| !cursor.is_null());
    let text = cursor.and_then(Raw::text);
    if cursor.is_some() && text.is_none() {
        return Err(FaultKind::InvalidParams("params.cursor must be a string"));
    }
    Ok(Call::ListTools { cursor: text })
}

pub(super) fn listen(params: &Params<'_>) -> Result<Call<'static>, FaultKind> {
    let mut tools = None;
    let is_filter = params.notifications.and_then(|filter| {
        filter.each_member(|key, value| {
            if key == "toolsListChanged" {
                tools = Some(value);
            }
        })
    });
    if is_filter.is_none() {
        return Err(FaultKind::InvalidParams("params.notifications must be an object"));
    }
    match tools.map(Raw::get) {
        Some("true") => Ok(Call::Listen { tools: true }),
        None | Some("false") => Ok(Call::Listen { tools: false }),
        Some(_) => {
            Err(FaultKind::InvalidParams("params.notifications.toolsListChanged must be a boolean"))
        }
    }
}

/// `clientInfo` as one word; nothing where it has no name, which is no fault.
pub(super) fn agent(info: Raw<'_>) -> Option<Box<str>> {
    let (mut name, mut version) = (None, None);
    info.each_member(|key, value| match &*key {
        "name" => name = Some(value),
        "version" => version = Some(value),
        _ => {}
    })?;
    let name = name.and_then(Raw::text).filter(|name| !name.is_empty())?;
    let agent = match version.and_then(Raw::text) {
        Some(version) => plain_word(&[&*name, "/", &*version].concat(), AGENT_BYTES_MAX),
        None => plain_word(&name, AGENT_BYTES_MAX),
    };
    (!agent.is_empty()).then(|| agent.into())
}

/// A `traceparent` of W3C Trace Context: version, trace, parent and flags in lower-case hex.
pub(super) fn traceparent(raw: Raw<'_>) -> Option<Cow<'_, str>> {
    let text = raw.text()?;
    let mut parts = text.split('-');
    let mut part = |digits: usize| {
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        parts.next().filter(|part| part.len() == digits && part.bytes().all(is_hex))
    };
    let (version, trace, parent, _flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    let is_zero = |part: &str| part.bytes().all(|byte| byte == b'0');
    let is_known = version != "ff" && !is_zero(trace) && !is_zero(parent) && parts.next().is_none();
    is_known.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> Raw<'_> {
        Raw::parse(json).expect("JSON")
    }

    #[test]
    fn agents_are_printable_words() {
        let check = |json: &str, expected: Option<&str>| {
            assert_eq!(agent(raw(json)).as_deref(), expected, "{json}");
        };
        check(r#"{"name":"claude-code","version":"2.1"}"#, Some("claude-code/2.1"));
        check(r#"{"version":"2.1","name":"x","title":{"a":[]}}"#, Some("x/2.1"));
        check(r#"{"name":"x"}"#, Some("x"));
        check(r#"{"name":"a\n\u202eb\u001b[0m","version":7}"#, Some("ab[0m"));
        check(r#"{"version":"1"}"#, None);
        check(r#"{"name":""}"#, None);
        check("null", None);
        check(r#"["name"]"#, None);
        let long = format!(r#"{{"name":"{}","version":"1"}}"#, "n".repeat(300));
        check(&long, Some(&"n".repeat(128)));
    }

    #[test]
    fn only_well_formed_traces_are_taken() {
        let check = |text: &str, expected: bool| {
            let json = format!("\"{text}\"");
            assert_eq!(traceparent(raw(&json)).is_some(), expected, "{text}");
        };
        check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", true);
        check("00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false);
        check("00-00000000000000000000000000000000-b7ad6b7169203331-01", false);
        check("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", false);
        check("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", false);
        check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x", false);
        check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331", false);
        check("", false);
    }
}
