//! What tests of the control plane share: a directory, a small config, an audit in memory, and
//! short words for changes. Only for tests.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use ahash::AHashMap;

use super::actor::Actor;
use super::change::*;
use super::error::AuditUnavailable;
use super::store::{Asked, Store};
use super::{ActSink, Ended, Registry};
use crate::model::api::{Access, ApiFacts, Durability, Metering, Methods, Operation};
use crate::model::client::ClientKind;
use crate::model::id::{ApiName, ClientId, Name, OperationId, Scope};
use crate::model::key::Environment;
use crate::model::plan::Plan;
use crate::model::policy::{
    ArchiveSettings, AuditSettings, Bounds, Checkpoints, MetricsSettings, OnFailure, Policy,
    Product, Server,
};
use crate::model::record::ActRecord;
use crate::model::template::Template;
use crate::model::time::UnixMicros;

/// 2026-11-21T00:00:00Z.
pub const NOW: UnixMicros = UnixMicros::from_seconds(1_795_219_200);

/// A directory for one test, gone after it.
#[derive(Debug)]
pub struct TempDir(PathBuf);

impl Default for TempDir {
    fn default() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("onegate-test-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::remove_dir_all(&path).ok();
        fs::DirBuilder::new().mode(0o700).create(&path).expect("a temporary directory");
        Self(path)
    }
}

impl TempDir {
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// An audit in memory, which can be made to refuse.
#[derive(Debug, Default)]
pub struct MemoryAudit {
    pub acts: Mutex<Vec<ActRecord>>,
    pub full: Mutex<bool>,
}

impl MemoryAudit {
    /// What was recorded since the last call: action, target without the random id of a
    /// credential, and whether it failed.
    pub fn take(&self) -> Vec<String> {
        let told = |act: ActRecord| {
            let failed = if act.succeeded { "" } else { " failed" };
            let target = match act.target.split_once('/') {
                Some(("credential", _)) => "credential/*",
                _ => &act.target,
            };
            format!("{} {target}{failed}", act.action)
        };
        self.acts.lock().unwrap().drain(..).map(told).collect()
    }
}

impl ActSink for MemoryAudit {
    fn record(&self, act: ActRecord) -> Result<(), AuditUnavailable> {
        if *self.full.lock().unwrap() {
            return Err(AuditUnavailable("the disk is full".into()));
        }
        self.acts.lock().unwrap().push(act);
        Ok(())
    }

    fn flush(&self) -> Result<(), AuditUnavailable> {
        Ok(())
    }
}

/// A registry on a directory, with its audit. Every swap ends one request and two streams.
pub fn registry(dir: &TempDir) -> (Registry, Arc<MemoryAudit>) {
    let audit = Arc::new(MemoryAudit::default());
    let store = Store::open(dir.path()).expect("the store opens");
    let on_swap = Box::new(|_: &Arc<_>| Ended { requests: 1, streams: 2 });
    let sink: Arc<dyn ActSink> = Arc::<MemoryAudit>::clone(&audit);
    let policy = policy(&["payments-all", "payments-read"], &["agent", "standard"]);
    (Registry::open(store, policy, sink, on_swap).expect("the registry opens"), audit)
}

pub fn policy(products: &[&str], plans: &[&str]) -> Arc<Policy> {
    let second = Duration::from_secs(1);
    let plan = |text: &&str| {
        let header = http::HeaderValue::from_static("");
        let plan = Plan::new(name(text), Box::default(), Box::default(), None, header);
        (name(text), Arc::new(plan))
    };
    let product = |text: &&str| Product { name: name(text), operations: [].into() };
    Arc::new(Policy {
        digest: "0123456789abcdef".into(),
        server: Server {
            threads: None,
            data_dir: "".into(),
            drain_delay: second,
            drain_deadline: second,
        },
        listeners: [].into(),
        bounds: Bounds {
            idle_timeout: second,
            head_deadline: second,
            handshake_deadline: second,
            body_timeout: second,
            body_rate_min: 1024,
            body_rate_window: Duration::from_mins(1),
            head_bytes_max: 1,
            head_fields_max: 1,
            uri_bytes_max: 1,
            connections_max: 1,
            requests_max: 1,
            http2_streams_max: 1,
        },
        trusted_proxies: [].into(),
        access_log: None,
        audit: AuditSettings {
            queue_records_max: 1,
            flush_interval: second,
            segment_bytes_max: 1,
            segment_age_max: second,
            on_failure: OnFailure::Gap,
            denials_per_source: 1,
        },
        checkpoints: Checkpoints { to: [].into(), every: second },
        archive: ArchiveSettings { seal_after: second, retention: second },
        metrics: MetricsSettings { address: ([127, 0, 0, 1], 0).into(), clients_max: 1 },
        hosts: crate::model::api::HostIndex::default(),
        apis: [].into(),
        operations: operations(),
        products: products.iter().map(product).collect(),
        plans: plans.iter().map(plan).collect(),
        anonymous: None,
        mcp: None,
        upstreams: AHashMap::default(),
    })
}

/// Those of an api `payments`, and many of an api `many`.
fn operations() -> AHashMap<OperationId, Arc<Operation>> {
    let many = (0..100).map(|n| ("many", format!("o{n}")));
    let few = ["list", "create"].map(|operation| ("payments", operation.to_owned()));
    let operations = many.chain(few).map(|(api, id)| {
        let operation = operation(name(api), &id);
        (operation.id.clone(), Arc::new(operation))
    });
    operations.collect()
}

fn operation(api: ApiName, id: &str) -> Operation {
    Operation {
        facts: OnceLock::new(),
        id: OperationId::join(&api, id).expect("a good id"),
        api: Arc::new(ApiFacts { name: api, access: Access::Granted }),
        methods: Methods::Any,
        template: Template::parse("/").expect("a template"),
        scopes: [].into(),
        body_bytes_max: 1,
        durability: Durability::Standard,
        metering: Metering::All,
        shape: None,
        products: [].into(),
    }
}

pub fn name<Kind>(text: &str) -> Name<Kind> {
    Name::parse(text).expect("a good name")
}

pub fn line(text: &str) -> Line {
    Line::parse(text).expect("a good line")
}

pub fn terms(products: &[&str], plan: Option<&str>) -> Terms {
    Terms {
        products: products.iter().map(|product| name(product)).collect(),
        scopes: Scope::parse("payments:read").into_iter().collect(),
        plan: plan.map(name),
        presentation: None,
    }
}

/// An app with one product, one plan and one key.
pub fn new_client(id: &str) -> NewClient {
    NewClient {
        id: name(id),
        kind: ClientKind::App,
        owner: line("payments team"),
        purpose: line("the app"),
        expires: None,
        terms: terms(&["payments-all"], Some("standard")),
        profiles: vec![],
        credentials: vec![new_key(None)],
    }
}

pub fn new_key(holder: Option<&str>) -> NewCredential {
    NewCredential {
        profile: name("default"),
        holder: holder.map(line),
        expires: None,
        key: KeySource::Issued(Environment::default()),
    }
}

pub fn grant_id(client: &str, product: &str) -> GrantId {
    GrantId { client: name(client), profile: name("default"), product: name(product) }
}

/// Has the change made by someone at [`NOW`].
pub fn make(
    registry: &Registry,
    change: &Change,
) -> Result<super::Done, super::error::ChangeError> {
    registry.change(change, Asked { by: &Actor::local(0, Some("ann"), None), at: NOW })
}

/// The one key that a change made.
pub fn issued(done: super::Done) -> IssuedKey {
    let Outcome::Issued(mut keys) = done.outcome else { panic!("expected a key: {done:?}") };
    keys.remove(0)
}

/// A change of nothing, to be filled in.
pub fn change_of(client: &str) -> ClientChange {
    ClientChange {
        id: ClientId::parse(client).expect("a good name"),
        owner: None,
        purpose: None,
        expires: None,
        terms: None,
    }
}
