//! Copies to call with: everything that decides is there, and every secret is another.

use super::history::{every_kind_of_change, told};
use super::*;
use crate::inventory::store::DATABASE_FILE;
use crate::model::key::PresentedKey;

#[test]
fn a_copy_decides_the_same_and_has_other_secrets() {
    let (dir, copies) = (TempDir::default(), TempDir::default());
    let (registry, _) = registry(&dir);
    every_kind_of_change(&registry, &mut |_| {});
    let original = registry.running().load().inventory.clone();

    // Beside the one who holds the lock.
    let into = copies.path().join("copy");
    let database = dir.path().join(DATABASE_FILE);
    let keys = Store::copy_with_fresh_secrets(&database, &into).unwrap();
    let copy = Store::peek(&into).unwrap();
    assert_eq!(told(&copy), told(&original));
    assert!(copy.credentials.len() > 2);
    assert_eq!(keys.len(), copy.credentials.len());
    for key in keys {
        let presented = PresentedKey::parse(key.reveal().as_bytes()).expect("it is a key");
        let secret = |of: &Inventory| of.credentials.get(&key.id).map(|found| found.secret_sha256);
        assert_eq!(secret(&copy), Some(presented.secret_sha256()), "{}", key.id);
        assert_ne!(secret(&copy), secret(&original), "{}", key.id);
    }
    let again = Store::peek(dir.path()).unwrap();
    for credential in again.credentials.values() {
        let before = original.credentials.get(&credential.id).map(|found| found.secret_sha256);
        assert_eq!(before, Some(credential.secret_sha256), "the original was changed");
    }
}

#[test]
fn only_an_inventory_is_copied() {
    let (dir, copies) = (TempDir::default(), TempDir::default());
    let check = |name: &str, bytes: &[u8]| {
        let database = dir.path().join(name);
        std::fs::write(&database, bytes).unwrap();
        let outcome = Store::copy_with_fresh_secrets(&database, &copies.path().join(name));
        assert!(outcome.is_err(), "{name}");
    };
    check("empty", b"");
    check("text", b"[[client]]");
    assert!(Store::copy_with_fresh_secrets(&dir.path().join("none"), copies.path()).is_err());
}
