//! Whatever is done to sealed files, or to the manifest, is found where it was done.

use super::*;
use crate::audit::proof::tree::Hash;
use crate::audit::reader::LineReader;

type Tamper = fn(&Bench, &SegmentName) -> &'static str;

/// Each change shows, in the file that it was made to.
#[test]
fn whatever_is_done_to_sealed_files_is_found() {
    let tampers: [(&str, Tamper); 7] = [
        ("a byte changed", |bench, file| {
            let path = file.sealed_path(bench.path());
            let mut bytes = fs::read(&path).expect("reads");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(path, bytes).expect("writes");
            "this is not the file that was sealed"
        }),
        ("a record changed, and the file sealed again", |bench, file| {
            reseal(bench, file, |text| text.replacen("mobile-app", "mobile-apq", 1));
            "this line was changed"
        }),
        ("a record taken out, and the file sealed again", |bench, file| {
            reseal(bench, file, |text| {
                let mut lines: Vec<&str> = text.lines().collect();
                let record = lines.iter().position(|line| line.starts_with("{\"v\"")).expect("one");
                lines.remove(record);
                lines.join("\n") + "\n"
            });
            " is missing here: this one is "
        }),
        ("the file removed", |bench, file| {
            fs::remove_file(file.sealed_path(bench.path())).expect("removes");
            "this file is missing"
        }),
        ("the file emptied", |bench, file| {
            fs::write(file.sealed_path(bench.path()), "").expect("writes");
            "it is no sealed file"
        }),
        ("the statement removed", |bench, file| {
            edit_manifest(bench, |line| !line.contains(&file.to_string()));
            "the manifest does not state that this file was sealed"
        }),
        ("another's statement", |bench, file| {
            let path = bench.path().join("manifest.jsonl");
            let text = fs::read_to_string(&path).expect("reads");
            let line = text.lines().find(|line| line.contains(&file.to_string())).expect("a line");
            let swapped = text.replace(line, &line.replacen("records ", "records 1", 1));
            fs::write(path, swapped).expect("writes");
            "this statement is not good: its signature is wrong"
        }),
    ];
    for (what, tamper) in tampers {
        let bench = Bench::new();
        bench.in_days(2);
        let file = *bench.files().get(1).expect("a file");
        let expected = tamper(&bench, &file);
        let found = problems(&bench.verify());
        let name = file.to_string();
        let stem = name.trim_end_matches(".jsonl");
        let named = |p: &String| p.contains(stem) || p.starts_with("manifest.jsonl:");
        let place = found.iter().find(|problem| problem.contains(expected));
        assert!(place.is_some_and(named), "{what}: {found:?}");
    }
}

fn reseal(bench: &Bench, file: &SegmentName, change: impl Fn(String) -> String) {
    let path = file.sealed_path(bench.path());
    let mut text = String::new();
    let mut unsealed = sealed::Unsealed::open(&path).expect("opens");
    io::Read::read_to_string(&mut unsealed, &mut text).expect("reads");
    let lines = bench.path().join("changed");
    fs::write(&lines, change(text)).expect("writes");
    fs::remove_file(&path).expect("removes");
    sealed::make(&lines, &path, &|| false).expect("seals");
}

fn edit_manifest(bench: &Bench, keep: impl Fn(&&str) -> bool) {
    let path = bench.path().join("manifest.jsonl");
    let text = fs::read_to_string(&path).expect("reads");
    let kept: String = text.lines().filter(keep).flat_map(|line| [line, "\n"]).collect();
    fs::write(path, kept).expect("writes");
}

fn first_line(bench: &Bench, file: SegmentName) -> Vec<u8> {
    LineReader::first_line(bench.path(), file).expect("reads").expect("a line")
}

/// Deletes the first two files, as if only they were old.
fn delete_two(bench: &Bench, files: &[SegmentName]) {
    let mut manifest = Manifest::read(bench.path()).expect("reads");
    let due = deletion::Due { files: 2, records: 1, last: clock::wall() };
    let (current, finished) = files.split_last().expect("files");
    let (retention, now) = (ARCHIVE.retention, now_in(401).wall);
    bench
        .archive
        .delete((finished, *current), due, &mut manifest, retention, now)
        .expect("deletes");
}

/// What somebody writes into the manifest, or makes of the times of files, does not have the gate delete what is young.
#[test]
fn nothing_is_deleted_by_forged_times() {
    let long_ago = std::time::UNIX_EPOCH + Duration::from_hours(24 * 365);
    let check = |what: &str, forge: &dyn Fn(&Bench)| {
        let bench = Bench::new();
        bench.in_days(2);
        forge(&bench);
        let before = bench.files();
        for file in &before {
            let file = File::options().write(true).open(file.present_path(bench.path()));
            file.expect("opens").set_modified(long_ago).expect("sets");
        }
        while !matches!(bench.archive.look(ARCHIVE, now_in(3)), Ok(Looked::Done)) {}
        assert_eq!(bench.files().first(), before.first(), "{what}");
    };
    check("times of files", &|_| ());
    check("times in statements", &|bench| {
        let path = bench.path().join("manifest.jsonl");
        let text = fs::read_to_string(&path).expect("reads");
        fs::write(path, text.replace("times 2026", "times 2016").replace(" 2026-", " 2016-"))
            .expect("writes");
    });
    check("times in lines", &|bench| {
        let files = bench.files();
        for file in files.split_last().expect("files").1 {
            let (lines, sealed) = bench.archive.paths(*file);
            reseal(bench, file, |text| text.replace("\"time\":\"2026", "\"time\":\"2016"));
            let mut unsealed = sealed::Unsealed::open(&sealed).expect("opens");
            io::copy(&mut unsealed, &mut File::create(&lines).expect("makes")).expect("copies");
            fs::remove_file(&sealed).expect("removes");
        }
    });
}

/// Whoever has a key that handed over can state no deletion beyond what had been deleted by then.
#[test]
fn a_key_that_handed_over_states_no_more_deletions() {
    let bench = Bench::new();
    bench.in_days(2);
    let files = bench.files();
    delete_two(&bench, &files);
    let old = bench.recorder.keys().current();
    bench.rotate();
    assert_sound(&bench.verify());
    let mut manifest = Manifest::read(bench.path()).expect("reads");
    let mut says = manifest.deleted.clone().expect("it is stated").says;
    says.before = files[4];
    says.leaf = Hash::of_line(&first_line(&bench, files[4]));
    let note = says.sign(&old).expect("signs");
    manifest.deleted = Some(Stated { says, note, line: 0 });
    manifest.write(bench.path()).expect("writes");
    for file in &files[2..4] {
        fs::remove_file(file.present_path(bench.path())).expect("removes");
    }
    let found = problems(&bench.verify());
    assert!(found.iter().any(|problem| problem.contains("another key signed it")), "{found:?}");
    assert!(bench.archive.look(ARCHIVE, now_in(3)).is_err(), "nothing is done by it");
}

/// Lines beside a statement that they were sealed must be those.
#[test]
fn lines_that_take_the_place_of_sealed_ones_are_found() {
    let bench = Bench::new();
    bench.in_days(2);
    let file = bench.files()[1];
    let (lines, sealed) = bench.archive.paths(file);
    let mut unsealed = sealed::Unsealed::open(&sealed).expect("opens");
    let mut text = String::new();
    io::Read::read_to_string(&mut unsealed, &mut text).expect("reads");
    fs::remove_file(&sealed).expect("removes");
    fs::write(&lines, &text).expect("writes");
    assert_sound(&bench.verify());
    fs::write(&lines, text.replacen("mobile-app", "mobile-apq", 1)).expect("writes");
    let found = problems(&bench.verify());
    assert!(
        found.iter().any(|problem| problem.contains("not the file that was sealed")),
        "{found:?}"
    );
    let error = bench.archive.look(ARCHIVE, now_in(2)).expect_err("it is another");
    assert!(error.to_string().contains("not what was sealed"), "{error}");
}

/// A checkpoint that was kept elsewhere tells that files were deleted which were younger than somebody with the key says.
#[test]
fn a_kept_checkpoint_finds_a_deletion_of_young_files() {
    let bench = Bench::new();
    let first = *bench.files().first().expect("a file");
    let text = fs::read_to_string(first.path(bench.path())).expect("reads");
    let kept = text.lines().rfind(|line| line.starts_with("{\"checkpoint\"")).expect("one");
    let kept: serde_json::Value = serde_json::from_str(kept).expect("JSON");
    let kept = [kept["checkpoint"].as_str().expect("a note").to_owned()];
    bench.in_days(2);
    let check = |bench: &Bench, sound: bool| {
        let key = bench.recorder.keys().current();
        let report = verify(bench.path(), &key.public, &kept).expect("reads");
        assert_eq!(report.problems.is_empty(), sound, "{:?}", problems(&report));
    };
    check(&bench, true);
    delete_two(&bench, &bench.files());
    check(&bench, true);
    let mut manifest = Manifest::read(bench.path()).expect("reads");
    let mut says = manifest.deleted.clone().expect("it is stated").says;
    says.time = clock::wall();
    says.last = UnixMicros(says.time.0 - 500 * 86_400_000_000);
    let note = says.sign(&bench.recorder.keys().current()).expect("signs");
    manifest.deleted = Some(Stated { says, note, line: 0 });
    manifest.write(bench.path()).expect("writes");
    assert_sound(&bench.verify());
    check(&bench, false);
}

/// Files that retention has deleted may be missing, and no others.
#[test]
fn deleting_more_than_was_stated_is_found() {
    let check = |what: &str, tamper: &dyn Fn(&Bench), expected: &str| {
        let bench = Bench::new();
        bench.in_days(2);
        let more = bench.files();
        write(&bench.log, 2000);
        let first: Vec<_> = more.iter().take(2).copied().collect();
        // As if only these were so old.
        delete_two(&bench, &more);
        assert!(first.iter().all(|file| !file.present_path(bench.path()).exists()));
        assert_sound(&bench.verify());
        tamper(&bench);
        let found = problems(&bench.verify());
        assert!(found.iter().any(|problem| problem.contains(expected)), "{what}: {found:?}");
    };
    check(
        "one file more",
        &|bench| {
            let next = *bench.files().first().expect("a file");
            fs::remove_file(next.present_path(bench.path())).expect("removes");
        },
        "which is missing",
    );
    check(
        "no statement",
        &|bench| edit_manifest(bench, |line| !line.contains("/deleted")),
        "is missing",
    );
    check(
        "another statement",
        &|bench| {
            let path = bench.path().join("manifest.jsonl");
            let text = fs::read_to_string(&path).expect("reads");
            fs::write(path, text.replacen("-000003.jsonl", "-000004.jsonl", 1)).expect("writes");
        },
        "this statement is not good",
    );
}

/// Questions rely on what a statement says of a file's records: who has a key cannot hide them by another.
#[test]
fn a_statement_that_says_something_else_of_the_records_is_found() {
    let bench = Bench::new();
    bench.in_days(2);
    let file = bench.files()[1];
    let check = |change: &dyn Fn(&mut Sealed)| {
        let mut manifest = Manifest::read(bench.path()).expect("reads");
        let mut says = manifest.sealed[&file].says.clone();
        change(&mut says);
        let note = says.sign(&bench.recorder.keys().current()).expect("signs");
        manifest.sealed.insert(file, Stated { says, note, line: 0 });
        manifest.write(bench.path()).expect("writes");
        let found = problems(&bench.verify());
        let expected = "the file has other records than this statement says";
        assert!(found.iter().any(|problem| problem.contains(expected)), "{found:?}");
    };
    check(&|says| says.times = None);
    check(&|says| says.records = 0);
    check(&|says| says.times = says.times.map(|(first, last)| (first, UnixMicros(last.0 + 1))));
}

/// Files that say nothing of a time are as old as their last checkpoint, and what stands before them is no older.
#[test]
fn a_file_without_records_does_not_take_young_ones_with_it() {
    let Bench { directory, recorder, .. } = Bench::new();
    recorder.close().expect("closes");
    for _ in 0..2 {
        // Boots without a record.
        let (_, recorder) = open(&directory);
        recorder.close().expect("closes");
    }
    let (log, recorder) = open(&directory);
    let archive = Archive::new(directory.path(), "node-1", (&recorder, log.clone()));
    let bench = Bench { directory, log, recorder, archive };
    bench.in_days(0);
    let files = bench.files();
    let first = files[0].path(bench.path());
    let text = fs::read_to_string(&first).expect("reads");
    fs::write(&first, text.replacen("mobile-app", "mobile-apq", 1)).expect("writes");
    for file in &files {
        let file = File::options().write(true).open(file.path(bench.path())).expect("opens");
        let long_ago = std::time::UNIX_EPOCH + Duration::from_hours(24 * 365);
        file.set_modified(long_ago).expect("sets");
    }
    bench.in_days(3);
    assert_eq!(bench.files(), files);
    bench.in_days(403);
    assert!(bench.files().len() < 3, "what is damaged goes with what is old");
}
