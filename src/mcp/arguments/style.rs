//! Values as texts of a query, a field or a segment (OpenAPI 3.1, 4.8.12). Everything but unreserved
//! characters is percent-encoded in a query, so that what separates is never part of a value.

use std::borrow::Cow;

use crate::mcp::json::read::Raw;
use crate::model::tool::{Argument, Style};

use super::{BadArguments, bad};

/// A string, a number or a boolean, as text.
pub(super) fn scalar<'a>(argument: &Argument, raw: Raw<'a>) -> Result<Cow<'a, str>, BadArguments> {
    if let Some(text) = raw.text() {
        return Ok(text);
    }
    let text = raw.get();
    if text.starts_with(['{', '[', '"', 'n']) {
        let name = &argument.name;
        return Err(bad(format!(
            "The argument `{name}` takes strings, numbers and booleans only, not {}.",
            match text.as_bytes().first() {
                Some(b'{') => "objects inside",
                Some(b'[') => "arrays inside",
                Some(_) | None => "null",
            }
        )));
    }
    Ok(Cow::Borrowed(text))
}

/// A value that is a scalar, or scalars.
enum Shape<'a> {
    One(Cow<'a, str>),
    Many(Vec<Cow<'a, str>>),
    Named(Vec<(Cow<'a, str>, Cow<'a, str>)>),
}

impl Shape<'_> {
    /// The texts that stand beside others.
    fn parts(&self) -> impl Iterator<Item = &str> {
        let (many, named) = match self {
            Self::One(_) => (&[][..], &[][..]),
            Self::Many(many) => (&many[..], &[][..]),
            Self::Named(named) => (&[][..], &named[..]),
        };
        let named = named.iter().flat_map(|(key, text)| [&**key, &**text]);
        many.iter().map(|text| &**text).chain(named)
    }
}

fn shape<'a>(argument: &Argument, raw: Raw<'a>) -> Result<Shape<'a>, BadArguments> {
    if raw.is_object() {
        let named = raw
            .members()
            .unwrap_or_default()
            .into_iter()
            .map(|(name, raw)| Ok((name, scalar(argument, raw)?)));
        return Ok(Shape::Named(named.collect::<Result<_, _>>()?));
    }
    if raw.get().starts_with('[') {
        let many = raw.items().ok_or_else(|| bad("The arguments cannot be read."))?;
        let many = many.into_iter().map(|raw| scalar(argument, raw));
        return Ok(Shape::Many(many.collect::<Result<_, _>>()?));
    }
    Ok(Shape::One(scalar(argument, raw)?))
}

/// The query of a target, written at its end.
pub(super) struct Query<'t> {
    target: &'t mut String,
    before: Option<char>,
}

impl<'t> Query<'t> {
    pub const fn new(target: &'t mut String) -> Self {
        Self { target, before: Some('?') }
    }

    /// The same as a form's body.
    pub const fn form(body: &'t mut String) -> Self {
        Self { target: body, before: None }
    }

    pub fn push(
        &mut self,
        argument: &Argument,
        name: &str,
        style: Style,
        raw: Raw<'_>,
    ) -> Result<(), BadArguments> {
        if style == Style::Json {
            self.pair(name, &[raw.get()], "");
            return Ok(());
        }
        match (shape(argument, raw)?, style) {
            (Shape::One(text), _) => self.pair(name, &[&text], ""),
            // An empty list has no text that is not also another's.
            (Shape::Many(many), Style::FormExploded | Style::DeepObject) => {
                for text in many {
                    self.pair(name, &[&text], "");
                }
            }
            (Shape::Many(many), _) if many.is_empty() => {}
            (Shape::Many(many), style) => self.pair(name, &many, separator(style)),
            (Shape::Named(named), Style::FormExploded | Style::SimpleExploded) => {
                for (key, text) in named {
                    self.pair(&key, &[&text], "");
                }
            }
            (Shape::Named(named), Style::DeepObject) => {
                for (key, text) in named {
                    self.pair(&format!("{name}[{key}]"), &[&text], "");
                }
            }
            (Shape::Named(named), _) if named.is_empty() => {}
            (Shape::Named(named), style) => {
                let flat: Vec<_> = named.into_iter().flat_map(|(key, text)| [key, text]).collect();
                self.pair(name, &flat, separator(style));
            }
        }
        Ok(())
    }

    /// Each member as a parameter.
    pub fn push_any(&mut self, argument: &Argument, raw: Raw<'_>) -> Result<(), BadArguments> {
        match shape(argument, raw)? {
            Shape::Named(named) => {
                for (key, text) in named {
                    self.pair(&key, &[&text], "");
                }
                Ok(())
            }
            Shape::One(_) | Shape::Many(_) => {
                Err(bad(format!("The argument `{}` must be an object.", argument.name)))
            }
        }
    }

    fn pair(&mut self, name: &str, values: &[impl AsRef<str>], separator: &str) {
        self.target.extend(self.before);
        self.before = Some('&');
        push_encoded(self.target, name);
        self.target.push('=');
        for (at, value) in values.iter().enumerate() {
            if at > 0 {
                self.target.push_str(separator);
            }
            push_encoded(self.target, value.as_ref());
        }
    }
}

const fn separator(style: Style) -> &'static str {
    match style {
        Style::SpaceDelimited => "%20",
        Style::PipeDelimited => "%7C",
        Style::FormExploded
        | Style::Form
        | Style::DeepObject
        | Style::Simple
        | Style::SimpleExploded
        | Style::Json => ",",
    }
}

/// A field's value; what may stand in a field is checked by whoever makes it one.
pub(super) fn in_field(
    argument: &Argument,
    style: Style,
    raw: Raw<'_>,
) -> Result<String, BadArguments> {
    if style == Style::Json {
        return Ok(raw.get().into());
    }
    let shape = shape(argument, raw)?;
    if shape.parts().any(|part| part.contains([',', '='])) {
        let name = &argument.name;
        return Err(bad(format!("The values in the argument `{name}` may not hold ',' or '='.")));
    }
    Ok(match shape {
        Shape::One(text) => text.into_owned(),
        Shape::Many(many) => many.join(","),
        Shape::Named(named) => {
            let between = if style == Style::SimpleExploded { '=' } else { ',' };
            let parts = named.into_iter().map(|(key, text)| format!("{key}{between}{text}"));
            parts.collect::<Vec<_>>().join(",")
        }
    })
}

/// Unreserved characters bare (RFC 3986, 2.3), all others percent-encoded in upper case.
pub(super) fn push_encoded(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

const fn digit(nibble: u8) -> char {
    (if nibble < 10 { b'0' + nibble } else { b'A' + nibble - 10 }) as char
}
