//! Records of acts that the audit does not have yet. They are written with the act, in one
//! transaction, and taken out when the audit has them on disk: a crash between the two can repeat
//! a record under its id, and can never lose one.

use rusqlite::{Connection, Row, params};

use super::{Asked, read};
use crate::inventory::change::{Act, Line};
use crate::inventory::error::StoreError;
use crate::model::id::RequestId;
use crate::model::record::{ActRecord, JsonText};
use crate::model::time::UnixMicros;

/// The oldest records that wait.
#[derive(Debug)]
pub struct Waiting {
    pub acts: Vec<ActRecord>,
    pub last: LastAct,
}

/// The place of the last record of some that wait.
#[derive(Clone, Copy, Debug)]
pub struct LastAct(i64);

/// Records read at once: an `inventory apply` may leave very many.
const BATCH_ACTS: u32 = 1000;

pub fn put(
    connection: &Connection,
    acts: &[Act],
    policy: &str,
    asked: Asked<'_>,
) -> Result<(), StoreError> {
    let mut insert = connection.prepare(
        "INSERT INTO act (random, time, actor, action, target, reason, before, after, policy,
                          succeeded)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    for Act { action, target, reason, before, after, succeeded } in acts {
        insert.execute(params![
            rand::random::<[u8; 10]>(),
            asked.at.0,
            asked.by.as_str(),
            action,
            target,
            reason.as_ref().map(Line::as_str),
            before.as_ref().map(|json| &*json.0),
            after.as_ref().map(|json| &*json.0),
            policy,
            succeeded,
        ])?;
    }
    Ok(())
}

/// None when the audit has everything.
pub fn waiting(connection: &Connection) -> Result<Option<Waiting>, StoreError> {
    let mut select = connection.prepare(
        "SELECT number, random, time, actor, action, target, reason, before, after, policy, succeeded
         FROM act ORDER BY number LIMIT ?1",
    )?;
    let mut rows = select.query([BATCH_ACTS])?;
    let mut acts = Vec::new();
    let mut last = None;
    while let Some(row) = rows.next()? {
        last = Some(LastAct(row.get(0)?));
        acts.push(record(row)?);
    }
    Ok(last.map(|last| Waiting { acts, last }))
}

pub fn forget(connection: &Connection, LastAct(last): LastAct) -> Result<(), StoreError> {
    connection.execute("DELETE FROM act WHERE number <= ?1", [last])?;
    Ok(())
}

fn record(row: &Row<'_>) -> Result<ActRecord, StoreError> {
    let table = "act";
    let time = UnixMicros(row.get(2)?);
    let owned = |at| Ok::<_, StoreError>(read::optional_text(row, at, table)?.map(Into::into));
    Ok(ActRecord {
        id: RequestId::from_parts(u64::try_from(time.millis()).unwrap_or(0), row.get(1)?),
        time,
        actor: read::text(row, 3, table)?.into(),
        action: read::text(row, 4, table)?.into(),
        target: read::text(row, 5, table)?.into(),
        reason_given: owned(6)?,
        ticket: None,
        before: owned(7)?.map(JsonText),
        after: owned(8)?.map(JsonText),
        succeeded: row.get(10)?,
        policy: read::text(row, 9, table)?.into(),
    })
}
