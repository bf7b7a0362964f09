//! The admin socket: the control plane over HTTP/1 on `DATA_DIR/admin.sock`, on a thread of its
//! own. A handler parses, asks the registry, and shows the answer; it decides nothing. It never
//! touches the path of requests.

mod example;
pub mod last_calls;
pub mod list;
pub mod parse;
mod problem;
pub mod show;
pub mod socket;
#[cfg(test)]
mod tests;
pub mod wire;

pub use problem::Problem;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path as InPath, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use tokio::net::UnixListener;
use tokio::sync::oneshot;

use crate::audit::keys::{RotateError, Rotated};
use crate::clock;
use crate::inventory::Registry;
use crate::inventory::actor::Actor;
use crate::inventory::change::Act;
use crate::inventory::store::{Asked, Store};
use socket::Peer;

/// Loads the config and puts it in force, or keeps the old one; either way says what happened.
pub type Reload = Box<dyn Fn() -> Result<String, String> + Send + Sync>;

/// Has the audit signed with another key, and waits until it is.
pub type RotateKey = Box<dyn Fn() -> Result<Rotated, RotateError> + Send + Sync>;

/// The file name of the socket in the data directory.
pub const SOCKET_FILE: &str = "admin.sock";

/// What the CLI says of its user. Unverified: recorded beside the uid, never relied on.
pub const LOGIN_HEADER: &str = "x-onegate-login";
pub const SUDO_USER_HEADER: &str = "x-onegate-sudo-user";

/// Body bytes of an `inventory apply`, and of everything else.
pub const APPLY_BYTES_MAX: usize = 64 << 20;
const BODY_BYTES_MAX: usize = 1 << 20;

/// Threads for the work behind a request: one changes, the others wait or read.
const BLOCKING_THREADS_MAX: usize = 4;

/// The running admin socket.
#[derive(Debug)]
pub struct AdminServer {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
    socket: PathBuf,
}

/// Why the admin socket could not be opened.
#[derive(Debug)]
pub enum AdminError {
    /// Someone answers at it.
    Taken(PathBuf),
    NotASocket(PathBuf),
    Io {
        doing: &'static str,
        path: PathBuf,
        error: io::Error,
    },
}

struct Admin {
    registry: Arc<Registry>,
    reload: Reload,
    rotate: RotateKey,
    data_dir: PathBuf,
}

/// Opens the admin socket of a data directory and serves it.
pub fn start(
    data_dir: &Path,
    registry: Arc<Registry>,
    reload: Reload,
    rotate: RotateKey,
) -> Result<AdminServer, AdminError> {
    let path = data_dir.join(SOCKET_FILE);
    let failed = |doing| {
        let path = path.clone();
        move |error| AdminError::Io { doing, path, error }
    };
    let listener = socket::bind(&path)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build()
        .map_err(failed("serve"))?;
    let router = router(Arc::new(Admin { registry, reload, rotate, data_dir: data_dir.into() }));
    let (stop, stopped) = oneshot::channel();
    let serve = async move {
        match UnixListener::from_std(listener) {
            Ok(listener) => socket::serve(listener, router, stopped).await,
            Err(error) => log::error!("admin socket: {error}"),
        }
    };
    let thread = thread::Builder::new().name("admin".into()).spawn(move || runtime.block_on(serve));
    Ok(AdminServer { stop, thread: thread.map_err(failed("serve"))?, socket: path })
}

impl AdminServer {
    /// Takes no more requests, lets those that run end, and removes the socket.
    pub fn stop(self) {
        let Self { stop, thread, socket } = self;
        // When the thread is gone already, there is nobody to tell.
        stop.send(()).ok();
        if thread.join().is_err() {
            log::error!("admin socket: its thread panicked");
        }
        if let Err(error) = fs::remove_file(&socket) {
            log::warn!("cannot remove {}: {error}", socket.display());
        }
    }
}

/// Reloads the config through `reload` and records it, and apart from that what it made of the tools; also
/// for a signal.
pub fn reload(registry: &Registry, reload: &Reload, asked: Asked<'_>) -> Result<String, String> {
    let running = registry.running();
    let before = running.load_full();
    let result = reload();
    let after = running.load_full();
    registry.note(Act::reload(&before.label, result.as_ref().map(|_| &*after.label).ok()), asked);
    if result.is_ok() {
        let change = Act::catalogue(before.policy.catalogue(), after.policy.catalogue());
        change.map(|act| registry.note(act, asked));
    }
    result
}

fn router(admin: Arc<Admin>) -> Router {
    let small = DefaultBodyLimit::max(BODY_BYTES_MAX);
    Router::new()
        .route("/v1/clients", get(clients))
        .route("/v1/clients/{id}", get(client))
        .route("/v1/grants", get(grants))
        .route("/v1/credentials", get(credentials))
        .route("/v1/status", get(status))
        .route("/v1/reload", post(reload_config))
        .route("/v1/audit/key", post(rotate_key))
        .layer(small)
        .route("/v1/changes", post(make_change).layer(DefaultBodyLimit::max(APPLY_BYTES_MAX)))
        .method_not_allowed_fallback(async || no_such("has no such method"))
        .fallback(async || no_such("is not there"))
        .with_state(admin)
}

type Answer<Body> = Result<Json<Body>, Problem>;

async fn make_change(
    State(admin): State<Arc<Admin>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer<wire::Made> {
    let body = body.map_err(|why| bad_body(why.status(), why.body_text()))?;
    let actor = actor(peer, &headers);
    in_background(move || {
        let wire: wire::Change =
            serde_json::from_slice(&body).map_err(|why| bad_body(StatusCode::BAD_REQUEST, why))?;
        if body.len() > BODY_BYTES_MAX && !matches!(wire, wire::Change::Apply(_)) {
            return Err(bad_body(StatusCode::PAYLOAD_TOO_LARGE, "the change is too large"));
        }
        let change = parse::change(&wire)?;
        let asked = Asked { by: &actor, at: clock::wall() };
        let done = admin.registry.change(&change, asked)?;
        let last_calls = last_calls::of(&change, &admin.data_dir);
        Ok(Json(show::done(done, &admin.registry.running().load(), last_calls)))
    })
    .await
}

async fn clients(
    State(admin): State<Arc<Admin>>,
    query: Result<Query<wire::ListQuery>, QueryRejection>,
) -> Answer<wire::Page<wire::Client>> {
    let query = query.map_err(bad_query)?.0;
    reading(admin, move |store| list::clients(store, &query)).await
}

async fn client(
    State(admin): State<Arc<Admin>>,
    InPath(id): InPath<String>,
) -> Answer<wire::ClientDetail> {
    reading(admin, move |store| list::client(store, &id)).await
}

async fn grants(
    State(admin): State<Arc<Admin>>,
    query: Result<Query<wire::ListQuery>, QueryRejection>,
) -> Answer<wire::Page<wire::Grant>> {
    let query = query.map_err(bad_query)?.0;
    reading(admin, move |store| list::grants(store, &query)).await
}

async fn credentials(
    State(admin): State<Arc<Admin>>,
    query: Result<Query<wire::ListQuery>, QueryRejection>,
) -> Answer<wire::Page<wire::Credential>> {
    let query = query.map_err(bad_query)?.0;
    reading(admin, move |store| list::credentials(store, &query)).await
}

async fn status(State(admin): State<Arc<Admin>>) -> Json<wire::Status> {
    Json(show::status(&admin.registry.running().load()))
}

async fn reload_config(
    State(admin): State<Arc<Admin>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Answer<wire::Reloaded> {
    let actor = actor(peer, &headers);
    in_background(move || {
        let asked = Asked { by: &actor, at: clock::wall() };
        let message = reload(&admin.registry, &admin.reload, asked).map_err(|why| {
            let fix = "The old config serves on. Mend the new one; `onegate check` looks at the file alone.";
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "config_refused", why, fix)
        })?;
        Ok(Json(wire::Reloaded { message }))
    })
    .await
}

async fn rotate_key(
    State(admin): State<Arc<Admin>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer<wire::KeyRotated> {
    let body = body.map_err(|why| bad_body(why.status(), why.body_text()))?;
    let actor = actor(peer, &headers);
    in_background(move || {
        let wire: wire::RotateKey =
            serde_json::from_slice(&body).map_err(|why| bad_body(StatusCode::BAD_REQUEST, why))?;
        let reason = parse::reason(&wire.reason)?;
        let rotated = (admin.rotate)();
        let asked = Asked { by: &actor, at: clock::wall() };
        let act = match &rotated {
            Ok(Rotated { from, to }) => Act::rotate_key(from, Some(to), reason),
            Err(_) => Act::rotate_key("", None, reason),
        };
        admin.registry.note(act, asked);
        let Rotated { from, to } = rotated.map_err(|why| {
            let fix = "Look at the gate's log and its disk.";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "audit_unavailable", why.to_string(), fix)
        })?;
        Ok(Json(wire::KeyRotated { from, to }))
    })
    .await
}

async fn reading<Body: Send + 'static>(
    admin: Arc<Admin>,
    read: impl FnOnce(&Store) -> Result<Body, Problem> + Send + 'static,
) -> Answer<Body> {
    in_background(move || admin.registry.read(read).map(Json)).await
}

/// The store blocks; the thread that serves the socket must not.
async fn in_background<Body: Send + 'static>(
    work: impl FnOnce() -> Answer<Body> + Send + 'static,
) -> Answer<Body> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        log::error!("admin socket: a request failed: {error}");
        let (detail, fix) = ("the gate failed", "Look at its log.");
        Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", detail, fix))
    })
}

fn actor(peer: Peer, headers: &HeaderMap) -> Actor {
    let hint = |name| headers.get(name).and_then(|value| value.to_str().ok());
    Actor::local(peer.uid, hint(LOGIN_HEADER), hint(SUDO_USER_HEADER))
}

fn bad_body(status: StatusCode, why: impl fmt::Display) -> Problem {
    Problem::new(status, "malformed_request", why, "Send one change as JSON.")
}

fn bad_query(why: QueryRejection) -> Problem {
    let fix = "A list takes 'client' and 'after'.";
    Problem::new(StatusCode::BAD_REQUEST, "malformed_request", why.body_text(), fix)
}

fn no_such(why: &str) -> Problem {
    let detail = format!("this path {why}");
    Problem::new(StatusCode::NOT_FOUND, "not_found", detail, "Use the onegate command.")
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken(path) => write!(f, "another gate answers at {}", path.display()),
            Self::NotASocket(path) => write!(f, "{} is in the way of the socket", path.display()),
            Self::Io { doing, path, error } => {
                write!(f, "cannot {doing} {}: {error}", path.display())
            }
        }
    }
}

impl std::error::Error for AdminError {}
