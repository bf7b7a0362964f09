//! The log proves itself: whatever is changed in its files, both verifiers name the place. One is the gate's,
//! the other the auditor's own, in Python, from `docs/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::harness::bench::Bench;
use super::harness::folder::Folder;
use super::harness::logs::{Log, RECORD, edit, name, position};
use super::harness::poll;
use super::harness::setup::Setup;
use super::harness::tools;
use super::harness::upstream::Upstream;

#[test]
fn an_untouched_log_is_good_and_says_what_it_rests_on() {
    let log = Log::of_three_boots();
    let verdict = log.verdict(&[]);
    assert_eq!(verdict.place, None, "{}", verdict.text);
    assert!(verdict.text.contains("anchor: none"), "{}", verdict.text);
    // 30, 30, one that says what was found, 20.
    assert!(verdict.text.contains("81 records"), "{}", verdict.text);
    assert!(log.boots().iter().all(|files| files.len() > 1), "several files each");
    let kept = log.path().join("kept");
    fs::write(&kept, log.last_checkpoint()).expect("writes");
    let verdict = log.verdict(&[&kept]);
    assert_eq!(verdict.place, None, "{}", verdict.text);
    assert!(verdict.text.contains("anchor: 1 checkpoint"), "{}", verdict.text);
}

/// Changes a copy of the log, and finds the change where it was made.
fn check(whole: &Log, what: &str, change: impl Fn(&Log) -> (PathBuf, usize)) {
    let log = whole.copy();
    let (file, line) = change(&log);
    let verdict = log.verdict(&[]);
    let expected = Some((name(&file), line as u64));
    assert_eq!(verdict.place, expected, "{what}: {}", verdict.text);
}

#[test]
fn every_changed_line_is_named() {
    let whole = Log::of_three_boots();
    let check = |what: &str, change: &dyn Fn(&Log) -> (PathBuf, usize)| check(&whole, what, change);
    let in_second = |log: &Log| log.boots()[1][1].clone();
    check("a byte flipped", &|log| {
        let (file, mut at) = (in_second(log), 0);
        edit(&file, |lines| {
            at = position(lines, RECORD, 2);
            lines[at] = lines[at].replace("/payments/", "/paymentz/").replace("ann", "bob");
        });
        (file, at + 1)
    });
    check("a record deleted", &|log| {
        let (file, mut at) = (in_second(log), 0);
        edit(&file, |lines| {
            at = position(lines, RECORD, 1);
            lines.remove(at);
        });
        (file, at + 1)
    });
    check("two records swapped", &|log| {
        let (file, mut at) = (in_second(log), 0);
        edit(&file, |lines| {
            at = position(lines, RECORD, 0);
            lines.swap(at, at + 1);
        });
        (file, at + 1)
    });
    check("a commit taken out", &|log| {
        let (file, mut at) = (in_second(log), 0);
        edit(&file, |lines| {
            at = position(lines, "{\"commit\":", 0);
            lines.remove(at);
        });
        // What follows it speaks of lines that nobody committed.
        (file, at + 1)
    });
    check("a total changed", &|log| {
        let (file, mut at) = (in_second(log), 0);
        edit(&file, |lines| {
            at = position(lines, "{\"checkpoint\":", 0);
            lines[at] = lines[at].replace("\\nallowed ", "\\nallowed 9");
        });
        (file, at + 1)
    });
}

#[test]
fn everything_that_is_missing_is_named() {
    let whole = Log::of_three_boots();
    let check = |what: &str, change: &dyn Fn(&Log) -> (PathBuf, usize)| check(&whole, what, change);
    check("the tail of a boot cut", &|log| {
        let file = log.boots()[0].last().expect("a file").clone();
        let mut left = 0;
        edit(&file, |lines| {
            lines.pop();
            left = lines.len();
        });
        (file, left)
    });
    check("a file of a boot dropped", &|log| {
        let files = &log.boots()[1];
        fs::remove_file(&files[1]).expect("removes");
        (files[1].clone(), 1)
    });
    check("the first file dropped", &|log| {
        let files = &log.boots()[1];
        fs::remove_file(&files[0]).expect("removes");
        (files[0].clone(), 1)
    });
    check("a boot dropped", &|log| {
        let boots = log.boots();
        boots[1].iter().for_each(|file| fs::remove_file(file).expect("removes"));
        (boots[2][0].clone(), 1)
    });
    check("a line added at the end", &|log| {
        let file = log.boots()[0].last().expect("a file").clone();
        let mut at = 0;
        edit(&file, |lines| {
            at = lines.len();
            lines.push(lines[position(lines, RECORD, 0)].clone());
        });
        (file, at + 1)
    });
}

#[test]
fn a_log_without_its_proof_is_not_good() {
    let log = Log { folder: Folder::new() };
    log.boot(10);
    log.boot(10);
    let strip = |log: &Log, files: &[PathBuf]| {
        let copy = log.copy();
        for file in files {
            edit(&copy.audit().join(name(file)), |lines| {
                lines.retain(|line| line.starts_with(RECORD));
            });
        }
        copy
    };
    assert!(strip(&log, &log.files()).verdict(&[]).place.is_some(), "all of it");
    assert!(strip(&log, &log.boots()[0]).verdict(&[]).place.is_some(), "the first boot");
    let empty = log.copy();
    empty.files().iter().for_each(|file| fs::remove_file(file).expect("removes"));
    let says = empty.verify(&[]);
    assert!(says.iter().all(|said| said.code == Some(1)), "{says:?}");

    // What a gate before this format has left may stand before it.
    let old = Log { folder: Folder::new() };
    old.boot(10);
    for file in old.files() {
        edit(&file, |lines| lines.retain(|line| line.starts_with(RECORD)));
    }
    old.boot(10);
    assert_eq!(old.verdict(&[]).place, None);
}

#[test]
fn what_was_kept_elsewhere_shows_a_cut_and_an_old_copy() {
    let log = Log { folder: Folder::new() };
    log.boot(30);
    let old = log.copy();
    log.boot(30);
    let kept = log.path().join("kept");
    fs::write(&kept, log.last_checkpoint()).expect("writes");

    let verdict = old.verdict(&[]);
    assert_eq!(verdict.place, None, "without it nobody can tell: {}", verdict.text);
    assert!(old.verdict(&[&kept]).place.is_some(), "an old copy");

    let cut = log.copy();
    let file = cut.files().pop().expect("a file");
    edit(&file, |lines| lines.truncate(position(lines, "{\"commit\":", 0) + 1));
    assert_eq!(cut.verdict(&[]).place, None);
    let place = cut.verdict(&[&kept]).place.expect("a cut");
    assert_eq!(place.0, name(&file));

    let other = Log { folder: Folder::new() };
    other.boot(30);
    fs::copy(log.path().join("audit.pub"), other.path().join("audit.pub")).expect("copies");
    let files = other.files();
    assert_eq!(other.verdict(&[]).place, Some((name(&files[0]), 1)), "another's log");
}

#[test]
fn a_killed_gate_is_found_out_and_loses_no_written_record() {
    let upstream = Upstream::start();
    let mut bench = Bench::start(&Setup::before(&upstream));
    for n in 0..20 {
        assert_eq!(bench.get(&format!("/lab/ok/{n}")).status, 200);
    }
    bench.gate.kill9();
    let stopped = bench.gate.json(&["audit", "verify"]);
    assert_eq!((&stopped[0]["ok"], &stopped[0]["anchor"]), (&true.into(), &Value::Null));
    let notes = stopped[0]["notes"].as_array().expect("notes");
    assert!(!notes.is_empty(), "it says that the boot has not ended: {stopped:?}");
    bench.gate.run();
    let acts = bench.gate.records(&["--surface", "admin"], |acts| {
        acts.iter().any(|act| act["action"] == "audit.recovered")
    });
    let recovered = acts.iter().find(|act| act["action"] == "audit.recovered").expect("found");
    assert_eq!(recovered["after"]["damaged"], Value::Null, "{recovered}");
    assert_eq!(bench.get("/lab/ok/after").status, 200);
    bench.gate.settle();
    let running = bench.gate.json(&["audit", "verify"]);
    assert_eq!(running[0]["ok"], true, "{running:?}");
}

#[test]
fn checkpoints_that_were_sent_out_find_a_cut() {
    let upstream = Upstream::start();
    let elsewhere = Folder::new();
    let (kept, program) = (elsewhere.at("kept"), elsewhere.at("keep"));
    fs::write(&program, format!("#!/bin/sh\ncat >> {kept}\n")).expect("writes");
    tools::run(Command::new("chmod").args(["+x", &program]), b"").expect_success();
    let to =
        format!("checkpoints_to = [\"stdout\", \"command:{program}\"]\ncheckpoints_every = \"1s\"");
    // A setup holds texts of the program; this one lives as long.
    let audit = Box::leak(to.into_boxed_str());
    let mut bench = Bench::start(&Setup { audit, ..Setup::before(&upstream) });
    for n in 0..20 {
        assert_eq!(bench.get(&format!("/lab/ok/{n}")).status, 200);
    }
    bench.gate.cli(&["reload"]).expect_success();
    let stdout = bench.gate.folder.at("stdout.txt");
    poll::until("the reload is signed and sent", || {
        fs::read_to_string(&stdout).expect("reads").contains("cause reload").then_some(())
    });
    assert_eq!(bench.get("/lab/ok/after").status, 200);
    assert!(bench.gate.terminate().success());
    let sent = fs::read_to_string(&stdout).expect("reads");
    assert!(sent.contains("cause stop"), "the last word goes out too: {sent}");

    let log = Log { folder: Folder::new() };
    log.take(&bench.gate.folder.path().join("data"));
    for outside in [Path::new(&stdout), Path::new(&kept)] {
        let verdict = log.verdict(&[outside]);
        assert_eq!(verdict.place, None, "{}", verdict.text);
        assert!(!verdict.text.contains("anchor: none"), "{}", verdict.text);
    }
    let cut = log.copy();
    let file = cut.files().pop().expect("a file");
    edit(&file, |lines| {
        let reload = lines.iter().position(|line| line.contains("cause reload"));
        lines.truncate(reload.expect("it was signed") + 1);
    });
    assert_eq!(cut.verdict(&[]).place, None, "without them nobody can tell");
    for outside in [Path::new(&stdout), Path::new(&kept)] {
        assert!(cut.verdict(&[outside]).place.is_some());
    }
    bench.gate.run();
}
