//! JSON with places, strictly (RFC 8259): serde_json reads one level at a time and says where the raw
//! values stand. A value is looked at once for each level above it, of which there are few.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::Problem;
use super::node::{Bounds, Content, Entry, Map, Node};

pub fn parse(text: &str) -> Result<Node, Problem> {
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let raw: &RawValue = serde_json::from_str(body).map_err(|error| {
        let start = text.len() - body.len() + offset(body, error.line(), error.column());
        broken(start..start, &error)
    })?;
    Reader { text, bounds: Bounds::default() }.node(raw, 1)
}

struct Reader<'t> {
    text: &'t str,
    bounds: Bounds,
}

impl<'t> Reader<'t> {
    fn node(&mut self, raw: &'t RawValue, depth: usize) -> Result<Node, Problem> {
        let (at, raw) = (self.place(raw), raw.get());
        self.bounds.take(1, depth, &at)?;
        let content = match raw.bytes().next() {
            Some(b'{') => self.map(raw, &at, depth)?,
            Some(b'[') => {
                let Items(items) = of(raw, &at)?;
                let nodes = items.into_iter().map(|item| self.node(item, depth + 1));
                Content::List(nodes.collect::<Result<_, _>>()?)
            }
            Some(b'"') => Content::Text(of(raw, &at)?),
            Some(b't' | b'f') => Content::Bool(of(raw, &at)?),
            Some(b'n') => Content::Null,
            _ => Content::Number(of(raw, &at)?),
        };
        Ok(Node { content, at })
    }

    fn map(&mut self, raw: &'t str, at: &Range<usize>, depth: usize) -> Result<Content, Problem> {
        let Members(members) = of(raw, at)?;
        let mut map = Map::default();
        for (key, value) in members {
            let key_at = self.place(key);
            let key = of(key.get(), &key_at)?;
            map.insert(Entry { key, key_at, value: self.node(value, depth + 1)? })?;
        }
        Ok(Content::Map(map))
    }

    /// Raw values are slices of the text.
    fn place(&self, raw: &RawValue) -> Range<usize> {
        let start = raw.get().as_ptr().addr().saturating_sub(self.text.as_ptr().addr());
        start..start + raw.get().len()
    }
}

fn of<'t, T: Deserialize<'t>>(raw: &'t str, at: &Range<usize>) -> Result<T, Problem> {
    serde_json::from_str(raw).map_err(|error| broken(at.clone(), &error))
}

fn broken(at: Range<usize>, error: &serde_json::Error) -> Problem {
    Problem::error(at, format!("this is not JSON: {error}"), "mend the syntax")
}

/// The byte of a line and a column, both from 1 and the latter in bytes; of the character that it is of.
fn offset(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    text.floor_char_boundary(before + column.saturating_sub(1))
}

struct Items<'t>(Vec<&'t RawValue>);

impl<'de> Deserialize<'de> for Items<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_seq(Level)
            .map(|members| Self(members.into_iter().map(|(_, value)| value).collect()))
    }
}

struct Members<'t>(Vec<(&'t RawValue, &'t RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Level).map(Self)
    }
}

struct Level;

impl<'de> Visitor<'de> for Level {
    type Value = Vec<(&'de RawValue, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element::<&RawValue>()? {
            items.push((item, item));
        }
        Ok(items)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(members)
    }
}
