//! Names for what a document names freely: operations and arguments. Each is a function of the thing alone,
//! so that nothing is renamed when its neighbours change places.

use sha2::{Digest, Sha256};

use crate::model::hex;
use crate::model::id::NAME_BYTES_MAX;

/// Longest name of an argument (what models' hosts take).
const ARGUMENT_BYTES_MAX: usize = 64;

/// An operation's name: `listPets` as `list_pets`, else its method and path.
pub fn operation(id: Option<&str>, method: &str, path: &str) -> String {
    let named = id.map(snake).unwrap_or_default();
    let name = if named.is_empty() { snake(&format!("{method} {path}")) } else { named };
    if name.len() <= NAME_BYTES_MAX { name } else { hashed(&name, &mark(id, method, path)) }
}

/// The name with a mark that tells the operation from others of that name.
pub fn operation_apart(name: &str, id: Option<&str>, method: &str, path: &str) -> String {
    hashed(name, &mark(id, method, path))
}

/// Eight hex digits of a hash over the texts.
pub fn digits(texts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update(text.len().to_le_bytes());
        hash.update(text.as_bytes());
    }
    let mut digits = [0; 8];
    hex::write(&hash.finalize(), &mut digits);
    String::from_utf8_lossy(&digits).into_owned()
}

/// A parameter's name as an argument's: `filter[name]` as `filter_name`.
pub fn argument(wire: &str) -> String {
    let good = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if !wire.is_empty() && wire.len() <= ARGUMENT_BYTES_MAX && wire.chars().all(good) {
        return wire.into();
    }
    let name = words(wire, good);
    match name.len() {
        0 => format!("argument_{}", digits(&[wire])),
        1..=ARGUMENT_BYTES_MAX => name,
        _ => hashed(&name, &digits(&[wire])),
    }
}

/// A parameter's name in a path template.
pub fn path_parameter(wire: &str) -> String {
    let good = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    let name = words(wire, good);
    match name.len() {
        0 => format!("parameter_{}", digits(&[wire])),
        1..=ARGUMENT_BYTES_MAX => name,
        _ => hashed(&name, &digits(&[wire])),
    }
}

/// What tells apart the arguments that would have one name.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Tag {
    Path,
    Query,
    Header,
    Body,
}

impl Tag {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
            Self::Body => "body",
        }
    }
}

/// Names for arguments, in their order: the bare name belongs to the first place that has it alone; others
/// carry their place, and a hash where that is not enough. None when even that does not tell them apart.
pub fn arguments(wires: &[(Tag, &str)]) -> Option<Vec<String>> {
    let bare: Vec<String> = wires.iter().map(|(_, wire)| argument(wire)).collect();
    let mut names = Vec::with_capacity(wires.len());
    for ((tag, wire), name) in wires.iter().zip(&bare) {
        let alike = || wires.iter().zip(&bare).filter(|(_, other)| *other == name);
        let of_tag = alike().filter(|((other, _), _)| other == tag).count();
        let is_first = alike().all(|((other, _), _)| other >= tag);
        names.push(match (of_tag, is_first) {
            (1, true) => name.clone(),
            (1, false) => suffixed(name, &format!("__{}", tag.as_str())),
            _ => suffixed(name, &format!("__{}_{}", tag.as_str(), digits(&[wire]))),
        });
    }
    let mut apart: Vec<&str> = names.iter().map(String::as_str).collect();
    apart.sort_unstable();
    let is_apart = apart.windows(2).all(|pair| pair.first() != pair.last());
    is_apart.then_some(names)
}

fn mark(id: Option<&str>, method: &str, path: &str) -> String {
    digits(&[method, path, id.unwrap_or_default()])
}

fn hashed(name: &str, digits: &str) -> String {
    suffixed(name, &format!("_{digits}"))
}

/// Names are ASCII.
fn suffixed(name: &str, suffix: &str) -> String {
    let kept = name.get(..ARGUMENT_BYTES_MAX - suffix.len()).unwrap_or(name);
    format!("{kept}{suffix}")
}

/// Every run of other characters becomes one `_`, but for those at the ends.
fn words(text: &str, good: impl Fn(char) -> bool) -> String {
    let mut name = String::new();
    for part in text.split(|c| !good(c)).filter(|part| !part.is_empty()) {
        if !name.is_empty() {
            name.push('_');
        }
        name.push_str(part);
    }
    name
}

fn snake(text: &str) -> String {
    let mut broken = String::with_capacity(text.len() + 8);
    let mut before = ' ';
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let ends_upper =
            before.is_ascii_uppercase() && chars.peek().is_some_and(char::is_ascii_lowercase);
        let begins = before.is_ascii_lowercase() || before.is_ascii_digit() || ends_upper;
        if c.is_ascii_uppercase() && begins {
            broken.push('_');
        }
        broken.push(c.to_ascii_lowercase());
        before = c;
    }
    words(&broken, |c| c.is_ascii_alphanumeric())
}
