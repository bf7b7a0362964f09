//! API keys (INTERFACES.md 4): `og_<environment>_<id>_<secret>_<crc>`.
//!
//! The secret exists in two places only: in the text shown once to its owner, and for the moment
//! it takes to hash it in a request. Neither type here shows it through Debug or Display.

use std::fmt;

use sha2::{Digest, Sha256};

use super::id::CredentialId;

/// Bytes of a secret: 43 base62 digits hold 256 random bits.
const SECRET_BYTES: usize = 43;
const CRC_BYTES: usize = 6;
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// A new key, on its way to the person who will hold it.
pub struct NewKey {
    pub id: CredentialId,
    pub secret_sha256: [u8; 32],
    text: Box<str>,
}

impl NewKey {
    /// Makes a key from random bytes: 12 for the id, 32 for the secret.
    pub fn from_random(environment: &Environment, id: [u8; 12], secret: [u8; 32]) -> Self {
        let id_text: String = id.iter().map(|b| char::from(digit(u32::from(*b)))).collect();
        Self::of(environment, CredentialId::parse(&id_text).unwrap_or(CredentialId::ZERO), secret)
    }

    /// Makes a key for a credential that is there, from random bytes.
    pub fn of(environment: &Environment, id: CredentialId, secret: [u8; 32]) -> Self {
        let secret_text = base62(secret);
        let body = format!("og_{environment}_{}_{secret_text}", id.as_str());
        let text = format!("{body}_{}", crc(body.as_bytes())).into_boxed_str();
        Self { id, secret_sha256: Sha256::digest(secret_text.as_bytes()).into(), text }
    }

    /// The whole key: to be shown once, then forgotten.
    pub fn reveal(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A text that is cut like a key, and the id that it claims. Whether it is one is not known yet.
pub struct ClaimedKey<'a> {
    pub id: CredentialId,
    text: &'a [u8],
}

impl<'a> ClaimedKey<'a> {
    /// None for anything that is cut otherwise; costs no more than a look at where its parts stand.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let (rest, _) = text.split_at_checked(text.len().checked_sub(AFTER_ID_BYTES)?)?;
        let (_, id) = rest.split_last_chunk::<12>()?;
        Some(Self { id: CredentialId::from_bytes(*id)?, text })
    }

    /// The key, if its every part is as it must be.
    pub fn check(&self) -> Option<PresentedKey<'a>> {
        PresentedKey::parse(self.text)
    }

    /// For `proof`, which keeps no copy of it.
    pub(super) const fn text(&self) -> &[u8] {
        self.text
    }
}

/// `_<secret>_<crc>`.
const AFTER_ID_BYTES: usize = 1 + SECRET_BYTES + 1 + CRC_BYTES;

impl fmt::Debug for ClaimedKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClaimedKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A key as a caller presented it: well-formed and with the right check digits, nothing more.
pub struct PresentedKey<'a> {
    pub id: CredentialId,
    secret: &'a [u8],
}

impl<'a> PresentedKey<'a> {
    /// None for anything that is not a key; costs no hash and no lookup.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let (body, check) = text.split_at_checked(text.len().checked_sub(CRC_BYTES)?)?;
        let body = body.strip_suffix(b"_")?;
        let (rest, secret) = body.split_at_checked(body.len().checked_sub(SECRET_BYTES)?)?;
        let (rest, id) = rest.strip_suffix(b"_")?.split_last_chunk::<12>()?;
        let environment = rest.strip_suffix(b"_")?.strip_prefix(b"og_")?;
        Environment::is_valid(environment).then_some(())?;
        (crc(body).as_bytes() == check).then_some(())?;
        // Folded without early exit, so that the compiler can look at many bytes at once.
        secret.iter().fold(true, |good, b| good & b.is_ascii_alphanumeric()).then_some(())?;
        let id = CredentialId::from_bytes(*id)?;
        Some(Self { id, secret })
    }

    pub fn secret_sha256(&self) -> [u8; 32] {
        Sha256::digest(self.secret).into()
    }
}

impl fmt::Debug for PresentedKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresentedKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The second part of a key: `[a-z]{2,10}`, `live` unless told otherwise.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Environment(Box<str>);

impl Environment {
    pub fn parse(text: &str) -> Option<Self> {
        Self::is_valid(text.as_bytes()).then(|| Self(text.into()))
    }

    fn is_valid(text: &[u8]) -> bool {
        (2..=10).contains(&text.len()) && text.iter().all(u8::is_ascii_lowercase)
    }
}

impl Default for Environment {
    fn default() -> Self {
        Self("live".into())
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// CRC-32 as six base62 digits, so that a mistyped key is refused without a lookup.
fn crc(body: &[u8]) -> Crc {
    let mut rest = crc32fast::hash(body);
    let mut digits = [0; CRC_BYTES];
    for place in digits.iter_mut().rev() {
        *place = digit(rest);
        rest /= 62;
    }
    Crc(digits)
}

struct Crc([u8; CRC_BYTES]);

impl Crc {
    const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Crc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.0).unwrap_or_default())
    }
}

/// 256 bits as 43 base62 digits, by long division.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a remainder is below 62, a quotient below 256"
)]
fn base62(mut number: [u8; 32]) -> String {
    let mut digits = [0; SECRET_BYTES];
    for place in digits.iter_mut().rev() {
        let mut remainder = 0_u32;
        for byte in &mut number {
            let value = remainder * 256 + u32::from(*byte);
            *byte = (value / 62) as u8;
            remainder = value % 62;
        }
        *place = digit(remainder);
    }
    digits.iter().map(|d| char::from(*d)).collect()
}

/// The last base62 digit of a number.
#[expect(clippy::indexing_slicing, reason = "the remainder is below the 62 digits there are")]
const fn digit(number: u32) -> u8 {
    BASE62[(number % 62) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> NewKey {
        NewKey::from_random(&Environment::default(), [7; 12], [0xab; 32])
    }

    #[test]
    fn a_new_key_is_read_back() {
        let key = key();
        let presented = PresentedKey::parse(key.reveal().as_bytes());
        let presented = presented.expect("a key we made parses");
        assert_eq!(presented.id, key.id);
        assert_eq!(presented.secret_sha256(), key.secret_sha256);
        assert_eq!(key.reveal().len(), "og_live_".len() + 12 + 1 + 43 + 1 + 6);
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let key = key();
        for at in 0..key.reveal().len() {
            let mut text = key.reveal().as_bytes().to_vec();
            text[at] = if text[at] == b'x' { b'y' } else { b'x' };
            assert!(PresentedKey::parse(&text).is_none(), "byte {at}");
            let claimed = ClaimedKey::parse(&text);
            assert!(claimed.is_none_or(|claimed| claimed.check().is_none()), "byte {at}");
        }
        for text in [&b""[..], b"og_live_", b"____", &[b'_'; 200]] {
            assert!(PresentedKey::parse(text).is_none() && ClaimedKey::parse(text).is_none());
        }
    }

    #[test]
    fn debug_hides_the_secret() {
        let key = key();
        let text = key.reveal().as_bytes();
        let shown =
            format!("{key:?} {:?} {:?}", PresentedKey::parse(text), ClaimedKey::parse(text));
        let secret = key.reveal().split('_').nth(3).expect("a key has five parts");
        assert!(!shown.contains(secret));
    }
}
