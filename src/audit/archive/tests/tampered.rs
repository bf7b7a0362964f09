//! Whatever is done to sealed files, or to the manifest, is found where it was done.

use super::*;

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

/// Files that retention has deleted may be missing, and no others.
#[test]
fn deleting_more_than_was_stated_is_found() {
    let check = |what: &str, tamper: &dyn Fn(&Bench), expected: &str| {
        let bench = Bench::new();
        bench.in_days(2);
        let more = bench.files();
        write(&bench.log, 2000);
        let now = UnixMicros(clock::wall().0 + 401 * DAY);
        let first: Vec<_> = more.iter().take(2).copied().collect();
        // As if only these were so old.
        let mut manifest = Manifest::read(bench.path()).expect("reads");
        let due = Due { files: 2, records: 1, last: UnixMicros(clock::wall().0) };
        let retention = ARCHIVE.retention;
        bench.archive.delete(&more, due, &mut manifest, retention, now).expect("deletes");
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
