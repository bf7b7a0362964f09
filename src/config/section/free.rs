//! Two forms of value that few keys have: tables whose keys are not the gate's words, and `true` in
//! place of a table.

use std::ops::RangeInclusive;

use toml::de::{DeTable, DeValue};

use super::{Section, Text, Value};
use crate::config::source::Place;

/// A table, or `true` and `false` for one of defaults and none.
pub(in crate::config) enum Switch<'s> {
    Off,
    On(Section<'s>),
}

impl<'s> Section<'s> {
    /// A table of texts under any keys, which are known with that.
    pub(in crate::config) fn pairs(
        &mut self,
        key: &'static str,
        count: RangeInclusive<usize>,
    ) -> Vec<(Text<'s>, Text<'s>)> {
        let (least, most) = (count.start(), count.end());
        self.keys.note(&self.path, key, format!("{least} to {most} entries"));
        let Some(section) = self.value(key).and_then(|value| value.table()) else {
            return Vec::new();
        };
        let entries = section.table.into_iter().flat_map(DeTable::iter);
        let entries: Vec<_> = entries.collect();
        if !count.contains(&entries.len()) {
            let message = format!("\"{}\" must have {least} to {most} entries", section.path);
            let fix = format!("it has {}: take some out", entries.len());
            self.problems.error(section.at, message, fix);
        }
        let pair = |(key, value): (&'s toml::Spanned<_>, &'s toml::Spanned<DeValue<'s>>)| {
            let key: &'s toml::Spanned<std::borrow::Cow<'s, str>> = key;
            let place = |span| Place::new(section.at.file, span);
            let name = Text { text: key.get_ref().as_ref(), at: place(key.span()) };
            let value = Value {
                at: place(value.span()),
                problems: section.problems,
                keys: section.keys,
                path: format!("{}.{}", section.path, name.text),
                raw: value.get_ref(),
            };
            Some((name, value.text()?))
        };
        entries.into_iter().filter_map(pair).collect()
    }

    /// None: the key is not there, or wrong.
    pub(in crate::config) fn switch(&mut self, key: &'static str) -> Option<Switch<'s>> {
        self.keys.note(&self.path, key, "true, or a table".to_owned());
        let value = self.value(key)?;
        match value.raw {
            DeValue::Boolean(false) => Some(Switch::Off),
            DeValue::Boolean(true) => {
                let section = Self::absent(value.problems, value.keys, &value.path);
                Some(Switch::On(Self { at: value.at, ..section }))
            }
            DeValue::Table(_) => value.table().map(Switch::On),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => value.wrong("true or a table", "write true, or { … }"),
        }
    }

    /// A table that is not there, for its keys to be known all the same.
    pub(in crate::config) fn absent_table(&self, key: &str) -> Self {
        Self::absent(self.problems, self.keys, &self.path_of(key))
    }

    /// One of two, written as `true` and `false`.
    pub(in crate::config) fn either<T>(
        &mut self,
        key: &'static str,
        [when_true, when_false]: [T; 2],
    ) -> Option<T> {
        self.keys.note(&self.path, key, "true, false".to_owned());
        let value = self.value(key)?;
        match value.raw {
            DeValue::Boolean(true) => Some(when_true),
            DeValue::Boolean(false) => Some(when_false),
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_)
            | DeValue::Table(_) => value.wrong("true or false", "write true or false"),
        }
    }
}
