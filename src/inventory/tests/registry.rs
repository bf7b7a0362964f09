//! What spans several changes: what is in force, what is counted on, what stays secret.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::inventory::actor::Actor;
use crate::inventory::error::StoreError;
use crate::model::client::{Client, Status};
use crate::model::key::{Environment, PresentedKey};

fn client(registry: &Registry, id: &str) -> Arc<Client> {
    Arc::clone(registry.running.load().inventory.clients.get(id).expect("the client"))
}

#[test]
fn a_change_is_in_force_and_survives() {
    let dir = TempDir::default();
    let (registry, _) = registry(&dir);
    let key = issued(make(&registry, &add(new_client("a"))).unwrap());
    let presented = PresentedKey::parse(key.key.reveal().as_bytes()).unwrap();
    let find = |registry: &Registry| {
        let snapshot = registry.running.load();
        let found = snapshot.inventory.credentials.get(&presented.id).map(Arc::clone);
        found.expect("the credential")
    };
    assert_eq!(find(&registry).secret_sha256, presented.secret_sha256());
    let done = make(&registry, &revoke(Target::Credential(presented.id))).unwrap();
    assert_eq!(done.ended, Ended { requests: 1, streams: 2 });
    assert_eq!(done.recorded, Recorded::Yes);
    assert_eq!(find(&registry).status, Status::Revoked);
    assert_eq!(&*registry.running.load().label, "0123456789abcdef+2");
    drop(registry);
    let (registry, _) = super::registry(&dir);
    assert_eq!(find(&registry).status, Status::Revoked);
    assert_eq!(find(&registry).secret_sha256, presented.secret_sha256());
    assert_eq!(&*client(&registry, "a").owner, "payments team");
    assert_eq!(client(&registry, "a").profiles[0].grants[0].product, name("payments-all"));
}

#[test]
fn agents_expire_in_90_days_unless_told() {
    let check = |kind: ClientKind, expires: Option<Expires>, expected: Option<UnixMicros>| {
        let dir = TempDir::default();
        let (registry, _) = registry(&dir);
        make(&registry, &add(NewClient { kind, expires, ..new_client("a") })).unwrap();
        assert_eq!(client(&registry, "a").expires, expected, "{kind:?} {expires:?}");
    };
    check(ClientKind::Agent, None, Some(in_days(90)));
    check(ClientKind::Agent, Some(Expires::Never), None);
    check(ClientKind::Agent, Some(Expires::At(in_days(7))), Some(in_days(7)));
    check(ClientKind::App, None, None);
    check(ClientKind::Service, Some(Expires::At(in_days(7))), Some(in_days(7)));
}

#[test]
fn what_a_client_used_of_its_plan_stays_counted() {
    let dir = TempDir::default();
    let (registry, _) = registry(&dir);
    make(&registry, &add(new_client("a"))).unwrap();
    let meter = |profile: &str| {
        let client = client(&registry, "a");
        Arc::clone(&client.profile(profile).expect("the profile").meter)
    };
    let first = meter("default");
    make(&registry, &add_grant("a", "payments-read", None)).unwrap();
    assert!(Arc::ptr_eq(&meter("default"), &first));
    make(&registry, &add_profile("a", "batch", "payments-read")).unwrap();
    assert!(!Arc::ptr_eq(&meter("batch"), &first), "another plan, another meter");
    make(&registry, &new_terms("a", "batch", "standard")).unwrap();
    assert!(Arc::ptr_eq(&meter("batch"), &first), "one meter for one plan");
    make(&registry, &new_terms("a", "default", "agent")).unwrap();
    assert!(!Arc::ptr_eq(&meter("default"), &first));
    make(&registry, &new_terms("a", "default", "standard")).unwrap();
    assert!(Arc::ptr_eq(&meter("default"), &first), "its other profile kept the meter");
}

#[test]
fn a_grant_whose_time_is_over_may_be_given_again() {
    let dir = TempDir::default();
    let (registry, audit) = registry(&dir);
    make(&registry, &add(new_client("a"))).unwrap();
    make(&registry, &add_grant("a", "payments-read", Some(in_days(1)))).unwrap();
    let by = Actor::gate();
    let again = add_grant("a", "payments-read", Some(in_days(9)));
    registry.change(&again, Asked { by: &by, at: in_days(2) }).unwrap();
    let acts = audit.acts.lock().unwrap();
    let before = &acts.last().unwrap().before.as_ref().unwrap().0;
    assert_eq!(&**before, r#"{"product":"payments-read","until":"2026-11-22T00:00:00.000000Z"}"#);
}

#[test]
fn a_config_without_what_is_in_use_is_refused() {
    let dir = TempDir::default();
    let (registry, _, _) = set_up(&dir);
    make(&registry, &add_grant("mobile-app", "payments-read", Some(in_days(1)))).unwrap();
    let check = |products: &[&str], plans: &[&str], now: UnixMicros, expected: &[&str]| {
        let swapped = registry.swap_policy(policy(products, plans), now);
        let told: Vec<String> =
            swapped.err().unwrap_or_default().iter().map(InUse::to_string).collect();
        assert_eq!(told, expected);
    };
    let all = &["payments-all", "payments-read"];
    check(all, &["standard"], NOW, &[]);
    check(all, &["agent"], NOW, &["plan 'standard' is in use by mobile-app/default"]);
    check(
        &[],
        &["standard"],
        NOW,
        &[
            "product 'payments-all' is in use by mobile-app/default",
            "product 'payments-read' is in use by mobile-app/default",
        ],
    );
    check(&["payments-all"], &["standard"], in_days(2), &[]);
    make(&registry, &revoke(Target::Client(name("mobile-app")))).unwrap();
    check(&[], &[], NOW, &[]);
}

#[test]
fn what_takes_away_goes_ahead_of_a_full_audit_and_nothing_else_does() {
    let dir = TempDir::default();
    let (registry, audit, key) = set_up(&dir);
    *audit.full.lock().unwrap() = true;
    let done = make(&registry, &add_key("mobile-app", "default")).unwrap();
    assert_eq!(done.recorded, Recorded::Waits(AuditUnavailable("the disk is full".into())));
    let error = make(&registry, &add_key("mobile-app", "default")).unwrap_err();
    assert_eq!(error.code(), "audit_unavailable");
    make(&registry, &revoke(Target::Credential(key))).unwrap();
    *audit.full.lock().unwrap() = false;
    make(&registry, &add_grant("mobile-app", "payments-read", None)).unwrap();
    assert_eq!(
        audit.take(),
        [
            "credential.add credential/*",
            "credential.revoke credential/*",
            "grant.add grant/mobile-app/default/payments-read",
        ]
    );
}

#[test]
fn records_that_a_crash_kept_from_the_audit_are_handed_over_at_start() {
    let dir = TempDir::default();
    let (registry, audit, _) = set_up(&dir);
    *audit.full.lock().unwrap() = true;
    make(&registry, &add_grant("mobile-app", "payments-read", None)).unwrap();
    drop(registry);
    let (_registry, audit) = super::registry(&dir);
    let acts = audit.acts.lock().unwrap();
    let act = &acts[0];
    assert_eq!((acts.len(), &*act.action, act.succeeded), (1, "grant.add", true));
    assert_eq!(&*act.actor, "uid=0 login=ann sudo_user=-");
    assert_eq!(&*act.policy, "0123456789abcdef+4");
    assert!(act.id.to_string().starts_with("01a1fb67-1800-7"), "its time is the act's: {}", act.id);
}

#[test]
fn a_suspension_is_only_made_longer_and_what_it_stopped_is_told_once() {
    let dir = TempDir::default();
    let (registry, _, key) = set_up(&dir);
    let suspend = |target: Suspendable, until: UnixMicros| {
        make(&registry, &Change::Suspend { target, until, reason: line("odd calls") })
    };
    let app = || Suspendable::Client(name("mobile-app"));
    let stopped = |done: Result<Done, ChangeError>| {
        let Outcome::Stopped(keys) = done.expect("it is made").outcome else { panic!() };
        keys
    };
    assert_eq!(stopped(suspend(app(), in_days(1))), [key]);
    assert_eq!(client(&registry, "mobile-app").suspended_until, Some(in_days(1)));
    // Nothing could be used before: neither the longer end nor the key's own stops anything.
    assert_eq!(stopped(suspend(app(), in_days(2))), []);
    assert_eq!(stopped(suspend(Suspendable::Credential(key), UnixMicros::FOREVER)), []);
    let error = suspend(app(), in_days(1)).expect_err("it would end sooner");
    assert_eq!(
        format!("{}: {error}. {}", error.code(), error.fix()),
        "suspended: client 'mobile-app' is suspended for longer: until \
         2026-11-23T00:00:00.000000Z. To end it sooner: onegate resume client mobile-app"
    );
    make(&registry, &Change::Resume { target: app(), reason: None }).unwrap();
    assert_eq!(client(&registry, "mobile-app").suspended_until, None);
    drop(registry);
    let (registry, _) = super::registry(&dir);
    let inventory = registry.running.load().inventory.clone();
    let credential = inventory.credentials.get(&key).expect("the key");
    assert_eq!(credential.suspended_until, Some(UnixMicros::FOREVER));
    assert_eq!(client(&registry, "mobile-app").suspended_until, None);
}

/// The tables of onegate 0.1, with a client, a key and a grant.
pub(super) const VERSION_1: &str = "
    CREATE TABLE meta (one INTEGER PRIMARY KEY CHECK (one = 1), revision INTEGER NOT NULL) STRICT;
    INSERT INTO meta VALUES (1, 7);
    CREATE TABLE client (
        id TEXT NOT NULL PRIMARY KEY, kind TEXT NOT NULL, owner TEXT NOT NULL,
        purpose TEXT NOT NULL, status TEXT NOT NULL, expires INTEGER, created INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE profile (
        client TEXT NOT NULL REFERENCES client (id), name TEXT NOT NULL, status TEXT NOT NULL,
        plan TEXT, scopes TEXT NOT NULL, PRIMARY KEY (client, name)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE grant_ (
        client TEXT NOT NULL, profile TEXT NOT NULL, product TEXT NOT NULL, until INTEGER,
        reason TEXT, actor TEXT NOT NULL, created INTEGER NOT NULL,
        PRIMARY KEY (client, profile, product),
        FOREIGN KEY (client, profile) REFERENCES profile (client, name)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE credential (
        id TEXT NOT NULL PRIMARY KEY, client TEXT NOT NULL, profile TEXT NOT NULL,
        secret_sha256 BLOB NOT NULL CHECK (length(secret_sha256) = 32), status TEXT NOT NULL,
        expires INTEGER, holder TEXT, created INTEGER NOT NULL,
        FOREIGN KEY (client, profile) REFERENCES profile (client, name)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX credential_by_client ON credential (client);
    CREATE TABLE act (
        number INTEGER PRIMARY KEY, random BLOB NOT NULL CHECK (length(random) = 10),
        time INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL, target TEXT NOT NULL,
        reason TEXT, before TEXT, after TEXT, policy TEXT NOT NULL, succeeded INTEGER NOT NULL
    ) STRICT;
    INSERT INTO client VALUES ('a', 'app', 'ann', 'testing', 'active', NULL, 0);
    INSERT INTO profile VALUES ('a', 'default', 'active', 'standard', 'payments:read');
    INSERT INTO grant_ VALUES ('a', 'default', 'payments-all', NULL, NULL, 'ann', 0);
    INSERT INTO credential VALUES ('0123456789ab', 'a', 'default', zeroblob(32), 'active', NULL,
        'bob', 0);
    PRAGMA user_version = 1;
";

#[test]
fn an_inventory_of_the_first_release_opens_and_takes_suspensions() {
    let dir = TempDir::default();
    let path = dir.path().join("inventory.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch(VERSION_1).unwrap();
    let error = Store::peek(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::Older { found: 1, known: 4 }), "{error}");
    let (registry, _) = registry(&dir);
    let inventory = registry.running.load().inventory.clone();
    assert_eq!((inventory.revision, inventory.clients.len()), (7, 1));
    let id = CredentialId::parse("0123456789ab").unwrap();
    assert_eq!(inventory.credentials.get(&id).unwrap().holder.as_deref(), Some("bob"));
    let target = Suspendable::Credential(id);
    let until = UnixMicros::FOREVER;
    make(&registry, &Change::Suspend { target, until, reason: line("odd calls") }).unwrap();
    make(&registry, &add(new_client("b"))).unwrap();
    drop(registry);
    let again = Store::peek(dir.path()).unwrap();
    assert_eq!(again.credentials.get(&id).unwrap().suspended_until, Some(until));
    assert_eq!(again.clients.len(), 2);
}

#[test]
fn one_holder_at_a_time_and_files_for_nobody_else() {
    let dir = TempDir::default();
    let store = Store::open(dir.path()).unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    let expected = format!(
        "the inventory is in use by process {} (it holds {})",
        std::process::id(),
        dir.path().join("onegate.lock").display()
    );
    assert_eq!(error.to_string(), expected);
    for entry in fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
    }
    drop(store);
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let error = Store::open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::OpenToOthers { mode: 0o777, .. }), "{error}");
}

#[test]
fn a_later_schema_is_refused() {
    let dir = TempDir::default();
    drop(Store::open(dir.path()).unwrap());
    let connection = rusqlite::Connection::open(dir.path().join("inventory.db")).unwrap();
    connection.execute_batch("PRAGMA user_version = 5").unwrap();
    drop(connection);
    let error = Store::open(dir.path()).unwrap_err();
    assert_eq!(error.to_string(), "the inventory has schema 5; this onegate knows up to 4");
}

#[test]
fn a_row_that_makes_no_sense_is_an_error() {
    let check = |sql: &str, expected: &str| {
        let dir = TempDir::default();
        let (registry, _, _) = set_up(&dir);
        drop(registry);
        let connection = rusqlite::Connection::open(dir.path().join("inventory.db")).unwrap();
        connection.execute_batch(sql).unwrap();
        drop(connection);
        let error = Store::open(dir.path()).unwrap().load().unwrap_err().to_string();
        assert!(error.contains(expected), "{sql}: {error}");
    };
    check("UPDATE client SET kind = 'robot'", "row 'mobile-app' of table client");
    check("UPDATE profile SET plan = 'No Plan'", "row 'mobile-app' of table profile");
    check("UPDATE profile SET scopes = '\"'", "row 'mobile-app' of table profile");
    check("UPDATE grant_ SET product = ''", "row 'mobile-app' of table grant_");
    check("UPDATE credential SET status = ''", "of table credential");
}

#[test]
fn a_secret_is_nowhere_but_in_the_hands_of_its_holder() {
    let dir = TempDir::default();
    let (registry, audit) = registry(&dir);
    let done = make(&registry, &add(new_client("a"))).unwrap();
    let mut shown = format!("{done:?} {:?}", registry.running.load());
    let key = issued(done);
    shown += &format!("{key:?} {:?}", audit.acts.lock().unwrap());
    let text = key.key.reveal().to_owned();
    let secret = text.split('_').nth(3).unwrap();
    assert_eq!(secret.len(), 43);
    assert!(!shown.contains(secret));
    drop(registry);
    for entry in fs::read_dir(dir.path()).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
    }
    let environment = Environment::parse("test").unwrap();
    let key = KeySource::Issued(environment);
    let credential = NewCredential { key, ..new_key(Some("ann")) };
    let (registry, _) = super::registry(&dir);
    let change = Change::AddCredential { client: name("a"), credential };
    assert!(issued(make(&registry, &change).unwrap()).key.reveal().starts_with("og_test_"));
}

/// Not timed: it is here to notice a load that is quadratic, by the test runner's own limit.
#[test]
fn a_hundred_thousand_credentials_are_loaded_and_one_more_is_added() {
    let dir = TempDir::default();
    drop(Store::open(dir.path()).unwrap());
    let connection = rusqlite::Connection::open(dir.path().join("inventory.db")).unwrap();
    let fill = "
        PRAGMA foreign_keys = ON;
        BEGIN;
        CREATE TEMP TABLE number AS
            WITH RECURSIVE up (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM up LIMIT 100000)
            SELECT n FROM up;
        INSERT INTO client
            SELECT 'c' || n, 'app', 'o', 'p', 'active', NULL, 0, NULL FROM number
            WHERE n < 1000;
        INSERT INTO profile
            SELECT 'c' || n, 'default', 'active', 'agent', 'a b', NULL FROM number WHERE n < 1000;
        INSERT INTO credential
            SELECT printf('%012d', n), 'c' || (n / 100), 'default', zeroblob(32), 'active', NULL,
                   NULL, 0, NULL
            FROM number;
        COMMIT;";
    connection.execute_batch(fill).unwrap();
    drop(connection);
    let (registry, _) = registry(&dir);
    let before = registry.running.load_full();
    make(&registry, &add_key("c7", "default")).unwrap();
    let after = registry.running.load_full();
    let counts = |snapshot: &Snapshot| {
        (snapshot.inventory.clients.len(), snapshot.inventory.credentials.len())
    };
    assert_eq!((counts(&before), counts(&after)), ((1000, 100_000), (1000, 100_001)));
    let last = CredentialId::parse("000000099999").unwrap();
    assert_eq!(after.inventory.credentials.get(&last).unwrap().client, name("c999"));
}
