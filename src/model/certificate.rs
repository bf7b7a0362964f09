//! A certificate and its key, as PEM files hold them, and the names it stands for (RFC 9525).
//!
//! It judges what it is given and reads no file. Key material never shows: not in errors, which are
//! fixed words, and not in `Debug`.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::nid::Nid;
use openssl::pkey::{Id, PKey, Private};
use openssl::x509::{X509, X509Ref};
use sha2::{Digest, Sha256};

use super::time::UnixMicros;

/// A certificate that its key fits, with the certificates that lead to its authority.
pub struct Certificate {
    pub leaf: X509,
    pub chain: Box<[X509]>,
    pub key: PKey<Private>,
    pub kind: KeyKind,
    /// Lower-case: host names, `*.name` for every name one label below, addresses. Never empty.
    pub names: Box<[Box<str>]>,
    pub not_before: UnixMicros,
    pub not_after: UnixMicros,
    /// Of both files as they were read, to know a changed pair.
    fingerprint: [u8; 32],
}

/// The two files of a certificate, and what they held when they were read last.
#[derive(Clone, Debug)]
pub struct CertificateFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
    pub loaded: Arc<Certificate>,
}

/// What a key can sign with. A caller may know only one kind, so a name may have one of each.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum KeyKind {
    Rsa,
    Ecdsa,
    Ed25519,
}

/// Why two files are no certificate with its key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum CertificateError {
    NoCertificate,
    NoNames,
    BadDates,
    NoKey,
    EncryptedKey,
    UnsupportedKey,
    WeakKey,
    OtherKey,
}

/// Two certificates of one kind for one name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Conflict {
    pub name: Box<str>,
    pub first: usize,
    pub second: usize,
}

/// RSA keys below this can be broken.
const RSA_BITS_MIN: u32 = 2048;

impl Certificate {
    /// Takes the first certificate of `cert_pem` for the gate's own, the rest for its chain.
    pub fn parse(cert_pem: &[u8], key_pem: &[u8]) -> Result<Self, CertificateError> {
        let stack = X509::stack_from_pem(cert_pem).map_err(|_| CertificateError::NoCertificate)?;
        let mut stack = stack.into_iter();
        let leaf = stack.next().ok_or(CertificateError::NoCertificate)?;
        let names = names_of(&leaf);
        if names.is_empty() {
            return Err(CertificateError::NoNames);
        }
        let key = key(key_pem)?;
        let kind = kind_of(&key)?;
        let same = leaf.public_key().is_ok_and(|public| public.public_eq(&key));
        if !same {
            return Err(CertificateError::OtherKey);
        }
        let date = |date| unix_time(date).ok_or(CertificateError::BadDates);
        let mut hash = Sha256::new();
        hash.update(cert_pem);
        hash.update(key_pem);
        Ok(Self {
            kind,
            names,
            not_before: date(leaf.not_before())?,
            not_after: date(leaf.not_after())?,
            fingerprint: hash.finalize().into(),
            leaf,
            chain: stack.collect(),
            key,
        })
    }

    /// Whether it proves to be `host`: lower-case, without a port.
    pub fn covers(&self, host: &str) -> bool {
        let below = host.split_once('.').filter(|(label, _)| !label.is_empty());
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            Some(parent) => below.is_some_and(|(_, rest)| rest == parent),
            None => **name == *host,
        })
    }

    /// The name by which people know it: its first.
    pub fn name(&self) -> &str {
        self.names.first().map_or("", |name| name)
    }

    pub fn is_same_as(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { names, kind, not_after, .. } = self;
        write!(f, "Certificate {{ names: {names:?}, kind: {kind:?}, not_after: {not_after} }}")
    }
}

impl CertificateError {
    /// Whether the file of the key is at fault, not the certificate's.
    pub const fn is_of_key(self) -> bool {
        match self {
            Self::NoCertificate | Self::NoNames | Self::BadDates => false,
            Self::NoKey
            | Self::EncryptedKey
            | Self::UnsupportedKey
            | Self::WeakKey
            | Self::OtherKey => true,
        }
    }

    pub const fn fix(self) -> &'static str {
        match self {
            Self::NoCertificate => "give the certificate first, then its chain, in PEM",
            Self::NoNames | Self::BadDates => "have a new one issued, with subjectAltName",
            Self::NoKey => "give the private key in PEM",
            Self::EncryptedKey => "decrypt it: nobody is there to type a passphrase",
            Self::UnsupportedKey => "use ECDSA on P-256 or P-384, RSA, or Ed25519",
            Self::WeakKey => "use 2048 bits or more, or ECDSA on P-256",
            Self::OtherKey => "give the key that this certificate was issued for",
        }
    }
}

impl fmt::Display for CertificateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoCertificate => "it holds no certificate in PEM",
            Self::NoNames => "the certificate has no host name in subjectAltName",
            Self::BadDates => "the certificate's dates cannot be read",
            Self::NoKey => "it holds no private key in PEM",
            Self::EncryptedKey => "the private key is encrypted",
            Self::UnsupportedKey => "the private key is of a kind that is not used here",
            Self::WeakKey => "the RSA key has fewer than 2048 bits",
            Self::OtherKey => "the private key is not the certificate's",
        })
    }
}

impl std::error::Error for CertificateError {}

/// Which certificates share both a name and a kind, so that nothing could choose between them.
pub fn conflicts<'c>(certificates: impl Iterator<Item = &'c Certificate>) -> Vec<Conflict> {
    let mut taken: BTreeMap<(&str, KeyKind), usize> = BTreeMap::new();
    let mut conflicts = Vec::new();
    for (second, certificate) in certificates.enumerate() {
        for name in &certificate.names {
            let first = *taken.entry((name, certificate.kind)).or_insert(second);
            if first != second {
                conflicts.push(Conflict { name: name.clone(), first, second });
            }
        }
    }
    conflicts
}

fn key(pem: &[u8]) -> Result<PKey<Private>, CertificateError> {
    let mut encrypted = false;
    // Without an answer of ours, OpenSSL would ask at the terminal.
    let passphrase = |_: &mut [u8]| {
        encrypted = true;
        Ok(0)
    };
    let key = PKey::private_key_from_pem_callback(pem, passphrase);
    key.map_err(
        |_| {
            if encrypted { CertificateError::EncryptedKey } else { CertificateError::NoKey }
        },
    )
}

fn kind_of(key: &PKey<Private>) -> Result<KeyKind, CertificateError> {
    match key.id() {
        Id::RSA if key.bits() < RSA_BITS_MIN => Err(CertificateError::WeakKey),
        Id::RSA => Ok(KeyKind::Rsa),
        Id::ED25519 => Ok(KeyKind::Ed25519),
        Id::EC => {
            let curve = key.ec_key().ok().and_then(|key| key.group().curve_name());
            let known = [Nid::X9_62_PRIME256V1, Nid::SECP384R1];
            let known = curve.is_some_and(|curve| known.contains(&curve));
            known.then_some(KeyKind::Ecdsa).ok_or(CertificateError::UnsupportedKey)
        }
        _ => Err(CertificateError::UnsupportedKey),
    }
}

fn names_of(leaf: &X509Ref) -> Box<[Box<str>]> {
    let mut names: Vec<Box<str>> = Vec::new();
    for name in leaf.subject_alt_names().into_iter().flatten() {
        let text = match (name.dnsname(), name.ipaddress()) {
            (Some(host), _) => host_name(host),
            (_, Some(octets)) => address(octets),
            _ => None,
        };
        names.extend(text.filter(|text| !names.contains(text)));
    }
    names.into()
}

/// A host name, or a pattern whose first label alone is `*`.
fn host_name(text: &str) -> Option<Box<str>> {
    let text = text.trim_end_matches('.').to_ascii_lowercase();
    let plain = text.strip_prefix("*.").unwrap_or(&text);
    (!plain.is_empty() && !plain.contains('*')).then(|| text.clone().into())
}

/// As a `Host` field writes it.
fn address(octets: &[u8]) -> Option<Box<str>> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    let ip = v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()?;
    Some(match ip {
        IpAddr::V4(ip) => ip.to_string().into(),
        IpAddr::V6(ip) => format!("[{ip}]").into(),
    })
}

fn unix_time(date: &Asn1TimeRef) -> Option<UnixMicros> {
    let since = Asn1Time::from_unix(0).ok()?.diff(date).ok()?;
    Some(UnixMicros::from_seconds(i64::from(since.days) * 86_400 + i64::from(since.secs)))
}

#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;
