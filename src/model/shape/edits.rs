//! Header fields that are set, added and removed, with values that are fixed or made of a few
//! variables. Parsed once, by config.

use http::{HeaderName, HeaderValue};

/// Changes to the fields of a message, in the order: remove, set, add.
#[derive(Debug, Default)]
pub struct Edits {
    pub remove: Box<[HeaderName]>,
    /// In place of what stands there.
    pub set: Box<[(HeaderName, Text)]>,
    /// Beside what stands there.
    pub add: Box<[(HeaderName, Text)]>,
}

impl Edits {
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }
}

/// A value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Text {
    Fixed(HeaderValue),
    Made(Box<[Piece]>),
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Piece {
    Literal(Box<str>),
    Variable(Variable),
}

/// What a value may say of its request. Closed: each is safe in a field, whatever was sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Variable {
    Client,
    Profile,
    Api,
    Operation,
    RequestId,
    SourceIp,
    Host,
}

impl Variable {
    pub const ALL: [(&str, Self); 7] = [
        ("client", Self::Client),
        ("profile", Self::Profile),
        ("api", Self::Api),
        ("operation", Self::Operation),
        ("request_id", Self::RequestId),
        ("source_ip", Self::SourceIp),
        ("host", Self::Host),
    ];
}

/// Why a text is not a value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TextError<'t> {
    Character,
    OpenBrace,
    CloseBrace,
    Unknown(&'t str),
}

impl Text {
    /// `{name}` is a variable; `{{` and `}}` are braces.
    pub fn parse(text: &str) -> Result<Self, TextError<'_>> {
        if !text.bytes().all(|b| matches!(b, b' '..=b'~')) || text.trim() != text {
            return Err(TextError::Character);
        }
        let mut pieces: Vec<Piece> = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            literal.push_str(before);
            if let Some(after) = from.strip_prefix("{{") {
                literal.push('{');
                rest = after;
            } else if let Some(after) = from.strip_prefix("}}") {
                literal.push('}');
                rest = after;
            } else if let Some(inner) = from.strip_prefix('{') {
                let (name, after) = inner.split_once('}').ok_or(TextError::OpenBrace)?;
                let known = Variable::ALL.iter().find(|(known, _)| *known == name);
                let (_, variable) = known.ok_or(TextError::Unknown(name))?;
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal).into()));
                }
                pieces.push(Piece::Variable(*variable));
                rest = after;
            } else {
                return Err(TextError::CloseBrace);
            }
        }
        literal.push_str(rest);
        if pieces.is_empty() {
            return HeaderValue::from_str(&literal).map(Self::Fixed).or(Err(TextError::Character));
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal.into()));
        }
        Ok(Self::Made(pieces.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_fixed_or_made_of_known_variables() {
        let check = |text: &'static str, expected: Result<Text, TextError<'_>>| {
            assert_eq!(Text::parse(text), expected, "{text}");
        };
        let fixed = |text: &'static str| Ok(Text::Fixed(HeaderValue::from_static(text)));
        let literal = |text: &str| Piece::Literal(text.into());
        check("plain", fixed("plain"));
        check("", fixed(""));
        check("{{not a variable}}", fixed("{not a variable}"));
        check("{client}", Ok(Text::Made(Box::new([Piece::Variable(Variable::Client)]))));
        check(
            "by {client}!",
            Ok(Text::Made(Box::new([
                literal("by "),
                Piece::Variable(Variable::Client),
                literal("!"),
            ]))),
        );
        check("{cookie}", Err(TextError::Unknown("cookie")));
        check("{}", Err(TextError::Unknown("")));
        check("{client", Err(TextError::OpenBrace));
        check("client}", Err(TextError::CloseBrace));
        check("a\r\nb: c", Err(TextError::Character));
        check(" a", Err(TextError::Character));
        check("caf\u{e9}", Err(TextError::Character));
    }
}
