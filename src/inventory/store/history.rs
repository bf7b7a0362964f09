//! The inventory as it was: what every row said, from which revision on and until which. Triggers in
//! the database write it, in the transaction of the change itself, so no way to change a row is
//! without it. It keeps what decides, and no hash of a secret.

use rusqlite::Connection;

use super::read;
use crate::inventory::error::StoreError;
use crate::model::snapshot::Inventory;

/// A table, the key of its rows, and the columns that are remembered, with their types.
struct Remembered {
    table: &'static str,
    history: &'static str,
    key: &'static [&'static str],
    columns: &'static [(&'static str, &'static str)],
    /// Columns that are read and not remembered, with what stands for them.
    beside: &'static str,
}

const TABLES: [Remembered; 5] = [
    Remembered {
        table: "client",
        history: "client_history",
        key: &["id"],
        columns: &[
            ("id", "TEXT NOT NULL"),
            ("kind", "TEXT NOT NULL"),
            ("owner", "TEXT NOT NULL"),
            ("purpose", "TEXT NOT NULL"),
            ("status", "TEXT NOT NULL"),
            ("expires", "INTEGER"),
            ("suspended_until", "INTEGER"),
        ],
        beside: "",
    },
    Remembered {
        table: "profile",
        history: "profile_history",
        key: &["client", "name"],
        columns: &[
            ("client", "TEXT NOT NULL"),
            ("name", "TEXT NOT NULL"),
            ("status", "TEXT NOT NULL"),
            ("plan", "TEXT"),
            ("scopes", "TEXT NOT NULL"),
        ],
        beside: ", NULL AS presentation",
    },
    Remembered {
        table: "grant_",
        history: "grant_history",
        key: &["client", "profile", "product"],
        columns: &[
            ("client", "TEXT NOT NULL"),
            ("profile", "TEXT NOT NULL"),
            ("product", "TEXT NOT NULL"),
            ("until", "INTEGER"),
        ],
        beside: "",
    },
    Remembered {
        table: "credential",
        history: "credential_history",
        key: &["id"],
        columns: &[
            ("id", "TEXT NOT NULL"),
            ("client", "TEXT NOT NULL"),
            ("profile", "TEXT NOT NULL"),
            ("status", "TEXT NOT NULL"),
            ("expires", "INTEGER"),
            ("holder", "TEXT"),
            ("suspended_until", "INTEGER"),
        ],
        beside: ", zeroblob(32) AS secret_sha256",
    },
    Remembered {
        table: "quarantine",
        history: "quarantine_history",
        key: &["client", "kind", "operation"],
        columns: &[
            ("client", "TEXT NOT NULL"),
            ("kind", "TEXT NOT NULL"),
            ("operation", "TEXT NOT NULL"),
            ("calls", "INTEGER"),
            ("per_s", "INTEGER"),
            ("until", "INTEGER NOT NULL"),
        ],
        beside: "",
    },
];

/// The tables and triggers, and what is known at this moment as their beginning.
pub fn schema() -> String {
    let since = "
        CREATE TABLE history (
            one   INTEGER PRIMARY KEY CHECK (one = 1),
            since INTEGER NOT NULL
        ) STRICT;
        INSERT INTO history SELECT 1, revision FROM meta;";
    let parts = TABLES.iter().map(Remembered::schema);
    [since.to_owned()].into_iter().chain(parts).collect()
}

/// The same of one table, which came later than the history.
pub fn schema_of(table: &str) -> String {
    TABLES.iter().filter(|remembered| remembered.table == table).map(Remembered::schema).collect()
}

impl Remembered {
    fn schema(&self) -> String {
        let Self { table, history, key, columns, .. } = self;
        let names = self.names("");
        let typed = list(columns, |(name, kind)| format!("{name} {kind}"), ", ");
        let is_row = list(key, |name| format!("{name} = OLD.{name}"), " AND ");
        let key = key.join(", ");
        // A change counts the revision after its rows: until then theirs is the next one. What began in
        // this change and ends in it never was.
        let begin = format!(
            "INSERT INTO {history} (first, {names}) SELECT revision + 1, {} FROM meta;",
            self.names("NEW."),
        );
        let end = format!(
            "DELETE FROM {history} WHERE {is_row} AND first > (SELECT revision FROM meta);
             UPDATE {history} SET ended = (SELECT revision + 1 FROM meta)
             WHERE {is_row} AND ended IS NULL;"
        );
        format!(
            "CREATE TABLE {history} (
                 {typed},
                 first INTEGER NOT NULL,
                 ended INTEGER,
                 PRIMARY KEY ({key}, first)
             ) STRICT, WITHOUT ROWID;
             INSERT INTO {history} (first, {names}) SELECT revision, {names} FROM {table}, meta;
             CREATE TRIGGER {table}_inserted AFTER INSERT ON {table} BEGIN {begin} END;
             CREATE TRIGGER {table}_deleted AFTER DELETE ON {table} BEGIN {end} END;
             CREATE TRIGGER {table}_updated AFTER UPDATE ON {table} BEGIN {end} {begin} END;"
        )
    }

    /// A view that hides the table behind what it held at a revision.
    fn view(&self, revision: i64) -> String {
        let Self { table, history, beside, .. } = self;
        format!(
            "CREATE TEMP VIEW {table} AS SELECT {}{beside} FROM main.{history}
             WHERE first <= {revision} AND (ended IS NULL OR ended > {revision});",
            self.names(""),
        )
    }

    fn names(&self, prefix: &str) -> String {
        list(self.columns, |(name, _)| format!("{prefix}{name}"), ", ")
    }
}

fn list<T>(items: &[T], told: impl Fn(&T) -> String, between: &str) -> String {
    items.iter().map(told).collect::<Vec<_>>().join(between)
}

/// The inventory as it was at a revision, read as if it were now. It takes the connection, whose
/// tables are hidden from then on.
pub fn inventory(connection: Connection, revision: u64) -> Result<Inventory, StoreError> {
    // All of it as it is at one moment; closing the connection ends it.
    connection.execute_batch("BEGIN")?;
    let since = read::count(&connection, "SELECT since FROM history", "history")?;
    let now = read::revision(&connection)?;
    let unknown = || StoreError::Unknown { revision, since, now };
    let wanted = i64::try_from(revision).map_err(|_| unknown())?;
    if revision < since || revision > now {
        return Err(unknown());
    }
    let views = list(&TABLES, |table| table.view(wanted), "");
    let meta = format!("CREATE TEMP VIEW meta AS SELECT {wanted} AS revision;");
    connection.execute_batch(&(views + &meta))?;
    read::inventory(&connection)
}

/// Forgets what was over before a revision, which is the first that is known from then on.
pub fn forget_before(connection: &Connection, revision: u64) -> Result<(), StoreError> {
    let Ok(first) = i64::try_from(revision) else { return Ok(()) };
    let first = first.min(i64::try_from(read::revision(connection)?).unwrap_or(i64::MAX));
    let ended =
        |table: &Remembered| format!("DELETE FROM {} WHERE ended <= {first};", table.history);
    let parts = list(&TABLES, ended, "");
    let since = format!("UPDATE history SET since = max(since, {first});");
    // Dropped without commit, a transaction is rolled back.
    let transaction = connection.unchecked_transaction()?;
    transaction.execute_batch(&(parts + &since))?;
    Ok(transaction.commit()?)
}
