//! Lines of one file of the log, with bounded memory and while it still grows.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Seek};
use std::path::Path;

use super::sealed::Unsealed;
use super::segment::SegmentName;

/// Reads whole lines up to the end that the file had when last looked at, so that it never runs
/// after a busy writer. What follows the last line break is kept until its rest is written.
#[derive(Debug)]
pub struct LineReader {
    source: Source,
    /// Bytes read, and bytes that were there.
    read: u64,
    end: u64,
    line: Vec<u8>,
    state: State,
}

enum Source {
    Growing(BufReader<File>),
    /// It does not grow.
    Sealed(Box<Unsealed>),
}

/// What a step came to.
#[derive(Debug, Eq, PartialEq)]
pub enum Step<'a> {
    /// A line, without its line break.
    Line(&'a [u8]),
    /// A line longer than [`LINE_BYTES_MAX`]; it was skipped.
    TooLong,
    /// The end of what was looked at, between lines.
    End,
    /// The end of what was looked at, within a line.
    Torn,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Between,
    Within,
    /// Within a line that is too long to keep.
    Skipping,
}

impl Source {
    fn unread(&mut self, bytes_max: u64) -> io::Take<&mut dyn BufRead> {
        let source: &mut dyn BufRead = match self {
            Self::Growing(file) => file,
            Self::Sealed(lines) => lines,
        };
        source.take(bytes_max)
    }
}

impl LineReader {
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = BufReader::with_capacity(BUFFER_BYTES, File::open(path)?);
        let mut reader = Self::new(Source::Growing(file));
        reader.look()?;
        Ok(reader)
    }

    /// A file of the log, sealed or not.
    pub fn of(directory: &Path, name: SegmentName) -> io::Result<Self> {
        match Self::open(&name.path(directory)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let lines = Unsealed::open(&name.sealed_path(directory))?;
                let end = lines.lines_bytes();
                Ok(Self { end, ..Self::new(Source::Sealed(Box::new(lines))) })
            }
            opened => opened,
        }
    }

    /// The first line of a file of the log, sealed or not, if it has a whole one.
    pub fn first_line(directory: &Path, name: SegmentName) -> io::Result<Option<Vec<u8>>> {
        match Self::of(directory, name)?.step()? {
            Step::Line(line) => Ok(Some(line.into())),
            Step::TooLong | Step::End | Step::Torn => Ok(None),
        }
    }

    const fn new(source: Source) -> Self {
        Self { source, read: 0, end: 0, line: Vec::new(), state: State::Between }
    }

    /// The whole lines within the last `bytes_max` bytes of a file of the log, and how many bytes those are. A sealed file is read
    /// whole or not at all.
    pub fn end_of(directory: &Path, name: SegmentName, bytes_max: u64) -> io::Result<(Self, u64)> {
        let mut reader = Self::of(directory, name)?;
        let bytes = reader.end.min(bytes_max);
        if bytes == reader.end {
            return Ok((reader, bytes));
        }
        match &mut reader.source {
            Source::Growing(file) => {
                reader.read = reader.end - bytes;
                file.seek(io::SeekFrom::Start(reader.read))?;
                reader.state = State::Skipping;
            }
            Source::Sealed(_) => reader.read = reader.end,
        }
        Ok((reader, bytes))
    }

    /// Takes in what was written since the last look.
    pub fn look(&mut self) -> io::Result<()> {
        if let Source::Growing(file) = &self.source {
            self.end = file.get_ref().metadata()?.len();
        }
        Ok(())
    }

    /// The next line.
    pub fn step(&mut self) -> io::Result<Step<'_>> {
        if self.state == State::Skipping {
            return self.skip();
        }
        if self.state == State::Between {
            self.line.clear();
        }
        let room = LINE_BYTES_MAX.saturating_sub(self.line.len()) as u64;
        let mut unread = self.source.unread(room.min(self.end.saturating_sub(self.read)));
        self.read += unread.read_until(b'\n', &mut self.line)? as u64;
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
            self.state = State::Between;
            return Ok(Step::Line(&self.line));
        }
        if self.line.len() >= LINE_BYTES_MAX {
            return self.skip();
        }
        self.state = if self.line.is_empty() { State::Between } else { State::Within };
        Ok(if self.line.is_empty() { Step::End } else { Step::Torn })
    }

    fn skip(&mut self) -> io::Result<Step<'_>> {
        let unread = self.source.unread(self.end.saturating_sub(self.read));
        let (skipped, ended) = skip_line(unread)?;
        self.read += skipped;
        self.state = if ended { State::Between } else { State::Skipping };
        Ok(if ended { Step::TooLong } else { Step::Torn })
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Growing(_) => "Growing",
            Self::Sealed(_) => "Sealed",
        })
    }
}

/// How many bytes were passed over, and whether a line break was the last of them.
fn skip_line(mut unread: impl BufRead) -> io::Result<(u64, bool)> {
    let mut skipped = 0;
    loop {
        let bytes = unread.fill_buf()?;
        let line_break = bytes.iter().position(|byte| *byte == b'\n');
        let used = line_break.map_or(bytes.len(), |at| at + 1);
        unread.consume(used);
        skipped += used as u64;
        if line_break.is_some() || used == 0 {
            return Ok((skipped, line_break.is_some()));
        }
    }
}

/// A record is far shorter: this only bounds what a damaged file can ask for.
pub const LINE_BYTES_MAX: usize = 4 << 20;
const BUFFER_BYTES: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::sealed::make;
    use crate::audit::tests::Directory;
    use std::io::Write;

    #[test]
    fn lines_are_read_whole_while_the_file_grows() {
        let directory = Directory::new();
        let path = directory.path().join("lines");
        let mut file = File::create(&path).expect("a file");
        let mut reader = LineReader::open(&path).expect("a reader");
        let mut check = |written: &[u8], expected: &[Step<'_>]| {
            file.write_all(written).expect("writes");
            reader.look().expect("looks");
            for step in expected {
                assert_eq!(reader.step().expect("reads"), *step);
            }
        };
        check(b"", &[Step::End, Step::End]);
        check(b"one\n\ntw", &[Step::Line(b"one"), Step::Line(b""), Step::Torn, Step::Torn]);
        check(b"o", &[Step::Torn]);
        check(b"\nthree\n", &[Step::Line(b"two"), Step::Line(b"three"), Step::End]);
        let long = vec![b'x'; LINE_BYTES_MAX];
        check(&long, &[Step::Torn]);
        check(&long, &[Step::Torn]);
        check(b"\nfour\n", &[Step::TooLong, Step::Line(b"four"), Step::End]);
    }

    #[test]
    fn an_end_begins_with_a_whole_line() {
        let directory = Directory::new();
        let name = SegmentName::parse("20261121T210748Z-1f2e3d4c-000001.jsonl").expect("a name");
        let path = name.path(directory.path());
        std::fs::write(&path, "one\ntwo\nthree\n").expect("writes");
        let check = |bytes_max: u64, bytes: u64, first: Step<'_>| {
            let end = LineReader::end_of(directory.path(), name, bytes_max);
            let (mut reader, taken) = end.expect("a reader");
            assert_eq!(taken, bytes);
            assert_eq!(reader.step().expect("reads"), first);
        };
        check(100, 14, Step::Line(b"one"));
        check(14, 14, Step::Line(b"one"));
        check(9, 9, Step::TooLong);
        check(2, 2, Step::TooLong);
        make(&path, &name.sealed_path(directory.path()), &|| false).expect("seals");
        std::fs::remove_file(&path).expect("removes");
        let check = |bytes_max: u64, bytes: u64, first: Step<'_>| {
            let end = LineReader::end_of(directory.path(), name, bytes_max);
            let (mut reader, taken) = end.expect("a reader");
            assert_eq!((reader.step().expect("reads"), taken), (first, bytes));
        };
        check(100, 14, Step::Line(b"one"));
        check(13, 13, Step::End);
    }

    #[test]
    fn what_nobody_looked_at_is_not_read() {
        let directory = Directory::new();
        let path = directory.path().join("lines");
        std::fs::write(&path, "one\ntwo").expect("writes");
        let mut reader = LineReader::open(&path).expect("a reader");
        std::fs::write(&path, "one\ntwo\nthree\n").expect("writes");
        assert_eq!(reader.step().expect("reads"), Step::Line(b"one"));
        assert_eq!(reader.step().expect("reads"), Step::Torn);
        reader.look().expect("looks");
        assert_eq!(reader.step().expect("reads"), Step::Line(b"two"));
        assert_eq!(reader.step().expect("reads"), Step::Line(b"three"));
        assert_eq!(reader.step().expect("reads"), Step::End);
    }
}
