//! The inventory on disk: one SQLite file, one holder at a time. SQL is in this file and its
//! folder only. It keeps and finds rows; `apply` says what may be done to them.

mod copy;
mod history;
mod outbox;
mod page;
mod quarantine;
mod read;
mod write;

pub use outbox::{LastAct, Waiting};
pub use page::{ClientDetail, ClientRow, CredentialRow, GrantRow, Page, ProfileRow};
pub use quarantine::{QuarantineRow, QuarantineValues};
pub use write::{ClientValues, GrantValues, Inserted, Tables};

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::actor::Actor;
use super::apply;
use super::change::{Act, Applied, Change};
use super::error::{ChangeError, StoreError};
use crate::model::key::NewKey;
use crate::model::snapshot::{Inventory, Snapshot};
use crate::model::time::UnixMicros;

/// The open inventory. Whoever has it, the running gate or a command, has it alone.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    /// Held as long as the store is open; the kernel lets go of it when the process dies.
    _lock: File,
}

/// Who asks for a change, and when.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub by: &'a Actor,
    pub at: UnixMicros,
}

impl Store {
    /// Opens the inventory of a data directory, or makes an empty one.
    pub fn open(data_dir: &Path) -> Result<Self, StoreError> {
        make_dir(data_dir)?;
        let lock = lock(&data_dir.join(LOCK_FILE))?;
        let path = data_dir.join(DATABASE_FILE);
        // SQLite gives its side files the mode of the database, so it must be right before.
        private_file(&path).map_err(io_error("open", &path))?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags)?;
        connection.execute_batch(PRAGMAS)?;
        migrate(&connection)?;
        Ok(Self { connection, _lock: lock })
    }

    /// The inventory of a data directory as it is on disk, read beside whoever holds the lock.
    pub fn peek(data_dir: &Path) -> Result<Inventory, StoreError> {
        read::inventory(&look_into(data_dir)?)
    }

    /// The inventory of a data directory as it was at a revision, without the hashes of secrets. Read
    /// beside whoever holds the lock.
    pub fn peek_at(data_dir: &Path, revision: u64) -> Result<Inventory, StoreError> {
        history::inventory(look_into(data_dir)?, revision)
    }

    /// Makes a data directory with a copy of an inventory in which every credential has another secret, and gives
    /// the keys. The file is read beside whoever holds its lock.
    pub fn copy_with_fresh_secrets(
        database: &Path,
        into: &Path,
    ) -> Result<Vec<NewKey>, StoreError> {
        make_dir(into)?;
        copy::copy(database, &into.join(DATABASE_FILE))?;
        // Brings a copy of an older schema up to date, too.
        copy::renew_secrets(&mut Self::open(into)?.connection)
    }

    /// The whole inventory, as requests see it.
    pub fn load(&self) -> Result<Inventory, StoreError> {
        read::inventory(&self.connection)
    }

    /// Makes one change in one transaction: the rows, the revision, and the records that are due.
    pub fn change(
        &mut self,
        change: &Change,
        snapshot: &Snapshot,
        asked: Asked<'_>,
    ) -> Result<Applied, ChangeError> {
        // Dropped without commit, a transaction is rolled back.
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(StoreError::from)?;
        let tables = Tables::new(&transaction)?;
        let applied = apply::apply(tables, change, snapshot, asked)?;
        let label = Snapshot::label(&snapshot.policy, applied.revision);
        outbox::put(&transaction, &applied.acts, &label, asked)?;
        transaction.commit().map_err(StoreError::from)?;
        Ok(applied)
    }

    /// Keeps the record of an act that changes nothing here, until the audit has it.
    pub fn note(&mut self, act: Act, label: &str, asked: Asked<'_>) -> Result<(), StoreError> {
        outbox::put(&self.connection, &[act], label, asked)
    }

    /// The oldest records that the audit does not have yet; None when it has all.
    pub fn waiting(&self) -> Result<Option<Waiting>, StoreError> {
        outbox::waiting(&self.connection)
    }

    /// The audit has the records up to this one on disk.
    pub fn forget_acts(&mut self, last: LastAct) -> Result<(), StoreError> {
        outbox::forget(&self.connection, last)
    }

    /// Nobody will ask any more how the inventory was before this revision.
    pub fn forget_before(&mut self, revision: u64) -> Result<(), StoreError> {
        history::forget_before(&self.connection, revision)
    }
}

fn look_into(data_dir: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(data_dir.join(DATABASE_FILE), flags)?;
    match version(&connection)? {
        SCHEMA_VERSION => Ok(connection),
        found if found < SCHEMA_VERSION => Err(StoreError::Older { found, known: SCHEMA_VERSION }),
        found => Err(StoreError::Newer { found, known: SCHEMA_VERSION }),
    }
}

/// The inventory's file in the data directory.
pub const DATABASE_FILE: &str = "inventory.db";
const LOCK_FILE: &str = "onegate.lock";

/// What `user_version` says of a database in this schema.
const SCHEMA_VERSION: i64 = 4;

/// FULL: a change that was answered survives a power loss.
const PRAGMAS: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
    PRAGMA trusted_schema = OFF;
";

/// Times are microseconds since 1970. Scopes are a list with single spaces. `quarantine` and `history` add their own.
const SCHEMA: &str = "
    CREATE TABLE meta (
        one      INTEGER PRIMARY KEY CHECK (one = 1),
        revision INTEGER NOT NULL
    ) STRICT;
    INSERT INTO meta VALUES (1, 0);
    CREATE TABLE client (
        id      TEXT NOT NULL PRIMARY KEY,
        kind    TEXT NOT NULL,
        owner   TEXT NOT NULL,
        purpose TEXT NOT NULL,
        status  TEXT NOT NULL,
        expires INTEGER,
        created INTEGER NOT NULL,
        suspended_until INTEGER
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE profile (
        client TEXT NOT NULL REFERENCES client (id),
        name   TEXT NOT NULL,
        status TEXT NOT NULL,
        plan   TEXT,
        scopes TEXT NOT NULL,
        presentation TEXT,
        PRIMARY KEY (client, name)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE grant_ (
        client  TEXT NOT NULL,
        profile TEXT NOT NULL,
        product TEXT NOT NULL,
        until   INTEGER,
        reason  TEXT,
        actor   TEXT NOT NULL,
        created INTEGER NOT NULL,
        PRIMARY KEY (client, profile, product),
        FOREIGN KEY (client, profile) REFERENCES profile (client, name)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE credential (
        id            TEXT NOT NULL PRIMARY KEY,
        client        TEXT NOT NULL,
        profile       TEXT NOT NULL,
        secret_sha256 BLOB NOT NULL CHECK (length(secret_sha256) = 32),
        status        TEXT NOT NULL,
        expires       INTEGER,
        holder        TEXT,
        created       INTEGER NOT NULL,
        suspended_until INTEGER,
        FOREIGN KEY (client, profile) REFERENCES profile (client, name)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX credential_by_client ON credential (client);
    CREATE TABLE act (
        number INTEGER PRIMARY KEY,
        random BLOB NOT NULL CHECK (length(random) = 10),
        time   INTEGER NOT NULL,
        actor  TEXT NOT NULL,
        action TEXT NOT NULL,
        target TEXT NOT NULL,
        reason TEXT,
        before TEXT,
        after  TEXT,
        policy TEXT NOT NULL,
        succeeded INTEGER NOT NULL
    ) STRICT;
";

/// From version 1, which knew no suspensions.
const FROM_1: &str = "
    ALTER TABLE client ADD COLUMN suspended_until INTEGER;
    ALTER TABLE credential ADD COLUMN suspended_until INTEGER;
";

/// From version 3, which did not know how agents are shown their tools.
const FROM_3: &str = "
    ALTER TABLE profile ADD COLUMN presentation TEXT;
";

fn migrate(connection: &Connection) -> Result<(), StoreError> {
    let (first, history) = match version(connection)? {
        0 => (SCHEMA.to_owned(), history::schema()),
        1 => ([FROM_1, FROM_3].concat(), history::schema()),
        // It knew only how things are, and no history.
        2 => (FROM_3.to_owned(), history::schema()),
        // It knew no quarantines.
        3 => (FROM_3.to_owned(), history::schema_of("quarantine")),
        SCHEMA_VERSION => return Ok(()),
        newer => return Err(StoreError::Newer { found: newer, known: SCHEMA_VERSION }),
    };
    let (quarantine, done) =
        (quarantine::SCHEMA, format!("PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"));
    Ok(connection
        .execute_batch(&format!("BEGIN IMMEDIATE; {first} {quarantine} {history} {done}"))?)
}

fn version(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

/// A directory we make is ours alone. One that exists is left as it is, but for one that others
/// may write to: they could swap the files.
fn make_dir(dir: &Path) -> Result<(), StoreError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io_error("create", dir))?;
    let mode = fs::metadata(dir).map_err(io_error("look at", dir))?.permissions().mode() & 0o777;
    if mode & 0o022 != 0 {
        return Err(StoreError::OpenToOthers { dir: dir.into(), mode });
    }
    Ok(())
}

/// Takes the lock, or tells who has it. The file stays: removing it would let two hold a lock.
fn lock(path: &Path) -> Result<File, StoreError> {
    let mut file = private_file(path).map_err(io_error("open", path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StoreError::InUse { lock: path.into(), by: holder(&file) });
        }
        Err(TryLockError::Error(error)) => return Err(io_error("lock", path)(error)),
    }
    // Only a hint for the text above: without it the lock is as good.
    let noted = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
    noted.map_err(io_error("write", path))?;
    Ok(file)
}

fn holder(file: &File) -> String {
    let mut text = String::new();
    let read = file.take(20).read_to_string(&mut text);
    match read.ok().and_then(|_| text.parse::<u32>().ok()) {
        Some(pid) => format!("process {pid}"),
        None => "another process".into(),
    }
}

/// Opens or makes a file for reading and writing that is its owner's alone.
fn private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file =
        options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = PathBuf::from(path);
    move |error| StoreError::Io { doing, path, error }
}
