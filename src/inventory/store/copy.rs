//! Copies of an inventory that can be called with: who may do what is as it was, and every secret is another, so
//! that no key of the copy is good for the original, nor one of the original's for the copy.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};

use super::{SCHEMA_VERSION, read, version};
use crate::inventory::error::StoreError;
use crate::model::id::CredentialId;
use crate::model::key::{Environment, NewKey};

/// Copies the database as it is at one moment, whoever writes to it.
pub fn copy(from: &Path, to: &Path) -> Result<(), StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(from, flags)?;
    match version(&connection)? {
        1..=SCHEMA_VERSION => {}
        // Another program's.
        ..=0 => return Err(StoreError::Corrupt { table: "meta", id: "1".into() }),
        found => return Err(StoreError::Newer { found, known: SCHEMA_VERSION }),
    }
    connection.execute("VACUUM INTO ?1", [&*to.to_string_lossy()])?;
    Ok(())
}

/// Nothing of a rate in quarantine comes back while copies are compared: 100 days.
const HOLD_STILL: &str = "UPDATE quarantine SET per_s = 8640000 WHERE per_s < 8640000";

/// Gives every credential another secret: active, suspended, expired and revoked ones. And time decides nothing
/// of what a quarantine leaves.
pub fn renew_secrets(connection: &mut Connection) -> Result<Vec<NewKey>, StoreError> {
    // What was hashed before does not stay in what the file no longer uses.
    connection.pragma_update(None, "secure_delete", true)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let environment = Environment::default();
    let mut keys = Vec::new();
    {
        let mut all = transaction.prepare("SELECT id FROM credential ORDER BY id")?;
        let mut rows = all.query([])?;
        while let Some(row) = rows.next()? {
            let id = read::parsed(row, 0, "credential", CredentialId::parse)?;
            keys.push(NewKey::of(&environment, id, rand::random()));
        }
        let renew = "UPDATE credential SET secret_sha256 = ?2 WHERE id = ?1";
        let mut renew = transaction.prepare(renew)?;
        for key in &keys {
            renew.execute(params![key.id.as_str(), key.secret_sha256])?;
        }
    }
    transaction.execute(HOLD_STILL, [])?;
    transaction.commit()?;
    Ok(keys)
}
