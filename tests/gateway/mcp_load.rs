//! Many callers at once while the set of tools changes: each sees a list that was its own at some moment, and no call
//! is lost.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde_json::json;

use super::harness::client::Client;
use super::harness::mcp::{Answer, Era};
use super::harness::poll;
use super::harness::toolbox::{ALL, Toolbox};

const THREADS: usize = 4;
const RELOADS: usize = 5;

/// What is in the products, before a reload and after it.
const CHANGED: [(&str, &str); 2] = [
    (
        r#"["lab.read", "lab.write", "lab.absent", "lab.busy", "lab.hold"]"#,
        r#"["lab.read", "lab.write", "lab.hold"]"#,
    ),
    (r#"["lab.read", "lab.absent"]"#, r#"["lab.read"]"#),
];

/// The lists that each client can be given.
const OF_FULL: [&[&str]; 2] = [&ALL, &["lab_hold", "lab_read", "lab_write"]];
const OF_READER: [&[&str]; 2] = [&["lab_absent", "lab_read"], &["lab_read"]];

/// One of a client's callers, over a connection that it keeps as long as the gate does.
struct Caller<'a> {
    toolbox: &'a Toolbox,
    client: Client,
    key: &'a str,
    legal: [&'a [&'a str]; 2],
    /// How often each of its lists came.
    seen: [usize; 2],
}

impl<'a> Caller<'a> {
    fn new(toolbox: &'a Toolbox, key: &'a str, legal: [&'a [&'a str]; 2]) -> Self {
        Self { toolbox, client: toolbox.gate.client(), key, legal, seen: [0; 2] }
    }

    fn ask(&mut self, message: &super::harness::mcp::Message) -> Answer {
        let answer = Answer::of(self.client.call(&message.request(Some(self.key))));
        assert_eq!(answer.response.status, 200, "{answer:?}");
        if answer.response.field("connection") == Some("close") {
            self.client = self.toolbox.gate.client();
        }
        answer
    }

    fn turn(&mut self, n: usize) {
        let era = Era::BOTH[n % 2];
        let listed = self.ask(&era.message("tools/list", json!({})));
        let which = self.legal.iter().position(|legal| listed.tools() == *legal);
        let which = which.unwrap_or_else(|| panic!("not a list of its own: {listed:?}"));
        self.seen[which] += 1;
        let n = n.to_string();
        let called = self.ask(&era.call("lab_read", &json!({ "n": n })));
        assert_eq!(called.structured()["target"], format!("/lab/ok/{n}"), "{called:?}");
        // This one is a tool of its own at times, and is denied at others: never a failure.
        let other = self.ask(&era.call("lab_absent", &json!({ "n": n })));
        let status = &other.result()["_meta"]["dev.onegate/problem"]["status"];
        assert!(other.is_error() && (*status == 403 || *status == 404), "{other:?}");
    }
}

#[test]
fn lists_are_ones_own_through_reloads() {
    let toolbox = Toolbox::start();
    let (done, turns) = (AtomicBool::new(false), AtomicUsize::new(0));
    let seen: Vec<[usize; 2]> = thread::scope(|scope| {
        let mut callers = Vec::new();
        for _ in 0..THREADS {
            for (key, legal) in [(&toolbox.full.text, OF_FULL), (&toolbox.reader.text, OF_READER)] {
                let (toolbox, done, turns) = (&toolbox, &done, &turns);
                callers.push(scope.spawn(move || {
                    let mut caller = Caller::new(toolbox, key, legal);
                    for n in 0.. {
                        caller.turn(n);
                        turns.fetch_add(1, Ordering::AcqRel);
                        if done.load(Ordering::Acquire) {
                            break;
                        }
                    }
                    caller.seen
                }));
            }
        }
        reload_in_between(&toolbox, &turns);
        done.store(true, Ordering::Release);
        callers.into_iter().map(|caller| caller.join().expect("every call was good")).collect()
    });
    for seen in seen {
        assert!(seen.iter().all(|count| *count > 0), "a caller never saw a change: {seen:?}");
    }
    let metrics = toolbox.gate.metrics();
    let failed = metrics.lines().filter(|line| line.starts_with("onegate_failures_total{"));
    assert!(failed.clone().all(|line| line.ends_with(" 0")), "{:?}", failed.collect::<Vec<_>>());
}

/// Changes the set back and forth, each time once all callers had a turn.
fn reload_in_between(toolbox: &Toolbox, turns: &AtomicUsize) {
    let first = toolbox.gate.config_text();
    let mut other = first.clone();
    for (from, to) in CHANGED {
        assert!(other.contains(from), "{from}");
        other = other.replace(from, to);
    }
    for n in 0..RELOADS {
        let before = turns.load(Ordering::Acquire);
        toolbox.gate.write_config_text(if n % 2 == 0 { &other } else { &first });
        toolbox.gate.cli(&["reload"]).expect_success();
        poll::until("there were turns since", || {
            (turns.load(Ordering::Acquire) >= before + 16 * THREADS).then_some(())
        });
    }
}

/// Calls that were begun before a reload are ended after it, each as it began.
#[test]
fn a_reload_cuts_no_call() {
    let toolbox = Toolbox::start_with_keys("keep_alive = \"1s\"");
    let calls = (0..12).map(|n| {
        let call = Era::BOTH[n % 2].call("lab_hold", &json!({ "n": n.to_string() }));
        let call = if n % 3 == 0 { call.progress(json!(n)) } else { call };
        let mut client = toolbox.gate.client();
        client.send(&call.request(Some(&toolbox.full.text)).bytes());
        client
    });
    let calls: Vec<Client> = calls.collect();
    poll::until("all arrive", || (toolbox.upstream.asked().len() == 12).then_some(()));
    let text = toolbox.gate.config_text();
    for n in 0..RELOADS {
        let from = "keep_alive = \"1s\"";
        toolbox
            .gate
            .write_config_text(&text.replace(from, &format!("keep_alive = \"{}s\"", n + 2)));
        toolbox.gate.cli(&["reload"]).expect_success();
    }
    toolbox.upstream.release();
    for (n, mut client) in calls.into_iter().enumerate() {
        let response = client.read(super::harness::http::Body::Expected).expect("an answer");
        assert!(response.complete, "{n}: {response:?}");
        let answer = Answer::of(response);
        assert_eq!(answer.structured()["target"], format!("/lab/hold/{n}"), "{answer:?}");
        assert_eq!(toolbox.gate.record_of_answer(&answer)["end"], "complete");
    }
}
