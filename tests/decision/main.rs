//! The decision table: config and inventory in, verdict out. One `check`, a row for every denial
//! that the pure core can give.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod again;
mod brake;
mod lab;
mod limits;
mod matcher;
mod quarantine;
mod quotas;
mod replay;
mod rules;
mod search;

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use http::{HeaderMap, HeaderName, HeaderValue};
use onegate::config;
use onegate::model::api::CredentialLocation;
use onegate::model::client::{Client, ClientKind, Credential, Grant, Profile, Status};
use onegate::model::denial::{Advice, Denial, Refusal};
use onegate::model::id::{ClientId, PlanName, ProductName, ProfileName, Scope};
use onegate::model::key::{Environment, NewKey};
use onegate::model::proof::Proof;
use onegate::model::snapshot::{Inventory, Snapshot};
use onegate::model::time::{MonoNs, Now, UnixMicros};
use onegate::request::identify::Presented;
use onegate::request::{Ask, Seen, Unadmitted, decide, policy};

const CONFIG: &str = r#"
[[listener]]
name = "edge"
address = "127.0.0.1:8080"

[[upstream]]
name = "service"
endpoints = ["127.0.0.1:9000"]

[[api]]
name = "payments"
hosts = ["api.example.com", "*.pay.example.com"]
base_path = "/api"
upstream = "service"
access = "granted"
body_bytes_max = "1KiB"
[[api.operation]]
id = "list"
methods = ["GET"]
path = "/payments"
scopes = ["payments:read"]
[[api.operation]]
id = "show"
methods = ["GET"]
path = "/payments/{id}"
scopes = ["payments:read"]
[[api.operation]]
id = "create"
methods = ["POST"]
path = "/payments"
scopes = ["payments:read", "payments:write"]
[[api.operation]]
id = "orphan"
methods = ["GET"]
path = "/orphan"

[[api]]
name = "status"
hosts = ["api.example.com"]
base_path = "/status"
upstream = "service"
access = "public"
[[api.operation]]
id = "all"
methods = ["*"]
path = "/{rest...}"

[[product]]
name = "payments-all"
operations = ["payments.list", "payments.show", "payments.create", "ruled.write"]
[[product]]
name = "payments-read"
operations = ["payments.list", "payments.show"]

[[plan]]
name = "slow"
rates = [{ limit = 1, per = "1h", burst = 2 }]
"#;

/// Wall clock of every row; keys and grants of the past end one second before.
const NOW: UnixMicros = UnixMicros::from_seconds(1_800_000_000);
const PAST: UnixMicros = UnixMicros::from_seconds(1_799_999_999);

struct World {
    snapshot: Snapshot,
    keys: Vec<(&'static str, String)>,
}

impl World {
    fn new() -> Self {
        let loaded = config::load_text(Path::new("test.toml"), &[CONFIG, rules::API].concat());
        let loaded = loaded.unwrap_or_else(|problems| panic!("{problems}"));
        let mut world = Self {
            snapshot: Snapshot::new(Arc::new(loaded.policy), Inventory::default()),
            keys: Vec::new(),
        };
        let all = || vec![grant("payments-all", None)];
        world
            .add("good", |c| c.profiles = one_profile(all(), "payments:read payments:write", None));
        world.add("other", |c| c.profiles = one_profile(all(), "payments:read", None));
        world.add("reader", |c| {
            c.profiles = one_profile(vec![grant("payments-read", None)], "payments:read", None);
        });
        world.add("lapsed", |c| {
            c.profiles =
                one_profile(vec![grant("payments-all", Some(PAST))], "payments:read", None);
        });
        world.add("scopeless", |c| c.profiles = one_profile(all(), "", None));
        world.add("slow", |c| c.profiles = one_profile(all(), "payments:read", Some("slow")));
        world.add("planless", |c| c.profiles = one_profile(all(), "payments:read", Some("gone")));
        world.add("expired", |c| c.expires = Some(PAST));
        world.add("revoked", |c| c.status = Status::Revoked);
        world.add("suspended", |c| {
            c.profiles = one_profile(all(), "payments:read", None);
            c.suspended_until = Some(UnixMicros(NOW.0 + 1));
        });
        world.add("back", |c| {
            c.profiles = one_profile(all(), "payments:read", None);
            c.suspended_until = Some(NOW);
        });
        world
    }

    /// A client with one key; `change` says how it differs from one that may do nothing.
    fn add(&mut self, name: &'static str, change: impl FnOnce(&mut Client)) {
        let id = ClientId::parse(name).expect("valid");
        let mut client = Client {
            id_value: id.to_value(),
            id,
            kind: ClientKind::App,
            owner: "owner".into(),
            purpose: "purpose".into(),
            status: Status::Active,
            expires: None,
            suspended_until: None,
            quarantine: None,
            profiles: one_profile(Vec::new(), "", None),
        };
        change(&mut client);
        let serial = u8::try_from(self.keys.len()).expect("few");
        let key = NewKey::from_random(&Environment::default(), [serial; 12], [serial; 32]);
        let credential = credential(&key, &client.id);
        let inventory = &mut self.snapshot.inventory;
        inventory.credentials = inventory.credentials.with(key.id, Arc::new(credential));
        inventory.clients = inventory.clients.with(client.id.clone(), Arc::new(client));
        self.keys.push((name, key.reveal().to_owned()));
    }

    /// The key of a client, or the text itself.
    fn key(&self, name: &str) -> String {
        let known = self.keys.iter().find(|(client, _)| *client == name);
        known.map_or_else(|| name.to_owned(), |(_, key)| key.clone())
    }

    /// Decides `METHOD host/path`; fields are `bearer=CLIENT`, `key=CLIENT`, `body=BYTES`,
    /// `from=IP`, or `NAME: VALUE`.
    fn decide(&self, line: &str, fields: &[&str], seen: &mut Seen) -> Result<String, Refusal> {
        let (method, url) = line.split_once(' ').expect("METHOD URL");
        let (host, path) = url.split_at(url.find('/').expect("a path"));
        let mut values = Vec::new();
        let mut body_bytes = None;
        let mut source_ip: Option<IpAddr> = "10.0.0.1".parse().ok();
        let mut map = HeaderMap::new();
        for field in fields {
            if let Some((name, value)) = field.split_once(": ") {
                let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
                map.append(name, HeaderValue::from_str(value).expect("a value"));
                continue;
            }
            match field.split_once('=').expect("name=value") {
                ("from", ip) => source_ip = ip.parse().ok(),
                ("bearer", client) => {
                    let value = format!("Bearer {}", self.key(client));
                    values.push((CredentialLocation::Authorization, value));
                }
                ("authorization", value) => {
                    values.push((CredentialLocation::Authorization, value.to_owned()));
                }
                ("key", client) => values.push((CredentialLocation::XApiKey, self.key(client))),
                (_, bytes) => body_bytes = Some(bytes.parse().expect("a number")),
            }
        }
        let mut presented = Presented::default();
        for (location, value) in &values {
            presented.push(*location, value.as_bytes());
        }
        let ask = Ask {
            method,
            host,
            path,
            presented,
            body_bytes,
            body_may_follow: false,
            source_ip,
            fields: &map,
        };
        let verdict = match policy::preflight(&self.snapshot, &ask, seen) {
            Some(asked) => asked.map(|api| format!("preflight of {}", api.name)),
            None => decide(&self.snapshot, &ask, now(), seen).map_err(refused).map(|admitted| {
                let product = admitted.product().map_or("public", ProductName::as_str);
                format!("{} by {product}", admitted.operation().id)
            }),
        };
        replay::expect_same(&self.snapshot, &ask, seen, verdict.as_deref());
        verdict
    }
}

fn now() -> Now {
    Now { mono: MonoNs(1), wall: NOW }
}

fn grant(product: &str, until: Option<UnixMicros>) -> Grant {
    Grant { product: ProductName::parse(product).expect("valid"), until }
}

fn one_profile(grants: Vec<Grant>, scopes: &str, plan: Option<&str>) -> Box<[Arc<Profile>]> {
    let scopes = scopes.split_whitespace().map(|scope| Scope::parse(scope).expect("valid"));
    let profile = Profile {
        name: ProfileName::default(),
        name_value: ProfileName::default().to_value(),
        status: Status::Active,
        plan: plan.map(|plan| PlanName::parse(plan).expect("valid")),
        presentation: None,
        meter: Arc::default(),
        scopes: scopes.collect(),
        grants: grants.into(),
    };
    Box::new([Arc::new(profile)])
}

fn credential(key: &NewKey, client: &ClientId) -> Credential {
    Credential {
        id: key.id,
        client: client.clone(),
        profile: ProfileName::parse("default").expect("valid"),
        secret_sha256: key.secret_sha256,
        proof: Proof::default(),
        status: Status::Active,
        expires: None,
        suspended_until: None,
        holder: None,
        facts: OnceLock::new(),
    }
}

/// The answer of a request that waits for nothing.
fn refused(unadmitted: Unadmitted) -> Refusal {
    match unadmitted {
        Unadmitted::Refused(refusal) => refusal,
        Unadmitted::Awaits(wanted) => panic!("the plan has no quotas: {wanted:?}"),
    }
}

/// Denials with rows elsewhere: `limits.rs` and `quotas.rs` have those of plans, `quarantine.rs` and `brake.rs` their own, `rules.rs` those of
/// an api's rules, `tests/gateway/denials.rs` the edge's, which refuses before there is a request to
/// decide on, or because of its own state.
const ELSEWHERE: [Denial; 14] = [
    Denial::RepeatedCall,
    Denial::Quarantined,
    Denial::RateLimited,
    Denial::QuotaExhausted,
    Denial::ConcurrencyLimited,
    Denial::AddressNotAllowed,
    Denial::PolicyRefused,
    Denial::MalformedRequest,
    Denial::UriTooLong,
    Denial::HeadTooLarge,
    Denial::RequestTimeout,
    Denial::TooManyUnauthenticated,
    Denial::AuditUnavailable,
    Denial::Overloaded,
];

#[test]
fn requests_are_decided() {
    use Denial::*;
    let mut denied = Vec::new();
    let mut check = |line: &str, fields: &[&str], expected: Result<&str, Denial>| {
        let verdict = World::new().decide(line, fields, &mut Seen::default());
        let verdict = verdict.map_err(|refusal| refusal.denial);
        assert_eq!(verdict.as_deref().map_err(|d| *d), expected, "{line} {fields:?}");
        denied.extend(expected.err());
    };
    let list = "GET api.example.com/api/payments";
    check(list, &["bearer=good"], Ok("payments.list by payments-all"));
    check(list, &["key=good"], Ok("payments.list by payments-all"));
    check(list, &["key=good", "bearer=good"], Ok("payments.list by payments-all"));
    check(list, &["key=good", "authorization=Basic dTpw"], Ok("payments.list by payments-all"));
    check(list, &["key=good", "authorization=Bearer app"], Ok("payments.list by payments-all"));
    check(list, &["bearer=reader"], Ok("payments.list by payments-read"));
    check("HEAD api.example.com/api/payments", &["key=good"], Ok("payments.list by payments-all"));
    check(
        "GET eu.pay.example.com/api/payments",
        &["key=good"],
        Ok("payments.list by payments-all"),
    );
    let show = "GET api.example.com/api/payments/7";
    check(show, &["key=reader"], Ok("payments.show by payments-read"));
    let create = "POST api.example.com/api/payments";
    check(create, &["key=good", "body=1024"], Ok("payments.create by payments-all"));
    check("PUT api.example.com/status/x/y", &[], Ok("status.all by public"));
    check("GET api.example.com/status", &[], Ok("status.all by public"));
    check("GET api.example.com/status", &["key=good"], Ok("status.all by public"));
    check("GET api.example.com/status", &["authorization=Bearer app"], Ok("status.all by public"));

    check("GET elsewhere.com/api/payments", &["key=good"], Err(Misdirected));
    check("GET pay.example.com/api/payments", &["key=good"], Err(Misdirected));
    check("GET api.example.com/", &["key=good"], Err(NotFound));
    check("GET api.example.com/apis/payments", &[], Err(NotFound));
    check("GET api.example.com/api/nothing", &["key=good"], Err(NotFound));
    check("GET api.example.com/api/nothing", &[], Err(CredentialMissing));
    check("DELETE api.example.com/api/payments", &["key=good"], Err(MethodNotAllowed));
    check("DELETE api.example.com/api/payments", &[], Err(CredentialMissing));
    check("TRACE api.example.com/status", &[], Err(MethodNotAllowed));
    check(list, &[], Err(CredentialMissing));
    check(list, &["authorization=Basic dTpw"], Err(CredentialMissing));
    check(list, &["authorization=Bearer app"], Err(CredentialInvalid));
    check(list, &["key=og_live_x"], Err(CredentialInvalid));
    check(list, &["key=revoked"], Err(CredentialInvalid));
    check("GET api.example.com/status", &["key=og_live_x"], Err(CredentialInvalid));
    check("GET api.example.com/status", &["key=revoked"], Err(CredentialInvalid));
    check(list, &["key=good", "bearer=other"], Err(CredentialConflict));
    check(list, &["key=good"; 5], Err(CredentialConflict));
    check(list, &["key=expired"], Err(ClientSuspended));
    check(list, &["key=suspended"], Err(ClientSuspended));
    check(list, &["key=back"], Ok("payments.list by payments-all"));
    check(list, &["key=lapsed"], Err(NotGranted));
    check(create, &["key=reader"], Err(NotGranted));
    check("GET api.example.com/api/orphan", &["key=good"], Err(NotGranted));
    check(list, &["key=planless"], Err(NotGranted));
    check(list, &["key=scopeless"], Err(InsufficientScope));
    check(create, &["key=good", "body=1025"], Err(BodyTooLarge));

    for denial in Denial::ALL {
        let elsewhere = ELSEWHERE.contains(&denial);
        assert_eq!(denied.contains(&denial), !elsewhere, "{denial} has a row in one place");
    }
}

#[test]
fn a_plan_is_charged_and_then_refuses() {
    let world = World::new();
    let list = "GET api.example.com/api/payments";
    let mut remaining = Vec::new();
    for _ in 0..2 {
        let mut seen = Seen::default();
        world.decide(list, &["key=slow"], &mut seen).expect("within the burst");
        remaining.push(seen.standing.expect("has a plan").rates().expect("plain")[0].remaining);
    }
    assert_eq!(remaining, [1, 0]);
    let refusal = world.decide(list, &["key=slow"], &mut Seen::default()).expect_err("used up");
    assert_eq!(refusal.denial, Denial::RateLimited);
    let Advice::Retry { after_seconds, limit } = refusal.advice else { panic!("{refusal:?}") };
    assert_eq!((after_seconds, limit.expect("named").as_str()), (3600, "1-per-1h"));
}

#[test]
fn what_is_refused_is_not_charged() {
    let world = World::new();
    for _ in 0..10 {
        let create = "POST api.example.com/api/payments";
        let refusal = world.decide(create, &["key=slow"], &mut Seen::default());
        assert_eq!(refusal.expect_err("lacks a scope").denial, Denial::InsufficientScope);
    }
    let list = "GET api.example.com/api/payments";
    assert!(world.decide(list, &["key=slow"], &mut Seen::default()).is_ok());
}

#[test]
fn every_missing_scope_is_named() {
    let create = "POST api.example.com/api/payments";
    let refusal = World::new().decide(create, &["key=scopeless"], &mut Seen::default());
    let Advice::Scopes(scopes) = refusal.expect_err("no scopes").advice else { panic!() };
    let scopes: Vec<&str> = scopes.iter().map(Scope::as_str).collect();
    assert_eq!(scopes, ["payments:read", "payments:write"]);
}
