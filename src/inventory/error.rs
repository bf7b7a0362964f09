//! Why a change was refused, or the store could not do it: closed sets, each with what to do about
//! it. They are told to administrators, never to callers of the gate.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use super::change::Suspendable;
use crate::model::id::ClientId;
use crate::model::time::UnixMicros;

/// What a name in the inventory or the config stands for.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Thing {
    Client,
    Profile,
    Grant,
    Credential,
    Product,
    Plan,
    Scope,
    Operation,
}

impl Thing {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Profile => "profile",
            Self::Grant => "grant",
            Self::Credential => "credential",
            Self::Product => "product",
            Self::Plan => "plan",
            Self::Scope => "scope",
            Self::Operation => "operation",
        }
    }
}

/// Why a change was not made. Nothing of it was.
#[derive(Debug)]
pub enum ChangeError {
    AlreadyExists {
        what: Thing,
        name: String,
    },
    NotFound {
        what: Thing,
        name: String,
        /// The nearest name that exists.
        near: Option<String>,
    },
    /// Revoking is final, also for what is revoked already.
    Revoked {
        what: Thing,
        name: String,
    },
    /// For longer than is asked now.
    Suspended {
        target: Suspendable,
        until: Option<UnixMicros>,
    },
    NotSuspended {
        target: Suspendable,
    },
    /// More is taken from the client, or for longer, than is asked now.
    Quarantined {
        client: ClientId,
        /// What is left to it.
        left: String,
        until: UnixMicros,
    },
    NotQuarantined {
        client: ClientId,
        /// Of what was named; none: of nothing.
        of: Option<String>,
    },
    BadValue {
        field: &'static str,
        problem: Cow<'static, str>,
    },
    TooMany {
        what: Thing,
        of: String,
        max: usize,
    },
    /// Clients that exist, but not as the file to apply says.
    Differs(Vec<Difference>),
    /// Earlier acts still wait for the audit, so no more may be allowed.
    AuditUnavailable(AuditUnavailable),
    Store(StoreError),
}

/// How an existing client differs from what was to be applied.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Difference {
    pub client: ClientId,
    pub how: String,
}

/// The audit could not take a record; the text says why, for operators.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuditUnavailable(pub String);

impl ChangeError {
    pub const fn code(&self) -> &'static str {
        match self {
            Self::AlreadyExists { .. } => "already_exists",
            Self::NotFound { .. } => "not_found",
            Self::Revoked { .. } => "revoked",
            Self::Suspended { .. } => "suspended",
            Self::NotSuspended { .. } => "not_suspended",
            Self::Quarantined { .. } => "quarantined",
            Self::NotQuarantined { .. } => "not_quarantined",
            Self::BadValue { .. } => "bad_value",
            Self::TooMany { .. } => "too_many",
            Self::Differs(_) => "differs",
            Self::AuditUnavailable(_) => "audit_unavailable",
            Self::Store(_) => "store_failed",
        }
    }

    /// What to do about it.
    pub fn fix(&self) -> String {
        match self {
            Self::NotFound { near: Some(near), .. } => format!("Did you mean '{near}'?"),
            Self::NotFound { what, .. } => not_found_fix(*what).into(),
            Self::AlreadyExists { what, name } => already_exists_fix(*what, name),
            Self::Revoked { what: Thing::Client, .. } => {
                "Revoking is final. Add a client under another id: onegate client add".into()
            }
            Self::Revoked { what: Thing::Credential, .. } => {
                "Revoking is final. Issue another key: onegate credential add".into()
            }
            Self::Revoked { .. } => "Revoking is final. Use another profile.".into(),
            Self::Suspended { target, .. } => {
                let (what, name) = target.told();
                format!("To end it sooner: onegate resume {} {name}", what.as_str())
            }
            Self::NotSuspended { target } => {
                let (what, _) = target.told();
                format!("Look at what holds it back: onegate {} list", what.as_str())
            }
            Self::Quarantined { client, .. } => {
                format!(
                    "To leave it more, end that first: onegate quarantine client {client} --end"
                )
            }
            Self::NotQuarantined { client, .. } => {
                format!("Look at what holds it back: onegate client show {client}")
            }
            Self::BadValue { .. } => "Give another value.".into(),
            Self::TooMany { what, .. } => {
                format!("Use fewer, or spread each {} over more clients.", what.as_str())
            }
            Self::Differs(_) => {
                "Apply only creates. Take these clients out of the file, or change \
                                 them one by one: onegate client change"
                    .into()
            }
            Self::AuditUnavailable(_) => {
                "Make room for the audit and try again. Revoking works meanwhile.".into()
            }
            Self::Store(error) => error.fix(),
        }
    }
}

const fn not_found_fix(what: Thing) -> &'static str {
    match what {
        Thing::Client => "The clients: onegate client list",
        Thing::Profile => "The profiles of a client: onegate client show ID",
        Thing::Grant => "The grants: onegate grant list",
        Thing::Credential => "The credentials: onegate credential list",
        Thing::Product => "Add a [[product]] to the config and reload it first.",
        Thing::Plan => "Add a [[plan]] to the config and reload it first.",
        Thing::Operation => "Name an operation of the config, as API.OPERATION.",
        Thing::Scope => "Name a scope of an operation in the config.",
    }
}

fn already_exists_fix(what: Thing, name: &str) -> String {
    match what {
        Thing::Client => {
            format!("Choose another id, or see what is there: onegate client show {name}")
        }
        Thing::Grant => "To change its end, remove it first: onegate grant remove".into(),
        Thing::Profile
        | Thing::Credential
        | Thing::Product
        | Thing::Plan
        | Thing::Scope
        | Thing::Operation => "Choose another name.".into(),
    }
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AlreadyExists { what, name } => {
                write!(f, "{} '{name}' exists already", what.as_str())
            }
            Self::NotFound { what, name, .. } => {
                write!(f, "there is no {} '{name}'", what.as_str())
            }
            Self::Revoked { what, name } => write!(f, "{} '{name}' is revoked", what.as_str()),
            Self::Suspended { target, until } => {
                let (what, name) = target.told();
                write!(f, "{} '{name}' is suspended for longer", what.as_str())?;
                match until {
                    Some(until) if *until != UnixMicros::FOREVER => write!(f, ": until {until}"),
                    _ => f.write_str(": until it is resumed"),
                }
            }
            Self::NotSuspended { target } => {
                let (what, name) = target.told();
                write!(f, "{} '{name}' is not suspended", what.as_str())
            }
            Self::Quarantined { client, left, until } => {
                write!(f, "client '{client}' is in stricter quarantine until {until}: {left}")
            }
            Self::NotQuarantined { client, of: None } => {
                write!(f, "client '{client}' is not in quarantine")
            }
            Self::NotQuarantined { client, of: Some(of) } => {
                write!(f, "client '{client}' is not in this quarantine: {of}")
            }
            Self::BadValue { field, problem } => write!(f, "{field} {problem}"),
            Self::TooMany { what, of, max } => {
                write!(f, "{of} would have more than {max} {}s", what.as_str())
            }
            Self::Differs(differences) => show_differences(f, differences),
            Self::AuditUnavailable(AuditUnavailable(why)) => {
                write!(f, "earlier acts are not recorded yet, so nothing more is allowed: {why}")
            }
            Self::Store(error) => error.fmt(f),
        }
    }
}

/// Most differences that are told; the rest are counted.
const DIFFERENCES_SHOWN_MAX: usize = 20;

fn show_differences(f: &mut fmt::Formatter<'_>, differences: &[Difference]) -> fmt::Result {
    f.write_str("clients exist with other values: ")?;
    for (at, Difference { client, how }) in
        differences.iter().take(DIFFERENCES_SHOWN_MAX).enumerate()
    {
        write!(f, "{}{client} ({how})", if at == 0 { "" } else { ", " })?;
    }
    match differences.len().saturating_sub(DIFFERENCES_SHOWN_MAX) {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
}

impl std::error::Error for ChangeError {}

impl From<StoreError> for ChangeError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Why the store could not be opened, read or written.
#[derive(Debug)]
pub enum StoreError {
    /// Another process holds the lock.
    InUse {
        lock: PathBuf,
        by: String,
    },
    /// Others could put their own files into the data directory.
    OpenToOthers {
        dir: PathBuf,
        mode: u32,
    },
    /// Written by a later onegate.
    Newer {
        found: i64,
        known: i64,
    },
    /// Written by an earlier onegate, and opened only for a look.
    Older {
        found: i64,
        known: i64,
    },
    /// How the inventory was at this revision is not kept: its history goes from one revision to another.
    Unknown {
        revision: u64,
        since: u64,
        now: u64,
    },
    /// A row that this program cannot have written.
    Corrupt {
        table: &'static str,
        id: String,
    },
    Io {
        doing: &'static str,
        path: PathBuf,
        error: std::io::Error,
    },
    Sql(rusqlite::Error),
}

impl StoreError {
    pub fn fix(&self) -> String {
        match self {
            Self::InUse { .. } => "Wait for it to end, or stop it.".into(),
            Self::OpenToOthers { dir, .. } => format!("chmod go-w {}", dir.display()),
            Self::Newer { .. } => "Run the onegate that wrote it, or a later one.".into(),
            Self::Older { .. } => {
                "Start the gate, or list its clients: onegate client list. Either brings it up to \
                 date."
                    .into()
            }
            Self::Unknown { .. } => {
                "Look at the acts of administration in the audit: onegate audit query --surface \
                 admin"
                    .into()
            }
            Self::Corrupt { .. } => "Put back a copy of inventory.db.".into(),
            Self::Io { .. } | Self::Sql(_) => {
                "Look at the disk's room and health, and at the owner of the data directory.".into()
            }
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse { lock, by } => {
                write!(f, "the inventory is in use by {by} (it holds {})", lock.display())
            }
            Self::OpenToOthers { dir, mode } => {
                write!(f, "others may write to {} (mode {mode:o})", dir.display())
            }
            Self::Older { found, known } => {
                write!(f, "the inventory has schema {found}; this onegate reads {known}")
            }
            Self::Newer { found, known } => {
                write!(f, "the inventory has schema {found}; this onegate knows up to {known}")
            }
            Self::Unknown { revision, since, now } => write!(
                f,
                "the inventory of revision {revision} is not kept: its history goes from revision \
                 {since} to {now}"
            ),
            Self::Corrupt { table, id } => {
                write!(f, "the inventory is damaged: row '{id}' of table {table} makes no sense")
            }
            Self::Io { doing, path, error } => {
                write!(f, "cannot {doing} {}: {error}", path.display())
            }
            Self::Sql(error) => write!(f, "the inventory cannot be read or written: {error}"),
        }
    }
}

impl std::error::Error for StoreError {}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

/// The name that was most likely meant.
pub fn nearest<'n>(wanted: &str, names: impl Iterator<Item = &'n str>) -> Option<String> {
    let scored =
        names.take(NEAREST_NAMES_MAX as usize).map(|n| (strsim::jaro_winkler(wanted, n), n));
    let near = scored.filter(|(score, _)| *score > 0.8);
    near.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name.to_owned())
}

/// Names that are looked at for a did-you-mean: it must not cost a scan of a million.
pub const NEAREST_NAMES_MAX: u32 = 10_000;
