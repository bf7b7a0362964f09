//! Every change and every refusal: what the one who asked is told, what is stored, what the audit
//! is told. `tests/registry.rs` has what spans several changes.

mod copy;
mod history;
mod quarantine;
mod registry;

use std::sync::Arc;

use super::change::*;
use super::store::Store;
use super::testing::*;
use super::*;
use crate::model::client::ClientKind;
use crate::model::id::{CredentialId, Scope};

/// Two clients: `mobile-app` with one key, and `old-app`, revoked.
fn set_up(dir: &TempDir) -> (Registry, Arc<MemoryAudit>, CredentialId) {
    let (registry, audit) = registry(dir);
    let key = issued(make(&registry, &Change::AddClient(new_client("mobile-app"))).unwrap());
    make(&registry, &Change::AddClient(new_client("old-app"))).unwrap();
    make(&registry, &revoke(Target::Client(name("old-app")))).unwrap();
    audit.take();
    (registry, audit, key.credential.id)
}

/// Makes one change after [`set_up`] and compares: the answer, with its fix; the records; and that
/// the revision in memory and on disk counts exactly the changes that were made.
fn check(change: impl FnOnce(CredentialId) -> Change, expected: Result<&str, &str>, acts: &[&str]) {
    let dir = TempDir::default();
    let (registry, audit, key) = set_up(&dir);
    let change = change(key);
    let before = registry.running.load().inventory.revision;
    let result = make(&registry, &change);
    let told = result.as_ref().map(|done| told(&done.outcome));
    let told =
        told.map_err(|e| format!("{}: {e}. {}", e.code(), e.fix()).replace(key.as_str(), "*"));
    assert_eq!(told, expected.map(str::to_owned).map_err(str::to_owned), "{change:?}");
    assert_eq!(audit.take(), acts, "{change:?}");
    let after = registry.running.load().inventory.revision;
    assert_eq!(after, before + u64::from(result.is_ok_and(|done| done.revision > before)));
    drop(registry);
    assert_eq!(Store::open(dir.path()).unwrap().load().unwrap().revision, after, "{change:?}");
}

fn told(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done => "done".into(),
        Outcome::Issued(keys) => {
            let told = |key: &IssuedKey| {
                format!("key for {}/{}", key.credential.client, key.credential.profile)
            };
            keys.iter().map(told).collect::<Vec<_>>().join(", ")
        }
        Outcome::Stopped(credentials) => format!("{} stopped", credentials.len()),
        Outcome::Limited(credentials) => format!("holds for {}", credentials.len()),
        Outcome::Applied { added, unchanged, keys } => {
            format!("{added} added, {unchanged} unchanged, {} keys", keys.len())
        }
    }
}

fn revoke(target: Target) -> Change {
    Change::Revoke { target, reason: line("lost laptop") }
}

fn profile_of(client: &str, profile: &str) -> Target {
    Target::Profile { client: name(client), profile: name(profile) }
}

fn add(client: NewClient) -> Change {
    Change::AddClient(client)
}

fn add_grant(client: &str, product: &str, until: Option<UnixMicros>) -> Change {
    Change::AddGrant(NewGrant { grant: grant_id(client, product), until, reason: None })
}

fn remove_grant(client: &str, product: &str) -> Change {
    Change::RemoveGrant { grant: grant_id(client, product), reason: line("unused") }
}

fn add_key(client: &str, profile: &str) -> Change {
    let credential = NewCredential { profile: name(profile), ..new_key(None) };
    Change::AddCredential { client: name(client), credential }
}

fn known_key(id: CredentialId) -> NewCredential {
    let key = KeySource::Known { id, secret_sha256: [7; 32] };
    NewCredential { key, ..new_key(None) }
}

fn add_profile(client: &str, profile: &str, product: &str) -> Change {
    let profile = NewProfile { name: name(profile), terms: terms(&[product], None) };
    Change::AddProfile { client: name(client), profile }
}

fn new_terms(client: &str, profile: &str, plan: &str) -> Change {
    let plan = Some(PlanChoice::Named(name(plan)));
    let terms =
        Some(TermsChange { profile: name(profile), plan, presentation: None, scopes: None });
    Change::ChangeClient(ClientChange { terms, ..change_of(client) })
}

fn in_days(days: i64) -> UnixMicros {
    UnixMicros::from_seconds(NOW.seconds() + days * 86_400)
}

#[test]
fn clients_are_added() {
    let ok = &["client.add client/a", "credential.add credential/*"];
    let failed = &["client.add client/a failed"];
    check(|_| add(new_client("a")), Ok("key for a/default"), ok);
    check(|_| add(NewClient { credentials: vec![], ..new_client("a") }), Ok(""), &ok[..1]);
    check(
        |_| add(new_client("mobile-app")),
        Err("already_exists: client 'mobile-app' exists already. Choose another id, or see what \
             is there: onegate client show mobile-app"),
        &["client.add client/mobile-app failed"],
    );
    check(
        |_| add(NewClient { terms: terms(&["payment-all"], None), ..new_client("a") }),
        Err("not_found: there is no product 'payment-all'. Did you mean 'payments-all'?"),
        failed,
    );
    check(
        |_| add(NewClient { terms: terms(&["x"], None), ..new_client("a") }),
        Err("not_found: there is no product 'x'. Add a [[product]] to the config and reload it \
             first."),
        failed,
    );
    check(
        |_| add(NewClient { terms: terms(&[], Some("standart")), ..new_client("a") }),
        Err("not_found: there is no plan 'standart'. Did you mean 'standard'?"),
        failed,
    );
    check(
        |_| add(NewClient { expires: Some(Expires::At(NOW)), ..new_client("a") }),
        Err("bad_value: expires is in the past: 2026-11-21T00:00:00.000000Z. Give another value."),
        failed,
    );
    check(
        |key| add(NewClient { credentials: vec![known_key(key)], ..new_client("a") }),
        Err("already_exists: credential '*' exists already. Choose another name."),
        failed,
    );
}

#[test]
fn clients_and_profiles_are_changed() {
    let ok = &["client.change client/mobile-app"];
    let failed = &["client.change client/mobile-app failed"];
    let owner =
        |id: &str| Change::ChangeClient(ClientChange { owner: Some(line("ann")), ..change_of(id) });
    check(|_| owner("mobile-app"), Ok("done"), ok);
    check(|_| new_terms("mobile-app", "default", "agent"), Ok("done"), ok);
    check(
        |_| owner("mobil-app"),
        Err("not_found: there is no client 'mobil-app'. Did you mean 'mobile-app'?"),
        &["client.change client/mobil-app failed"],
    );
    check(
        |_| owner("zzz"),
        Err("not_found: there is no client 'zzz'. The clients: onegate client list"),
        &["client.change client/zzz failed"],
    );
    check(
        |_| owner("old-app"),
        Err("revoked: client 'old-app' is revoked. Revoking is final. Add a client under another \
             id: onegate client add"),
        &["client.change client/old-app failed"],
    );
    check(
        |_| new_terms("mobile-app", "defualt", "agent"),
        Err("not_found: there is no profile 'mobile-app/defualt'. Did you mean 'default'?"),
        failed,
    );
    check(
        |_| new_terms("mobile-app", "default", "gold"),
        Err("not_found: there is no plan 'gold'. Add a [[plan]] to the config and reload it \
             first."),
        failed,
    );
    check(
        |_| {
            let expires = Some(Expires::At(in_days(-1)));
            Change::ChangeClient(ClientChange { expires, ..change_of("mobile-app") })
        },
        Err("bad_value: expires is in the past: 2026-11-20T00:00:00.000000Z. Give another value."),
        failed,
    );
    let added = &["profile.add profile/mobile-app/batch"];
    check(|_| add_profile("mobile-app", "batch", "payments-read"), Ok("done"), added);
    check(
        |_| add_profile("mobile-app", "default", "payments-read"),
        Err("already_exists: profile 'mobile-app/default' exists already. Choose another name."),
        &["profile.add profile/mobile-app/default failed"],
    );
}

#[test]
fn grants_come_and_go() {
    let read = "grant/mobile-app/default/payments-read";
    let added = format!("grant.add {read}");
    check(|_| add_grant("mobile-app", "payments-read", None), Ok("done"), &[&added]);
    check(
        |_| add_grant("mobile-app", "payments-read", Some(in_days(-1))),
        Err("bad_value: until is in the past: 2026-11-20T00:00:00.000000Z. Give another value."),
        &[&format!("{added} failed")],
    );
    check(
        |_| add_grant("mobile-app", "payments-all", None),
        Err("already_exists: grant 'mobile-app/default/payments-all' exists already. To change \
             its end, remove it first: onegate grant remove"),
        &["grant.add grant/mobile-app/default/payments-all failed"],
    );
    check(
        |_| remove_grant("mobile-app", "payments-all"),
        Ok("done"),
        &["grant.remove grant/mobile-app/default/payments-all"],
    );
    check(
        |_| remove_grant("mobile-app", "payments-read"),
        Err("not_found: there is no grant 'mobile-app/default/payments-read'. Did you mean \
             'payments-all'?"),
        &[&format!("grant.remove {read} failed")],
    );
}

#[test]
fn keys_are_issued_and_revoked() {
    let added = &["credential.add credential/*"];
    let failed = &["credential.add client/mobile-app failed"];
    check(|_| add_key("mobile-app", "default"), Ok("key for mobile-app/default"), added);
    check(
        |_| add_key("mobile-app", "batch"),
        Err(
            "not_found: there is no profile 'mobile-app/batch'. The profiles of a client: onegate \
             client show ID",
        ),
        failed,
    );
    check(
        |_| add_key("old-app", "default"),
        Err("revoked: client 'old-app' is revoked. Revoking is final. Add a client under another \
             id: onegate client add"),
        &["credential.add client/old-app failed"],
    );
    let gone = &["credential.revoke credential/*"];
    check(|key| revoke(Target::Credential(key)), Ok("1 stopped"), gone);
    check(
        |_| revoke(Target::Credential(CredentialId::ZERO)),
        Err(
            "not_found: there is no credential '000000000000'. The credentials: onegate credential list",
        ),
        &["credential.revoke credential/* failed"],
    );
    let client = &["client.revoke client/mobile-app"];
    check(|_| revoke(Target::Client(name("mobile-app"))), Ok("1 stopped"), client);
    check(
        |_| revoke(Target::Client(name("old-app"))),
        Err("revoked: client 'old-app' is revoked. Revoking is final. Add a client under another \
             id: onegate client add"),
        &["client.revoke client/old-app failed"],
    );
    let profile = &["profile.revoke profile/mobile-app/default"];
    check(|_| revoke(profile_of("mobile-app", "default")), Ok("1 stopped"), profile);
}

#[test]
fn clients_and_credentials_are_suspended_and_resumed() {
    let suspend = |target: Suspendable, until: UnixMicros| Change::Suspend {
        target,
        until,
        reason: line("odd calls"),
    };
    let resume = |target: Suspendable| Change::Resume { target, reason: None };
    let app = || Suspendable::Client(name("mobile-app"));
    let failed = &["client.suspend client/mobile-app failed"];
    check(
        |_| suspend(app(), UnixMicros::FOREVER),
        Ok("1 stopped"),
        &["client.suspend client/mobile-app"],
    );
    check(
        |key| suspend(Suspendable::Credential(key), in_days(1)),
        Ok("1 stopped"),
        &["credential.suspend credential/*"],
    );
    check(
        |_| suspend(app(), NOW),
        Err("bad_value: the end of the suspension is in the past: 2026-11-21T00:00:00.000000Z. \
             Give another value."),
        failed,
    );
    check(
        |_| suspend(Suspendable::Client(name("old-app")), in_days(1)),
        Err("revoked: client 'old-app' is revoked. Revoking is final. Add a client under another \
             id: onegate client add"),
        &["client.suspend client/old-app failed"],
    );
    check(
        |_| suspend(Suspendable::Credential(CredentialId::ZERO), in_days(1)),
        Err(
            "not_found: there is no credential '000000000000'. The credentials: onegate credential list",
        ),
        &["credential.suspend credential/* failed"],
    );
    check(
        |_| resume(app()),
        Err("not_suspended: client 'mobile-app' is not suspended. Look at what holds it back: \
             onegate client list"),
        &["client.resume client/mobile-app failed"],
    );
    check(
        |key| resume(Suspendable::Credential(key)),
        Err("not_suspended: credential '*' is not suspended. Look at what holds it back: onegate \
             credential list"),
        &["credential.resume credential/* failed"],
    );
}

#[test]
fn clients_are_applied_whole_or_not_at_all() {
    type Edit = fn(NewClient) -> NewClient;
    let app = || new_client("mobile-app");
    let known = |id| NewClient { credentials: vec![known_key(id)], ..new_client("b") };
    let differs = |how: &str| {
        format!(
            "differs: clients exist with other values: mobile-app ({how}). Apply only creates. \
             Take these clients out of the file, or change them one by one: onegate client change"
        )
    };
    let failed = &["inventory.apply inventory failed"];
    check(
        |_| Change::Apply(vec![app()]),
        Ok("0 added, 1 unchanged, 0 keys"),
        &["inventory.apply inventory"],
    );
    check(
        |_| Change::Apply(vec![app(), new_client("a"), known(CredentialId::ZERO)]),
        Ok("2 added, 1 unchanged, 1 keys"),
        &[
            "client.add client/a",
            "credential.add credential/*",
            "client.add client/b",
            "credential.add credential/*",
            "inventory.apply inventory",
        ],
    );
    let rows: [(Edit, &str); 8] = [
        (|c| NewClient { kind: ClientKind::Agent, ..c }, "kind"),
        (|c| NewClient { owner: line("eve"), ..c }, "owner"),
        (|c| NewClient { purpose: line("else"), ..c }, "purpose"),
        (|c| NewClient { expires: Some(Expires::At(in_days(1))), ..c }, "expires"),
        (|c| NewClient { terms: terms(&[], Some("standard")), ..c }, "products of default"),
        (|c| NewClient { terms: terms(&["payments-all"], None), ..c }, "plan of default"),
        (
            |c| {
                let mut terms = terms(&["payments-all"], Some("standard"));
                terms.scopes.extend(Scope::parse("more"));
                NewClient { terms, ..c }
            },
            "scopes of default",
        ),
        (
            |c| NewClient { credentials: vec![new_key(None), new_key(None)], ..c },
            "no key of default",
        ),
    ];
    for (change, how) in rows {
        check(|_| Change::Apply(vec![new_client("a"), change(app())]), Err(&differs(how)), failed);
    }
    check(
        |_| Change::Apply(vec![new_client("a"), new_client("a")]),
        Err("already_exists: client 'a' exists already. Choose another id, or see what is there: \
             onegate client show a"),
        failed,
    );
}
