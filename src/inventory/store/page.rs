//! What people read: lists in pages, so that no answer grows with the inventory, and one client
//! whole. It shows what the model leaves out: when, by whom and why.

use rusqlite::{Connection, OptionalExtension, Row, Statement, params};

use super::Store;
use super::quarantine::QuarantineRow;
use super::read::{name, optional_text, parsed, presentation, scopes, text, time};
use crate::inventory::error::{NEAREST_NAMES_MAX, StoreError, nearest};
use crate::model::client::{ClientKind, Status};
use crate::model::id::{ClientId, CredentialId, PlanName, ProductName, ProfileName, Scope};
use crate::model::mcp::Presentation;
use crate::model::time::UnixMicros;

/// Part of a list, in the order of ids.
#[derive(Debug)]
pub struct Page<Item> {
    pub rows: Vec<Item>,
    /// Whether the list goes on after the last row.
    pub more: bool,
}

#[derive(Debug)]
pub struct ClientRow {
    pub id: ClientId,
    pub kind: ClientKind,
    pub owner: String,
    pub purpose: String,
    pub status: Status,
    pub expires: Option<UnixMicros>,
    pub suspended_until: Option<UnixMicros>,
    /// The end of the last of its quarantines.
    pub quarantined_until: Option<UnixMicros>,
    pub created: UnixMicros,
    pub profiles: u32,
    pub grants: u32,
    /// Active ones.
    pub credentials: u32,
}

#[derive(Debug)]
pub struct ProfileRow {
    pub name: ProfileName,
    pub status: Status,
    pub plan: Option<PlanName>,
    pub presentation: Option<Presentation>,
    pub scopes: Box<[Scope]>,
}

#[derive(Debug)]
pub struct GrantRow {
    pub client: ClientId,
    pub profile: ProfileName,
    pub product: ProductName,
    pub until: Option<UnixMicros>,
    pub reason: Option<String>,
    pub actor: String,
    pub created: UnixMicros,
}

#[derive(Debug)]
pub struct CredentialRow {
    pub id: CredentialId,
    pub client: ClientId,
    pub profile: ProfileName,
    pub status: Status,
    pub expires: Option<UnixMicros>,
    /// Its own end or its client's, whichever is later.
    pub suspended_until: Option<UnixMicros>,
    pub holder: Option<String>,
    pub created: UnixMicros,
}

/// One client but for its credentials, which are a list of their own.
#[derive(Debug)]
pub struct ClientDetail {
    pub client: ClientRow,
    pub profiles: Vec<ProfileRow>,
    pub grants: Vec<GrantRow>,
    /// Those in force.
    pub quarantines: Vec<QuarantineRow>,
}

/// Most rows of a page.
const PAGE_ROWS_MAX: u32 = 1000;

/// The grants of one client fit: its profiles and their grants are bounded.
const ALL_ROWS: u32 = 100_000;

impl Store {
    /// Clients after an id; after `""` from the first.
    pub fn clients(&self, after: &str) -> Result<Page<ClientRow>, StoreError> {
        let mut select = self.connection.prepare(&format!("{CLIENTS} WHERE c.id > ?1 {BY_ID}"))?;
        page(&mut select, params![after, PAGE_ROWS_MAX + 1], PAGE_ROWS_MAX, client_row)
    }

    /// Grants of one client or of all, after a grant; after `["", "", ""]` from the first.
    pub fn grants(
        &self,
        client: Option<&ClientId>,
        after: [&str; 3],
    ) -> Result<Page<GrantRow>, StoreError> {
        grants(&self.connection, client, after, PAGE_ROWS_MAX)
    }

    /// Credentials of one client or of all, after an id; after `""` from the first.
    pub fn credentials(
        &self,
        client: Option<&ClientId>,
        after: &str,
    ) -> Result<Page<CredentialRow>, StoreError> {
        let limit = PAGE_ROWS_MAX + 1;
        if let Some(client) = client {
            let mut select = self.connection.prepare(CREDENTIALS_OF_CLIENT)?;
            let parameters = params![after, limit, client.as_str()];
            return page(&mut select, parameters, PAGE_ROWS_MAX, credential_row);
        }
        let mut select = self.connection.prepare(CREDENTIALS)?;
        page(&mut select, params![after, limit], PAGE_ROWS_MAX, credential_row)
    }

    pub fn client(
        &self,
        id: &ClientId,
        now: UnixMicros,
    ) -> Result<Option<ClientDetail>, StoreError> {
        let mut select = self.connection.prepare(&format!("{CLIENTS} WHERE c.id = ?1"))?;
        let client = select.query_row([id.as_str()], |row| Ok(client_row(row))).optional()?;
        let Some(client) = client.transpose()? else { return Ok(None) };
        let mut select = self.connection.prepare(PROFILES)?;
        let profiles = page(&mut select, [id.as_str()], ALL_ROWS, profile_row)?.rows;
        let grants = grants(&self.connection, Some(id), ["", "", ""], ALL_ROWS)?.rows;
        let quarantines = self.quarantines(id, now)?;
        Ok(Some(ClientDetail { client, profiles, grants, quarantines }))
    }

    /// The client that was most likely meant.
    pub fn near_client(&self, id: &ClientId) -> Result<Option<String>, StoreError> {
        let mut select = self.connection.prepare(IDS)?;
        let ids = page(&mut select, [NEAREST_NAMES_MAX], NEAREST_NAMES_MAX, |row| {
            text(row, 0, "client").map(String::from)
        })?;
        Ok(nearest(id.as_str(), ids.rows.iter().map(String::as_str)))
    }
}

const IDS: &str = "SELECT id FROM client LIMIT ?1";

const CLIENTS: &str = "
    SELECT c.id, c.kind, c.owner, c.purpose, c.status, c.expires, c.created,
           (SELECT count(*) FROM profile p WHERE p.client = c.id),
           (SELECT count(*) FROM grant_ g WHERE g.client = c.id),
           (SELECT count(*) FROM credential k JOIN profile p ON (p.client, p.name) = (k.client, k.profile)
            WHERE k.client = c.id AND c.status = 'active' AND p.status = 'active'
              AND k.status = 'active'),
           c.suspended_until,
           (SELECT max(q.until) FROM quarantine q WHERE q.client = c.id)
    FROM client c";

const BY_ID: &str = "ORDER BY c.id LIMIT ?2";

const PROFILES: &str = "
    SELECT p.name, CASE WHEN c.status <> 'active' THEN c.status ELSE p.status END, p.plan, p.scopes,
        p.presentation
    FROM profile p JOIN client c ON c.id = p.client WHERE p.client = ?1 ORDER BY p.name";

const GRANTS: &str = "
    SELECT client, profile, product, until, reason, actor, created FROM grant_
    WHERE (client, profile, product) > (?1, ?2, ?3)
    ORDER BY client, profile, product LIMIT ?4";

const GRANTS_OF_CLIENT: &str = "
    SELECT client, profile, product, until, reason, actor, created FROM grant_
    WHERE client = ?1 AND (profile, product) > (?2, ?3)
    ORDER BY profile, product LIMIT ?4";

/// The status is what it comes to: a key of a revoked client or profile is refused too.
const CREDENTIALS: &str = "
    SELECT k.id, k.client, k.profile,
           CASE WHEN c.status <> 'active' THEN c.status
                WHEN p.status <> 'active' THEN p.status ELSE k.status END,
           k.expires, k.holder, k.created,
           max(coalesce(k.suspended_until, c.suspended_until),
               coalesce(c.suspended_until, k.suspended_until))
    FROM credential k JOIN client c ON c.id = k.client
         JOIN profile p ON (p.client, p.name) = (k.client, k.profile)
    WHERE k.id > ?1 ORDER BY k.id LIMIT ?2";

const CREDENTIALS_OF_CLIENT: &str = "
    SELECT k.id, k.client, k.profile,
           CASE WHEN c.status <> 'active' THEN c.status
                WHEN p.status <> 'active' THEN p.status ELSE k.status END,
           k.expires, k.holder, k.created,
           max(coalesce(k.suspended_until, c.suspended_until),
               coalesce(c.suspended_until, k.suspended_until))
    FROM credential k JOIN client c ON c.id = k.client
         JOIN profile p ON (p.client, p.name) = (k.client, k.profile)
    WHERE k.client = ?3 AND k.id > ?1 ORDER BY k.id LIMIT ?2";

fn grants(
    connection: &Connection,
    client: Option<&ClientId>,
    [first, profile, product]: [&str; 3],
    rows_max: u32,
) -> Result<Page<GrantRow>, StoreError> {
    let (sql, first) = match client {
        Some(client) => (GRANTS_OF_CLIENT, client.as_str()),
        None => (GRANTS, first),
    };
    let mut select = connection.prepare(sql)?;
    page(&mut select, params![first, profile, product, rows_max + 1], rows_max, grant_row)
}

/// Asks for one row more than it gives, to know whether there is more.
fn page<Item>(
    select: &mut Statement<'_>,
    parameters: impl rusqlite::Params,
    rows_max: u32,
    parse: impl Fn(&Row<'_>) -> Result<Item, StoreError>,
) -> Result<Page<Item>, StoreError> {
    let mut found = select.query(parameters)?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        if rows.len() == rows_max as usize {
            return Ok(Page { rows, more: true });
        }
        rows.push(parse(row)?);
    }
    Ok(Page { rows, more: false })
}

fn client_row(row: &Row<'_>) -> Result<ClientRow, StoreError> {
    let table = "client";
    Ok(ClientRow {
        id: name(row, 0, table)?,
        kind: parsed(row, 1, table, ClientKind::parse)?,
        owner: text(row, 2, table)?.into(),
        purpose: text(row, 3, table)?.into(),
        status: parsed(row, 4, table, Status::parse)?,
        expires: time(row, 5)?,
        created: UnixMicros(row.get(6)?),
        profiles: row.get(7)?,
        grants: row.get(8)?,
        credentials: row.get(9)?,
        suspended_until: time(row, 10)?,
        quarantined_until: time(row, 11)?,
    })
}

fn profile_row(row: &Row<'_>) -> Result<ProfileRow, StoreError> {
    let table = "profile";
    Ok(ProfileRow {
        name: name(row, 0, table)?,
        status: parsed(row, 1, table, Status::parse)?,
        plan: optional_text(row, 2, table)?.map(|_| name(row, 2, table)).transpose()?,
        presentation: presentation(row, 4)?,
        scopes: parsed(row, 3, table, scopes)?,
    })
}

fn grant_row(row: &Row<'_>) -> Result<GrantRow, StoreError> {
    let table = "grant_";
    Ok(GrantRow {
        client: name(row, 0, table)?,
        profile: name(row, 1, table)?,
        product: name(row, 2, table)?,
        until: time(row, 3)?,
        reason: optional_text(row, 4, table)?.map(Into::into),
        actor: text(row, 5, table)?.into(),
        created: UnixMicros(row.get(6)?),
    })
}

fn credential_row(row: &Row<'_>) -> Result<CredentialRow, StoreError> {
    let table = "credential";
    Ok(CredentialRow {
        id: parsed(row, 0, table, CredentialId::parse)?,
        client: name(row, 1, table)?,
        profile: name(row, 2, table)?,
        status: parsed(row, 3, table, Status::parse)?,
        expires: time(row, 4)?,
        holder: optional_text(row, 5, table)?.map(Into::into),
        created: UnixMicros(row.get(6)?),
        suspended_until: time(row, 7)?,
    })
}
