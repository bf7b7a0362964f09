//! The members of a message that the protocol knows, found in one pass over its text: every value stays
//! raw until it is known which rules hold for it. What is not known is skipped.

use std::mem;

use crate::mcp::json::read::{Raw, Reader};

/// A message. Values as they came.
#[derive(Debug, Default)]
pub(super) struct Wire<'b> {
    pub jsonrpc: Option<Raw<'b>>,
    pub id: Option<Raw<'b>>,
    pub method: Option<Raw<'b>>,
    pub params: Params<'b>,
    /// `result` or `error`: the other side's part.
    pub answer: Option<Raw<'b>>,
    /// Whether a member that is known is there more than once, here or further in: two readers could take different
    /// ones.
    pub twice: bool,
}

#[derive(Debug, Default)]
pub(super) struct Params<'b> {
    pub meta: Option<Meta<'b>>,
    pub name: Option<Raw<'b>>,
    pub arguments: Option<Raw<'b>>,
    pub cursor: Option<Raw<'b>>,
    pub protocol_version: Option<Raw<'b>>,
    pub client_info: Option<Raw<'b>>,
    pub notifications: Option<Raw<'b>>,
}

#[derive(Debug, Default)]
pub(super) struct Meta<'b> {
    pub protocol_version: Option<Raw<'b>>,
    pub client_capabilities: Option<Raw<'b>>,
    pub client_info: Option<Raw<'b>>,
    pub progress_token: Option<Raw<'b>>,
    pub traceparent: Option<Raw<'b>>,
}

/// Why a text is no message.
#[derive(Debug)]
pub(super) enum Misread<'b> {
    NotJson,
    Batch,
    NotAnObject,
    /// `params` is no object.
    Params(Option<Raw<'b>>),
    /// `_meta` is no object.
    Meta(Option<Raw<'b>>),
}

pub(super) fn read(text: &str) -> Result<Wire<'_>, Misread<'_>> {
    let mut reading = Reading::default();
    let first = reading.message(text).ok_or(Misread::NotJson)?;
    let Reading { wire, wrong, .. } = reading;
    match (first, wrong) {
        (b'{', None) => Ok(wire),
        (b'{', Some(Wrong::Meta)) => Err(Misread::Meta(wire.id)),
        (b'{', Some(Wrong::Params)) => Err(Misread::Params(wire.id)),
        (b'[', _) => Err(Misread::Batch),
        (_, _) => Err(Misread::NotAnObject),
    }
}

/// A message as far as it has been read. Whatever is wrong with it, it is read to its end: that it is no JSON
/// would be worse.
#[derive(Default)]
struct Reading<'b> {
    wire: Wire<'b>,
    has_params: bool,
    wrong: Option<Wrong>,
}

/// What is no object. The last one counts most.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Wrong {
    Meta,
    Params,
}

impl<'b> Reading<'b> {
    /// The byte that the value begins with. None: no JSON.
    fn message(&mut self, text: &'b str) -> Option<u8> {
        let mut reader = Reader::new(text);
        let first = reader.peek()?;
        if first == b'{' {
            reader.object(|reader, key| self.member(reader, &key))?;
        } else {
            reader.value()?;
        }
        reader.end()?;
        Some(first)
    }

    fn member(&mut self, reader: &mut Reader<'b>, key: &str) -> Option<()> {
        let wire = &mut self.wire;
        let slot = match key {
            "jsonrpc" => &mut wire.jsonrpc,
            "id" => &mut wire.id,
            "method" => &mut wire.method,
            "params" => return self.params(reader),
            "result" | "error" => {
                wire.answer = Some(reader.value()?);
                return Some(());
            }
            _ => return reader.value().map(drop),
        };
        wire.twice |= slot.replace(reader.value()?).is_some();
        Some(())
    }

    fn params(&mut self, reader: &mut Reader<'b>) -> Option<()> {
        self.wire.twice |= mem::replace(&mut self.has_params, true);
        if reader.peek()? == b'{' {
            return reader.object(|reader, key| self.param(reader, &key));
        }
        // Null is none.
        if !reader.value()?.is_null() {
            self.wrong = Some(Wrong::Params);
        }
        Some(())
    }

    fn param(&mut self, reader: &mut Reader<'b>, key: &str) -> Option<()> {
        let params = &mut self.wire.params;
        let slot = match key {
            "_meta" => return self.meta(reader),
            "name" => &mut params.name,
            "arguments" => &mut params.arguments,
            "cursor" => &mut params.cursor,
            "protocolVersion" => &mut params.protocol_version,
            "clientInfo" => &mut params.client_info,
            "notifications" => &mut params.notifications,
            _ => return reader.value().map(drop),
        };
        self.wire.twice |= slot.replace(reader.value()?).is_some();
        Some(())
    }

    fn meta(&mut self, reader: &mut Reader<'b>) -> Option<()> {
        self.wire.twice |= self.wire.params.meta.replace(Meta::default()).is_some();
        if reader.peek()? == b'{' {
            return reader.object(|reader, key| self.meta_member(reader, &key));
        }
        reader.value()?;
        self.wrong = self.wrong.max(Some(Wrong::Meta));
        Some(())
    }

    fn meta_member(&mut self, reader: &mut Reader<'b>, key: &str) -> Option<()> {
        let meta = self.wire.params.meta.as_mut()?;
        let slot = match key {
            "io.modelcontextprotocol/protocolVersion" => &mut meta.protocol_version,
            "io.modelcontextprotocol/clientCapabilities" => &mut meta.client_capabilities,
            "io.modelcontextprotocol/clientInfo" => &mut meta.client_info,
            "progressToken" => &mut meta.progress_token,
            "traceparent" => &mut meta.traceparent,
            _ => return reader.value().map(drop),
        };
        self.wire.twice |= slot.replace(reader.value()?).is_some();
        Some(())
    }
}
