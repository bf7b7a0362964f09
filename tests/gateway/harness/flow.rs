//! Bodies of any size in little memory: a pattern that is made in pieces, and a check that takes
//! pieces of any length.

use std::io::{self, BufRead, Read, Write};

/// Bytes in which a lost, doubled or swapped piece shows: no two pieces are alike.
pub struct Pattern(Vec<u8>);

const PIECE_BYTES: usize = 64 * 1024;

impl Default for Pattern {
    fn default() -> Self {
        Self((0..251).cycle().take(PIECE_BYTES).collect())
    }
}

impl Pattern {
    fn piece(&mut self, number: u64) -> &[u8] {
        self.0[..8].copy_from_slice(&number.to_be_bytes());
        &self.0
    }

    /// Shows `bytes` of the pattern, piece by piece.
    pub fn each_piece(
        &mut self,
        bytes: u64,
        mut show: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut left = bytes;
        for number in 0.. {
            let length = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES);
            if length == 0 {
                break;
            }
            show(&self.piece(number)[..length])?;
            left -= length as u64;
        }
        Ok(())
    }
}

/// Holds bytes against the pattern as they come.
#[derive(Default)]
pub struct Check {
    pattern: Pattern,
    bytes: u64,
    wrong: bool,
}

impl Check {
    /// What is told of so many bytes of the pattern.
    pub fn right(bytes: u64) -> String {
        format!("{bytes} right")
    }

    pub fn told(&self) -> String {
        format!("{} {}", self.bytes, if self.wrong { "wrong" } else { "right" })
    }

    /// Takes a body in chunks to its end, its trailers included.
    pub fn take_chunks(&mut self, from: &mut impl BufRead) -> io::Result<()> {
        loop {
            let mut line = String::new();
            from.read_line(&mut line)?;
            let length = u64::from_str_radix(line.trim_end(), 16).map_err(io::Error::other)?;
            self.take(from, length)?;
            while {
                line.clear();
                from.read_line(&mut line)?;
                length == 0 && line.trim_end() != ""
            } {}
            if length == 0 {
                return Ok(());
            }
        }
    }

    /// Takes so many bytes.
    pub fn take(&mut self, from: &mut impl BufRead, length: u64) -> io::Result<()> {
        io::copy(&mut from.take(length), self).map(drop)
    }
}

impl Write for Check {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = PIECE_BYTES as u64;
        let at = usize::try_from(self.bytes % piece).expect("below a piece's length");
        let length = bytes.len().min(PIECE_BYTES - at);
        let expected = &self.pattern.piece(self.bytes / piece)[at..at + length];
        self.wrong |= expected != &bytes[..length];
        self.bytes += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
