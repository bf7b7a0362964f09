//! The file of quotas: used units by client, plan, quota and period. Leases units to meters, and
//! takes back what they have not spent. SQL of counters is in this file only.

use std::collections::HashMap;
use std::fs::{OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params,
};

use super::error::CountersError;
use crate::model::calendar::Period;
use crate::model::id::{ClientId, LimitName, PlanName};
use crate::model::meter::{Lease, Meter, Wanted};
use crate::model::plan::{Quota, QuotaTerms};
use crate::model::time::UnixMicros;

/// The file in the data directory.
pub const DATABASE_FILE: &str = "counters.db";

/// Periods of a quota that stay known besides the one that runs. So a clock that is set back finds
/// what was used, for seven days, weeks or months.
const PERIODS_KEPT: i64 = 7;

/// How long another process may hold the file.
const BUSY: Duration = Duration::from_millis(100);

/// Meters that hold leases, before those that nobody uses any more are looked for.
const METERS_MIN: usize = 1024;

/// The open file, and who has units of it.
#[derive(Debug)]
pub struct Book {
    path: PathBuf,
    /// None after an error: opened again when it is needed.
    connection: Option<Connection>,
    /// The meter that has leases, of each client and plan: one, or a client could have twice the
    /// units that a crash may burn.
    meters: HashMap<Holder, Arc<Meter>>,
    sweep_at: usize,
}

type Holder = (ClientId, PlanName);

/// Units that are on disk as leased, for the meter to take in.
struct Grant {
    meter: Arc<Meter>,
    quota: LimitName,
    terms: QuotaTerms,
    period: Period,
    used: u64,
    units: u64,
    debt: u64,
}

/// What a meter has of a quota.
#[derive(Default)]
struct Had {
    left: u64,
    debt: u64,
}

impl Book {
    /// Opens the file of a data directory, or makes an empty one.
    pub fn open(data_dir: &Path) -> Result<Self, CountersError> {
        let path = data_dir.join(DATABASE_FILE);
        // SQLite gives its side files the mode of the database, so it must be right before.
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        file.open(&path)
            .and_then(|file| file.set_permissions(Permissions::from_mode(0o600)))
            .map_err(|error| CountersError::Open { path: path.clone(), error })?;
        let connection = Some(connect(&path)?);
        Ok(Self { path, connection, meters: HashMap::new(), sweep_at: METERS_MIN })
    }

    /// Leases what is asked for as far as there is any, in one transaction. When this returns well,
    /// the meters have it; units never reach a meter before they are on disk as used.
    pub fn lease(&mut self, asked: &[Wanted]) -> Result<(), CountersError> {
        if asked.is_empty() {
            return Ok(());
        }
        let done = self.try_lease(asked);
        self.forget_after(&done);
        done
    }

    /// Takes back every unit that is leased and not spent.
    pub fn give_back_all(&mut self) -> Result<(), CountersError> {
        let meters = std::mem::take(&mut self.meters);
        let done = self.connected().and_then(|connection| {
            let transaction = begin(connection)?;
            for ((client, plan), meter) in &meters {
                let rows = ClientRows { transaction: &transaction, client, plan };
                rows.take_back_all(meter)?;
            }
            Ok(transaction.commit()?)
        });
        self.forget_after(&done);
        done
    }

    fn try_lease(&mut self, asked: &[Wanted]) -> Result<(), CountersError> {
        let mut meters = std::mem::take(&mut self.meters);
        let sweep = meters.len() >= self.sweep_at;
        let done = self.connected().and_then(|connection| {
            let transaction = begin(connection)?;
            if sweep {
                give_back_unused(&transaction, &mut meters)?;
            }
            let mut grants: Vec<Grant> = Vec::new();
            for wanted in asked {
                let (client, plan) = (&wanted.client, &wanted.plan.name);
                let rows = ClientRows { transaction: &transaction, client, plan };
                let meter = Arc::clone(&wanted.meter);
                let before = meters.insert((client.clone(), plan.clone()), meter);
                if let Some(before) = before.filter(|before| !Arc::ptr_eq(before, &wanted.meter)) {
                    rows.take_back_all(&before)?;
                }
                for quota in wanted.quotas() {
                    // One grant at a time: who asked for another will see, and ask again.
                    let is_same = |grant: &Grant| {
                        Arc::ptr_eq(&grant.meter, &wanted.meter) && grant.quota == quota.name
                    };
                    if !grants.iter().any(is_same) {
                        grants.extend(rows.lease(wanted, quota)?);
                    }
                }
            }
            transaction.commit()?;
            grants.into_iter().for_each(Grant::hand_over);
            Ok(())
        });
        if sweep {
            self.sweep_at = METERS_MIN.max(meters.len() * 2);
        }
        self.meters = meters;
        done
    }

    fn connected(&mut self) -> Result<&mut Connection, CountersError> {
        if self.connection.is_none() {
            self.connection = Some(connect(&self.path)?);
        }
        self.connection.as_mut().ok_or(CountersError::Sql(rusqlite::Error::InvalidQuery))
    }

    /// A connection that failed may be of a file that is gone. One that had to wait is good.
    fn forget_after(&mut self, done: &Result<(), CountersError>) {
        let Err(CountersError::Sql(error)) = done else { return };
        if error.sqlite_error_code() != Some(ErrorCode::DatabaseBusy) {
            self.connection = None;
        }
    }
}

/// Opens the file, which is there: made anew, it would give every unit back.
fn connect(path: &Path) -> Result<Connection, CountersError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.execute_batch(PRAGMAS)?;
    match connection.pragma_query_value(None, "user_version", |row| row.get(0))? {
        0 => connection.execute_batch(SCHEMA)?,
        SCHEMA_VERSION => {}
        found => return Err(CountersError::Newer { found }),
    }
    Ok(connection)
}

fn begin(connection: &mut Connection) -> Result<Transaction<'_>, rusqlite::Error> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

/// Takes back from meters that no snapshot and no request has any more.
fn give_back_unused(
    transaction: &Transaction<'_>,
    meters: &mut HashMap<Holder, Arc<Meter>>,
) -> Result<(), CountersError> {
    let unused = |(_, meter): &(&Holder, &Arc<Meter>)| Arc::strong_count(meter) == 1;
    let unused: Vec<Holder> = meters.iter().filter(unused).map(|(key, _)| key.clone()).collect();
    for (client, plan) in unused {
        let rows = ClientRows { transaction, client: &client, plan: &plan };
        if let Some(meter) = meters.get(&(client.clone(), plan.clone())) {
            rows.take_back_all(meter)?;
        }
        meters.remove(&(client, plan));
    }
    Ok(())
}

impl Grant {
    /// Puts the units where requests find them.
    fn hand_over(self) {
        let Self { meter, quota, terms, period, used, units, debt } = self;
        let mut cells = meter.lock();
        let same = |lease: &&mut Lease| lease.terms == terms && lease.period == period;
        if let Some(lease) = cells.lease_mut(&quota).filter(same) {
            lease.used = used;
            lease.left += units;
            lease.debt = lease.debt.saturating_sub(debt);
            lease.asked = false;
        } else {
            let (left, debt, asked) = (units, 0, false);
            cells.put_lease(Lease { quota, terms, period, used, left, debt, asked });
        }
    }
}

/// The rows of one client under one plan.
struct ClientRows<'t> {
    transaction: &'t Transaction<'t>,
    client: &'t ClientId,
    plan: &'t PlanName,
}

impl ClientRows<'_> {
    /// Counts units as used, for the meter. None: it has enough, or no calendar has the moment.
    fn lease(&self, wanted: &Wanted, quota: &Quota) -> Result<Option<Grant>, CountersError> {
        let terms = &quota.terms;
        let Some(period) = terms.calendar.period_at(wanted.at) else { return Ok(None) };
        // What it gives back may be of the same row, so that comes first.
        let had = self.what_it_has(wanted, quota, period)?;
        if had.left > terms.block() / 2 {
            return Ok(None);
        }
        let known = self.used(&quota.name, terms, period)?;
        let before = match known {
            Some(used) => used,
            None => self.open_period(&quota.name, terms, period, wanted.at)?,
        };
        let units = before.saturating_add(had.debt);
        let units = (terms.block() - had.left).min(terms.limit.saturating_sub(units));
        let used = before.saturating_add(had.debt + units);
        if known != Some(used) {
            self.set_used(&quota.name, terms, period, used)?;
        }
        let (meter, quota, terms) = (Arc::clone(&wanted.meter), quota.name.clone(), terms.clone());
        Ok(Some(Grant { meter, quota, terms, period, used, units, debt: had.debt }))
    }

    /// What the meter has of this period and these terms; anything else is taken back.
    fn what_it_has(
        &self,
        wanted: &Wanted,
        quota: &Quota,
        period: Period,
    ) -> Result<Had, CountersError> {
        let mut cells = wanted.meter.lock();
        let Some(lease) = cells.lease_mut(&quota.name) else { return Ok(Had::default()) };
        if lease.terms == quota.terms && lease.period == period {
            lease.asked = false;
            return Ok(Had { left: lease.left, debt: lease.debt });
        }
        let taken = take(lease);
        drop(cells);
        self.put_back(&taken)?;
        Ok(Had::default())
    }

    fn take_back_all(&self, meter: &Meter) -> Result<(), CountersError> {
        let taken: Vec<Lease> = meter.lock().leases_mut().map(take).collect();
        taken.iter().try_for_each(|lease| self.put_back(lease))
    }

    /// The ledger learns what was not spent, and what was counted without a unit.
    fn put_back(&self, taken: &Lease) -> Result<(), CountersError> {
        if taken.left == taken.debt {
            return Ok(());
        }
        let (client, plan, quota) = (self.client.as_str(), self.plan.as_str(), &taken.quota);
        let (unit, starts) = (taken.terms.calendar.unit.as_str(), taken.period.starts.0);
        let (left, debt) = (to_sql(taken.left), to_sql(taken.debt));
        let values = params![client, plan, quota.as_str(), unit, starts, left, debt];
        self.transaction.execute(PUT_BACK, values)?;
        Ok(())
    }

    /// None: nothing was used in the period.
    fn used(
        &self,
        quota: &LimitName,
        terms: &QuotaTerms,
        period: Period,
    ) -> Result<Option<u64>, CountersError> {
        let (client, plan, unit) =
            (self.client.as_str(), self.plan.as_str(), terms.calendar.unit.as_str());
        let key = params![client, plan, quota.as_str(), unit, period.starts.0];
        let used = self.transaction.query_row(USED, key, |row| row.get(0)).optional()?;
        Ok(used.map(from_sql))
    }

    fn set_used(
        &self,
        quota: &LimitName,
        terms: &QuotaTerms,
        period: Period,
        used: u64,
    ) -> Result<(), CountersError> {
        let (client, plan, unit) =
            (self.client.as_str(), self.plan.as_str(), terms.calendar.unit.as_str());
        let (starts, ends, used) = (period.starts.0, period.ends.0, to_sql(used));
        let values = params![client, plan, quota.as_str(), unit, starts, ends, used];
        self.transaction.execute(SET_USED, values)?;
        Ok(())
    }

    /// Opens a period, and forgets the oldest. Where another period holds this moment, because the
    /// zone has changed, what that one has used moves over.
    fn open_period(
        &self,
        quota: &LimitName,
        terms: &QuotaTerms,
        period: Period,
        at: UnixMicros,
    ) -> Result<u64, CountersError> {
        let (client, plan, unit) =
            (self.client.as_str(), self.plan.as_str(), terms.calendar.unit.as_str());
        let (quota, starts) = (quota.as_str(), period.starts.0);
        let key = params![client, plan, quota, unit, at.0];
        let moved = self.transaction.query_row(MOVE, key, |row| row.get(0)).optional()?;
        let key = params![client, plan, quota, unit, starts, PERIODS_KEPT];
        self.transaction.execute(FORGET, key)?;
        Ok(moved.map_or(0, from_sql))
    }
}

/// Takes the units out of a lease before the ledger is told: spent meanwhile, they would count twice.
fn take(lease: &mut Lease) -> Lease {
    let taken = lease.clone();
    lease.used = lease.used.saturating_sub(lease.left).saturating_add(lease.debt);
    (lease.left, lease.debt, lease.asked) = (0, 0, false);
    taken
}

fn to_sql(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn from_sql(count: i64) -> u64 {
    u64::try_from(count).unwrap_or_default()
}

/// FULL: units that a meter has are used, also after a power loss.
const PRAGMAS: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA trusted_schema = OFF;
";

const SCHEMA_VERSION: i64 = 1;

/// Times are microseconds since 1970. `used` has the units that are leased.
const SCHEMA: &str = "
    BEGIN IMMEDIATE;
    CREATE TABLE usage (
        client TEXT NOT NULL,
        plan   TEXT NOT NULL,
        quota  TEXT NOT NULL,
        unit   TEXT NOT NULL,
        starts INTEGER NOT NULL,
        ends   INTEGER NOT NULL,
        used   INTEGER NOT NULL,
        PRIMARY KEY (client, plan, quota, unit, starts)
    ) STRICT, WITHOUT ROWID;
    PRAGMA user_version = 1;
    COMMIT;
";

const USED: &str = "
    SELECT used FROM usage
    WHERE client = ?1 AND plan = ?2 AND quota = ?3 AND unit = ?4 AND starts = ?5";

const SET_USED: &str = "
    INSERT INTO usage (client, plan, quota, unit, starts, ends, used)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
    ON CONFLICT DO UPDATE SET used = excluded.used, ends = excluded.ends";

const PUT_BACK: &str = "
    UPDATE usage SET used = max(0, used - ?6 + ?7)
    WHERE client = ?1 AND plan = ?2 AND quota = ?3 AND unit = ?4 AND starts = ?5";

const MOVE: &str = "
    DELETE FROM usage
    WHERE client = ?1 AND plan = ?2 AND quota = ?3 AND unit = ?4 AND starts <= ?5 AND ends > ?5
    RETURNING used";

const FORGET: &str = "
    DELETE FROM usage
    WHERE client = ?1 AND plan = ?2 AND quota = ?3 AND unit = ?4 AND starts < ?5
    AND starts NOT IN (
        SELECT starts FROM usage
        WHERE client = ?1 AND plan = ?2 AND quota = ?3 AND unit = ?4 AND starts < ?5
        ORDER BY starts DESC LIMIT ?6
    )";
