//! The key that signs the log, and the half of it that anybody may check it with: Ed25519 (RFC 8032).
//!
//! `audit.key` (PKCS #8, for its owner only) and `audit.pub`, one line in the form of C2SP signed-note's
//! verifier keys, lie in the data directory; while one key hands over to the next, that one is beside them as
//! `audit.key.next`. The secret half is never shown.

use std::fmt;
use std::fs;
use std::io;
use std::path::Path;

use openssl::base64;
use openssl::error::ErrorStack;
use openssl::pkey::{Id, PKey, Private, Public};
use openssl::sign::{Signer, Verifier};
use sha2::{Digest, Sha256};

use crate::audit::segment::{replace, sync_directory};

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

    /// The one of the key in a directory.
    pub fn in_directory(directory: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(directory.join(PUBLIC_FILE)).ok()?)
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

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.raw) == (&other.name, other.raw)
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl SigningKey {
    /// The key in `directory`, or a new one. `name` is what its signatures are shown under.
    pub fn in_directory(directory: &Path, name: &str) -> Result<Self, KeyError> {
        let (secret, public) = (directory.join(SECRET_FILE), directory.join(PUBLIC_FILE));
        // The name it was made with stays, also when the host gets another.
        let kept = PublicKey::in_directory(directory);
        if !secret.exists() && public.exists() {
            return Err(KeyError::Lost);
        }
        let named = kept.as_ref().map_or_else(|| key_name(name), |kept| kept.name.to_string());
        let made = Self::at(&secret, &named)?;
        match kept {
            Some(kept) if kept == made.public => Ok(made),
            Some(kept) => match Self::next_in(directory, &named)? {
                // The last change of the key was cut short between its two halves.
                Some(next) if next.public == kept => {
                    next.adopt_in(directory)?;
                    Ok(next)
                }
                Some(_) | None => Err(KeyError::Other),
            },
            None => {
                made.write_public(directory)?;
                Ok(made)
            }
        }
    }

    /// The key that is to follow the one in `directory`, if one was made.
    pub fn next_in(directory: &Path, name: &str) -> Result<Option<Self>, KeyError> {
        let path = directory.join(NEXT_FILE);
        if path.exists() { Self::at(&path, name).map(Some) } else { Ok(None) }
    }

    /// The same; a new one where none was made.
    pub fn make_next_in(directory: &Path, name: &str) -> Result<Self, KeyError> {
        Self::at(&directory.join(NEXT_FILE), name)
    }

    /// Removes the next key, if one was made.
    pub fn forget_next_in(directory: &Path) -> Result<(), KeyError> {
        let path = directory.join(NEXT_FILE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(KeyError::at(&path)(error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Makes this the key in `directory`, in place of the one before: it must have been made as the next one there. Of the
    /// key before nothing is left.
    pub fn adopt_in(&self, directory: &Path) -> Result<(), KeyError> {
        // First this half: from then on the other is known to be the right one.
        self.write_public(directory)?;
        let (next, secret) = (directory.join(NEXT_FILE), directory.join(SECRET_FILE));
        let adopt = || {
            fs::rename(&next, &secret)?;
            sync_directory(directory)
        };
        adopt().map_err(KeyError::at(&secret))
    }

    /// The key in a file; a new one where there is no such file.
    fn at(path: &Path, name: &str) -> Result<Self, KeyError> {
        let not_a_key = || KeyError::NotAKey { path: path.display().to_string() };
        let key = match fs::read(path) {
            Ok(pem) => PKey::private_key_from_pem(&pem).map_err(|_| not_a_key())?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = PKey::generate_ed25519().map_err(KeyError::Crypto)?;
                let pem = key.private_key_to_pem_pkcs8().map_err(KeyError::Crypto)?;
                replace(path, &pem, 0o600).map_err(KeyError::at(path))?;
                key
            }
            Err(error) => return Err(KeyError::at(path)(error)),
        };
        let raw = key.raw_public_key().map_err(|_| not_a_key())?;
        let raw = raw.try_into().map_err(|_| not_a_key())?;
        let public = PublicKey::new(name, raw).ok_or_else(not_a_key)?;
        Ok(Self { public, key })
    }

    fn write_public(&self, directory: &Path) -> Result<(), KeyError> {
        let path = directory.join(PUBLIC_FILE);
        let text = format!("{}\n", self.public);
        replace(&path, text.as_bytes(), 0o644).map_err(KeyError::at(&path))
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

/// In the data directory.
const SECRET_FILE: &str = "audit.key";
const NEXT_FILE: &str = "audit.key.next";
const PUBLIC_FILE: &str = "audit.pub";

/// Why there is no key to sign with.
#[derive(Debug)]
pub enum KeyError {
    File {
        path: String,
        error: io::Error,
    },
    /// It holds something, but no Ed25519 key.
    NotAKey {
        path: String,
    },
    /// Its public half is there, and it is not.
    Lost,
    /// Its public half is another's.
    Other,
    Crypto(ErrorStack),
}

impl KeyError {
    pub fn at(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.display().to_string();
        move |error| Self::File { path: path.clone(), error }
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, error } => write!(f, "{path}: {error}"),
            Self::NotAKey { path } => write!(f, "{path} is not an Ed25519 key in PEM"),
            Self::Lost => f.write_str(
                "audit.key is gone from the data directory, and audit.pub is there: put the key back. Only the key itself \
                 can hand over to another; to begin another log, move audit.pub and the audit directory away",
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

    /// Wherever a change of the key is cut short, the next start has one key, and its public half is that one's.
    #[test]
    fn the_next_key_takes_the_place_of_the_one_before() {
        let directory = Directory::new();
        let path = directory.path();
        let open = || SigningKey::in_directory(path, "renamed").expect("a key").public;
        let first = SigningKey::in_directory(path, "gate-1").expect("a key");
        assert!(SigningKey::next_in(path, "gate-1").expect("reads").is_none());
        let next = SigningKey::make_next_in(path, "gate-1").expect("a key");
        let again = SigningKey::make_next_in(path, "gate-1").expect("a key");
        assert!(next.public == again.public && next.public != first.public);
        assert_eq!(open(), first.public);
        next.write_public(path).expect("writes");
        assert_eq!(open(), next.public);
        assert!(SigningKey::next_in(path, "gate-1").expect("reads").is_none());
        let third = SigningKey::make_next_in(path, "gate-1").expect("a key");
        third.adopt_in(path).expect("adopts");
        assert_eq!(open(), third.public);
        let secret = path.join("audit.key").metadata().expect("a file");
        assert_eq!(secret.permissions().mode() & 0o777, 0o600);
        assert_eq!(path.read_dir().expect("reads").count(), 2, "nothing is left of the others");
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
