//! Names and identifiers. Each is its own type, so a product cannot be passed where a plan is due.
//!
//! A `Name` is checked once, when it enters the process; after that it is only compared and shown.

use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use http::HeaderValue;

use super::hex;
use super::mcp;
use super::time::UnixMicros;

/// A checked name of one kind: lower-case letters, digits, `-`, `_` and `.`, 1 to 64 bytes,
/// starting with a letter or a digit. Cheap to clone; compares, orders and hashes as its text.
pub struct Name<Kind> {
    text: Arc<str>,
    kind: PhantomData<fn() -> Kind>,
}

/// The kinds of [`Name`]. They are never made; they only keep names of different things apart.
pub mod kind {
    #[derive(Debug)]
    pub enum Client {}
    #[derive(Debug)]
    pub enum Profile {}
    #[derive(Debug)]
    pub enum Api {}
    #[derive(Debug)]
    pub enum Operation {}
    #[derive(Debug)]
    pub enum Product {}
    #[derive(Debug)]
    pub enum Plan {}
    #[derive(Debug)]
    pub enum Limit {}
    #[derive(Debug)]
    pub enum Upstream {}
    #[derive(Debug)]
    pub enum Listener {}
}

pub type ClientId = Name<kind::Client>;
pub type ProfileName = Name<kind::Profile>;
pub type ApiName = Name<kind::Api>;
/// `api.operation`.
pub type OperationId = Name<kind::Operation>;
pub type ProductName = Name<kind::Product>;
pub type PlanName = Name<kind::Plan>;
pub type LimitName = Name<kind::Limit>;
pub type UpstreamName = Name<kind::Upstream>;
pub type ListenerName = Name<kind::Listener>;

/// Longest [`Name`], in bytes. An [`OperationId`] is two names and a dot.
pub const NAME_BYTES_MAX: usize = 64;

/// Why a text is not a [`Name`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NameError {
    Empty,
    TooLong,
    BadStart,
    BadByte,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "is empty",
            Self::TooLong => "is longer than 64 bytes",
            Self::BadStart => "must start with a lower-case letter or a digit",
            Self::BadByte => "may hold only a-z, 0-9, '-', '_' and '.'",
        })
    }
}

impl std::error::Error for NameError {}

impl<Kind> Name<Kind> {
    /// The one way to make a name from text that came from outside.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        Self::parse_within(text, NAME_BYTES_MAX)
    }

    fn parse_within(text: &str, bytes_max: usize) -> Result<Self, NameError> {
        let Some(first) = text.bytes().next() else {
            return Err(NameError::Empty);
        };
        if text.len() > bytes_max {
            return Err(NameError::TooLong);
        }
        if !first.is_ascii_lowercase() && !first.is_ascii_digit() {
            return Err(NameError::BadStart);
        }
        let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b);
        if !text.bytes().all(good) {
            return Err(NameError::BadByte);
        }
        Ok(Self { text: text.into(), kind: PhantomData })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// As the value of a header field, for those who send it with every request.
    pub fn to_value(&self) -> HeaderValue {
        // A name is visible ASCII.
        shared(HeaderValue::from_str(&self.text).unwrap_or(HeaderValue::from_static("")))
    }
}

/// The same value in the form that is cloned with the fewest steps: that of a clone.
pub fn shared(value: HeaderValue) -> HeaderValue {
    let clone = value.clone();
    drop(value);
    clone
}

impl ClientId {
    /// The label of callers that are no client of the inventory. Not a name anyone can give.
    pub const ANONYMOUS: &'static str = "_anonymous";
}

/// `default`: the profile that every client has.
impl Default for ProfileName {
    fn default() -> Self {
        Self { text: "default".into(), kind: PhantomData }
    }
}

/// `mcp`: the api of the gate's own operations, which no config can name.
impl ApiName {
    pub fn of_gate() -> Self {
        Self { text: "mcp".into(), kind: PhantomData }
    }
}

impl OperationId {
    /// `mcp.tools/list`: the gate's own, with a slash that no config can write.
    pub fn of_gate(method: mcp::Method) -> Self {
        let text = format!("{}.{}", ApiName::of_gate(), method.as_str());
        Self { text: text.into(), kind: PhantomData }
    }

    /// `api.operation`, from two names that were each checked.
    pub fn join(api: &ApiName, operation: &str) -> Result<Self, NameError> {
        Self::parse(operation)?;
        Self::parse_joined(&format!("{api}.{operation}"))
    }

    /// `api.operation`, as one text.
    pub fn parse_joined(text: &str) -> Result<Self, NameError> {
        Self::parse_within(text, NAME_BYTES_MAX * 2 + 1)
    }
}

impl<Kind> Clone for Name<Kind> {
    fn clone(&self) -> Self {
        Self { text: Arc::clone(&self.text), kind: PhantomData }
    }
}

impl<Kind> PartialEq for Name<Kind> {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl<Kind> Eq for Name<Kind> {}

impl<Kind> PartialOrd for Name<Kind> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<Kind> Ord for Name<Kind> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}

impl<Kind> std::hash::Hash for Name<Kind> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl<Kind> Borrow<str> for Name<Kind> {
    fn borrow(&self) -> &str {
        &self.text
    }
}

impl<Kind> fmt::Debug for Name<Kind> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<Kind> fmt::Display for Name<Kind> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// An OAuth scope token (RFC 6749, 3.3): printable ASCII without space, `"` and `\`, up to 128 bytes.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Scope(Arc<str>);

impl Scope {
    /// None when the text is not a scope token.
    pub fn parse(text: &str) -> Option<Self> {
        let good = |b: u8| (0x21..0x7f).contains(&b) && b != b'"' && b != b'\\';
        let fits = (1..=128).contains(&text.len());
        (fits && text.bytes().all(good)).then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The public part of an API key: 12 base62 bytes. Safe to log; names the credential everywhere.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CredentialId([u8; 12]);

impl CredentialId {
    pub const ZERO: Self = Self([b'0'; 12]);

    /// None unless the text is 12 base62 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        Self::from_bytes(text.as_bytes().try_into().ok()?)
    }

    /// As `parse`, for text that was not checked to be UTF-8.
    pub fn from_bytes(bytes: [u8; 12]) -> Option<Self> {
        let good = bytes.iter().fold(true, |good, b| good & b.is_ascii_alphanumeric());
        good.then_some(Self(bytes))
    }

    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for CredentialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for CredentialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One request's identity: a UUIDv7 (RFC 9562, 5.7), shown to the caller as `X-Request-Id`.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct RequestId([u8; 16]);

impl RequestId {
    /// A UUIDv7 from Unix milliseconds and ten random bytes.
    pub fn from_parts(unix_ms: u64, random: [u8; 10]) -> Self {
        let [r0, r1, r2, r3, r4, r5, r6, r7, r8, r9] = random;
        let [_, _, t0, t1, t2, t3, t4, t5] = unix_ms.to_be_bytes();
        // Each request has one: `uuid` makes the same, but clears and sets its bits one by one.
        let (version, variant) = (0x70 | (r0 & 0x0f), 0x80 | (r2 & 0x3f));
        Self([t0, t1, t2, t3, t4, t5, version, r1, variant, r3, r4, r5, r6, r7, r8, r9])
    }

    /// Of an id that was made before.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// The time within the id, to the millisecond (RFC 9562, 5.7).
    pub fn made_at(self) -> UnixMicros {
        let unix_ms = (u128::from_be_bytes(self.0) >> 80) as u64;
        UnixMicros(unix_ms.cast_signed().saturating_mul(1000))
    }

    /// None unless the text is the hyphenated form.
    pub fn parse(text: &str) -> Option<Self> {
        let id = uuid::Uuid::try_parse(text).ok()?;
        (text.len() == 36).then(|| Self(id.into_bytes()))
    }

    /// The hyphenated form (RFC 9562, 4), ASCII.
    pub fn to_text(self) -> [u8; 36] {
        let mut text = *b"00000000-0000-0000-0000-000000000000";
        // Where the digits of each byte stand, between the hyphens.
        let places = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
        for (byte, at) in self.0.iter().zip(places) {
            hex::write(&[*byte], text.get_mut(at..at + 2).unwrap_or_default());
        }
        text
    }

    /// Writes the hyphenated form into `buffer` and returns it as text.
    pub fn encode<'a>(&self, buffer: &'a mut [u8; 36]) -> &'a str {
        *buffer = self.to_text();
        std::str::from_utf8(buffer).unwrap_or_default()
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.encode(&mut [0; 36]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_the_standard() {
        for (unix_ms, random) in [(0, [0; 10]), (1 << 47, [0xff; 10]), (u64::MAX, [0xa5; 10])] {
            let expected = uuid::Builder::from_unix_timestamp_millis(unix_ms, &random);
            let expected = expected.into_uuid().into_bytes();
            assert_eq!(RequestId::from_parts(unix_ms, random).to_bytes(), expected);
        }
    }

    #[test]
    fn names_are_checked() {
        let check = |text: &str, expected: Result<(), NameError>| {
            assert_eq!(ClientId::parse(text).map(|_| ()), expected, "{text:?}");
        };
        check("mobile-app", Ok(()));
        check("7x.y_z", Ok(()));
        check("", Err(NameError::Empty));
        check("_anonymous", Err(NameError::BadStart));
        check("Mobile", Err(NameError::BadStart));
        check("mobile App", Err(NameError::BadByte));
        check(&"a".repeat(200), Err(NameError::TooLong));
    }

    #[test]
    fn a_request_id_is_a_uuid_of_version_7() {
        let id = RequestId::from_parts(0x0123_4567_89ab, [0xff; 10]);
        assert_eq!(id.to_string(), "01234567-89ab-7fff-bfff-ffffffffffff");
    }
}
