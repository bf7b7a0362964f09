//! How the inventory was: at every revision, after every kind of change, and since when it is known.

use std::collections::BTreeMap;

use super::quarantine::{end, quarantine, reads_only};
use super::registry::VERSION_1;
use super::*;
use crate::inventory::error::StoreError;
use crate::model::client::{Client, Credential, Profile};
use crate::model::id::ProfileName;
use crate::model::snapshot::Inventory;

/// Everything that decides, in words; what a history does not keep is left out.
pub(super) fn told(inventory: &Inventory) -> Vec<String> {
    let clients = inventory.clients.values().map(|client| {
        let Client { id, kind, owner, purpose, status, expires, suspended_until, profiles, .. } =
            &**client;
        let held = client.quarantine.iter().flat_map(|held| held.in_force(NOW));
        let held: Vec<_> = held.map(|(left, until)| format!("{left} {until}")).collect();
        let profiles = profiles.iter().map(|profile| {
            let Profile { name, status, plan, scopes, grants, .. } = &**profile;
            format!("{name} {status:?} {plan:?} {scopes:?} {grants:?}")
        });
        let profiles: Vec<_> = profiles.collect();
        format!("{id} {kind:?} {owner} {purpose} {status:?} {expires:?} {suspended_until:?} {profiles:?} {held:?}")
    });
    let credentials = inventory.credentials.values().map(|credential| {
        let Credential { id, client, profile, status, expires, suspended_until, holder, .. } =
            &**credential;
        format!("{id} {client} {profile} {status:?} {expires:?} {suspended_until:?} {holder:?}")
    });
    let mut told: Vec<String> = clients.chain(credentials).collect();
    told.sort();
    told
}

pub(super) fn every_kind_of_change(registry: &Registry, remember: &mut impl FnMut(&Registry)) {
    let mut change = |change: &Change| {
        let done = make(registry, change).unwrap();
        remember(registry);
        done
    };
    let key = issued(change(&add(new_client("a")))).credential.id;
    change(&add(new_client("b")));
    change(&add_grant("a", "payments-read", Some(UnixMicros(NOW.0 + 1_000_000))));
    change(&remove_grant("a", "payments-read"));
    change(&add_grant("a", "payments-read", None));
    change(&add_key("a", "default"));
    let until = UnixMicros::FOREVER;
    for target in [Suspendable::Client(name("a")), Suspendable::Credential(key)] {
        change(&Change::Suspend { target: target.clone(), until, reason: line("odd calls") });
        change(&Change::Resume { target, reason: None });
    }
    change(&quarantine("b", reads_only(), in_days(2)));
    change(&quarantine("b", reads_only(), in_days(3)));
    change(&end("b", &[]));
    change(&quarantine("b", reads_only(), in_days(2)));
    change(&Change::ChangeClient(ClientChange {
        id: name("b"),
        owner: Some(line("bob")),
        purpose: None,
        expires: Some(Expires::Never),
        terms: Some(TermsChange {
            presentation: None,
            profile: ProfileName::default(),
            plan: Some(PlanChoice::None),
            scopes: Some(Scope::parse("payments:write").into_iter().collect()),
        }),
    }));
    let profile = NewProfile { name: name("second"), terms: Terms::default() };
    change(&Change::AddProfile { client: name("b"), profile });
    change(&revoke(profile_of("b", "second")));
    change(&revoke(Target::Credential(key)));
    change(&Change::Apply(vec![new_client("c"), new_client("d")]));
    change(&revoke(Target::Client(name("a"))));
}

#[test]
fn every_revision_is_read_back_as_it_was_in_force() {
    let dir = TempDir::default();
    let (registry, _) = registry(&dir);
    let mut was = BTreeMap::new();
    let mut remember = |registry: &Registry| {
        let inventory = registry.running.load().inventory.clone();
        was.insert(inventory.revision, told(&inventory));
    };
    remember(&registry);
    every_kind_of_change(&registry, &mut remember);
    assert!(was.len() > 15, "{}", was.len());
    let check = || {
        for (revision, told_then) in &was {
            let then = Store::peek_at(dir.path(), *revision).unwrap();
            assert_eq!((then.revision, &told(&then)), (*revision, told_then));
            let mut hashes = then.credentials.values().map(|credential| credential.secret_sha256);
            assert!(hashes.all(|hash| hash == [0; 32]), "a hash is in the history");
        }
    };
    check();
    let now = was.len() as u64 - 1;
    let error = Store::peek_at(dir.path(), now + 1).unwrap_err();
    assert!(error.to_string().contains(&format!("goes from revision 0 to {now}")), "{error}");
    drop(registry);
    check();

    // What nobody will ask about is forgotten, and no more than that.
    let mut store = Store::open(dir.path()).unwrap();
    store.forget_before(5).unwrap();
    store.forget_before(3).unwrap();
    assert!(matches!(
        Store::peek_at(dir.path(), 4),
        Err(StoreError::Unknown { revision: 4, since: 5, .. })
    ));
    was.retain(|revision, _| *revision >= 5);
    for (revision, told_then) in &was {
        assert_eq!(&told(&Store::peek_at(dir.path(), *revision).unwrap()), told_then);
    }
}

/// A change that is not made leaves nothing behind, and one that replaces a row twice only the last.
#[test]
fn what_never_was_in_force_is_in_no_history() {
    let dir = TempDir::default();
    let (registry, _) = registry(&dir);
    make(&registry, &add(new_client("a"))).unwrap();
    let taken = vec![new_client("b"), new_client("b")];
    make(&registry, &Change::Apply(taken)).unwrap_err();
    make(&registry, &add_grant("a", "payments-read", None)).unwrap();
    drop(registry);
    let connection = rusqlite::Connection::open(dir.path().join("inventory.db")).unwrap();
    let count = |sql: &str| -> i64 { connection.query_row(sql, [], |row| row.get(0)).unwrap() };
    assert_eq!(count("SELECT count(*) FROM client_history"), 1);
    connection
        .execute_batch(
            "BEGIN;
             UPDATE client SET owner = 'eve';
             UPDATE client SET owner = 'fay';
             DELETE FROM grant_;
             UPDATE meta SET revision = revision + 1;
             COMMIT;",
        )
        .unwrap();
    assert_eq!(count("SELECT count(*) FROM client_history"), 2);
    assert_eq!(count("SELECT count(*) FROM client_history WHERE owner = 'eve'"), 0);
    let owner = |revision| {
        let then = Store::peek_at(dir.path(), revision).unwrap();
        let client = then.clients.get(&name("a")).unwrap();
        (client.owner.to_string(), client.profiles[0].grants.len())
    };
    let (before, grants) = owner(2);
    assert_ne!(before, "fay");
    assert_eq!(owner(3), ("fay".to_owned(), 0));
    assert!(grants > 0);
}

#[test]
fn the_history_of_an_older_inventory_begins_when_it_is_brought_up_to_date() {
    let check = |make_old: &str, more: &str| {
        let dir = TempDir::default();
        let path = dir.path().join("inventory.db");
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.execute_batch(make_old).unwrap();
        connection.execute_batch(more).unwrap();
        drop(connection);
        let (registry, _) = registry(&dir);
        make(&registry, &remove_grant("a", "payments-all")).unwrap();
        drop(registry);
        let grants = |revision| {
            let then = Store::peek_at(dir.path(), revision)?;
            Ok::<_, StoreError>(then.clients.get(&name("a")).unwrap().profiles[0].grants.len())
        };
        assert_eq!((grants(7).unwrap(), grants(8).unwrap()), (1, 0));
        let error = grants(6).unwrap_err();
        let told = "the inventory of revision 6 is not kept: its history goes from revision 7 to 8";
        assert_eq!(error.to_string(), told);
    };
    check(VERSION_1, "");
    let to_2 = "
        ALTER TABLE client ADD COLUMN suspended_until INTEGER;
        ALTER TABLE credential ADD COLUMN suspended_until INTEGER;
        PRAGMA user_version = 2;";
    check(VERSION_1, to_2);
}
