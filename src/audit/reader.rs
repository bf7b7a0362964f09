//! Lines of one file of the log, with bounded memory and while it still grows.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// Reads whole lines; what follows the last line break is kept until its rest is written.
#[derive(Debug)]
pub struct LineReader {
    file: BufReader<File>,
    line: Vec<u8>,
    state: State,
}

/// What a step came to.
#[derive(Debug, Eq, PartialEq)]
pub enum Step<'a> {
    /// A line, without its line break.
    Line(&'a [u8]),
    /// A line longer than [`LINE_BYTES_MAX`]; it was skipped.
    TooLong,
    /// The end of the file, for now, between lines.
    End,
    /// The end of the file, for now, within a line.
    Torn,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Between,
    Within,
    /// Within a line that is too long to keep.
    Skipping,
}

impl LineReader {
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = BufReader::with_capacity(BUFFER_BYTES, File::open(path)?);
        Ok(Self { file, line: Vec::new(), state: State::Between })
    }

    /// The next line. After an end it may be asked again: the file may have grown.
    pub fn step(&mut self) -> io::Result<Step<'_>> {
        if self.state == State::Skipping {
            return self.skip();
        }
        if self.state == State::Between {
            self.line.clear();
        }
        let room = LINE_BYTES_MAX.saturating_sub(self.line.len()) as u64;
        (&mut self.file).take(room).read_until(b'\n', &mut self.line)?;
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
        self.state = State::Skipping;
        loop {
            let read = self.file.fill_buf()?;
            if read.is_empty() {
                return Ok(Step::Torn);
            }
            let end = read.iter().position(|byte| *byte == b'\n');
            let used = end.map_or(read.len(), |at| at + 1);
            self.file.consume(used);
            if end.is_some() {
                self.state = State::Between;
                return Ok(Step::TooLong);
            }
        }
    }
}

/// A record is far shorter: this only bounds what a damaged file can ask for.
pub const LINE_BYTES_MAX: usize = 4 << 20;
const BUFFER_BYTES: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
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
}
