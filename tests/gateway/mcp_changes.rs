//! Who is told of a change of tools: exactly those whose list it changes, whatever changed it. And how streams end with
//! the gate, and with what let their callers in.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use onegate::model::time::UnixMicros;
use serde_json::{Value, json};

use super::harness::events::Events;
use super::harness::folder::Folder;
use super::harness::gate::Key;
use super::harness::listening::{ID, expect_last, open, rewrite, with_own_document_and};
use super::harness::mcp::{Era, modern};
use super::harness::poll;
use super::harness::setup::Setup;
use super::harness::toolbox::{ALL, READING, Toolbox};

/// Signs of life come often, so that a quiet stream shows soon that it has no news.
fn lively(setup: Setup) -> Setup {
    Setup { more: "[mcp]\nkeep_alive = \"1s\"\n".to_owned(), ..setup }
}

fn expect_told(events: &mut Events, id: &Value) {
    let told = events.next().expect("a notification");
    assert_eq!(told["method"], "notifications/tools/list_changed", "{told}");
    assert_eq!(told.pointer(ID), Some(id), "{told}");
}

/// Only signs of life, for as long as news may take.
fn expect_no_news(events: &mut Events) {
    for _ in 0..3 {
        let frame = events.frame().expect("a sign of life");
        assert!(frame.starts_with(':'), "{frame}");
    }
}

fn tools(toolbox: &Toolbox, key: &Key) -> Vec<String> {
    let answer = toolbox.gate.mcp(&key.text, &modern("tools/list", json!({})));
    answer.tools().into_iter().map(str::to_owned).collect()
}

#[test]
fn a_changed_tool_is_told_to_those_who_see_it() {
    let folder = Folder::new();
    let (toolbox, document) = with_own_document_and(&folder, lively);
    let mut full = open(&toolbox.gate, &toolbox.full, &json!("full"));
    let mut reader = open(&toolbox.gate, &toolbox.reader, &json!("reader"));
    // A reader sees nothing of what writes.
    rewrite(&document, "Writes one.", "Writes one, with care.");
    toolbox.gate.cli(&["reload"]).expect_success();
    expect_told(&mut full, &json!("full"));
    expect_no_news(&mut reader);
    rewrite(&document, "Reads one.", "Reads one, with care.");
    toolbox.gate.cli(&["reload"]).expect_success();
    expect_told(&mut full, &json!("full"));
    expect_told(&mut reader, &json!("reader"));
    // What changes and changes back before anyone looks may be told or not; what does not change is not.
    toolbox.gate.cli(&["reload"]).expect_success();
    expect_no_news(&mut full);
    expect_no_news(&mut reader);
}

#[test]
fn a_change_of_grants_is_told_to_its_client() {
    let toolbox = Toolbox::start_with(lively);
    let mut full = open(&toolbox.gate, &toolbox.full, &json!(1));
    let mut reader = open(&toolbox.gate, &toolbox.reader, &json!(2));
    assert_eq!(tools(&toolbox, &toolbox.reader), READING);
    let grant = ["grant", "add", "--client", "reader", "--product", "all"];
    toolbox.gate.cli(&grant).expect_success();
    expect_told(&mut reader, &json!(2));
    // Scopes still are what they were.
    let more = ["lab_absent", "lab_busy", "lab_hold", "lab_read"];
    assert_eq!(tools(&toolbox, &toolbox.reader), more);
    let remove = ["grant", "remove", "--client", "reader", "--product", "all", "--reason", "over"];
    toolbox.gate.cli(&remove).expect_success();
    expect_told(&mut reader, &json!(2));
    assert_eq!(tools(&toolbox, &toolbox.reader), READING);
    let scopes = ["client", "change", "reader", "--no-scopes"];
    toolbox.gate.cli(&scopes).expect_success();
    expect_told(&mut reader, &json!(2));
    assert_eq!(tools(&toolbox, &toolbox.reader), ["lab_absent"]);
    expect_no_news(&mut full);
    assert_eq!(tools(&toolbox, &toolbox.full), ALL);
}

#[test]
fn a_drain_ends_streams_at_once() {
    // A gate that waited for them would be here for long.
    let server = "drain_deadline = \"10m\"";
    let mut toolbox = Toolbox::start_with(|setup| Setup { server, ..setup });
    let ids: Vec<Value> = (0..8).map(|n| json!(n)).collect();
    let streams: Vec<Events> =
        ids.iter().map(|id| open(&toolbox.gate, &toolbox.full, id)).collect();
    let request_ids: Vec<String> =
        streams.iter().map(|events| events.head.id().to_owned()).collect();
    toolbox.gate.signal("TERM");
    for (events, id) in streams.into_iter().zip(&ids) {
        expect_last(events, id);
    }
    assert!(toolbox.gate.wait_for_end().success());
    for id in request_ids {
        let record = toolbox.gate.record_of_id(&id);
        assert_eq!(record["end"], "complete", "{record}");
        assert_eq!(record["decision"], "allowed", "{record}");
    }
    toolbox.gate.run();
}

/// A call that is under way has until the deadline, and its stream the answer.
#[test]
fn a_drain_waits_for_calls() {
    let server = "drain_deadline = \"10m\"";
    let mut toolbox = Toolbox::start_with(|setup| Setup { server, ..lively(setup) });
    let streams = Era::BOTH.map(|era| {
        let call = era.call("lab_hold", &json!({ "n": "1" })).progress(json!(1));
        let mut events = Events::open(&toolbox.gate, &toolbox.full.text, &call);
        assert!(events.next().is_some(), "progress");
        events
    });
    poll::until("both arrive", || (toolbox.upstream.asked().len() == 2).then_some(()));
    toolbox.gate.signal("TERM");
    poll::until("the listener closes", || {
        std::net::TcpStream::connect(toolbox.gate.address).is_err().then_some(())
    });
    toolbox.upstream.release();
    for events in streams {
        let rest = events.rest();
        let last = rest.last().expect("the result");
        assert_eq!(last["result"]["structuredContent"]["target"], "/lab/hold/1", "{rest:?}");
    }
    assert!(toolbox.gate.wait_for_end().success());
    toolbox.gate.run();
}

/// RFC 3339, a little later than now.
fn soon() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    let soon = now + Duration::from_secs(4);
    UnixMicros(i64::try_from(soon.as_micros()).expect("not too far")).to_string()
}

#[test]
fn who_expires_listens_no_longer() {
    let toolbox = Toolbox::start_with(lively);
    let mut full = open(&toolbox.gate, &toolbox.full, &json!("full"));
    let terms = ["--expires", &soon(), "--plan", "wide", "--product", "all", "--scope", "lab:read"];
    let key = toolbox.gate.add_client("short", &terms);
    let events = open(&toolbox.gate, &key, &json!("short"));
    let id = events.head.id().to_owned();
    expect_last(events, &json!("short"));
    let record = toolbox.gate.record_of_id(&id);
    assert_eq!(record["client"], "short", "{record}");
    assert_eq!(record["decision"], "allowed", "{record}");
    let after = toolbox.gate.mcp(&key.text, &modern("tools/list", json!({})));
    assert!(matches!(after.response.status, 401 | 403), "{after:?}");
    expect_no_news(&mut full);
}

#[test]
fn a_grant_that_expires_is_told_to_its_client() {
    let toolbox = Toolbox::start_with(lively);
    let mut full = open(&toolbox.gate, &toolbox.full, &json!(1));
    let grant = ["grant", "add", "--client", "reader", "--product", "all", "--until", &soon()];
    toolbox.gate.cli(&grant).expect_success();
    let mut reader = open(&toolbox.gate, &toolbox.reader, &json!(2));
    assert_eq!(tools(&toolbox, &toolbox.reader).len(), 4);
    expect_told(&mut reader, &json!(2));
    assert_eq!(tools(&toolbox, &toolbox.reader), READING);
    expect_no_news(&mut reader);
    expect_no_news(&mut full);
}
