//! `subscriptions/listen`: a stream that says when the list of tools changes, within its bounds, and no
//! longer than its client may.

use serde_json::json;

use super::harness::events::Events;
use super::harness::folder::Folder;
use super::harness::listening::{ID, expect_last, listen, open, rewrite, with_own_document};
use super::harness::mcp::modern;
use super::harness::toolbox::{FULL, Toolbox};

#[test]
fn a_reload_that_changes_a_tool_is_told() {
    let folder = Folder::new();
    let (toolbox, document) = with_own_document(&folder);
    let ids = [json!(7), json!("seven")];
    let mut streams = ids.clone().map(|id| (open(&toolbox.gate, &toolbox.full, &id), id));
    // Prompts only, which are not there: nothing will be said.
    let prompts = json!({ "notifications": { "promptsListChanged": true } });
    let prompts = modern("subscriptions/listen", prompts);
    let mut of_prompts = Events::open(&toolbox.gate, &toolbox.full.text, &prompts);
    let first = of_prompts.next().expect("an acknowledgement");
    assert_eq!(first["params"]["notifications"], json!({}), "{first}");

    // A reload that changes nothing of the tools says nothing; the next one does.
    toolbox.gate.cli(&["reload"]).expect_success();
    rewrite(&document, "Reads one.", "Reads one, with care.");
    toolbox.gate.cli(&["reload"]).expect_success();
    for (events, id) in &mut streams {
        let told = events.next().expect("a notification");
        assert_eq!(told["method"], "notifications/tools/list_changed", "{told}");
        assert_eq!(told.pointer(ID), Some(&*id), "{told}");
    }
    let list = toolbox.ask(&modern("tools/list", json!({})));
    assert!(list.rpc().to_string().contains("with care"), "{list:?}");

    // At the end each has its last word, and said nothing twice.
    let Toolbox { mut gate, .. } = toolbox;
    assert!(gate.terminate().success());
    for (events, id) in streams {
        expect_last(events, &id);
    }
    expect_last(of_prompts, &json!(1));
}

#[test]
fn a_revoked_client_listens_no_longer() {
    let toolbox = Toolbox::start();
    let events = open(&toolbox.gate, &toolbox.reader, &json!(1));
    let mut of_another = open(&toolbox.gate, &toolbox.full, &json!(2));
    let id = events.head.id().to_owned();
    let revoke = ["revoke", "client", "reader", "--reason", "a test"];
    toolbox.gate.cli(&revoke).expect_success();
    events.rest();
    let records = toolbox.gate.records(&["--id", &id], |records| !records.is_empty());
    assert_eq!(records[0]["end"], "revoked", "{records:?}");
    assert_eq!(records[0]["operation"], "mcp.subscriptions/listen", "{records:?}");
    // Nobody else's ends.
    toolbox.gate.signal("TERM");
    assert!(of_another.next().expect("its last word")["result"].is_object());
}

#[test]
fn a_quiet_stream_shows_that_it_lives() {
    let toolbox = Toolbox::start_with_keys("keep_alive = \"1s\"");
    let mut events = open(&toolbox.gate, &toolbox.full, &json!(1));
    for _ in 0..2 {
        let frame = events.frame().expect("a sign of life");
        assert!(frame.starts_with(':'), "{frame}");
    }
}

#[test]
fn a_stream_has_an_end() {
    let toolbox = Toolbox::start_with_keys("listen_for = \"1s\"");
    let events = open(&toolbox.gate, &toolbox.full, &json!("a"));
    let id = events.head.id().to_owned();
    expect_last(events, &json!("a"));
    let records = toolbox.gate.records(&["--id", &id], |records| !records.is_empty());
    assert_eq!(records[0]["end"], "complete", "{records:?}");
}

#[test]
fn streams_are_counted() {
    let toolbox = Toolbox::start_with_keys("listeners_max = 2");
    let first = open(&toolbox.gate, &toolbox.full, &json!(1));
    let _second = open(&toolbox.gate, &toolbox.full, &json!(2));
    let third = toolbox.ask(&listen(&json!(3)));
    assert_eq!(third.response.status, 429, "{third:?}");
    assert_eq!(third.rpc()["id"], 3, "{third:?}");
    let record = toolbox.gate.record_of_answer(&third);
    assert_eq!(record["denial"], "concurrency_limited", "{record}");
    // Another client has its own, and one that ends makes room.
    let other = toolbox.gate.add_client("other", &FULL);
    open(&toolbox.gate, &other, &json!(4));
    drop(first);
    super::harness::poll::until("there is room again", || {
        let key = toolbox.full.text.as_str();
        let mut client = toolbox.gate.client();
        client.send(&listen(&json!(5)).request(Some(key)).bytes());
        let head = client.read(super::harness::http::Body::Absent).expect("a head");
        (head.status == 200).then_some(())
    });
}

#[test]
fn who_leaves_is_noticed() {
    let toolbox = Toolbox::start();
    let events = open(&toolbox.gate, &toolbox.full, &json!(1));
    let id = events.head.id().to_owned();
    drop(events);
    let records = toolbox.gate.records(&["--id", &id], |records| !records.is_empty());
    assert_eq!(records[0]["end"], "client_abort", "{records:?}");
}
