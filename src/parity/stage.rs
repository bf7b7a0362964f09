//! Where surfaces are compared: a folder for the while, a copy of the inventory with keys that are known, and a
//! config for each round. What is staged is the same for all surfaces of a round, and nobody's but theirs.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, DirBuilder};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ahash::AHashMap;

use crate::config;
use crate::config::kept::Texts;
use crate::config::staged::{Limits, Staged, Staging};
use crate::inventory::actor::Actor;
use crate::inventory::change::{
    Change, Expires, KeySource, Line, NewClient, NewCredential, Outcome, Terms,
};
use crate::inventory::error::AuditUnavailable;
use crate::inventory::store::{Asked, DATABASE_FILE, Store};
use crate::inventory::{ActSink, Ended, Registry};
use crate::model::client::{ClientKind, Credential, Status};
use crate::model::id::{ClientId, ProfileName};
use crate::model::key::{Environment, NewKey};
use crate::model::policy::Policy;
use crate::model::record::ActRecord;
use crate::model::snapshot::Inventory;
use crate::model::time::UnixMicros;

use super::error::ParityError;

/// Whose calls are compared.
#[derive(Debug)]
pub enum Clients {
    /// Those of an inventory: the database of a data directory, or a copy of one.
    Database(PathBuf),
    /// These.
    Told(Vec<NewClient>),
}

/// The folder; it goes away with this.
#[derive(Debug)]
pub struct Stage {
    folder: PathBuf,
    upstream: SocketAddr,
    runs: usize,
}

/// What is called with.
#[derive(Debug)]
pub struct Cast {
    pub inventory: Inventory,
    /// By the ids of their credentials.
    pub keys: AHashMap<String, Key>,
}

/// A key as it is sent.
#[derive(Clone)]
pub struct Key(String);

impl Key {
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// A client that has no grant and no scope, and one that has all grants and no scope: so that every operation is
/// refused to somebody, whatever the inventory has.
pub const WITHOUT_GRANT: &str = "parity.without-grant";
pub const WITHOUT_SCOPE: &str = "parity.without-scope";

const CONFIG_FILE: &str = "gateway.toml";

impl Stage {
    pub fn new(upstream: SocketAddr) -> Result<Self, ParityError> {
        let id: u64 = rand::random();
        let folder = std::env::temp_dir().join(format!("onegate-parity-{id:016x}"));
        make_folder(&folder)?;
        Ok(Self { folder, upstream, runs: 0 })
    }

    /// Writes a config for a round, and says where it is.
    pub fn config(
        &self,
        (texts, policy): (&Texts, &Policy),
        limits: Limits,
    ) -> Result<PathBuf, ParityError> {
        let staging = Staging { upstream: self.upstream, limits };
        let staged = texts.staged(policy, &staging).map_err(ParityError::Staged)?;
        let Staged { config: text, documents } = staged;
        let folder = self.folder.join(match limits {
            Limits::Wide { .. } => "wide".to_owned(),
            Limits::Tight { at, .. } => format!("tight-{at:?}"),
        });
        make_folder(&folder)?;
        for (name, document) in documents {
            fs::write(folder.join(name), document).map_err(ParityError::Io)?;
        }
        let path = folder.join(CONFIG_FILE);
        fs::write(&path, text).map_err(ParityError::Io)?;
        // Here its problems can be told; of a gate that does not start there is only a log.
        match config::load(&path) {
            Ok(_) => Ok(path),
            Err(problems) => Err(ParityError::Config(Box::new(problems))),
        }
    }

    /// Copies the inventory, and makes a key for every profile that has none.
    pub fn cast(
        &self,
        clients: Clients,
        policy: &Arc<Policy>,
        now: UnixMicros,
    ) -> Result<Cast, ParityError> {
        let asked = Asked { by: &Actor::gate(), at: now };
        let database = match clients {
            Clients::Database(database) => database,
            Clients::Told(clients) => {
                let told = self.folder.join("told");
                let registry = open(&told, policy)?;
                registry.change(&Change::Apply(clients), asked).map_err(ParityError::Change)?;
                told.join(DATABASE_FILE)
            }
        };
        let home = self.home();
        let keys = Store::copy_with_fresh_secrets(&database, &home).map_err(ParityError::Store)?;
        let of = |key: &NewKey| (key.id.as_str().to_owned(), Key(key.reveal().to_owned()));
        let mut keys: AHashMap<String, Key> = keys.iter().map(of).collect();
        let registry = open(&home, policy)?;
        for change in additions(&registry.running().load().inventory, policy) {
            let done = registry.change(&change, asked).map_err(ParityError::Change)?;
            if let Outcome::Issued(issued) = done.outcome {
                keys.extend(issued.iter().map(|issued| of(&issued.key)));
            }
        }
        let inventory = registry.running().load().inventory.clone();
        Ok(Cast { inventory, keys })
    }

    /// A data directory with nothing in it but the inventory: nothing of any limit is used.
    pub fn data_dir(&mut self) -> Result<PathBuf, ParityError> {
        self.runs += 1;
        let data_dir = self.folder.join(format!("run-{}", self.runs));
        make_folder(&data_dir)?;
        let from = self.home().join(DATABASE_FILE);
        fs::copy(from, data_dir.join(DATABASE_FILE)).map_err(ParityError::Io)?;
        Ok(data_dir)
    }

    /// Nobody asks for its records any more.
    pub fn forget(data_dir: &Path) -> Result<(), ParityError> {
        fs::remove_dir_all(data_dir).map_err(ParityError::Io)
    }

    fn home(&self) -> PathBuf {
        self.folder.join("home")
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            log::warn!("{} stays: {error}", self.folder.display());
        }
    }
}

fn make_folder(path: &Path) -> Result<(), ParityError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(ParityError::Io)
}

fn open(data_dir: &Path, policy: &Arc<Policy>) -> Result<Registry, ParityError> {
    let store = Store::open(data_dir).map_err(ParityError::Store)?;
    let on_swap = Box::new(|_: &_| Ended::default());
    let opened = Registry::open(store, Arc::clone(policy), Arc::new(Nowhere), on_swap);
    opened.map_err(ParityError::Store)
}

/// Acts on the copy are nobody's business.
#[derive(Debug)]
struct Nowhere;

impl ActSink for Nowhere {
    fn record(&self, _: ActRecord) -> Result<(), AuditUnavailable> {
        Ok(())
    }

    fn flush(&self) -> Result<(), AuditUnavailable> {
        Ok(())
    }
}

/// What the copy has beside the original.
fn additions(inventory: &Inventory, policy: &Policy) -> Vec<Change> {
    let of = |credential: &Arc<Credential>| (credential.client.clone(), credential.profile.clone());
    let known: BTreeSet<_> = inventory.credentials.values().map(of).collect();
    let mut changes = Vec::new();
    for client in inventory.clients.values().filter(|client| client.status == Status::Active) {
        let lives = client.profiles.iter().filter(|profile| profile.status == Status::Active);
        for profile in lives {
            if !known.contains(&(client.id.clone(), profile.name.clone())) {
                let credential = key_of(profile.name.clone());
                changes.push(Change::AddCredential { client: client.id.clone(), credential });
            }
        }
    }
    let products = policy.products.iter().map(|product| product.name.clone()).collect();
    let all = Terms { products, ..Terms::default() };
    for (name, terms) in [(WITHOUT_GRANT, Terms::default()), (WITHOUT_SCOPE, all)] {
        changes.extend(refused(name, terms).map(Change::AddClient));
    }
    changes
}

fn key_of(profile: ProfileName) -> NewCredential {
    let key = KeySource::Issued(Environment::default());
    NewCredential { profile, holder: None, expires: None, key }
}

fn refused(name: &str, terms: Terms) -> Option<NewClient> {
    Some(NewClient {
        id: ClientId::parse(name).ok()?,
        kind: ClientKind::Service,
        owner: Line::parse("onegate parity").ok()?,
        purpose: Line::parse("to be refused").ok()?,
        expires: Some(Expires::Never),
        terms,
        profiles: Vec::new(),
        credentials: vec![key_of(ProfileName::default())],
    })
}
