//! Files that are sealed give back what they were, and damaged ones are errors.

use std::fs;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::audit::line::Encoder;
use crate::audit::proof::tree::Hash;
use crate::audit::segment::SegmentName;
use crate::audit::tests::{Directory, Entry, act, full, message, request, write_sample};
use crate::model::record::RequestRecord;
use crate::model::time::UnixMicros;

const SEGMENT: &str = r#"{"segment":{"v":1,"node":"gate-1"}}"#;
const COMMIT: &str = r#"{"commit":{"seq":1,"size":2,"leaves":"00112233","chain":"00"}}"#;

struct Bench {
    directory: Directory,
    from: PathBuf,
    to: PathBuf,
}

impl Bench {
    fn new() -> Self {
        let directory = Directory::new();
        let (from, to) = (directory.path().join("lines"), directory.path().join("sealed"));
        Self { directory, from, to }
    }

    fn seal(&self, text: &[u8]) -> Result<Made, SealError> {
        fs::write(&self.from, text).expect("writes");
        fs::remove_file(&self.to).unwrap_or_default();
        make(&self.from, &self.to, &|| false)
    }

    fn unsealed(&self) -> std::io::Result<Vec<u8>> {
        let mut read = Vec::new();
        std::io::Read::read_to_end(&mut Unsealed::open(&self.to)?, &mut read)?;
        Ok(read)
    }
}

fn check(text: &str, records: u64) -> Made {
    let bench = Bench::new();
    let made = bench.seal(text.as_bytes()).expect("seals");
    assert_eq!(made.records, records, "{text}");
    assert_eq!(made.lines.bytes, text.len() as u64);
    let read = bench.unsealed().expect("reads");
    assert_eq!(String::from_utf8(read).expect("UTF-8"), text);
    made
}

#[test]
fn lines_of_every_kind_come_back_as_they_were() {
    let mut encoder = Encoder::for_boot("node-1", UnixMicros(1_772_366_400_000_000), 7);
    let mut lines = Vec::new();
    let entries = [
        Entry::Request(request(1)),
        Entry::Request(Box::new(full(2))),
        Entry::Act(Box::new(act(3, "client.change"))),
        Entry::Request(Box::new(RequestRecord { mcp: Some(Box::new(message())), ..full(4) })),
    ];
    for (entry, seq) in entries.iter().zip(1..) {
        entry.encode(&mut encoder, &mut lines, seq);
    }
    let lines = String::from_utf8(lines).expect("UTF-8");
    let made = check(&format!("{SEGMENT}\n{lines}{COMMIT}\n"), 4);
    let time = UnixMicros(1_772_366_400_000_000);
    assert_eq!(made.times, Some((time, time)));
    check("", 0);
    check(&format!("{SEGMENT}\n{COMMIT}\n"), 0);
    check(&lines, 4);
    check(&format!("{SEGMENT}\n{lines}{COMMIT}\n{COMMIT}\n{lines}{COMMIT}\n"), 8);
}

/// What its columns would not give back stands in a column of its own.
#[test]
fn odd_lines_come_back_as_they_were() {
    for odd in [
        r#"{"v":1}"#,
        r#"{"v":1,"seq":01}"#,
        r#"{"v":1,"seq":18446744073709551615}"#,
        r#"{"v":1,"seq":-1}"#,
        r#"{"v":1,"seq":1.0}"#,
        r#"{"v":1, "seq":1}"#,
        r#"{"v":1,"seq":1,"seq":2}"#,
        r#"{"v":1,"seq":null}"#,
        r#"{"v":1,"node":"a","seq":1}"#,
        r#"{"v":1,"node":"\u0061"}"#,
        r#"{"v":1,"node":"\n\t\"\\\u007f\u0001é"}"#,
        r#"{"v":1,"node":"\u000a"}"#,
        r#"{"v":1,"id":"0199-"}"#,
        r#"{"v":1,"id":"019C9C00-0000-7000-8000-000000000001"}"#,
        r#"{"v":1,"time":"2026-03-01T12:00:00Z"}"#,
        r#"{"v":1,"time":"2026-03-01T12:00:00.0000001Z"}"#,
        r#"{"v":1,"time":"0001-01-01T00:00:00.000001Z"}"#,
        r#"{"v":1,"trace_id":"AB000000000000000000000000000000"}"#,
        r#"{"v":1,"trace_id":"+b000000000000000000000000000000"}"#,
        r#"{"v":1,"unknown":{"a":[1]}}"#,
        r#"{"v":1,"line":"x","proof":"y"}"#,
        r#"{"v":1,"after":{"a" : [1]},"mcp":{"tool":"x"}}"#,
        r#"{"v":1,"mcp":7,"after":1}"#,
        r#"{"v":1"#,
        r#"{"v":1}}"#,
    ] {
        check(&format!("{SEGMENT}\n{odd}\n{COMMIT}\n{odd}\n"), 2);
    }
}

#[test]
fn what_is_not_whole_is_not_sealed() {
    let bench = Bench::new();
    for text in [&b"{\"v\":1}\n{\"v\":1"[..], b"{\"v\":1}\n\xff\n", &vec![b'x'; 5 << 20]] {
        let error = bench.seal(text).expect_err("not whole");
        assert!(matches!(error, SealError::NotWhole), "{error}");
    }
}

/// Whatever somebody does to a sealed file: it is an error, or other lines, and never a panic.
#[test]
fn damaged_files_are_errors() {
    let bench = Bench::new();
    write_sample(bench.directory.path());
    let name = *SegmentName::list(bench.directory.path()).expect("lists").first().expect("a file");
    let text = fs::read(name.path(bench.directory.path())).expect("reads");
    bench.seal(&text).expect("seals");
    let sealed = fs::read(&bench.to).expect("reads");
    let (mut errors, mut others) = (0, 0);
    for at in (0..sealed.len()).step_by(7) {
        let mut damaged = sealed.clone();
        damaged[at] ^= 0x41;
        fs::write(&bench.to, &damaged).expect("writes");
        match bench.unsealed() {
            Ok(read) => others += usize::from(read != text),
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{error}");
                errors += 1;
            }
        }
    }
    assert!(errors > 50 && others < errors, "{errors} errors, {others} others");
    for len in [0, 4, sealed.len() / 2, sealed.len() - 1] {
        fs::write(&bench.to, &sealed[..len]).expect("writes");
        assert_eq!(bench.unsealed().expect_err("cut").kind(), std::io::ErrorKind::InvalidData);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_lines_come_back(lines in proptest::collection::vec("(\\{\"v\":1|\\{\"commit\":)?[ -~é\u{1}\u{7f}]{0,40}", 0..20)) {
        let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
        let bench = Bench::new();
        let made = bench.seal(text.as_bytes()).expect("seals");
        prop_assert_eq!(made.lines.sha256 == Hash::default(), false);
        prop_assert_eq!(bench.unsealed().expect("reads"), text.as_bytes());
    }
}
