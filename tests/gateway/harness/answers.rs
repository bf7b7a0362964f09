//! How the upstream of the tests reads and answers, byte by byte.

use std::io::{self, BufRead, Read, Write};
use std::net::TcpStream;

use super::flow::{Check, Pattern};
use super::http::{Fields, read_chunks};
use super::upstream::{Behaviour, Received};

pub const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\
                         Transfer-Encoding: chunked\r\n\r\n";
pub const SWITCH: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                        Upgrade: websocket\r\n\r\n";

/// After the switch. Returns when either side leaves.
pub fn converse(behaviour: Behaviour, mut with: &TcpStream) -> io::Result<()> {
    let mut bytes = [0; 16 * 1024];
    with.set_read_timeout(None)?;
    loop {
        let count = with.read(&mut bytes)?;
        if count == 0 || behaviour == Behaviour::SwitchAndLeave {
            return Ok(());
        }
        if behaviour == Behaviour::Switch {
            with.write_all(&bytes[..count])?;
        }
    }
}

pub fn bytes_of_target(target: &str) -> u64 {
    let last = target.rsplit('/').next().unwrap_or_default();
    last.parse().expect("the path says how many bytes")
}

pub fn send_pattern(mut to: &TcpStream, bytes: u64) -> io::Result<()> {
    to.write_all(CHUNKED)?;
    Pattern::default().each_piece(bytes, |piece| {
        write!(to, "{:x}\r\n", piece.len())?;
        to.write_all(piece)?;
        to.write_all(b"\r\n")
    })?;
    to.write_all(b"0\r\n\r\n")
}

/// What came of a request's body, held against the pattern as it comes.
pub fn check_body(from: &mut impl BufRead, request: &Received) -> io::Result<String> {
    let mut check = Check::default();
    if request.fields.value("transfer-encoding").is_some() {
        check.take_chunks(from)?;
    } else {
        let length = request.fields.value("content-length").expect("a body");
        check.take(from, length.parse().expect("a length is a number"))?;
    }
    Ok(check.told())
}

pub fn respond(
    mut to: &TcpStream,
    request: &Received,
    status: &str,
    body: &[u8],
) -> io::Result<()> {
    // The upstream's own id must not reach the caller: the gate's does.
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nX-Request-Id: of-upstream\r\nX-Upstream: kept\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let body = if request.method == "HEAD" { &[] } else { body };
    to.write_all(&[head.as_bytes(), body].concat())
}

pub fn read_body(from: &mut impl BufRead, request: &Received) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    if request.fields.value("transfer-encoding").is_some() {
        read_chunks(from, &mut body)?;
    } else if let Some(length) = request.fields.value("content-length") {
        from.take(length.parse().expect("a length is a number")).read_to_end(&mut body)?;
    }
    Ok(body)
}

pub fn parse_head(head: &str) -> Received {
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut fields = Fields::default();
    lines.for_each(|line| fields.push_line(line));
    Received { method, target, fields, body_bytes: 0 }
}
