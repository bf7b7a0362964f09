//! Lists of the inventory: page after page, as rows for people or for programs.

use serde::Serialize;

use super::output::{Failure, Format, Head, Output};
use crate::admin::show::UNTIL_RESUMED;
use crate::admin::wire::{Client, Credential, Grant, ListQuery, Page, Profile, Quarantine};
use crate::clock;

pub const CLIENT: Head =
    Head(&["CLIENT", "KIND", "STATUS", "OWNER", "EXPIRES", "GRANTS", "KEYS", "PURPOSE"]);
pub const PROFILE: Head = Head(&["PROFILE", "STATUS", "PLAN", "PRESENTATION", "SCOPES"]);
pub const GRANT: Head =
    Head(&["CLIENT", "PROFILE", "PRODUCT", "UNTIL", "SINCE", "GRANTED BY", "REASON"]);
pub const CREDENTIAL: Head =
    Head(&["CREDENTIAL", "CLIENT", "PROFILE", "STATUS", "EXPIRES", "SINCE", "HOLDER"]);

pub const QUARANTINE: Head = Head(&["QUARANTINE", "UNTIL", "SINCE", "BY", "REASON"]);

/// Prints a whole list. People get each page as a table of its own, so that a list of any length
/// begins at once.
pub fn list<Row: Serialize>(
    client: Option<String>,
    output: &mut Output<'_>,
    head: Head,
    cells: impl Fn(&Row) -> Vec<String>,
    fetch: impl Fn(&ListQuery) -> Result<Page<Row>, Failure>,
) -> Result<(), Failure> {
    each_page(client, fetch, |rows| match output.format {
        Format::Human => output.table(head, rows.iter().map(&cells)),
        Format::Json => rows.iter().try_for_each(|row| output.json(row)),
    })
}

/// A whole list, for who looks at all of it before it answers.
pub fn all<Row>(
    client: &str,
    fetch: impl Fn(&ListQuery) -> Result<Page<Row>, Failure>,
) -> Result<Vec<Row>, Failure> {
    let mut all = Vec::new();
    each_page(Some(client.to_owned()), fetch, |rows| {
        all.extend(rows);
        Ok(())
    })?;
    Ok(all)
}

/// Fetches a list to its end.
fn each_page<Row>(
    client: Option<String>,
    fetch: impl Fn(&ListQuery) -> Result<Page<Row>, Failure>,
    mut take: impl FnMut(Vec<Row>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut query = ListQuery { client, after: None };
    loop {
        let Page { rows, next } = fetch(&query)?;
        take(rows)?;
        match next {
            Some(_) => query.after = next,
            None => return Ok(()),
        }
    }
}

pub fn client(row: &Client) -> Vec<String> {
    vec![
        row.id.clone(),
        row.kind.clone(),
        client_status(row),
        row.owner.clone(),
        day_or(row.expires.as_deref(), "never"),
        row.grants.to_string(),
        row.credentials.to_string(),
        row.purpose.clone(),
    ]
}

pub fn client_fields(row: &Client) -> Vec<(&'static str, String)> {
    vec![
        ("client", row.id.clone()),
        ("kind", row.kind.clone()),
        ("owner", row.owner.clone()),
        ("purpose", row.purpose.clone()),
        ("status", full_status(row)),
        ("expires", row.expires.clone().unwrap_or_else(|| "never".into())),
        ("since", row.created.clone()),
    ]
}

pub fn profile(row: &Profile) -> Vec<String> {
    let plan = row.plan.clone().unwrap_or_else(|| "-".into());
    let presentation = row.presentation.clone().unwrap_or_else(|| "-".into());
    vec![row.name.clone(), row.status.clone(), plan, presentation, row.scopes.join(" ")]
}

pub fn quarantine(row: &Quarantine) -> Vec<String> {
    let left = match (&row.rate, &row.operation) {
        (Some(rate), _) => format!("at most {rate}"),
        (None, Some(operation)) => format!("no calls of {operation}"),
        (None, None) => "reads only".into(),
    };
    vec![left, row.until.clone(), row.created.clone(), row.actor.clone(), row.reason.clone()]
}

pub fn grant(row: &Grant) -> Vec<String> {
    vec![
        row.client.clone(),
        row.profile.clone(),
        row.product.clone(),
        day_or(row.until.as_deref(), "-"),
        day(&row.created),
        row.actor.clone(),
        row.reason.clone().unwrap_or_default(),
    ]
}

pub fn credential(row: &Credential) -> Vec<String> {
    vec![
        row.id.clone(),
        row.client.clone(),
        row.profile.clone(),
        credential_status(row),
        day_or(row.expires.as_deref(), "never"),
        day(&row.created),
        row.holder.clone().unwrap_or_default(),
    ]
}

/// One that could call, and is in quarantine, says so.
pub fn client_status(row: &Client) -> String {
    let status = status(&row.status, row.expires.as_deref(), row.suspended_until.as_deref());
    let held =
        row.quarantined_until.as_ref().is_some_and(|until| *until > clock::wall().to_string());
    if held && status == "active" { "quarantined".into() } else { status }
}

pub fn credential_status(row: &Credential) -> String {
    status(&row.status, row.expires.as_deref(), row.suspended_until.as_deref())
}

/// What has passed its end says so, though nobody revoked it, and so does what is suspended.
fn status(status: &str, expires: Option<&str>, suspended_until: Option<&str>) -> String {
    // All times come in one form, so their texts sort as they do; what stands for no end is last.
    let now = clock::wall().to_string();
    let over = expires.is_some_and(|expires| *expires <= *now);
    let suspended = suspended_until.is_some_and(|until| *until > *now);
    match status {
        "active" if over => "expired".into(),
        "active" if suspended => "suspended".into(),
        status => status.into(),
    }
}

/// With the end of a suspension, or of the last quarantine.
fn full_status(row: &Client) -> String {
    let status = client_status(row);
    match row.suspended_until.as_deref() {
        Some(UNTIL_RESUMED) if status == "suspended" => format!("{status} {UNTIL_RESUMED}"),
        Some(until) if status == "suspended" => format!("{status} until {until}"),
        _ => match row.quarantined_until.as_deref() {
            Some(until) if status == "quarantined" => format!("{status} until {until}"),
            _ => status,
        },
    }
}

fn day_or(time: Option<&str>, none: &str) -> String {
    time.map_or_else(|| none.into(), day)
}

/// The date of an RFC 3339 time.
fn day(time: &str) -> String {
    time.split('T').next().unwrap_or_default().into()
}
