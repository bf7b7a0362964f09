//! The object of arguments, read: each is known, what is required is there, nothing is there twice at any
//! depth, so that whoever reads the body later reads what was checked here.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use crate::mcp::json::plain_word;
use crate::mcp::json::read::Raw;
use crate::model::tool::{Argument, Tool};

use super::{BadArguments, bad, is_required};

/// Arguments with their JSON texts.
#[derive(Debug)]
pub(super) struct Given<'a> {
    tool: &'a Tool,
    values: Vec<(Cow<'a, str>, Raw<'a>)>,
}

/// Longest part of a name that is repeated.
const ECHO_BYTES_MAX: usize = 64;
/// Most names that an error lists.
const LISTED_MAX: usize = 20;
/// Deepest value.
const DEPTH_MAX: u32 = 64;

impl<'a> Given<'a> {
    pub fn read(tool: &'a Tool, arguments: Option<Raw<'a>>) -> Result<Self, BadArguments> {
        let (value, values) = match arguments {
            None => (Value::Object(Map::new()), Vec::new()),
            Some(raw) => (strict(raw)?, raw.members().unwrap_or_default()),
        };
        if !value.is_object() {
            return Err(bad("The arguments must be a JSON object."));
        }
        let given = Self { tool, values };
        for (name, _) in &given.values {
            if position(tool, name).is_none() {
                return Err(unknown(tool, name));
            }
        }
        for argument in tool.arguments.iter().filter(|argument| is_required(argument)) {
            if given.raw(argument).is_none() {
                let name = &argument.name;
                return Err(bad(format!("The argument `{name}` is missing; it is required.")));
            }
        }
        super::check_schema(tool, &value)?;
        Ok(given)
    }

    /// What is there, in order of the tool's arguments. `null` is nothing, but in a body.
    pub fn all(&self) -> impl Iterator<Item = (&'a Argument, Raw<'a>)> {
        self.tool.arguments.iter().filter_map(|argument| Some((argument, self.get(argument)?)))
    }

    pub fn get(&self, argument: &Argument) -> Option<Raw<'a>> {
        self.raw(argument).filter(|raw| !raw.is_null())
    }

    /// The same with `null`.
    pub fn raw(&self, argument: &Argument) -> Option<Raw<'a>> {
        self.values.iter().find(|(name, _)| *name == *argument.name).map(|(_, raw)| *raw)
    }

    pub const fn tool(&self) -> &'a Tool {
        self.tool
    }
}

fn position(tool: &Tool, name: &str) -> Option<usize> {
    tool.arguments.binary_search_by(|argument| (*argument.name).cmp(name)).ok()
}

/// The nearest name, where one is near; else the names that there are.
fn unknown(tool: &Tool, name: &str) -> BadArguments {
    let shown = plain_word(name, ECHO_BYTES_MAX);
    let names = tool.arguments.iter().map(|argument| &*argument.name);
    let near = names
        .clone()
        .map(|known| {
            (strsim::damerau_levenshtein(&shown.to_lowercase(), &known.to_lowercase()), known)
        })
        .filter(|(distance, _)| *distance <= (shown.chars().count() / 3).max(1))
        .min();
    let advice = match near {
        Some((_, near)) => format!("Did you mean `{near}`?"),
        None if tool.arguments.is_empty() => "The tool takes none.".into(),
        None => {
            let more = if tool.arguments.len() > LISTED_MAX { ", …" } else { "" };
            let listed: Vec<&str> = names.take(LISTED_MAX).collect();
            format!("There are {}{more}.", listed.join(", "))
        }
    };
    bad(format!("There is no argument `{shown}`. {advice}"))
}

/// The value, of bounded depth and without a member twice.
fn strict(raw: Raw<'_>) -> Result<Value, BadArguments> {
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    Strict { depth: 0 }.deserialize(&mut deserializer).map_err(|error| {
        // What serde says of the place is of no use to a model.
        let text = error.to_string();
        let text = text.split(" at line ").next().unwrap_or_default();
        bad(format!("The arguments cannot be read: {}.", plain_word(text, 200)))
    })
}

#[derive(Clone, Copy)]
struct Strict {
    depth: u32,
}

impl Strict {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth >= DEPTH_MAX {
            return Err(E::custom(format_args!(
                "a value is nested deeper than {DEPTH_MAX} levels"
            )));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'b> DeserializeSeed<'b> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'b>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'b> Visitor<'b> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'b>>(self, mut seq: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'b>>(self, mut map: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut members = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value_seed(inner)?;
            if members.contains_key(&key) {
                let key = plain_word(&key, ECHO_BYTES_MAX);
                return Err(A::Error::custom(format_args!("`{key}` is there more than once")));
            }
            members.insert(key, value);
        }
        Ok(members.into())
    }
}
