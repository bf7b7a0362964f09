//! The decision core: whole decisions, matching, key lookup and the limiter. Read the ratios
//! between rows; absolute times are this machine's.
#![allow(
    clippy::cast_possible_truncation,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::type_complexity,
    reason = "a benchmark stops at a surprise, and its numbers are small"
)]

use std::hint::black_box;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::HeaderMap;
use onegate::config;
use onegate::model::api::CredentialLocation;
use onegate::model::client::{Client, ClientKind, Credential, Grant, Profile, Status};
use onegate::model::denial::Denial;
use onegate::model::id::{ClientId, LimitName, PlanName, ProductName, ProfileName, Scope};
use onegate::model::key::{Environment, NewKey};
use onegate::model::meter::Meter;
use onegate::model::plan::{CountedBy, Mode, Operations, Plan, Rate};
use onegate::model::proof::Proof;
use onegate::model::snapshot::{Inventory, Snapshot};
use onegate::model::time::{MonoNs, Now, UnixMicros};
use onegate::request::identify::Presented;
use onegate::request::{Ask, Seen, Unadmitted, classify, decide, limit};

/// One api with `operations` operations, all in one product, and one plan of two rates.
fn config_with(operations: usize) -> String {
    let mut text = String::from(
        r#"
[[listener]]
name = "edge"
address = "127.0.0.1:8080"
[[upstream]]
name = "service"
endpoints = ["127.0.0.1:9000"]
[[plan]]
name = "wide"
rates = [
    { limit = 1000000, per = "1s", burst = 1000000000 },
    { limit = 1000000, per = "2s", burst = 1000000000 },
]
[[plan]]
name = "slow"
rates = [{ limit = 1, per = "1h" }]
"#,
    );
    text.push_str("[[product]]\nname = \"all\"\noperations = [");
    (0..operations).for_each(|at| text.push_str(&format!("\"api.op{at}\",")));
    text.push_str("]\n[[api]]\nname = \"api\"\nhosts = [\"a.example\"]\nbase_path = \"/api\"\nupstream = \"service\"\n");
    text.push_str("access = \"granted\"\nbody_bytes_max = \"1KiB\"\n");
    for at in 0..operations {
        text.push_str(&format!(
            "[[api.operation]]\nid = \"op{at}\"\nmethods = [\"GET\"]\n\
             path = \"/r{}/{{id}}/s{at}\"\nscopes = [\"api:read\"]\n",
            at % 40
        ));
    }
    for (name, rules) in [
        ("inside", "ip = { allow = [\"192.168.0.0/16\"] }"),
        ("ruled", "blocked_paths = [\"/**/.git/**\", \"/**/*.php\"]"),
    ] {
        text.push_str(&format!(
            "[[api]]\nname = \"{name}\"\nhosts = [\"a.example\"]\nbase_path = \"/{name}\"\n\
             upstream = \"service\"\naccess = \"public\"\n{rules}\n\
             [[api.operation]]\nid = \"any\"\nmethods = [\"GET\"]\npath = \"/{{rest...}}\"\n"
        ));
    }
    text
}

fn key(serial: usize) -> NewKey {
    let mut id = [0; 12];
    for (at, digit) in id.iter_mut().enumerate() {
        *digit = (serial / 62_usize.pow(u32::try_from(at).unwrap_or(0).min(5)) % 62) as u8;
    }
    let mut secret = [7; 32];
    secret[..8].copy_from_slice(&(serial as u64).to_le_bytes());
    NewKey::from_random(&Environment::default(), id, secret)
}

/// Clients that something is wrong with, by serial number; all others are in order.
const UNGRANTED: usize = 1;
const SCOPELESS: usize = 2;
const REVOKED: usize = 3;
const EXPIRED: usize = 4;
const SLOW: usize = 5;

fn client(serial: usize) -> Client {
    let mut profile = Profile {
        name: ProfileName::default(),
        name_value: ProfileName::default().to_value(),
        status: Status::Active,
        plan: Some(PlanName::parse("wide").expect("valid")),
        presentation: None,
        meter: Arc::default(),
        scopes: Box::new([Scope::parse("api:read").expect("valid")]),
        grants: Box::new([Grant {
            product: ProductName::parse("all").expect("valid"),
            until: None,
        }]),
    };
    match serial {
        UNGRANTED => profile.grants = Box::new([]),
        SCOPELESS => profile.scopes = Box::new([]),
        SLOW => profile.plan = PlanName::parse("slow").ok(),
        _ => {}
    }
    let id = ClientId::parse(&format!("client-{serial}")).expect("valid");
    Client {
        id_value: id.to_value(),
        id,
        kind: ClientKind::App,
        owner: "owner".into(),
        purpose: "purpose".into(),
        status: if serial == REVOKED { Status::Revoked } else { Status::Active },
        expires: (serial == EXPIRED).then_some(UnixMicros(0)),
        suspended_until: None,
        quarantine: None,
        profiles: Box::new([Arc::new(profile)]),
    }
}

fn snapshot(operations: usize, clients: usize) -> Snapshot {
    let loaded = config::load_text(Path::new("bench.toml"), &config_with(operations));
    let policy = loaded.unwrap_or_else(|problems| panic!("{problems}")).policy;
    let made: Vec<(Arc<Client>, Arc<Credential>)> = (0..clients)
        .map(|serial| {
            let (client, key) = (client(serial), key(serial));
            let credential = Credential {
                id: key.id,
                client: client.id.clone(),
                profile: ProfileName::parse("default").expect("valid"),
                secret_sha256: key.secret_sha256,
                proof: Proof::default(),
                status: Status::Active,
                expires: None,
                suspended_until: None,
                holder: None,
                facts: OnceLock::new(),
            };
            (Arc::new(client), Arc::new(credential))
        })
        .collect();
    let inventory = Inventory {
        revision: 1,
        clients: made.iter().map(|(c, _)| (c.id.clone(), Arc::clone(c))).collect(),
        credentials: made.iter().map(|(_, k)| (k.id, Arc::clone(k))).collect(),
    };
    Snapshot::new(Arc::new(policy), inventory)
}

fn decisions(c: &mut Criterion) {
    let snapshot = snapshot(1000, 10_000);
    let good = key(77).reveal().to_owned();
    let unknown = key(9_999_999).reveal().to_owned();
    let now = Now { mono: MonoNs(1), wall: UnixMicros::from_seconds(1_800_000_000) };
    let of = |serial: usize| key(serial).reveal().to_owned();
    let path = "/api/r7/42/s7";
    let fields = HeaderMap::new();
    let rows: [(&str, &str, &str, Vec<String>, Option<u64>); 18] = [
        ("allowed", "GET", path, vec![good.clone()], None),
        ("not_found", "GET", "/api/none", vec![good.clone()], None),
        ("not_found_no_api", "GET", "/elsewhere", vec![good.clone()], None),
        ("method_not_allowed", "PUT", path, vec![good.clone()], None),
        ("credential_missing", "GET", path, vec![], None),
        ("credential_invalid_unknown", "GET", path, vec![unknown], None),
        ("credential_invalid_malformed", "GET", path, vec!["og_live_x".to_owned()], None),
        ("credential_invalid_revoked", "GET", path, vec![of(REVOKED)], None),
        ("credential_conflict", "GET", path, vec![good.clone(), of(78)], None),
        ("client_suspended", "GET", path, vec![of(EXPIRED)], None),
        ("not_granted", "GET", path, vec![of(UNGRANTED)], None),
        ("insufficient_scope", "GET", path, vec![of(SCOPELESS)], None),
        ("rate_limited", "GET", path, vec![of(SLOW)], None),
        ("body_too_large", "GET", path, vec![good.clone()], Some(5000)),
        ("address_not_allowed", "GET", "/inside/x", vec![good.clone()], None),
        ("policy_refused", "GET", "/ruled/a/b/c/.git/config", vec![good.clone()], None),
        ("allowed_by_rules", "GET", "/ruled/a/b/c", vec![good.clone()], None),
        ("misdirected", "GET", path, vec![good], None),
    ];
    let mut group = c.benchmark_group("decide");
    for (name, method, path, keys, body_bytes) in &rows {
        let host = if *name == "misdirected" { "b.example" } else { "a.example" };
        let run = || {
            let mut presented = Presented::default();
            for key in keys {
                presented.push(CredentialLocation::XApiKey, key.as_bytes());
            }
            let ask = Ask {
                method,
                host,
                path,
                presented,
                body_bytes: *body_bytes,
                body_may_follow: false,
                source_ip: "10.0.0.1".parse().ok(),
                fields: &fields,
            };
            let mut seen = Seen::default();
            black_box(decide(&snapshot, black_box(&ask), now, &mut seen)).map_err(|unadmitted| {
                match unadmitted {
                    Unadmitted::Refused(refusal) => refusal.denial,
                    Unadmitted::Awaits(_) => panic!("the plans have no quotas"),
                }
            })
        };
        // The first call of the slow client is its last; then every row is what it is called.
        drop(run());
        let outcome = run().map_or_else(Denial::code, |_| "allowed");
        assert!(name.starts_with(outcome), "{name} is {outcome}");
        group.bench_function(*name, |b| b.iter(|| run().is_ok()));
    }
    group.finish();
}

fn matching(c: &mut Criterion) {
    let snapshot = snapshot(1000, 1);
    let api = &snapshot.policy.apis[0];
    c.bench_function("match/among_1000_operations", |b| {
        b.iter(|| classify::operation_at(&api.paths, black_box("/r7/42/s887"), "GET").is_ok());
    });
}

fn lookups(c: &mut Criterion) {
    for clients in [10_000, 1_000_000] {
        let snapshot = snapshot(1, clients);
        let ids: Vec<_> = (0..1000).map(|at| key(at * (clients / 1000)).id).collect();
        let mut turn = 0;
        c.bench_function(&format!("key_lookup/among_{clients}"), |b| {
            b.iter(|| {
                turn = (turn + 1) % ids.len();
                snapshot.inventory.credentials.get(black_box(&ids[turn])).is_some()
            });
        });
        c.bench_function(&format!("inventory_change/among_{clients}"), |b| {
            let (client, inventory) = (Arc::new(client(5)), &snapshot.inventory);
            b.iter_batched(
                || Arc::clone(&client),
                |client| inventory.clients.with(client.id.clone(), client),
                BatchSize::SmallInput,
            );
        });
    }
}

fn limiter(c: &mut Criterion) {
    let rate = |name: &str| Rate {
        name: LimitName::parse(name).expect("valid"),
        limit: 1_000_000,
        per: Duration::from_secs(1),
        burst: 1_000_000_000,
        by: CountedBy::Client,
        operations: Operations::default(),
        mode: Mode::Enforced,
    };
    for rates in [1, 4] {
        let names = ["a", "b", "c", "d"];
        let name = PlanName::parse("plan").expect("valid");
        let limits = names.iter().take(rates).map(|name| rate(name)).collect();
        let header = http::HeaderValue::from_static("");
        let plan = Plan::new(name, limits, Box::default(), None, header);
        let meter = Meter::default();
        let mut now = 0;
        c.bench_function(&format!("limiter/{rates}_rates"), |b| {
            b.iter(|| {
                now += 2_000;
                limit::charge(&plan, &meter, MonoNs(black_box(now)), &mut Default::default())
            });
        });
    }
}

criterion_group!(benches, decisions, matching, lookups, limiter);
criterion_main!(benches);
