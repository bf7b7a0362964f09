//! JSON objects of which some members are known: read in one pass, values raw or of their own type,
//! without the code that a derive would make a promise of.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

/// One object, where a raw value is one that `T` can be filled from.
pub(in crate::mcp) fn read_part<'b, T: Members<'b>>(raw: &'b RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok().map(|Object(part)| part)
}

/// The members of an object, in order; none of what is no object.
pub(in crate::mcp) fn values(raw: &RawValue) -> Vec<(Cow<'_, str>, &RawValue)> {
    read_part(raw).map(|Values(values)| values).unwrap_or_default()
}

#[derive(Default)]
struct Values<'b>(Vec<(Cow<'b, str>, &'b RawValue)>);

/// A type that an object's members fill.
pub(in crate::mcp) trait Members<'b>: Default {
    /// Takes the value of one member, whether it knows it or not.
    fn member<A: MapAccess<'b>>(&mut self, key: Key<'b>, map: &mut A) -> Result<(), A::Error>;
}

impl<'b> Members<'b> for Values<'b> {
    fn member<A: MapAccess<'b>>(&mut self, key: Key<'b>, map: &mut A) -> Result<(), A::Error> {
        self.0.push((key.0, map.next_value()?));
        Ok(())
    }
}

/// A JSON object, and nothing else.
pub(in crate::mcp) struct Object<T>(pub T);

impl<'b, T: Members<'b>> Deserialize<'b> for Object<T> {
    fn deserialize<D: Deserializer<'b>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'b, T: Members<'b>> Visitor<'b> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'b>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = T::default();
        while let Some(key) = map.next_key()? {
            members.member(key, &mut map)?;
        }
        Ok(Object(members))
    }
}

/// A key, borrowed where it has no escapes.
pub(in crate::mcp) struct Key<'b>(pub Cow<'b, str>);

impl<'b> Deserialize<'b> for Key<'b> {
    fn deserialize<D: Deserializer<'b>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(KeyVisitor)
    }
}

struct KeyVisitor;

impl<'b> Visitor<'b> for KeyVisitor {
    type Value = Key<'b>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E: Error>(self, key: &'b str) -> Result<Self::Value, E> {
        Ok(Key(Cow::Borrowed(key)))
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(Key(Cow::Owned(key.to_owned())))
    }
}
