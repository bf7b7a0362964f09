//! What the access log writes, and what it does when it cannot.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::*;
use crate::audit::tests as records;
use crate::model::record::AccessDetail;

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("onegate-access-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).expect("the folder is ours");
    folder
}

fn settings(path: PathBuf, buffer_bytes_max: usize) -> AccessLogSettings {
    AccessLogSettings { path: AccessLogPath::File(path), buffer_bytes_max }
}

fn start() -> (AccessLog, IntCounter) {
    let dropped = IntCounter::new("dropped", "dropped").expect("a name");
    (AccessLog::start(dropped.clone()).expect("a thread"), dropped)
}

#[test]
fn a_record_is_one_line_of_json() {
    let mut record = records::full(1);
    record.access = Some(AccessDetail {
        protocol: "HTTP/1.1",
        user_agent: Some(b"curl \"8\"\n".as_slice().into()),
    });
    let (mut out, mut seconds) = (Vec::new(), Seconds::default());
    line::write(&mut out, &mut seconds, &record);
    let text = String::from_utf8(out).expect("text");
    assert_eq!(text.matches('\n').count(), 1, "{text}");
    let line: Value = serde_json::from_str(&text).expect("JSON");
    let check = |name: &str, value: Value| assert_eq!(line[name], value, "{name}: {text}");
    check("time", json!("2026-03-01T12:00:00.000000Z"));
    check("surface", json!("rest"));
    check("client", json!("mobile-app"));
    check("path", json!("/api/payments/7"));
    check("protocol", json!("HTTP/1.1"));
    check("status", json!(200));
    check("upstream_us", json!(1000));
    check("user_agent", json!("curl \"8\"\n"));
}

#[test]
fn what_does_not_fit_is_dropped_and_counted() {
    let folder = folder("full");
    let (log, dropped) = start();
    let path = folder.join("access.log");
    log.adopt(Some(&settings(path.clone(), 1))).expect("a new file");
    let mut feed = log.feed();
    // The first line fills the buffer until the writer comes by, which is seldom.
    let lines = 100;
    (0..lines).for_each(|n| feed.show(&records::full(n)));
    log.close(Duration::from_secs(10));
    let written = fs::read_to_string(path).expect("the file is ours").lines().count() as u64;
    assert_eq!(written + dropped.get(), lines, "each line is written or counted");
    assert!(dropped.get() > 0, "none was dropped");

    // A device that takes nothing: the loss is counted too.
    let (log, dropped) = start();
    log.adopt(Some(&settings("/dev/full".into(), 1 << 20))).expect("a device");
    let mut feed = log.feed();
    (0..3).for_each(|n| feed.show(&records::full(n)));
    log.close(Duration::from_secs(10));
    assert_eq!(dropped.get(), 3);
    fs::remove_dir_all(folder).expect("the folder is ours");
}

#[test]
fn lines_go_to_the_file_of_now() {
    let folder = folder("moved");
    let (path, moved) = (folder.join("access.log"), folder.join("access.log.1"));
    let (log, _) = start();
    let mut feed = log.feed();
    feed.show(&records::full(0));
    log.adopt(Some(&settings(path.clone(), 1 << 20))).expect("a new file");
    feed.show(&records::full(1));
    let lines = |path: &PathBuf| fs::read_to_string(path).unwrap_or_default().lines().count();
    while lines(&path) < 1 {
        thread::yield_now();
    }
    fs::rename(&path, &moved).expect("one folder");
    log.reopen().expect("a new file");
    feed.show(&records::full(2));
    log.adopt(Some(&settings(folder.join("no/such/folder"), 1))).expect_err("no folder");
    log.close(Duration::from_secs(10));
    assert_eq!((lines(&moved), lines(&path)), (1, 1), "nothing before there was a place");
    fs::remove_dir_all(folder).expect("the folder is ours");
}
