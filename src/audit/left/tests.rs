//! Logs and journals as kills at certain moments leave them.

use std::fs;

use serde_json::Value;

use super::*;
use crate::audit::opening::Opening;
use crate::audit::proof::key::PublicKey;
use crate::audit::queue::AuditLog;
use crate::audit::tests::{Directory, SETTINGS, act, full, id, open_log};
use crate::audit::verify::verify;
use crate::model::facts::Writer;
use crate::model::time::UnixMicros;

/// What a gate that is killed while a call is open leaves on a disk whose machine then starts anew: no journal.
fn without_journal() -> Directory {
    let (alive, killed) = (Directory::new(), Directory::new());
    let (log, _recorder) = open_log(&alive, SETTINGS, |_| ());
    log.record_act(act(1, "client.change")).expect("room");
    let mut slot = log.reserve().expect("room");
    let record = full(7);
    let told = slot.write_ahead(|out: &mut Writer<'_>| Opening::of(&record).encode(out));
    assert_eq!(told.blocking_recv(), Ok(Ok(())));
    for entry in alive.path().read_dir().expect("lists") {
        let name = entry.expect("a file").file_name();
        if name != "audit.journal" {
            fs::copy(alive.path().join(&name), killed.path().join(&name)).expect("copies");
        }
    }
    killed
}

/// Its file can take no more lines.
fn damage(directory: &Directory) {
    let name = *SegmentName::list(directory.path()).expect("lists").first().expect("a file");
    let path = name.path(directory.path());
    let text = fs::read_to_string(&path).expect("reads");
    fs::write(&path, text.replacen("\"seq\":1,", "\"seq\":8,", 1)).expect("writes");
}

/// The one record of the call's end agrees with its entry. It is in another boot where the call's own is damaged; and
/// that is the only problem of the log.
fn expect_end(directory: &Directory, damages: usize) {
    let lines = directory.lines();
    let of_call = |line: &&Value| line["id"] == id(7).to_string();
    let (entry, end): (Vec<&Value>, Vec<&Value>) =
        lines.iter().filter(of_call).partition(|line| line["entry"] == "open");
    assert_eq!((entry.len(), end.len()), (1, 1), "{lines:?}");
    assert_eq!(entry[0]["boot"] == end[0]["boot"], damages == 0);
    let facts = |line: &Value| {
        let mut facts = line.as_object().expect("an object").clone();
        for member in ["seq", "boot", "entry", "end"] {
            facts.remove(member);
        }
        facts
    };
    assert_eq!(end[0]["end"], "crash");
    assert_eq!(facts(entry[0]), facts(end[0]));
    let key = fs::read_to_string(directory.path().join("audit.pub")).expect("a file");
    let key = PublicKey::parse(&key).expect("a key");
    let report = verify(directory.path(), &key, &[]).expect("reads");
    let problems: Vec<String> = report.problems.iter().map(|it| format!("{it:?}")).collect();
    assert_eq!(problems.len(), damages, "{problems:?}");
}

fn start_and_stop(directory: &Directory) {
    let (_log, recorder) = open_log(directory, SETTINGS, |_| ());
    recorder.close().expect("closes");
}

#[test]
fn a_call_that_only_the_log_knows_ends_in_its_own_boot() {
    let directory = without_journal();
    start_and_stop(&directory);
    expect_end(&directory, 0);
}

#[test]
fn where_its_boot_can_take_no_more_it_ends_in_the_next() {
    let directory = without_journal();
    damage(&directory);
    start_and_stop(&directory);
    expect_end(&directory, 1);
    start_and_stop(&directory);
    expect_end(&directory, 1);
}

/// The start that has found it is killed when it has its journal, and before it has a line.
#[test]
fn a_killed_start_does_not_lose_it() {
    let directory = without_journal();
    damage(&directory);
    let names = SegmentName::list(directory.path()).expect("lists");
    let mut left = Left::default();
    left.file(directory.path(), *names.last().expect("a file")).expect("reads");
    assert_eq!(left.len(), 1);
    let boot = Boot::new(UnixMicros(0), 9, &names);
    let (slots, _keeper) =
        journal::create(directory.path(), boot, (0, left.slots())).expect("a journal");
    AuditLog::new(16, slots).queue().begin((left, journal::Unrecorded::default()), None);
    journal::take_over(directory.path()).expect("renames");
    let (stands, of) = Left::in_journal(directory.path(), names[0].boot).expect("reads");
    assert_eq!((stands.len(), of), (1, OfBoot::Another));
    start_and_stop(&directory);
    expect_end(&directory, 1);
}
