//! The memory that a key was right, so that only its first request pays for check digits and a SHA-256.
//! It decides nothing else: whether the credential may be used now is asked after it, every time.
//!
//! Why it is no weaker than the SHA-256: what is remembered is a SipHash-2-4 of 128 bits of the whole
//! key that was verified, under a key that is random in each process and never leaves it. Who
//! does not know the key can only guess the 128 bits, one request for each guess; who can read the
//! process has 256 random bits to find, as from the SHA-256. A wrong secret takes the long way
//! whether or not its id exists, so the time it takes tells nothing. A credential that changes is
//! another value, with a memory of its own.

use std::fmt;
use std::sync::{LazyLock, OnceLock};

use siphasher::sip128::SipHasher24;
use subtle::ConstantTimeEq;

use super::key::ClaimedKey;

/// Empty until the secret was verified once; then its mark.
#[derive(Default)]
pub struct Proof(OnceLock<Mark>);

type Mark = [u64; 2];

/// What is known of a key once its secret was compared.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    Right,
    Wrong,
    /// It is no key: nothing was compared.
    Malformed,
}

impl Proof {
    /// Whether the key's secret is the one with this SHA-256. Both comparisons are in constant
    /// time.
    pub fn judge(&self, key: &ClaimedKey<'_>, secret_sha256: &[u8; 32]) -> Verdict {
        let mark = mark(key.text());
        // Without a mark, the same comparison, with a value it cannot equal.
        let known = self.0.get().copied().unwrap_or(mark.map(|half| !half));
        if bool::from(known.ct_eq(&mark)) {
            return Verdict::Right;
        }
        let Some(key) = key.check() else { return Verdict::Malformed };
        if bool::from(key.secret_sha256().ct_eq(secret_sha256)) {
            self.0.get_or_init(|| mark);
            Verdict::Right
        } else {
            Verdict::Wrong
        }
    }
}

/// Nobody learns the mark, nor whether there is one.
impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proof").finish_non_exhaustive()
    }
}

fn mark(text: &[u8]) -> Mark {
    static KEY: LazyLock<[u8; 16]> = LazyLock::new(rand::random);
    let mark = SipHasher24::new_with_key(&KEY).hash(text);
    [mark.h1, mark.h2]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::key::{Environment, NewKey};

    fn key(secret: u8) -> NewKey {
        NewKey::from_random(&Environment::default(), [7; 12], [secret; 32])
    }

    fn claimed(key: &NewKey) -> ClaimedKey<'_> {
        ClaimedKey::parse(key.reveal().as_bytes()).expect("a key we made parses")
    }

    #[test]
    fn only_the_right_secret_is_right_and_only_it_is_remembered() {
        let (right, wrong) = (key(1), key(2));
        let mistyped = right.reveal().replacen('_', "_x", 1);
        let mistyped = ClaimedKey::parse(mistyped.as_bytes()).expect("cut like a key");
        let proof = Proof::default();
        let check = |key: &ClaimedKey<'_>, expected: Verdict, remembered: bool| {
            assert_eq!(proof.judge(key, &right.secret_sha256), expected);
            assert_eq!(proof.0.get().is_some(), remembered);
        };
        check(&claimed(&wrong), Verdict::Wrong, false);
        check(&mistyped, Verdict::Malformed, false);
        check(&claimed(&right), Verdict::Right, true);
        check(&claimed(&wrong), Verdict::Wrong, true);
        check(&mistyped, Verdict::Malformed, true);
        check(&claimed(&right), Verdict::Right, true);
    }

    #[test]
    fn what_is_remembered_is_the_verified_keys_mark() {
        let (right, wrong) = (key(1), key(2));
        let proof = Proof::default();
        assert_eq!(proof.judge(&claimed(&right), &right.secret_sha256), Verdict::Right);
        assert_eq!(proof.0.get(), Some(&mark(right.reveal().as_bytes())));
        // From here on the SHA-256 is not asked: a change of it is a change of credential.
        assert_eq!(proof.judge(&claimed(&right), &[0; 32]), Verdict::Right);
        assert_eq!(proof.judge(&claimed(&wrong), &[0; 32]), Verdict::Wrong);
    }

    #[test]
    fn debug_shows_nothing() {
        let right = key(1);
        let proof = Proof::default();
        let before = format!("{proof:?}");
        assert_eq!(proof.judge(&claimed(&right), &right.secret_sha256), Verdict::Right);
        assert_eq!(format!("{proof:?}"), before);
    }
}
