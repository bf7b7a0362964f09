//! `audit explain`: what a record was decided by stays known. Config, grants, keys and clients change, the
//! gate stops and starts anew; an old record is explained by what was in force when it was made.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use onegate::inventory::store::Store;
use onegate::model::key::{Environment, NewKey};
use serde_json::Value;

use super::harness::bench::Bench;
use super::harness::gate::Gate;
use super::harness::http::{Body, Request, Response};
use super::harness::records;
use super::harness::setup::{LAB, Setup};
use super::harness::tools::{self, Said};
use super::harness::upstream::Upstream;

const WHY: [&str; 2] = ["--reason", "a test"];

/// An api with rules on who asks and how, and one that pages of another origin may read.
const RULED: &str = r#"
[[api]]
name = "ruled"
base_path = "/ruled"
upstream = "recorder"
access = "public"
blocked_paths = ["/ruled/ok/secret"]
forbidden_headers = ["x-debug"]
operation = [{ id = "any", methods = ["GET"], path = "/{behaviour}/{n}" }]

[[api]]
name = "inner"
base_path = "/inner"
upstream = "recorder"
access = "granted"
ip = { allow = ["192.0.2.0/24"] }
operation = [{ id = "any", methods = ["GET"], path = "/{behaviour}/{n}" }]

[[api]]
name = "pages"
base_path = "/pages"
upstream = "recorder"
access = "granted"
cors = { origins = ["https://app.test"], methods = ["GET"] }
operation = [{ id = "any", methods = ["GET"], path = "/{behaviour}/{n}" }]
"#;

fn setup(upstream: &Upstream) -> Setup {
    // Certificates and bodies of their own beside the config are not needed to judge by it.
    let more = "[[api]]\nname = \"fixed\"\nbase_path = \"/fixed\"\naccess = \"public\"\noperation = [{ id = \
                \"a\", methods = [\"GET\"], path = \"/\", respond = { status = 200, file = \"body.txt\", \
                content_type = \"text/plain\" } }]";
    Setup { apis: format!("{LAB}{RULED}{more}"), ..Setup::before(upstream) }
}

fn start(upstream: &Upstream) -> Bench {
    let (gate, ()) = Gate::start_after(&setup(upstream), |folder| {
        fs::write(folder.at("body.txt"), "a body").expect("the folder is ours");
    });
    Bench::of(gate)
}

fn text(gate: &Gate, id: &str) -> Said {
    gate.cli(&["audit", "explain", id])
}

/// What is said of one record: as JSON, and to people.
fn explained(gate: &Gate, id: &str) -> (Value, String) {
    let json = gate.cli(&["--json", "audit", "explain", id]);
    let told = text(gate, id);
    assert_eq!(json.code, told.code, "{json:?}{told:?}");
    let value = serde_json::from_str(&json.stdout).unwrap_or_else(|_| panic!("{json:?}"));
    (value, told.stdout + &told.stderr)
}

/// Explanations as they were when their records were made.
#[derive(Default)]
struct Told(BTreeMap<String, String>);

impl Told {
    /// The verdict on a record, and words of what people are told.
    fn check(&mut self, gate: &Gate, response: &Response, verdict: &str, words: &[&str]) {
        gate.record_of(response);
        let id = response.id();
        let (json, told) = explained(gate, id);
        assert_eq!(json["verdict"], verdict, "{json}\n{told}");
        assert_eq!(json["record"]["id"], id, "{json}");
        for word in words {
            assert!(told.contains(word), "no {word:?} in:\n{told}");
        }
        self.0.insert(id.to_owned(), told);
    }

    /// Where the gate's end looks for secrets.
    fn leave_in(&self, gate: &Gate) {
        let all: Vec<&str> = self.0.values().map(String::as_str).collect();
        fs::write(gate.folder.at("explained.txt"), all.concat()).expect("the folder is ours");
    }

    fn expect_same(&self, gate: &Gate) {
        for (id, told) in &self.0 {
            assert_eq!(text(gate, id).stdout, *told);
        }
    }
}

/// A key with this id and a secret that nobody has.
fn key_of(credential: &str) -> String {
    const DIGITS: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let digit = |c: char| DIGITS.find(c).and_then(|at| at.try_into().ok()).expect("base 62");
    let id: Vec<u8> = credential.chars().map(digit).collect();
    let live = Environment::parse("live").expect("a name");
    NewKey::from_random(&live, id.try_into().expect("12 digits"), [7; 32]).reveal().into()
}

#[test]
fn a_record_is_explained_by_what_was_in_force() {
    let upstream = Upstream::start();
    let mut bench = start(&upstream);
    let mut told = Told::default();
    allowed_and_denied(&bench, &mut told);
    refused_keys(&bench, &mut told);
    not_replayed(&bench, &mut told);

    // Nothing is any more as it was.
    let changed = setup(&upstream).apis.replace("\"192.0.2.0/24\"", "\"127.0.0.0/8\"");
    let changed = changed.replace("scopes = [\"lab:read\"]", "scopes = [\"lab:other\"]");
    let changed = changed.replace("\"lab.read\", ", "").replace("/ruled", "/unruled");
    bench.gate.write_config(&Setup { apis: changed, ..setup(&upstream) });
    bench.gate.cli(&["reload"]).expect_success();
    bench
        .gate
        .json(&[&["grant", "remove", "--client", "reader", "--product", "lab"][..], &WHY].concat());
    bench.gate.json(&["grant", "add", "--client", "other", "--product", "lab"]);
    bench.gate.json(&["resume", "client", "held"]);
    bench.gate.json(&[&["revoke", "client", "full"][..], &WHY].concat());
    told.expect_same(&bench.gate);

    // And what is decided now is explained by what is in force now.
    let reader = bench.gate.call(&Request::get("/lab/ok/1").key(&bench.reader.text));
    told.check(&bench.gate, &reader, "agrees", &["in no product", "granted: none"]);
    let gone = bench.get("/lab/ok/1");
    told.check(&bench.gate, &gone, "agrees", &["credential_invalid: the client is revoked"]);
    let inner = bench.gate.call(&Request::get("/inner/ok/1"));
    told.check(&bench.gate, &inner, "not_replayed", &["denied, credential_missing"]);

    assert!(bench.gate.terminate().success());
    told.expect_same(&bench.gate);
    fs::remove_file(bench.gate.folder.at("body.txt")).expect("it was there");
    fs::remove_file(bench.gate.config()).expect("it was there");
    let (data_dir, id) = (bench.gate.folder.at("data"), reader.id());
    let args = ["--data-dir", &data_dir, "audit", "explain", id];
    assert_eq!(bench.gate.cli(&args).expect_success(), told.0[id]);
    fs::write(bench.gate.folder.at("body.txt"), "a body").expect("the folder is ours");
    bench.gate.write_config(&setup(&upstream));
    bench.gate.run();
    told.expect_same(&bench.gate);
    told.leave_in(&bench.gate);
}

fn allowed_and_denied(bench: &Bench, told: &mut Told) {
    let gate = &bench.gate;
    let mut check = |request: &Request, verdict: &str, words: &[&str]| {
        told.check(gate, &gate.call(request), verdict, words);
    };
    let full = |request: Request| request.key(&bench.key.text);
    let by = format!("by key {}: all in force", bench.key.credential);
    let words = ["client full (app, owner tests), profile default", &by, "granted by product lab"];
    check(&full(Request::get("/lab/ok/1")), "agrees", &words);
    let words =
        ["nobody: the api is public", "no limit refused", "agrees with the record: allowed."];
    check(&Request::get("/open/ok/1"), "agrees", &words);
    check(&Request::get("/fixed"), "agrees", &["fixed.a"]);
    let words = ["products: lab; granted: none", "denied, not_granted"];
    check(&Request::get("/lab/ok/1").key(&bench.other.text), "agrees", &words);
    let words = ["scopes: lab:read, lab:write; the profile has: lab:read", "insufficient_scope"];
    check(&Request::new("PUT", "/lab/ok/1").key(&bench.reader.text), "agrees", &words);
    check(&full(Request::get("/lab/ok")), "agrees", &["no operation at this path"]);
    check(&Request::get("/nowhere"), "agrees", &["denied, not_found: no api has this base path"]);
    check(&full(Request::new("PATCH", "/lab/ok/1")), "agrees", &["denied, method_not_allowed"]);
    check(&full(Request::get("/inner/ok/1")), "agrees", &["client full", "address_not_allowed"]);
    check(&Request::get("/inner/ok/1"), "agrees", &["nobody", "address_not_allowed"]);
    check(&Request::get("/ruled/ok/secret"), "agrees", &["blocked by /ruled/ok/secret"]);
    for _ in 0..5 {
        assert_eq!(gate.call(&Request::get("/lab/ok/1").key(&bench.five.text)).status, 200);
    }
    let words = ["plan five, rate per-minute: burst 5", "refused by per-minute", "not recomputed"];
    check(&Request::get("/lab/ok/1").key(&bench.five.text), "agrees_before_limits", &words);
}

fn refused_keys(bench: &Bench, told: &mut Told) {
    let gate = &bench.gate;
    let mut check = |key: &str, verdict: &str, words: &[&str]| {
        let response = gate.call(&Request::get("/lab/ok/1").key(key));
        told.check(gate, &response, verdict, words);
    };
    let held = gate.add_lab_client("held");
    gate.json(&[&["suspend", "client", "held"][..], &WHY].concat());
    check(&held.text, "agrees", &["client held", "client_suspended: the client is suspended"]);
    let second = gate.key(&["credential", "add", "--client", "full", "--key"]);
    gate.json(&[&["suspend", "credential", &second.credential][..], &WHY].concat());
    check(&second.text, "agrees", &["client_suspended: the key is suspended"]);
    gate.json(&[&["revoke", "credential", &second.credential][..], &WHY].concat());
    check(&second.text, "agrees", &["credential_invalid: the key is revoked"]);
    let gone = gate.add_lab_client("gone");
    gate.json(&[&["revoke", "client", "gone"][..], &WHY].concat());
    check(&gone.text, "agrees", &["client gone", "credential_invalid: the client is revoked"]);
    check(&key_of("NobodyHasIt0"), "agrees", &["claimed to have the key NobodyHasIt0", "no such"]);
    let words = ["nobody; it claimed", "the secret that was sent (there was a key with the id)"];
    check(&key_of(&bench.key.credential), "not_replayed", &words);
}

fn not_replayed(bench: &Bench, told: &mut Told) {
    let gate = &bench.gate;
    let mut check = |request: &Request, code: &str, words: &[&str]| {
        told.check(gate, &gate.call(request), "not_replayed", &[&[code], words].concat());
    };
    let words = [
        "nobody was known, and the api is not public",
        "what was sent as a credential, if anything",
    ];
    check(&Request::get("/lab/ok/1"), "denied, credential_missing", &words);
    check(&Request::get("/lab/ok/1").key("nonsense"), "denied, credential_invalid", &words);
    let debug = Request::get("/ruled/ok/1").field("X-Debug", "1");
    check(&debug, "denied, policy_refused", &["depends on the header fields"]);
    let body = Request::new("PUT", "/lab/ok/1").key(&bench.key.text).body(&[b'a'; 5000]);
    check(&body, "denied, body_too_large", &["granted by product lab", "the length of the body"]);
    check(&Request::get("/lab/ok/%zz"), "denied, malformed_request", &["the request's head"]);
    let page = Request::new("OPTIONS", "/pages/ok/1").field("Origin", "https://app.test");
    let page = page.field("Access-Control-Request-Method", "GET");
    check(&page, "decision   allowed", &["browser's preflight"]);
}

#[test]
fn a_call_that_was_ended_was_let_in_first() {
    let upstream = Upstream::start();
    let bench = start(&upstream);
    let mut stream = bench.gate.client();
    stream.send(&Request::get("/lab/stream/1").key(&bench.key.text).bytes());
    upstream.wait_for("/lab/stream/1");
    let head = stream.read(Body::Absent).expect("a head");
    bench.gate.json(&[&["revoke", "client", "full"][..], &WHY].concat());
    let words = ["granted by product lab", "the call was let in", "took that away"];
    Told::default().check(&bench.gate, &head, "agrees", &words);
}

/// Only a log that somebody else wrote, or a gate at fault, says other than what was in force.
#[test]
fn a_record_that_was_not_decided_so_is_told() {
    let upstream = Upstream::start();
    let mut bench = start(&upstream);
    let record = bench.gate.record_of(&bench.get("/lab/ok/1"));
    let policy = record["policy"].as_str().expect("a label");
    assert!(bench.gate.terminate().success());
    let [of_gate, forged] = ["data", "forged"].map(|name| bench.gate.folder.path().join(name));
    fs::create_dir(&forged).expect("the folder is ours");
    fs::rename(of_gate.join("policies"), forged.join("policies")).expect("the folder is ours");
    fs::copy(of_gate.join("inventory.db"), forged.join("inventory.db")).expect("copies");
    let id = records::write_one(&forged, "/lab/ok/1", policy);
    let data_dir = forged.to_str().expect("a plain name");
    let mut explain = Command::new(env!("CARGO_BIN_EXE_onegate"));
    let said = tools::run(explain.args(["--data-dir", data_dir, "audit", "explain", &id]), b"");
    assert_eq!(said.code, Some(1), "{said:?}");
    let told = "does NOT agree with the record. The record says: allowed; the replay says: denied, \
                credential_missing.";
    assert!(said.stdout.contains(told), "{said:?}");
}

#[test]
fn acts_have_nothing_to_replay_and_ids_may_be_unknown() {
    let upstream = Upstream::start();
    let bench =
        Bench::start(&Setup { audit: "denials_per_source = 0", ..Setup::before(&upstream) });
    let acts = bench.gate.records(&["--surface", "admin"], |acts| acts.len() >= 4);
    let act = acts.iter().find(|act| act["target"] == "client/full").expect("it was added");
    let (json, told) = explained(&bench.gate, act["id"].as_str().expect("an id"));
    assert_eq!(json["verdict"], "nothing_to_replay", "{json}");
    for word in ["client.add", "client/full", "uid=", "nothing to replay", "inventory revision 1"] {
        assert!(told.contains(word), "no {word:?} in:\n{told}");
    }
    // Pasted, because no witness may ask for records that cannot be.
    bench.paste(r#"curl -si "$URL/lab/ok/1""#);
    let summaries = bench.gate.records(&["--denial", "credential_missing"], |all| !all.is_empty());
    let (json, told) = explained(&bench.gate, summaries[0]["id"].as_str().expect("an id"));
    assert_eq!(
        (&json["verdict"], &json["record"]["count"]),
        (&"nothing_to_replay".into(), &1.into())
    );
    assert!(told.contains("stands for many calls"), "{told}");
    let check = |id: &str, code: i32, word: &str| {
        let said = text(&bench.gate, id);
        assert_eq!(said.code, Some(code), "{said:?}");
        assert!(said.stderr.contains(word) && said.stdout.is_empty(), "{said:?}");
    };
    check("01a20055-34f2-7ea9-97bb-100a2a25ee90", 1, "no record has the id 01a20055");
    check("yesterday", 2, "X-Request-Id");
}

#[test]
fn what_is_not_kept_is_named() {
    let upstream = Upstream::start();
    let mut bench = start(&upstream);
    let id = bench.get("/lab/ok/1").id().to_owned();
    bench.gate.settle();
    let kept = kept(&bench.gate).remove(0);
    let of_then = bench.gate.config_text();
    let check = |gate: &Gate, code: i32, words: &[&str]| {
        let said = text(gate, &id);
        assert_eq!(said.code, Some(code), "{said:?}");
        assert!(said.stdout.contains("operation  lab.read, by product lab"), "{said:?}");
        for word in words {
            assert!((said.stdout.clone() + &said.stderr).contains(word), "no {word:?}: {said:?}");
        }
    };
    let good = fs::read(&kept).expect("it is kept");
    fs::write(&kept, b"{\"files\":[{\"path\":\"a\",\"text\":\"b\"}]}").expect("the folder is ours");
    // The config of now is the one of then.
    check(&bench.gate, 0, &["agrees"]);
    bench.gate.write_config_text(&format!("{of_then}\n# another"));
    check(&bench.gate, 3, &["the config", "is not kept", "is damaged", "onegate -c FILE"]);
    let (json, _) = explained(&bench.gate, &id);
    assert_eq!(json["verdict"], "not_kept", "{json}");
    fs::remove_file(&kept).expect("it was there");
    check(&bench.gate, 3, &["the config", "is not kept", "there is no"]);
    let elsewhere = bench.gate.folder.at("of-then.toml");
    fs::write(&elsewhere, &of_then).expect("the folder is ours");
    let mut with = Command::new(env!("CARGO_BIN_EXE_onegate"));
    let said = tools::run(with.args(["--config", &elsewhere, "audit", "explain", &id]), b"");
    assert!(said.expect_success().contains("agrees"));

    fs::write(&kept, good).expect("the folder is ours");
    check(&bench.gate, 0, &["agrees"]);
    bench.gate.add_client("later", &[]);
    assert!(bench.gate.terminate().success());
    let data_dir = bench.gate.folder.path().join("data");
    Store::open(&data_dir).and_then(|mut store| store.forget_before(5)).expect("it forgets");
    check(&bench.gate, 3, &["the inventory of revision 4 is not kept", "from revision 5 to 5"]);
}

#[test]
fn a_config_is_kept_once_and_for_its_owner_alone() {
    let upstream = Upstream::start();
    let mut bench = start(&upstream);
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    let first = kept(&bench.gate);
    assert_eq!(first.len(), 1);
    assert_eq!((mode(&first[0]), mode(first[0].parent().expect("a folder"))), (0o600, 0o700));
    let good = bench.gate.config_text();
    bench.gate.write_config_text(&format!("{good}\n# another"));
    bench.gate.cli(&["reload"]).expect_success();
    bench.gate.write_config_text(&good);
    bench.gate.cli(&["reload"]).expect_success();
    assert!(bench.gate.terminate().success());
    bench.gate.run();
    let all = kept(&bench.gate);
    assert_eq!(all.len(), 2, "{all:?}");
    let digest = first[0].file_stem().and_then(|stem| stem.to_str()).expect("a digest").to_owned();
    let record = bench.gate.record_of(&bench.get("/lab/ok/1"));
    assert!(record["policy"].as_str().expect("a label").starts_with(&digest), "{record}");
    let value: Value =
        serde_json::from_slice(&fs::read(&first[0]).expect("it is kept")).expect("JSON");
    assert_eq!(value["files"][0]["text"], good.as_str());
}

#[test]
fn a_gate_that_cannot_keep_its_config_serves_and_says_so() {
    let upstream = Upstream::start();
    let (gate, ()) = Gate::start_after(&setup(&upstream), |folder| {
        fs::write(folder.at("body.txt"), "a body").expect("the folder is ours");
        fs::create_dir(folder.at("data")).expect("the folder is ours");
        let closed = fs::Permissions::from_mode(0o700);
        fs::set_permissions(folder.at("data"), closed).expect("the folder is ours");
        fs::write(folder.at("data/policies"), "in the way").expect("the folder is ours");
    });
    let bench = Bench::of(gate);
    assert_eq!(bench.get("/lab/ok/1").status, 200);
    assert!(bench.gate.stderr().contains("cannot be kept"), "{}", bench.gate.stderr());
    let told = bench.gate.cli(&["reload"]).expect_success();
    assert!(told.contains("cannot be kept") && told.contains("is in force"), "{told}");
    fs::remove_file(bench.gate.folder.at("data/policies")).expect("it was there");
    let told = bench.gate.cli(&["reload"]).expect_success();
    assert!(!told.contains("cannot be kept"), "{told}");
    assert_eq!(kept(&bench.gate).len(), 1);
}

/// The files of the configs that are kept.
fn kept(gate: &Gate) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(gate.folder.at("data/policies")).expect("the gate made it");
    let paths = entries.map(|entry| entry.expect("the folder is ours").path());
    let mut paths: Vec<_> = paths.collect();
    paths.sort();
    paths
}
