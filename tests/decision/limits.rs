//! Plans with everything, through the decision and the real ledger: all limits or none, against slow
//! references; quotas through steps of the clock, crashes and reloads.

use std::collections::BTreeMap;
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
use onegate::model::id::{ClientId, PlanName, ProductName, ProfileName};
use onegate::model::key::{Environment, NewKey};
use onegate::model::meter::{Meter, Wanted};
use onegate::model::policy::Policy;
use onegate::model::snapshot::{Inventory, Snapshot};
use onegate::model::time::{MonoNs, Now, UnixMicros};
use onegate::request::identify::Presented;
use onegate::request::limit::Admitted;
use onegate::request::{Ask, Seen, Unadmitted, decide};
use proptest::prelude::*;

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
struct Lab {
    snapshot: Snapshot,
    book: Book,
    folder: PathBuf,
    keys: [NewKey; 2],
    /// What was asked for ahead and is not answered yet.
    wanted: Vec<Wanted>,
    /// What the last call learned.
    seen: Seen,
}

impl Lab {
    fn new(plan: &str) -> Self {
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
    fn reload(&mut self, plan: &str) {
        self.snapshot = snapshot(plan, self.meter(), &self.keys);
    }

    /// A new process on the same folder.
    fn start_again(&mut self, plan: &str) {
        self.wanted.clear();
        self.book = Book::open(&self.folder).expect("it is there");
        self.snapshot = snapshot(plan, Arc::default(), &self.keys);
    }

    fn meter(&self) -> Arc<Meter> {
        let client = self.snapshot.inventory.clients.values().next().expect("one client");
        Arc::clone(&client.profiles[0].meter)
    }

    /// One call, as the edge makes it; what is asked for ahead waits for `answer`.
    fn call(&mut self, key: usize, method: &str, now: Now) -> Result<Admitted, Refusal> {
        loop {
            let key = self.keys[key].reveal().to_owned();
            let mut presented = Presented::default();
            presented.push(CredentialLocation::XApiKey, key.as_bytes());
            let ask = Ask {
                method,
                host: "any",
                path: "/",
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
    fn answer(&mut self) {
        let wanted = std::mem::take(&mut self.wanted);
        self.book.lease(&wanted).expect("it can be written");
    }

    fn shadow(&self) -> Option<&str> {
        let more = self.seen.standing.as_ref()?.more.as_ref()?;
        more.shadow.as_ref().map(|name| name.as_str())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.folder));
    }
}

fn policy(plan: &str) -> Policy {
    let loaded = config::load_text(Path::new("test.toml"), &format!("{APIS}{plan}"));
    loaded.unwrap_or_else(|problems| panic!("{problems}")).policy
}

fn snapshot(plan: &str, meter: Arc<Meter>, keys: &[NewKey]) -> Snapshot {
    let profile = Profile {
        name: ProfileName::default(),
        status: Status::Active,
        plan: Some(PlanName::parse("plan").expect("valid")),
        meter,
        scopes: Box::new([]),
        grants: Box::new([Grant {
            product: ProductName::parse("lab").expect("valid"),
            until: None,
        }]),
    };
    let client = Client {
        id: ClientId::parse("client").expect("valid"),
        kind: ClientKind::App,
        owner: "owner".into(),
        purpose: "purpose".into(),
        status: Status::Active,
        expires: None,
        suspended_until: None,
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
fn at(seconds: i64) -> Now {
    let wall = UnixMicros::from_seconds(1_800_057_600 + seconds);
    Now { mono: MonoNs(u64::try_from(seconds).unwrap_or(0) * 1_000_000_000), wall }
}

fn refusal_of(refused: Result<Admitted, Refusal>) -> (Denial, u64, String) {
    let refusal = refused.expect_err("refused");
    let Advice::Retry { after_seconds, limit } = refusal.advice else { panic!("{refusal:?}") };
    (refusal.denial, after_seconds, limit.expect("named").to_string())
}

#[test]
fn a_quota_ends_with_its_period() {
    let mut lab = Lab::new("quotas = [{ limit = 3, per = 'day' }]");
    for left in [2, 1, 0] {
        lab.call(0, "GET", at(80_000)).expect("within the quota");
        let standing = lab.seen.standing.clone().expect("it has a plan");
        let limits = &standing.more.expect("it has a quota").limits;
        assert_eq!((limits[0].remaining, limits[0].more_after_seconds), (left, Some(6400)));
    }
    let refused = refusal_of(lab.call(0, "GET", at(80_000)));
    assert_eq!(refused, (Denial::QuotaExhausted, 6400, "per-day".to_owned()));
    assert!(lab.call(0, "GET", at(86_399)).is_err());
    assert!(lab.call(0, "GET", at(86_400)).is_ok(), "when Retry-After said");
}

#[test]
fn seats_are_given_back_by_whoever_has_them() {
    let mut lab = Lab::new("concurrency = 2");
    let first = lab.call(0, "GET", at(0)).expect("a seat");
    let second = lab.call(1, "POST", at(0)).expect("a seat");
    assert!(first.is_seated() && second.is_seated());
    let refused = refusal_of(lab.call(0, "GET", at(0)));
    assert_eq!(refused, (Denial::ConcurrencyLimited, 1, "concurrency".to_owned()));
    // Under another config too: it is the client's.
    lab.reload("concurrency = 2");
    assert!(lab.call(0, "GET", at(0)).is_err());
    drop(first);
    assert!(lab.call(0, "GET", at(0)).is_ok());
}

#[test]
fn a_shadow_watches_and_refuses_nobody() {
    let mut lab = Lab::new(
        "rates = [{ name = 'rate', limit = 1, per = '1h', burst = 2, shadow = true }]\n\
         quotas = [{ name = 'quota', limit = 400, per = 'day', shadow = true }]\n\
         concurrency = { limit = 1, shadow = true }",
    );
    let mut held = Vec::new();
    let mut watched = Vec::new();
    for _ in 0..4 {
        held.push(lab.call(0, "GET", at(0)).expect("nothing is enforced"));
        lab.answer();
        watched.push(lab.shadow().map(str::to_owned));
    }
    let watched: Vec<_> = watched.iter().map(Option::as_deref).collect();
    assert_eq!(watched, [None, Some("concurrency"), Some("rate"), Some("rate")]);
    held.clear();
    // The first came before its lease did.
    for _ in 4..401 {
        lab.call(0, "GET", at(7200)).expect("nothing is enforced");
        lab.answer();
    }
    lab.call(0, "GET", at(7200)).expect("nothing is enforced");
    assert_eq!(lab.shadow(), Some("quota"));
}

#[test]
fn a_smaller_or_larger_limit_counts_what_was_used() {
    let plan = |limit: u32| format!("quotas = [{{ limit = {limit}, per = 'month' }}]");
    let mut lab = Lab::new(&plan(1000));
    for _ in 0..500 {
        lab.call(0, "GET", at(0)).expect("within the quota");
        lab.answer();
    }
    lab.reload(&plan(500));
    assert!(lab.call(0, "GET", at(0)).is_err(), "used up under the smaller limit");
    lab.reload(&plan(503));
    let admitted = (0..10).filter(|_| lab.call(0, "GET", at(0)).is_ok()).count();
    assert_eq!(admitted, 3);
}

#[test]
fn another_zone_opens_no_period_afresh() {
    let plan = |zone: &str| format!("quotas = [{{ limit = 5, per = 'day', timezone = '{zone}' }}]");
    let mut lab = Lab::new(&plan("UTC"));
    let noon = 43_200;
    (0..5).for_each(|_| drop(lab.call(0, "GET", at(noon)).expect("within the quota")));
    lab.reload(&plan("Europe/Berlin"));
    assert!(lab.call(0, "GET", at(noon)).is_err());
    lab.reload(&plan("UTC"));
    assert!(lab.call(0, "GET", at(noon)).is_err(), "nor there and back");
    lab.reload(&plan("Europe/Berlin"));
    assert!(lab.call(0, "GET", at(noon)).is_err());
    assert!(lab.call(0, "GET", at(82_800)).is_ok(), "midnight in Berlin");
}

/// What a generated plan has.
#[derive(Clone, Debug)]
struct Spec {
    /// Limit in 10 s, burst, by credential, for writes only, shadow.
    rates: Vec<(u32, u32, bool, bool, bool)>,
    /// Limit per day, for writes only.
    quotas: Vec<(u64, bool)>,
    concurrency: Option<u32>,
}

impl Spec {
    fn to_toml(&self) -> String {
        let only = |writes: bool| if writes { ", operations = ['lab.write']" } else { "" };
        let mut text = String::new();
        let rates = self.rates.iter().enumerate().map(|(at, (limit, burst, by, writes, shadow))| {
            let by = if *by { "credential" } else { "client" };
            let only = only(*writes);
            format!("{{ name = 'r{at}', limit = {limit}, per = '10s', burst = {burst}, by = '{by}', shadow = {shadow}{only} }}")
        });
        let rates: Vec<_> = rates.collect();
        text += &format!("rates = [{}]\n", rates.join(", "));
        if !self.quotas.is_empty() {
            let quotas = self.quotas.iter().enumerate().map(|(at, (limit, writes))| {
                format!("{{ name = 'q{at}', limit = {limit}, per = 'day'{} }}", only(*writes))
            });
            text += &format!("quotas = [{}]\n", quotas.collect::<Vec<_>>().join(", "));
        }
        if let Some(concurrency) = self.concurrency {
            text += &format!("concurrency = {concurrency}\n");
        }
        text
    }
}

fn specs() -> impl Strategy<Value = Spec> {
    let rate = (1..20_u32, 1..8_u32, any::<bool>(), any::<bool>(), any::<bool>());
    let quota = (1..60_u64, any::<bool>());
    let rates = prop::collection::vec(rate, 1..4);
    let quotas = prop::collection::vec(quota, 0..3);
    (rates, quotas, prop::option::of(1..4_u32)).prop_map(|(rates, quotas, concurrency)| Spec {
        rates,
        quotas,
        concurrency,
    })
}

/// A bucket that keeps its level, in nanoseconds of its rate.
#[derive(Clone, Copy)]
struct Bucket {
    level: u64,
    at: u64,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Every call gets the verdict of a slow reference, and a refused one charges no limit at all,
    /// or the two would drift apart.
    #[test]
    fn all_limits_are_charged_or_none(
        spec in specs(),
        calls in prop::collection::vec((0..2_usize, any::<bool>(), 0..3_000_u64, 0..4_usize), 1..80),
    ) {
        let mut lab = Lab::new(&spec.to_toml());
        let interval = |limit: u32| 10_000_000_000_u64.div_ceil(u64::from(limit));
        let mut buckets: BTreeMap<(usize, usize), Bucket> = BTreeMap::new();
        let mut used = vec![0; spec.quotas.len()];
        let mut held = Vec::new();
        let mut now_ns = 0;
        for (key, writes, gap_ms, kept) in calls {
            now_ns += gap_ms * 1_000_000;
            held.truncate(kept);
            let (mut admits, mut charged) = (true, Vec::new());
            for (at, (limit, burst, by, only_writes, shadow)) in spec.rates.iter().enumerate() {
                if *only_writes && !writes {
                    continue;
                }
                let size = interval(*limit) * u64::from(*burst);
                let cell = (at, if *by { key } else { 0 });
                let bucket = buckets.entry(cell).or_insert(Bucket { level: size, at: now_ns });
                bucket.level = (bucket.level + now_ns - bucket.at).min(size);
                bucket.at = now_ns;
                if bucket.level >= interval(*limit) {
                    charged.push((cell, interval(*limit)));
                } else {
                    admits &= shadow;
                }
            }
            let quota_counts = |at: usize| writes || !spec.quotas[at].1;
            admits &= (0..used.len()).all(|at| !quota_counts(at) || used[at] < spec.quotas[at].0);
            admits &= spec.concurrency.is_none_or(|most| held.len() < most as usize);
            if admits {
                for (cell, cost) in charged {
                    buckets.get_mut(&cell).expect("it was looked at").level -= cost;
                }
                (0..used.len()).filter(|at| quota_counts(*at)).for_each(|at| used[at] += 1);
            }
            let now = Now { mono: MonoNs(now_ns), wall: at(0).wall };
            let verdict = lab.call(key, if writes { "POST" } else { "GET" }, now);
            prop_assert_eq!(verdict.is_ok(), admits, "{:?}", verdict.map(drop));
            held.extend(verdict.ok());
            lab.answer();
        }
    }
}

#[derive(Clone, Debug)]
enum Event {
    Calls(u32),
    /// Seconds by which the wall clock is set, forward or back.
    Step(i64),
    /// The ledger answers what was asked for ahead.
    Answer,
    Crash,
    Restart,
    Reload(u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        6 => (1..60_u32).prop_map(Event::Calls),
        3 => (-100_000..100_000_i64).prop_map(Event::Step),
        2 => (-5..5_i64).prop_map(Event::Step),
        4 => Just(Event::Answer),
        1 => Just(Event::Crash),
        1 => Just(Event::Restart),
        1 => (1..500_u64).prop_map(Event::Reload),
    ];
    prop::collection::vec(event, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever the clock and the process do: in no period more than the limit; and nobody is
    /// refused while a period has units, but for one block for each crash.
    #[test]
    fn clock_steps_and_crashes_neither_free_nor_lock(
        limit in 1..500_u64,
        zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/St_Johns"]),
        events in events(),
    ) {
        let plan = |limit: u64| {
            format!("quotas = [{{ limit = {limit}, per = 'day', timezone = '{zone}' }}]")
        };
        let (mut limit, mut block_max) = (limit, (limit / 100).max(1));
        let mut lab = Lab::new(&plan(limit));
        let calendar = policy(&plan(limit)).plans["plan"].quotas[0].terms.calendar.clone();
        let mut admitted: BTreeMap<i64, u64> = BTreeMap::new();
        let (mut seconds, mut crashes) = (0_i64, 0);
        for event in events {
            match event {
                // Within the periods that stay known.
                Event::Step(step) => seconds = (seconds + step).clamp(0, 6 * 86_400),
                Event::Answer => lab.answer(),
                Event::Crash => {
                    lab.start_again(&plan(limit));
                    crashes += 1;
                }
                Event::Restart => {
                    lab.book.give_back_all().expect("it can be written");
                    lab.start_again(&plan(limit));
                }
                Event::Reload(other) => {
                    limit = other;
                    block_max = block_max.max((limit / 100).max(1));
                    lab.reload(&plan(limit));
                }
                Event::Calls(count) => {
                    let now = at(seconds);
                    let period = calendar.period_at(now.wall).expect("within the years");
                    let spent = admitted.entry(period.starts.0).or_default();
                    for _ in 0..count {
                        match lab.call(0, "GET", now) {
                            Ok(_) => *spent += 1,
                            Err(refusal) => {
                                let (denial, after, _) = refusal_of(Err(refusal));
                                prop_assert_eq!(denial, Denial::QuotaExhausted);
                                let ends = (period.ends.0 - now.wall.0).unsigned_abs();
                                prop_assert_eq!(after, ends.div_ceil(1_000_000));
                                prop_assert!(
                                    limit.saturating_sub(*spent) <= crashes * block_max,
                                    "locked: {} of {} after {} crashes", spent, limit, crashes
                                );
                                break;
                            }
                        }
                        prop_assert!(*spent <= limit, "freed: {} of {}", spent, limit);
                    }
                }
            }
        }
    }
}
