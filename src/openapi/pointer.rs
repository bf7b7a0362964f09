//! `$ref`: JSON pointers (RFC 6901) as fragments, within the document only. Nothing is ever fetched.

use std::borrow::Cow;

use super::node::{Content, Node};

/// References that lead to references.
const HOPS_MAX: usize = 32;

/// Why a reference leads nowhere.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dangling {
    /// To another document.
    Remote,
    Missing,
    Circular,
}

impl Dangling {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Remote => "leads out of the document, and is not followed",
            Self::Missing => "leads nowhere",
            Self::Circular => "leads back to itself",
        }
    }

    pub const fn fix(self) -> &'static str {
        match self {
            Self::Remote => "bundle the documents into one",
            Self::Missing => "name a component of the document",
            Self::Circular => "let it lead to a value",
        }
    }
}

/// Where a reference leads: `#`, or `#/` and a pointer.
pub fn resolve<'d>(root: &'d Node, reference: &str) -> Result<&'d Node, Dangling> {
    let fragment = reference.strip_prefix('#').ok_or(Dangling::Remote)?;
    let pointer = percent_decoded(fragment).ok_or(Dangling::Missing)?;
    let Some(steps) = pointer.strip_prefix('/') else {
        return if pointer.is_empty() { Ok(root) } else { Err(Dangling::Missing) };
    };
    let found = steps.split('/').try_fold(root, |node, step| child(node, &unescaped(step)?));
    found.ok_or(Dangling::Missing)
}

/// The object itself, or what its `$ref` leads to in the end.
pub fn follow<'d>(root: &'d Node, node: &'d Node) -> Result<&'d Node, Dangling> {
    let mut node = node;
    for _ in 0..HOPS_MAX {
        let Some(reference) = node.get("$ref") else { return Ok(node) };
        node = resolve(root, reference.as_text().ok_or(Dangling::Missing)?)?;
    }
    Err(Dangling::Circular)
}

fn child<'d>(node: &'d Node, step: &str) -> Option<&'d Node> {
    match &node.content {
        Content::Map(map) => map.get(step),
        Content::List(list) => {
            let canonical = step == "0" || !step.starts_with(['0', '+']);
            list.get(step.parse::<usize>().ok().filter(|_| canonical)?)
        }
        Content::Null | Content::Bool(_) | Content::Number(_) | Content::Text(_) => None,
    }
}

/// None for a `~` that is no escape.
fn unescaped(step: &str) -> Option<Cow<'_, str>> {
    let mut parts = step.split('~');
    let mut text = Cow::Borrowed(parts.next()?);
    for part in parts {
        let rest = part.strip_prefix('0').map(|rest| ('~', rest));
        let (escaped, rest) = rest.or_else(|| part.strip_prefix('1').map(|rest| ('/', rest)))?;
        text.to_mut().push(escaped);
        text.to_mut().push_str(rest);
    }
    Some(text)
}

/// None for a broken escape, or for bytes that are no UTF-8.
fn percent_decoded(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let digit = |byte: Option<u8>| u8::try_from(char::from(byte?).to_digit(16)?).ok();
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => digit(bytes.next())? << 4 | digit(bytes.next())?,
            _ => byte,
        });
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}
