//! A JSON text, read value by value and as far in as someone asks: values stay texts until it is known which
//! rules hold for them. No bound on depth, since nothing is held of what is inside.

use std::borrow::Cow;

use super::scan::Scan;

/// The text of a value, of which only the form is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Raw<'t> {
    text: &'t str,
    has_escapes: bool,
}

impl<'t> Raw<'t> {
    /// None where the text is not one value.
    pub fn parse(text: &'t str) -> Option<Self> {
        let mut reader = Reader::new(text);
        let value = reader.value()?;
        reader.end()?;
        Some(value)
    }

    /// As it was written, without blanks around it.
    pub const fn get(self) -> &'t str {
        self.text
    }

    pub fn is_object(self) -> bool {
        self.text.starts_with('{')
    }

    pub fn is_null(self) -> bool {
        self.text == "null"
    }

    /// What a string holds. None of what is no string, or holds half of a character.
    pub fn text(self) -> Option<Cow<'t, str>> {
        let inner = self.text.strip_prefix('"')?.strip_suffix('"')?;
        if !self.has_escapes {
            return Some(Cow::Borrowed(inner));
        }
        serde_json::from_str(self.text).ok().map(Cow::Owned)
    }

    /// The members of an object, in order. None of what is no object, or has a key that holds half of a character.
    pub fn members(self) -> Option<Vec<(Cow<'t, str>, Self)>> {
        let mut members = Vec::with_capacity(4);
        self.each_member(|key, value| members.push((key, value)))?;
        Some(members)
    }

    /// The same, one by one.
    pub fn each_member(self, mut member: impl FnMut(Cow<'t, str>, Self)) -> Option<()> {
        Reader::new(self.text).object(|reader, key| {
            member(key, reader.value()?);
            Some(())
        })
    }

    /// The values of an array. None of what is none.
    pub fn items(self) -> Option<Vec<Self>> {
        let mut items = Vec::new();
        Reader::new(self.text).array(|reader| {
            items.push(reader.value()?);
            Some(())
        })?;
        Some(items)
    }
}

/// Where a text has been read to. What is None here is: the text is not what was asked for, or no JSON.
pub(in crate::mcp) struct Reader<'t> {
    text: &'t str,
    scan: Scan<'t, ()>,
}

impl<'t> Reader<'t> {
    pub const fn new(text: &'t str) -> Self {
        Self { text, scan: Scan::new(text, (), u32::MAX) }
    }

    /// The first byte of what comes next, which stays to be read.
    pub fn peek(&mut self) -> Option<u8> {
        let byte = self.scan.token();
        self.scan.at -= usize::from(byte.is_some());
        byte
    }

    /// The next value, whatever it is.
    pub fn value(&mut self) -> Option<Raw<'t>> {
        self.peek()?;
        let start = self.scan.at;
        self.scan.has_escapes = false;
        self.scan.value()?;
        let text = self.text.get(start..self.scan.at)?;
        Some(Raw { text, has_escapes: self.scan.has_escapes })
    }

    /// The next value, an object: `member` is told each key, and reads its value.
    pub fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, Cow<'t, str>) -> Option<()>,
    ) -> Option<()> {
        self.series(*b"{}", |reader| {
            let key = reader.key()?;
            member(reader, key)
        })
    }

    /// The next value, an array: `item` reads each.
    fn array(&mut self, item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.series(*b"[]", item)
    }

    fn series(
        &mut self,
        [begin, end]: [u8; 2],
        mut each: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        if self.scan.token()? != begin {
            return None;
        }
        if self.peek()? == end {
            self.scan.at += 1;
            return Some(());
        }
        loop {
            each(self)?;
            match self.scan.token()? {
                b',' => {}
                byte => return (byte == end).then_some(()),
            }
        }
    }

    fn key(&mut self) -> Option<Cow<'t, str>> {
        if self.scan.token()? != b'"' {
            return None;
        }
        let start = self.scan.at;
        self.scan.has_escapes = false;
        self.scan.string()?;
        let key = if self.scan.has_escapes {
            let text = self.text.get(start - 1..self.scan.at)?;
            Cow::Owned(serde_json::from_str(text).ok()?)
        } else {
            Cow::Borrowed(self.text.get(start..self.scan.at - 1)?)
        };
        (self.scan.token()? == b':').then_some(key)
    }

    /// Nothing comes any more.
    pub fn end(mut self) -> Option<()> {
        self.scan.rest()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;
    use serde_json::Value;

    use super::*;

    #[test]
    fn members_and_items_are_texts() {
        let check = |text: &str, expected: Option<&[(&str, &str)]>| {
            let members = Raw::parse(text).and_then(Raw::members);
            let members: Option<Vec<_>> = members
                .as_ref()
                .map(|members| members.iter().map(|(key, value)| (&**key, value.get())).collect());
            assert_eq!(members.as_deref(), expected, "{text}");
        };
        check("{}", Some(&[]));
        check(" { } ", Some(&[]));
        check(r#" {"a" : [1, 2] ,"\u0062": "}" } "#, Some(&[("a", "[1, 2]"), ("b", "\"}\"")]));
        check(r#"{"a":1,"a":2}"#, Some(&[("a", "1"), ("a", "2")]));
        check(r#"{"\ud800":1}"#, None);
        for none in ["[]", "1", "{", r#"{"a":1,}"#, r#"{"a" 1}"#, "{a:1}", r#"{"a":1} {}"#, ""] {
            check(none, None);
        }
        let items = Raw::parse("[ 1 ,[2], {}]").and_then(Raw::items).expect("an array");
        assert_eq!(items.into_iter().map(Raw::get).collect::<Vec<_>>(), ["1", "[2]", "{}"]);
        assert_eq!(Raw::parse("{}").and_then(Raw::items), None);
        assert_eq!(Raw::parse("[1,]"), None);
    }

    #[test]
    fn depth_is_no_matter() {
        for deep in [1, 127, 128, 129, 255, 256, 257, 100_000] {
            let text = format!("{}{}", "[{\"a\":".repeat(deep), "}]".repeat(deep));
            assert_eq!(Raw::parse(&text), None, "{deep}");
            let text = format!("{}1{}", "[{\"a\":".repeat(deep), "}]".repeat(deep));
            assert_eq!(Raw::parse(&text).map(Raw::get), Some(&*text), "{deep}");
            let crossed = text.strip_suffix("}]").expect("its end");
            assert_eq!(Raw::parse(&format!("{crossed}]}}")), None, "{deep}");
        }
    }

    fn some_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::hash_map(any::<String>(), inner, 0..6)
                    .prop_map(|members| members.into_iter().collect()),
            ]
        })
    }

    proptest! {
        /// Whatever is cut out or put in: it is JSON here where it is for serde.
        #[test]
        fn it_takes_what_serde_takes(value in some_json(), at in any::<prop::sample::Index>(), with in "[ -~\\n]{0,2}", cut in 0..3_usize) {
            let mut text = serde_json::to_string_pretty(&value).expect("valid");
            prop_assert_eq!(Raw::parse(&text).map(Raw::get), Some(&*text));
            let start = text.floor_char_boundary(at.index(text.len()));
            let end = text.ceil_char_boundary((start + cut).min(text.len()));
            text.replace_range(start..end, &with);
            prop_assert_eq!(Raw::parse(&text).is_some(), serde_json::from_str::<IgnoredAny>(&text).is_ok());
        }

        #[test]
        fn texts_are_serdes(text in any::<String>()) {
            let json = serde_json::to_string(&text).expect("valid");
            prop_assert_eq!(Raw::parse(&json).and_then(Raw::text).expect("a string"), text);
        }
    }
}
