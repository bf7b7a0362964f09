//! The upstream: answers every bodiless request with 1 KB, or `N` bytes under `…/bytes/N`, for as
//! few cycles as blocking sockets allow, so that the servers before it are what is measured. A
//! thread per connection: proxies keep few connections to their upstream.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::error::{Error, Result, Verdict};

#[derive(Debug, clap::Args)]
pub struct Options {
    /// Where to listen, on loopback.
    #[arg(long)]
    listen: SocketAddr,
}

/// Serves until the process is stopped.
pub fn run(options: &Options) -> Result<Verdict> {
    let listener = TcpListener::bind(options.listen)
        .map_err(Error::while_doing(format!("cannot listen at {}", options.listen)))?;
    loop {
        let (stream, _) =
            listener.accept().map_err(Error::while_doing("cannot accept a connection"))?;
        if OPEN.fetch_add(1, Ordering::Relaxed) >= CONNECTIONS_MAX {
            OPEN.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let worker = thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
            // The end of a connection, by close or by reset, is of no interest here.
            drop(serve(stream));
            OPEN.fetch_sub(1, Ordering::Relaxed);
        });
        worker.map_err(Error::while_doing("cannot start a thread"))?;
    }
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let small = answer_of(SMALL_BYTES);
    let mut buffer = vec![0; HEAD_BYTES_MAX];
    let mut filled = 0;
    loop {
        let space = buffer.get_mut(filled..).unwrap_or_default();
        if space.is_empty() {
            return Err(ErrorKind::InvalidData.into());
        }
        match stream.read(space)? {
            0 => return Ok(()),
            bytes => filled += bytes,
        }
        let head = buffer.get(..filled).unwrap_or_default();
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        match wanted_bytes(head) {
            SMALL_BYTES => stream.write_all(&small)?,
            bytes => write_big(&mut stream, bytes)?,
        }
        filled = 0;
    }
}

/// The body that the request's path asks for.
fn wanted_bytes(head: &[u8]) -> u64 {
    let path = head.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    let text = std::str::from_utf8(path).unwrap_or_default();
    let asked = text.rsplit_once("/bytes/").and_then(|(_, bytes)| bytes.parse().ok());
    asked.map_or(SMALL_BYTES, |bytes: u64| bytes.min(BODY_BYTES_MAX))
}

fn head_of(body_bytes: u64) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {body_bytes}\r\n\r\n"
    )
}

/// A JSON object of so many bytes, some payments and a long text: how it begins, how often `x` follows, how it
/// ends. Of less than its frame there is only `x`.
fn body_of(body_bytes: u64) -> (&'static [u8], u64, &'static [u8]) {
    let frame = (BEGIN.len() + END.len()) as u64;
    let filling = body_bytes.checked_sub(frame);
    filling.map_or((b"", body_bytes, b""), |filling| (BEGIN.as_bytes(), filling, END.as_bytes()))
}

const BEGIN: &str = concat!(
    r#"{"payments":[{"id":"4711","amount_cents":1250,"payee":"acme","status":"settled","#,
    r#""at":"2026-11-27T09:30:00Z"},{"id":"4712","amount_cents":990,"payee":"globex","#,
    r#""status":"refunded","at":"2026-11-27T09:31:12Z"},{"id":"4713","amount_cents":420000,"#,
    r#""payee":"initech","status":"settled","at":"2026-11-27T09:32:40Z"},{"id":"4714","#,
    r#""amount_cents":1999,"payee":"hooli","status":"settled","at":"2026-11-27T09:35:03Z"}],"#,
    r#""next":""#,
);
const END: &str = r#""}"#;

fn answer_of(body_bytes: u64) -> Vec<u8> {
    let (begin, filling, end) = body_of(body_bytes);
    let filling = vec![b'x'; usize::try_from(filling).unwrap_or_default()];
    [head_of(body_bytes).as_bytes(), begin, &filling, end].concat()
}

fn write_big(stream: &mut TcpStream, body_bytes: u64) -> std::io::Result<()> {
    let (begin, filling, end) = body_of(body_bytes);
    stream.write_all(head_of(body_bytes).as_bytes())?;
    stream.write_all(begin)?;
    std::io::copy(&mut std::io::repeat(b'x').take(filling), stream)?;
    stream.write_all(end)?;
    Ok(())
}

static OPEN: AtomicUsize = AtomicUsize::new(0);

/// More than any proxy here keeps; a connection past it is closed at once.
const CONNECTIONS_MAX: usize = 1024;
const STACK_BYTES: usize = 128 * 1024;
const HEAD_BYTES_MAX: usize = 16 * 1024;
const SMALL_BYTES: u64 = 1024;
const BODY_BYTES_MAX: u64 = 1024 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_says_how_much() {
        let check = |head: &str, expected: u64| {
            assert_eq!(wanted_bytes(head.as_bytes()), expected, "{head}");
        };
        check("GET / HTTP/1.1\r\n\r\n", 1024);
        check("GET /payments/4711 HTTP/1.1\r\n\r\n", 1024);
        check("GET /api/bytes/100000 HTTP/1.1\r\n\r\n", 100_000);
        check("GET /bytes/9999999999999 HTTP/1.1\r\n\r\n", BODY_BYTES_MAX);
        check("GET /bytes/many HTTP/1.1\r\n\r\n", 1024);
        check("nonsense", 1024);
    }
}
