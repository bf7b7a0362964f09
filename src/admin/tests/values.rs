//! Each value an administrator may write: what it becomes, or what is said of it.

use crate::admin::{parse, wire};
use crate::inventory::change::{Change, Expires, KeySource, PlanChoice};
use crate::model::id::{CredentialId, Scope};

#[test]
fn dates_end_with_their_day_and_times_are_exact() {
    let check = |text: &str, expected: Option<&str>| {
        let told = parse::time("expires", text).map(|time| time.to_string());
        let why = "is neither a date (2027-01-31) nor a time (RFC 3339)";
        let error = told.as_deref().map_err(ToString::to_string);
        assert_eq!(error, expected.ok_or_else(|| format!("expires '{text}' {why}")), "{text}");
    };
    check("2027-01-31", Some("2027-01-31T23:59:59.999999Z"));
    check("2028-02-29", Some("2028-02-29T23:59:59.999999Z"));
    check("2027-01-31T10:00:00Z", Some("2027-01-31T10:00:00.000000Z"));
    check("2027-01-31T10:00:00.5+02:00", Some("2027-01-31T08:00:00.500000Z"));
    check("2027-02-29", None);
    check("2027-01-31T10:00:00", None);
    check("31.01.2027", None);
    check("tomorrow", None);
    check("", None);
}

fn client() -> wire::NewClient {
    wire::NewClient {
        id: "a".into(),
        kind: "app".into(),
        owner: "ann".into(),
        purpose: "the app".into(),
        ..wire::NewClient::default()
    }
}

/// A known key, as a file would have it.
fn known(id: &str, hash: &str) -> wire::NewCredential {
    let (id, secret_sha256) = (Some(id.into()), Some(hash.into()));
    wire::NewCredential { id, secret_sha256, ..wire::NewCredential::default() }
}

fn add(client: wire::NewClient) -> wire::Change {
    wire::Change::AddClient(client)
}

fn change(change: wire::ClientChange) -> wire::Change {
    wire::Change::ChangeClient(wire::ClientChange { id: "a".into(), ..change })
}

#[test]
fn bad_values_are_named() {
    let check = |change: wire::Change, expected: &str| {
        let error = parse::change(&change).map(|_| ()).map_err(|error| error.to_string());
        assert_eq!(error, Err(expected.to_owned()));
    };
    let credential = |credential| add(wire::NewClient { credential: vec![credential], ..client() });
    let either = "a credential has either 'issue = true', if need be with 'environment', or both \
                  'id' and 'secret_sha256'";
    let hash = "ab".repeat(32);

    let id = wire::NewClient { id: "A\n".into(), ..client() };
    check(add(id), "id 'A\\n' must start with a lower-case letter or a digit");
    let kind = wire::NewClient { kind: "robot".into(), ..client() };
    check(add(kind), "kind 'robot' is none of app, partner, service, agent");
    check(add(wire::NewClient { owner: " ".into(), ..client() }), "owner is empty");
    let purpose = wire::NewClient { purpose: "a\u{1b}[2J".into(), ..client() };
    check(add(purpose), "purpose holds a control character");
    let purpose = wire::NewClient { purpose: "a".repeat(501), ..client() };
    check(add(purpose), "purpose is longer than 500 bytes");
    let product = wire::NewClient { products: vec!["a b".into()], ..client() };
    check(add(product), "product 'a b' may hold only a-z, 0-9, '-', '_' and '.'");
    let scope = wire::NewClient { scopes: vec!["a b".into()], ..client() };
    check(
        add(scope),
        "scope 'a b' is not a scope: 1 to 128 printable characters without space, '\"' and '\\'",
    );
    let expiry =
        wire::NewClient { expires: Some("2027-01-31".into()), no_expiry: true, ..client() };
    check(add(expiry), "an expiry is either a date or none");
    check(credential(wire::NewCredential::default()), either);
    check(credential(wire::NewCredential { issue: true, ..known("a", &hash) }), either);
    check(credential(wire::NewCredential { id: None, ..known("a", &hash) }), either);
    check(
        credential(known("a", &hash)),
        "credential 'a' is not the id of a credential: 12 of 0-9, A-Z, a-z",
    );
    let short = "secret_sha256 of credential '000000000000' is not 64 hex digits";
    check(credential(known("000000000000", hash.split_at(1).1)), short);
    check(credential(known("000000000000", &hash.replace('a', "x"))), short);
    let environment = Some("Live".into());
    let issue = wire::NewCredential { issue: true, environment, ..wire::NewCredential::default() };
    check(credential(issue), "environment 'Live' is not 2 to 10 of a-z");
    check(
        change(wire::ClientChange::default()),
        "nothing to change: give an owner, a purpose, an expiry, a plan, a presentation or scopes",
    );
    let profile = wire::ClientChange { profile: Some("p".into()), ..Default::default() };
    check(change(profile), "of a profile, give the new plan, presentation or scopes");
    let target = wire::Target::Profile("default".into());
    let revoke = wire::Revoke { target, reason: "x".into() };
    check(wire::Change::Revoke(revoke), "profile 'default' is not CLIENT/PROFILE");
    let apply = wire::Apply { client: vec![client(), wire::NewClient::default()] };
    check(wire::Change::Apply(apply), "client '': id '' is empty");
}

#[test]
fn a_quarantine_leaves_one_thing() {
    let check = |new: wire::NewQuarantine, expected: Result<&str, &str>| {
        let until = "2027-01-31T10:00:00Z".into();
        let new =
            wire::NewQuarantine { client: "a".into(), until, reason: "odd calls".into(), ..new };
        let told = parse::change(&wire::Change::Quarantine(new)).map(|change| {
            let Change::Quarantine(new) = change else { panic!("{change:?}") };
            new.restrictions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        });
        let told = told.as_deref().map_err(ToString::to_string);
        assert_eq!(told, expected.map_err(str::to_owned));
    };
    let none = wire::NewQuarantine::default;
    let rate = |text: &str| wire::NewQuarantine { rate: Some(text.into()), ..none() };
    let of = |operations: &[&str]| wire::NewQuarantine {
        operations: operations.iter().map(|text| (*text).into()).collect(),
        ..none()
    };
    check(wire::NewQuarantine { reads_only: true, ..none() }, Ok("reads only"));
    check(rate("5"), Ok("at most 5/1s"));
    check(rate("5/1m"), Ok("at most 5/1m"));
    check(rate("1000000/24h"), Ok("at most 1000000/1d"));
    check(of(&["a.x", "a.y"]), Ok("no calls of a.x, no calls of a.y"));
    let one = "a quarantine leaves one of: reads only, a rate, all but some operations";
    check(none(), Err(one));
    check(wire::NewQuarantine { reads_only: true, ..rate("5") }, Err(one));
    check(wire::NewQuarantine { rate: Some("5".into()), ..of(&["a.x"]) }, Err(one));
    for text in ["0", "1000001", "x", "5/", "/1s", "5/500ms", "5/25h", "-1", "5/1m/1m"] {
        let why = "is not N or N/TIME: 1 to 1000000 calls in 1s to 24h, such as 5 or 5/1m";
        check(rate(text), Err(&format!("rate '{text}' {why}")));
    }
    let why = "operation 'A.x' must start with a lower-case letter or a digit";
    check(of(&["A.x"]), Err(why));
}

#[test]
fn good_values_become_changes() {
    let wanted = wire::NewClient {
        scopes: vec!["b".into(), "a".into(), "b".into()],
        no_expiry: true,
        credential: vec![known("000000000000", &"Ab".repeat(32))],
        ..client()
    };
    let Ok(Change::AddClient(new)) = parse::change(&add(wanted)) else {
        panic!("a client is expected");
    };
    assert_eq!(new.expires, Some(Expires::Never));
    let scopes: Vec<_> = new.terms.scopes.iter().map(Scope::as_str).collect();
    assert_eq!(scopes, ["a", "b"], "sorted, each once");
    let KeySource::Known { id, secret_sha256 } = &new.credentials[0].key else {
        panic!("a known key is expected");
    };
    assert_eq!((*id, *secret_sha256), (CredentialId::ZERO, [0xab; 32]));

    let wanted = wire::ClientChange { no_plan: true, ..Default::default() };
    let Ok(Change::ChangeClient(new)) = parse::change(&change(wanted)) else {
        panic!("a change is expected");
    };
    let terms = new.terms.expect("new terms");
    assert_eq!((terms.profile.as_str(), terms.plan), ("default", Some(PlanChoice::None)));
}

#[test]
fn an_apply_file_is_read_as_documented() {
    let file = r#"
        [[client]]
        id = "mobile-app"
        kind = "app"
        owner = "payments team"
        purpose = "the app"
        products = ["payments-all"]
        scopes = ["payments:read"]
        plan = "standard"
        expires = "2027-01-31"

        [[client.profile]]
        name = "batch"
        products = ["payments-read"]

        [[client.credential]]
        profile = "batch"
        holder = "ann"
        issue = true

        [[client.credential]]
        id = "4fT9abcdEFGH"
        secret_sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

        [[client]]
        id = "agent"
        kind = "agent"
        owner = "ann"
        purpose = "helps"
        no_expiry = true
    "#;
    let apply: wire::Apply = toml::from_str(file).unwrap();
    let Ok(Change::Apply(clients)) = parse::change(&wire::Change::Apply(apply)) else {
        panic!("clients are expected");
    };
    assert_eq!((clients.len(), clients[0].profiles.len(), clients[0].credentials.len()), (2, 1, 2));
    let error = toml::from_str::<wire::Apply>("[[client]]\nid = \"a\"\nplans = 1").unwrap_err();
    assert!(error.to_string().contains("unknown field `plans`"), "{error}");
}
