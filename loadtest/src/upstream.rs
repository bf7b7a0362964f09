//! The upstream of a gate that is killed or flooded: it remembers the request ids that it was called with. `/held` is answered
//! with half a body, and the rest never comes.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

use crate::callers::Ledger;
use crate::error::{Error, Result};

pub struct Upstream {
    pub address: SocketAddr,
    /// Ids of calls.
    pub called: Ledger,
}

impl Upstream {
    pub fn start() -> Result<Self> {
        let doing = || Error::while_doing("cannot listen");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(doing())?;
        let address = listener.local_addr().map_err(doing())?;
        let called = Ledger::default();
        let ledger = called.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(std::io::Result::ok) {
                let ledger = ledger.clone();
                // The gate may go away in the middle of anything.
                thread::spawn(move || drop(serve(stream, &ledger)));
            }
        });
        Ok(Self { address, called })
    }
}

/// Requests have no body, so each ends with an empty line.
fn serve(mut stream: TcpStream, called: &Ledger) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut buffer, mut head) = ([0; 4096], Vec::new());
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        head.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if !head.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
        let id = text.lines().find_map(|line| line.strip_prefix("x-request-id: "));
        called.add(id.unwrap_or_default().to_owned());
        let is_held = text.lines().next().is_some_and(|line| line.contains("/held"));
        let answer: &[u8] = if is_held { HALF } else { WHOLE };
        stream.write_all(answer)?;
        head.clear();
    }
}

const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const HALF: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok";
