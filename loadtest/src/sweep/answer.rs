//! Answers as they come in pieces on a socket that does not wait. It keeps bytes only of a head
//! that is not whole; of a body it keeps a count.

use crate::client::{Answer, parse_head};
use crate::error::{Error, Result};

#[derive(Debug, Default)]
pub struct AnswerReader {
    /// Of a head that came in pieces.
    head: Vec<u8>,
    body: Option<Body>,
}

#[derive(Debug)]
struct Body {
    answer: Answer,
    bytes_left: u64,
}

impl AnswerReader {
    /// Takes a piece; the whole answer when this was its end. An error means that the connection is
    /// of no more use.
    pub fn take(&mut self, piece: &[u8]) -> Result<Option<Answer>> {
        if let Some(body) = &mut self.body {
            body.bytes_left = left_after(body.bytes_left, piece.len())?;
            return Ok(self.finished());
        }
        // Nearly always the head is whole in the first piece, and nothing is copied.
        let joined: &[u8] = if self.head.is_empty() {
            piece
        } else {
            self.head.extend_from_slice(piece);
            &self.head
        };
        let Some(head) = parse_head(joined)? else {
            if joined.len() > HEAD_BYTES_MAX {
                return Err(Error::unexpected("the answer", "its head is too large"));
            }
            if self.head.is_empty() {
                self.head.extend_from_slice(piece);
            }
            return Ok(None);
        };
        let answer = Answer { status: head.status, body_bytes: head.content_length };
        let bytes_left = left_after(head.content_length, joined.len() - head.bytes)?;
        self.head.clear();
        self.body = Some(Body { answer, bytes_left });
        Ok(self.finished())
    }

    fn finished(&mut self) -> Option<Answer> {
        let done = self.body.take_if(|body| body.bytes_left == 0);
        done.map(|body| body.answer)
    }
}

fn left_after(left: u64, came: usize) -> Result<u64> {
    let left = left.checked_sub(came as u64);
    left.ok_or_else(|| Error::unexpected("the answer", "more bytes than it announced"))
}

const HEAD_BYTES_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &[u8] = b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 5\r\n\r\nhello";

    #[test]
    fn answers_are_the_same_in_any_pieces() {
        for size in 1..=TWO.len() {
            let mut reader = AnswerReader::default();
            for _ in 0..2 {
                let taken: Vec<_> =
                    TWO.chunks(size).map(|piece| reader.take(piece).expect("good")).collect();
                let (last, before) = taken.split_last().expect("a piece");
                assert_eq!(*last, Some(Answer { status: 200, body_bytes: 5 }), "{size}");
                assert!(before.iter().all(Option::is_none), "{size}");
            }
        }
    }

    #[test]
    fn an_answer_without_a_body_ends_with_its_head() {
        let mut reader = AnswerReader::default();
        let answer = reader.take(b"HTTP/1.1 429 x\r\nContent-Length: 0\r\n\r\n").expect("good");
        assert_eq!(answer, Some(Answer { status: 429, body_bytes: 0 }));
    }

    #[test]
    fn bytes_nobody_asked_for_are_an_error() {
        let check = |pieces: &[&[u8]]| {
            let mut reader = AnswerReader::default();
            let ended: Result<Vec<_>> = pieces.iter().map(|piece| reader.take(piece)).collect();
            assert!(ended.is_err(), "{pieces:?}");
        };
        check(&[b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nab"]);
        check(&[b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na", b"bc"]);
        check(&[&[b'x'; HEAD_BYTES_MAX + 1]]);
        check(&[b"nonsense\r\n\r\n"]);
    }
}
