//! Signed notes (C2SP signed-note): a text of lines, an empty line, and a line for each signature. Whatever is signed
//! here has one spelling, so that a note says the same to whoever reads it.

use std::fmt;

use openssl::base64;
use openssl::error::ErrorStack;

use super::key::{PublicKey, SigningKey};

/// A note whose text is signed by all of these keys, in their order.
pub fn sign(text: &str, keys: &[&SigningKey]) -> Result<String, ErrorStack> {
    let mut note = format!("{text}\n");
    for key in keys {
        let signature = [&key.public.hash()[..], &key.sign(text.as_bytes())?].concat();
        let (name, signature) = (key.public.name(), base64::encode_block(&signature));
        note.push_str(&format!("\u{2014} {name} {signature}\n"));
    }
    Ok(note)
}

/// Whether a note is that text with the signatures of these keys, and nothing else.
pub fn check(note: &str, text: &str, keys: &[&PublicKey]) -> Result<(), NoteError> {
    let rest = note.strip_prefix(text).and_then(|rest| rest.strip_prefix('\n'));
    let mut rest = rest.ok_or(NoteError::NotInForm)?;
    for key in keys {
        let (line, after) = rest.split_once('\n').ok_or(NoteError::NotInForm)?;
        check_signature(line, text, key)?;
        rest = after;
    }
    if rest.is_empty() { Ok(()) } else { Err(NoteError::NotInForm) }
}

fn check_signature(line: &str, text: &str, key: &PublicKey) -> Result<(), NoteError> {
    let parts = line.strip_prefix("\u{2014} ").and_then(|line| line.split_once(' '));
    let (name, signature) = parts.ok_or(NoteError::NotInForm)?;
    let bytes = base64::decode_block(signature).map_err(|_| NoteError::NotInForm)?;
    let (hash, bytes) = bytes.split_first_chunk().ok_or(NoteError::NotInForm)?;
    if name != key.name() || *hash != key.hash() {
        return Err(NoteError::OtherKey);
    }
    let is_plain = base64::encode_block(&[hash, bytes].concat()) == signature;
    if is_plain && key.verifies(text.as_bytes(), bytes) {
        Ok(())
    } else {
        Err(NoteError::BadSignature)
    }
}

/// Why a note is none of this log.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NoteError {
    NotInForm,
    OtherKey,
    BadSignature,
}

impl fmt::Display for NoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotInForm => "it is not in the form of this version",
            Self::OtherKey => "another key signed it",
            Self::BadSignature => "its signature is wrong",
        })
    }
}

impl std::error::Error for NoteError {}
