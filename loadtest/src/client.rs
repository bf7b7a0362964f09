//! One keep-alive HTTP/1.1 connection that sends prepared bytes and reads whole answers. It knows
//! no more of HTTP than the answers to its own requests need: a Content-Length body.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::interrupt;

#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Box<[u8]>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub body_bytes: u64,
}

impl Connection {
    pub fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, TIMEOUT)
            .map_err(Error::while_doing(format!("cannot connect to {address}")))?;
        let set = stream
            .set_nodelay(true)
            .and_then(|()| stream.set_read_timeout(Some(TIMEOUT)))
            .and_then(|()| stream.set_write_timeout(Some(TIMEOUT)));
        set.map_err(Error::while_doing("cannot set socket options"))?;
        Ok(Self { stream, buffer: vec![0; HEAD_BYTES_MAX].into() })
    }

    pub fn exchange(&mut self, request: &[u8]) -> Result<Answer> {
        self.send(request)?;
        self.receive()
    }

    pub fn send(&mut self, request: &[u8]) -> Result<()> {
        interrupt::check()?;
        self.stream.write_all(request).map_err(Error::while_doing("cannot send a request"))
    }

    /// Reads one answer to its end.
    pub fn receive(&mut self) -> Result<Answer> {
        let mut filled = 0;
        let head = loop {
            let space = self.buffer.get_mut(filled..).unwrap_or_default();
            if space.is_empty() {
                return Err(Error::unexpected("the answer", "its head is too large"));
            }
            filled += read_some(&mut self.stream, space)?;
            if let Some(head) = parse_head(self.buffer.get(..filled).unwrap_or_default())? {
                break head;
            }
        };
        let mut body_left = head.content_length;
        let mut got = (filled - head.bytes) as u64;
        while got < body_left {
            body_left -= got;
            let most = usize::try_from(body_left).unwrap_or(usize::MAX).min(self.buffer.len());
            let space = self.buffer.get_mut(..most).unwrap_or_default();
            got = read_some(&mut self.stream, space)? as u64;
        }
        if got > body_left {
            return Err(Error::unexpected("the answer", "more bytes than it announced"));
        }
        Ok(Answer { status: head.status, body_bytes: head.content_length })
    }
}

fn read_some(stream: &mut TcpStream, space: &mut [u8]) -> Result<usize> {
    loop {
        interrupt::check()?;
        match stream.read(space) {
            Ok(0) => return Err(Error::unexpected("the answer", "the connection ended before it")),
            Ok(bytes) => return Ok(bytes),
            // A signal: the check above says whether it was meant for us.
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::while_doing("cannot read an answer")(e)),
        }
    }
}

#[derive(Debug, Eq, PartialEq)]
pub struct Head {
    pub status: u16,
    pub bytes: usize,
    pub content_length: u64,
}

/// None: the head is not whole yet.
pub fn parse_head(bytes: &[u8]) -> Result<Option<Head>> {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = bytes.get(..end).and_then(|head| std::str::from_utf8(head).ok());
    let bad = || Error::unexpected("the answer", "a head that cannot be read");
    let mut lines = text.ok_or_else(bad)?.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = status_line.split(' ').nth(1).and_then(|word| word.parse().ok());
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    match (status, length) {
        (Some(status), Some(content_length)) => {
            Ok(Some(Head { status, bytes: end + 4, content_length }))
        }
        (Some(_), None) => Err(Error::unexpected("the answer", "no Content-Length")),
        _ => Err(bad()),
    }
}

/// Generous: under valgrind one request may take tens of milliseconds, on a busy machine more.
const TIMEOUT: Duration = Duration::from_secs(20);

const HEAD_BYTES_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_when_whole() {
        let check = |text: &str, expected: Option<(u16, usize, u64)>| {
            let head = parse_head(text.as_bytes()).expect("a good head");
            assert_eq!(head.map(|h| (h.status, h.bytes, h.content_length)), expected, "{text}");
        };
        check("", None);
        check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", None);
        check("HTTP/1.1 200 OK\r\nA: b\r\ncontent-length: 5\r\n\r\nhello", Some((200, 44, 5)));
        check("HTTP/1.1 429\r\nContent-Length:0\r\n\r\n", Some((429, 34, 0)));
    }

    #[test]
    fn heads_without_a_length_are_refused() {
        for text in [
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 OK\r\nContent-Length: 1\r\n\r\n",
        ] {
            assert!(parse_head(text.as_bytes()).is_err(), "{text}");
        }
    }
}
