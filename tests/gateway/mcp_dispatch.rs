//! The two ways of an inner request into the pipeline, sub-request and connection in memory, held against each
//! other and against REST: what the upstream got, what the caller is told, what the record says. The gates
//! run in this process, because the second way is for this test alone.

use std::fs;
use std::net::SocketAddr;

use onegate::edge::mcp::dispatch::Way;
use onegate::inventory::actor::Actor;
use onegate::inventory::change::{
    Change, KeySource, Line, NewClient, NewCredential, Outcome, Terms,
};
use onegate::inventory::store::Asked;
use onegate::model::client::ClientKind;
use onegate::model::id::{ClientId, PlanName, ProductName, ProfileName, Scope};
use onegate::model::key::Environment;
use onegate::model::time::UnixMicros;
use onegate::server::{self, Running, Source};
use serde_json::{Value, json};

use super::harness::address;
use super::harness::client::Client;
use super::harness::folder::Folder;
use super::harness::http::Request;
use super::harness::mcp::{Answer, Era};
use super::harness::poll;
use super::harness::setup::Setup;
use super::harness::upstream::{Received, Upstream};

/// A gate of this process.
struct Within {
    folder: Folder,
    address: SocketAddr,
    key: String,
    upstream: Upstream,
    _running: Running,
}

impl Within {
    fn start(way: Way) -> Self {
        let (folder, upstream) = (Folder::new(), Upstream::start());
        let (address, metrics) = (address::free(), address::free());
        let mut setup = Setup::before(&upstream);
        setup.apis.push_str(MORE);
        let path = folder.path().join("gateway.toml");
        fs::write(&path, setup.to_toml(address, metrics, ".")).expect("the folder is ours");
        let source = Source { path, data_dir: Some(folder.path().to_owned()) };
        let loaded = source.load().unwrap_or_else(|problems| panic!("{problems}"));
        let running = server::start_with(loaded, source, way).expect("it starts");
        let key = add_client(&running);
        Self { folder, address, key, upstream, _running: running }
    }

    /// The record with this id, once it is written.
    fn record(&self, id: &str) -> Value {
        poll::until("the record is written", || {
            let folder = self.folder.path().join("audit");
            let files = fs::read_dir(folder).expect("the log").flatten().map(|file| file.path());
            let lines = files.filter(|path| path.extension().is_some_and(|end| end == "jsonl"));
            let text: String = lines.filter_map(|path| fs::read_to_string(path).ok()).collect();
            let of_id = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let mut of_id = of_id.filter(|record| record["id"] == id && record["end"].is_string());
            let found = of_id.next();
            assert!(of_id.next().is_none(), "two records of {id}");
            found
        })
    }
}

/// A tool with a body, and one that its caller may not call.
const MORE: &str = r#"
[[api]]
name = "more"
base_path = "/more"
upstream = "recorder"
access = "granted"

[[api.operation]]
id = "post"
methods = ["POST"]
path = "/{behaviour}/{n}"
scopes = ["lab:write"]

[[api.operation]]
id = "secret"
methods = ["GET"]
path = "/{behaviour}/secret/{n}"

[[product]]
name = "more"
operations = ["more.post"]
"#;

fn add_client(running: &Running) -> String {
    let scopes = ["lab:read", "lab:write"].map(|scope| Scope::parse(scope).expect("a scope"));
    let client = NewClient {
        id: ClientId::parse("agent").expect("a name"),
        kind: ClientKind::Agent,
        owner: Line::parse("tests").expect("a line"),
        purpose: Line::parse("to be compared").expect("a line"),
        expires: None,
        terms: Terms {
            products: ["lab", "more"].map(|name| ProductName::parse(name).expect("a name")).into(),
            scopes: scopes.into(),
            plan: Some(PlanName::parse("wide").expect("a name")),
            presentation: None,
        },
        profiles: Vec::new(),
        credentials: vec![NewCredential {
            profile: ProfileName::parse("default").expect("a name"),
            holder: None,
            expires: None,
            key: KeySource::Issued(Environment::default()),
        }],
    };
    let asked = Asked { by: &Actor::gate(), at: UnixMicros(1_800_000_000_000_000) };
    let done = running.registry().change(&Change::AddClient(client), asked).expect("it is added");
    let Outcome::Issued(keys) = done.outcome else { panic!("no key was made") };
    keys[0].key.reveal().to_owned()
}

/// What one call came to, without what differs between any two calls.
#[derive(Debug, PartialEq)]
struct Came {
    told: Value,
    received: Vec<Vec<(String, String)>>,
    record: Value,
}

fn call(gate: &Within, era: Era, tool: &str, arguments: &Value) -> Came {
    let before = gate.upstream.received().len();
    let mut client = Client::connect(gate.address, None);
    let message = era.call(tool, arguments);
    let answer = Answer::of(client.call(&message.request(Some(&gate.key))));
    let id = answer.response.id().to_owned();
    let told = answer.rpc().to_string().replace(&id, "ID");
    let received = gate.upstream.received();
    Came {
        told: serde_json::from_str(&told).expect("JSON"),
        received: received[before..].iter().map(|received| head_of(received, &id)).collect(),
        record: record_of(gate.record(&id)),
    }
}

fn head_of(received: &Received, id: &str) -> Vec<(String, String)> {
    let line = (received.method.clone(), received.target.clone());
    let fields = received.fields.iter().map(|(name, value)| {
        let value = if name == "traceparent" { "TRACE" } else { value };
        (name.to_ascii_lowercase(), value.replace(id, "ID"))
    });
    let body = ("body".to_owned(), received.body_bytes.to_string());
    let mut all: Vec<_> = std::iter::once(line).chain(fields).chain([body]).collect();
    // Addresses are each gate's own.
    all.retain(|(name, _)| name != "host" && name != "x-forwarded-host");
    all.sort();
    all
}

fn record_of(mut record: Value) -> Value {
    let of_each = [
        "id",
        "seq",
        "time",
        "boot",
        "trace_id",
        "duration_us",
        "upstream_us",
        "policy",
        "endpoint",
        "credential",
    ];
    let record = record.as_object_mut().expect("an object");
    for key in of_each {
        record.remove(key);
    }
    if let Some(mcp) = record.get_mut("mcp").and_then(Value::as_object_mut) {
        // Keyed by each gate's own key.
        mcp.remove("args_digest");
    }
    Value::Object(record.clone())
}

#[test]
fn both_ways_are_one() {
    let (first, second) = (Within::start(Way::Subrequest), Within::start(Way::InMemory));
    let check = |tool: &str, arguments: Value, status: u64| {
        for era in Era::BOTH {
            let one = call(&first, era, tool, &arguments);
            let other = call(&second, era, tool, &arguments);
            assert_eq!(one, other, "{tool} {arguments} {era:?}");
            assert_eq!(one.record["status"], status, "{tool} {arguments}: {one:?}");
            assert_eq!(one.record["surface"], "mcp");
        }
    };
    let of = |behaviour: &str| json!({ "behaviour": behaviour, "n": "7" });
    check("lab_read", of("ok"), 200);
    check("lab_read", of("absent"), 404);
    check("lab_read", of("busy"), 503);
    check("lab_read", of("empty"), 204);
    check("lab_read", of("trailer"), 200);
    check("lab_read", of("close-mid-body"), 200);
    check("lab_read", of("close"), 502);
    check("lab_read", of("garbage"), 502);
    let query = json!({ "behaviour": "ok", "n": "a b&c=d", "query": { "x y": "1&2", "z": 3 } });
    check("lab_read", query, 200);
    let post = json!({ "behaviour": "echo", "n": "1", "body": { "a": ["ü", 1.50, null] } });
    check("more_post", post, 200);
    let large = json!({ "behaviour": "check", "n": "1", "body": { "a": "x".repeat(300_000) } });
    check("more_post", large, 200);
    // Denied: by scope, by grant.
    check("lab_erase", of("ok"), 403);
    check("more_secret", of("ok"), 403);
}

#[test]
fn a_tool_call_is_the_rest_call() {
    let gate = Within::start(Way::default());
    let check = |tool: &str, (method, target): (&'static str, &str)| {
        let arguments = json!({ "behaviour": target.split('/').nth(2), "n": "7" });
        let by_tool = call(&gate, Era::Modern, tool, &arguments);
        let before = gate.upstream.received().len();
        let mut client = Client::connect(gate.address, None);
        let response = client.call(&Request::new(method, target).key(&gate.key));
        let record = record_of(gate.record(response.id()));
        let differs = |of: &Value| {
            let mut of = of.as_object().expect("an object").clone();
            for key in ["surface", "mcp", "agent", "host"] {
                of.remove(key);
            }
            of
        };
        assert_eq!(differs(&by_tool.record), differs(&record), "{tool} {target}");
        let received = &gate.upstream.received()[before..];
        let shared = |head: Vec<(String, String)>| {
            let own = ["x-onegate-surface", "accept", "accept-encoding", "user-agent"];
            head.into_iter().filter(|(name, _)| !own.contains(&&**name)).collect::<Vec<_>>()
        };
        let by_rest = received.iter().map(|one| shared(head_of(one, response.id())));
        let by_tool = by_tool.received.into_iter().map(shared);
        assert_eq!(by_tool.collect::<Vec<_>>(), by_rest.collect::<Vec<_>>(), "{tool} {target}");
    };
    check("lab_read", ("GET", "/lab/ok/7"));
    check("lab_read", ("GET", "/lab/absent/7"));
    check("lab_read", ("GET", "/lab/busy/7"));
    check("lab_erase", ("DELETE", "/lab/ok/7"));
    check("more_secret", ("GET", "/more/ok/secret/7"));
}
