//! The memory that a secret was right, so that only its first request pays for a SHA-256. It
//! decides nothing else: whether the credential may be used now is asked after it, every time.
//!
//! Why it is no weaker than the SHA-256: what is remembered is a SipHash-2-4 of 128 bits of the
//! secret that was verified, under a key that is random in each process and never leaves it. Who
//! does not know the key can only guess the 128 bits, one request for each guess; who can read the
//! process has 256 random bits to find, as from the SHA-256. A wrong secret takes the long way
//! whether or not its id exists, so the time it takes tells nothing. A credential that changes is
//! another value, with a memory of its own.

use std::fmt;
use std::sync::{LazyLock, OnceLock};

use siphasher::sip128::SipHasher24;
use subtle::ConstantTimeEq;

use super::key::PresentedKey;

/// Empty until the secret was verified once; then its mark.
#[derive(Default)]
pub struct Proof(OnceLock<Mark>);

type Mark = [u64; 2];

impl Proof {
    /// Whether the key's secret is the one with this SHA-256. Both comparisons are in constant
    /// time.
    pub fn is_right(&self, key: &PresentedKey<'_>, secret_sha256: &[u8; 32]) -> bool {
        let mark = mark(key.secret());
        // Without a mark, the same comparison, with a value it cannot equal.
        let known = self.0.get().copied().unwrap_or(mark.map(|half| !half));
        if bool::from(known.ct_eq(&mark)) {
            return true;
        }
        let right = bool::from(key.secret_sha256().ct_eq(secret_sha256));
        if right {
            self.0.get_or_init(|| mark);
        }
        right
    }
}

/// Nobody learns the mark, nor whether there is one.
impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proof").finish_non_exhaustive()
    }
}

fn mark(secret: &[u8]) -> Mark {
    static KEY: LazyLock<[u8; 16]> = LazyLock::new(rand::random);
    let mark = SipHasher24::new_with_key(&KEY).hash(secret);
    [mark.h1, mark.h2]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::key::{Environment, NewKey};

    fn key(secret: u8) -> NewKey {
        NewKey::from_random(&Environment::default(), [7; 12], [secret; 32])
    }

    fn presented(key: &NewKey) -> PresentedKey<'_> {
        PresentedKey::parse(key.reveal().as_bytes()).expect("a key we made parses")
    }

    #[test]
    fn only_the_right_secret_is_right_and_only_it_is_remembered() {
        let (right, wrong) = (key(1), key(2));
        let proof = Proof::default();
        let check = |key: &NewKey, expected: bool, remembered: bool| {
            assert_eq!(proof.is_right(&presented(key), &right.secret_sha256), expected);
            assert_eq!(proof.0.get().is_some(), remembered);
        };
        check(&wrong, false, false);
        check(&right, true, true);
        check(&wrong, false, true);
        check(&right, true, true);
    }

    #[test]
    fn what_is_remembered_is_the_verified_secrets_mark() {
        let (right, wrong) = (key(1), key(2));
        let proof = Proof::default();
        assert!(proof.is_right(&presented(&right), &right.secret_sha256));
        assert_eq!(proof.0.get(), Some(&mark(presented(&right).secret())));
        // From here on the SHA-256 is not asked: a change of it is a change of credential.
        assert!(proof.is_right(&presented(&right), &[0; 32]));
        assert!(!proof.is_right(&presented(&wrong), &[0; 32]));
    }

    #[test]
    fn debug_shows_nothing() {
        let right = key(1);
        let proof = Proof::default();
        let before = format!("{proof:?}");
        assert!(proof.is_right(&presented(&right), &right.secret_sha256));
        assert_eq!(format!("{proof:?}"), before);
    }
}
