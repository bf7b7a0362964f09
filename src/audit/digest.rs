//! The mark of a tool's arguments in its record: two calls with the same arguments have the same one, and from it
//! nobody without the key learns what they were, though there may be few that they can have been.
//!
//! Keyed BLAKE2s of 128 bits (RFC 7693), which costs a worker a third of HMAC-SHA-256. A plain hash would fall to a list
//! of guesses, an account number to a short one. SipHash, which is in the gate anyway, is made for tables: it
//! promises little to whoever looks for two texts of one mark, and callers choose these. What is hashed is the text
//! as it was received: another spelling of the same value is another text.
//!
//! The key is `digest.key` in the data directory: 32 random bytes, for its owner only. It is made once and stays, so
//! that records of different boots can be held against each other.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use blake2::Blake2sVarCore;
use blake2::digest::Output;
use blake2::digest::block_api::{Block, Buffer, UpdateCore as _, VariableOutputCore as _};

use crate::model::hex;

use super::segment::replace;

/// Makes the marks. It holds the key in no other form than the hash's own: what it is after the block of the key,
/// which is half of the work of a short text.
#[derive(Clone)]
pub struct ArgsKey(Blake2sVarCore);

impl ArgsKey {
    /// The key in `directory`, or a new one.
    pub fn in_directory(directory: &Path) -> Result<Self, ArgsKeyError> {
        let path = directory.join(FILE);
        let at = |error| ArgsKeyError::File { path: path.display().to_string(), error };
        let key = match fs::read(&path) {
            Ok(bytes) => {
                let mode = fs::metadata(&path).map_err(at)?.permissions().mode();
                if mode & 0o077 != 0 {
                    let path = path.display();
                    log::warn!("{path}: others than its owner may use it: chmod 600 {path}");
                }
                let not_a_key = |_| ArgsKeyError::NotAKey { path: path.display().to_string() };
                <[u8; KEY_BYTES]>::try_from(bytes).map_err(not_a_key)?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key: [u8; KEY_BYTES] = rand::random();
                replace(&path, &key, 0o600).map_err(at)?;
                key
            }
            Err(error) => return Err(at(error)),
        };
        Ok(Self::new(key))
    }

    fn new(key: [u8; KEY_BYTES]) -> Self {
        let mut block = Block::<Blake2sVarCore>::default();
        block.iter_mut().zip(key).for_each(|(into, byte)| *into = byte);
        let mut hash = Blake2sVarCore::new_with_params(&[], &[], KEY_BYTES, MARK_BYTES);
        hash.update_blocks(&[block]);
        Self(hash)
    }

    /// Of a call's arguments, as they were received: 32 hexadecimal digits.
    pub fn digest(&self, arguments: &[u8]) -> Box<str> {
        let mut hash = self.0.clone();
        let mut buffer = Buffer::<Blake2sVarCore>::default();
        for part in [PURPOSE, arguments] {
            buffer.digest_blocks(part, |blocks| hash.update_blocks(blocks));
        }
        let mut out = Output::<Blake2sVarCore>::default();
        hash.finalize_variable_core(&mut buffer, &mut out);
        let mut text = [0; MARK_BYTES * 2];
        hex::write(out.get(..MARK_BYTES).unwrap_or_default(), &mut text);
        std::str::from_utf8(&text).unwrap_or_default().into()
    }
}

/// In the data directory.
const FILE: &str = "digest.key";
const KEY_BYTES: usize = 32;
const MARK_BYTES: usize = 16;
/// What is marked comes after this (which is never empty: the block of the key may not be the last), so that the same text in another place of a record would have another mark.
const PURPOSE: &[u8] = b"onegate args\0";

impl fmt::Debug for ArgsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ArgsKey")
    }
}

/// Why there is no key.
#[derive(Debug)]
pub enum ArgsKeyError {
    File {
        path: String,
        error: io::Error,
    },
    /// It holds something else.
    NotAKey {
        path: String,
    },
}

impl fmt::Display for ArgsKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, error } => write!(f, "{path}: {error}"),
            Self::NotAKey { path } => write!(
                f,
                "{path} is not a key of {KEY_BYTES} bytes: put the one that was there back. Without it, move the file \
                 away: a new one is made, and the same arguments then have another digest than before"
            ),
        }
    }
}

impl std::error::Error for ArgsKeyError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::tests::Directory;

    /// As `hashlib.blake2s(PURPOSE + arguments, key=key, digest_size=16)` of Python has it.
    #[test]
    fn it_is_keyed_blake2s() {
        let check = |key: u8, arguments: &[u8], expected: &str| {
            assert_eq!(&*ArgsKey::new([key; 32]).digest(arguments), expected);
        };
        check(0, b"", "03fe6eb13a2d7d9383d389a7f91d6bb7");
        check(7, b"{\"id\":7}", "52f184f6bc2d2ed82b82e9db58c6a1ff");
        check(255, &[0xff; 1000], "b3915fcf3a287f090fbfbb62afc02712");
    }

    #[test]
    fn the_key_is_made_once_and_is_its_owners() {
        let directory = Directory::new();
        let open = || ArgsKey::in_directory(directory.path());
        let first = open().expect("a key");
        let file = directory.path().join("digest.key");
        let mode = file.metadata().expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = open().expect("the key");
        assert_eq!(first.digest(b"{}"), again.digest(b"{}"));
        assert_ne!(first.digest(b"{}"), first.digest(b"{ }"));
        assert_eq!(format!("{first:?}"), "ArgsKey");
        fs::remove_file(&file).expect("removes");
        assert_ne!(open().expect("a key").digest(b"{}"), first.digest(b"{}"), "another key");
        for junk in [&b""[..], &[7; 31], &[7; 33]] {
            fs::write(&file, junk).expect("writes");
            let error = open().expect_err("no key").to_string();
            assert!(error.contains("digest.key is not a key of 32 bytes"), "{error}");
        }
    }
}
