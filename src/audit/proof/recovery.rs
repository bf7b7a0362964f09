//! Closes the boot before, when nobody did: whoever was killed left perhaps a torn line, lines that were
//! not committed, and no last word. Nothing that was whole is lost, and nothing is passed over in silence.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::Arc;

use crate::audit::segment::SegmentName;
use crate::model::time::UnixMicros;

use super::checkpoint::{Cause, Checkpoint};
use super::key::{PublicKey, SigningKey};
use super::lines::{Control, Kind, Previous};
use super::prover::Prover;
use super::replay::{Fault, Replay, Seen};
use super::tree::Tree;

/// How the boot before ended.
#[derive(Debug)]
pub struct Before {
    /// For the first line of the next boot.
    pub previous: Previous,
    /// What had to be done; None after a stop in good order.
    pub recovered: Option<Recovered>,
}

/// What a killed gate had left.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recovered {
    pub file: SegmentName,
    /// Of a line that was not whole.
    pub bytes_cut: u64,
    /// Whole lines that no checkpoint had signed: nothing but the file speaks for them.
    pub lines_unsigned: u64,
    /// Where the file is not what it must be, so that it was left as it is: the line, from 1.
    pub damaged_at: Option<(u64, Fault)>,
}

/// Closes the last boot of a log with these files. None for a log without proof, and for none.
pub fn close(
    directory: &Path,
    files: &[SegmentName],
    key: &Arc<SigningKey>,
    now: UnixMicros,
) -> io::Result<Option<Before>> {
    for file in files.iter().rev() {
        let path = file.path(directory);
        if has_lines(&path)? {
            return close_file(directory, *file, key, now);
        }
        // Killed before it had a line: there is nothing in it to be kept or signed.
        log::warn!("audit: {file} has no whole line and is removed");
        fs::remove_file(path)?;
    }
    Ok(None)
}

/// Whether there is one whole line, at least.
fn has_lines(path: &Path) -> io::Result<bool> {
    let mut begin = Vec::new();
    File::open(path)?.take(FIRST_LINE_BYTES_MAX).read_to_end(&mut begin)?;
    Ok(begin.contains(&b'\n') || begin.len() as u64 == FIRST_LINE_BYTES_MAX)
}

/// Far more than the line has that begins a file.
const FIRST_LINE_BYTES_MAX: u64 = 64 * 1024;

fn close_file(
    directory: &Path,
    file: SegmentName,
    key: &Arc<SigningKey>,
    now: UnixMicros,
) -> io::Result<Option<Before>> {
    let path = file.path(directory);
    if let Some(last) = last_word(&path, &key.public)? {
        let previous = Previous::new(file, last.size, last.root);
        // After a crash the next boot says so. It did not get that far, or this were not the last one.
        let again = last.cause == Cause::Crash;
        return Ok(Some(Before { previous, recovered: again.then(|| Recovered::of(file)) }));
    }
    let bytes = fs::read(&path)?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let (whole, torn) = bytes.split_at(whole);
    let mut lines = whole.split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let mut recovered = Recovered { bytes_cut: torn.len() as u64, ..Recovered::of(file) };
    let (mut replay, segment) = match Replay::begin(&key.public, file, first) {
        Ok(begun) => begun,
        // A log of the time before there were proofs.
        Err(_) if Kind::of(first) == Kind::Record => return Ok(None),
        Err(fault) => {
            recovered.damaged_at = Some((1, fault));
            let previous = Previous::new(file, 0, Tree::default().root());
            return Ok(Some(Before { previous, recovered: Some(recovered) }));
        }
    };
    let mut open = 1;
    for (number, line) in (2..).zip(lines).filter(|(_, line)| !line.is_empty()) {
        match replay.line(line) {
            Ok(Seen::Record | Seen::Segment) => open += 1,
            Ok(Seen::Commit) => {}
            Ok(Seen::Checkpoint(_)) => open = 0,
            Err(fault) => {
                recovered.damaged_at = Some((number, fault));
                break;
            }
        }
    }
    recovered.lines_unsigned = open;
    // Neither a commit nor a checkpoint is a leaf.
    let tree = &replay.state().tree;
    let previous = Previous::new(file, tree.size(), tree.root());
    if recovered.damaged_at.is_none() {
        let mut out = cut(&path, whole.len() as u64)?;
        if replay.ended.is_some() {
            out.sync_data()?;
        } else {
            let (state, batch) = replay.into_parts();
            let prover = Prover::resume(Arc::clone(key), &segment.node, state, batch);
            finish(&mut out, prover, file, now)?;
        }
    }
    Ok(Some(Before { previous, recovered: Some(recovered) }))
}

/// The checkpoint that a boot ended with, if it did.
fn last_word(path: &Path, key: &PublicKey) -> io::Result<Option<Checkpoint>> {
    let mut file = File::open(path)?;
    let bytes = file.metadata()?.len();
    file.seek(SeekFrom::Start(bytes.saturating_sub(CHECKPOINT_BYTES_MAX)))?;
    let mut end = Vec::new();
    file.take(CHECKPOINT_BYTES_MAX).read_to_end(&mut end)?;
    let Some(lines) = end.strip_suffix(b"\n") else { return Ok(None) };
    let line = lines.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    let Some(Control::Checkpoint(note)) = Control::parse(line) else { return Ok(None) };
    let checkpoint = Checkpoint::open(&note, key).ok();
    Ok(checkpoint.filter(|checkpoint| checkpoint.cause.ends_a_boot()))
}

/// Far more than a checkpoint's line has.
const CHECKPOINT_BYTES_MAX: u64 = 8192;

/// Commits what is whole, and says the last word.
fn finish(
    out: &mut File,
    mut prover: Prover,
    file: SegmentName,
    now: UnixMicros,
) -> io::Result<()> {
    let mut lines = Vec::new();
    prover.commit(&mut lines);
    write(out, &lines)?;
    lines.clear();
    prover.checkpoint(&mut lines, file, Cause::Crash, now).map_err(io::Error::other)?;
    write(out, &lines)
}

/// A file without what comes after its whole lines.
fn cut(path: &Path, whole_bytes: u64) -> io::Result<File> {
    let file = OpenOptions::new().append(true).open(path)?;
    file.set_len(whole_bytes)?;
    Ok(file)
}

fn write(file: &mut File, lines: &[u8]) -> io::Result<()> {
    file.write_all(lines)?;
    file.sync_data()
}

impl Recovered {
    const fn of(file: SegmentName) -> Self {
        Self { file, bytes_cut: 0, lines_unsigned: 0, damaged_at: None }
    }
}

impl fmt::Display for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, bytes_cut, lines_unsigned, damaged_at } = self;
        if let Some((line, fault)) = damaged_at {
            return write!(f, "{file}:{line}: {fault}; the file is left as it is");
        }
        write!(
            f,
            "the gate before did not stop in good order: {file} is closed, {bytes_cut} bytes of a torn line \
             cut off, {lines_unsigned} whole lines signed that were not"
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::audit::RECOVERED_ACTION;
    use crate::audit::tests::{Directory, SETTINGS, act, open_log, request};
    use crate::audit::verify::verify;

    fn sound(directory: &Directory) -> u64 {
        let key = fs::read_to_string(directory.path().join("audit.pub")).expect("a file");
        let key = PublicKey::parse(&key).expect("a key");
        let report = verify(directory.path(), &key, &[]).expect("reads");
        assert!(report.problems.is_empty(), "{:?}", report.problems);
        report.records
    }

    /// A boot of two files, with several batches in each.
    fn write(directory: &Directory) {
        let settings = crate::audit::AuditSettings { segment_bytes_max: 3000, ..SETTINGS };
        let (log, recorder) = open_log(directory, settings, |_| ());
        for n in 0..12 {
            log.reserve().expect("room").complete(request(n));
            log.record_act(act(n, "client.change")).expect("room");
            log.flush(Duration::from_mins(1)).expect("written");
        }
        recorder.close().expect("closes");
    }

    /// Wherever a kill has cut the last file, the next boot makes good of it, and keeps every whole
    /// line.
    #[test]
    fn a_file_that_is_cut_anywhere_is_closed() {
        let whole = Directory::new();
        write(&whole);
        let names = SegmentName::list(whole.path()).expect("lists");
        let last = *names.last().expect("a file");
        assert!(names.len() > 1);
        let bytes = fs::read(last.path(whole.path())).expect("reads");
        for cut in (0..bytes.len()).step_by(101).chain([0, 1, bytes.len() - 1]) {
            let directory = Directory::new();
            for name in ["audit.key", "audit.pub"] {
                fs::copy(whole.path().join(name), directory.path().join(name)).expect("copies");
            }
            for name in &names {
                fs::copy(name.path(whole.path()), name.path(directory.path())).expect("copies");
            }
            let path = last.path(directory.path());
            fs::write(&path, bytes.get(..cut).expect("within")).expect("writes");
            let before = sound(&directory);
            let (_log, recorder) = open_log(&directory, SETTINGS, |_| ());
            recorder.close().expect("closes");
            assert_eq!(sound(&directory), before + 1, "cut at {cut}");
            let acts = directory.lines();
            let told = acts.iter().filter(|line| line["action"] == RECOVERED_ACTION).count();
            assert_eq!(told, 1, "cut at {cut}");
        }
    }

    #[test]
    fn a_boot_that_ended_well_is_left_alone() {
        let directory = Directory::new();
        write(&directory);
        let records = sound(&directory);
        write(&directory);
        assert_eq!(sound(&directory), records * 2);
    }

    #[test]
    fn a_damaged_file_is_left_as_it_is_and_told() {
        let directory = Directory::new();
        write(&directory);
        let last = *SegmentName::list(directory.path()).expect("lists").last().expect("a file");
        let path = last.path(directory.path());
        let text = fs::read_to_string(&path).expect("reads");
        let lines: Vec<&str> = text.lines().collect();
        let (_, kept) = lines.split_last().expect("lines");
        let damaged = kept.join("\n").replacen("client.change", "client.chance", 1) + "\n";
        fs::write(&path, &damaged).expect("writes");
        let (_log, recorder) = open_log(&directory, SETTINGS, |_| ());
        recorder.close().expect("closes");
        assert_eq!(fs::read_to_string(&path).expect("reads"), damaged);
        let lines = directory.lines();
        let told = lines.iter().find(|line| line["action"] == RECOVERED_ACTION).expect("told");
        assert!(told["after"]["damaged"]["line"].is_u64(), "{told}");
    }
}
