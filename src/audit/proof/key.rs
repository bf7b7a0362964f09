//! The key that signs the log, and the half of it that anybody may check it with: Ed25519 (RFC 8032).
//!
//! `audit.key` (PKCS #8, for its owner only) and `audit.pub`, one line in the form of C2SP signed-note's
//! verifier keys, lie in the data directory. The secret half is never shown.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use openssl::base64;
use openssl::error::ErrorStack;
use openssl::pkey::{Id, PKey, Private, Public};
use openssl::sign::{Signer, Verifier};
use sha2::{Digest, Sha256};

/// C2SP signed-note: the type of Ed25519 signatures.
const ED25519: u8 = 1;

/// The half that checks signatures.
#[derive(Clone)]
pub struct PublicKey {
    name: Box<str>,
    raw: [u8; 32],
    key: PKey<Public>,
}

/// The half that makes them.
pub struct SigningKey {
    pub public: PublicKey,
    key: PKey<Private>,
}

impl PublicKey {
    fn new(name: &str, raw: [u8; 32]) -> Option<Self> {
        let key = PKey::public_key_from_raw_bytes(&raw, Id::ED25519).ok()?;
        Some(Self { name: name.into(), raw, key })
    }

    /// Reads `<name>+<hash>+<base64>`. None when its parts do not fit each other.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, rest) = text.trim().split_once('+')?;
        let (_, key) = rest.split_once('+')?;
        let bytes = base64::decode_block(key).ok()?;
        let (&ED25519, raw) = bytes.split_first()? else { return None };
        let key = Self::new(name, raw.try_into().ok()?)?;
        (!name.is_empty() && key.to_string() == text.trim()).then_some(key)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first bytes of a hash of name and key, which stand before signatures.
    pub fn hash(&self) -> [u8; 4] {
        let digest = Sha256::new()
            .chain_update(&*self.name)
            .chain_update([b'\n', ED25519])
            .chain_update(self.raw)
            .finalize();
        digest.first_chunk().copied().unwrap_or_default()
    }

    /// Whether whoever holds the other half signed the text.
    pub fn verifies(&self, text: &[u8], signature: &[u8]) -> bool {
        let verify = || Verifier::new_without_digest(&self.key)?.verify_oneshot(signature, text);
        verify().unwrap_or(false)
    }
}

/// As C2SP signed-note has it.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash = u32::from_be_bytes(self.hash());
        let key = base64::encode_block(&[&[ED25519][..], &self.raw].concat());
        write!(f, "{}+{hash:08x}+{key}", self.name)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl SigningKey {
    /// The key in `directory`, or a new one. `name` is what its signatures are shown under.
    pub fn in_directory(directory: &Path, name: &str) -> Result<Self, KeyError> {
        let (secret, public) = (directory.join("audit.key"), directory.join("audit.pub"));
        let failed = |error| KeyError::File { path: secret.display().to_string(), error };
        let key = match fs::read(&secret) {
            Ok(pem) => PKey::private_key_from_pem(&pem).map_err(|_| KeyError::NotAKey)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound && public.exists() => {
                return Err(KeyError::Lost);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = PKey::generate_ed25519().map_err(KeyError::Crypto)?;
                let pem = key.private_key_to_pem_pkcs8().map_err(KeyError::Crypto)?;
                write_new(&secret, &pem, 0o600).map_err(failed)?;
                key
            }
            Err(error) => return Err(failed(error)),
        };
        let raw = key.raw_public_key().map_err(|_| KeyError::NotAKey)?;
        let raw = raw.try_into().map_err(|_| KeyError::NotAKey)?;
        let named = PublicKey::new(&key_name(name), raw).ok_or(KeyError::NotAKey)?;
        // The name it was made with stays, also when the host gets another.
        let kept = fs::read_to_string(&public).ok().and_then(|text| PublicKey::parse(&text));
        if let Some(kept) = kept {
            return if kept.raw == raw {
                Ok(Self { public: kept, key })
            } else {
                Err(KeyError::Other)
            };
        }
        fs::write(&public, format!("{named}\n")).map_err(failed)?;
        Ok(Self { public: named, key })
    }

    /// 64 bytes.
    pub fn sign(&self, text: &[u8]) -> Result<Vec<u8>, ErrorStack> {
        Signer::new_without_digest(&self.key)?.sign_oneshot_to_vec(text)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("public", &self.public).finish_non_exhaustive()
    }
}

/// What a name of a key may hold: no space and no `+` (C2SP signed-note).
fn key_name(name: &str) -> String {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    name.chars().map(|c| if good(c) { c } else { '-' }).collect()
}

/// Whole or not at all: a key that was half written would be taken for a broken one for ever.
fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let draft = path.with_extension("key.new");
    if draft.exists() {
        fs::remove_file(&draft)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(draft, path)?;
    // Records that it signs may be on the medium before its name is.
    fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// Why there is no key to sign with.
#[derive(Debug)]
pub enum KeyError {
    File {
        path: String,
        error: io::Error,
    },
    /// It holds something, but no Ed25519 key.
    NotAKey,
    /// Its public half is there, and it is not.
    Lost,
    /// Its public half is another's.
    Other,
    Crypto(ErrorStack),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, error } => write!(f, "{path}: {error}"),
            Self::NotAKey => f.write_str("audit.key in the data directory is not an Ed25519 key in PEM"),
            Self::Lost => f.write_str(
                "audit.key is gone from the data directory, and audit.pub is there: put the key back. A log is \
                 signed with one key; to begin another, move audit.pub and the audit directory away",
            ),
            Self::Other => f.write_str(
                "audit.key in the data directory is not the key of audit.pub: put the one that was there back",
            ),
            Self::Crypto(error) => write!(f, "cannot make a key for the audit log: {error}"),
        }
    }
}

impl std::error::Error for KeyError {}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::audit::tests::Directory;

    #[test]
    fn a_key_is_made_once_and_checks_what_it_signed() {
        let directory = Directory::new();
        let made = SigningKey::in_directory(directory.path(), "gate-1").expect("a key");
        let again = SigningKey::in_directory(directory.path(), "renamed").expect("a key");
        assert_eq!(made.public.to_string(), again.public.to_string());
        let text = fs::read_to_string(directory.path().join("audit.pub")).expect("a file");
        let public = PublicKey::parse(&text).expect("a key");
        let signature = again.sign(b"text").expect("signs");
        assert!(public.verifies(b"text", &signature));
        assert!(!public.verifies(b"texT", &signature));
        assert!(!public.verifies(b"text", &signature[1..]));
        let secret = directory.path().join("audit.key").metadata().expect("a file");
        assert_eq!(secret.permissions().mode() & 0o777, 0o600);
        assert!(!format!("{made:?}").contains("BEGIN"));
    }

    #[test]
    fn only_whole_keys_are_read() {
        let directory = Directory::new();
        let key = SigningKey::in_directory(directory.path(), "gate-1").expect("a key");
        let text = key.public.to_string();
        assert!(PublicKey::parse(&format!(" {text}\n")).is_some());
        let cut = text.get(1..).expect("ASCII");
        let short = text.get(..text.len() - 1).expect("ASCII");
        for broken in [cut, short, "", "a+b", "a+b+c", "+1+AQ=="] {
            assert!(PublicKey::parse(broken).is_none(), "{broken}");
        }
        fs::remove_file(directory.path().join("audit.key")).expect("removes");
        let error = SigningKey::in_directory(directory.path(), "gate-1").expect_err("no key");
        assert!(matches!(error, KeyError::Lost), "{error}");
        fs::write(directory.path().join("audit.key"), "junk").expect("writes");
        let error = SigningKey::in_directory(directory.path(), "gate-1").expect_err("no key");
        assert!(error.to_string().contains("audit.key"), "{error}");
    }
}
