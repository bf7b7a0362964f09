//! How commands reach the inventory: through the gate that runs on the data directory, or, when
//! none runs, through the store itself, under its lock. Either way the same code makes the change.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::Runtime;

use super::Exit;
use super::gate::{Gate, User};
use super::output::Failure;
use crate::admin::{Problem, SOCKET_FILE, last_calls, list, parse, show, socket, wire};
use crate::audit;
use crate::audit::keys::{self, Made, RotateError, Rotated};
use crate::clock;
use crate::inventory::actor::Actor;
use crate::inventory::change::Act;
use crate::inventory::store::{Asked, DATABASE_FILE, Store};
use crate::inventory::{ActSink, Ended, Registry};
use crate::model::id::kind;
use crate::model::policy::Policy;
use crate::server;

/// What a change needs when no gate runs: the config it is checked against, and an audit. Asked
/// for when the store's lock is held, so that two never write one audit.
pub type Beside<'a> = &'a dyn Fn() -> Result<(Arc<Policy>, Arc<dyn ActSink>), Failure>;

/// The control plane of one data directory.
pub struct Control<'a> {
    runtime: &'a Runtime,
    data_dir: PathBuf,
    gate: Option<Gate<'a>>,
    user: User,
    beside: Beside<'a>,
}

/// The control plane for reading.
#[derive(Debug)]
pub enum Reader<'c> {
    Gate(&'c Gate<'c>),
    Store(Store),
}

impl<'a> Control<'a> {
    pub fn find(
        runtime: &'a Runtime,
        data_dir: &Path,
        user: User,
        beside: Beside<'a>,
    ) -> Result<Self, Failure> {
        let gate = Gate::find(runtime, &data_dir.join(SOCKET_FILE), user.clone())?;
        Ok(Self { runtime, data_dir: data_dir.into(), gate, user, beside })
    }

    /// Makes one change, and returns when it is in force and recorded.
    pub fn change(&self, change: &wire::Change) -> Result<wire::Made, Failure> {
        // Here too, so that a bad argument is told as such before anything is opened.
        let parsed = parse::change(change)?;
        if let Some(gate) = &self.gate {
            return gate.post("/v1/changes", change);
        }
        let uid = self.own_uid()?;
        let store = self.open()?;
        let (policy, acts) = (self.beside)()?;
        let on_swap = Box::new(|_: &_| Ended::default());
        let registry = Registry::open(store, policy, acts, on_swap).map_err(problem)?;
        let User { login, sudo_user } = &self.user;
        let actor = Actor::local(uid, login.as_deref(), sudo_user.as_deref());
        let asked = Asked { by: &actor, at: clock::wall() };
        let done = registry.change(&parsed, asked).map_err(problem)?;
        let last_calls = last_calls::of(&parsed, &self.data_dir);
        Ok(show::done(done, &registry.running().load(), last_calls))
    }

    /// Opens the inventory for reading; nothing is made where there is none.
    pub fn reader(&self) -> Result<Reader<'_>, Failure> {
        if let Some(gate) = &self.gate {
            return Ok(Reader::Gate(gate));
        }
        if !self.data_dir.join(DATABASE_FILE).exists() {
            return Err(no_inventory(&self.data_dir));
        }
        self.own_uid()?;
        Ok(Reader::Store(self.open()?))
    }

    /// Has the running gate load its config again.
    pub fn reload(&self) -> Result<wire::Reloaded, Failure> {
        self.running()?.post("/v1/reload", &())
    }

    /// Has the audit signed with another key.
    pub fn rotate_key(&self, asked: &wire::RotateKey) -> Result<wire::KeyRotated, Failure> {
        let reason = parse::reason(&asked.reason)?;
        if let Some(gate) = &self.gate {
            return gate.post("/v1/audit/key", asked);
        }
        let uid = self.own_uid()?;
        let store = self.open()?;
        // The log that is opened now begins with it.
        let rotated = keys::make_next(&self.data_dir, &server::node());
        let (Rotated { from, to }, made) =
            rotated.map_err(|why| Failure::plain(Exit::NotDone, why))?;
        // Without a log nobody hands over, and nobody shall later without being asked.
        let forget = || keys::forget_next(&self.data_dir, &audit::directory(&self.data_dir), &to);
        let beside = (self.beside)().inspect_err(|_| {
            if made == Made::Now {
                forget();
            }
        });
        let (policy, acts) = beside?;
        let on_swap = Box::new(|_: &_| Ended::default());
        let registry = Registry::open(store, policy, acts, on_swap).map_err(problem)?;
        let User { login, sudo_user } = &self.user;
        let actor = Actor::local(uid, login.as_deref(), sudo_user.as_deref());
        let asked = Asked { by: &actor, at: clock::wall() };
        let is_done = keys::is_in_force(&self.data_dir, &to);
        registry.note(Act::rotate_key(&from, is_done.then_some(&*to), reason), asked);
        if is_done {
            return Ok(wire::KeyRotated { from, to });
        }
        Err(Failure::not_done(
            RotateError::Late,
            "Look at the disk; the next start goes on with it.",
        ))
    }

    pub fn status(&self) -> Result<wire::Status, Failure> {
        self.running()?.get("/v1/status")
    }

    fn running(&self) -> Result<&Gate<'a>, Failure> {
        self.gate.as_ref().ok_or_else(|| {
            let detail = format!("no gate runs on {}", self.data_dir.display());
            Failure::not_done(detail, "Start it: onegate run")
        })
    }

    fn open(&self) -> Result<Store, Failure> {
        Store::open(&self.data_dir).map_err(problem)
    }

    /// This process's user, who must be the owner of the data directory: files that another user
    /// makes there would lock the gate out.
    fn own_uid(&self) -> Result<u32, Failure> {
        let failed = |error| {
            let what = format!("cannot look at {}: {error}", self.data_dir.display());
            Failure::not_done(what, "Check the path and its permissions.")
        };
        let own = self.runtime.block_on(async { socket::own_uid() }).map_err(failed)?;
        match fs::metadata(&self.data_dir) {
            Ok(metadata) if metadata.uid() != own => Err(Failure::not_done(
                format!(
                    "{} belongs to uid {}, this is uid {own}, and no gate runs to ask",
                    self.data_dir.display(),
                    metadata.uid()
                ),
                format!("Run this as its owner: sudo -u '#{}' onegate …", metadata.uid()),
            )),
            Ok(_) => Ok(own),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(own),
            Err(error) => Err(failed(error)),
        }
    }
}

impl Reader<'_> {
    pub fn client(&self, id: &str) -> Result<wire::ClientDetail, Failure> {
        parse::name::<kind::Client>("client", id)?;
        match self {
            Self::Gate(gate) => gate.get(&format!("/v1/clients/{id}")),
            Self::Store(store) => list::client(store, id).map_err(refused),
        }
    }

    pub fn clients(&self, query: &wire::ListQuery) -> Result<wire::Page<wire::Client>, Failure> {
        match self {
            Self::Gate(gate) => gate.get(&target("/v1/clients", query)?),
            Self::Store(store) => list::clients(store, query).map_err(refused),
        }
    }

    pub fn grants(&self, query: &wire::ListQuery) -> Result<wire::Page<wire::Grant>, Failure> {
        match self {
            Self::Gate(gate) => gate.get(&target("/v1/grants", query)?),
            Self::Store(store) => list::grants(store, query).map_err(refused),
        }
    }

    pub fn credentials(
        &self,
        query: &wire::ListQuery,
    ) -> Result<wire::Page<wire::Credential>, Failure> {
        match self {
            Self::Gate(gate) => gate.get(&target("/v1/credentials", query)?),
            Self::Store(store) => list::credentials(store, query).map_err(refused),
        }
    }
}

/// A list's path and query. Names and cursors need no escapes: a client's name is parsed here, and
/// a cursor is what an earlier page said.
fn target(path: &str, query: &wire::ListQuery) -> Result<String, Failure> {
    let mut target = format!("{path}?after={}", query.after.as_deref().unwrap_or_default());
    if let Some(client) = &query.client {
        parse::name::<kind::Client>("client", client)?;
        target += &format!("&client={client}");
    }
    Ok(target)
}

fn refused(problem: Problem) -> Failure {
    problem.into_wire().into()
}

fn problem(error: impl Into<Problem>) -> Failure {
    refused(error.into())
}

/// Nothing is made where somebody only wants to look.
pub fn no_inventory(data_dir: &Path) -> Failure {
    Failure::not_done(
        format!("there is no inventory in {}", data_dir.display()),
        "Name its directory with --data-dir, or add a client: onegate client add",
    )
}
