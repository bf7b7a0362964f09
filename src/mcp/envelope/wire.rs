//! The members of a message that the protocol knows, found in one pass over its text: every value stays
//! raw until it is known which rules hold for it. What is not known is skipped.

use serde::de::{IgnoredAny, MapAccess};
use serde_json::value::RawValue;

use crate::mcp::json::object::{Key, Members, Object};

/// A message. Values as they came.
#[derive(Debug, Default)]
pub(super) struct Wire<'b> {
    pub jsonrpc: Option<&'b RawValue>,
    pub id: Option<&'b RawValue>,
    pub method: Option<&'b RawValue>,
    pub params: Option<Params<'b>>,
    /// `result` or `error`: the other side's part.
    pub answer: Option<IgnoredAny>,
    twice: Twice,
}

#[derive(Debug, Default)]
pub(super) struct Params<'b> {
    pub meta: Option<Meta<'b>>,
    pub name: Option<&'b RawValue>,
    pub arguments: Option<&'b RawValue>,
    pub cursor: Option<&'b RawValue>,
    pub protocol_version: Option<&'b RawValue>,
    pub client_info: Option<&'b RawValue>,
    pub notifications: Option<&'b RawValue>,
    twice: Twice,
}

#[derive(Debug, Default)]
pub(super) struct Meta<'b> {
    pub protocol_version: Option<&'b RawValue>,
    pub client_capabilities: Option<&'b RawValue>,
    pub client_info: Option<&'b RawValue>,
    pub progress_token: Option<&'b RawValue>,
    pub traceparent: Option<&'b RawValue>,
    twice: Twice,
}

/// `clientInfo`.
#[derive(Debug, Default)]
pub(super) struct Info<'b> {
    pub name: Option<&'b RawValue>,
    pub version: Option<&'b RawValue>,
}

/// What a subscription asks for.
#[derive(Debug, Default)]
pub(super) struct Filter<'b> {
    pub tools: Option<&'b RawValue>,
}

/// Whether a member that is known is there more than once: two readers could take different ones.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Twice {
    #[default]
    Never,
    Found,
}

/// Why a text is no message.
#[derive(Debug)]
pub(super) enum Misread<'b> {
    NotJson,
    Batch,
    NotAnObject,
    /// `params` is no object.
    Params(Option<&'b RawValue>),
    /// `_meta` is no object.
    Meta(Option<&'b RawValue>),
}

pub(super) fn read(text: &str) -> Result<Wire<'_>, Misread<'_>> {
    serde_json::from_str(text).map(|Object(wire)| wire).map_err(|_| why(text))
}

/// A slower look at a text that is no message.
fn why(text: &str) -> Misread<'_> {
    if serde_json::from_str::<IgnoredAny>(text).is_err() {
        return Misread::NotJson;
    }
    match text.trim_start().as_bytes().first() {
        Some(b'[') => return Misread::Batch,
        Some(b'{') => {}
        Some(_) | None => return Misread::NotAnObject,
    }
    match serde_json::from_str(text) {
        Ok(Object(Outline { id, params: Some(params) })) if !params.get().starts_with('{') => {
            Misread::Params(id)
        }
        Ok(Object(Outline { id, .. })) => Misread::Meta(id),
        // A key whose escapes are no text.
        Err(_) => Misread::NotJson,
    }
}

/// A message of which nothing is known but that it is an object.
#[derive(Default)]
struct Outline<'b> {
    id: Option<&'b RawValue>,
    params: Option<&'b RawValue>,
}

impl<'b> Members<'b> for Wire<'b> {
    fn member<A: MapAccess<'b>>(&mut self, key: Key<'b>, map: &mut A) -> Result<(), A::Error> {
        let twice = &mut self.twice;
        match &*key.0 {
            "jsonrpc" => put(&mut self.jsonrpc, map.next_value()?, twice),
            "id" => put(&mut self.id, map.next_value()?, twice),
            "method" => put(&mut self.method, map.next_value()?, twice),
            "params" => {
                let params = map.next_value::<Option<Object<_>>>()?;
                put(
                    &mut self.params,
                    params.map(|Object(params)| params).unwrap_or_default(),
                    twice,
                );
            }
            "result" | "error" => self.answer = Some(map.next_value()?),
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

impl Wire<'_> {
    /// Whether a member that is known is there more than once, here or further in.
    pub fn says_twice(&self) -> bool {
        let params = self.params.as_ref();
        let meta = params.and_then(|params| params.meta.as_ref());
        [Some(self.twice), params.map(|params| params.twice), meta.map(|meta| meta.twice)]
            .contains(&Some(Twice::Found))
    }
}

impl<'b> Members<'b> for Params<'b> {
    fn member<A: MapAccess<'b>>(&mut self, key: Key<'b>, map: &mut A) -> Result<(), A::Error> {
        let twice = &mut self.twice;
        match &*key.0 {
            "_meta" => {
                let Object(meta) = map.next_value()?;
                put(&mut self.meta, meta, twice);
            }
            "name" => put(&mut self.name, map.next_value()?, twice),
            "arguments" => put(&mut self.arguments, map.next_value()?, twice),
            "cursor" => put(&mut self.cursor, map.next_value()?, twice),
            "protocolVersion" => put(&mut self.protocol_version, map.next_value()?, twice),
            "clientInfo" => put(&mut self.client_info, map.next_value()?, twice),
            "notifications" => put(&mut self.notifications, map.next_value()?, twice),
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

impl<'b> Members<'b> for Meta<'b> {
    fn member<A: MapAccess<'b>>(&mut self, key: Key<'b>, map: &mut A) -> Result<(), A::Error> {
        let twice = &mut self.twice;
        let slot = match &*key.0 {
            "io.modelcontextprotocol/protocolVersion" => &mut self.protocol_version,
            "io.modelcontextprotocol/clientCapabilities" => &mut self.client_capabilities,
            "io.modelcontextprotocol/clientInfo" => &mut self.client_info,
            "progressToken" => &mut self.progress_token,
            "traceparent" => &mut self.traceparent,
            _ => {
                map.next_value::<IgnoredAny>()?;
                return Ok(());
            }
        };
        put(slot, map.next_value()?, twice);
        Ok(())
    }
}

impl<'b> Members<'b> for Info<'b> {
    fn member<A: MapAccess<'b>>(&mut self, key: Key<'b>, map: &mut A) -> Result<(), A::Error> {
        match &*key.0 {
            "name" => self.name = Some(map.next_value()?),
            "version" => self.version = Some(map.next_value()?),
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

impl<'b> Members<'b> for Filter<'b> {
    fn member<A: MapAccess<'b>>(&mut self, key: Key<'b>, map: &mut A) -> Result<(), A::Error> {
        match &*key.0 {
            "toolsListChanged" => self.tools = Some(map.next_value()?),
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

impl<'b> Members<'b> for Outline<'b> {
    fn member<A: MapAccess<'b>>(&mut self, key: Key<'b>, map: &mut A) -> Result<(), A::Error> {
        match &*key.0 {
            "id" => self.id = Some(map.next_value()?),
            "params" => self.params = Some(map.next_value()?),
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

fn put<T>(slot: &mut Option<T>, value: T, twice: &mut Twice) {
    if slot.replace(value).is_some() {
        *twice = Twice::Found;
    }
}
