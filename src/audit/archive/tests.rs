//! Files that are sealed, deleted, and signed with another key: the log stays whole to whoever asks it and checks it,
//! and whatever is done to them shows.

use std::collections::BTreeMap;
use std::fs;

use super::*;
use crate::audit::filter::Filter;
use crate::audit::line::Line;
use crate::audit::period::Period;
use crate::audit::proof::key::PublicKey;
use crate::audit::query::scan;
use crate::audit::tests::{Directory, SETTINGS, act, full, open_log, request};
use crate::audit::verify::{Report, verify};
use crate::audit::{AuditSettings, DELETED_ACTION, Recorder};
use crate::clock;

const ARCHIVE: ArchiveSettings = ArchiveSettings {
    seal_after: Duration::from_hours(24),
    retention: Duration::from_hours(24 * 400),
};

/// A log whose gate runs: of one boot that is over, and of one that is not.
struct Bench {
    directory: Directory,
    log: AuditLog,
    recorder: Recorder,
    archive: Archive,
}

impl Bench {
    fn new() -> Self {
        let directory = Directory::new();
        let (log, recorder) = open(&directory);
        write(&log, 0);
        recorder.close().expect("closes");
        let (log, recorder) = open(&directory);
        write(&log, 1000);
        let archive = Archive::new(directory.path(), "node-1", (&recorder, log.clone()));
        let bench = Self { directory, log, recorder, archive };
        bench.in_days(0);
        bench
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn files(&self) -> Vec<SegmentName> {
        SegmentName::list(self.path()).expect("lists")
    }

    /// Does all that is due in so many days.
    fn in_days(&self, days: u32) {
        while self.archive.look(ARCHIVE, now_in(days)).expect("looks") != Looked::Done {}
    }

    fn sealed(&self) -> usize {
        self.files().iter().filter(|file| file.sealed_path(self.path()).exists()).count()
    }

    /// Every record, by its id, and what the answer says of itself.
    fn records(&self) -> (BTreeMap<String, Vec<u8>>, String) {
        let mut records = BTreeMap::new();
        let visit = |line: &Line<'_>, bytes: &[u8]| {
            assert!(records.insert(line.id.to_string(), bytes.to_vec()).is_none());
            Ok(())
        };
        let completeness = scan(self.path(), &Filter::default(), None, visit).expect("reads");
        assert!(completeness.is_sound(), "{completeness}");
        (records, completeness.to_string())
    }

    fn rotate(&self) -> crate::audit::keys::Rotated {
        let ask = || self.log.wake();
        self.recorder.keys().rotate(ask, Duration::from_mins(1)).expect("rotates")
    }

    fn verify(&self) -> Report {
        verify_in(self.path())
    }
}

fn now_in(days: u32) -> Now {
    let passed = Duration::from_hours(24) * days;
    let micros = i64::try_from(passed.as_micros()).expect("not too far");
    Now { mono: MonoNs(0).after(passed), wall: UnixMicros(clock::wall().0 + micros) }
}

fn open(directory: &Directory) -> (AuditLog, Recorder) {
    open_log(directory, AuditSettings { segment_bytes_max: 20_000, ..SETTINGS }, |_| ())
}

fn write(log: &AuditLog, from: u64) {
    for n in from..from + 60 {
        log.reserve().expect("room").complete(request(n));
        log.reserve().expect("room").complete(Box::new(full(n + 300)));
        log.record_act(act(n + 600, "client.change")).expect("room");
        log.flush(Duration::from_mins(1)).expect("written");
    }
}

fn verify_in(directory: &Path) -> Report {
    let key = fs::read_to_string(directory.join("audit.pub")).expect("a file");
    verify(directory, &PublicKey::parse(&key).expect("a key"), &[]).expect("reads")
}

fn problems(report: &Report) -> Vec<String> {
    report.problems.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn assert_sound(report: &Report) {
    assert!(report.problems.is_empty(), "{:?}", problems(report));
}

#[test]
fn sealed_files_answer_and_prove_as_before() {
    let bench = Bench::new();
    let (records, _) = bench.records();
    let before = bench.verify();
    assert_sound(&before);
    bench.in_days(0);
    assert_eq!(bench.sealed(), 0, "not yet");
    bench.in_days(2);
    assert_eq!(bench.sealed(), bench.files().len() - 1, "all but the one that is written");
    assert!(bench.sealed() > 5);
    let sealed = |file: &&SegmentName| !file.path(bench.path()).exists();
    assert_eq!(bench.files().iter().filter(sealed).count(), bench.sealed());
    assert_eq!(bench.records().0, records);
    let after = bench.verify();
    assert_sound(&after);
    assert_eq!((after.records, after.sealed), (before.records, bench.sealed() as u64));
    // The running boot adds one each second.
    assert!(after.files == before.files && after.checkpoints >= before.checkpoints);
    // What they are about is stated: no other is read.
    let period = Period { from: Some(UnixMicros::from_seconds(1_772_366_401)), to: None };
    let filter = Filter { period, ..Filter::default() };
    let skipped = scan(bench.path(), &filter, None, |_, _| Ok(())).expect("reads").files_skipped;
    assert_eq!(skipped, bench.sealed() as u64);
    // The next boot follows.
    let Bench { directory, recorder, .. } = bench;
    recorder.close().expect("closes");
    let (_, recorder) = open(&directory);
    assert_sound(&verify_in(directory.path()));
    recorder.close().expect("closes");
}

/// A gate that was killed before its first file had a line finds a boot whose last file is sealed.
#[test]
fn a_boot_follows_one_that_is_sealed_to_its_end() {
    let bench = Bench::new();
    bench.in_days(2);
    let Bench { directory, recorder, .. } = bench;
    recorder.close().expect("closes");
    let last = *SegmentName::list(directory.path()).expect("lists").last().expect("a file");
    let of_last = |file: &SegmentName| file.boot == last.boot;
    for file in SegmentName::list(directory.path()).expect("lists").iter().filter(|f| of_last(f)) {
        fs::remove_file(file.present_path(directory.path())).expect("removes");
    }
    let (_, recorder) = open(&directory);
    recorder.close().expect("closes");
    assert_sound(&verify_in(directory.path()));
}

#[test]
fn old_files_are_deleted_and_what_is_left_proves_itself() {
    let bench = Bench::new();
    bench.in_days(2);
    let files = bench.files();
    let (records, _) = bench.records();
    write(&bench.log, 2000);
    bench.in_days(399);
    assert_eq!(bench.files().first(), files.first(), "nothing is old enough");
    bench.in_days(401);
    let left = bench.files();
    assert_eq!(left.len(), 1, "{left:?}");
    let report = bench.verify();
    assert_sound(&report);
    assert!(
        report
            .notes
            .iter()
            .any(|note| note.contains("were deleted, as a retention of 400 days wants it")),
        "{:?}",
        report.notes
    );
    let (now, told) = bench.records();
    assert!(told.contains(" were deleted, as they were older than the retention"), "{told}");
    let is_deletion = |line: &Vec<u8>| String::from_utf8_lossy(line).contains(DELETED_ACTION);
    assert!(now.values().any(is_deletion));
    assert!(now.len() < records.len());
    let manifest = fs::read_to_string(bench.path().join("manifest.jsonl")).expect("reads");
    assert_eq!(manifest.lines().count(), 1, "{manifest} {left:?}");
    // Again, from where it began the last time, and over a restart.
    write(&bench.log, 3000);
    bench.in_days(900);
    assert_sound(&bench.verify());
    let Bench { directory, recorder, .. } = bench;
    recorder.close().expect("closes");
    let (log, recorder) = open(&directory);
    write(&log, 4000);
    assert_sound(&verify_in(directory.path()));
    recorder.close().expect("closes");
}

#[test]
fn another_key_signs_and_each_key_checks_the_whole_log() {
    let bench = Bench::new();
    let first = bench.rotate();
    write(&bench.log, 2000);
    bench.in_days(2);
    let second = bench.rotate();
    write(&bench.log, 3000);
    assert_eq!(first.to, second.from);
    let check = |key: &str| {
        let key = PublicKey::parse(key).expect("a key");
        verify(bench.path(), &key, &[]).expect("reads")
    };
    for key in [&first.from, &first.to, &second.to] {
        assert_sound(&check(key));
    }
    let other = Directory::new();
    let (_, recorder) = open(&other);
    recorder.close().expect("closes");
    let other = fs::read_to_string(other.path().join("audit.pub")).expect("a file");
    assert!(!check(&other).problems.is_empty());
    // Statements of deleted files are kept: whoever trusts the first key still can.
    bench.in_days(401);
    for key in [&first.from, &first.to, &second.to] {
        assert_sound(&check(key));
    }
    assert!(!check(&other).problems.is_empty());
    let Bench { directory, recorder, .. } = bench;
    recorder.close().expect("closes");
    let (_, recorder) = open(&directory);
    recorder.close().expect("closes");
    assert_sound(&verify_in(directory.path()));
}

/// Neither is the file that is being written over when somebody puts another after it.
#[test]
fn a_foreign_file_ends_none() {
    let bench = Bench::new();
    let current = *bench.files().last().expect("a file");
    let foreign = "20991231T235959Z-00000001-000001.jsonl";
    fs::write(bench.path().join(foreign), "{\"v\":1}\n").expect("writes");
    let path = current.path(bench.path());
    for days in [2, 399, 800] {
        while matches!(bench.archive.look(ARCHIVE, now_in(days)), Ok(Looked::Worked)) {}
        assert!(path.exists(), "after {days} days");
    }
    fs::remove_file(bench.path().join(foreign)).expect("removes");
    assert_sound(&bench.verify());
}

/// The key before is of no use to whoever finds it: nothing that it signs from then on is believed.
#[test]
fn a_key_that_handed_over_signs_no_more() {
    let bench = Bench::new();
    let old = fs::read(bench.path().join("audit.key")).expect("reads");
    let rotated = bench.rotate();
    write(&bench.log, 2000);
    let Bench { directory, recorder, .. } = bench;
    recorder.close().expect("closes");
    fs::write(directory.path().join("audit.key"), old).expect("writes");
    fs::write(directory.path().join("audit.pub"), &rotated.from).expect("writes");
    let (log, recorder) = open(&directory);
    write(&log, 3000);
    recorder.close().expect("closes");
    let report = verify_in(directory.path());
    assert!(problems(&report).iter().any(|p| p.contains("another key")), "{:?}", problems(&report));
}

/// Wherever a change of the key is cut short, it goes on with the next boot.
#[test]
fn a_change_of_the_key_outlasts_a_kill() {
    let bench = Bench::new();
    let Bench { directory, recorder, .. } = bench;
    recorder.close().expect("closes");
    let rotated = crate::audit::keys::make_next(directory.path(), "node-1").expect("makes").0;
    let next = fs::read(directory.path().join("audit.key.next")).expect("a file");
    let old = fs::read(directory.path().join("audit.key")).expect("a file");
    let (_, recorder) = open(&directory);
    recorder.close().expect("closes");
    let public = || fs::read_to_string(directory.path().join("audit.pub")).expect("a file");
    assert_eq!(public().trim(), rotated.to);
    assert_sound(&verify_in(directory.path()));
    // The log had it, and the data directory not yet.
    for half in [&rotated.from, &rotated.to] {
        fs::write(directory.path().join("audit.key"), &old).expect("writes");
        fs::write(directory.path().join("audit.key.next"), &next).expect("writes");
        fs::write(directory.path().join("audit.pub"), half).expect("writes");
        let (_, recorder) = open(&directory);
        recorder.close().expect("closes");
        assert_eq!(public().trim(), rotated.to);
        assert!(!directory.path().join("audit.key.next").exists());
        assert_sound(&verify_in(directory.path()));
    }
}

#[test]
fn what_was_cut_short_is_finished_or_done_again() {
    let bench = Bench::new();
    let first = *bench.files().first().expect("a file");
    let (lines, sealed) = bench.archive.paths(first);
    let whole = fs::read(&lines).expect("reads");
    let (records, _) = bench.records();
    // Killed while it wrote, and before it was stated.
    fs::write(bench.archive.draft(), "half").expect("writes");
    fs::write(&sealed, "half").expect("writes");
    assert_eq!(bench.records().0, records);
    bench.in_days(2);
    assert_eq!(bench.sealed(), bench.files().len() - 1);
    assert!(!bench.archive.draft().exists());
    assert_eq!(bench.records().0, records);
    // Before the file that it was made from was removed.
    fs::write(&lines, whole).expect("writes");
    assert_eq!(bench.records().0, records);
    assert_sound(&bench.verify());
    bench.in_days(2);
    assert!(!lines.exists());
    // Before files were removed whose deletion was stated.
    let kept: Vec<_> = bench.files().into_iter().take(3).collect();
    let kept: Vec<_> = kept.iter().map(|file| file.sealed_path(bench.path())).collect();
    let kept: Vec<_> =
        kept.into_iter().map(|path| (fs::read(&path).expect("reads"), path)).collect();
    bench.in_days(401);
    for (bytes, path) in &kept {
        fs::write(path, bytes).expect("writes");
    }
    assert_sound(&bench.verify());
    let (_, told) = bench.records();
    assert!(told.contains("were deleted"), "{told}");
    bench.in_days(401);
    assert!(kept.iter().all(|(_, path)| !path.exists()));
}

#[test]
fn files_that_are_not_whole_stay_as_they_are() {
    let bench = Bench::new();
    let first = *bench.files().first().expect("a file");
    let path = first.path(bench.path());
    let mut bytes = fs::read(&path).expect("reads");
    bytes.pop();
    fs::write(&path, &bytes).expect("writes");
    // The others are sealed all the same.
    let error = bench.archive.look(ARCHIVE, now_in(2)).expect_err("it is not whole");
    assert!(error.to_string().contains(&first.to_string()), "{error}");
    bench.in_days(2);
    assert_eq!(fs::read(&path).expect("reads"), bytes);
    assert_eq!(bench.sealed(), bench.files().len() - 2);
}

mod tampered;
