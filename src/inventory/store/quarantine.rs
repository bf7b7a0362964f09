//! Quarantines on disk, a row each: written by acts, read with their client, listed for people. A row that is over
//! stays until its client's next quarantine: its end is a time, not an act.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Row, Statement, params};

use super::read::{damaged, name, text};
use super::{Store, Tables};
use crate::inventory::change::Line;
use crate::inventory::error::StoreError;
use crate::model::id::{ClientId, OperationId};
use crate::model::quarantine::{CallRate, Quarantine, RateCell, Restriction, Slowed};
use crate::model::time::UnixMicros;

/// From version 4 on. Of a rate, calls and the time that they may be made in; else both are null. `operation` is
/// empty but where the kind is `operation`.
pub(super) const SCHEMA: &str = "
    CREATE TABLE quarantine (
        client    TEXT NOT NULL REFERENCES client (id),
        kind      TEXT NOT NULL,
        operation TEXT NOT NULL,
        calls     INTEGER,
        per_s     INTEGER,
        until     INTEGER NOT NULL,
        reason    TEXT NOT NULL,
        actor     TEXT NOT NULL,
        created   INTEGER NOT NULL,
        PRIMARY KEY (client, kind, operation)
    ) STRICT, WITHOUT ROWID;
";

pub(super) const ALL: &str = "SELECT client, kind, operation, calls, per_s, until FROM quarantine ORDER BY client, operation";

pub(super) const OF_CLIENT: &str = "
    SELECT client, kind, operation, calls, per_s, until FROM quarantine
    WHERE client = ?1 ORDER BY operation";

const LISTED: &str = "
    SELECT client, kind, operation, calls, per_s, until, reason, actor, created FROM quarantine
    WHERE client = ?1 AND until > ?2 ORDER BY kind, operation";

/// What is in quarantine, by client, while clients are read.
pub(super) type Held = HashMap<ClientId, Rows>;

/// Those of one client.
#[derive(Default)]
pub(super) struct Rows {
    reads_only: Option<UnixMicros>,
    rate: Option<(CallRate, UnixMicros)>,
    /// In order, as they are read.
    operations: Vec<(OperationId, UnixMicros)>,
}

pub(super) fn read(
    statement: &mut Statement<'_>,
    parameters: impl rusqlite::Params,
) -> Result<Held, StoreError> {
    let mut rows = statement.query(parameters)?;
    let mut held = Held::new();
    while let Some(row) = rows.next()? {
        let of_client = held.entry(name(row, 0, TABLE)?).or_default();
        let until = UnixMicros(row.get(5)?);
        match restriction(row)? {
            Restriction::ReadsOnly => of_client.reads_only = Some(until),
            Restriction::Rate(rate) => of_client.rate = Some((rate, until)),
            Restriction::Operation(id) => of_client.operations.push((id, until)),
        }
    }
    Ok(held)
}

impl Rows {
    /// What the client used of a rate before it was read again stays used.
    pub(super) fn resolve(self, old: Option<&Quarantine>) -> Quarantine {
        let cell = old.and_then(|old| old.rate.as_ref()).map(|slowed| Arc::clone(&slowed.cell));
        let slowed = |(rate, until)| Slowed {
            rate,
            until,
            cell: cell.unwrap_or_else(|| Arc::new(RateCell::default())),
        };
        Quarantine {
            reads_only: self.reads_only,
            rate: self.rate.map(slowed),
            operations: self.operations.into(),
        }
    }
}

fn restriction(row: &Row<'_>) -> Result<Restriction, StoreError> {
    let (calls, per_s): (Option<u32>, Option<u32>) = (row.get(3)?, row.get(4)?);
    match (text(row, 1, TABLE)?, calls, per_s) {
        ("reads_only", None, None) => Ok(Restriction::ReadsOnly),
        ("rate", Some(limit @ 1..), Some(per_s @ 1..)) => {
            let per = Duration::from_secs(per_s.into());
            Ok(Restriction::Rate(CallRate { limit, per }))
        }
        ("operation", None, None) => {
            let id = OperationId::parse_joined(text(row, 2, TABLE)?);
            id.map(Restriction::Operation).map_err(|_| damaged(row, TABLE))
        }
        _ => Err(damaged(row, TABLE)),
    }
}

const TABLE: &str = "quarantine";

/// The columns of a quarantine beside what it leaves: until when, why, by whom.
pub struct QuarantineValues<'a> {
    pub until: UnixMicros,
    pub reason: &'a Line,
    pub actor: &'a str,
}

impl Tables<'_> {
    /// In place of the one that there was of this kind and operation.
    pub fn put_quarantine(
        &mut self,
        client: &ClientId,
        restriction: &Restriction,
        values: &QuarantineValues<'_>,
        created: UnixMicros,
    ) -> Result<(), StoreError> {
        let QuarantineValues { until, reason, actor } = values;
        let rate = match restriction {
            Restriction::Rate(rate) => Some(*rate),
            Restriction::ReadsOnly | Restriction::Operation(_) => None,
        };
        // An upsert, because a replacement would leave no trace in the history.
        self.connection.execute(
            "INSERT INTO quarantine VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             ON CONFLICT DO UPDATE SET calls = excluded.calls, per_s = excluded.per_s,
                 until = excluded.until, reason = excluded.reason, actor = excluded.actor,
                 created = excluded.created",
            params![
                client.as_str(),
                restriction.kind(),
                operation_of(restriction),
                rate.map(|rate| rate.limit),
                rate.map(|rate| rate.per.as_secs().cast_signed()),
                until.0,
                reason.as_str(),
                actor,
                created.0,
            ],
        )?;
        Ok(())
    }

    pub fn delete_quarantine(
        &mut self,
        client: &ClientId,
        restriction: &Restriction,
    ) -> Result<(), StoreError> {
        self.connection.execute(
            "DELETE FROM quarantine WHERE client = ?1 AND kind = ?2 AND operation = ?3",
            params![client.as_str(), restriction.kind(), operation_of(restriction)],
        )?;
        Ok(())
    }

    /// Takes out what is over.
    pub fn forget_quarantines(
        &mut self,
        client: &ClientId,
        now: UnixMicros,
    ) -> Result<(), StoreError> {
        self.connection.execute(
            "DELETE FROM quarantine WHERE client = ?1 AND until <= ?2",
            params![client.as_str(), now.0],
        )?;
        Ok(())
    }
}

fn operation_of(restriction: &Restriction) -> &str {
    match restriction {
        Restriction::ReadsOnly | Restriction::Rate(_) => "",
        Restriction::Operation(id) => id.as_str(),
    }
}

/// A quarantine, for people.
#[derive(Debug)]
pub struct QuarantineRow {
    pub restriction: Restriction,
    pub until: UnixMicros,
    pub reason: String,
    pub actor: String,
    pub created: UnixMicros,
}

impl Store {
    /// Those of a client that are in force.
    pub(super) fn quarantines(
        &self,
        client: &ClientId,
        now: UnixMicros,
    ) -> Result<Vec<QuarantineRow>, StoreError> {
        let mut select = self.connection.prepare(LISTED)?;
        let mut rows = select.query(params![client.as_str(), now.0])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(QuarantineRow {
                restriction: restriction(row)?,
                until: UnixMicros(row.get(5)?),
                reason: text(row, 6, TABLE)?.to_owned(),
                actor: text(row, 7, TABLE)?.to_owned(),
                created: UnixMicros(row.get(8)?),
            });
        }
        Ok(found)
    }
}
