//! Typed readers over one table of a config file. A reader reports a wrong type or a value out of
//! bounds at its place and goes on; a key that no reader asked for is unknown. So no key can be
//! accepted and then ignored.

use std::fmt::Display;
use std::ops::RangeInclusive;

use toml::de::{DeTable, DeValue};

mod forms;

pub(super) use forms::NumberOrTable;

use super::diagnostic::Problems;
use super::keys::Keys;
use super::source::Place;
use super::suggest;
use super::unit::{self, Quantity, Shown};
use crate::model::id::Name;

mod free;
pub(super) use free::Switch;

/// One table of a file, or a table that is not there and whose keys all have their defaults.
pub(super) struct Section<'s> {
    pub(super) problems: &'s Problems<'s>,
    /// Its header; an inline table whole.
    pub(super) at: Place,
    keys: &'s Keys,
    /// As the reference writes it: `upstream.timeouts`; empty for a file's top.
    path: String,
    table: Option<&'s DeTable<'s>>,
    asked: Vec<&'static str>,
}

/// A value and its key, before its type is known.
#[derive(Clone)]
pub(super) struct Value<'s> {
    pub(super) at: Place,
    pub(super) problems: &'s Problems<'s>,
    keys: &'s Keys,
    path: String,
    raw: &'s DeValue<'s>,
}

/// What may stand where a short form exists.
pub(super) enum TextOrTable<'s> {
    Text(Text<'s>),
    Table(Section<'s>),
}

/// A string and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Text<'s> {
    pub(super) text: &'s str,
    pub(super) at: Place,
}

/// A checked name and where it stands.
pub(super) struct Named<'s, Kind> {
    pub(super) name: Name<Kind>,
    pub(super) text: Text<'s>,
}

impl<'s> Section<'s> {
    /// The top of a file.
    pub(super) fn top(
        problems: &'s Problems<'s>,
        keys: &'s Keys,
        file: usize,
        table: &'s DeTable<'s>,
    ) -> Self {
        let (at, path) = (Place::new(file, 0..0), String::new());
        Self { problems, at, keys, path, table: Some(table), asked: Vec::new() }
    }

    /// A table that no file has.
    pub(super) fn absent(problems: &'s Problems<'s>, keys: &'s Keys, path: &str) -> Self {
        let (at, path) = (Place::new(0, 0..0), path.to_owned());
        Self { problems, at, keys, path, table: None, asked: Vec::new() }
    }

    /// The value of a key, which is known from now on.
    pub(super) fn value(&mut self, key: &'static str) -> Option<Value<'s>> {
        self.asked.push(key);
        let (problems, keys, path) = (self.problems, self.keys, self.path_of(key));
        let value = self.table?.get(key)?;
        let at = Place::new(self.at.file, value.span());
        Some(Value { at, problems, keys, path, raw: value.get_ref() })
    }

    /// Where a key's value stands, if it does.
    pub(super) fn place(&self, key: &str) -> Option<Place> {
        Some(Place::new(self.at.file, self.table?.get(key)?.span()))
    }

    /// Whether some file has the section.
    pub(super) fn is_there(&self) -> bool {
        self.table.is_some()
    }

    /// Whether the section is there without this key.
    pub(super) fn lacks(&self, key: &'static str) -> bool {
        self.table.is_some_and(|table| !table.contains_key(key))
    }

    /// Reports a key that has no default and is not there.
    pub(super) fn need(&self, key: &'static str, example: &str) {
        if self.lacks(key) {
            let message = format!("\"{}\" is missing", self.path_of(key));
            self.problems.error(self.at, message, format!("add {example}"));
        }
    }

    pub(super) fn text(&mut self, key: &'static str) -> Option<Text<'s>> {
        self.keys.note(&self.path, key, String::new());
        self.value(key)?.text()
    }

    /// The section's own name, which it must have.
    pub(super) fn name<Kind>(&mut self, key: &'static str) -> Option<Named<'s, Kind>> {
        self.need(key, &format!("{key} = \"…\""));
        self.text(key)?.name(self.problems)
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        choices: &[(&str, T)],
    ) -> Option<T> {
        let words = choices.iter().map(|(word, _)| *word);
        self.keys.note(&self.path, key, words.clone().collect::<Vec<_>>().join(", "));
        self.value(key)?.choice(choices)
    }

    pub(super) fn quantity<Q: Quantity>(
        &mut self,
        key: &'static str,
        bounds: RangeInclusive<Q>,
    ) -> Option<Q> {
        let shown = format!("{} to {}", Shown(*bounds.start()), Shown(*bounds.end()));
        self.keys.note(&self.path, key, shown);
        self.value(key)?.quantity(&bounds)
    }

    pub(super) fn integer<T>(&mut self, key: &'static str, bounds: RangeInclusive<T>) -> Option<T>
    where
        T: Copy + Display + PartialOrd + TryFrom<i64>,
    {
        self.keys.note(&self.path, key, format!("{} to {}", bounds.start(), bounds.end()));
        self.value(key)?.integer(&bounds)
    }

    pub(super) fn list(
        &mut self,
        key: &'static str,
        count: RangeInclusive<usize>,
    ) -> Option<Vec<Value<'s>>> {
        self.keys.note(&self.path, key, format!("{} to {} entries", count.start(), count.end()));
        self.value(key)?.list(&count)
    }

    /// A list of strings; what is no string is reported and left out.
    pub(super) fn texts(
        &mut self,
        key: &'static str,
        count: RangeInclusive<usize>,
    ) -> Option<Vec<Text<'s>>> {
        let list = self.list(key, count)?;
        Some(list.iter().filter_map(Value::text).collect())
    }

    /// A table that may be left out.
    pub(super) fn table(&mut self, key: &'static str) -> Self {
        let table = self.value(key).and_then(|value| value.table());
        table.unwrap_or_else(|| Self::absent(self.problems, self.keys, &self.path_of(key)))
    }

    /// Every `[[key]]`.
    pub(super) fn tables(&mut self, key: &'static str) -> Vec<Self> {
        let Some(value) = self.value(key) else { return Vec::new() };
        value.array_of_tables()
    }

    /// Reports every key that was not asked for.
    pub(super) fn finish(self) {
        for key in self.table.into_iter().flat_map(DeTable::keys) {
            let name = key.get_ref().as_ref();
            if !self.asked.contains(&name) {
                let at = Place::new(self.at.file, key.span());
                let message = match self.path.as_str() {
                    "" => format!("unknown key \"{name}\""),
                    path => format!("unknown key \"{name}\" in \"{path}\""),
                };
                let fix = suggest::fix(name, self.asked.iter().copied());
                self.problems.error(at, message, fix);
            }
        }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

impl<'s> Value<'s> {
    pub(super) fn text(&self) -> Option<Text<'s>> {
        match self.raw {
            DeValue::String(text) => Some(Text { text, at: self.at }),
            DeValue::Array(_) | DeValue::Table(_) => self.wrong("a string", "write \"…\""),
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => {
                self.wrong("a string", &format!("write \"{}\"", self.problems.text(self.at)))
            }
        }
    }

    /// A table written in braces or under a header of its own.
    pub(super) fn table(&self) -> Option<Section<'s>> {
        let DeValue::Table(table) = self.raw else {
            return self.wrong("a table", &format!("write [{}] or {{ … }}", self.path));
        };
        Some(self.section(self.at, table))
    }

    pub(super) fn text_or_table(&self, example: &str) -> Option<TextOrTable<'s>> {
        match self.raw {
            DeValue::String(_) => self.text().map(TextOrTable::Text),
            DeValue::Table(_) => self.table().map(TextOrTable::Table),
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => self.wrong("a string or a table", &format!("write {example}")),
        }
    }

    /// What the value stands for among a few words.
    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let words = choices.iter().map(|(word, _)| *word);
        let DeValue::String(text) = self.raw else {
            return self.wrong("a string", &suggest::fix("", words));
        };
        let known = choices.iter().find(|(word, _)| word == text);
        if known.is_none() {
            let message = format!("\"{text}\" is not a value of \"{}\"", self.path);
            self.problems.error(self.at, message, suggest::fix(text, words));
        }
        known.map(|(_, choice)| *choice)
    }

    fn quantity<Q: Quantity>(&self, bounds: &RangeInclusive<Q>) -> Option<Q> {
        let Some(quantity) = self.raw.as_str().and_then(unit::parse::<Q>) else {
            let written = self.raw.as_str().unwrap_or_else(|| self.problems.text(self.at));
            let expected = format!("{} with a unit", Q::NOUN);
            return self.wrong(&expected, &unit::correction::<Q>(written));
        };
        let quoted = |bound: &Q| format!("\"{}\"", Shown(*bound));
        let (least, most) = (quoted(bounds.start()), quoted(bounds.end()));
        if quantity < *bounds.start() {
            return self.out_of_bounds(&least, &most, &format!("{least} or more"));
        }
        if quantity > *bounds.end() {
            return self.out_of_bounds(&least, &most, &format!("{most} or less"));
        }
        Some(quantity)
    }

    fn integer<T>(&self, bounds: &RangeInclusive<T>) -> Option<T>
    where
        T: Copy + Display + PartialOrd + TryFrom<i64>,
    {
        let DeValue::Integer(digits) = self.raw else {
            let fix = match self.raw.as_str().filter(|text| text.parse::<i64>().is_ok()) {
                Some(digits) => format!("write {digits}"),
                None => format!("write a number such as {}", bounds.start()),
            };
            return self.wrong("a whole number", &fix);
        };
        let (least, most) = (bounds.start(), bounds.end());
        let number = i64::from_str_radix(digits.as_str(), digits.radix()).ok();
        let number = number.and_then(|number| T::try_from(number).ok());
        if let Some(number) = number.filter(|number| bounds.contains(number)) {
            return Some(number);
        }
        // No bound is negative; what does not fit the type and is not negative is too large.
        let is_negative = digits.as_str().starts_with('-');
        if is_negative || number.is_some_and(|number| number < *least) {
            return self.out_of_bounds(least, most, &format!("{least} or more"));
        }
        self.out_of_bounds(least, most, &format!("{most} or less"))
    }

    fn list(&self, count: &RangeInclusive<usize>) -> Option<Vec<Self>> {
        let DeValue::Array(array) = self.raw else {
            let written = if self.raw.is_table() { "…" } else { self.problems.text(self.at) };
            return self.wrong("a list", &format!("write [{written}]"));
        };
        let entry = |value: &'s toml::Spanned<DeValue<'s>>| {
            let at = Place::new(self.at.file, value.span());
            Self { at, raw: value.get_ref(), ..self.clone() }
        };
        if count.contains(&array.len()) {
            return Some(array.iter().map(entry).collect());
        }
        let (least, most) = (count.start(), count.end());
        let message = format!("\"{}\" must have {least} to {most} entries", self.path);
        let fix = match array.len() {
            0 => "add an entry, or leave the key out if it has a default".to_owned(),
            len => format!("it has {len}: take some out"),
        };
        self.problems.error(self.at, message, fix);
        None
    }

    fn array_of_tables(&self) -> Vec<Section<'s>> {
        let path = &self.path;
        let tables =
            if let DeValue::Array(array) = self.raw { array.iter().collect() } else { Vec::new() };
        let section = |value: &'s toml::Spanned<DeValue<'s>>| {
            let at = Place::new(self.at.file, value.span());
            Some(self.section(at, value.get_ref().as_table()?))
        };
        let sections: Vec<_> = tables.iter().copied().filter_map(section).collect();
        if sections.len() < tables.len() || !self.raw.is_array() {
            let message = format!("\"{path}\" must be an array of tables");
            self.problems.error(self.at, message, format!("begin each with [[{path}]]"));
        }
        sections
    }

    fn section(&self, at: Place, table: &'s DeTable<'s>) -> Section<'s> {
        let (problems, keys, path) = (self.problems, self.keys, self.path.clone());
        Section { problems, at, keys, path, table: Some(table), asked: Vec::new() }
    }

    fn out_of_bounds<T>(&self, least: &dyn Display, most: &dyn Display, fix: &str) -> Option<T> {
        let message = format!("\"{}\" must be {least} to {most}", self.path);
        self.problems.error(self.at, message, format!("write {fix}"));
        None
    }

    fn wrong<T>(&self, expected: &str, fix: &str) -> Option<T> {
        let found = match (self.raw, self.raw.type_str()) {
            (DeValue::String(text), _) => format!("\"{text}\""),
            (_, kind @ ("integer" | "array")) => format!("an {kind}"),
            (_, kind) => format!("a {kind}"),
        };
        let message = format!("\"{}\" must be {expected}, not {found}", self.path);
        self.problems.error(self.at, message, fix);
        None
    }
}

impl<'s> Text<'s> {
    /// The text as a name of something.
    pub(super) fn name<Kind>(self, problems: &Problems<'_>) -> Option<Named<'s, Kind>> {
        match Name::parse(self.text) {
            Ok(name) => Some(Named { name, text: self }),
            Err(error) => {
                let message = format!("the name \"{}\" {error}", self.text);
                problems.error(self.at, message, name_fix(self.text));
                None
            }
        }
    }
}

/// A name like the one that was meant.
fn name_fix(text: &str) -> String {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    let name = text.to_ascii_lowercase().replace(|c| !good(c), "-");
    match Name::<()>::parse(name.trim_start_matches(['-', '_', '.'])) {
        Ok(name) if text.is_ascii() => format!("write \"{name}\""),
        _ => "write 1 to 64 of a-z, 0-9, '-', '_' and '.'".to_owned(),
    }
}
