//! Wiring: starts every part in order, stops them in the opposite one, and swaps the config.
//!
//! The one place that knows every layer. Worker threads run Pingora and nothing else; the control
//! thread (the caller's) serves metrics and obeys signals; the recorder, the counters, the sweeper, the
//! resolver, the keeper of the upstreams and the admin socket have threads of their own.

mod archivist;
mod brakes;
mod gauges;
mod keep;
mod life;
mod listen;
mod reload;
mod rotation;
mod signals;
mod start_error;
mod ticker;
mod upstreams;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pingora::server::configuration::ServerConf;
use pingora::services::Service as _;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::access_log::{AccessLog, Feed};
use crate::admin::{self, AdminServer, RotateKey, SOCKET_FILE};
use crate::audit::digest::ArgsKey;
use crate::audit::{self, AuditLog, Recorder};
use crate::clock;
use crate::config::Loaded;
use crate::counters::{self, Counters, Ledger};
use crate::edge::Shared;
use crate::edge::connection::Connections;
use crate::edge::exchange::Exchange;
use crate::edge::flights::{EndedCalls, Flights, Listening, TICK};
use crate::edge::loops::Brakes;
use crate::edge::mcp::Means;
use crate::edge::mcp::dispatch::Way;
use crate::edge::pace::Pace;
use crate::edge::proxy::Gate;
use crate::edge::strangers::Strangers;
use crate::inventory::error::AuditUnavailable;
use crate::inventory::store::Store;
use crate::inventory::{ActSink, Ended, OnSwap, Registry};
use crate::metrics::{Metrics, serve};
use crate::model::policy::{Checkpoints, Policy};
use crate::model::record::ActRecord;
use crate::request;

use self::archivist::Archivist;
use self::gauges::LiveGauges;
pub use self::keep::keep;
use self::listen::Bound;
pub use self::reload::{Reloader, Source};
use self::rotation::{LOOK_EVERY, Rotation};
pub use self::start_error::StartError;
use self::ticker::Ticker;
use self::upstreams::Lookout;

/// A gate that serves.
#[derive(Debug)]
pub struct Running {
    pub listeners: Vec<Listening>,
    pub metrics_address: SocketAddr,
    pub admin_socket: PathBuf,
    shared: Arc<Shared>,
    reloader: Arc<Reloader>,
    control: Runtime,
    workers: Runtime,
    shutdown: watch::Sender<bool>,
    admin: AdminServer,
    recorder: Recorder,
    archivist: Archivist,
    access_log: Arc<AccessLog>,
    ledger: Ledger,
    brakes: Ticker,
    _tickers: [Ticker; 2],
    _lookout: Lookout,
}

/// Starts a gate on a config that was loaded from `source`. When this returns, it serves.
pub fn start(loaded: Loaded, source: Source) -> Result<Running, StartError> {
    start_with(loaded, source, Way::default())
}

/// The same, with inner requests that take this way.
pub fn start_with(loaded: Loaded, source: Source, way: Way) -> Result<Running, StartError> {
    let policy = Arc::new(loaded.policy);
    let store = Store::open(&policy.server.data_dir).map_err(StartError::Store)?;
    // Before the first record names it.
    drop(keep(&loaded.texts, &policy.server.data_dir));
    let bound = listen::bind(&policy.listeners).map_err(StartError::Listener)?;
    let metrics_socket = serve::bind(policy.metrics.address)
        .map_err(|error| StartError::Metrics { address: policy.metrics.address, error })?;
    let metrics = Arc::new(Metrics::new().map_err(StartError::Series)?);
    let access_log = open_access_log(&policy, &metrics)?;
    let (log, recorder) = open_audit(&policy, &metrics, access_log.feed())?;

    let (counters, ledger) = open_counters(&policy)?;
    let flights = Arc::new(Flights::new(&bound.listeners));
    let rotation = Arc::new(Rotation::open(&policy.listeners).map_err(StartError::Tls)?);
    let upstreams = upstreams::start(&policy, metrics.upstreams.retries.clone());
    let (upstreams, lookout) = upstreams.map_err(StartError::Thread)?;
    let registry = open_registry(store, &policy, &log, &flights)?;
    let shared = Arc::new(Shared {
        snapshot: registry.running(),
        audit: log,
        args_key: ArgsKey::in_directory(&policy.server.data_dir).map_err(StartError::Digest)?,
        flights: Arc::clone(&flights),
        doors: rotation.doors(),
        upstreams,
        counters,
        strangers: Strangers::default(),
        mcp: Means::default(),
        brakes: Brakes::default(),
        refused_before_request: metrics.gate.refused_before_request.clone(),
        unrecorded: metrics.unrecorded(),
    });

    let metrics_address = metrics_socket.local_addr().map_err(StartError::Thread)?;
    let control = start_control(metrics_socket, &shared, &metrics).map_err(StartError::Thread)?;
    let archivist = start_archivist(&policy, &recorder, &registry, &metrics, &shared.audit)?;
    let brakes = brakes::start(&shared, &registry)?;
    let tickers = start_tickers(flights, &registry, &rotation)?;
    let reloader = Arc::new(Reloader {
        source,
        rotation,
        registry: Arc::clone(&registry),
        shared: Arc::clone(&shared),
        metrics,
        access_log: Arc::clone(&access_log),
        turn: Mutex::new(()),
    });
    let admin = start_admin(&policy, registry, &reloader, rotate_key(&recorder, &shared.audit))?;
    let listeners = bound.listeners.clone();
    let (shutdown, shutdown_watch) = watch::channel(false);
    let workers = start_workers(&policy, bound, &shared, (shutdown_watch, way))?;
    Ok(Running {
        listeners,
        metrics_address,
        admin_socket: policy.server.data_dir.join(SOCKET_FILE),
        shared,
        reloader,
        control,
        workers,
        shutdown,
        admin,
        recorder,
        archivist,
        access_log,
        ledger,
        brakes,
        _tickers: tickers,
        _lookout: lookout,
    })
}

impl Running {
    /// The inventory of the running gate.
    pub fn registry(&self) -> &Registry {
        &self.reloader.registry
    }

    pub fn is_without_clients(&self) -> bool {
        self.shared.snapshot.load().inventory.clients.is_empty()
    }
}

fn open_registry(
    store: Store,
    policy: &Arc<Policy>,
    log: &AuditLog,
    flights: &Arc<Flights>,
) -> Result<Arc<Registry>, StartError> {
    let sink = Arc::new(AuditSink(log.clone()));
    let on_swap = recheck_flights(Arc::clone(flights));
    let registry = Registry::open(store, Arc::clone(policy), sink, on_swap);
    let registry = registry.map_err(StartError::Inventory)?;
    tell_missing(&registry);
    Ok(Arc::new(registry))
}

/// A reload to a config that lacks what is in use would be refused. A start must not be: whoever else
/// calls needs the gate.
fn tell_missing(registry: &Registry) {
    for missing in registry.missing(clock::wall()) {
        log::warn!("{missing}, and the config has no such thing: these calls are refused");
    }
}

fn open_counters(policy: &Policy) -> Result<(Counters, Ledger), StartError> {
    counters::open(&policy.server.data_dir).map_err(StartError::Counters)
}

fn start_control(
    socket: TcpListener,
    shared: &Arc<Shared>,
    metrics: &Arc<Metrics>,
) -> io::Result<Runtime> {
    let gauges = LiveGauges { shared: Arc::clone(shared), metrics: Arc::clone(metrics) };
    let control = Builder::new_current_thread().enable_all().build()?;
    control.spawn(serve::serve(socket, Arc::new(gauges)));
    Ok(control)
}

fn open_access_log(policy: &Policy, metrics: &Metrics) -> Result<Arc<AccessLog>, StartError> {
    let log = AccessLog::start(metrics.gate.access_log_dropped.clone());
    let log = log.map_err(StartError::Thread)?;
    log.adopt(policy.access_log.as_ref()).map_err(StartError::AccessLog)?;
    Ok(Arc::new(log))
}

fn open_audit(
    policy: &Policy,
    metrics: &Metrics,
    mut feed: Feed,
) -> Result<(AuditLog, Recorder), StartError> {
    let mut fold = metrics.fold(policy.metrics.clients_max);
    let directory = audit::directory(&policy.server.data_dir);
    let keys = &policy.server.data_dir;
    let opened = audit::open(&directory, keys, policy.audit, &node(), move |record| {
        fold.count(record);
        feed.show(record);
    });
    let (log, mut recorder) = opened.map_err(StartError::Audit)?;
    let Checkpoints { to, every } = policy.checkpoints.clone();
    recorder.send_checkpoints(to, every).map_err(StartError::Thread)?;
    Ok((log, recorder))
}

/// Has the audit signed with another key.
fn rotate_key(recorder: &Recorder, log: &AuditLog) -> RotateKey {
    let (keys, log) = (Arc::clone(recorder.keys()), log.clone());
    Box::new(move || keys.rotate(|| log.wake(), ROTATE_DEADLINE))
}

/// How long the log may take to hand over to another key.
const ROTATE_DEADLINE: Duration = Duration::from_secs(10);

/// The host's name, as records say it.
pub fn node() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "localhost".to_owned() } else { name.trim().to_owned() }
}

fn start_admin(
    policy: &Policy,
    registry: Arc<Registry>,
    reloader: &Arc<Reloader>,
    rotate: RotateKey,
) -> Result<AdminServer, StartError> {
    let reloader = Arc::clone(reloader);
    let reload = Box::new(move || reloader.reload());
    admin::start(&policy.server.data_dir, registry, reload, rotate).map_err(StartError::Admin)
}

fn start_archivist(
    policy: &Policy,
    recorder: &Recorder,
    registry: &Arc<Registry>,
    metrics: &Metrics,
    log: &AuditLog,
) -> Result<Archivist, StartError> {
    let parts = archivist::Parts {
        recorder,
        log: log.clone(),
        registry: Arc::clone(registry),
        failures: metrics.gate.archive_failures.clone(),
    };
    Archivist::start(&policy.server.data_dir, &node(), parts).map_err(StartError::Thread)
}

/// What looks at live calls, and at certificates.
fn start_tickers(
    flights: Arc<Flights>,
    registry: &Registry,
    rotation: &Arc<Rotation>,
) -> Result<[Ticker; 2], StartError> {
    let (running, rotation) = (registry.running(), Arc::clone(rotation));
    let sweep = move || flights.sweep(Pace::of(&running.load().policy.bounds));
    let sweeper = Ticker::start("onegate-sweeper", TICK, sweep).map_err(StartError::Thread)?;
    let rotator = Ticker::start("onegate-rotator", LOOK_EVERY, move || rotation.look());
    Ok([sweeper, rotator.map_err(StartError::Thread)?])
}

/// After a swap, live calls that are no longer permitted end.
fn recheck_flights(flights: Arc<Flights>) -> OnSwap {
    Box::new(move |snapshot| {
        let now = clock::now();
        let judge = |call: &_| request::still_permitted(snapshot, call, now);
        let EndedCalls { requests, streams } = flights.recheck(judge);
        Ended { requests, streams }
    })
}

fn start_workers(
    policy: &Policy,
    bound: Bound,
    shared: &Arc<Shared>,
    (shutdown, way): (watch::Receiver<bool>, Way),
) -> Result<Runtime, StartError> {
    let threads = policy.server.threads.map_or_else(std::thread::available_parallelism, |n| {
        n.try_into().map_err(|_| io::ErrorKind::InvalidInput.into())
    });
    let threads = threads.map_err(StartError::Thread)?.get();
    let workers = Builder::new_multi_thread()
        .worker_threads(threads)
        .thread_name("onegate-worker")
        .enable_all()
        .build()
        .map_err(StartError::Thread)?;
    let conf = ServerConf { threads, max_retries: ATTEMPTS_MAX, ..ServerConf::default() };
    let gate = Gate { shared: Arc::clone(shared) };
    let proxy = Arc::new(pingora::proxy::http_proxy(&Arc::new(conf), gate));
    // It is the first.
    shared.mcp.dispatch.set(way.into_dispatch(&proxy)).ok();
    let app = Connections { shared: Arc::clone(shared), exchange: Arc::new(Exchange { proxy }) };
    let (mut service, sockets) = listen::service(bound, app);
    workers.spawn(async move { service.start_service(Some(sockets), shutdown, 1).await });
    Ok(workers)
}

/// Pingora's bound on attempts; the upstream's own `retries` is at most 5 and comes first.
const ATTEMPTS_MAX: usize = 6;

/// An audit log, for acts of administration.
#[derive(Debug)]
pub struct AuditSink(pub AuditLog);

impl ActSink for AuditSink {
    fn record(&self, act: ActRecord) -> Result<(), AuditUnavailable> {
        let full = |_| AuditUnavailable("the audit queue is full".to_owned());
        self.0.record_act(act).map_err(full)
    }

    fn flush(&self) -> Result<(), AuditUnavailable> {
        let late = |_| AuditUnavailable("the audit was not written in time".to_owned());
        self.0.flush(ACT_FLUSH_DEADLINE).map_err(late)
    }
}

/// How long an act of administration waits for its record to be written.
const ACT_FLUSH_DEADLINE: Duration = Duration::from_secs(5);
