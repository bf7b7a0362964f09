//! The log proves itself: whatever is changed in its files, both verifiers name the place. One is the gate's,
//! the other the auditor's own, in Python, from `docs/`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use onegate::audit::{self, AuditLog, Recorder};
use onegate::model::policy::{AuditSettings, OnFailure};
use serde_json::Value;

use super::harness::bench::Bench;
use super::harness::folder::Folder;
use super::harness::records::write;
use super::harness::setup::Setup;
use super::harness::tools::{self, Said};
use super::harness::upstream::Upstream;

/// Small files, so that a boot has several.
const SETTINGS: AuditSettings = AuditSettings {
    queue_records_max: 10_000,
    flush_interval: Duration::from_millis(1),
    segment_bytes_max: 3000,
    on_failure: OnFailure::Gap,
    denials_per_source: 1_000_000,
};

/// A data directory with a log, made by the gate's own code.
struct Log {
    folder: Folder,
}

impl Log {
    /// Three boots; the second was killed.
    fn of_three_boots() -> Self {
        let log = Self { folder: Folder::new() };
        log.boot(30);
        let killed = Self { folder: Folder::new() };
        let (queue, recorder) = log.open();
        write(&queue, 100..130);
        // As a process leaves it that is killed: what was written, and a line that was being written.
        killed.replace_by(&log);
        drop((queue, recorder));
        let last = killed.files().pop().expect("a file");
        let mut bytes = fs::read(&last).expect("reads");
        bytes.extend_from_slice(b"{\"v\":1,\"seq\":31,\"no");
        fs::write(&last, bytes).expect("writes");
        killed.boot(20);
        killed
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn audit(&self) -> PathBuf {
        self.path().join("audit")
    }

    fn open(&self) -> (AuditLog, Recorder) {
        audit::open(&self.audit(), self.path(), SETTINGS, "gate-1", |_| ()).expect("opens")
    }

    fn boot(&self, records: u64) {
        let (log, recorder) = self.open();
        write(&log, 0..records);
        recorder.close().expect("closes");
    }

    fn replace_by(&self, other: &Self) {
        fs::remove_dir_all(self.path()).unwrap_or_default();
        fs::create_dir_all(self.audit()).expect("makes");
        for name in ["audit.key", "audit.pub"] {
            fs::copy(other.path().join(name), self.path().join(name)).expect("copies");
        }
        for file in other.files() {
            let name = file.file_name().expect("a file");
            fs::copy(&file, self.audit().join(name)).expect("copies");
        }
    }

    fn copy(&self) -> Self {
        let copy = Self { folder: Folder::new() };
        copy.replace_by(self);
        copy
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.audit()).expect("lists");
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("lists").path()).collect();
        files.sort();
        files
    }

    /// Files by boot.
    fn boots(&self) -> Vec<Vec<PathBuf>> {
        let boot = |path: &PathBuf| name(path).get(..25).map(str::to_owned);
        let files = self.files();
        files.chunk_by(|a, b| boot(a) == boot(b)).map(<[_]>::to_vec).collect()
    }

    /// The last checkpoint, as somebody else would keep it.
    fn last_checkpoint(&self) -> String {
        let last = self.files().pop().expect("a file");
        let text = fs::read_to_string(last).expect("reads");
        let line = text.lines().rfind(|line| line.starts_with("{\"checkpoint\":"));
        let line: Value = serde_json::from_str(line.expect("a checkpoint")).expect("JSON");
        line["checkpoint"].as_str().expect("a note").to_owned()
    }

    /// Both verifiers, the gate's first.
    fn verify(&self, checkpoints: &[&Path]) -> [Said; 2] {
        let key = self.path().join("audit.pub");
        let with = |command: &mut Command| {
            for checkpoint in checkpoints {
                command.arg("--checkpoint").arg(checkpoint);
            }
            tools::run(command, b"")
        };
        let mut ours = Command::new(env!("CARGO_BIN_EXE_onegate"));
        let ours = with(ours.arg("--data-dir").arg(self.path()).args(["audit", "verify"]));
        let mut theirs = Command::new(tools::python());
        let theirs = theirs.arg("docs/verify_audit.py").arg(self.audit()).arg("--key").arg(&key);
        let theirs = with(theirs);
        [ours, theirs]
    }

    /// What both verifiers say; they must agree on the verdict and on the first place.
    fn verdict(&self, checkpoints: &[&Path]) -> Verdict {
        let [ours, theirs] = self.verify(checkpoints);
        let (ours, theirs) = (Verdict::of(&ours), Verdict::of(&theirs));
        if checkpoints.is_empty() {
            assert_eq!(ours.place, theirs.place, "{}\n{}", ours.text, theirs.text);
        } else {
            // Where one names the end of the log, the other may name what is missing there.
            let found = [&ours, &theirs].map(|verdict| verdict.place.is_some());
            assert_eq!(found[0], found[1], "{}\n{}", ours.text, theirs.text);
        }
        ours
    }
}

/// The first place, if there is a problem, and all that was said.
#[derive(Debug)]
struct Verdict {
    place: Option<(String, u64)>,
    text: String,
}

impl Verdict {
    fn of(said: &Said) -> Self {
        let text = format!("{}{}", said.stdout, said.stderr);
        let place = match said.code {
            Some(0) => None,
            Some(1) => {
                let problem = text.lines().find(|line| !line.starts_with("note: "));
                let mut problem = problem.unwrap_or_default().splitn(3, ':');
                let file = problem.next().unwrap_or_default().to_owned();
                let line = problem.next().and_then(|line| line.parse().ok());
                Some((file, line.unwrap_or_else(|| panic!("no place: {text}"))))
            }
            _ => panic!("not done: {text}"),
        };
        Self { place, text }
    }
}

fn name(path: &Path) -> String {
    path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned()
}

/// The lines of a file, to be changed.
fn edit(path: &Path, change: impl FnOnce(&mut Vec<String>)) {
    let text = fs::read_to_string(path).expect("reads");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    change(&mut lines);
    fs::write(path, lines.join("\n") + "\n").expect("writes");
}

/// The position of the `nth` line of a kind, from 0.
fn position(lines: &[String], start: &str, nth: usize) -> usize {
    let found = lines.iter().enumerate().filter(|(_, line)| line.starts_with(start));
    found.map(|(at, _)| at).nth(nth).expect("as many lines")
}

const RECORD: &str = "{\"v\":";

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
