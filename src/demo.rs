//! `onegate demo`: a sample API, the gate before it and two clients (INTERFACES.md 8).
//!
//! The gate is the real one, started by `server`; its clients are made by the call that the CLI
//! uses. A data directory that a demo made is continued, with the keys it has.

mod error;
mod lines;
pub mod payments;

pub use error::DemoError;
pub use lines::{Example, lines};

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use crate::clock;
use crate::inventory::Done;
use crate::inventory::actor::Actor;
use crate::inventory::change::{Change, KeySource, Line, NewClient, NewCredential, Outcome, Terms};
use crate::inventory::error::ChangeError;
use crate::inventory::store::{Asked, Store};
use crate::model::client::ClientKind;
use crate::model::id::{ClientId, PlanName, ProductName, ProfileName, Scope};
use crate::model::key::Environment;
use crate::server::{self, Running, Source, StartError};

/// A demo that serves.
#[derive(Debug)]
pub struct Demo {
    pub url: SocketAddr,
    pub data_dir: PathBuf,
    pub config: PathBuf,
    pub clients: Vec<DemoClient>,
    pub running: Running,
}

#[derive(Debug)]
pub struct DemoClient {
    pub id: &'static str,
    pub kind: ClientKind,
    /// None when the client was made by an earlier run: keys are shown once.
    pub key: Option<String>,
}

/// Starts the upstream and the gate, and makes the clients that are not there yet.
pub fn start(
    listen: SocketAddr,
    metrics: SocketAddr,
    data_dir: Option<PathBuf>,
) -> Result<Demo, DemoError> {
    let data_dir = match data_dir {
        Some(data_dir) => data_dir,
        None => fresh_directory()?,
    };
    if data_dir.join("inventory.db").exists() && !data_dir.join(CONFIG_FILE).exists() {
        return Err(DemoError::NotADemo(data_dir));
    }
    fs::create_dir_all(&data_dir).map_err(DemoError::Io)?;
    // Another demo may run on it: its lock says so before its config is written over.
    Store::open(&data_dir).map_err(|error| DemoError::Start(StartError::Store(error)))?;
    let upstream = start_upstream().map_err(DemoError::Io)?;
    let config = write_config(&data_dir, listen, metrics, upstream).map_err(DemoError::Io)?;
    let source = Source { path: config.clone(), data_dir: Some(data_dir.clone()) };
    let loaded = source.load().map_err(|problems| DemoError::Config(problems.to_string()))?;
    let running = server::start(loaded, source).map_err(DemoError::Start)?;
    let url = running.listeners.first().map_or(listen, |listener| listener.address);
    let clients = CLIENTS.iter().map(|spec| spec.make(&running)).collect::<Result<_, _>>()?;
    Ok(Demo { url, data_dir, config, clients, running })
}

/// The config that the demo writes into its data directory; also the mark of its own making.
const CONFIG_FILE: &str = "demo.toml";
const CONFIG: &str = include_str!("../conf/demo/demo.toml");
/// What the config names, beside it.
const DOCUMENT_FILE: &str = "payments.yaml";
const DOCUMENT: &str = include_str!("../conf/demo/payments.yaml");

fn write_config(
    data_dir: &Path,
    listen: SocketAddr,
    metrics: SocketAddr,
    upstream: SocketAddr,
) -> io::Result<PathBuf> {
    let text = format!("[server]\ndata_dir = \".\"\n\n{CONFIG}")
        .replace("127.0.0.1:8080", &listen.to_string())
        .replace("127.0.0.1:9464", &metrics.to_string())
        .replace("127.0.0.1:9000", &upstream.to_string());
    fs::write(data_dir.join(DOCUMENT_FILE), DOCUMENT)?;
    let path = data_dir.join(CONFIG_FILE);
    fs::write(&path, text)?;
    fs::canonicalize(path)
}

/// The payments service, on a thread and a port of its own, for as long as the process lives.
fn start_upstream() -> io::Result<SocketAddr> {
    let socket = TcpListener::bind("127.0.0.1:0")?;
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let serve = async move {
        axum::serve(tokio::net::TcpListener::from_std(socket)?, payments::routes()).await
    };
    let serve = move || {
        if let Err(error) = runtime.block_on(serve) {
            log::error!("the demo's payments service ended: {error}");
        }
    };
    std::thread::Builder::new().name("payments".to_owned()).spawn(serve)?;
    Ok(address)
}

fn fresh_directory() -> Result<PathBuf, DemoError> {
    let id: u64 = rand::random();
    let path = std::env::temp_dir().join(format!("onegate-demo-{id:016x}"));
    fs::create_dir(&path).map_err(DemoError::Io)?;
    Ok(path)
}

/// A client of the demo.
struct Spec {
    id: &'static str,
    kind: ClientKind,
    owner: &'static str,
    purpose: &'static str,
    product: &'static str,
    plan: &'static str,
    scopes: &'static [&'static str],
}

const CLIENTS: [Spec; 2] = [
    Spec {
        id: "mobile-app",
        kind: ClientKind::App,
        owner: "payments-team@example.com",
        purpose: "the customers' app",
        product: "payments-all",
        plan: "standard",
        scopes: &["payments:read", "payments:write"],
    },
    Spec {
        id: "support-agent",
        kind: ClientKind::Agent,
        owner: "support@example.com",
        purpose: "answers questions about payments",
        product: "payments-read",
        plan: "agent",
        scopes: &["payments:read"],
    },
];

impl Spec {
    /// Makes the client, unless an earlier run has.
    fn make(&self, running: &Running) -> Result<DemoClient, DemoError> {
        let change = Change::AddClient(self.parse().ok_or(DemoError::Spec(self.id))?);
        let asked = Asked { by: &Actor::gate(), at: clock::wall() };
        let key = match running.registry().change(&change, asked) {
            Ok(Done { outcome: Outcome::Issued(keys), .. }) => {
                keys.first().map(|issued| issued.key.reveal().to_owned())
            }
            Ok(_) | Err(ChangeError::AlreadyExists { .. }) => None,
            Err(error) => return Err(DemoError::Seed(error)),
        };
        Ok(DemoClient { id: self.id, kind: self.kind, key })
    }

    fn parse(&self) -> Option<NewClient> {
        Some(NewClient {
            id: ClientId::parse(self.id).ok()?,
            kind: self.kind,
            owner: Line::parse(self.owner).ok()?,
            purpose: Line::parse(self.purpose).ok()?,
            expires: None,
            terms: Terms {
                products: [ProductName::parse(self.product).ok()?].into(),
                scopes: self.scopes.iter().map(|s| Scope::parse(s)).collect::<Option<_>>()?,
                plan: Some(PlanName::parse(self.plan).ok()?),
                presentation: None,
            },
            profiles: Vec::new(),
            credentials: vec![NewCredential {
                profile: ProfileName::parse("default").ok()?,
                holder: None,
                expires: None,
                key: KeySource::Issued(Environment::default()),
            }],
        })
    }
}
