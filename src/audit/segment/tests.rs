//! Names of files, their order, and files that a disk refuses.

use super::*;
use crate::audit::tests::Directory;
use std::os::unix::fs::PermissionsExt;

#[test]
fn names_are_read_as_they_are_written_and_no_others() {
    let check = |text: &str, expected: bool| {
        assert_eq!(SegmentName::parse(text).map(|n| n.to_string()).is_some(), expected, "{text}");
    };
    check("20261121T210748Z-1f2e3d4c-000001.jsonl", true);
    check("20261121T210748Z-1f2e3d4c-1000000.jsonl", true);
    check("20261121T210748Z-1f2e3d4c-1.jsonl", false);
    check("20261121T210748Z-1F2E3D4C-000001.jsonl", false);
    check("2026-11-21T21:07:48Z-1f2e3d4c-000001.jsonl", false);
    check("20261121T210748Z-1f2e3d4c-000001.jsonl.gz", false);
    check("20261121T210748Z-1f2e3d4c-000001-2.jsonl", false);
    check("manifest.json", false);
}

#[test]
fn boots_in_one_second_keep_their_order() {
    let now = UnixMicros::from_seconds(1_795_295_268);
    let first = SegmentName { boot: Boot::new(now, 9, &[]), number: 1 };
    let second = SegmentName { boot: Boot::new(now, 1, &[first]), number: 1 };
    assert_eq!(first.to_string(), "20261121T210748Z-00000009-000001.jsonl");
    assert_eq!(second.to_string(), "20261121T210749Z-00000001-000001.jsonl");
    assert!(first < second);
    let earlier = UnixMicros::from_seconds(1_795_200_000);
    let third = SegmentName { boot: Boot::new(earlier, 5, &[second, first]), number: 1 };
    assert!(second < third, "the clock was set back");
}

fn writer(directory: &Directory, bytes_max: u64) -> SegmentWriter {
    let boot = Boot::new(UnixMicros(0), 7, &[]);
    SegmentWriter::begin(directory.path(), boot, bytes_max, &Arc::default()).expect("a file")
}

fn contents(directory: &Directory) -> Vec<String> {
    let names = SegmentName::list(directory.path()).expect("a directory");
    let read = |name: &SegmentName| std::fs::read_to_string(name.path(directory.path()));
    names.iter().map(|name| read(name).expect("a file")).collect()
}

#[test]
fn a_full_file_is_followed_by_the_next() {
    let directory = Directory::new();
    let mut writer = writer(&directory, 4);
    for lines in ["ab\n", "c\n", "d\n", "longer than a file\n", "e\n"] {
        if writer.is_full_for(lines.len() as u64) {
            writer.begin_next().expect("begins");
        }
        writer.append(lines.as_bytes()).expect("appends");
    }
    writer.sync().expect("syncs");
    assert_eq!(contents(&directory), ["ab\n", "c\nd\n", "longer than a file\n", "e\n"]);
    let mode = |path: &Path| path.metadata().expect("is there").permissions().mode() & 0o777;
    assert_eq!(mode(&writer.path()), 0o600);
}

#[test]
fn a_full_disk_loses_nothing_and_leaves_no_torn_line() {
    let directory = Directory::new();
    let mut writer = writer(&directory, 1000);
    writer.append(b"one\n").expect("appends");

    let full = OpenOptions::new().append(true).open("/dev/full").expect("Linux has it");
    let good = mem::replace(&mut writer.file, Arc::new(full));
    let error = writer.append(b"two\n").expect_err("the disk is full");
    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    // Still failing: now even the torn tail cannot be cut.
    writer.append(b"two\n").expect_err("the disk is full");

    writer.file = good;
    (&*writer.file).write_all(b"tw").expect("what a short write leaves");
    writer.append(b"two\n").expect("there is room again");
    assert_eq!(contents(&directory), ["one\ntwo\n"]);
}

#[test]
fn a_file_whose_sync_failed_is_left_for_the_next() {
    let directory = Directory::new();
    let mut writer = writer(&directory, 1000);
    writer.append(b"one\n").expect("appends");
    // A pipe takes bytes and cannot be synced: fdatasync says EINVAL.
    let (_reader, pipe) = io::pipe().expect("a pipe");
    let pipe = Arc::new(File::from(std::os::fd::OwnedFd::from(pipe)));
    let good = mem::replace(&mut writer.file, pipe);
    writer.sync().expect_err("a pipe cannot be synced");
    drop(mem::replace(&mut writer.file, good));
    assert!(writer.is_full_for(0) && writer.is_spent());
    writer.begin_next().expect("begins");
    writer.append(b"two\n").expect("appends");
    assert_eq!(contents(&directory), ["one\n", "two\n"]);
}

#[test]
fn a_file_without_a_line_is_begun_anew_also_at_the_second_attempt() {
    let directory = Directory::new();
    let mut writer = writer(&directory, 1000);
    writer.spent = true;
    // What an attempt leaves that got no further.
    std::fs::remove_file(writer.path()).expect("it is there");
    writer.begin_again().expect("begins");
    writer.append(b"one\n").expect("appends");
    assert_eq!((contents(&directory), writer.is_spent()), (vec!["one\n".to_owned()], false));
}
