//! A gate without its edge: config, one client with two keys, the real ledger, any clock.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use http::HeaderMap;
use onegate::config;
use onegate::counters::Book;
use onegate::model::api::CredentialLocation;
use onegate::model::client::{Client, ClientKind, Grant, Profile, Status};
use onegate::model::denial::{Advice, Denial, Refusal};
use onegate::model::id::{ClientId, LimitName, PlanName, ProductName, ProfileName};
use onegate::model::key::{Environment, NewKey};
use onegate::model::meter::{Meter, Wanted};
use onegate::model::policy::Policy;
use onegate::model::snapshot::{Inventory, Snapshot};
use onegate::model::time::{MonoNs, Now, UnixMicros};
use onegate::request::identify::Presented;
use onegate::request::limit::Admitted;
use onegate::request::{Ask, Seen, Unadmitted, decide};

use super::again;

const APIS: &str = r#"
[[listener]]
name = "edge"
address = "127.0.0.1:8080"
[[upstream]]
name = "service"
endpoints = ["127.0.0.1:9000"]
[[api]]
name = "lab"
upstream = "service"
access = "granted"
[[api.operation]]
id = "read"
methods = ["GET"]
path = "/"
[[api.operation]]
id = "write"
methods = ["POST"]
path = "/"
[[product]]
name = "lab"
operations = ["lab.read", "lab.write"]
[[plan]]
name = "plan"
"#;

/// A gate without its edge: one client with two keys, under one plan.
pub struct Lab {
    snapshot: Snapshot,
    pub book: Book,
    folder: PathBuf,
    keys: [NewKey; 2],
    /// What was asked for ahead and is not answered yet.
    wanted: Vec<Wanted>,
    /// What the last call learned.
    pub seen: Seen,
}

impl Lab {
    pub fn new(plan: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = format!("onegate-limits-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        fs::create_dir(&folder).expect("a folder can be made");
        let book = Book::open(&folder).expect("it can be made");
        let keys = [1, 2]
            .map(|serial| NewKey::from_random(&Environment::default(), [serial; 12], [serial; 32]));
        let snapshot = snapshot(plan, Arc::default(), &keys);
        Self { snapshot, book, folder, keys, wanted: Vec::new(), seen: Seen::default() }
    }

    /// Another config for the same client.
    pub fn reload(&mut self, plan: &str) {
        self.snapshot = snapshot(plan, self.meter(), &self.keys);
    }

    /// A new process on the same folder.
    pub fn start_again(&mut self, plan: &str) {
        self.wanted.clear();
        self.book = Book::open(&self.folder).expect("it is there");
        self.snapshot = snapshot(plan, Arc::default(), &self.keys);
    }

    fn meter(&self) -> Arc<Meter> {
        let client = self.snapshot.inventory.clients.values().next().expect("one client");
        Arc::clone(&client.profiles[0].meter)
    }

    /// The client, changed.
    pub fn change_client(&mut self, change: impl FnOnce(&mut Client)) {
        let clients = &self.snapshot.inventory.clients;
        let mut client = again::copy(clients.values().next().expect("one client"));
        change(&mut client);
        self.snapshot.inventory.clients = clients.with(client.id.clone(), Arc::new(client));
    }

    /// One call, as the edge makes it; what is asked for ahead waits for `answer`.
    pub fn call(&mut self, key: usize, method: &str, now: Now) -> Result<Admitted, Refusal> {
        self.call_at(key, (method, "/"), now)
    }

    /// The same of any path.
    pub fn call_at(
        &mut self,
        key: usize,
        (method, path): (&str, &str),
        now: Now,
    ) -> Result<Admitted, Refusal> {
        loop {
            let key = self.keys[key].reveal().to_owned();
            let mut presented = Presented::default();
            presented.push(CredentialLocation::XApiKey, key.as_bytes());
            let ask = Ask {
                method,
                host: "any",
                path,
                presented,
                body_bytes: None,
                body_may_follow: false,
                source_ip: None,
                fields: &HeaderMap::new(),
            };
            self.seen = Seen::default();
            match decide(&self.snapshot, &ask, now, &mut self.seen) {
                Ok(admitted) => {
                    self.wanted.extend(self.seen.wanted.take().map(|wanted| *wanted));
                    return Ok(admitted);
                }
                Err(Unadmitted::Refused(refusal)) => return Err(refusal),
                Err(Unadmitted::Awaits(wanted)) => {
                    self.book.lease(&[*wanted]).expect("it can be written");
                }
            }
        }
    }

    /// The ledger answers what waits.
    pub fn answer(&mut self) {
        let wanted = std::mem::take(&mut self.wanted);
        self.book.lease(&wanted).expect("it can be written");
    }

    pub fn shadow(&self) -> Option<&str> {
        let more = self.seen.standing.as_ref()?.all()?;
        more.shadow.as_ref().map(LimitName::as_str)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

pub fn policy(plan: &str) -> Policy {
    let loaded = config::load_text(Path::new("test.toml"), &format!("{APIS}{plan}"));
    loaded.unwrap_or_else(|problems| panic!("{problems}")).policy
}

fn snapshot(plan: &str, meter: Arc<Meter>, keys: &[NewKey]) -> Snapshot {
    let profile = Profile {
        name: ProfileName::default(),
        name_value: ProfileName::default().to_value(),
        status: Status::Active,
        plan: Some(PlanName::parse("plan").expect("valid")),
        presentation: None,
        meter,
        scopes: Box::new([]),
        grants: Box::new([Grant {
            product: ProductName::parse("lab").expect("valid"),
            until: None,
        }]),
    };
    let id = ClientId::parse("client").expect("valid");
    let client = Client {
        id_value: id.to_value(),
        id,
        kind: ClientKind::App,
        owner: "owner".into(),
        purpose: "purpose".into(),
        status: Status::Active,
        suspended_until: None,
        quarantine: None,
        expires: None,
        profiles: Box::new([Arc::new(profile)]),
    };
    let credentials = keys.iter().map(|key| (key.id, Arc::new(super::credential(key, &client.id))));
    let inventory = Inventory {
        revision: 1,
        credentials: credentials.collect(),
        clients: [(client.id.clone(), Arc::new(client))].into_iter().collect(),
    };
    Snapshot::new(Arc::new(policy(plan)), inventory)
}

/// Both clocks, `seconds` after a midnight in UTC.
pub fn at(seconds: i64) -> Now {
    let wall = UnixMicros::from_seconds(1_800_057_600 + seconds);
    Now { mono: MonoNs(u64::try_from(seconds).unwrap_or(0) * 1_000_000_000), wall }
}

pub fn refusal_of(refused: Result<Admitted, Refusal>) -> (Denial, u64, String) {
    let refusal = refused.expect_err("refused");
    let Advice::Retry { after_seconds, limit } = refusal.advice else { panic!("{refusal:?}") };
    (refusal.denial, after_seconds, limit.expect("named").to_string())
}
