//! Streams of `subscriptions/listen`: how they begin and end, and a document of tools to change meanwhile.

use std::fs;

use serde_json::{Value, json};

use super::events::Events;
use super::folder::Folder;
use super::gate::{Gate, Key};
use super::mcp::{Message, modern};
use super::setup::Setup;
use super::toolbox::{Toolbox, fixture};

/// Where a notification says of which subscription it is.
pub const ID: &str = "/params/_meta/io.modelcontextprotocol~1subscriptionId";

pub fn listen(id: &Value) -> Message {
    let asked =
        json!({ "notifications": { "toolsListChanged": true, "promptsListChanged": true } });
    modern("subscriptions/listen", asked).set("/id", id.clone())
}

/// A stream whose first word was right.
pub fn open(gate: &Gate, key: &Key, id: &Value) -> Events {
    let mut events = Events::open(gate, &key.text, &listen(id));
    let first = events.next().expect("an acknowledgement");
    assert_eq!(first["method"], "notifications/subscriptions/acknowledged", "{first}");
    assert_eq!(first.pointer(ID), Some(id), "{first}");
    // Of what was asked, what there is.
    assert_eq!(first["params"]["notifications"], json!({ "toolsListChanged": true }), "{first}");
    assert_eq!(events.head.field("x-accel-buffering"), Some("no"), "{:?}", events.head);
    events
}

/// The last word, and then the end.
pub fn expect_last(events: Events, id: &Value) {
    let rest = events.rest();
    let [last] = &rest[..] else { panic!("not one message: {rest:?}") };
    assert_eq!(&last["id"], id, "{last}");
    assert_eq!(last["result"]["resultType"], "complete", "{last}");
    let of = &last["result"]["_meta"]["io.modelcontextprotocol/subscriptionId"];
    assert_eq!(of, id, "{last}");
}

/// A toolbox whose document is the test's own, and its path.
pub fn with_own_document(folder: &Folder) -> (Toolbox, String) {
    with_own_document_and(folder, |setup| setup)
}

/// The same with a setup that the test changes.
pub fn with_own_document_and(
    folder: &Folder,
    change: impl FnOnce(Setup) -> Setup,
) -> (Toolbox, String) {
    let path = folder.at("tools.yaml");
    fs::copy(fixture("tools.yaml"), &path).expect("the folder is ours");
    let toolbox = Toolbox::start_with(|setup| {
        let apis = setup.apis.replace(&fixture("tools.yaml"), &path);
        change(Setup { apis, ..setup })
    });
    (toolbox, path)
}

pub fn rewrite(path: &str, from: &str, to: &str) {
    let text = fs::read_to_string(path).expect("the folder is ours");
    assert!(text.contains(from), "{from}");
    fs::write(path, text.replace(from, to)).expect("the folder is ours");
}
