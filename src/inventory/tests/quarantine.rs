//! Quarantines: what may replace what, what is told and kept, and what ends them.

use std::time::Duration;

use super::*;
use crate::model::client::Client;
use crate::model::id::OperationId;
use crate::model::quarantine::{CallRate, Restriction};
use crate::model::time::{MonoNs, Now};

fn operation(text: &str) -> OperationId {
    OperationId::parse_joined(text).expect("a good id")
}

fn of(operations: &[&str]) -> Vec<Restriction> {
    operations.iter().map(|text| Restriction::Operation(operation(text))).collect()
}

fn rate(limit: u32, seconds: u64) -> Vec<Restriction> {
    vec![Restriction::Rate(CallRate { limit, per: Duration::from_secs(seconds) })]
}

pub(super) fn reads_only() -> Vec<Restriction> {
    vec![Restriction::ReadsOnly]
}

pub(super) fn quarantine(
    client: &str,
    restrictions: Vec<Restriction>,
    until: UnixMicros,
) -> Change {
    let (client, reason) = (name(client), line("odd calls"));
    Change::Quarantine(NewQuarantine { client, restrictions, until, reason })
}

pub(super) fn end(client: &str, operations: &[&str]) -> Change {
    let operations = operations.iter().map(|text| operation(text)).collect();
    let (client, reason) = (name(client), line("looked into"));
    Change::EndQuarantine(EndQuarantine { client, operations, reason })
}

/// What is in force, in words.
fn held(client: &Client) -> Vec<String> {
    let held = client.quarantine.iter().flat_map(|held| held.in_force(NOW));
    held.map(|(left, until)| format!("{left} until {until}")).collect()
}

#[test]
fn clients_are_put_into_quarantine_and_refusals_say_why() {
    let app = |restrictions, until| move |_| quarantine("mobile-app", restrictions, until);
    let made = &["client.quarantine client/mobile-app"];
    let failed = &["client.quarantine client/mobile-app failed"];
    check(app(reads_only(), in_days(1)), Ok("holds for 1"), made);
    check(app(rate(5, 60), in_days(30)), Ok("holds for 1"), made);
    let two = of(&["payments.list", "payments.create"]);
    check(app(two, in_days(1)), Ok("holds for 1"), made);
    check(
        app(reads_only(), UnixMicros(in_days(30).0 + 1)),
        Err(
            "bad_value: the end of the quarantine is more than 30 days away; for longer, remove grants or suspend the \
             client. Give another value.",
        ),
        failed,
    );
    check(
        app(reads_only(), NOW),
        Err("bad_value: the end of the quarantine is in the past: 2026-11-21T00:00:00.000000Z. \
             Give another value."),
        failed,
    );
    check(
        app(of(&["payments.creat"]), in_days(1)),
        Err("not_found: there is no operation 'payments.creat'. Did you mean 'payments.create'?"),
        failed,
    );
    // The gate's own are no operations of the config.
    check(
        app(of(&["zzz"]), in_days(1)),
        Err(
            "not_found: there is no operation 'zzz'. Name an operation of the config, as API.OPERATION.",
        ),
        failed,
    );
    check(
        |_| quarantine("old-app", reads_only(), in_days(1)),
        Err("revoked: client 'old-app' is revoked. Revoking is final. Add a client under another \
             id: onegate client add"),
        &["client.quarantine client/old-app failed"],
    );
    check(
        |_| end("mobile-app", &[]),
        Err(
            "not_quarantined: client 'mobile-app' is not in quarantine. Look at what holds it back: \
             onegate client show mobile-app",
        ),
        &["client.quarantine_end client/mobile-app failed"],
    );
}

#[test]
fn a_quarantine_is_replaced_only_by_one_that_takes_as_much_for_as_long() {
    let dir = TempDir::default();
    let (registry, audit, _) = set_up(&dir);
    let put = |restrictions, until| {
        let done = make(&registry, &quarantine("mobile-app", restrictions, until));
        done.map(drop).map_err(|error| error.to_string())
    };
    let app = || {
        let running = registry.running.load();
        held(running.inventory.clients.get("mobile-app").expect("the client"))
    };
    put(rate(5, 1), in_days(2)).expect("the first");
    put(rate(5, 60), in_days(2)).expect("slower");
    let stricter = "client 'mobile-app' is in stricter quarantine until 2026-11-23T00:00:00.000000Z: at most 5/1m";
    assert_eq!(put(rate(5, 60), in_days(1)), Err(stricter.into()));
    assert_eq!(put(rate(5, 1), in_days(3)), Err(stricter.into()));
    assert_eq!(put(rate(50, 6000), in_days(3)), Err(stricter.into()));
    // Those of other kinds and operations stand beside it.
    put(reads_only(), in_days(1)).expect("another kind");
    put(of(&["payments.list"]), in_days(2)).expect("another kind");
    put(of(&["payments.create"]), in_days(1)).expect("another operation");
    assert!(put(of(&["payments.create", "payments.list"]), in_days(1)).is_err());
    let until = |days| in_days(days).to_string();
    let all = [
        format!("reads only until {}", until(1)),
        format!("at most 5/1m until {}", until(2)),
        format!("no calls of payments.create until {}", until(1)),
        format!("no calls of payments.list until {}", until(2)),
    ];
    assert_eq!(app(), all);

    audit.acts.lock().unwrap().clear();
    make(&registry, &end("mobile-app", &["payments.list"])).unwrap();
    assert_eq!(app(), all[..3]);
    let error = make(&registry, &end("mobile-app", &["payments.list"])).unwrap_err();
    assert!(
        error.to_string().ends_with("not in this quarantine: no calls of payments.list"),
        "{error}"
    );
    make(&registry, &end("mobile-app", &[])).unwrap();
    assert!(app().is_empty());
    let acts = audit.acts.lock().unwrap();
    let told: Vec<_> = acts.iter().map(|act| (&*act.action, act.succeeded)).collect();
    let ended = "client.quarantine_end";
    assert_eq!(told, [(ended, true), (ended, false), (ended, true)]);
    let last = acts.last().unwrap();
    let before = last.before.as_ref().unwrap().0.to_string();
    assert!(
        before.contains(r#"{"rate":"5/1m","until":"2026-11-23T00:00:00.000000Z"}"#),
        "{before}"
    );
    assert_eq!(&*last.after.as_ref().unwrap().0, r#"{"quarantine":null}"#);
}

#[test]
fn one_that_is_over_is_in_nobodys_way_and_is_forgotten() {
    let dir = TempDir::default();
    let (registry, _, _) = set_up(&dir);
    make(&registry, &quarantine("mobile-app", rate(1, 60), in_days(1))).unwrap();
    let later = |change: &Change| {
        registry.change(change, Asked { by: &actor::Actor::gate(), at: in_days(2) })
    };
    later(&end("mobile-app", &[])).expect_err("it is over");
    later(&quarantine("mobile-app", reads_only(), in_days(3))).expect("the old one is over");
    let client = Arc::clone(registry.running.load().inventory.clients.get("mobile-app").unwrap());
    assert_eq!(held(&client), [format!("reads only until {}", in_days(3))]);
    let row =
        registry.read(|store| store.client(&name("mobile-app"), in_days(2))).unwrap().unwrap();
    let rows: Vec<_> =
        row.quarantines.iter().map(|row| (row.actor.as_str(), &*row.reason)).collect();
    assert_eq!(rows, [("onegate", "odd calls")]);
}

/// A change of the client, or a stricter quarantine, gives no calls back.
#[test]
fn what_was_used_of_a_rate_stays_used() {
    let dir = TempDir::default();
    let (registry, _, _) = set_up(&dir);
    make(&registry, &quarantine("mobile-app", rate(1, 60), in_days(1))).unwrap();
    let used = |now: &Registry| {
        let client = Arc::clone(now.running.load().inventory.clients.get("mobile-app").unwrap());
        let rate = &client.quarantine.as_ref().unwrap().rate;
        let cell = Arc::clone(&rate.as_ref().unwrap().cell);
        let mut state = Now::default().mono;
        cell.advance(|cell| {
            state = cell;
            Some(MonoNs(7))
        });
        state
    };
    assert_eq!(used(&registry), MonoNs(0));
    let owner = Some(line("bob"));
    make(&registry, &Change::ChangeClient(ClientChange { owner, ..change_of("mobile-app") }))
        .unwrap();
    assert_eq!(used(&registry), MonoNs(7));
    make(&registry, &quarantine("mobile-app", rate(1, 3600), in_days(1))).unwrap();
    assert_eq!(used(&registry), MonoNs(7));
}

#[test]
fn no_client_has_more_operations_in_quarantine_than_a_request_may_look_through() {
    let dir = TempDir::default();
    let (registry, _, _) = set_up(&dir);
    let many: Vec<String> = (0..65).map(|n| format!("many.o{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    make(&registry, &quarantine("mobile-app", of(&many[..64]), in_days(1))).unwrap();
    let error =
        make(&registry, &quarantine("mobile-app", of(&many[64..]), in_days(1))).unwrap_err();
    assert_eq!(error.to_string(), "mobile-app would have more than 64 operations");
}

#[test]
fn an_inventory_of_schema_3_takes_quarantines_and_remembers_them() {
    let dir = TempDir::default();
    let (registry, _, _) = set_up(&dir);
    let before = registry.running.load().inventory.revision;
    drop(registry);
    let connection = rusqlite::Connection::open(dir.path().join("inventory.db")).unwrap();
    let to_3 = "ALTER TABLE profile DROP COLUMN presentation; DROP TABLE quarantine;
                DROP TABLE quarantine_history; PRAGMA user_version = 3;";
    connection.execute_batch(to_3).unwrap();
    drop(connection);
    let (registry, _) = super::registry(&dir);
    make(&registry, &quarantine("mobile-app", reads_only(), in_days(1))).unwrap();
    make(&registry, &end("mobile-app", &[])).unwrap();
    drop(registry);
    let then = |revision| {
        let inventory = Store::peek_at(dir.path(), revision).unwrap();
        held(inventory.clients.get("mobile-app").expect("the client")).len()
    };
    assert_eq!([before, before + 1, before + 2].map(then), [0, 1, 0]);
}
