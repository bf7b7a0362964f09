//! Closes the boot before, when nobody did: whoever was killed left perhaps a torn line, lines that were
//! not committed, and no last word. Nothing that was whole is lost, and nothing is passed over in silence.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::Arc;

use crate::audit::journal::OfBoot;
use crate::audit::left::Left;
use crate::audit::line::Encoder;
use crate::audit::reader::{LineReader, Step};
use crate::audit::segment::SegmentName;
use crate::model::time::UnixMicros;

use super::checkpoint::{Cause, Checkpoint};
use super::handover::Keyring;
use super::key::{PublicKey, SigningKey};
use super::lines::{Control, Kind, Previous};
use super::prover::Prover;
use super::replay::{Fault, Replay, Seen};
use super::tree::Tree;

/// How the boot before ended.
#[derive(Debug)]
pub struct Before {
    /// For the first line of the next boot; None for a log without proof.
    pub previous: Option<Previous>,
    /// What had to be done; None after a stop in good order.
    pub recovered: Option<Recovered>,
    /// Calls whose record that boot can take no more.
    pub left: Left,
}

/// What a killed gate had left.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Recovered {
    pub file: SegmentName,
    /// Of a line that was not whole.
    pub bytes_cut: u64,
    /// Whole lines that no checkpoint had signed: nothing but the file speaks for them.
    pub lines_unsigned: u64,
    /// Calls that were answered, or open, and had no record of their end.
    pub calls: u64,
    /// Where the file is not what it must be, so that it was left as it is: the line, from 1.
    pub damaged_at: Option<(u64, Fault)>,
}

/// Closes the last boot of a log with these files, whose journal is at `home`. None where there is none.
pub fn close(
    (directory, home): (&Path, &Path),
    files: &[SegmentName],
    key: &Arc<SigningKey>,
    now: UnixMicros,
) -> io::Result<Option<Before>> {
    for (at, file) in files.iter().enumerate().rev() {
        let path = file.path(directory);
        if !path.exists() {
            return sealed_end(directory, *file, key).map(Some);
        }
        if has_lines(&path)? {
            let earlier = files.get(..at).unwrap_or_default();
            let earlier = earlier.iter().filter(|name| name.boot == file.boot).copied();
            let last = Last { directory, home, earlier: earlier.collect(), file: *file, now };
            return last.close(key).map(Some);
        }
        // Killed before it had a line: there is nothing in it to be kept or signed.
        log::warn!("audit: {file} has no whole line and is removed");
        fs::remove_file(path)?;
    }
    Ok(None)
}

/// The end of a boot whose last file is sealed: it was closed before it was. A boot after it was killed without a line.
fn sealed_end(directory: &Path, file: SegmentName, key: &SigningKey) -> io::Result<Before> {
    let keys = Keyring::of_one(key.public.clone());
    let mut reader = LineReader::of(directory, file)?;
    let mut replay = match reader.step()? {
        Step::Line(line) => Replay::begin(&keys, file, line).ok().map(|(replay, _)| replay),
        Step::TooLong | Step::End | Step::Torn => None,
    };
    while let (Some(replay), Step::Line(line)) = (&mut replay, reader.step()?) {
        if replay.line(line).is_err() {
            break;
        }
    }
    let previous = replay.map(|replay| {
        let tree = &replay.state().tree;
        Previous::new(file, tree.size(), tree.root())
    });
    Ok(Before { previous, recovered: None, left: Left::default() })
}

/// Whether there is one whole line, at least.
fn has_lines(path: &Path) -> io::Result<bool> {
    let mut begin = Vec::new();
    File::open(path)?.take(FIRST_LINE_BYTES_MAX).read_to_end(&mut begin)?;
    Ok(begin.contains(&b'\n') || begin.len() as u64 == FIRST_LINE_BYTES_MAX)
}

/// Far more than the line has that begins a file.
const FIRST_LINE_BYTES_MAX: u64 = 64 * 1024;

/// The last file of the last boot.
struct Last<'a> {
    directory: &'a Path,
    /// Where the journal is.
    home: &'a Path,
    /// Of the same boot.
    earlier: Vec<SegmentName>,
    file: SegmentName,
    now: UnixMicros,
}

impl Last<'_> {
    fn close(self, key: &Arc<SigningKey>) -> io::Result<Before> {
        let (left, of) = Left::in_journal(self.home, self.file.boot)?;
        if of == OfBoot::This {
            return self.close_with(key, left);
        }
        // A start that was killed had found these, and had no line yet.
        let mut before = self.close_with(key, Left::default())?;
        before.left.absorb(left);
        Ok(before)
    }

    fn close_with(&self, key: &Arc<SigningKey>, mut left: Left) -> io::Result<Before> {
        let path = self.file.path(self.directory);
        if let Some(last) = last_word(&path, &key.public)? {
            if !left.is_empty() {
                left.file(self.directory, self.file)?;
            }
            // After a crash the next boot says so. It did not get that far, or this were not the last one.
            let again = last.cause == Cause::Crash || !left.is_empty();
            let calls = left.len() as u64;
            return Ok(Before {
                previous: Some(Previous::new(self.file, last.size, last.root)),
                recovered: again.then(|| Recovered { calls, ..Recovered::of(self.file) }),
                left,
            });
        }
        let bytes = fs::read(&path)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let (whole, torn) = bytes.split_at(whole);
        let mut lines = whole.split(|byte| *byte == b'\n');
        let first = lines.next().unwrap_or_default();
        let mut recovered = Recovered { bytes_cut: torn.len() as u64, ..Recovered::of(self.file) };
        let keys = Keyring::of_one(key.public.clone());
        let (mut replay, segment) = match Replay::begin(&keys, self.file, first) {
            Ok(begun) => begun,
            // A log of the time before there were proofs.
            Err(_) if Kind::of(first) == Kind::Record => {
                return Ok(Before { previous: None, recovered: None, left: Left::default() });
            }
            Err(fault) => {
                recovered.damaged_at = Some((1, fault));
                return Ok(self.over(&Tree::default(), recovered, left));
            }
        };
        self.look_back(segment.open_since, &mut left);
        let mut open = 1;
        for (number, line) in (2..).zip(lines).filter(|(_, line)| !line.is_empty()) {
            left.line(line);
            if recovered.damaged_at.is_some() {
                continue;
            }
            match replay.line(line) {
                Ok(Seen::Record(_) | Seen::Open(_) | Seen::Segment) => open += 1,
                Ok(Seen::Commit) => {}
                Ok(Seen::Checkpoint(_)) => open = 0,
                Err(fault) => recovered.damaged_at = Some((number, fault)),
            }
        }
        recovered.lines_unsigned = open;
        recovered.calls = left.len() as u64;
        if recovered.damaged_at.is_some() {
            return Ok(self.over(&replay.state().tree, recovered, left));
        }
        let mut out = cut(&path, whole.len() as u64)?;
        if replay.ended.is_some() {
            out.sync_data()?;
            return Ok(self.over(&replay.state().tree, recovered, left));
        }
        let (state, batch) = replay.into_parts();
        let prover = Prover::resume(Arc::clone(key), &segment.node, state, batch);
        let finished = self.finish(&mut out, prover, &segment.node, &left);
        let previous = finished.inspect_err(|_| {
            // Half of it would count calls twice when it is tried again.
            out.set_len(whole.len() as u64).unwrap_or_default();
        })?;
        Ok(Before { previous: Some(previous), recovered: Some(recovered), left: Left::default() })
    }

    /// Nothing more goes into the file.
    fn over(&self, tree: &Tree, recovered: Recovered, left: Left) -> Before {
        // Neither a commit nor a checkpoint is a leaf.
        let previous = Some(Previous::new(self.file, tree.size(), tree.root()));
        Before { previous, recovered: Some(recovered), left }
    }

    /// Calls may have been open for longer than this file.
    fn look_back(&self, open_since: Option<u32>, left: &mut Left) {
        let Some(first) = open_since else { return };
        for name in self.earlier.iter().filter(|name| name.number >= first) {
            if let Err(error) = left.file(self.directory, *name) {
                log::error!("audit: {name} is not looked at for open calls: {error}");
            }
        }
    }

    /// Writes the records that are lacking, commits what is whole, and says the last word.
    fn finish(
        &self,
        out: &mut File,
        mut prover: Prover,
        node: &str,
        left: &Left,
    ) -> io::Result<Previous> {
        let mut lines = Vec::new();
        let mut encoder = Encoder::new(node, self.file.boot);
        left.write(&mut lines, &mut encoder, &mut prover);
        prover.commit(&mut lines);
        write(out, &lines)?;
        lines.clear();
        let made = prover.checkpoint(&mut lines, self.file, Cause::Crash, self.now);
        made.map_err(io::Error::other)?;
        write(out, &lines)?;
        let tree = &prover.state().tree;
        Ok(Previous::new(self.file, tree.size(), tree.root()))
    }
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
        Self { file, bytes_cut: 0, lines_unsigned: 0, calls: 0, damaged_at: None }
    }
}

impl fmt::Display for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, bytes_cut, lines_unsigned, calls, damaged_at } = self;
        if let Some((line, fault)) = damaged_at {
            return write!(f, "{file}:{line}: {fault}; the file is left as it is");
        }
        write!(
            f,
            "the gate before did not stop in good order: {file} is closed, {bytes_cut} bytes of a torn line \
             cut off, {lines_unsigned} whole lines signed that were not, {calls} calls recorded that had no end"
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
