//! Logs that are only to be checked, and what both verifiers say of them: the gate's, and the auditor's in Python.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use onegate::audit::archive::{Archive, Looked};
use onegate::audit::{self, AuditLog, Recorder};
use onegate::model::policy::{ArchiveSettings, AuditSettings, OnFailure};
use onegate::model::time::{MonoNs, Now, UnixMicros};
use serde_json::Value;

use super::folder::Folder;
use super::records::write;
use super::tools::{self, Said};

/// Small files, so that a boot has several.
pub const SETTINGS: AuditSettings = AuditSettings {
    queue_records_max: 10_000,
    flush_interval: Duration::from_millis(1),
    segment_bytes_max: 3000,
    segment_age_max: Duration::from_hours(1),
    on_failure: OnFailure::Gap,
    denials_per_source: 1_000_000,
};

fn in_days(days: u32) -> UnixMicros {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let then = now + Duration::from_hours(24) * days;
    UnixMicros(i64::try_from(then.as_micros()).expect("not too far"))
}

/// A data directory with a log, made by the gate's own code.
pub struct Log {
    pub folder: Folder,
}

impl Log {
    /// Three boots; the second was killed.
    pub fn of_three_boots() -> Self {
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

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn audit(&self) -> PathBuf {
        self.path().join("audit")
    }

    pub fn open(&self) -> (AuditLog, Recorder) {
        audit::open(&self.audit(), self.path(), SETTINGS, "gate-1", |_| ()).expect("opens")
    }

    pub fn boot(&self, records: u64) {
        let (log, recorder) = self.open();
        write(&log, 0..records);
        recorder.close().expect("closes");
    }

    pub fn replace_by(&self, other: &Self) {
        fs::remove_dir_all(self.path()).unwrap_or_default();
        self.take(other.path());
    }

    /// Copies a log, with its keys, from where it is.
    pub fn take(&self, home: &Path) {
        fs::create_dir_all(self.audit()).expect("makes");
        for name in ["audit.key", "audit.pub"] {
            fs::copy(home.join(name), self.path().join(name)).expect("copies");
        }
        for entry in fs::read_dir(home.join("audit")).expect("lists") {
            let file = entry.expect("lists").path();
            let name = file.file_name().expect("a file");
            fs::copy(&file, self.audit().join(name)).expect("copies");
        }
    }

    pub fn copy(&self) -> Self {
        let copy = Self { folder: Folder::new() };
        copy.replace_by(self);
        copy
    }

    pub fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.audit()).expect("lists");
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("lists").path()).collect();
        files.retain(|file| name(file) != "manifest.jsonl");
        files.sort();
        files
    }

    /// Three boots with two changes of the key; the first file is deleted and most of the others are sealed.
    pub fn archived() -> Self {
        let log = Self { folder: Folder::new() };
        for boot in 0..3 {
            let (queue, recorder) = log.open();
            write(&queue, boot * 1000..boot * 1000 + 40);
            let keys = recorder.keys();
            let archive = Archive::new(&log.audit(), "gate-1", (&recorder, queue.clone()));
            // Long after everything was written, and as long after the last look.
            let day = Duration::from_hours(24);
            for (days, retention) in
                [(0, 4000), (2, 4000), (402, if boot == 1 { 401 } else { 4000 })]
            {
                let settings = ArchiveSettings { seal_after: day, retention: day * retention };
                let now = Now { mono: MonoNs(0).after(day * days), wall: in_days(days) };
                while archive.look(settings, now).expect("looks") != Looked::Done {}
                if boot == 1 && days == 2 {
                    write(&queue, 5000..5020);
                }
            }
            if boot > 0 {
                keys.rotate(|| queue.wake(), Duration::from_mins(1)).expect("rotates");
            }
            write(&queue, boot * 1000 + 100..boot * 1000 + 130);
            recorder.close().expect("closes");
        }
        log
    }

    /// Files by boot.
    pub fn boots(&self) -> Vec<Vec<PathBuf>> {
        let boot = |path: &PathBuf| name(path).get(..25).map(str::to_owned);
        let files = self.files();
        files.chunk_by(|a, b| boot(a) == boot(b)).map(<[_]>::to_vec).collect()
    }

    /// The last checkpoint, as somebody else would keep it.
    pub fn last_checkpoint(&self) -> String {
        let last = self.files().pop().expect("a file");
        let text = fs::read_to_string(last).expect("reads");
        let line = text.lines().rfind(|line| line.starts_with("{\"checkpoint\":"));
        let line: Value = serde_json::from_str(line.expect("a checkpoint")).expect("JSON");
        line["checkpoint"].as_str().expect("a note").to_owned()
    }

    /// Both verifiers, the gate's first.
    pub fn verify(&self, checkpoints: &[&Path]) -> [Said; 2] {
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
    pub fn verdict(&self, checkpoints: &[&Path]) -> Verdict {
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
pub struct Verdict {
    pub place: Option<(String, u64)>,
    pub text: String,
}

impl Verdict {
    pub fn of(said: &Said) -> Self {
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

pub fn name(path: &Path) -> String {
    path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned()
}

/// The lines of a file, to be changed.
pub fn edit(path: &Path, change: impl FnOnce(&mut Vec<String>)) {
    let text = fs::read_to_string(path).expect("reads");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    change(&mut lines);
    fs::write(path, lines.join("\n") + "\n").expect("writes");
}

/// The position of the `nth` line of a kind, from 0.
pub fn position(lines: &[String], start: &str, nth: usize) -> usize {
    let found = lines.iter().enumerate().filter(|(_, line)| line.starts_with(start));
    found.map(|(at, _)| at).nth(nth).expect("as many lines")
}

pub const RECORD: &str = "{\"v\":";
