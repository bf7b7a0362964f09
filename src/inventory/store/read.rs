//! From rows to the model: the whole inventory at start, single clients after a change. A row that
//! does not parse is an error, never a client with fewer limits.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use rusqlite::{Connection, Row, Statement};

use super::quarantine::{self, Held};
use crate::inventory::error::StoreError;
use crate::model::client::{Client, ClientKind, Credential, Grant, Profile, Status};
use crate::model::id::{ClientId, CredentialId, Name, PlanName, ProductName, ProfileName, Scope};
use crate::model::mcp::Presentation;
use crate::model::meter::Meter;
use crate::model::proof::Proof;
use crate::model::snapshot::{Inventory, SharedMap};
use crate::model::time::UnixMicros;

/// Everything, as requests see it.
pub fn inventory(connection: &Connection) -> Result<Inventory, StoreError> {
    let revision = revision(connection)?;
    let mut names = Names::default();
    let mut clients = Vec::new();
    let held = quarantine::read(&mut connection.prepare(quarantine::ALL)?, [])?;
    let mut statement = connection.prepare(ALL_CLIENTS)?;
    let keep = |client| clients.push(Arc::new(client));
    read_clients(&mut statement, [], (None, held), &mut names, keep)?;
    let clients: SharedMap<_, _> = clients.into_iter().map(|c| (c.id.clone(), c)).collect();
    let credentials = credentials(connection, &clients)?;
    Ok(Inventory { revision, clients, credentials })
}

pub fn revision(connection: &Connection) -> Result<u64, StoreError> {
    count(connection, "SELECT revision FROM meta", "meta")
}

/// The one number that a query finds.
pub(super) fn count(
    connection: &Connection,
    sql: &str,
    table: &'static str,
) -> Result<u64, StoreError> {
    let stored: i64 = connection.query_row(sql, [], |row| row.get(0))?;
    u64::try_from(stored).map_err(|_| StoreError::Corrupt { table, id: "1".into() })
}

/// Reads single clients back from within a change.
pub struct Resolve<'t> {
    client: Statement<'t>,
    credentials: Statement<'t>,
    quarantines: Statement<'t>,
    names: Names,
}

impl<'t> Resolve<'t> {
    pub fn new(connection: &'t Connection) -> Result<Self, StoreError> {
        Ok(Self {
            client: connection.prepare(ONE_CLIENT)?,
            credentials: connection.prepare(CREDENTIALS_OF_CLIENT)?,
            quarantines: connection.prepare(quarantine::OF_CLIENT)?,
            names: Names::default(),
        })
    }

    /// One client. What it used of its plans and of a rate in quarantine stays counted: its meters are those of
    /// `old`.
    pub fn client(
        &mut self,
        id: &ClientId,
        old: Option<&Client>,
    ) -> Result<Arc<Client>, StoreError> {
        let mut found = None;
        let keep = |client| found = Some(Arc::new(client));
        let held = quarantine::read(&mut self.quarantines, [id.as_str()])?;
        read_clients(&mut self.client, [id.as_str()], (old, held), &mut self.names, keep)?;
        found.ok_or_else(|| StoreError::Corrupt { table: "client", id: id.to_string() })
    }

    /// All credentials of one client, by id.
    pub fn credentials_of(&mut self, client: &Client) -> Result<Vec<Credential>, StoreError> {
        let mut rows = self.credentials.query([client.id.as_str()])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(credential(row, client)?);
        }
        Ok(found)
    }
}

// CROSS JOIN keeps the order of the loops, so the rows come sorted from the primary keys.
const ALL_CLIENTS: &str = "
    SELECT c.id, c.kind, c.owner, c.purpose, c.status, c.expires,
           p.name, p.status, p.plan, p.scopes, g.product, g.until, c.suspended_until,
           p.presentation
    FROM client c
    CROSS JOIN profile p ON p.client = c.id
    LEFT JOIN grant_ g ON g.client = p.client AND g.profile = p.name
    ORDER BY c.id, p.name, g.product";

const ONE_CLIENT: &str = "
    SELECT c.id, c.kind, c.owner, c.purpose, c.status, c.expires,
           p.name, p.status, p.plan, p.scopes, g.product, g.until, c.suspended_until,
           p.presentation
    FROM client c
    CROSS JOIN profile p ON p.client = c.id
    LEFT JOIN grant_ g ON g.client = p.client AND g.profile = p.name
    WHERE c.id = ?1
    ORDER BY p.name, g.product";

const ALL_CREDENTIALS: &str = "
    SELECT id, client, profile, secret_sha256, status, expires, holder, suspended_until
    FROM credential";

const CREDENTIALS_OF_CLIENT: &str = "
    SELECT id, client, profile, secret_sha256, status, expires, holder, suspended_until
    FROM credential
    WHERE client = ?1 ORDER BY id";

/// Rows come sorted by client, profile and product; each client is handed on when it is whole.
fn read_clients(
    statement: &mut Statement<'_>,
    parameters: impl rusqlite::Params,
    (old, mut held): (Option<&Client>, Held),
    names: &mut Names,
    mut done: impl FnMut(Client),
) -> Result<(), StoreError> {
    let mut rows = statement.query(parameters)?;
    let mut open: Option<Building> = None;
    while let Some(row) = rows.next()? {
        let id = text(row, 0, "client")?;
        if let Some(whole) = open.take_if(|open| open.id.as_str() != id) {
            done(whole.finish(old, &mut held));
        }
        let mut building = match open.take() {
            Some(same) => same,
            None => Building::start(row)?,
        };
        building.take(row, names)?;
        open = Some(building);
    }
    if let Some(whole) = open {
        done(whole.finish(old, &mut held));
    }
    Ok(())
}

/// A client whose rows are still coming.
struct Building {
    id: ClientId,
    kind: ClientKind,
    owner: Box<str>,
    purpose: Box<str>,
    status: Status,
    expires: Option<UnixMicros>,
    suspended_until: Option<UnixMicros>,
    profiles: Vec<BuildingProfile>,
}

struct BuildingProfile {
    name: ProfileName,
    status: Status,
    plan: Option<PlanName>,
    presentation: Option<Presentation>,
    scopes: Box<[Scope]>,
    grants: Vec<Grant>,
}

impl Building {
    fn start(row: &Row<'_>) -> Result<Self, StoreError> {
        let table = "client";
        Ok(Self {
            id: name(row, 0, table)?,
            kind: parsed(row, 1, table, ClientKind::parse)?,
            owner: text(row, 2, table)?.into(),
            purpose: text(row, 3, table)?.into(),
            status: parsed(row, 4, table, Status::parse)?,
            expires: time(row, 5)?,
            suspended_until: time(row, 12)?,
            profiles: Vec::with_capacity(1),
        })
    }

    /// One row: a profile, or a further grant of the last one.
    fn take(&mut self, row: &Row<'_>, names: &mut Names) -> Result<(), StoreError> {
        let table = "profile";
        let profile = text(row, 6, table)?;
        if self.profiles.last().is_none_or(|last| last.name.as_str() != profile) {
            self.profiles.push(BuildingProfile {
                name: names.profile(profile, row)?,
                status: parsed(row, 7, table, Status::parse)?,
                plan: optional_text(row, 8, table)?
                    .map(|plan| names.plan(plan, row))
                    .transpose()?,
                presentation: presentation(row, 13)?,
                scopes: names.scopes(text(row, 9, table)?, row)?,
                grants: Vec::new(),
            });
        }
        if let (Some(product), Some(last)) =
            (optional_text(row, 10, "grant_")?, self.profiles.last_mut())
        {
            let product = names.product(product, row)?;
            last.grants.push(Grant { product, until: time(row, 11)? });
        }
        Ok(())
    }

    fn finish(self, old: Option<&Client>, held: &mut Held) -> Client {
        let held = held.remove(&self.id);
        let old_quarantine = old.and_then(|old| old.quarantine.as_deref());
        let mut profiles: Vec<Arc<Profile>> = Vec::with_capacity(self.profiles.len());
        for building in self.profiles {
            let BuildingProfile { name, status, plan, presentation, scopes, grants } = building;
            let meter = meter(plan.as_ref(), old, &profiles);
            let (name_value, grants) = (name.to_value(), grants.into());
            profiles.push(Arc::new(Profile {
                name,
                name_value,
                status,
                plan,
                presentation,
                meter,
                scopes,
                grants,
            }));
        }
        Client {
            id_value: self.id.to_value(),
            id: self.id,
            kind: self.kind,
            owner: self.owner,
            purpose: self.purpose,
            status: self.status,
            expires: self.expires,
            suspended_until: self.suspended_until,
            quarantine: held.map(|rows| Box::new(rows.resolve(old_quarantine))),
            profiles: profiles.into(),
        }
    }
}

/// The client's meter for a plan: the one it has had, or that of its profile before under the same
/// plan, or a fresh one. So neither a change nor a second profile gives it more than its rates.
fn meter(plan: Option<&PlanName>, old: Option<&Client>, done: &[Arc<Profile>]) -> Arc<Meter> {
    let had = old.map_or(&[][..], |client| &client.profiles);
    let same = had.iter().chain(done).find(|profile| profile.plan.as_ref() == plan);
    same.map_or_else(Arc::default, |profile| Arc::clone(&profile.meter))
}

fn credentials(
    connection: &Connection,
    clients: &SharedMap<ClientId, Arc<Client>>,
) -> Result<SharedMap<CredentialId, Arc<Credential>>, StoreError> {
    let mut statement = connection.prepare(ALL_CREDENTIALS)?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let client = clients.get(text(row, 1, "credential")?).ok_or_else(|| corrupt(row))?;
        let credential = credential(row, client)?;
        found.push((credential.id, Arc::new(credential)));
    }
    Ok(found.into_iter().collect())
}

/// Its names are the client's own, not copies: there may be a million of them.
fn credential(row: &Row<'_>, client: &Client) -> Result<Credential, StoreError> {
    let table = "credential";
    let profile = client.profile(text(row, 2, table)?).ok_or_else(|| corrupt(row))?;
    Ok(Credential {
        id: parsed(row, 0, table, CredentialId::parse)?,
        client: client.id.clone(),
        profile: profile.name.clone(),
        secret_sha256: row.get(3)?,
        proof: Proof::default(),
        status: parsed(row, 4, table, Status::parse)?,
        expires: time(row, 5)?,
        holder: optional_text(row, 6, table)?.map(Into::into),
        suspended_until: time(row, 7)?,
        facts: OnceLock::new(),
    })
}

fn corrupt(row: &Row<'_>) -> StoreError {
    damaged(row, "credential")
}

/// Names that many clients share are kept once.
#[derive(Default)]
struct Names {
    profiles: HashMap<Box<str>, ProfileName>,
    plans: HashMap<Box<str>, PlanName>,
    products: HashMap<Box<str>, ProductName>,
    scopes: HashMap<Box<str>, Box<[Scope]>>,
}

impl Names {
    fn profile(&mut self, text: &str, row: &Row<'_>) -> Result<ProfileName, StoreError> {
        once(&mut self.profiles, text, |text| Name::parse(text).ok(), || damaged(row, "profile"))
    }

    fn plan(&mut self, text: &str, row: &Row<'_>) -> Result<PlanName, StoreError> {
        once(&mut self.plans, text, |text| Name::parse(text).ok(), || damaged(row, "profile"))
    }

    fn product(&mut self, text: &str, row: &Row<'_>) -> Result<ProductName, StoreError> {
        once(&mut self.products, text, |text| Name::parse(text).ok(), || damaged(row, "grant_"))
    }

    fn scopes(&mut self, text: &str, row: &Row<'_>) -> Result<Box<[Scope]>, StoreError> {
        once(&mut self.scopes, text, scopes, || damaged(row, "profile"))
    }
}

fn once<V: Clone>(
    known: &mut HashMap<Box<str>, V>,
    text: &str,
    parse: impl FnOnce(&str) -> Option<V>,
    damaged: impl FnOnce() -> StoreError,
) -> Result<V, StoreError> {
    if let Some(value) = known.get(text) {
        return Ok(value.clone());
    }
    let value = parse(text).ok_or_else(damaged)?;
    known.insert(text.into(), value.clone());
    Ok(value)
}

pub(super) fn scopes(text: &str) -> Option<Box<[Scope]>> {
    text.split(' ').filter(|scope| !scope.is_empty()).map(Scope::parse).collect()
}

pub(super) fn text<'r>(
    row: &'r Row<'_>,
    at: usize,
    table: &'static str,
) -> Result<&'r str, StoreError> {
    row.get_ref(at)?.as_str().map_err(|_| damaged(row, table))
}

pub(super) fn optional_text<'r>(
    row: &'r Row<'_>,
    at: usize,
    table: &'static str,
) -> Result<Option<&'r str>, StoreError> {
    row.get_ref(at)?.as_str_or_null().map_err(|_| damaged(row, table))
}

/// How a profile's agents are shown their tools.
pub(super) fn presentation(row: &Row<'_>, at: usize) -> Result<Option<Presentation>, StoreError> {
    let table = "profile";
    let text = optional_text(row, at, table)?;
    text.map(|text| Presentation::parse(text).ok_or_else(|| damaged(row, table))).transpose()
}

pub(super) fn time(row: &Row<'_>, at: usize) -> Result<Option<UnixMicros>, StoreError> {
    Ok(row.get::<_, Option<i64>>(at)?.map(UnixMicros))
}

pub(super) fn name<Kind>(
    row: &Row<'_>,
    at: usize,
    table: &'static str,
) -> Result<Name<Kind>, StoreError> {
    Name::parse(text(row, at, table)?).map_err(|_| damaged(row, table))
}

pub(super) fn parsed<V>(
    row: &Row<'_>,
    at: usize,
    table: &'static str,
    parse: impl FnOnce(&str) -> Option<V>,
) -> Result<V, StoreError> {
    parse(text(row, at, table)?).ok_or_else(|| damaged(row, table))
}

/// Every query here begins with the id of its row.
pub(super) fn damaged(row: &Row<'_>, table: &'static str) -> StoreError {
    let id = row.get::<_, String>(0).unwrap_or_default();
    StoreError::Corrupt { table, id }
}
