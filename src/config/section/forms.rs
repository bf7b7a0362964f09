//! Readers of values that have a form of their own: flags, and numbers that may be tables.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::Section;

/// What may stand where a short form is a number.
pub(in crate::config) enum NumberOrTable<'s, T> {
    /// None: out of bounds, and reported.
    Number(Option<T>),
    Table(Section<'s>),
}

impl<'s> Section<'s> {
    /// `true` or `false`.
    pub(in crate::config) fn flag(&mut self, key: &'static str) -> Option<bool> {
        self.keys.note(&self.path, key, "true, false".to_owned());
        let value = self.value(key)?;
        value.raw.as_bool().or_else(|| value.wrong("true or false", "write true or false"))
    }

    /// A number, or a table whose `limit` is that number.
    pub(in crate::config) fn integer_or_table<T>(
        &mut self,
        key: &'static str,
        bounds: RangeInclusive<T>,
    ) -> Option<NumberOrTable<'s, T>>
    where
        T: Copy + Display + PartialOrd + TryFrom<i64>,
    {
        self.keys.note(&self.path, key, format!("{} to {}", bounds.start(), bounds.end()));
        let value = self.value(key)?;
        Some(if value.raw.is_table() {
            NumberOrTable::Table(value.table()?)
        } else {
            NumberOrTable::Number(value.integer(&bounds))
        })
    }
}
